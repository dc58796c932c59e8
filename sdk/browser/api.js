/**
 * The server's session API, as the session of this page: with its account token, or its cookie. Never sends an account
 * token elsewhere than to the issuer.
 */

import { RemintError } from './errors.js';
import { granted, token } from './holdings.js';
import { decode, verdict } from './wire.js';

/** @typedef {import('./core.js').Core} Core */

/** Less is too little to send a request with, milliseconds. */
const LEEWAY_MS = 5_000;

/** Whether a token can still be sent. @param {Core} core @param {import('./holdings.js').Token} [held] */
export const lives = (core, held) => !!held && held.ends - core.now() > LEEWAY_MS;

/**
 * The account token, made anew where it is about to end.
 * @param {Core} core
 * @returns {Promise<string>} Empty where nobody is signed in, and under the policy `cookie`.
 * @throws {RemintError} `no_answer`: there is none now.
 */
export const bearer = async (core) => {
  const { access, account, refresh } = core.held();
  if (!access?.text) return '';
  if (!lives(core, account)) {
    if (!refresh) await core.renew(false);
    else await (core.minting ??= mint(core).finally(() => (core.minting = undefined)));
  }
  const held = core.held().account; // perhaps run out by a clock that was set: the server decides
  if (!held) throw new RemintError();
  return held.text;
};

/** By the refresh token, for the issuer itself (RFC 8707). @param {Core} core */
const mint = async (core) => {
  await core.catchUp();
  const answer = await core.grantOf(core.held().refresh ?? '', false, { resource: core.options.issuer });
  const { access_token, refresh_token: refresh, expires_in } = answer?.body ?? {};
  const claims = decode(access_token);
  const account = token(access_token, claims, core.now(), expires_in);
  if (account) core.accept({ now: core.now(), account, refresh, refreshIat: claims.iat }, 'change');
  else if (answer && verdict(answer)) await core.renew(false); // which finds out what is the matter
};

/**
 * A request; tokens in its answer are taken.
 * @param {Core} core
 * @param {'GET' | 'POST' | 'PATCH' | 'DELETE'} method
 * @param {string} path
 * @param {Record<string, unknown>} [body]
 * @returns {Promise<Record<string, any>>} The body of the answer.
 * @throws {RemintError}
 */
export const call = async (core, method, path, body) => {
  await core.started;
  for (let again = false; ; again = true) {
    const answer = await core.send(method, path, await bearer(core), body);
    if (answer && answer.status < 300) {
      core.accept(granted(core.now(), answer.body), 'change');
      return answer.body;
    }
    const error = core.demanded(answer?.headers.get('WWW-Authenticate'));
    if (again || error !== 'invalid_token') throw new RemintError(answer);
    await refused(core);
  }
};

/** The account token is not taken, whatever the clock says of it: the next one is another. @param {Core} core */
export const refused = async (core) => {
  if (core.held().refresh) delete core.held().account;
  await core.renew(false);
};
