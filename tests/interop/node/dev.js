// A `remint dev` of the test's own, in a folder of its own: started, asked for its facts, ended.

import { spawn } from 'node:child_process'
import { mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const binary = process.env.REMINT_BIN ?? fileURLToPath(new URL('../../../target/debug/remint', import.meta.url))

/** Starts one, `speed` times faster than life. Answers the facts of its `dev.json`, and `stop`. */
export async function dev({ speed = 1 } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'remint-interop-'))
  const data = join(folder, 'data')
  const options = ['dev', '--no-open', '--port', '0', '--speed', String(speed), '--data', data]
  // `scripts/scan-logs` reads what is kept in the folder of the tests' logs.
  const file = join(process.env.TEST_LOGS ?? folder, `node-${process.pid}.log`)
  const log = await open(file, 'a')
  const child = spawn(binary, options, { env: {}, stdio: ['ignore', 'pipe', log.fd] })
  await log.close()
  const ended = new Promise((resolve, reject) => {
    child.once('exit', resolve)
    child.once('error', reject)
  })
  const lines = createInterface({ input: child.stdout })
  const up = new Promise((resolve) => lines.once('line', resolve))
  const failed = ended.then(async (code) => {
    throw new Error(`remint dev ended with ${code}: ${await readFile(file, 'utf8')}`)
  })
  failed.catch(() => {}) // after it is up, an end is what `stop` wants
  await Promise.race([up, failed])
  const facts = JSON.parse(await readFile(join(data, 'dev.json'), 'utf8'))
  const stop = async () => {
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true })
  }
  return { ...facts, stop }
}

/** Logs the demo's user in; answers the token response. A busy machine may not hash a password in time: 503. */
export async function login({ issuer, user }, client_id, attempts = 10) {
  const answer = await fetch(`${issuer}/session`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...user, client_id }),
  })
  if (answer.status === 503 && attempts > 1) {
    await seconds(1)
    return login({ issuer, user }, client_id, attempts - 1)
  }
  if (answer.status !== 200) throw new Error(`log-in: ${answer.status} ${await answer.text()}`)
  return answer.json()
}

export const seconds = (s) => new Promise((resolve) => setTimeout(resolve, s * 1000))
