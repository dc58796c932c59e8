// What strangers send, what owners mistype, and an issuer that is late: nobody gets in, and nobody is shut out for it.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';

import { bearer } from '../bearer.js';
import { Cookies } from '../cookies.js';
import { Door } from '../door.js';
import { RemintError } from '../errors.js';
import { Frames } from '../feed.js';
import { Backend, Verifier } from '../index.js';
import { Keys } from '../keys.js';
import { Ledger } from '../ledger.js';

const issuer = 'https://issuer.test';
const credential = { id: 'api', secret: 'the secret of the api' };
const never = () => new Promise(() => {});
const options = (more) => ({ issuer, audience: 'api', fetch: never, log: () => {}, ...more });
const refusedAs = (code) => (error) => error instanceof RemintError && error.code === code;

describe('a header', () => {
  it('is one token between blanks, however many', () => {
    const of = (value) => bearer(['Authorization', value]);
    assert.equal(of(`Bearer ${' '.repeat(8000)}a.b-c==${' '.repeat(8000)}`), 'a.b-c==');
    for (const value of [`Bearer a${' '.repeat(15_800)}a`, 'Bearer', 'Bearer  ', 'Bearer =', 'Bearer a\tb']) {
      assert.throws(() => of(value), refusedAs('request_malformed'), value.slice(0, 20));
    }
  });
});

describe('an option that cannot be', () => {
  for (const [wrong, what] of [
    [{ leeway: '5' }, /leeway/], [{ leeway: NaN }, /leeway/], [{ leeway: 61 }, /leeway/], [{ lostMs: NaN }, /lostMs/],
    [{ lostMs: Infinity }, /lostMs/], [{ cacheTokens: NaN }, /cacheTokens/], [{ audience: ['a', 'b'], credential }, /one audience/],
    [{ credential: { id: 'api', secret: '' } }, /empty/], [{ issuer: 'http://issuer.test' }, /https/], [{ issuer: 'https://u:p@issuer.test' }, /user/],
  ]) {
    it(`is refused: ${inspect(wrong, { breakLength: Infinity })}`, () => assert.throws(() => new Verifier(options(wrong)), what));
  }

  it('is refused where the pages of an application are named', () => {
    for (const origins of ['https://app.example.com', ['https://app.example.com/'], ['*']]) assert.throws(() => new Door(options({ origins })), TypeError);
  });

  it('is refused where a secret would be sent in the clear, or to another path', () => {
    const backend = (url, more) => new Backend({ issuer: url, clientId: 'shop', clientSecret: 'x', fetch: never, ...more });
    assert.throws(() => backend('http://remint.example'), /https/);
    assert.ok(backend('http://remint.example', { plainHttp: true }));
    for (const id of ['', '.', '..', undefined]) {
      for (const call of [(b) => b.users.patch(id, {}), (b) => b.sessions.list(id), (b) => b.sessions.revoke(id)]) {
        assert.throws(() => call(backend(issuer)), /id/);
      }
    }
  });
});

it('prints no secret', () => {
  const verifier = new Verifier(options({ credential }));
  const backend = new Backend({ issuer, clientId: 'shop', clientSecret: credential.secret });
  for (const text of [inspect(verifier, { depth: 9, showHidden: true }), inspect(backend, { depth: 9 }), JSON.stringify(backend), JSON.stringify(new Door({ verifier, cookie: 'x' }))]) {
    assert.ok(!text.includes(credential.secret), text);
  }
  verifier.close();
});

it('is lost until the feed was heard, and outlives a log that throws', async () => {
  const verifier = new Verifier(options({
    credential, lostMs: 86_400_000, fetch: async () => Response.json({}, { status: 500 }), log: () => { throw new Error('full'); },
  }));
  await new Promise((soon) => setTimeout(soon, 20));
  assert.equal(verifier.standing(), 'lost');
  verifier.close();
});

it('waits for an issuer that is not up yet, and does not end the program', () => {
  const url = new URL('../index.js', import.meta.url).href;
  const program = `import { Verifier } from ${JSON.stringify(url)};
    const verifier = new Verifier({ issuer: 'http://127.0.0.1:1', audience: 'a', credential: { id: 'a', secret: 'b' }, log: () => {} });
    process.on('exit', (code) => console.log('exit ' + code));
    setTimeout(() => { console.log('still waiting'); process.exit(0) }, 1500).unref();
    await verifier.ready();`;
  const { stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8', cwd: fileURLToPath(new URL('.', import.meta.url)) });
  assert.equal(stdout, 'still waiting\nexit 0\n');
});

describe('keys', () => {
  const jwk = (kid) => ({ kty: 'OKP', crv: 'Ed25519', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo', alg: 'EdDSA', kid });
  /** An issuer that answers its keys when it is told to. */
  function published(url = issuer, more = {}) {
    let kids = ['old'];
    const waiting = [];
    const fetch = async (at) => {
      if (at.includes('well-known')) return Response.json({ issuer: url, jwks_uri: `${url}/keys` });
      const keys = kids.map(jwk);
      await new Promise((go) => waiting.push(go));
      return Response.json({ keys });
    };
    const keys = new Keys({ issuer: url, fetch, ticks: () => 0, leastIntervalMs: 0, plainHttp: false, changed: () => {}, log: () => {}, ...more });
    const answer = async () => {
      while (waiting.length === 0) await new Promise(setImmediate);
      waiting.splice(0).forEach((go) => go());
    };
    const asked = async () => {
      while (waiting.length === 0) await new Promise(setImmediate);
    };
    return { keys, answer, asked, publish: (...all) => (kids = all) };
  }

  it('are never called unknown by a look that began before the token came', async () => {
    const { keys, answer, asked, publish } = published();
    await asked();
    publish('old', 'new'); // after the first look has read them
    const found = keys.forToken('new', 'EdDSA');
    await answer();
    await answer();
    assert.equal((await found).kid, 'new');
    keys.close();
  });

  it('are read without TLS where the network is trusted', async () => {
    const { keys, answer } = published('http://remint.internal:8080', { plainHttp: true });
    const found = keys.forToken('old', 'EdDSA');
    await answer();
    assert.equal((await found).kid, 'old');
    keys.close();
  });
});

describe('session cookies', () => {
  const value = (n) => `rc1.${String(n).padStart(22, 'A')}.${'B'.repeat(43)}`;
  /** A verifier whose issuer answers when it is told to. */
  function looked(verify) {
    const [waiting, log] = [[], []];
    const fetch = () => new Promise((go) => waiting.push(() => go(Response.json({ access_token: `token ${waiting.length}` }))));
    const verifier = { fetch, at: (path) => issuer + path, log: (line) => log.push(line), verify };
    return { cookies: new Cookies(/** @type {any} */ (verifier), () => 'Basic x'), waiting, log };
  }

  it('of no session are not asked about, and of very many at once not all', async () => {
    const { cookies, waiting } = looked(async () => ({ claims: {}, stale: undefined }));
    await assert.rejects(cookies.verified('junk'), refusedAs('token_inactive'));
    const all = Array.from({ length: 100 }, (_, n) => cookies.verified(value(n)));
    const over = await Promise.allSettled(all.slice(64));
    assert.ok(over.every((one) => one.status === 'rejected' && one.reason.code === 'feed_lagging'));
    assert.equal(waiting.length, 64);
    waiting.splice(0).forEach((go) => go());
    assert.equal((await Promise.allSettled(all.slice(0, 64))).filter((one) => one.status === 'fulfilled').length, 64);
  });

  it('are swapped once when the kept token is over, and kept while nothing can be said', async () => {
    let said = 'good';
    const { cookies, waiting } = looked(async (token) => {
      if (said === 'lagging') throw new RemintError('feed_lagging');
      if (said === 'over' && token === 'token 1') throw new RemintError('token_expired');
      return { claims: {}, stale: said === 'stale' && token === 'token 2' ? 9 : undefined };
    });
    const first = cookies.verified(value(1));
    waiting[0]();
    assert.equal((await first).token, 'token 1');
    said = 'lagging';
    await assert.rejects(cookies.verified(value(1)), refusedAs('feed_lagging'));
    assert.equal(waiting.length, 1, 'what is kept stays');
    said = 'over';
    const many = Array.from({ length: 20 }, () => cookies.verified(value(1)));
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    assert.equal(waiting.length, 2, 'one flight for all');
    waiting[1]();
    assert.deepEqual(new Set((await Promise.all(many)).map(({ token }) => token)), new Set(['token 2']));
    said = 'stale';
    const fresh = cookies.verified(value(1));
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
    waiting[2]();
    assert.equal((await fresh).token, 'token 3', 'and a record that changed is fetched');
  });

  it('are served stale, where their owner chose so, while no newer token can be had', async () => {
    const { cookies, waiting, log } = looked(async () => ({ claims: {}, stale: 9 }));
    const answers = (status, body) => (cookies.verifier.fetch = async () => Response.json(body, { status }));
    const first = cookies.verified(value(1));
    waiting[0]();
    await first;
    answers(503, {});
    for (let turn = 0; turn < 5; turn += 1) assert.equal((await cookies.verified(value(1))).verified.stale, 9);
    assert.match(log.join(), /answered 503/);
    answers(400, { error: 'invalid_grant', error_description: 'session ended: logout' });
    await assert.rejects(cookies.verified(value(1)), refusedAs('session_ended'));
  });
});

describe('the feed', () => {
  it('is not believed where it is no text, or says that something may be forgotten at no time', () => {
    assert.throws(() => new Frames().push(new Uint8Array([0xff, 0xfe])), /no text/);
    const ledger = new Ledger();
    for (const forget_after of [null, '1', NaN, undefined]) assert.equal(ledger.apply(/** @type {any} */ ({ type: 'session-ended', sid: 'x', forget_after })), false);
  });
});
