/**
 * What a page holds of its session: the tokens, and when they end by the page's clock. The newer token wins, by the
 * version of the record and the minting, whichever came first. Asks nobody and tells nobody.
 */

import { decode, staler } from './wire.js';

/** @typedef {import('./wire.js').BaseClaims} BaseClaims */

/**
 * A token: its text (none under the policy `cookie`), its claims, and when it ends.
 * @template {BaseClaims} [C=any]
 * @typedef {{ text: string, claims: C, life: number, ends: number }} Token
 */

/**
 * What is held, or comes from the server, another tab or storage. Times are of the clock that `now` was read from.
 * @typedef {object} Grant
 * @property {number} now
 * @property {Token} [access]
 * @property {Token} [account]
 * @property {string} [refresh]
 * @property {number} [refreshIat] The `iat` of the token that it came with: a newer refresh token has a later one.
 */

/**
 * @param {string | undefined} text
 * @param {any} claims
 * @param {number} now
 * @param {number} [left] Seconds; without a word about it, its whole life.
 * @returns {Token | undefined}
 */
export const token = (text = '', claims, now, left = claims?.exp - claims?.iat) =>
  claims && { text, claims, life: 1000 * (claims.exp - claims.iat || left), ends: now + 1000 * left };

/**
 * What an answer grants (RFC 6749 section 5.1, with `account_token`; or the claims alone, for a page without tokens).
 * @param {number} now
 * @param {Record<string, any>} [body]
 * @returns {Grant}
 */
export const granted = (now, { access_token, account_token, refresh_token: refresh, claims: page, expires_in } = {}) => {
  const claims = page ?? decode(access_token);
  const access = token(access_token, claims, now, expires_in);
  return { now, access, account: token(account_token, decode(account_token), now, expires_in), refresh, refreshIat: claims?.iat };
};

/**
 * Takes into `held` what is newer, each token by itself.
 * @param {Grant} held
 * @param {Grant} grant
 * @param {number} shift From the clock of `grant` to that of `held`.
 * @returns {boolean} Whether the access token is a newer one.
 */
export const take = (held, grant, shift) => {
  const before = held.access;
  for (const kind of /** @type {const} */ (['access', 'account'])) {
    const [old, come] = [held[kind], grant[kind]];
    // Claims without a token have no minting time: the later answer stands.
    if (come && (!old || !(staler(come.claims, old.claims) || (come.text && come.text === old.text)))) {
      held[kind] = { ...come, ends: come.ends + shift };
    }
  }
  const { refresh, refreshIat = 0 } = grant;
  if (refresh && refreshIat >= (held.refreshIat ?? 0)) Object.assign(held, { refresh, refreshIat });
  return held.access !== before;
};
