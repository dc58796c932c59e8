/**
 * Which requests may carry the token: those to the APIs that the page has named, and no others. Compares parsed URLs
 * from their beginning: `https://api.example.com.evil.test` is not `https://api.example.com`.
 */

/**
 * A matcher of URLs. A string is an origin or a URL prefix, cut at a slash: `https://api.test/v1` covers `/v1` and
 * `/v1/me`, not `/v10`. A RegExp must match all of the origin, `https://eu.api.test`, and sees nothing else: what it would find
 * in a path, anybody can write there.
 * @param {(string | RegExp)[]} apis
 * @param {string | undefined} base What relative URLs are relative to; without it they match nothing.
 * @returns {(url: string) => boolean}
 * @throws {TypeError} One of the `apis` is no URL.
 */
export const matcher = (apis, base) => {
  const rules = apis.map((api) => (api instanceof RegExp ? api : new URL(api, base).href.replace(/\/?$/, '/')));
  return (text) => {
    try {
      const { href, origin } = new URL(text, base);
      // What hides its host, as `blob:` and `https://user@host` do, is nobody's.
      return href.startsWith(`${origin}/`) && rules.some((rule) => covers(rule, href, origin));
    } catch {
      return false; // the request will fail by itself
    }
  };
};

/** @param {string | RegExp} rule @param {string} href @param {string} origin */
const covers = (rule, href, origin) =>
  typeof rule === 'string'
    ? `${href.split(/[?#]/)[0]}/`.startsWith(rule)
    : new RegExp(`^(?:${rule.source})$`, rule.flags).test(origin);
