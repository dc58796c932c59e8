// The one token of the `Authorization` header (RFC 6750 section 2.1). Knows nothing of what it says.

import { RemintError } from './errors.js';

/**
 * Another scheme is no token at all: section 3.1 wants a challenge without an error then.
 * @param {string[]} rawHeaders names and values in turn, as Node's `rawHeaders`
 * @returns {string | null} null where there is none
 * @throws {RemintError} `request_malformed`
 */
export function bearer(rawHeaders) {
  const lines = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    if (rawHeaders[at].toLowerCase() === 'authorization') lines.push(rawHeaders[at + 1]);
  }
  if (lines.length === 0) return null;
  if (lines.length > 1) throw new RemintError('request_malformed');
  const [, scheme, rest] = /^([^ ]*)(?: (.*))?$/s.exec(lines[0]) ?? [];
  if (scheme.toLowerCase() !== 'bearer') return null;
  // Each character can be of one class only: what is sent costs no more than it is long.
  const token = /^ *([A-Za-z0-9\-._~+/]+=*) *$/.exec(rest ?? '')?.[1];
  if (token === undefined) throw new RemintError('request_malformed');
  return token;
}
