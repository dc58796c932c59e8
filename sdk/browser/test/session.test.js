/** The session of a page: when it renews, what it believes, what it tells. In a browser and with a server of the tests' own. */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { clock } from '../clock.js';
import { createRemint } from '../index.js';
import { inSessionStorage } from '../storage.js';
import { Browser } from './support/browser.js';
import { DAY, HOUR, MINUTE, SECOND, scene } from './support/scene.js';

const refusal = (status, error, error_description) => ({ status, body: { error, error_description } });
const bodyOf = async (request) => {
  const text = await request.clone().text();
  return text.startsWith('{') ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text));
};
/** The bodies of all renewals that a tab has sent; a token for the issuer itself (`resource`) is none. */
const renewals = async (tab) => {
  const bodies = await Promise.all(tab.requests.filter(({ url }) => /renew|token/.test(url)).map(bodyOf));
  return bodies.filter(({ resource }) => !resource);
};

describe('options', () => {
  test('a policy that there is not, and a missing client, are refused when they are set', () => {
    const { open } = scene();
    assert.throws(() => open({ policy: 'sliding' }), TypeError);
    assert.throws(() => open({ clientId: '' }), TypeError);
    assert.throws(() => open({ apis: ['https://'] }), TypeError);
  });
});

describe('load', () => {
  test('with a cookie the page renews and is signed in', async () => {
    const { server, browser, open, signedIn } = scene();
    (await signedIn()).remint.dispose();
    const page = open();
    await browser.pass(SECOND);
    assert.equal(page.remint.status, 'active');
    assert.equal((await page.remint.ready).nickname, 'ada');
    assert.equal(server.counts['/session/renew'], 2); // at both loads
  });

  test('nobody is signed in where no cookie comes, and no end is told', async () => {
    const { browser, open } = scene();
    const page = open();
    await browser.pass(SECOND);
    assert.deepEqual([page.remint.status, await page.remint.ready, page.types()], ['none', null, ['status:none']]);
  });

  test('a cookie of a session that ended says why', async () => {
    const { server, browser, open, signedIn } = scene();
    const first = await signedIn();
    first.tab.close();
    server.end(server.sessions.get('sid-1'), 'revoked');
    const page = open();
    await browser.pass(SECOND);
    assert.deepEqual(page.types(), ['status:none', 'ended']);
    assert.equal(page.events.at(-1).reason, 'revoked');
  });

  test('offline nobody is told that they are signed out: the page waits, and is signed in when it can', async () => {
    const { browser, open, signedIn } = scene();
    (await signedIn()).tab.close();
    const tab = browser.tab();
    tab.offline = true;
    const page = open({}, tab);
    await browser.pass(10 * MINUTE);
    assert.equal(page.remint.status, 'offline');
    assert.ok(!page.types().includes('ended'));
    tab.offline = false;
    tab.fire('online');
    await browser.pass(SECOND);
    assert.equal(page.remint.status, 'active');
  });

  test('in memory a reload signs out, unless another tab shares what it holds', async () => {
    const { browser, open, signedIn } = scene({ transport: 'memory' });
    const first = await signedIn();
    const second = open();
    await browser.pass(SECOND);
    assert.equal(second.remint.status, 'active');
    assert.equal(second.events.find(({ type }) => type === 'created').by, 'other-tab');
    first.tab.close();
    second.tab.close();
    const third = open();
    await browser.pass(SECOND);
    assert.equal(third.remint.status, 'none');
  });

  test('tokens kept in sessionStorage survive a reload, and are forgotten at the end', async () => {
    const kept = new Map();
    const storage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, value) => kept.set(key, value), removeItem: (key) => kept.delete(key) };
    for (const policy of ['rolling', 'fixed', 'refresh']) {
      const { browser, open, settle, signedIn } = scene({ policy, transport: 'memory' });
      const keeper = inSessionStorage('remint', storage);
      (await signedIn({ keeper })).tab.close();
      const page = open({ keeper });
      await browser.pass(SECOND);
      assert.equal(page.remint.status, 'active', policy);
      assert.equal(page.events[1].by, 'storage');
      await settle(page.logout());
      assert.equal(kept.size, 0, policy);
    }
  });
});

describe('renewal', () => {
  test('comes between half and seven tenths of the life, not in step', async () => {
    const { browser, signedIn } = scene({ policy: 'rolling', seed: 5 });
    const page = await signedIn();
    await browser.pass(10 * HOUR);
    const minted = page.remint.timeline().filter(({ type }) => type === 'minted');
    const planned = minted.map(({ life_ms, left_ms, renew_in_ms }) => (life_ms - left_ms + renew_in_ms) / life_ms);
    assert.ok(minted.length > 30);
    assert.ok(planned.every((share) => share >= 0.5 && share <= 0.7), `${planned}`);
    assert.ok(Math.max(...planned) - Math.min(...planned) > 0.1, 'jitter');
  });

  test('by the clock says that no person is at work; after a touch, or asked for, it says nothing', async () => {
    for (const [policy, transport, no] of [['refresh', 'cookie', false], ['refresh', 'memory', 'false'], ['cookie', '', false]]) {
      const { browser, settle, signedIn } = scene({ policy, transport, idle: 7200 });
      const page = await signedIn();
      const next = async () => {
        page.tab.requests.length = 0;
        while (!(await renewals(page.tab)).length) await browser.pass(10 * SECOND);
        return (await renewals(page.tab))[0].interactive;
      };
      assert.equal(await next(), no, policy + transport);
      page.tab.fire('pointerdown');
      assert.equal(await next(), undefined, 'touched');
      assert.equal(await next(), no, 'the touch counts once');
      page.tab.requests.length = 0;
      await settle(page.remint.refresh());
      assert.equal((await renewals(page.tab))[0].interactive, undefined, 'asked for');
    }
  });

  test('a touch in one tab counts, whichever tab renews', async () => {
    const { browser, open, signedIn } = scene({ seed: 3 });
    const pages = [await signedIn(), open(), open()];
    await browser.pass(SECOND);
    for (let round = 0; round < 10; round++) {
      for (const { tab } of pages) tab.requests.length = 0;
      pages[0].tab.fire('keydown');
      await browser.pass(SECOND);
      while (!(await Promise.all(pages.map(({ tab }) => renewals(tab)))).flat().length) await browser.pass(SECOND);
      const [first] = (await Promise.all(pages.map(({ tab }) => renewals(tab)))).flat();
      assert.equal(first.interactive, undefined);
    }
  });

  test('is one flight, however many ask', async () => {
    const { server, browser, signedIn } = scene();
    const page = await signedIn();
    const before = server.counts['/session/renew'];
    const all = Promise.all([page.remint.refresh(), page.remint.refresh(), page.remint.refresh()]);
    await browser.pass(SECOND);
    await all;
    assert.equal(server.counts['/session/renew'], before + 1);
  });

  test('is not planned under the policy fixed: the server says the end', async () => {
    const { server, browser, signedIn } = scene({ policy: 'fixed' });
    const page = await signedIn();
    await browser.pass(7 * DAY - MINUTE);
    assert.equal(page.remint.status, 'active');
    assert.equal(server.counts['/session/renew'], undefined);
    await browser.pass(2 * MINUTE);
    assert.deepEqual(page.events.filter(({ type }) => type === 'ended'), [{ type: 'ended', reason: 'expired' }]);
  });

  test('a rolling token that the server keeps is asked for again, not in a loop', async () => {
    const { server, browser, signedIn } = scene({ policy: 'rolling', absolute: 3600 });
    const page = await signedIn();
    await browser.pass(59 * MINUTE);
    assert.equal(page.remint.status, 'active');
    assert.ok(server.counts['/session/renew'] < 30, `${server.counts['/session/renew']}`);
    await browser.pass(2 * MINUTE);
    assert.equal(page.remint.status, 'none');
  });
});

describe('a renewal that fails ends nothing', () => {
  const failures = {
    'no answer': { lose: 'request' },
    'an answer that is lost': { lose: 'answer' },
    'an answer that takes longer than ten seconds': { back: 20 * SECOND },
    429: { status: 429, headers: { 'Retry-After': '7' } },
    500: { status: 500, body: 'oops' },
    503: { status: 503 },
    403: refusal(403, 'access_denied', 'the origin is not one of the client\'s `origins`'),
    'a request that it cannot read': refusal(400, 'invalid_request', 'the body cannot be read'),
    'a client that it does not know': refusal(401, 'invalid_client', 'the client could not be authenticated'),
    'a proxy that answers 200': { status: 200, body: 'hello' },
  };
  for (const [name, wire] of Object.entries(failures)) {
    test(name, async () => {
      for (const [policy, transport] of [['rolling'], ['refresh', 'memory'], ['refresh', 'cookie'], ['cookie']]) {
        const { server, browser, signedIn } = scene({ policy, transport, idle: 7200 });
        const page = await signedIn();
        server.wire = (path) => (/renew|token/.test(path) ? wire : {});
        const life = policy === 'cookie' ? 90 * MINUTE : policy === 'rolling' ? 15 * MINUTE : 4 * MINUTE;
        await browser.pass(life);
        assert.equal(page.remint.status, 'offline', policy);
        assert.ok(page.remint.claims && !page.types().includes('ended'), policy);
        const { retryInMs } = page.events.find(({ type }) => type === 'offline');
        assert.ok(name === '429' ? retryInMs >= 7000 : retryInMs > 0, `${retryInMs}`);
        server.wire = () => ({});
        await browser.pass(2 * MINUTE);
        assert.equal(page.remint.status, 'active', policy);
        assert.equal((await renewals(page.tab)).length > 1, true);
      }
    });
  }

  test('a time to wait that no timer can hold is no storm, of renewals and of the stream', async () => {
    const { browser, server, signedIn } = scene({ policy: 'rolling', transport: undefined });
    server.wire = (path) => (/renew|events/.test(path) ? { status: 429, headers: { 'Retry-After': `${40 * 86_400}` } } : {});
    const page = await signedIn();
    await browser.pass(HOUR);
    assert.equal(server.counts['/session/renew'], 1);
    assert.ok(server.counts['/session/events'] <= 61, 'once a minute, for a reader that is silent is given up');
    assert.equal(page.remint.status, 'offline');
  });

  test('it is tried ever later, at most every minute, and never before the server wishes', async () => {
    const { server, browser, signedIn } = scene();
    const page = await signedIn();
    const times = [];
    server.wire = (path) => {
      if (path === '/session/renew') times.push(browser.time);
      return { status: 503, headers: { 'Retry-After': '20' } };
    };
    await browser.pass(HOUR);
    const gaps = times.slice(1).map((at, n) => at - times[n]);
    assert.ok(gaps.every((gap) => gap >= 20 * SECOND && gap <= 62 * SECOND), `${gaps}`);
    await Promise.all(Array.from({ length: 100 }, () => page.remint.refresh()));
    assert.equal(times.length, gaps.length + 1, 'a storm of callers waits as well');
  });
});

describe('the server\'s word', () => {
  const words = [
    [401, 'invalid_token', 'session ended: revoked', 'revoked'],
    [401, 'invalid_token', 'session ended: password-changed', 'password-changed'],
    [401, 'invalid_token', 'the session has expired', 'expired'],
    [401, 'invalid_token', 'the user is disabled', 'disabled'],
    [401, 'invalid_client', 'the client is disabled', 'disabled'],
  ];
  for (const [status, error, said, reason] of words) {
    test(`${said} ends it, in all tabs`, async () => {
      const { server, browser, open, signedIn } = scene();
      const pages = [await signedIn(), open()];
      await browser.pass(SECOND);
      server.wire = (path) => (path === '/session/renew' ? refusal(status, error, said) : {});
      void pages[0].remint.refresh();
      await browser.pass(SECOND);
      for (const page of pages) {
        assert.deepEqual(page.events.filter(({ type }) => type === 'ended'), [{ type: 'ended', reason }]);
        assert.equal(await page.remint.token(), null);
        assert.equal(page.remint.claims, null);
      }
    });
  }

  test('that it does not take what was presented is believed the second time, and by this tab only', async () => {
    const { server, browser, open, signedIn } = scene();
    const pages = [await signedIn(), open()];
    await browser.pass(SECOND);
    let refusals = 1;
    const doubt = refusal(401, 'invalid_token', 'the refresh token is not valid');
    server.wire = (path, { headers }) => (path === '/session/renew' && refusals-- > 0 ? doubt : {});
    void pages[0].remint.refresh();
    await browser.pass(SECOND);
    assert.equal(pages[0].remint.status, 'active', 'once');
    refusals = 2;
    void pages[0].remint.refresh();
    await browser.pass(SECOND);
    assert.deepEqual(pages.map(({ remint }) => remint.status), ['none', 'active']);
    assert.equal(pages[0].events.at(-1).reason, 'unknown');
  });

  test('a stolen refresh token ends the session for both, and both see why', async () => {
    const { server, browser, signedIn } = scene({ transport: 'memory' });
    const stolen = {};
    const victim = await signedIn({ keeper: { load: () => null, save: (grant) => grant && (stolen.grant ??= grant) } });
    await browser.pass(10 * MINUTE);
    const elsewhere = new Browser({ seed: 9, network: server.network });
    elsewhere.time = browser.time;
    const tab = elsewhere.tab();
    const other = createRemint({ issuer: 'https://id.test', clientId: 'app', policy: 'refresh', transport: 'memory', host: tab.host, keeper: { load: () => stolen.grant, save() {} } });
    const told = [];
    other.on((event) => event.type === 'ended' && told.push(event.reason));
    await elsewhere.pass(5 * MINUTE);
    await browser.pass(5 * MINUTE);
    assert.deepEqual(told, ['theft']);
    assert.equal(victim.events.at(-1).reason, 'theft');
  });
});

describe('log-out', () => {
  test('beats a renewal in flight, in this tab and in the others', async () => {
    for (const [policy, transport] of [['refresh', 'cookie'], ['refresh', 'memory'], ['rolling'], ['cookie']]) {
      const { server, browser, open, settle, signedIn } = scene({ policy, transport });
      const pages = [await signedIn(), open()];
      await browser.pass(SECOND);
      await browser.pass(policy === 'rolling' ? 13 * MINUTE : 0);
      server.wire = (path) => (/renew|token/.test(path) ? { back: 3 * SECOND } : {});
      const renewing = pages.map(({ remint }) => remint.refresh());
      await browser.pass(SECOND);
      await settle(pages[1].logout());
      await browser.pass(10 * SECOND);
      await Promise.all(renewing);
      for (const { remint, events } of pages) {
        assert.deepEqual([remint.status, remint.claims, await remint.token()], ['none', null, null], policy);
        assert.equal(events.at(-1).type, 'ended');
      }
      assert.ok([...server.sessions.values()].every(({ ended }) => ended === 'logout'));
    }
  });

  test('ends the page at once, says where the server was not told, and tells it when it is called again', async () => {
    for (const [policy, transport] of [['refresh', 'cookie'], ['refresh', 'memory'], ['rolling'], ['cookie']]) {
      const { server, browser, settle, signedIn } = scene({ policy, transport });
      const page = await signedIn();
      await browser.pass(5 * MINUTE);
      page.tab.offline = true;
      await assert.rejects(settle(page.logout()), { code: 'no_answer' });
      assert.equal(page.remint.status, 'none');
      assert.equal(server.sessions.get('sid-1').ended, undefined);
      page.tab.offline = false;
      await settle(page.logout());
      assert.equal(server.sessions.get('sid-1').ended, 'logout', policy + transport);
    }
  });

  test('everywhere is never taken as done where nothing is left that the server takes, however often it is called', async () => {
    for (const [policy, transport] of [['rolling'], ['refresh', 'memory']]) {
      const { server, browser, settle, signedIn } = scene({ policy, transport, idle: 20 * 60 });
      const page = await signedIn();
      server.wire = () => ({ status: 503 });
      await assert.rejects(settle(page.logout({ everywhere: true })), { code: 'temporarily_unavailable' });
      server.wire = () => ({});
      await browser.pass(25 * MINUTE);
      for (let calls = 0; calls < 2; calls++) {
        await assert.rejects(settle(page.logout({ everywhere: true })), { code: /^invalid_(token|grant)$/ }, policy);
      }
      await settle(page.logout());
    }
  });
});

describe('log-in', () => {
  test('of somebody else in another tab replaces the session here, and says so', async () => {
    for (const [policy, transport] of [['refresh', 'cookie'], ['refresh', 'memory'], ['cookie'], ['rolling']]) {
      const { browser, open, settle, signedIn } = scene({ policy, transport });
      const here = await signedIn();
      const there = open();
      await browser.pass(SECOND);
      await settle(there.login({ identifier: 'bob', password: 'secret' }));
      await browser.pass(SECOND);
      assert.equal(here.remint.claims.sid, 'sid-2', policy + transport);
      assert.deepEqual(here.types().filter((type) => /^(created|ended)$/.test(type)), ['created', 'ended', 'created']);
      assert.equal(here.events.find(({ type }) => type === 'ended').reason, 'replaced');
    }
  });
});

describe('an API that renews the token beside its answers', () => {
  /** Somebody under `rolling` who calls such an API every half minute, for so long. */
  const working = async (ms) => {
    const world = scene({ policy: 'rolling', transport: undefined, seed: 4 });
    world.server.hands = true;
    const page = await world.signedIn();
    const works = async (ms) => {
      for (const until = world.browser.time + ms; world.browser.time < until; await world.browser.pass(30 * SECOND)) {
        assert.equal((await world.settle(page.remint.fetch('https://api.test/me'))).status, 200);
      }
    };
    await works(ms);
    return { ...world, page, works, session: world.server.sessions.get(page.remint.claims.sid) };
  };
  /** No page renews for a while: its requests to the server get lost, those to the API do not. */
  const alone = (server) => (server.wire = (path) => (path === '/session/renew' ? { status: 503 } : {}));

  test('is believed: its token is taken, told, shared and sent with the next request', async () => {
    const { browser, server, open, settle, signedIn } = scene({ policy: 'rolling', transport: undefined });
    const page = await signedIn();
    const second = open();
    alone(server);
    server.hands = true;
    await browser.pass(12 * MINUTE);
    const before = await page.remint.token();
    const answer = await settle(page.remint.fetch('https://api.test/me'));
    const handed = answer.headers.get('Remint-Token');
    assert.ok(handed && handed !== before);
    assert.equal(await page.remint.token(), handed);
    assert.deepEqual(page.events.filter(({ type }) => type === 'refreshed').map(({ by }) => by), ['response-header']);
    assert.equal(page.remint.timeline().findLast(({ type }) => type === 'minted').left_ms, 20 * MINUTE);
    await browser.pass(SECOND);
    assert.equal(await second.remint.token(), handed);
    const asked = page.tab.requests.length;
    await settle(page.remint.fetch('https://api.test/me'));
    assert.equal(page.tab.requests.slice(asked).find(({ url }) => /api\.test/.test(url)).headers.get('Authorization'), `Bearer ${handed}`);
  });

  test('what is no token of the session is not taken from it', async () => {
    const { browser, server, settle, signedIn } = scene({ policy: 'rolling', transport: undefined });
    const page = await signedIn();
    const other = server.open();
    await browser.pass(MINUTE);
    const held = await page.remint.token();
    for (const foreign of ['', 'x', 'a.b.c', (await other.json()).access_token]) {
      server.api = async () => new Response('', { headers: { 'Remint-Token': foreign } });
      await settle(page.remint.fetch('https://api.test/me'));
      assert.equal(await page.remint.token(), held, foreign);
    }
  });

  test('keeps the account token from nothing: it is renewed, without a storm, and the account can be spoken to', async () => {
    const { server, settle, page, works } = await working(2 * HOUR);
    const from = server.counts['/session/renew'];
    await works(HOUR);
    const renewed = server.counts['/session/renew'] - from;
    assert.ok(renewed >= 3 && renewed <= 12, `${renewed} renewals in an hour`);
    assert.equal((await settle(page.session())).sid, page.remint.claims.sid);
  });

  test('a change and an end elsewhere are heard after many lives, on a stream that is opened anew as well', async () => {
    const { browser, server, page, session } = await working(2 * HOUR);
    browser.goOffline();
    await browser.pass(5 * SECOND);
    browser.goOnline();
    await browser.pass(2 * SECOND);
    server.change({ nickname: 'countess' });
    await browser.pass(2 * SECOND);
    assert.equal(page.remint.claims.nickname, 'countess');
    server.end(session, 'revoked');
    await browser.pass(SECOND);
    assert.equal(page.remint.status, 'none');
    assert.equal(page.events.at(-1).reason, 'revoked');
  });

  test('once a renewal brings a token again the stream is tried at once, however long it was tried in vain', async () => {
    const { browser, server, settle, signedIn } = scene();
    const page = await signedIn();
    for (let outage = 20 * SECOND, fault; outage < 2 * MINUTE; outage += 7 * SECOND) {
      fault = fault?.lose ? { status: 503, headers: { 'Retry-After': '1' } } : { lose: 'request' };
      server.wire = () => fault;
      page.tab.cut();
      await settle(page.remint.refresh());
      await browser.pass(outage);
      assert.deepEqual([page.tab.streams.size, page.remint.status], [0, 'offline']);
      server.wire = () => ({});
      while (page.remint.status === 'offline') await browser.pass(SECOND);
      await browser.pass(2 * SECOND);
      assert.equal(page.tab.streams.size, 1, `after ${outage / SECOND} s`);
    }
  });

  test('a server that answers no stream is asked for one no sooner than it wishes because tokens come', async () => {
    const { browser, server, settle, signedIn } = scene();
    const page = await signedIn();
    await browser.pass(SECOND);
    const seen = new Set();
    server.wire = (path) => (/events/.test(path) ? { status: 429, headers: { 'Retry-After': '30' } } : {});
    page.tab.cut();
    await browser.pass(5 * SECOND);
    const before = server.counts['/session/events'];
    for (let renewals = 0; renewals < 4; renewals++) {
      await settle(page.remint.refresh());
      seen.add(await page.remint.token());
      await browser.pass(5 * SECOND);
    }
    assert.equal(server.counts['/session/events'], before);
    assert.equal(seen.size, 4);
  });

  test('a log-out ends the session at the server, where the account token has run out too', async () => {
    const { server, settle, page, session } = await working(2 * HOUR);
    await settle(page.logout());
    assert.equal(session.ended, 'logout');
    const again = await working(MINUTE);
    alone(again.server);
    await again.works(30 * MINUTE);
    await assert.rejects(again.settle(again.page.session()), { code: 'invalid_token' });
    await again.settle(again.page.logout());
    assert.equal(again.session.ended, 'revoked', 'by the access token');
    assert.equal(again.server.counts['/oauth2/revoke'], 1);
  });

  test('a log-out ends the session at the server, where a clock that was set makes the access token look over as well', async () => {
    const { server, settle, page, works, session } = await working(MINUTE);
    alone(server);
    await works(30 * MINUTE);
    page.tab.wallOffset = DAY;
    await settle(page.logout());
    assert.equal(session.ended, 'revoked');
  });

  test('a log-out everywhere that only an access token is left for ends this session, and says that it was not all', async () => {
    const { server, settle, page, works, session } = await working(MINUTE);
    alone(server);
    await works(30 * MINUTE);
    await assert.rejects(settle(page.logout({ everywhere: true })), { code: 'invalid_token' });
    assert.equal(session.ended, 'revoked');
  });

  test('an account token that ran out while only the API could be reached is no cause of a storm', async () => {
    const { server, works } = await working(MINUTE);
    alone(server);
    await works(30 * MINUTE);
    server.wire = () => ({});
    const from = server.counts['/session/renew'];
    await works(HOUR);
    assert.ok(server.counts['/session/renew'] - from <= 12, `${server.counts['/session/renew'] - from} renewals in an hour`);
  });
});

describe('a limit', () => {
  test('that is near is told once, in all tabs; use by a person keeps an idle one, and nothing an absolute one', async () => {
    for (const [cap, limits] of [['idle', { idle: 2 * 3600, absolute: 90 * 86_400 }], ['absolute', { idle: 14 * 86_400, absolute: 2 * 3600 }]]) {
      const { browser, open, signedIn } = scene(limits);
      const pages = [await signedIn(), open()];
      await browser.pass(2 * HOUR - 2 * MINUTE - 10 * SECOND);
      for (const { types } of pages) assert.ok(!types().includes('expiring'), cap);
      await browser.pass(15 * SECOND);
      for (const { events } of pages) {
        const [{ inMs, ...told }, ...more] = events.filter(({ type }) => type === 'expiring');
        assert.deepEqual([told, more], [{ type: 'expiring', cap }, []]);
        assert.ok(inMs > 100 * SECOND && inMs < 122 * SECOND, `${inMs}`);
      }
      pages[0].tab.fire('pointerdown');
      await browser.pass(3 * MINUTE);
      for (const { remint } of pages) assert.equal(remint.status, cap === 'idle' ? 'active' : 'none', cap);
    }
  });

  test('is told as long before as the page wishes', async () => {
    const { browser, signedIn } = scene({ policy: 'fixed', life: 3600 });
    const page = await signedIn({ warnMs: 10 * MINUTE });
    await browser.pass(50 * MINUTE + 10 * SECOND);
    const [{ inMs, cap }] = page.events.filter(({ type }) => type === 'expiring');
    assert.ok(Math.abs(inMs - 10 * MINUTE) < 10 * SECOND, `${inMs}`);
    assert.equal(cap, 'absolute');
  });
});

describe('a keeper that throws', () => {
  const full = () => {
    throw new DOMException('full', 'QuotaExceededError');
  };
  for (const [name, keeper] of Object.entries({ load: { load: full, save() {} }, save: { load: () => null, save: full }, both: { load: full, save: full } })) {
    test(`at ${name} harms nothing: the session goes on, unkept, and it is reported`, async (t) => {
      const reported = t.mock.method(console, 'error', () => {});
      const { browser, server, open, settle, signedIn } = scene({ policy: 'rolling', transport: undefined });
      const page = await signedIn({ keeper });
      const second = open();
      await browser.pass(HOUR);
      assert.deepEqual([page.remint.status, second.remint.status], ['active', 'active']);
      assert.equal((await settle(page.remint.fetch('https://api.test/me'))).status, 200);
      await settle(page.logout());
      assert.deepEqual([page.remint.status, second.remint.status], ['none', 'none']);
      assert.equal(server.sessions.get('sid-1').ended, 'logout');
      assert.equal(reported.mock.calls[0].arguments[0].name, 'QuotaExceededError');
    });
  }
});

describe('what is newer', () => {
  test('goes by the version and the minting, never by the arrival', async () => {
    const { server, browser, settle, signedIn } = scene();
    const page = await signedIn();
    await browser.pass(10 * SECOND);
    server.wire = (path) => (path === '/session/renew' ? { back: 5 * SECOND } : {});
    const renewing = page.remint.refresh(); // decided before the change, answered after it
    await browser.pass(SECOND);
    await settle(page.update({ nickname: 'lovelace' }));
    assert.deepEqual([page.remint.claims.cv, page.remint.claims.nickname], [2, 'lovelace']);
    await browser.pass(6 * SECOND);
    await renewing;
    assert.deepEqual([page.remint.claims.cv, page.remint.claims.nickname], [2, 'lovelace']);
    assert.equal(page.remint.timeline().find(({ type, outcome }) => type === 'renewal' && outcome === 'late')?.outcome, 'late');
  });

  test('a changed record is told with what differs, and never with the marks of the token', async () => {
    for (const policy of ['rolling', 'fixed', 'cookie', 'refresh']) {
      const { server, browser, open, settle, signedIn } = scene({ policy });
      const pages = [await signedIn(), open()];
      await browser.pass(SECOND);
      await settle(pages[0].update({ nickname: 'lovelace' }));
      await browser.pass(SECOND);
      server.change({ nickname: 'countess' }); // elsewhere: heard by the stream
      await browser.pass(SECOND);
      for (const { events } of pages) {
        const changes = events.filter(({ type }) => type === 'claims-changed');
        assert.deepEqual(changes.map(({ changed, claims, previous }) => [changed, previous.nickname, claims.nickname]), [
          [['nickname'], 'ada', 'lovelace'],
          [['nickname'], 'lovelace', 'countess'],
        ], policy);
      }
    }
  });
});

describe('what happens elsewhere', () => {
  /** Three tabs of somebody; the tab that reads the stream, and the others. */
  const tabs = async (options) => {
    const world = scene(options);
    const pages = [await world.signedIn(), world.open(), world.open()];
    await world.browser.pass(SECOND);
    const reader = () => pages.filter(({ tab }) => tab.streams.size);
    const others = () => pages.filter(({ tab }) => !tab.streams.size && !tab.frozen);
    return { ...world, pages, reader, others };
  };
  const opened = ({ tab }) => tab.requests.filter(({ url }) => /events/.test(url)).length;

  test('is heard by one tab for all, and a seen one rather than one that may be frozen', async () => {
    const { browser, pages, reader } = await tabs();
    const [first] = reader();
    assert.equal(reader().length, 1);
    first.tab.hide();
    await browser.pass(SECOND);
    assert.ok(reader().length === 1 && reader()[0] !== first);
    for (const { tab } of pages) tab.hide();
    await browser.pass(SECOND);
    assert.equal(reader().length, 1, 'where none is seen, any');
    first.tab.show();
    await browser.pass(SECOND);
    assert.deepEqual(reader(), [first]);
    const before = pages.map(opened);
    await browser.pass(4 * MINUTE);
    assert.deepEqual(pages.map(opened), before, 'and it stays so');
  });

  test('is heard though the tab that read is frozen: it gives its place up at once, with no timer of its own', async () => {
    const { server, browser, reader, others } = await tabs();
    const [first] = reader();
    first.tab.freeze();
    await browser.pass(100);
    server.change({ nickname: 'countess' });
    await browser.pass(SECOND);
    for (const { remint } of others()) assert.equal(remint.claims.nickname, 'countess');
    server.end(server.sessions.get('sid-1'), 'revoked');
    await browser.pass(SECOND);
    assert.equal(first.remint.status, 'active');
    first.tab.thaw();
    await browser.pass(SECOND);
    assert.equal(first.events.at(-1).reason, 'revoked');
  });

  test('is heard though the tab that read was suspended without a word, by one that is shown, two seconds later', async () => {
    const { server, browser, pages, reader, others } = await tabs();
    for (const { tab } of pages) tab.hide();
    await browser.pass(2 * SECOND);
    reader()[0].tab.freeze(true);
    const [shown] = others();
    shown.tab.show();
    await browser.pass(2 * SECOND + 100);
    server.end(server.sessions.get('sid-1'), 'revoked');
    await browser.pass(SECOND);
    assert.equal(shown.remint.status, 'none');
  });

  test('is heard as soon as the network is back, whatever waits, and after sleep at the first look', async () => {
    const { server, browser, pages } = await tabs();
    browser.goOffline();
    await browser.pass(HOUR);
    server.change({ nickname: 'countess' });
    browser.goOnline();
    await browser.pass(SECOND);
    for (const { remint } of pages) assert.equal(remint.claims.nickname, 'countess');
    browser.goOffline(true); // and nobody says that the stream is dead
    server.end(server.sessions.get('sid-1'), 'revoked');
    browser.goOnline();
    await browser.pass(SECOND);
    for (const { remint } of pages) assert.equal(remint.status, 'none');
    const asleep = await tabs({ policy: 'fixed' });
    await asleep.browser.sleep(10 * MINUTE);
    asleep.server.end(asleep.server.sessions.get('sid-1'), 'revoked');
    asleep.pages[0].tab.fire('focus');
    await asleep.browser.pass(SECOND);
    assert.equal(asleep.pages[0].remint.status, 'none');
  });

  test('a changed record is told to the other tabs though the tab that heard of it cannot renew', async () => {
    const { server, browser, reader, others } = await tabs();
    const [first] = reader();
    const send = first.tab.host.fetch;
    first.tab.host.fetch = (url, init) => (/renew/.test(url) ? Promise.reject(new TypeError('cut')) : send(url, init));
    server.change({ nickname: 'countess' });
    await browser.pass(SECOND);
    for (const { remint } of others()) assert.equal(remint.claims.nickname, 'countess');
  });

  test('a tab that slept asks the others before it presents a refresh token of its own, for whatever it does so', async () => {
    for (const act of ['refresh', 'session']) {
      const { server, browser, pages, settle } = await tabs({ transport: 'memory' });
      const [, slept] = pages;
      slept.tab.hide();
      await browser.pass(2 * SECOND);
      slept.tab.freeze(true);
      await browser.pass(15 * MINUTE);
      slept.tab.waiting.length = 0; // what the others said did not reach it, or does so later
      slept.tab.frozen = false;
      await settle(act === 'refresh' ? slept.remint.refresh() : slept.session());
      await browser.pass(MINUTE);
      assert.equal(server.sessions.get('sid-1').ended, undefined, act);
      for (const { remint } of pages) assert.equal(remint.status, 'active');
    }
  });

  test('an account token that the server takes no more is not shown again, whatever this clock says of it', async () => {
    const { browser, pages, reader } = await tabs({ transport: 'memory' });
    for (const { tab } of pages) [tab.wallOffset, tab.asleep] = [-DAY, 6 * MINUTE]; // set back in a sleep that the other clock missed
    await browser.sleep(6 * MINUTE);
    browser.goOnline();
    await browser.pass(SECOND);
    assert.equal(reader().length, 1);
  });

  test('a page that is put away by a navigation reads no more, though it is hidden only then', async () => {
    const { browser, signedIn } = scene();
    const { tab } = await signedIn();
    tab.fire('pagehide');
    tab.hide();
    await browser.pass(2 * MINUTE);
    assert.equal(tab.streams.size, 0);
    tab.fire('pageshow');
    await browser.pass(SECOND);
    assert.equal(tab.streams.size, 1);
  });
});

describe('time', () => {
  for (const days of [-1, 1]) {
    test(`a clock that is ${days} day off changes nothing`, async () => {
      const { browser, open, settle } = scene();
      const tab = browser.tab();
      tab.wallOffset = days * DAY;
      const page = open({}, tab);
      await settle(page.login({}));
      await browser.pass(HOUR);
      assert.equal(page.remint.status, 'active');
      const gaps = page.remint.timeline().filter(({ type }) => type === 'minted').map(({ at }) => at);
      assert.ok(gaps.length > 15 && gaps.length < 30, `${gaps.length}`);
    });

    test(`a clock that is set by ${days} day ends nothing`, async () => {
      const { browser, signedIn } = scene();
      const page = await signedIn();
      page.tab.wallOffset = days * DAY;
      await browser.pass(HOUR);
      assert.equal(page.remint.status, 'active');
      const { length } = page.remint.timeline().filter(({ type }) => type === 'minted');
      assert.ok(length > 15 && length < 32, `${length}`);
    });
  }

  test('set forward by a day, then asked for a token again and again, it asks the server once in a while', async () => {
    const { browser, server, settle, signedIn } = scene({ policy: 'rolling', transport: undefined });
    const page = await signedIn();
    await browser.pass(MINUTE);
    page.tab.wallOffset = DAY;
    const from = server.counts['/session/renew'] ?? 0;
    for (let asked = 0; asked < 120; asked++) {
      assert.equal(typeof (await settle(page.remint.token())), 'string');
      await browser.pass(SECOND);
    }
    const renewals = (server.counts['/session/renew'] ?? 0) - from;
    assert.ok(renewals >= 1 && renewals <= 5, `${renewals} renewals in two minutes`);
    assert.equal(page.remint.status, 'active');
    await browser.pass(38 * MINUTE);
    assert.equal((await settle(page.session())).sid, 'sid-1', 'and the account can be spoken to');
    browser.goOffline();
    await browser.pass(5 * SECOND);
    browser.goOnline();
    await browser.pass(5 * SECOND);
    server.end(server.sessions.get('sid-1'), 'revoked');
    await browser.pass(SECOND);
    assert.equal(page.remint.status, 'none', 'and the stream is opened anew');
  });

  test('the clock does not gain by being looked at, however coarse those of the browser are', () => {
    for (const [wallStep, ticksStep] of [[1, 1], [100, 100], [16, 1], [1, 100]]) {
      let time = 1_800_000_000_000.25;
      const coarse = (step, from) => ({ now: () => Math.floor((time - from) / step) * step });
      const now = clock({ Date: coarse(wallStep, 0), performance: coarse(ticksStep, 1_799_999_999_933) });
      const [began, first] = [time, now()];
      for (let looks = 0; looks < 100_000; looks++) {
        time += 0.7;
        now();
      }
      const gained = now() - first - (time - began);
      assert.ok(Math.abs(gained) <= wallStep + ticksStep, `${gained} ms in ${time - began} ms, by steps of ${wallStep} and ${ticksStep} ms`);
    }
  });

  test('the clock never runs backwards, and counts on from wherever one of the two was set', () => {
    let [wall, ticks] = [1_800_000_000_000, 5_000];
    const now = clock({ Date: { now: () => wall }, performance: { now: () => ticks } });
    const passes = (byWall, byTicks, counted) => {
      const before = now();
      [wall, ticks] = [wall + byWall, ticks + byTicks];
      assert.equal(now() - before, counted);
    };
    passes(1000, 1000, 1000);
    passes(1000 - DAY, 1000, 1000); // set back
    passes(5000, 5000, 5000);
    passes(2 * HOUR, 0, 2 * HOUR); // a sleep that the ticks do not count
    passes(0, 0, 0);
    passes(-HOUR, 0, 0); // set back a little less
    passes(3000, 3000, 3000);
    passes(2 * HOUR, 0, 2 * HOUR); // and another sleep
    passes(5000, 5000, 5000);
  });

  test('sleep that performance.now() does not count is seen by the other clock, and the other way round', async () => {
    for (const counts of ['Date', 'performance']) {
      const { browser, signedIn } = scene();
      const page = await signedIn();
      const { iat } = page.remint.claims;
      page.tab.frozen = true;
      await browser.pass(2 * HOUR);
      if (counts === 'Date') page.tab.asleep = 2 * HOUR;
      else page.tab.wallOffset = -2 * HOUR;
      page.tab.thaw();
      await browser.pass(SECOND);
      assert.equal(page.remint.status, 'active');
      assert.ok(page.remint.claims.iat > iat + 7000, counts);
    }
  });

  test('a token that ran out is not handed out: it is renewed first', async () => {
    const { browser, settle, signedIn } = scene();
    const page = await signedIn();
    const before = await page.remint.token();
    page.tab.frozen = true;
    await browser.pass(HOUR);
    page.tab.frozen = false;
    const after = await settle(page.remint.token());
    assert.notEqual(after, before);
  });
});

describe('listeners', () => {
  test('that throw harm nothing, and one may ask for anything from inside', async (t) => {
    const reported = t.mock.method(console, 'error', () => {});
    const { browser, open, settle } = scene();
    const page = open();
    const seen = [];
    page.remint.on(() => {
      throw new Error('mine');
    });
    page.remint.on(async ({ type }) => {
      if (type === 'created' || type === 'refreshed') seen.push(await page.remint.token(), (await page.remint.refresh()).sid);
    });
    await settle(page.login({}));
    await browser.pass(10 * MINUTE);
    assert.equal(page.remint.status, 'active');
    assert.ok(seen.length >= 4);
    assert.ok(reported.mock.callCount() > 2);
  });

  test('are not told of a renewal before its lock is given back', async () => {
    const { browser, signedIn } = scene();
    const page = await signedIn();
    const locked = [];
    page.remint.on(({ type }) => {
      if (type === 'refreshed') locked.push(browser.locks.get('remint1:https://id.test:app').some(({ granted }) => granted));
    });
    await browser.pass(HOUR);
    assert.ok(locked.length > 10 && locked.every((held) => !held));
  });

  test('stop being called when they are taken away, and when all is disposed of', async () => {
    const { browser, signedIn } = scene();
    const page = await signedIn();
    let calls = 0;
    const off = page.remint.on(() => calls++);
    off();
    page.remint.on(() => calls++);
    page.remint.dispose();
    const { length } = page.tab.requests;
    await browser.pass(HOUR);
    assert.equal(calls, 0);
    assert.equal(page.tab.requests.length, length, 'nothing is asked any more');
  });

  test('the snapshot is the same until something changes', async () => {
    const { browser, signedIn } = scene();
    const { remint } = await signedIn();
    const before = remint.snapshot();
    assert.equal(remint.snapshot(), before);
    assert.deepEqual({ ...before }, { status: 'active', claims: remint.claims });
    await browser.pass(5 * MINUTE);
    assert.notEqual(remint.snapshot(), before);
  });
});

describe('the timeline', () => {
  test('tells what happened, in order, with no secret, and is bounded', async () => {
    const { server, browser, settle, signedIn } = scene({ transport: 'memory' });
    const page = await signedIn();
    server.wire = (path) => (path === '/oauth2/token' ? { lose: 'answer' } : {});
    await browser.pass(4 * MINUTE);
    server.wire = (path) => (path === '/oauth2/token' ? { status: 503 } : {});
    await browser.pass(2 * MINUTE);
    server.wire = () => ({});
    await browser.pass(2 * MINUTE);
    await settle(page.update({ nickname: 'lovelace' }));
    await settle(page.logout());
    const entries = page.remint.timeline();
    const short = entries.map(({ type, outcome, by, reason }) => outcome ?? by ?? reason ?? type);
    assert.deepEqual([...new Set(short)], ['login', 'limits', 'lost', 'failed', 'this-tab', 'change', 'claims-changed', 'logout']);
    const secrets = JSON.stringify(server.sessions.get('sid-1').gen) && JSON.stringify(entries);
    assert.ok(!/rt1-|h\.ey|lovelace/.test(secrets));
    assert.ok(entries.every(({ at }, n) => !n || at >= entries[n - 1].at));
    const limits = entries.find(({ type }) => type === 'limits');
    assert.ok(Math.abs(limits.idle_in_ms - 14 * DAY) < 10 * SECOND && Math.abs(limits.absolute_in_ms - 90 * DAY) < 10 * SECOND);
    const login = await signedIn();
    await browser.pass(28 * HOUR);
    assert.equal(login.remint.timeline().length, 500);
  });
});
