/**
 * One request to the server, and what its answer means. Keeps no token and repeats nothing; no error made here holds a
 * token, a code or a challenge.
 */

/** @typedef {import('./host.js').Host} Host */
/** @typedef {import('./timeline.js').EndReason} EndReason */

/**
 * The claims of an access token (RFC 9068) as a page sees them, beside those that the client's mapping adds. They are
 * read and not verified: what they allow is for an API to decide, not for a page.
 * @typedef {object} BaseClaims
 * @property {string} sub The user.
 * @property {string} sid The session.
 * @property {number} cv The version of the user record; it rises with each change of it.
 * @property {number} [iat] When it was minted, seconds, by the server's clock. None under the policy `cookie`.
 * @property {number} [exp] When it ends, likewise.
 * @property {string} [aud] Whom it is for. None under the policy `cookie`.
 * @property {string} [client_id]
 * @property {string} [scope]
 * @property {number} [auth_time] When the person last proved who they are, seconds.
 * @property {string[]} [amr] How (RFC 8176).
 */

/** @typedef {{ status: number, headers: Headers, body: Record<string, any> }} Answer `body`: empty where there is no JSON. */

/** How long an answer may take, milliseconds: the server counts on it where it decides what a lost answer is. */
export const TIMEOUT_MS = 10_000;

/** @param {{ headers: Headers }} [answer] @returns {number} Milliseconds; 0 where it says nothing. */
export const retryAfter = (answer) => 1000 * /** @type {any} */ (answer?.headers.get('Retry-After')) || 0;

/** How long to wait after so many failures, milliseconds: ever longer, up to a minute. @param {Host} host @param {number} failures */
export const backOff = (host, failures) => Math.min(60_000, 1000 * 2 ** failures) * (0.5 + host.Math.random() / 2);

/**
 * Sends and waits, for ten seconds at most.
 * @param {Host} host
 * @param {string} url
 * @param {RequestInit} init
 * @returns {Promise<Answer | undefined>} Nothing where no answer came: offline, cut off, or too late.
 */
export const ask = async (host, url, init) => {
  try {
    const signal = host.AbortSignal.timeout(TIMEOUT_MS);
    const answer = await host.fetch(url, { ...init, cache: 'no-store', redirect: 'error', signal });
    return { status: answer.status, headers: answer.headers, body: Object(await answer.json().catch(() => 0)) };
  } catch {} // none came
};

/**
 * The claims of a token, unverified; nothing where it is no token of a session.
 * @param {string | null | undefined} token
 * @returns {any}
 */
export const decode = (token) => {
  try {
    const text = atob(/** @type {string} */ (token).split('.')[1].replace(/-/g, '+').replace(/_/g, '/'));
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(text, (c) => c.charCodeAt(0))));
    return claims.sid && claims;
  } catch {} // it is none
};

/**
 * Whether `a` is staler than `b`: by the version of the record, then by the minting; never by the time of arrival.
 * @param {BaseClaims} a
 * @param {BaseClaims} b
 */
export const staler = (a, b) => a.cv < b.cv || (a.cv === b.cv && /** @type {number} */ (a.iat) < /** @type {number} */ (b.iat));

/**
 * The server's word that a session is over. Only a refusal of the proof itself can be one: `invalid_grant` for a refresh
 * token (RFC 6749 section 5.2), `invalid_token` for a token or cookie (RFC 6750 section 3.1), `invalid_client` for a
 * client that is disabled. All else (429, 5xx, 403 for an origin, a request that it cannot read, no answer) ends nothing.
 *
 * `sure`: the server names the end of the session itself, and every tab may go by it. Otherwise it only does not take what
 * was presented: a token that ran out, a cookie that a new log-in has replaced, no cookie. Another tab may have better, so
 * whoever hears this asks around and presents once more before it believes.
 * @param {Answer} answer
 * @returns {{ reason: EndReason, sure: boolean } | undefined}
 */
export const verdict = ({ body: { error, error_description: said } }) => {
  const [sure, word] = /^session ended: ([a-z-]+)$|session has expired$|is disabled$|no such user$/.exec(said) ?? [];
  if (!/^invalid_(token|grant|client)$/.test(error) || (error === 'invalid_client' && !sure)) return undefined;
  const reason = word ?? (/expired$/.test(said) ? 'expired' : sure ? 'disabled' : 'unknown');
  return { reason: /** @type {EndReason} */ (reason), sure: !!sure };
};

/**
 * A field of a Bearer challenge (RFC 6750 section 3, RFC 9470 section 3).
 * @param {string | null | undefined} challenge `WWW-Authenticate`.
 * @param {'error' | 'acr_values' | 'max_age'} name
 */
export const challenged = (challenge, name) =>
  new RegExp(`\\b${name}="?([^",]+)`, 'i').exec(/** @type {string} */ (challenge))?.[1];
