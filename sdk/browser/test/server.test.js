/** The library against the real server, `remint dev` (`REMINT_BIN`): the four policies, and both ways of a refresh token. */

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { RemintError, account } from '../account.js';
import { createRemint } from '../index.js';
import { ORIGIN, PERSON, device, next, startDev } from './support/dev.js';

let dev;
const open = [];

before(async () => {
  dev = await startDev();
  await dev.cli('client', 'create', 'web', '--policy', 'refresh', '--transport', 'cookie', '--first-party', '--origin', ORIGIN, '--api', 'demo-api', '--claim', 'nickname=nickname', '--claim', 'phone_number=phone_number');
});

after(async () => {
  for (const { remint } of open) remint.dispose();
  await dev?.stop();
});

/** A page in a tab of a browser. */
const page = (clientId, at = device(), options = {}) => {
  const policy = clientId === 'web' ? 'refresh' : clientId.replace('demo-', '');
  const transport = clientId === 'web' ? 'cookie' : 'memory';
  const remint = createRemint({ issuer: dev.issuer, clientId, policy, transport, host: at.host(), apis: ['https://api.test'], ...options });
  const made = { remint, at, ...account(remint) };
  open.push(made);
  return made;
};

/** A busy machine may not hash a password in time: 503. */
const login = async (made) => {
  for (let tries = 0; ; tries++) {
    try {
      return await made.login(PERSON);
    } catch (error) {
      if (error.status !== 503 || tries > 9) throw error;
    }
  }
};

const CLIENTS = ['demo-rolling', 'demo-fixed', 'demo-refresh', 'web', 'demo-cookie'];

for (const clientId of CLIENTS) {
  describe(clientId, () => {
    test('log-in, claims, limits, the own record, renewal, log-out', async () => {
      const here = page(clientId);
      assert.equal(await here.remint.ready, null);
      await assert.rejects(here.login({ ...PERSON, password: 'wrong' }), (error) => error instanceof RemintError && error.code === 'invalid_grant' && !/wrong password|analytical/.test(error.message));
      await login(here);
      const { claims } = here.remint;
      assert.ok(claims.sid && claims.cv && claims.sub);
      assert.equal(typeof (await here.remint.token()), clientId === 'demo-cookie' ? 'object' : 'string');
      const nickname = `ada of ${clientId}`;
      const changed = next(here.remint, 'claims-changed');
      assert.equal((await here.update({ nickname })).nickname, nickname);
      assert.deepEqual((await changed).changed, ['nickname']);
      assert.equal((await here.remint.refresh()).nickname, nickname);
      assert.equal(here.remint.status, 'active');
      assert.equal((await here.session()).sid, claims.sid);
      const [own] = (await here.sessions.list()).filter(({ current }) => current);
      assert.equal(own.client_id, clientId);
      const kinds = new Set(here.remint.timeline().map(({ type }) => type));
      assert.ok(kinds.has('minted') && kinds.has('limits') && kinds.has('claims-changed'), `${[...kinds]}`);
      await here.logout();
      assert.equal(here.remint.status, 'none');
      assert.equal(here.at.jar.size, 0, 'the cookies are gone');
      const elsewhere = page('demo-rolling');
      await login(elsewhere);
      assert.ok(!(await elsewhere.sessions.list()).some(({ sid }) => sid === claims.sid), 'ended at the server');
      await elsewhere.logout();
    });

    test('a change and an end that are made elsewhere are heard at once, in both tabs', async () => {
      const here = page(clientId);
      await login(here);
      const second = page(clientId, here.at);
      await next(second.remint, 'created');
      const elsewhere = page('demo-rolling');
      await login(elsewhere);
      const changed = [here, second].map(({ remint }) => next(remint, 'claims-changed'));
      const nickname = `countess ${clientId}`;
      await elsewhere.update({ nickname });
      for (const { claims } of await Promise.all(changed)) assert.equal(claims.nickname, nickname);
      const ended = [here, second].map(({ remint }) => next(remint, 'ended'));
      await elsewhere.sessions.revoke(here.remint.claims.sid);
      for (const { reason } of await Promise.all(ended)) assert.equal(reason, 'revoked');
      assert.deepEqual([here.remint.status, second.remint.status], ['none', 'none']);
      await elsewhere.logout({ everywhere: true });
    });
  });
}

test('a reload: with a cookie the page is signed in again, in memory it is not', async () => {
  for (const clientId of ['web', 'demo-cookie', 'demo-refresh', 'demo-rolling']) {
    const here = page(clientId);
    await login(here);
    here.remint.dispose();
    const again = page(clientId, here.at);
    const claims = await again.remint.ready;
    assert.equal(!!claims, ['web', 'demo-cookie'].includes(clientId), clientId);
  }
});

test('a session that a server of its own has opened is the page’s, renewed, changed and ended like any other', async () => {
  for (const clientId of ['demo-rolling', 'demo-fixed', 'demo-refresh', 'demo-cookie']) {
    const here = page(clientId);
    const { cookie, ...answer } = await dev.opens({ user: '4711', client_id: clientId, amr: ['pwd'], attributes: { nickname: 'grace' } });
    if (cookie) here.at.jar.set(`__Host-remint-session-${clientId}`, cookie);
    assert.equal((await here.adopt(answer)).claims.nickname, 'grace', clientId);
    assert.equal((await here.update({ nickname: 'amazing' })).nickname, 'amazing');
    assert.equal((await here.remint.refresh()).nickname, 'amazing');
    await here.update({ nickname: 'grace' });
    await here.logout();
    assert.equal(here.remint.status, 'none');
  }
});

test('five tabs that renew at once all stay signed in', async () => {
  for (const clientId of ['web', 'demo-refresh']) {
    const at = device();
    await login(page(clientId, at));
    const tabs = [0, 1, 2, 3, 4].map(() => page(clientId, at));
    await Promise.all(tabs.map(({ remint }) => remint.ready));
    await Promise.all(tabs.map(({ remint }) => remint.refresh()));
    assert.deepEqual(tabs.map(({ remint }) => remint.status), Array(5).fill('active'), clientId);
  }
});

test('the words of the server for an end are those that the library knows', async () => {
  const here = page('demo-refresh', device(), { host: { ...device().host(), BroadcastChannel: undefined } });
  const kept = [];
  const other = page('demo-refresh', device(), { keeper: { load: () => null, save: (grant) => grant && kept.push(grant) } });
  await login(other);
  await login(here);
  const ended = next(here.remint, 'ended');
  await other.logout({ everywhere: true });
  assert.equal((await ended).reason, 'everywhere');
  // A page that was away finds out at its next contact.
  const late = page('demo-refresh', device(), { keeper: { load: () => ({ ...kept[0], now: Date.now() }), save() {} } });
  await next(late.remint, 'created');
  void late.remint.refresh();
  assert.match((await next(late.remint, 'ended')).reason, /^(logout|everywhere)$/);
});

test('a phone number: verified, in the claims at once, the second factor of the next log-in, removed', async () => {
  const here = page('web');
  await login(here);
  const { sentTo, expiresIn } = await here.phone.set('+1 (202) 555-0123');
  assert.deepEqual([sentTo, expiresIn > 60], ['***23', true]);
  await assert.rejects(here.phone.verify('987654'), { code: 'invalid_code' });
  assert.equal((await here.phone.verify(await dev.code())).phone_number, '+12025550123');
  const demanded = next(here.remint, 'step-up');
  await assert.rejects(here.phone.remove(), { code: 'insufficient_user_authentication', maxAge: 300 });
  assert.equal((await demanded).maxAge, 300);
  const { sid } = here.remint.claims;
  const step = await here.login(PERSON);
  assert.deepEqual([step.sentTo, typeof step.challenge], ['***23', 'string']);
  await here.factor(step.challenge, await dev.code());
  assert.equal(here.remint.claims.sid, sid, 'a new proof, the same session');
  assert.deepEqual(here.remint.claims.amr, ['pwd', 'sms', 'mfa']);
  assert.equal((await here.phone.remove()).phone_number ?? null, null);
  await here.logout();
});
