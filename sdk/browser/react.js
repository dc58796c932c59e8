/**
 * React: the session as hooks. It is made outside of React, once, so that a component that is mounted twice makes no
 * second one. It is handed React, so that this package needs none of its own.
 */

/**
 * @template {import('./wire.js').BaseClaims} C
 * @param {import('./session.js').Remint<C>} remint
 * @param {{ useSyncExternalStore: (subscribe: any, snapshot: any, server: any) => any }} React
 */
export const hooks = (remint, { useSyncExternalStore }) => {
  /** Nobody is known on a server that renders. */
  const server = /** @type {import('./session.js').Snapshot<C>} */ ({ status: 'loading', claims: null });

  /** Status and claims: rendered anew when one of them changes. @returns {import('./session.js').Snapshot<C>} */
  const useSession = () => useSyncExternalStore(remint.subscribe, remint.snapshot, () => server);
  /**
   * One claim, or what is made of them: rendered anew only when that changes.
   * @template T
   * @param {(claims: C) => T} choose Of a value that can be compared with `Object.is`.
   * @returns {T | null} `null` where nobody is signed in.
   */
  const useClaims = (choose) => {
    const chosen = () => (remint.claims ? choose(remint.claims) : null);
    return useSyncExternalStore(remint.subscribe, chosen, () => null);
  };
  /** @param {{ children?: any, fallback?: any }} props `fallback` stands where nobody is signed in. */
  const SignedIn = ({ children = null, fallback = null }) => (useSession().claims ? children : fallback);
  return { useSession, useClaims, SignedIn };
};
