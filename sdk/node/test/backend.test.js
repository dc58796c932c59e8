// A backend with its own users, and a guard whose feed is gone, against a real Remint.

import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { Backend, BackendError, Verifier } from '../index.js';
import { dev, login, seconds } from './dev.js';

let server;
let backend;
before(async () => {
  server = await dev();
  const made = await server.admin('POST', '/clients', {
    id: 'shop-backend', policy: { kind: 'fixed', life: 300 }, confidential: true, client_credentials: true,
    administration: { scopes: 'remint:sessions:open remint:users:write remint:sessions', opens_sessions_at: ['demo-refresh'] },
  });
  assert.ok(made.status < 300, JSON.stringify(made));
  backend = new Backend({ issuer: server.issuer, clientId: 'shop-backend', clientSecret: made.body.client_secret });
});
after(() => server.stop());

const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());

it('opens a session for its own user, changes the record, and ends the session', async () => {
  const session = await backend.openSession({ user: '4711', client_id: 'demo-refresh', amr: ['pwd'], attributes: { nickname: 'grace' }, user_agent: 'Her browser', address: '192.0.2.7' });
  assert.equal(claimsOf(session.access_token).nickname, 'grace');
  assert.equal(typeof session.refresh_token, 'string');
  const { cv } = await backend.users.patch('external:4711', { nickname: 'hopper' });
  assert.equal(cv, claimsOf(session.access_token).cv + 1);
  const { sid } = claimsOf(session.access_token);
  const listed = await backend.sessions.list('external:4711');
  const { user_agent, address } = listed.sessions.find((one) => one.sid === sid);
  assert.deepEqual([user_agent, address], ['Her browser', '192.0.2.7']);
  await backend.sessions.revoke(sid);
  const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'demo-refresh', refresh_token: session.refresh_token });
  const refused = await fetch(`${server.issuer}/oauth2/token`, { method: 'POST', body });
  assert.deepEqual([refused.status, (await refused.json()).error_description], [400, 'session ended: revoked']);
});

it('says what was refused in the words of the server', async () => {
  const unknown = backend.users.patch('external:4711', { shoe_size: 44 });
  await assert.rejects(unknown, (error) => error instanceof BackendError && error.status === 400 && /shoe_size/.test(error.message));
  const wrong = new Backend({ issuer: server.issuer, clientId: 'shop-backend', clientSecret: 'wrong' });
  await assert.rejects(wrong.sessions.list('external:4711'), (error) => error.status === 401 && error.error === 'invalid_client');
});

/** An answer that breaks off when the signal says so. What the signal of a request does is up to the garbage collector of Node.js 20. */
function breaking(answer, signal) {
  const reader = answer.body.getReader();
  const broke = new Promise((_, reject) => signal.addEventListener('abort', () => reject(new TypeError('cut'))));
  broke.catch(() => {});
  const body = new ReadableStream({
    pull: async (controller) => {
      const { done, value } = await Promise.race([reader.read(), broke]);
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
  return new Response(body, answer);
}

/** A guard whose feed can be cut. */
function cut(onLost) {
  const { issuer, audience, credential } = server;
  const line = { whole: true, silence: 0 };
  const over = new AbortController();
  const fetch = async (url, init) => {
    if (!String(url).endsWith('/feed')) return globalThis.fetch(url, init);
    if (!line.whole) throw new TypeError('cut');
    return breaking(await globalThis.fetch(url, init), over.signal);
  };
  const clock = { now: () => Date.now() / 1000, ticks: () => performance.now() + line.silence };
  const verifier = new Verifier({ issuer, audience, credential, fetch, onLost, clock });
  const cut = () => {
    Object.assign(line, { whole: false, silence: 120_000 });
    over.abort();
  };
  return { verifier, cut };
}

it('refuses where nobody can say whether a session has ended, or asks the issuer, as its owner chose', async () => {
  const [refusing, asking, serving] = [cut('refuse'), cut('introspect'), cut('serve')];
  const all = [refusing, asking, serving];
  await Promise.all(all.map(({ verifier }) => verifier.ready()));
  const { access_token, account_token } = await login(server, 'demo-refresh');
  for (const { verifier } of all) assert.equal((await verifier.verify(access_token)).claims.client_id, 'demo-refresh');
  for (const { cut } of all) cut();
  while (all.some(({ verifier }) => verifier.standing() !== 'lost')) await seconds(0.02);
  const code = ({ verifier }) => verifier.verify(access_token).then(() => 'good', (error) => error.code);
  assert.deepEqual(await Promise.all(all.map(code)), ['feed_lagging', 'good', 'good']);
  await fetch(`${server.issuer}/session`, { method: 'DELETE', headers: { authorization: `Bearer ${account_token}` } });
  assert.deepEqual(await Promise.all(all.map(code)), ['feed_lagging', 'token_inactive', 'good']);
  for (const { verifier } of all) verifier.close();
});

it('goes on from its place when the feed comes back', async () => {
  const { issuer, audience, credential } = server;
  let lines = 0;
  let over = new AbortController();
  const places = [];
  const fetch = async (url, init) => {
    if (!String(url).endsWith('/feed')) return globalThis.fetch(url, init);
    lines += 1;
    places.push(init.headers['last-event-id'] ?? null);
    return breaking(await globalThis.fetch(url, init), over.signal);
  };
  const verifier = new Verifier({ issuer, audience, credential, fetch });
  await verifier.ready();
  const { access_token, account_token } = await login(server, 'demo-refresh');
  const first = over;
  over = new AbortController();
  await fetch_end(account_token);
  first.abort();
  while (lines < 2) await seconds(0.02);
  while ((await verifier.verify(access_token).then(() => 'good', (error) => error.code)) !== 'session_ended') await seconds(0.02);
  assert.match(String(places[1]), /^\d+-/);
  verifier.close();
});

const fetch_end = (token) => fetch(`${server.issuer}/session`, { method: 'DELETE', headers: { authorization: `Bearer ${token}` } });

it('lets go of its feed when it is closed, however much garbage was collected meanwhile', { timeout: 30_000 }, async () => {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc');
  const { issuer, audience, credential } = server;
  const verifier = new Verifier({ issuer, audience, credential });
  await verifier.ready();
  for (let times = 0; times < 10; times += 1) {
    gc();
    await seconds(0.02);
  }
  verifier.close();
  await verifier.feed.done;
});
