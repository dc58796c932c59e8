// Codes by which a person proves that a phone number is theirs: six digits, for the session that asked, good for ten minutes,
// five tries and one use. Sends nothing.

import { randomInt, timingSafeEqual } from 'node:crypto';

import { Refused } from './refusal.js';

const LIFE_MS = 10 * 60_000;
const TRIES = 5;
const MAX_OPEN = 10_000;

/** A number in E.164, written with blanks and the like. @param {string} typed @throws {Refused} `invalid_request` */
export function parseNumber(typed) {
  const number = typed.replaceAll(/[\s().-]/g, '');
  if (!/^\+[1-9]\d{7,14}$/.test(number)) throw new Refused(400, 'invalid_request');
  return number;
}

export class Codes {
  /** By session. @type {Map<string, { number: string, code: string, until: number, tries: number }>} */ #open = new Map();

  /** @param {() => number} [now] milliseconds */
  constructor(now = Date.now) {
    this.now = now;
  }

  /** A new code takes the place of the one before. @param {string} sid @param {string} number */
  make(sid, number) {
    const code = String(randomInt(1_000_000)).padStart(6, '0');
    this.#open.delete(sid);
    if (this.#open.size >= MAX_OPEN) this.#open.delete(this.#open.keys().next().value ?? '');
    this.#open.set(sid, { number, code, until: this.now() + LIFE_MS, tries: 0 });
    return code;
  }

  /**
   * The number that the code proves; it is used up.
   * @param {string} sid
   * @param {string} typed
   * @throws {Refused} `invalid_code`: try again; `invalid_challenge`: ask for a new one
   */
  take(sid, typed) {
    const open = this.#open.get(sid);
    if (!open || this.now() >= open.until || open.tries++ >= TRIES) throw new Refused(400, 'invalid_challenge');
    const [tried, right] = [Buffer.from(typed.trim()), Buffer.from(open.code)];
    if (tried.length !== right.length || !timingSafeEqual(tried, right)) throw new Refused(400, 'invalid_code');
    this.#open.delete(sid);
    return open.number;
  }
}
