// A `remint dev` of the test's own, in a folder of its own, as somebody starts it who has just cloned the repository.

import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

import { evidence, logOf, watchFetch } from '../evidence.js'

const LOG = 'browser'
const { secretsIn, secretsInText, secretsInCookies } = evidence(LOG)
watchFetch(LOG)

export const binary = process.env.REMINT_BIN ?? fileURLToPath(new URL('../../target/debug/remint', import.meta.url))

/** Starts one; answers the facts of its `dev.json`, the folder in which `remint-dev` lies, `restart` and `stop`. */
export async function dev({ speed = 1 } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'remint-browser-'))
  let running = await started(folder, speed, 0)
  const facts = JSON.parse(await readFile(join(folder, 'remint-dev', 'dev.json'), 'utf8'))
  secretsIn(facts)
  return {
    ...facts,
    folder,
    /** Ends it by a signal, and starts it again on its port and data. */
    restart: async (signal) => {
      await running.end(signal)
      running = await started(folder, speed, new URL(facts.issuer).port)
    },
    stop: async () => {
      await running.end('SIGTERM')
      await rm(folder, { recursive: true })
    },
  }
}

async function started(folder, speed, port) {
  const options = ['dev', '--no-open', '--port', String(port), '--speed', String(speed)]
  const log = await logOf(LOG, folder)
  const child = spawn(binary, options, { cwd: folder, env: {}, stdio: ['ignore', 'pipe', log.fd] })
  await log.close()
  const ended = new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject))
  const lines = createInterface({ input: child.stdout })
  await Promise.race([
    new Promise((resolve) => lines.once('line', resolve)),
    ended.then((code) => { throw new Error(`remint dev ended with ${code}`) }),
  ])
  return { end: (signal) => (child.kill(signal), ended) }
}

/** Keeps the secrets that the pages of a browser context send and get. */
export function watchPages(context) {
  if (!process.env.TEST_LOGS) return
  context.on('request', (request) => secretsInText(request.postData()))
  context.on('response', async (answer) => {
    const { 'content-type': type = '', 'set-cookie': cookies } = await answer.allHeaders().catch(() => ({}))
    secretsInCookies(cookies?.split('\n') ?? [])
    if (/json/.test(type)) secretsIn(await answer.json().catch(() => null)) // one that was cut off has none
  })
}
