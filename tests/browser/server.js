// A `remint dev` of the test's own, in a folder of its own, as somebody starts it who has just cloned the repository.

import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const binary = process.env.REMINT_BIN ?? fileURLToPath(new URL('../../target/debug/remint', import.meta.url))

/** Starts one; answers the facts of its `dev.json`, the folder in which `remint-dev` lies, `restart` and `stop`. */
export async function dev({ speed = 1 } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'remint-browser-'))
  let running = await started(folder, speed, 0)
  const facts = JSON.parse(await readFile(join(folder, 'remint-dev', 'dev.json'), 'utf8'))
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
  const child = spawn(binary, options, { cwd: folder, env: {}, stdio: ['ignore', 'pipe', 'ignore'] })
  const ended = new Promise((resolve, reject) => child.once('exit', resolve).once('error', reject))
  const lines = createInterface({ input: child.stdout })
  await Promise.race([
    new Promise((resolve) => lines.once('line', resolve)),
    ended.then((code) => { throw new Error(`remint dev ended with ${code}`) }),
  ])
  return { end: (signal) => (child.kill(signal), ended) }
}
