/**
 * The other tabs of the browser. A lock here is a courtesy to the server, which settles races by itself: nobody waits
 * for one longer than two seconds, and no lock is needed for anything to be right.
 */

/** @typedef {import('./host.js').Host} Host */

/** How long a tab waits for another one's renewal, milliseconds. */
export const LOCK_MS = 2_000;

/**
 * Runs `task` while no other tab runs one of this name, or after two seconds beside it.
 * @template T
 * @param {Host} host
 * @param {string} name
 * @param {() => Promise<T>} task Runs once.
 * @returns {Promise<T>} What `task` gives.
 */
export const courteous = async (host, name, task) => {
  const locks = host.navigator?.locks;
  if (!locks) return task();
  /** @type {Promise<T> | undefined} */
  let begun;
  try {
    return await locks.request(name, { signal: host.AbortSignal.timeout(LOCK_MS) }, () => (begun = task()));
  } catch {
    return begun ?? task(); // waited long enough, stolen, or not allowed here
  }
};

/**
 * Runs `task` in one tab of the browser, and in another one when that goes; without Web Locks in every tab.
 * @param {Host} host
 * @param {string} name
 * @param {AbortSignal} signal Gives the place up.
 * @param {() => Promise<void>} task Ends with the signal.
 */
export const elected = (host, name, signal, task) => {
  const locks = host.navigator?.locks;
  if (!locks) return task();
  return locks.request(name, { signal }, task).catch(() => (signal.aborted ? undefined : task()));
};
