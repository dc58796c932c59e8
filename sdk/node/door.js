// What every framework's middleware does: finds the token or the cookie of a request, verifies it, begins a renewal, and
// says what goes beside the answer. Knows no framework.

import { bearer } from './bearer.js';
import { cookie, Cookies, ownPage } from './cookies.js';
import { checkedOrigins } from './cors.js';
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

/** @typedef {{ token: string, verified: import('./verifier.js').Verified }} Admitted */

/** The door of one API. */
export class Door {
  /** @param {DoorOptions} options */
  constructor(options) {
    const { rolling } = options;
    this.cookie = options.cookie;
    this.origins = checkedOrigins(options.origins ?? []);
    this.verifier = options.verifier ?? new Verifier(options);
    this.renewals = rolling ? new Renewals(this.verifier, rolling === true ? undefined : rolling.budgetMs) : null;
    const { authorization } = this.verifier;
    this.cookies = options.cookie !== undefined && authorization ? new Cookies(this.verifier, authorization) : null;
  }

  /**
   * @param {import('./cookies.js').Request} request
   * @param {string | null} [given] a token that was found elsewhere
   * @returns {Promise<Admitted>}
   * @throws {RemintError}
   */
  async admit(request, given = null) {
    const kept = given === null ? this.#kept(request.rawHeaders) : null;
    if (kept !== null) {
      ownPage(request, this.origins);
      if (this.cookies && !isJwt(kept)) return this.cookies.verified(kept);
    }
    const token = given ?? kept ?? bearer(request.rawHeaders);
    if (token === null) throw new RemintError('token_missing');
    return { token, verified: await this.verifier.verify(token) };
  }

  /** The cookie, where there is one that can be meant. @param {string[]} rawHeaders */
  #kept(rawHeaders) {
    const value = this.cookie === undefined ? null : cookie(rawHeaders, this.cookie) || null;
    return value !== null && !this.cookies && !isJwt(value) ? null : value;
  }

  /**
   * A renewal where one is due: asked for once the application has let the request in, because it keeps the session alive.
   * @param {string} token
   * @param {import('./verifier.js').Verified} verified
   * @returns {Promise<string | null> | null}
   */
  renewed(token, verified) {
    return this.renewals?.begin(token, verified) ?? null;
  }
}

/** @param {string} text */
const isJwt = (text) => /^ey[^.]*\.[^.]+\.[^.]+$/.test(text);

/**
 * The headers beside an answer, none where it may be shared by caches.
 * @param {{ verified: import('./verifier.js').Verified, pending: Promise<string | null> | null }} admitted
 * @param {string | undefined} cacheControl of the answer so far
 * @returns {Promise<Record<string, string>>}
 */
export async function beside({ verified, pending }, cacheControl) {
  /** @type {Record<string, string>} */
  const headers = verified.stale === undefined ? {} : { 'remint-renew': String(verified.stale) };
  const token = isShared(cacheControl) ? null : await pending;
  return token ? { ...headers, 'remint-token': token, 'cache-control': 'private, no-store' } : headers;
}
