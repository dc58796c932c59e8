// For a backend that administers: opens sessions for its own users, changes their records, ends sessions. Its own token is
// fetched with its secret and renewed before it runs out. Never keeps a token of anybody else.

import { authorization, checkedIssuer, json, request } from './net.js';

/** A backend's request was refused. `status` and `error` are the server's. */
export class BackendError extends Error {
  /** @param {number} status @param {{ error?: string, error_description?: string } | null} body */
  constructor(status, body) {
    super(body?.error_description ?? body?.error ?? `the server answered ${status}`);
    this.name = 'BackendError';
    this.status = status;
    this.error = body?.error;
  }
}

/** An id as one segment of a path. @param {string} id @throws {TypeError} where it would be another path */
function segment(id) {
  if (typeof id !== 'string' || /^\.{0,2}$/.test(id)) throw new TypeError('an id is needed');
  return encodeURIComponent(id);
}

/** How many seconds before its end the own token is fetched anew. */
const EARLY = 30;

/** Speaks to the admin API of one issuer as one client. */
export class Backend {
  /** @type {{ text: string, until: number } | null} */ #token = null;
  /** @type {Promise<string> | null} */ #fetching = null;

  /**
   * @param {{ issuer: string, clientId: string, clientSecret: string, plainHttp?: boolean, fetch?: typeof globalThis.fetch,
   *   now?: () => number }} options `now` in seconds; `plainHttp` lets the issuer be reached without TLS beyond this machine
   */
  constructor({ issuer, clientId, clientSecret, plainHttp = false, fetch = globalThis.fetch, now = () => Date.now() / 1000 }) {
    this.issuer = checkedIssuer(issuer, plainHttp).replace(/\/$/, '');
    this.authorization = authorization({ id: clientId, secret: clientSecret });
    this.fetch = fetch;
    this.now = now;
  }

  /**
   * Opens a session for a person whom this backend has authenticated (scope `remint:sessions:open`).
   * @param {{ user: string, client_id: string, amr: string[], auth_time?: number, attributes?: Record<string, unknown>,
   *   scope?: string, resource?: string, user_agent?: string, address?: string }} session `user` is your own id; `auth_time` in
   *   seconds, now by default; `user_agent` and `address` are the person's, for their list of sessions
   * @returns {Promise<Record<string, any>>} the token response, for the page as it is; for a client of the cookie policy the
   *   value of the cookie
   */
  openSession(session) {
    return this.#ask('POST', '/sessions', session);
  }

  users = {
    /**
     * Changes attributes of a record; a user of one's own is `external:<id>`.
     * @param {string} id
     * @param {Record<string, unknown>} attributes
     * @returns {Promise<{ cv: number }>} the version from which on tokens show it
     */
    patch: (id, attributes) => /** @type {Promise<any>} */ (this.#ask('PATCH', `/users/${segment(id)}`, attributes)),
  };

  sessions = {
    /** @param {string} user @returns {Promise<Record<string, any>>} a page of the sessions of a user */
    list: (user) => this.#ask('GET', `/users/${segment(user)}/sessions`),
    /** Ends one session. @param {string} sid */
    revoke: (sid) => this.#ask('DELETE', `/sessions/${segment(sid)}`),
  };

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @returns {Promise<any>}
   * @throws {BackendError}
   */
  async #ask(method, path, body) {
    const headers = { authorization: `Bearer ${await this.#own()}`, accept: 'application/json' };
    const asked = body === undefined ? { method, headers } : { method, headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const answer = await request(this.fetch, `${this.issuer}/admin/api${path}`, asked);
    if (answer.status === 401) this.#token = null; // its secret was made anew: the next request fetches another
    const said = answer.bytes.length > 0 ? json(answer.bytes) : null;
    if (answer.status >= 300) throw new BackendError(answer.status, said);
    return said;
  }

  /** The own token (RFC 6749 section 4.4); one flight. */
  #own() {
    if (this.#token && this.now() < this.#token.until) return Promise.resolve(this.#token.text);
    this.#fetching ??= this.#fetchOwn().finally(() => (this.#fetching = null));
    return this.#fetching;
  }

  async #fetchOwn() {
    const body = new URLSearchParams({ grant_type: 'client_credentials', resource: `${this.issuer}/admin/api` }).toString();
    const headers = { authorization: this.authorization(), 'content-type': 'application/x-www-form-urlencoded' };
    const answer = await request(this.fetch, `${this.issuer}/oauth2/token`, { method: 'POST', headers, body });
    const said = json(answer.bytes);
    if (answer.status !== 200) throw new BackendError(answer.status, said);
    this.#token = { text: said.access_token, until: this.now() + said.expires_in - EARLY };
    return this.#token.text;
  }
}
