/**
 * The wire between the library and the server: hands every request on as it is, looks at the answers that bring tokens,
 * and can lose one. What it keeps of an answer is what any script in the page could have read.
 */

/**
 * @typedef {object} Seen An answer to a renewal.
 * @property {number} status
 * @property {Record<string, any> | null} body
 * @property {string | null} presented The refresh token that was sent.
 * @property {boolean} lost Whether the page never got it.
 */

export class Wire {
  /** @type {string | null} The newest refresh token that an answer brought. */
  refreshToken = null;
  /** When it came, in milliseconds of `Date.now()`. */
  refreshTokenAt = 0;
  /** @type {((seen: Seen) => void) | null} Told about each renewal. */
  onRenewal = null;
  #lose = false;

  /** The next answer to a renewal does not arrive. */
  loseNext() { this.#lose = true; }

  /** @type {typeof fetch} */
  fetch = async (input, init) => {
    const request = new Request(input, init);
    const path = new URL(request.url).pathname;
    const renews = path === '/oauth2/token' || path === '/session/renew';
    if (!renews && path !== '/session' && path !== '/session/factor') return fetch(request);
    const presented = path === '/oauth2/token' ? new URLSearchParams(await request.clone().text()).get('refresh_token') : null;
    const answer = await fetch(request);
    const body = await answer.clone().json().catch(() => null);
    const lost = renews && this.#lose && answer.ok;
    if (lost) this.#lose = false;
    else if (typeof body?.refresh_token === 'string') {
      this.refreshToken = body.refresh_token;
      this.refreshTokenAt = Date.now();
    }
    if (renews) this.onRenewal?.({ status: answer.status, body, presented, lost });
    if (lost) throw new TypeError('the connection was lost before the answer came');
    return answer;
  };
}
