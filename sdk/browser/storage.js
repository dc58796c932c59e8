/**
 * Keeps the tokens in `sessionStorage`, so that a reload does not sign out. An explicit choice, with a risk: any script of
 * the origin can read them at any time, so that one injected script walks away with tokens that work elsewhere; and a tab
 * that is duplicated takes a copy along. A refresh token in a cookie has neither fault. Never uses `localStorage`.
 */

/**
 * For the option `keeper`.
 * @param {string} [key] Under which name; another one for each client of an origin.
 * @param {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} [storage] For tests.
 * @returns {import('./session.js').Keeper}
 */
export const inSessionStorage = (key = 'remint', storage = globalThis.sessionStorage) => ({
  load: () => {
    const grant = JSON.parse(storage.getItem(key) ?? 'null');
    // The page's clock starts at Date.now(): where that was set back since, nothing counts as passed.
    return grant && { ...grant, now: Math.max(grant.now, Date.now()) };
  },
  save: (grant) => (grant ? storage.setItem(key, JSON.stringify(grant)) : storage.removeItem(key)),
});
