/**
 * The page's clock: what has passed, by whichever of the browser's two clocks says more. `performance.now()` stands
 * still while some machines sleep, `Date.now()` jumps when somebody sets it; only their differences are used. Never
 * compares a time of the server with one of this machine.
 */

/** @typedef {import('./host.js').Host} Host */

/**
 * A clock that starts at `Date.now()` and never runs backwards. A machine's clock set forward makes it run ahead: then a
 * token is renewed early, and nothing else happens.
 * @param {Pick<Host, 'Date' | 'performance'>} host
 * @returns {() => number} Milliseconds.
 */
export const clock = (host) => {
  let wall = host.Date.now();
  let ticks = host.performance.now();
  let at = wall;
  return () => {
    const [wallNow, ticksNow] = [host.Date.now(), host.performance.now()];
    at += Math.max(wallNow - wall, ticksNow - ticks, 0);
    [wall, ticks] = [wallNow, ticksNow];
    return at;
  };
};
