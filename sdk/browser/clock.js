/**
 * The page's clock: what has passed, by whichever of the browser's two clocks says more. `performance.now()` stands
 * still while some machines sleep, `Date.now()` jumps when somebody sets it; only their differences are used. Never
 * compares a time of the server with one of this machine.
 */

/** @typedef {import('./host.js').Host} Host */

/** So far apart, one of the two was set or stood still: from then on both are counted anew. Less is rounding, milliseconds. */
const APART_MS = 1_000;

/**
 * A clock that starts at `Date.now()`, when it is first looked at, and never runs backwards. However often it is looked at,
 * it gains no more than the rounding of one look. A machine's clock set forward makes it run ahead: then a token is renewed
 * early, and nothing else happens.
 * @param {Pick<Host, 'Date' | 'performance'>} host
 * @returns {() => number} Milliseconds.
 */
export const clock = (host) => {
  let [at, fromWall, fromTicks] = [0, 0, 0];
  return () => {
    const [wall, ticks] = [host.Date.now(), host.performance.now()];
    const [byWall, byTicks] = [wall + fromWall, ticks + fromTicks];
    at = Math.max(at, byWall, byTicks);
    if (Math.abs(byWall - byTicks) > APART_MS) [fromWall, fromTicks] = [at - wall, at - ticks];
    return at;
  };
};
