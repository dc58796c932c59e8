/**
 * What can be done to a session: each act says where it makes no sense, in words, and tells what it does while it does
 * it. All of it happens: the requests are real, and so are the answers.
 */

import { code, fingerprints, logIn, otherDevice, position, post, secondTab, thief } from './clients.js';
import { by } from './dom.js';
import { account, span } from './library.js';

/** @import { Stage } from './main.js' */

/**
 * @typedef {object} Act
 * @property {string} id
 * @property {(stage: Stage) => string} title
 * @property {(stage: Stage) => string} about
 * @property {boolean} [danger] It ends the session.
 * @property {(stage: Stage) => string | null} whyNot Why it makes no sense now; nothing where it does.
 * @property {(stage: Stage) => Promise<void>} run
 */

/** A number of those that are kept for stories: nobody has it. */
const NUMBER = '+1 202 555 0123';
const ROLES = ['engineer', 'admiral', 'countess', 'analyst'];
/** Nobody waits longer than this for a token to be due. */
const WORTH_WAITING_MS = 45_000;
/** Beyond a window or a half-life, so that it is over by the server's clock too. */
const MARGIN_MS = 400;

/** @param {Stage} stage */
const signedOut = (stage) => (stage.live ? null : 'Sign in first.');

/** @param {Stage} stage */
function unrenewed(stage) {
  if (!stage.live) return signedOut(stage);
  if (stage.policy === 'fixed') return 'A fixed session is never renewed: it lives and ends.';
  const due = stage.policy === 'rolling' ? stage.current.due() : 0;
  return due > WORTH_WAITING_MS ? `A rolling token is renewed past half of its life, in ${span(due)}. Raise the speed.` : null;
}

/** @type {Act[]} */
export const ACTS = [
  {
    id: 'phone',
    title: (stage) => (stage.phone ? 'Remove the phone number' : 'Verify a phone number'),
    about: (stage) => (stage.phone ? 'It is the second factor: that demands a log-in which shows it.' : 'The record changes, and the token with it.'),
    whyNot: signedOut,
    run: (stage) => (stage.phone ? removePhone(stage) : verifyPhone(stage)),
  },
  {
    id: 'role',
    title: () => 'Change the role',
    about: () => 'An administrator’s act: this page is not asked.',
    whyNot: signedOut,
    run: changeRole,
  },
  {
    id: 'lose',
    title: () => 'Lose the next answer',
    about: () => 'The server renews, and its answer never arrives.',
    whyNot: unrenewed,
    run: loseAnswer,
  },
  {
    id: 'tabs',
    title: () => 'Refresh from two tabs',
    about: () => 'Both ask at the same moment, with the same proof.',
    whyNot: unrenewed,
    run: twoTabs,
  },
  {
    id: 'steal',
    title: () => 'Steal the refresh token',
    about: (stage) => `A thief uses a copy. Seen in about ${span(3 * stage.facts.timing.window * 1000)}.`,
    danger: true,
    whyNot: (stage) => signedOut(stage) ?? {
      rolling: 'There is none: the token is the proof. Whoever copies it goes on until you revoke it, or the absolute limit.',
      fixed: 'There is none: a copy of the token is good until it runs out, or until you revoke it.',
      cookie: 'There is none, and the cookie is HttpOnly: no script can read it.',
      refresh: tooFast(stage),
    }[stage.policy],
    run: steal,
  },
  {
    id: 'revoke',
    title: () => 'Revoke from another device',
    about: () => 'A second session of the same user ends this one.',
    danger: true,
    whyNot: signedOut,
    run: revoke,
  },
];

/** A page that renews as often as the window lasts keeps in step with its thief. @param {Stage} stage */
function tooFast({ facts: { clients, timing } }) {
  const life = clients.find((client) => client.client_id === 'demo-refresh')?.policy.life ?? 0;
  return life / 2 < timing.window + 1.2 ? 'At this speed a token lives hardly longer than the window: choose a slower one.' : null;
}

/** @param {Stage} stage */
async function verifyPhone(stage) {
  const { remint, tell } = stage;
  const { phone } = account(remint);
  const { sentTo } = await phone.set(NUMBER).catch(async (/** @type {any} */ error) => {
    if (!error.maxAge) throw error;
    tell('server', 'A new factor demands a log-in of the last five minutes (RFC 9470): the page logs in again, in the same session.');
    await logIn(remint, stage.facts);
    return phone.set(NUMBER);
  });
  tell('server', `A code is on its way to ${sentTo}. It lands in the inbox of this server, and the page types it for you.`);
  await phone.verify(await code());
  await stage.until(() => Boolean(stage.claims()?.phone_number), 'the number to be in the claims');
  stage.phone = true;
  const shows = stage.policy === 'cookie' ? 'The claims in its answer show it' : 'The token in its answer shows it';
  tell('server', `The code was right. One commit put the number into the record and raised its version to cv ${stage.claims()?.cv}. ${shows}: no new log-in. From the next one on the number is the second factor.`);
}

/** @param {Stage} stage */
async function removePhone(stage) {
  stage.tell('server', 'Touching a second factor demands a log-in of the last five minutes that shows it (RFC 9470): the page logs in again, in the same session.');
  await logIn(stage.remint, stage.facts);
  await account(stage.remint).phone.remove();
  await stage.until(() => !stage.claims()?.phone_number, 'the number to be gone from the claims');
  stage.phone = false;
  stage.tell('server', `The number is gone from the record and from the claims, at cv ${stage.claims()?.cv}. The old number was told by a message.`);
}

/** @param {Stage} stage */
async function changeRole(stage) {
  const now = String(stage.claims()?.role ?? '');
  const role = ROLES[(ROLES.indexOf(now) + 1) % ROLES.length];
  const began = performance.now();
  const { cv } = await post('/dev/role', { role });
  stage.tell('admin', `They made Ada ${role}. One commit: the record, its version (cv ${cv}), and the event that tells this page and every API.`);
  await stage.until(() => stage.claims()?.role === role, 'the new role to be in the claims');
  const took = Math.round(performance.now() - began);
  stage.tell('page', stage.policy === 'cookie'
    ? `It heard of it by its stream and asked: ${took} ms later the claims say ${role}.`
    : `It heard of it by its stream and had its token minted again, before half of its life: ${took} ms later it says ${role}. At an API the old one is stale.`);
}

/**
 * Waits until a renewal brings something new: under `refresh` the token must be older than the window, under `rolling`
 * past half of its life. @param {Stage} stage
 */
async function due(stage) {
  const window = stage.facts.timing.window * 1000;
  const wait = () => stage.policy === 'refresh' ? stage.wire.refreshTokenAt + window + MARGIN_MS - performance.now()
    : stage.policy === 'rolling' ? stage.current.due() : 0;
  while (stage.live && wait() > 0) {
    await stage.pause(wait(), stage.policy === 'refresh' ? 'The refresh token turns over when its window is over:' : 'Half of the token’s life is over');
  }
}

/** @param {Stage} stage */
async function loseAnswer(stage) {
  const { wire, remint, tell } = stage;
  const lost = wire.loseNext();
  let first;
  try {
    await due(stage);
    const dropped = lost.then(() => true);
    // The jitter of a rolling token is the server's own: what is asked too early is answered with 204, and nothing is lost.
    while (!(await Promise.race([dropped, remint.refresh().then(() => stage.pause(300, 'Renewing')).then(() => false)]))) {
      if (!stage.live) return;
    }
    first = await lost;
  } finally {
    wire.loseNothing();
  }
  const arrives = wire.nextRenewal();
  tell('network', 'The server renewed and committed. Its answer was lost on the way, and the page cannot know which of the two it was.');
  const second = await stage.atMost(arrives, 'the page to ask again');
  tell('server', again(stage, first.body, second));
}

/** @param {Stage} stage @param {Record<string, any>} lost @param {import('./wire.js').Seen} second */
function again(stage, lost, { status, body }) {
  if (status !== 200 && status !== 204) return `The page asked again and was answered ${status}: it will ask once more.`;
  if (stage.policy === 'rolling') return 'The page asked again. The old token lives to its own end, so nothing was lost with the answer.';
  if (stage.policy === 'cookie') return 'The page asked again. The cookie has not changed, so there was nothing to lose.';
  if (lost.refresh_token && lost.refresh_token === body.refresh_token) {
    return 'The page asked again with the refresh token that is used up. Inside the window that is a lost answer and no theft: it got the same successor, byte for byte. It was derived anew, for no token is stored.';
  }
  if (lost.refresh_token && body.refresh_token) {
    return 'The page asked again when the window was over. It got a new branch, and the one that was lost is dead: nobody is logged out.';
  }
  return 'The page asked again. Its refresh token was too fresh to turn over: it got an access token and keeps what it has.';
}

/** @param {Stage} stage */
async function twoTabs(stage) {
  const tab = await secondTab(by('tab-place'), stage.policy);
  try {
    stage.tell('tab', 'It opened, asked the first tab what it holds, and knows the session now. No lock between the two: the server has to settle it.');
    await due(stage);
    let both = await bothRenew(stage, tab);
    // The jitter of a rolling token is the server's own: what is asked too early is answered with 204.
    for (let tries = 0; tries < 20 && stage.live && both[0].status === 204 && both[1].status === 204; tries++) {
      await stage.pause(400, 'Both were told that the token is good still; asking again in');
      both = await bothRenew(stage, tab);
    }
    stage.tell('server', race(stage, both[0], both[1]));
    await stage.pause(2500, 'The second tab closes in');
  } finally {
    tab.close();
  }
}

/** @param {Stage} stage @param {Awaited<ReturnType<typeof secondTab>>} tab */
function bothRenew(stage, tab) {
  const here = stage.wire.nextRenewal().then(fingerprints);
  const there = tab.renew();
  void stage.remint.refresh();
  return stage.atMost(Promise.all([here, there]), 'both tabs to be answered');
}

/** @param {Stage} stage @param {import('./clients.js').Renewed} a @param {import('./clients.js').Renewed} b */
function race(stage, a, b) {
  if (stage.policy === 'cookie') return 'One cookie, two tabs: both got the same claims. What never turns over cannot be turned over twice.';
  if (stage.policy === 'rolling') {
    if (a.jti && a.jti === b.jti) return 'Both got one token: the same claims and the same jti. Minting times are rounded down, so that tabs that race do not get two.';
    return 'Before its half-life the server answers that the token is good (204); past it, racing tabs get the same one. Neither is a thief.';
  }
  if (a.refresh && a.refresh === b.refresh) {
    return `Both presented the same refresh token, and both got the same successor: its fingerprint is ${a.refresh} in both tabs. The second one was no thief, and nobody is logged out.`;
  }
  return 'Both got an access token. The refresh token was too fresh to turn over, so both keep the one that they have.';
}

/**
 * The page has just renewed when the thief comes, and its refresh token is about to turn over: so its own timer does not
 * renew inside the thief's window, which would hand both the same token. Life is long against the window; here it is not.
 * @param {Stage} stage @param {ReturnType<typeof thief>} copy
 */
async function freshBefore(stage, copy) {
  const window = stage.facts.timing.window * 1000;
  const left = (/** @type {number} */ of) => stage.wire.refreshTokenAt + of - performance.now();
  await due(stage);
  await stage.remint.refresh();
  await stage.pause(left(window - MARGIN_MS), 'The refresh token turns over when its window is over:');
  await stage.remint.refresh();
  copy.again();
  await stage.pause(left(window + MARGIN_MS), 'The thief waits:');
}

/** @param {Stage} stage */
async function steal(stage) {
  const { tell } = stage;
  const copy = thief(stage);
  const window = stage.facts.timing.window * 1000 + MARGIN_MS;
  tell('thief', 'It has a copy of the refresh token, as a script that was injected into the page would have.');
  await freshBefore(stage, copy);
  const first = await copy.use();
  tell('thief', first.ok ? 'It presents the copy and gets an access token and the next refresh token: it is in, and you do not notice.' : `It is refused: ${first.why}.`);
  for (let round = 0; round < 4 && stage.live; round++) {
    await stage.pause(window, 'You go on working, the window passes:');
    if (stage.live) await stage.remint.refresh();
    if (!stage.live) break;
    const apart = (position(stage.wire.refreshToken)?.order ?? 0) !== copy.place();
    tell('page', apart
      ? 'It renews with the token that it has. The thief has used that one up, but an honest answer may have been lost as well: it gets another branch, and the thief’s is dead.'
      : 'It renews, and has the same refresh token as the thief.');
    if (!apart) await stage.pause(window, 'The thief waits:');
    const next = await copy.use();
    tell('thief', next.ok ? 'It renews too.' : `It presents its dead branch, and is refused: “${next.why}”. Two holders of one line cannot both be honest.`);
  }
  await stage.until(() => !stage.live, 'the page to hear of the end');
  const last = await copy.use();
  tell('thief', `It tries once more, and reads the same as you: “${last.why}”. Both see why, and no API takes a token of either.`);
}

/** @param {Stage} stage */
async function revoke(stage) {
  const device = await otherDevice(stage.facts);
  const sid = String(stage.claims()?.sid);
  stage.tell('device', 'Ada signed in there too, and finds this session in the list of her devices.');
  const began = performance.now();
  await device.end(sid);
  await stage.until(() => !stage.live, 'the page to hear of the end');
  stage.tell('device', `It ended this session; the page knew ${Math.max(1, Math.round(performance.now() - began))} ms later, by its stream. APIs hear of it by the feed, within a second.`);
  await device.leave();
}
