// Sessions of the cookie policy: a request's session cookie is swapped for a short access token of this API, cached by the
// cookie's hash for as long as the token is good. Decides nothing itself about the session.

import { createHash } from 'node:crypto';

import { RemintError } from './errors.js';
import { json, request } from './net.js';

const MAX_KEPT = 10_000;
const MAX_FLIGHTS = 64;
/** A session cookie of Remint: anything else is not asked about. */
const SESSION = /^rc1\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43}$/;
const SAFE = ['GET', 'HEAD', 'OPTIONS'];

/** @typedef {{ method?: string, headers: import('node:http').IncomingHttpHeaders, rawHeaders: string[] }} Request */

/**
 * The value of the one cookie of this name.
 * @param {string[]} rawHeaders
 * @param {string} name
 * @returns {string | null}
 * @throws {RemintError} `request_malformed` where there are two: one of them was set by somebody else
 */
export function cookie(rawHeaders, name) {
  const found = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at].toLowerCase() !== 'cookie') continue;
    for (const pair of rawHeaders[at + 1].split(';')) {
      const [named, ...value] = pair.trim().split('=');
      if (named === name) found.push(value.join('='));
    }
  }
  if (found.length > 1) throw new RemintError('request_malformed', { text: `the cookie ${name} is there twice` });
  return found[0] ?? null;
}

/**
 * A cookie comes along with whatever a foreign page sends: what changes something must come from this origin, or from
 * one that is named.
 * @param {Request} request
 * @param {string[]} origins
 */
export function ownPage({ method, headers }, origins) {
  if (SAFE.includes(method ?? '')) return;
  const [site, origin] = [headers['sec-fetch-site'], headers.origin];
  if (site === 'same-origin' || (origin !== undefined && origins.includes(origin))) return;
  throw new RemintError('denied', { text: 'a request with a session cookie must come from a page of this application' });
}

/** Swaps session cookies, one flight per cookie. */
export class Cookies {
  /** @type {Map<string, Promise<string>>} */ #kept = new Map();
  #flights = 0;

  /** @param {import('./verifier.js').Verifier} verifier @param {() => string} authorization */
  constructor(verifier, authorization) {
    this.verifier = verifier;
    this.authorization = authorization;
  }

  /**
   * The access token of a session, and what it says. A kept token that is good no more, or older than the user record, is
   * swapped once again.
   * @param {string} value of the cookie
   * @returns {Promise<{ token: string, verified: import('./verifier.js').Verified }>}
   */
  async verified(value) {
    if (!SESSION.test(value)) throw new RemintError('token_inactive', { text: 'the session cookie opens no session' });
    const hash = createHash('sha256').update(value).digest('base64url');
    const known = this.#kept.get(hash);
    const token = await (known ?? this.#swap(hash, value));
    let stale = null;
    try {
      const verified = await this.verifier.verify(token);
      if (!known || verified.stale === undefined) return { token, verified };
      stale = { token, verified };
    } catch (refused) {
      if (!known || !isRefusal(refused)) throw refused;
    }
    try {
      const other = this.#kept.get(hash); // another request may have seen it first
      const fresh = await (other && other !== known ? other : this.#swap(hash, value));
      return { token: fresh, verified: await this.verifier.verify(fresh) };
    } catch (cause) {
      // Its owner chose that a stale token is served: so it is, where a newer one cannot be had at the moment.
      if (!stale || isRefusal(cause)) throw cause;
      this.#kept.set(hash, Promise.resolve(token));
      return stale;
    }
  }

  /** @param {string} hash @param {string} value */
  #swap(hash, value) {
    if (this.#flights >= MAX_FLIGHTS) throw new RemintError('feed_lagging', { text: 'too many sessions are looked up at the moment' });
    this.#flights += 1;
    const swap = this.#exchange(value).finally(() => (this.#flights -= 1));
    const oldest = this.#kept.size >= MAX_KEPT ? this.#kept.keys().next().value : undefined;
    if (oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(hash, swap);
    swap.catch(() => this.#kept.get(hash) === swap && this.#kept.delete(hash));
    return swap;
  }

  /** @param {string} value @returns {Promise<string>} */
  async #exchange(value) {
    const headers = { authorization: this.authorization(), 'content-type': 'application/json', accept: 'application/json' };
    const asked = { method: 'POST', headers, body: JSON.stringify({ cookie: value }) };
    const answer = await request(this.verifier.fetch, this.verifier.at('/session/exchange'), asked).catch(() => null);
    const body = answer && json(answer.bytes);
    if (answer?.status === 200 && typeof body?.access_token === 'string') return body.access_token;
    if (answer?.status === 400 && body?.error === 'invalid_grant') {
      const reason = /^session ended: ([a-z-]+)$/.exec(body.error_description ?? '')?.[1];
      if (reason) throw new RemintError('session_ended', { text: `session ended: ${reason}`, reason });
      throw new RemintError('token_inactive', { text: 'the session cookie opens no session' });
    }
    this.verifier.log(`a session could not be looked up: ${answer ? `the issuer answered ${answer.status}` : 'the issuer cannot be reached'}`);
    throw new RemintError('feed_lagging', { text: 'the session cannot be looked up at the moment' });
  }
}

/** Whether it is a word about the token itself. @param {unknown} cause */
const isRefusal = (cause) => cause instanceof RemintError && cause.status === 401;
