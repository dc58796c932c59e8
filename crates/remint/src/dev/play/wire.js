/**
 * The wire between the library and the server: hands every request on as it is, looks at the answers that bring tokens,
 * and can lose one. What it keeps is what any script in the page could have read.
 */

/**
 * @typedef {object} Seen An answer to a renewal.
 * @property {number} status
 * @property {Record<string, any>} body
 */

const RENEWALS = ['/oauth2/token', '/session/renew'];
const LOG_INS = ['/session', '/session/factor'];

export class Wire {
  /** @type {string | null} The newest refresh token that an answer brought. */
  refreshToken = null;
  /** When it came, milliseconds of `performance.now()`. */
  refreshTokenAt = 0;
  /** @type {((seen: Seen) => void) | null} */
  #lost = null;
  /** @type {((seen: Seen) => void)[]} */
  #waiting = [];

  /** The next answer that renews does not arrive: resolves with what it would have brought. @returns {Promise<Seen>} */
  loseNext() {
    return new Promise((resolve) => { this.#lost = resolve; });
  }

  /** Every answer arrives again. */
  loseNothing() { this.#lost = null; }

  /** The next answer to a renewal that arrives. @returns {Promise<Seen>} */
  nextRenewal() {
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** @type {typeof fetch} */
  fetch = async (input, init) => {
    const request = new Request(input, init);
    const path = new URL(request.url).pathname;
    const renews = request.method === 'POST' && RENEWALS.includes(path) && !(await form(request)).has('resource');
    if (!renews && !LOG_INS.includes(path)) return fetch(request);
    const answer = await fetch(request);
    const body = await answer.clone().json().catch(() => ({}));
    const seen = { status: answer.status, body };
    if (renews && answer.status === 200 && this.#lost) {
      const lost = this.#lost;
      this.#lost = null;
      lost(seen);
      throw new TypeError('the connection broke off before the answer came');
    }
    if (body.refresh_token) [this.refreshToken, this.refreshTokenAt] = [body.refresh_token, performance.now()];
    if (renews) this.#waiting.splice(0).forEach((resolve) => resolve(seen));
    return answer;
  };
}

/** The parameters of a request; none where it is no form. @param {Request} request */
async function form(request) {
  const typed = request.headers.get('Content-Type')?.startsWith('application/x-www-form-urlencoded');
  return new URLSearchParams(typed ? await request.clone().text() : '');
}
