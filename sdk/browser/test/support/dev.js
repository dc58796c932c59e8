/** A real `remint dev` on a free port with a folder of its own, and what a page needs to speak to it from Node. */

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { evidence, logOf, watchFetch } from '../../../../tests/evidence.js';

const LOG = 'sdk-browser';
const { secretsIn } = evidence(LOG);
watchFetch(LOG);

// Every variable REMINT_* is a setting to the binary, and this one is none.
const { REMINT_BIN: _, ...env } = process.env;
const BIN = process.env.REMINT_BIN ?? new URL('../../../../target/debug/remint', import.meta.url).pathname;
export const PERSON = { identifier: 'ada@example.test', password: 'analytical engine 1843' };
export const ORIGIN = 'http://localhost:3000';

/** Starts it; `stop` ends it and takes its folder away. */
export const startDev = async (...args) => {
  const folder = await mkdtemp(join(tmpdir(), 'remint-browser-'));
  const data = join(folder, 'data');
  const log = await logOf(LOG, folder);
  const server = spawn(BIN, ['dev', '--port', '0', '--no-open', '--data', data, ...args], { env, stdio: ['ignore', 'pipe', log.fd] });
  await log.close();
  const started = Promise.race([
    (async () => {
      for await (const line of createInterface({ input: server.stdout })) {
        const issuer = /running at (http:\S+)/.exec(line)?.[1];
        if (issuer) return issuer;
      }
      throw new Error(`${BIN} dev did not start`);
    })(),
    once(server, 'error').then(([error]) => {
      throw error;
    }),
  ]);
  const issuer = await started;
  server.stdout.resume();
  secretsIn(JSON.parse(await readFile(join(data, 'dev.json'), 'utf8')));
  return {
    issuer,
    /** The command line, as the operator. */
    cli: async (...words) => (await promisify(execFile)(BIN, [...words, '--data', data, '--json'], { env })).stdout,
    /** Opens a session, as a server does that keeps its own users; answers the token response. */
    opens: async (session) => {
      const headers = { 'Content-Type': 'application/json', Host: 'localhost' };
      const asked = request({ socketPath: join(data, 'control.sock'), path: '/admin/api/sessions', method: 'POST', headers });
      asked.end(JSON.stringify(session));
      const [answer] = await once(asked, 'response');
      return JSON.parse((await answer.toArray()).join(''));
    },
    /** The newest code that was sent. */
    code: async () => (await (await fetch(`${issuer}/dev/inbox.json`)).json()).messages[0].code,
    stop: async () => {
      const gone = once(server, 'exit');
      server.kill('SIGTERM');
      await gone;
      await rm(folder, { recursive: true });
    },
  };
};

/** The browser of one person: its cookies, and the origin of its pages. Tabs of it share a channel. */
export const device = () => {
  const jar = new Map();
  const channel = `tabs-${Math.random()}`;
  /** @param {RequestInfo} input @param {RequestInit} [init] */
  const fetchAsPage = async (input, init = {}) => {
    const request = new Request(input, init);
    request.headers.set('Origin', ORIGIN);
    if (request.credentials === 'include' && jar.size) {
      request.headers.set('Cookie', [...jar].map(([name, value]) => `${name}=${value}`).join('; '));
    }
    const answer = await fetch(request);
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value, lasts] = /^([^=]+)=([^;]*);.*Max-Age=(\d+)/.exec(line) ?? [];
      if (lasts === '0') jar.delete(name);
      else jar.set(name, value);
    }
    return answer;
  };
  const host = () => ({
    fetch: fetchAsPage,
    Date,
    performance,
    Math,
    setTimeout,
    clearTimeout,
    AbortSignal,
    location: { href: `${ORIGIN}/` },
    BroadcastChannel: class extends BroadcastChannel {
      constructor(name) {
        super(channel + name);
      }
    },
  });
  return { jar, host, fetch: fetchAsPage };
};

/** The next event of a type; fails where it does not come at once, however busy the machine: nothing else brings it for minutes. */
export const next = (remint, type, limitMs = 15_000) =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no event ${type}`)), limitMs);
    const off = remint.on((event) => {
      if (event.type !== type) return;
      clearTimeout(timer);
      off();
      resolve(event);
    });
  });
