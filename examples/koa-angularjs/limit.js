// So many tries in so much time, for each key. Lives in memory: with several servers it belongs into what they share.

import { Refused } from './refusal.js';

const MAX_KEYS = 10_000;

export class Limit {
  /** @type {Map<string, { left: number, until: number }>} */ #taken = new Map();

  /** @param {{ tries: number, windowMs: number, now?: () => number }} options `now` in milliseconds */
  constructor({ tries, windowMs, now = Date.now }) {
    this.tries = tries;
    this.windowMs = windowMs;
    this.now = now;
  }

  /** Counts one, before it is made. @param {string} key @throws {Refused} `slow_down`, where none is left */
  take(key) {
    const at = this.now();
    for (const [old, { until }] of this.#taken) {
      if (until > at && this.#taken.size < MAX_KEYS) break; // the oldest stand first
      this.#taken.delete(old);
    }
    const counted = this.#taken.get(key) ?? { left: this.tries, until: at + this.windowMs };
    if (counted.left === 0) throw new Refused(429, 'slow_down', Math.ceil((counted.until - at) / 1000));
    this.#taken.set(key, { ...counted, left: counted.left - 1 });
  }

  /** It went well. @param {string} key */
  forget(key) {
    this.#taken.delete(key);
  }
}
