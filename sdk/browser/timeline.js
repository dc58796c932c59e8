/**
 * What happened to the session of this page, as a bounded list: `remint.timeline()` returns it, `<remint-lifeline>`
 * draws it. Records times, versions and causes; never a token, never a claim's value.
 *
 * The clock: `at` is in milliseconds since the epoch, but of a clock that never runs backwards. It is `Date.now()` of
 * the moment when the page made its `remint`, plus what has passed since. `remint.now()` is the same clock's present:
 * draw the moving "now" with that and not with `Date.now()`, which the person can set. What lies ahead is given as
 * milliseconds from `at` (`left_ms`, `idle_in_ms` ...), so no entry has to be compared with another clock.
 */

/**
 * A token came into this page. Draw a bar from `at + left_ms - life_ms` (its minting) to `at + left_ms` (its end).
 * Under the policy `cookie` there is no token: the entry stands for the claims that the page was told, and the bar is
 * the time to the idle limit.
 * @typedef {object} Minted
 * @property {number} at When the page got it.
 * @property {'minted'} type
 * @property {'access' | 'page'} kind `page`: policy `cookie`, claims without a token.
 * @property {number} iat When the server minted it: seconds since the epoch by the server's clock, rounded down to its
 *   quantum (5 s). The same `iat` and `cv` twice is the same token. 0 under the policy `cookie`.
 * @property {number} life_ms Its whole life (`exp - iat`).
 * @property {number} left_ms What was left of it at `at`.
 * @property {number} renew_in_ms When this page means to renew it, from `at`: about half of its life, with jitter. Equal
 *   to `left_ms` where nothing renews it (policy `fixed`).
 * @property {number} cv The version of the user record that it shows.
 * @property {MintedBy} by How it came here.
 */

/**
 * `login`: a log-in. `this-tab`: this tab renewed. `other-tab`: another tab of the browser did, and shared it.
 * `response-header`: an API sent `Remint-Token`. `change`: the answer to a change of the record that was made here.
 * `storage`: kept in `sessionStorage` over a reload.
 * @typedef {'login' | 'this-tab' | 'other-tab' | 'response-header' | 'change' | 'storage'} MintedBy
 */

/**
 * A renewal by this tab that brought nothing new. (One that did shows as {@link Minted}.)
 * @typedef {object} Renewal
 * @property {number} at When it was over.
 * @property {'renewal'} type
 * @property {'kept' | 'repeated' | 'late' | 'lost' | 'failed'} outcome `kept`: the server says that what the page has is
 *   good (204). `repeated`: the same token once more, as tabs that race get it. `late`: an answer that came after a
 *   newer one, or after the end, and was not taken. `lost`: no answer came (offline, cut off, 10 s over). `failed`: the
 *   server answered an error; the session goes on.
 * @property {boolean} interactive Whether it counted as use by a person; a renewal by timer does not.
 * @property {number} took_ms From the request to its outcome.
 * @property {number} [status] The HTTP status; with `failed`.
 * @property {string} [error] The error code of the answer, as `temporarily_unavailable`, or `no_answer`; with `lost` and
 *   `failed`.
 * @property {number} [retry_in_ms] When this page will try again, from `at`; with `lost` and `failed`.
 */

/**
 * The claims became others: the user record changed.
 * @typedef {object} ClaimsChanged
 * @property {number} at
 * @property {'claims-changed'} type
 * @property {number} cv The version now.
 * @property {string[]} changed The names of the claims that differ, never their values.
 */

/**
 * The walls of the session, as far as the server has told them. Newer entries replace older ones.
 * @typedef {object} Limits
 * @property {number} at
 * @property {'limits'} type
 * @property {number} idle_in_ms Without use by a person the session ends then, from `at`.
 * @property {number} absolute_in_ms The session ends then whatever happens, from `at`. Its place never moves.
 */

/**
 * The session ended. Entries after it are of another one.
 * @typedef {object} Ended
 * @property {number} at
 * @property {'ended'} type
 * @property {EndReason} reason
 */

/**
 * The server's words for why a session ended.
 * @typedef {'logout' | 'revoked' | 'theft' | 'disabled' | 'password-changed' | 'everywhere'} ServersReason
 */

/**
 * Why a session ended: in the server's words; or `expired`, a limit that passed; `replaced`, a log-in of somebody else in
 * this browser; `unknown`: the server does not take the proof any more and says no more than that (the cookie is gone, or
 * the session so long over that it is forgotten).
 * @typedef {ServersReason | 'expired' | 'replaced' | 'unknown'} EndReason
 */

/** @typedef {Minted | Renewal | ClaimsChanged | Limits | Ended} TimelineEntry */

/** The most entries that are kept; the oldest go first. */
export const MAX_ENTRIES = 500;
