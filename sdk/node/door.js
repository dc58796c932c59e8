// What every framework's middleware does: finds the token or the cookie of a request, verifies it, begins a renewal, and
// says what goes beside the answer. Knows no framework.

import { bearer } from './bearer.js';
import { cookie, Cookies, ownPage } from './cookies.js';
import { RemintError } from './errors.js';
import { isShared, Renewals } from './renewals.js';
import { Verifier } from './verifier.js';

/**
 * @typedef {import('./verifier.js').VerifierOptions & {
 *   verifier?: Verifier, rolling?: boolean | { budgetMs?: number }, cookie?: string, origins?: string[],
 * }} DoorOptions `rolling` renews tokens past half of their life beside the answer. `cookie` is the name of a cookie that
 *   holds an access token, or the session of the cookie policy (which needs `credential`); `origins` are the pages beside
 *   this origin whose unsafe requests may carry it
 */

/** @typedef {{ token: string, verified: import('./verifier.js').Verified, pending: Promise<string | null> | null }} Admitted */

/** The door of one API. */
export class Door {
  /** @param {DoorOptions} options */
  constructor(options) {
    this.options = options;
    this.verifier = options.verifier ?? new Verifier(options);
    const { rolling } = options;
    this.renewals = rolling ? new Renewals(this.verifier, rolling === true ? undefined : rolling.budgetMs) : null;
    const credential = this.verifier.options.credential;
    this.cookies = options.cookie !== undefined && credential ? new Cookies(this.verifier, credential) : null;
  }

  /**
   * @param {import('./cookies.js').Request} request
   * @param {string | null} [given] a token that was found elsewhere
   * @returns {Promise<Admitted>}
   * @throws {RemintError}
   */
  async admit(request, given = null) {
    const { cookie: name, origins = [] } = this.options;
    const kept = given === null && name !== undefined ? cookie(request.rawHeaders, name) : null;
    if (kept !== null) {
      ownPage(request, origins);
      if (!/^ey[^.]*\.[^.]+\.[^.]+$/.test(kept)) return this.#session(kept);
    }
    const token = given ?? kept ?? bearer(request.rawHeaders);
    if (token === null) throw new RemintError('token_missing');
    const verified = await this.verifier.verify(token);
    return { token, verified, pending: this.renewals?.begin(token, verified) ?? null };
  }

  /** @param {string} value of the session cookie @returns {Promise<Admitted>} */
  async #session(value) {
    if (!this.cookies) throw new RemintError('request_malformed', { text: 'the cookie holds no access token' });
    return { ...(await this.cookies.verified(value)), pending: null };
  }
}

/**
 * The headers beside an answer, none where it may be shared by caches.
 * @param {Admitted} admitted
 * @param {string | undefined} cacheControl of the answer so far
 * @returns {Promise<Record<string, string>>}
 */
export async function beside({ verified, pending }, cacheControl) {
  /** @type {Record<string, string>} */
  const headers = verified.stale === undefined ? {} : { 'remint-renew': String(verified.stale) };
  const token = isShared(cacheControl) ? null : await pending;
  return token ? { ...headers, 'remint-token': token, 'cache-control': 'private, no-store' } : headers;
}
