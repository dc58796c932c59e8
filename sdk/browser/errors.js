/** The error that the calls of `account.js` reject with. Holds no token, no code and no challenge. */

import { challenged, retryAfter } from './wire.js';

/** The server said no, or did not answer. */
export class RemintError extends Error {
  /** @param {import('./wire.js').Answer} [answer] None where there was none. */
  constructor(answer) {
    const { error, error_description } = answer?.body ?? {};
    const code = error ?? (answer ? `${answer.status}` : 'no_answer');
    super(error_description ?? code);
    this.name = 'RemintError';
    /** The server's `error` (RFC 6749 section 5.2, RFC 6750 section 3.1), or `no_answer`. @type {string} */
    this.code = code;
    /** The HTTP status; 0 where there was no answer. */
    this.status = answer?.status ?? 0;
    /** When to try again, milliseconds, where the server said so (`Retry-After`); else 0. */
    this.retryAfterMs = retryAfter(answer);
    /** With `insufficient_user_authentication`: how recent a log-in must be, seconds (RFC 9470); else 0. */
    this.maxAge = Number(challenged(answer?.headers.get('WWW-Authenticate'), 'max_age')) || 0;
  }
}
