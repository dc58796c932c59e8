/**
 * Any order of events: tabs that open, hide, freeze and sleep, a network that goes and comes, answers that are late or
 * lost, storms, changes, log-outs and ends, by seeds (`SEED=7 RUNS=400` plays others and more). What must hold in all of
 * them: an honest person is never signed out for nothing, and a session that has ended is over in every tab.
 */

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { staler } from '../wire.js';
import { numbers } from './support/browser.js';
import { HOUR, MINUTE, SECOND, scene } from './support/scene.js';

/** How many plays of each kind, and the first of their seeds. */
const RUNS = Number(process.env.RUNS ?? 3);
const FIRST = Number(process.env.SEED ?? 1);
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

/** One tab at least goes on. */
const freezeOrThaw = (pages, random) => {
  const { tab } = pages[Math.floor(random() * pages.length)];
  if (tab.frozen) tab.thaw();
  else if (pages.some((page) => page.tab !== tab && !page.tab.frozen && page.remint.claims)) tab.freeze(random() < 0.3);
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
    offline: () => (browser.offline ? browser.goOnline() : browser.goOffline(random() < 0.5)),
    hide: () => pick().tab.hide(),
    show: () => pick().tab.show(),
    freeze: () => freezeOrThaw(pages, random),
    clock: () => (any().tab.wallOffset += (random() - 0.5) * 48 * HOUR),
    sleep: async () => {
      const ms = random() * 2 * MINUTE;
      // Half of the machines stop one of their clocks in sleep.
      for (const { tab } of pages) tab.asleep += random() < 0.5 ? 0 : ms;
      await browser.sleep(ms);
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
  for (const { tab } of pages) if (tab.frozen) tab.thaw();
  browser.goOnline();
  await browser.pass(5 * MINUTE);
};

/** Tabs come and go, and the network perhaps: no time passes. */
const disturbed = ({ browser, pages, random }) => {
  for (const { tab } of pages) {
    const n = random();
    if (n < 0.2) tab.hide();
    else if (n < 0.4) tab.show();
    else if (n < 0.6) freezeOrThaw(pages, random);
  }
  if (random() < 0.3) browser.goOffline(random() < 0.5);
};

for (const options of POLICIES) {
  const name = `${options.policy} ${options.transport ?? ''}`;
  describe(name, () => {
    test('nobody is signed out for nothing', async () => {
      for (let seed = FIRST; seed < FIRST + RUNS; seed++) {
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
      for (let seed = 1000 * FIRST; seed < 1000 * FIRST + RUNS; seed++) {
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

    test('a change, and an end, are heard within a second where a tab is awake and online, else when it is again', async () => {
      for (let seed = 2000 * FIRST; seed < 2000 * FIRST + RUNS; seed++) {
        const world = await play(seed, options);
        await heal(world);
        const { server, browser, pages, session, random } = world;
        const says = (page, what) => assert.ok(what(page), `${name} seed ${seed}: ${world.log.join(' ')}`);
        const changed = ({ remint }) => remint.claims?.cv === server.user.cv;
        const over = ({ remint, ended }) => remint.status === 'none' && ended().at(-1) === 'revoked';
        const awake = () => pages.filter(({ tab }) => !tab.frozen);
        const hears = async (happens, what) => {
          disturbed(world);
          await browser.pass(random() * 5 * SECOND);
          happens();
          // Where the tab that read was suspended without a word, one that can be seen asks it first; one that cannot waits.
          const silent = pages.some(({ tab }) => tab.silent);
          const told = silent ? awake().filter(({ tab }) => tab.host.document.visibilityState === 'visible') : awake();
          const soon = () => browser.pass(silent ? 3 * SECOND : SECOND);
          await soon();
          if (!browser.offline) for (const page of told) says(page, what);
          browser.goOnline();
          await soon();
          for (const page of told) says(page, what);
          for (const { tab } of pages) if (tab.frozen) tab.thaw();
          await browser.pass(SECOND);
          for (const page of pages) says(page, what);
        };
        for (let n = 0; n < 5; n++) await hears(() => server.change({ nickname: `late ${n}` }), changed);
        await hears(() => server.end(session, 'revoked'), over);
      }
    });
  });
}
