// The application's own users, in the place of a table of yours. Keeps no password, only what one can be checked against.

import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';

import { Limit } from './limit.js';
import { Refused } from './refusal.js';

/** @typedef {{ id: string, nickname: string, phone: string | null }} User */

const hash = /** @type {(password: string, salt: Buffer, bytes: number) => Promise<Buffer>} */ (promisify(scrypt));
const HASH_BYTES = 32;

/** For everybody to know. */
const DEMO = { identifier: 'grace@example.test', password: 'nanoseconds of wire 1952' };

export class Users {
  /** @type {Map<string, { user: User, salt: Buffer, hash: Promise<Buffer> }>} */ #all = new Map();
  #tries = new Limit({ tries: 10, windowMs: 15 * 60_000 });
  demo = DEMO;

  constructor() {
    this.#add(DEMO, { id: '1906', nickname: 'grace', phone: null });
  }

  /** @param {typeof DEMO} credentials @param {User} user */
  #add({ identifier, password }, user) {
    const salt = randomBytes(16);
    this.#all.set(identifier, { user, salt, hash: hash(password, salt, HASH_BYTES) });
  }

  /**
   * Who it is, if the password is theirs. Somebody unknown takes as long as somebody known.
   * @param {string} identifier
   * @param {string} password
   * @returns {Promise<User>}
   * @throws {Refused} `invalid_grant`, or `slow_down` after ten tries in fifteen minutes
   */
  async check(identifier, password) {
    const name = identifier.trim().toLowerCase();
    this.#tries.take(name);
    const known = this.#all.get(name);
    const [tried, right] = await Promise.all([hash(password, known?.salt ?? Buffer.alloc(16), HASH_BYTES), known?.hash]);
    if (!known || !right || !timingSafeEqual(tried, right)) throw new Refused(401, 'invalid_grant');
    this.#tries.forget(name);
    return known.user;
  }

  /** @param {string} id @param {Partial<User>} change */
  change(id, change) {
    for (const { user } of this.#all.values()) if (user.id === id) Object.assign(user, change);
  }
}
