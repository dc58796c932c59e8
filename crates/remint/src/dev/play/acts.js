/**
 * What can be done to a session: each act says where it makes no sense, in words, and tells what it does while it does
 * it. All of it happens: the requests are real, and so are the answers.
 */

import { code, otherDevice, post, secondTab, thief } from './clients.js';

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

const signIn = 'Sign in first.';
/** @param {Stage} stage */
const unrenewed = (stage) => (stage.policy === 'fixed' ? 'A fixed session is never renewed: it lives and ends.' : null);
/** @param {Stage} stage */
const signedOut = (stage) => (stage.live ? null : signIn);

/** @type {Act[]} */
export const ACTS = [
  {
    id: 'renew',
    title: () => 'Renew now',
    about: () => 'What the library does by itself at half of the token’s life.',
    whyNot: (stage) => signedOut(stage) ?? unrenewed(stage),
    async run(stage) {
      stage.tell('you', 'You renew by hand.');
      await stage.remint.refresh();
      stage.explainRenewal();
    },
  },
  {
    id: 'phone',
    title: (stage) => (stage.phone ? 'Remove the phone number' : 'Verify a phone number'),
    about: (stage) => (stage.phone ? 'It is the second factor: the change demands a log-in with it.' : 'A code is sent, and read from the inbox of this server.'),
    whyNot: signedOut,
    run: (stage) => (stage.phone ? removePhone(stage) : verifyPhone(stage)),
  },
  {
    id: 'role',
    title: () => 'Change the role',
    about: () => 'An administrator’s act: this page is not asked.',
    whyNot: signedOut,
    async run(stage) {
      const now = String(stage.claims()?.role ?? '');
      const role = ROLES[(ROLES.indexOf(now) + 1) % ROLES.length];
      const { cv } = await post('/dev/role', { role });
      stage.tell('admin', `The record says role “${role}” now. Its version rose to cv ${cv} in the same commit, and the server told this page and every API that follows its feed.`);
      await stage.until(() => stage.claims()?.role === role, 'the new role to be in the claims');
      stage.tell('page', stage.policy === 'cookie'
        ? `It heard of it on its stream and asked again: the claims say “${role}”. Nobody logged in anew.`
        : `It heard of it on its stream and had the token minted again: it says “${role}”. The old one is stale at every API. Nobody logged in anew.`);
    },
  },
  {
    id: 'lose',
    title: () => 'Lose the next answer',
    about: () => 'The server renews; its answer never arrives.',
    whyNot: (stage) => signedOut(stage) ?? unrenewed(stage),
    run: loseAnswer,
  },
  {
    id: 'tabs',
    title: () => 'Renew from two tabs',
    about: () => 'Two tabs ask at the same moment, with the same proof.',
    whyNot: (stage) => signedOut(stage) ?? unrenewed(stage),
    run: twoTabs,
  },
  {
    id: 'steal',
    title: () => 'Steal the refresh token',
    about: (stage) => `A thief uses a copy. Seen within about ${Math.ceil(2.2 * stage.facts.timing.window)} s.`,
    danger: true,
    whyNot: (stage) => signedOut(stage) ?? {
      rolling: 'There is none: under rolling the token itself is the proof. A thief can use a copy until the absolute limit, and you end it by revoking.',
      fixed: 'There is none: a copy of a fixed token is good until it runs out, or until you revoke it.',
      cookie: 'There is none, and no script can read the cookie: it is HttpOnly.',
      refresh: null,
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

/** @param {Stage} stage */
async function verifyPhone(stage) {
  const { sent_to } = await stage.remint.phone.set(NUMBER);
  stage.tell('server', `A code is on its way to ${sent_to ?? NUMBER}. Here it lands in this server’s own inbox, /dev/inbox.`);
  await stage.remint.phone.verify(await code());
  await stage.until(() => Boolean(stage.claims()?.phone_number), 'the number to be in the claims');
  stage.phone = true;
  stage.tell('server', `The code was right. One commit: the number is in the record, cv is ${stage.claims()?.cv}, and the answer brought ${stage.policy === 'cookie' ? 'claims' : 'a token'} that ${stage.policy === 'cookie' ? 'show' : 'shows'} it. From the next log-in on it is the second factor.`);
}

/** @param {Stage} stage */
async function removePhone(stage) {
  stage.tell('server', 'Touching a second factor demands a log-in of the last five minutes that has shown it (RFC 9470): the page logs in again, in the same session.');
  await stage.logInAgain();
  await stage.remint.phone.remove();
  await stage.until(() => !stage.claims()?.phone_number, 'the number to be gone from the claims');
  stage.phone = false;
  stage.tell('server', `The number is gone from record and claims, cv is ${stage.claims()?.cv}. The old number was told.`);
}

/** @param {Stage} stage */
async function loseAnswer(stage) {
  const lost = stage.wire.loseNext();
  const again = lost.then(() => stage.wire.nextRenewal());
  stage.remint.refresh().catch(() => {}); // it is lost: that is the point
  const first = await lost;
  stage.tell('network', 'The server renewed and committed, and the answer was lost on the way.');
  const second = await stage.atMost(again, 'the page to ask again');
  if (stage.policy === 'refresh' && first.body?.refresh_token) {
    const same = first.body.refresh_token === second.body?.refresh_token;
    stage.tell('server', same
      ? 'The page asked again with the old refresh token. Inside the window that is no theft but a lost answer: it got the same successor, byte for byte. Nothing about tokens is stored; it was derived anew.'
      : 'The page asked again with the old refresh token. The window was over, so it got another branch, and the lost one is dead: nobody was logged out.');
  } else if (stage.policy === 'refresh') {
    stage.tell('server', 'The refresh token was so fresh that no successor was made: the page asked again with the one it has, and got an access token.');
  } else if (stage.policy === 'rolling') {
    stage.tell('server', 'The old token lives to its own end, so nothing was lost with the answer: the page showed it again and got a new one.');
  } else {
    stage.tell('server', 'The cookie never changed, so there was nothing to lose: the page asked again.');
  }
}

/** @param {Stage} stage */
async function twoTabs(stage) {
  const tab = await secondTab(stage);
  stage.tell('you', 'A second tab opened: a page of its own, with the same proof. Both renew at the same moment, without asking each other.');
  const [here, there] = await Promise.all([stage.renewAlone(), tab.renew()]);
  if (stage.policy === 'refresh') {
    const both = here.refresh_token && there.refresh_token;
    stage.tell('server', !both
      ? 'The refresh token was fresh: each tab got an access token, and both keep the refresh token that they have.'
      : here.refresh_token === there.refresh_token
        ? 'Both tabs presented the same refresh token, and both got the same successor, byte for byte. The second one is no thief.'
        : 'The tabs got different successors: that must not be.');
  } else if (stage.policy === 'rolling') {
    stage.tell('server', here.jti === there.jti
      ? 'Both got one token: the same claims, the same jti. Minting times are rounded down, so that tabs that race get one token.'
      : 'Each got a token; they lie a moment apart, and both are good.');
  } else {
    stage.tell('server', 'One cookie, two tabs: both got the same claims. Nothing turns over, so nothing can be turned over twice.');
  }
}

/** @param {Stage} stage */
async function steal(stage) {
  const copy = thief(stage);
  stage.tell('thief', 'It has a copy of the refresh token, as a script injected into the page would have.');
  const window = stage.facts.timing.window * 1000;
  await stage.pause(copy.since() + window + 300 - Date.now(), 'The thief waits until the token is due.');
  if (!stage.live) return;
  const first = await copy.use();
  if (!first.ok) return stage.tell('thief', `Refused: ${first.why}.`);
  stage.tell('thief', first.rotated
    ? 'It presents the copy and gets an access token and the next refresh token. For now it is in.'
    : 'It presents the copy and gets an access token, but no refresh token.');
  await stage.pause(window + 300, 'You go on working; your library renews when it is due.');
  if (stage.live) {
    await stage.remint.refresh().catch(() => {}); // what comes of it is told below
    stage.tell('page', 'It renews with the token that it has, which the thief has used up by now. Its own successor may have been lost, so the server gives it another branch, and the thief’s is dead.');
  }
  for (let n = 0; n < 4 && stage.live; n++) {
    await stage.pause(n === 0 ? 0 : window + 300, 'The thief comes back when its token is due.');
    const again = await copy.use();
    if (!again.ok) {
      stage.tell('thief', `It presents its refresh token and is refused: “${again.why}”. Two holders of one line cannot both be honest.`, { ended: true });
      break;
    }
    stage.tell('thief', 'It renews once more.');
  }
  await stage.until(() => !stage.live, 'the page to hear of the end');
  const again = await copy.use();
  stage.tell('thief', `Whatever it tries: “${again.why}”. Thief and victim both see why, and the APIs refuse both from the same second on.`);
}

/** @param {Stage} stage */
async function revoke(stage) {
  const device = await otherDevice(stage);
  const sid = String(stage.claims()?.sid);
  stage.tell('device', 'Ada signed in elsewhere, and sees this session in the list of her devices.');
  const before = performance.now();
  await device.end(sid);
  stage.tell('device', 'It ended this session.');
  await stage.until(() => !stage.live, 'the page to hear of the end');
  stage.tell('server', `This page knew ${Math.round(performance.now() - before)} ms later, by its stream. Every API that follows the feed refuses its token by now.`);
  await device.leave();
}
