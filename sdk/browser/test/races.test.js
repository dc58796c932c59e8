/**
 * Any order of events: tabs that open, close, freeze and sleep, answers that are late or lost, storms, changes, log-outs
 * and ends, by seeds. What must hold in all of them: an honest person is never signed out for nothing, and a session that
 * has ended is over in every tab.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { staler } from '../wire.js';
import { numbers } from './support/browser.js';
import { HOUR, MINUTE, SECOND, scene } from './support/scene.js';

const RUNS = Number(process.env.RUNS ?? 25);
const STEPS = 40;
const POLICIES = [
  { policy: 'refresh', transport: 'cookie' },
  { policy: 'refresh', transport: 'memory' },
  { policy: 'rolling', life: 5400, absolute: 30 * 24 * 3600 }, // longer than a play: whoever is away for a life is signed out
  { policy: 'cookie', idle: 30 * 24 * 3600 },
  { policy: 'fixed', life: 30 * 24 * 3600 },
];

/** A bad wire: late, lost on the way there or back, refused by load. Never older than the server counts on (F = 15 s). */
const badWire = (random) => () => {
  const n = random();
  if (n < 0.15) return { delay: random() * 4000, back: random() * 9000 };
  if (n < 0.25) return { delay: random() * 4000, back: random() * 4000, lose: 'answer' };
  if (n < 0.35) return { delay: random() * 4000, lose: 'request' };
  if (n < 0.4) return { status: 503, headers: { 'Retry-After': '3' } };
  if (n < 0.45) return { status: 429, headers: { 'Retry-After': '5' } };
  return { delay: random() * 300 };
};

/** Watches a page: its claims never go back, and what it tells fits what it is. */
const watched = (page) => {
  let newest;
  page.remint.on(({ type, claims }) => {
    if (type === 'ended') newest = undefined;
    if (!claims) return;
    assert.ok(!newest || newest.sid !== claims.sid || !staler(claims, newest), 'claims went back');
    newest = claims;
  });
  page.ended = () => page.events.filter(({ type }) => type === 'ended').map(({ reason }) => reason);
  return page;
};

const play = async (seed, options) => {
  const random = numbers(seed);
  const world = scene({ seed, locks: random() < 0.8, ...options });
  const { server, browser, open, signedIn } = world;
  const pages = [watched(await signedIn())];
  const session = server.sessions.get('sid-1');
  const log = [];
  const step = {
    pass: () => browser.pass(random() * 30 * SECOND),
    wait: () => browser.pass(random() * 10 * MINUTE),
    open: () => pages.length < 5 && pages.push(watched(open())),
    use: () => void pick().remint.refresh(),
    touch: () => pick().tab.fire('pointerdown'),
    token: () => void pick().remint.token(),
    change: () => server.change({ nickname: `n${seed}-${random()}` }),
    write: () => void pick().update({ nickname: `w${random()}` }).catch(() => {}),
    offline: () => {
      const { tab } = pick();
      tab.offline = !tab.offline;
      tab.fire(tab.offline ? 'offline' : 'online');
    },
    freeze: () => {
      const { tab } = any();
      if (tab.frozen) tab.thaw();
      else if (pages.some((page) => page.tab !== tab && !page.tab.frozen && page.remint.claims)) tab.freeze(); // one at least goes on
    },
    clock: () => (any().tab.wallOffset += (random() - 0.5) * 48 * HOUR),
    // Half of the machines stop one of their clocks in sleep.
    sleep: () => {
      for (const { tab } of pages) tab.asleep += random() < 0.5 ? 0 : SECOND;
    },
  };
  const any = () => pages[Math.floor(random() * pages.length)];
  const pick = () => {
    const awake = pages.filter(({ tab }) => !tab.frozen);
    return awake[Math.floor(random() * awake.length)];
  };
  const names = Object.keys(step);
  server.wire = badWire(random);
  for (let n = 0; n < STEPS; n++) {
    const name = names[Math.floor(random() * names.length)];
    log.push(name);
    await step[name]();
    await browser.pass(random() * 3 * SECOND);
  }
  return { ...world, pages, session, random, log };
};

/** The network heals, everybody wakes up, and time passes. */
const heal = async ({ server, browser, pages }) => {
  server.wire = () => ({});
  for (const { tab } of pages) {
    tab.offline = false;
    if (tab.frozen) tab.thaw();
    tab.fire('online');
  }
  await browser.pass(5 * MINUTE);
};

for (const options of POLICIES) {
  const name = `${options.policy} ${options.transport ?? ''}`;
  describe(name, () => {
    test('nobody is signed out for nothing', async () => {
      for (let seed = 1; seed <= RUNS; seed++) {
        const world = await play(seed, options);
        await heal(world);
        const story = `${name} seed ${seed}: ${world.log.join(' ')}`;
        assert.equal(world.session.ended, undefined, story);
        const [first, ...rest] = world.pages;
        assert.deepEqual([first.remint.status, first.ended()], ['active', []], story);
        for (const page of rest) assert.deepEqual([page.remint.status, page.ended()], ['active', []], story);
        for (const { remint } of world.pages) assert.equal(remint.claims.cv, world.server.user.cv, story);
      }
    });

    test('a log-out, or an end elsewhere, is the end in every tab, whatever is on its way', async () => {
      for (let seed = 1000; seed < 1000 + RUNS; seed++) {
        const world = await play(seed, options);
        const { server, browser, pages, session, random } = world;
        const [here] = pages;
        if (here.tab.frozen) here.tab.thaw();
        for (const { remint } of pages) void remint.refresh();
        if (random() < 0.5) server.end(session, 'revoked');
        else here.logout().catch(() => here.logout().catch(() => {}));
        await browser.pass(random() * 5 * SECOND);
        await heal(world);
        await world.settle(here.logout().catch(() => {})); // where the wire was down
        await heal(world);
        const story = `${name} seed ${seed}: ${world.log.join(' ')}`;
        assert.ok(session.ended ?? server.over(session), story);
        for (const { remint, ended, types } of pages) {
          assert.deepEqual([remint.status, remint.claims, await world.settle(remint.token())], ['none', null, null], story);
          assert.ok(ended().length <= Math.max(1, types().filter((type) => type === 'created').length), story);
        }
      }
    });
  });
}
