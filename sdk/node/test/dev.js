// A `remint dev` of the test's own, in a folder of its own, and what a page and an operator do with it.

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

import { evidence, logOf, watchFetch } from '../../../tests/evidence.js';

const LOG = 'sdk-node';
const { secretsIn } = evidence(LOG);
watchFetch(LOG);

const binary = process.env.REMINT_BIN ?? fileURLToPath(new URL('../../../target/debug/remint', import.meta.url));

/** Starts one, `speed` times faster than life. */
export async function dev({ speed = 1 } = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'remint-node-'));
  const data = join(folder, 'data');
  const options = ['dev', '--no-open', '--port', '0', '--speed', String(speed), '--data', data];
  const log = await logOf(LOG, folder);
  const child = spawn(binary, options, { env: {}, stdio: ['ignore', 'pipe', log.fd] });
  await log.close();
  const ended = new Promise((resolve) => child.once('exit', resolve));
  await Promise.race([new Promise((up) => createInterface({ input: child.stdout }).once('line', up)), ended.then((code) => Promise.reject(new Error(`it ended: ${code}`)))]);
  const facts = JSON.parse(await readFile(join(data, 'dev.json'), 'utf8'));
  secretsIn(facts);
  const stop = async () => {
    child.kill('SIGTERM');
    await ended;
    await rm(folder, { recursive: true });
  };
  const [api] = facts.apis;
  return { ...facts, credential: { id: api.client_id, secret: api.client_secret }, stop, admin: (method, path, body) => overSocket(join(data, 'control.sock'), method, path, body) };
}

/** An operator's request over the control socket. */
function overSocket(socketPath, method, path, body) {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, method, path: `/admin/api${path}`, headers: { 'content-type': 'application/json', host: 'localhost' } }, async (answer) => {
      let text = '';
      for await (const part of answer) text += part;
      const said = text ? JSON.parse(text) : null;
      for (const each of [body, said]) secretsIn(each);
      resolve({ status: answer.statusCode, body: said });
    });
    asked.once('error', reject);
    asked.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

export const seconds = (s) => new Promise((resolve) => setTimeout(resolve, s * 1000));

/** Logs the demo's user in. A busy machine may not hash a password in time: 503. */
export async function login({ issuer, user }, client_id, headers = {}) {
  for (let tries = 0; ; tries += 1) {
    const body = JSON.stringify({ ...user, client_id });
    const answer = await fetch(`${issuer}/session`, { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body });
    if (answer.status === 200) return { ...(await answer.json()), cookies: answer.headers.getSetCookie() };
    if (answer.status !== 503 || tries > 9) throw new Error(`log-in: ${answer.status} ${await answer.text()}`);
    await seconds(1);
  }
}

/** Serves an application on a port of the system's; `get(path, token, more)` asks it. */
export async function serving(listener) {
  const { createServer } = await import('node:http');
  const server = createServer(listener).listen(0, '127.0.0.1');
  await new Promise((up) => server.once('listening', up));
  const at = `http://127.0.0.1:${server.address().port}`;
  const get = (path = '/', token = undefined, { headers, ...more } = {}) =>
    fetch(at + path, { headers: { ...(token ? { authorization: `Bearer ${token}` } : {}), ...headers }, ...more });
  return { at, get, close: () => server.close() };
}
