// Cross-origin answers for APIs that pages call: without the names listed here a browser hides the new token, the reason of
// a refusal and the time to wait from the page. Cookies are not allowed.

/** The response headers that the browser library reads. */
export const EXPOSED = ['Remint-Token', 'Remint-Renew', 'WWW-Authenticate', 'Retry-After'];

/** @param {string[]} origins @returns {string[]} @throws {TypeError} where one of them is none */
export function checkedOrigins(origins) {
  if (!Array.isArray(origins)) throw new TypeError('`origins` must be an array of origins');
  for (const origin of origins) {
    if (typeof origin !== 'string' || !URL.canParse(origin) || new URL(origin).origin !== origin) {
      throw new TypeError(`\`${origin}\` is no origin: write scheme://host[:port], without a path and without wildcards`);
    }
  }
  return origins;
}

/**
 * The headers for a request, null where its origin may not call.
 * @param {string[]} origins exactly as browsers send them: `scheme://host[:port]`
 * @returns {(method: string, origin: string | undefined, asks: string | undefined) => { preflight: boolean, headers: Record<string, string> } | null}
 * @throws {TypeError} where one of them is none
 */
export function corsHeaders(origins) {
  checkedOrigins(origins);
  return (method, origin, asks) => {
    if (origin === undefined || !origins.includes(origin)) return null;
    const headers = { 'access-control-allow-origin': origin };
    if (method !== 'OPTIONS' || asks === undefined) {
      return { preflight: false, headers: { ...headers, 'access-control-expose-headers': EXPOSED.join(', ') } };
    }
    const allowed = { 'access-control-allow-methods': 'GET, HEAD, POST, PUT, PATCH, DELETE', 'access-control-allow-headers': 'authorization, content-type, accept' };
    return { preflight: true, headers: { ...headers, ...allowed, 'access-control-max-age': '600' } };
  };
}
