// Sessions of the cookie policy: a request's session cookie is swapped for a short access token of this API, cached by the
// cookie's hash for as long as the token is good. Decides nothing itself about the session.

import { createHash } from 'node:crypto';

import { RemintError } from './errors.js';
import { basic, json, request } from './net.js';

const MAX_KEPT = 10_000;
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

  /** @param {import('./verifier.js').Verifier} verifier @param {{ id: string, secret: string }} credential */
  constructor(verifier, credential) {
    this.verifier = verifier;
    this.credential = credential;
  }

  /**
   * The access token of a session, and what it says. A token that is good no more is swapped once again.
   * @param {string} value of the cookie
   * @returns {Promise<{ token: string, verified: import('./verifier.js').Verified }>}
   */
  async verified(value) {
    const hash = createHash('sha256').update(value).digest('base64url');
    const known = this.#kept.get(hash);
    const token = await (known ?? this.#swap(hash, value));
    try {
      return { token, verified: await this.verifier.verify(token) };
    } catch (refused) {
      this.#kept.delete(hash);
      if (!known || !(refused instanceof RemintError) || refused.status !== 401) throw refused;
    }
    const fresh = await this.#swap(hash, value);
    return { token: fresh, verified: await this.verifier.verify(fresh) };
  }

  /** @param {string} hash @param {string} value */
  #swap(hash, value) {
    const swap = this.#exchange(value);
    const oldest = this.#kept.size >= MAX_KEPT ? this.#kept.keys().next().value : undefined;
    if (oldest !== undefined) this.#kept.delete(oldest);
    this.#kept.set(hash, swap);
    swap.catch(() => this.#kept.get(hash) === swap && this.#kept.delete(hash));
    return swap;
  }

  /** @param {string} value @returns {Promise<string>} */
  async #exchange(value) {
    const headers = { authorization: basic(this.credential), 'content-type': 'application/json', accept: 'application/json' };
    const asked = { method: 'POST', headers, body: JSON.stringify({ cookie: value }) };
    const answer = await request(this.verifier.fetch, this.verifier.at('/session/exchange'), asked).catch(() => null);
    const body = answer && json(answer.bytes);
    if (answer?.status === 200 && typeof body?.access_token === 'string') return body.access_token;
    if (answer?.status === 400 && body?.error === 'invalid_grant') {
      const reason = /^session ended: ([a-z-]+)$/.exec(body.error_description ?? '')?.[1];
      if (reason) throw new RemintError('session_ended', { text: `session ended: ${reason}`, reason });
      throw new RemintError('token_inactive', { text: 'the session cookie opens no session' });
    }
    throw new RemintError('feed_lagging', { text: 'the session cannot be looked up at the moment' });
  }
}
