/** The second tab of the playground: the same client in a page of its own. It renews when the first one says so. */

import { client, fingerprints } from './clients.js';
import { by } from './dom.js';

/** @import { Policy } from './main.js' */

const policy = /** @type {Policy} */ (location.search.slice(1));
const { remint, wire } = client(policy, location.origin, { alone: false });

/** @param {string} type @param {unknown} value */
const say = (type, value) => parent.postMessage({ type, value }, location.origin);

addEventListener('message', async ({ origin, source, data }) => {
  if (origin !== location.origin || source !== parent || data !== 'renew') return;
  const seen = wire.nextRenewal();
  void remint.refresh();
  const renewed = await fingerprints(await seen);
  by('says').textContent = renewed.refresh ? `Got the refresh token ${renewed.refresh}…` : renewed.access ? `Got the token ${renewed.access}…` : 'Got an answer.';
  say('renewed', renewed);
});

const claims = await remint.ready;
by('says').textContent = claims ? `It knows the session of ${claims.nickname ?? claims.sub}.` : 'It knows of no session.';
say('ready', Boolean(claims));
