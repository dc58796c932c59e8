// Why a request is not served, and the one table from cause to answer (RFC 6750 section 3, RFC 9470 section 3): the same
// causes and the same words as the guard for Rust. An answer never quotes a token or a claim.

/** @typedef {'token_missing'|'request_malformed'|'token_malformed'|'token_expired'|'token_not_yet_valid'|'bad_signature'|'unknown_key'|'wrong_audience'|'wrong_issuer'|'token_bound'|'session_ended'|'token_revoked'|'token_inactive'|'key_withdrawn'|'stale_claims'|'client_changed'|'insufficient_scope'|'step_up_required'|'denied'|'feed_lagging'|'keys_unavailable'} Code */

const INVALID = 'invalid_token';

/** Status, error code of the RFC where there is one, and text; a text of its own may take the place of the last. @type {Record<Code, [number, string | null, string]>} */
const WIRE = {
  token_missing: [401, null, 'a bearer token is needed'],
  request_malformed: [400, 'invalid_request', 'send exactly one Authorization header: Bearer and one token'],
  token_malformed: [401, INVALID, 'the token cannot be accepted'],
  token_expired: [401, INVALID, 'expired'],
  token_not_yet_valid: [401, INVALID, 'not yet valid'],
  bad_signature: [401, INVALID, 'bad signature'],
  unknown_key: [401, INVALID, 'signed by a key that the issuer does not publish'],
  wrong_audience: [401, INVALID, 'wrong audience'],
  wrong_issuer: [401, INVALID, 'wrong issuer'],
  token_bound: [401, INVALID, 'bound to a key (cnf): not a plain bearer token'],
  session_ended: [401, INVALID, 'session ended'],
  token_revoked: [401, INVALID, 'token revoked'],
  token_inactive: [401, INVALID, 'the token is not active any more'],
  key_withdrawn: [401, INVALID, 'signed by a key that was withdrawn'],
  stale_claims: [401, INVALID, 'stale claims'],
  client_changed: [401, INVALID, 'stale claims'],
  insufficient_scope: [403, 'insufficient_scope', 'the token lacks a scope'],
  step_up_required: [401, 'insufficient_user_authentication', 'log in again, or with a stronger proof'],
  denied: [403, null, 'denied'],
  feed_lagging: [503, null, 'cannot tell at the moment whether sessions have ended'],
  keys_unavailable: [503, null, "the issuer's keys cannot be had at the moment"],
};

/** A refusal by name. `code` is the stable word for programs, `status` the HTTP status. */
export class RemintError extends Error {
  /**
   * @param {Code} code
   * @param {{ text?: string, renew?: number, scope?: string, acrValues?: string, maxAge?: number, reason?: string }} [more]
   *   `text` in the place of the table's; `renew` is the least `cv` of the next token; `maxAge` in seconds; `reason`
   *   why a session ended.
   */
  constructor(code, more = {}) {
    const [status, error, text] = WIRE[code];
    super(more.text ?? text);
    this.name = 'RemintError';
    this.code = code;
    this.status = status;
    /** The error code of RFC 6750 section 3.1 or RFC 9470 section 3, where there is one. */
    this.error = error;
    this.renew = more.renew;
    this.reason = more.reason;
    this.more = more;
  }

  /** Koa's word for "the message may be sent". */
  get expose() {
    return true;
  }

  /** The challenge of RFC 6750 section 3, where there is one. @returns {string | null} */
  challenge() {
    if (!this.error) return this.code === 'token_missing' ? 'Bearer' : null;
    let challenge = `Bearer error="${this.error}", error_description="${quotable(this.message)}"`;
    const { scope, acrValues, maxAge } = this.more;
    if (scope !== undefined) challenge += `, scope="${quotable(scope)}"`;
    if (acrValues) challenge += `, acr_values="${quotable(acrValues)}"`;
    if (maxAge !== undefined) challenge += `, max_age="${Math.floor(maxAge)}"`;
    return challenge;
  }

  /** The headers of the answer, in lower case. @returns {Record<string, string>} */
  headers() {
    /** @type {Record<string, string>} */
    const headers = { 'content-type': 'application/problem+json', 'cache-control': 'no-store' };
    const challenge = this.challenge();
    if (challenge) headers['www-authenticate'] = challenge;
    if (this.status === 503) headers['retry-after'] = '1';
    if (this.renew !== undefined) headers['remint-renew'] = String(this.renew);
    return headers;
  }

  /** The body of the answer, a problem document (RFC 9457). */
  problem() {
    return { title: this.message, status: this.status, code: this.code };
  }
}

/** What RFC 6750 section 3 allows in a quoted string. @param {string} text */
function quotable(text) {
  return text.replaceAll(/["`]/g, "'").replaceAll(/[^\x20-\x5b\x5d-\x7e]/g, '_');
}

/** @param {string} text */
export const malformed = (text) => new RemintError('token_malformed', { text });
