// Requests to the issuer: bounded in time and size, never redirected, nothing of them in an error. Decides nothing.

/** @typedef {typeof globalThis.fetch} Fetch */
/** @typedef {{ id: string, secret: string }} Credential */

/** RFC 6749 section 2.3.1: both are form-encoded first. @param {Credential} credential */
export function basic({ id, secret }) {
  const encoded = [id, secret].map((text) => new URLSearchParams({ _: text }).toString().slice(2)).join(':');
  return `Basic ${Buffer.from(encoded).toString('base64')}`;
}

/**
 * As {@link basic}, of a credential that is checked, and that nothing prints from then on.
 * @param {Credential} credential
 * @returns {() => string} the value of the `Authorization` header
 */
export function authorization({ id, secret }) {
  if (![id, secret].every((text) => typeof text === 'string' && text !== '')) throw new TypeError('the credential needs an id and a secret; neither may be empty');
  return () => basic({ id, secret });
}

/** @param {URL} url @param {boolean} plainHttp whether the network in between is trusted */
export function isPrivate({ protocol, hostname }, plainHttp) {
  const local = hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
  return protocol === 'https:' || (protocol === 'http:' && (local || plainHttp));
}

/** @param {string} issuer @param {boolean} plainHttp @throws {TypeError} where it is no address that secrets may be sent to */
export function checkedIssuer(issuer, plainHttp) {
  if (typeof issuer !== 'string' || !URL.canParse(issuer)) throw new TypeError('`issuer` is needed: the URL of the Remint server');
  const url = new URL(issuer);
  if (!isPrivate(url, plainHttp)) throw new TypeError('`issuer` must be https, or set `plainHttp` where the network in between is trusted');
  if (url.username || url.password || /[?#]/.test(issuer)) throw new TypeError('`issuer` must be a URL without user, query and fragment');
  return issuer;
}

/**
 * @param {Fetch} fetch
 * @param {string} url
 * @param {RequestInit} [init]
 * @param {{ timeoutMs?: number, maxBytes?: number }} [limits]
 * @returns {Promise<{ status: number, headers: Headers, bytes: Uint8Array }>}
 */
export async function request(fetch, url, init = {}, { timeoutMs = 5000, maxBytes = 1 << 20 } = {}) {
  const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(timeoutMs), ...init });
  const parts = [];
  let size = 0;
  for await (const part of /** @type {AsyncIterable<Uint8Array>} */ (/** @type {unknown} */ (answer.body ?? []))) {
    size += part.length;
    if (size > maxBytes) throw new Error(`${url} answered more than ${maxBytes} bytes`);
    parts.push(part);
  }
  return { status: answer.status, headers: answer.headers, bytes: Buffer.concat(parts) };
}

/** @param {Uint8Array} bytes @returns {any} */
export function json(bytes) {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return null;
  }
}

/** Seconds of `Cache-Control: max-age`, where it says so. @param {Headers} headers */
export function maxAge(headers) {
  const found = /(?:^|,)\s*max-age=(\d+)/i.exec(headers.get('cache-control') ?? '');
  return found ? Number(found[1]) : undefined;
}

/** So that many guards do not come at once: a tenth more or less. @param {number} ms */
export const jittered = (ms) => ms * (0.9 + Math.random() * 0.2);
