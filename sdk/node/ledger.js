// A guard's memory of the feed: what it must know to refuse tokens that would verify. Forgets when no token that is
// concerned can still be alive. Events may come twice and in any order. Never reads a clock, never does IO.

/** How many things are remembered at most. */
export const MAX_ENTRIES = 4_000_000;
/** So many seconds longer than the feed says an entry is kept: the longest leeway that a verifier may grant. */
export const MAX_LEEWAY = 60;
const SHELF_SECONDS = 64;

/**
 * An event of the feed. `forget_after` is in microseconds since the epoch.
 * @typedef {{ type: string, forget_after: number, sub?: string, sid?: string, client_id?: string, jti?: string, kid?: string,
 *   cv?: number, pv?: number, reason?: string }} FeedEvent
 */

/**
 * @typedef {{ kind: 'good' } | { kind: 'stale', need: number } | { kind: 'client_changed' } | { kind: 'ended', reason: string }
 *   | { kind: 'token_ended' } | { kind: 'key_withdrawn' }} Verdict
 */

/** @typedef {{ until: number, least?: number, dead?: number, reason?: string }} Entry */

/** Later words count as graver: what is told of a session that ended twice is always the same. */
const REASONS = ['logout', 'revoked', 'theft', 'disabled', 'password-changed', 'everywhere'];
/** @param {string | undefined} reason */
const gravity = (reason) => REASONS.indexOf(reason ?? '');

const GOOD = /** @type {const} */ ({ kind: 'good' });

/** What a guard must know, for one audience. */
export class Ledger {
  /** @type {Map<string, Entry>} */ #users = new Map();
  /** @type {Map<string, Entry>} */ #sessions = new Map();
  /** @type {Map<string, Entry>} */ #clients = new Map();
  /** @type {Map<string, Entry>} */ #tokens = new Map();
  /** @type {Map<string, Entry>} */ #keys = new Map();
  /** Each entry is filed once, on a shelf not after its `until`. @type {Map<number, [Map<string, Entry>, string][]>} */
  #calendar = new Map();

  get size() {
    return this.#users.size + this.#sessions.size + this.#clients.size + this.#tokens.size + this.#keys.size;
  }

  /**
   * Learns what happened.
   * @param {FeedEvent} event
   * @returns {boolean} false where the event is of a type that is not known, or not of its form
   * @throws {RangeError} where there is no room
   */
  apply(event) {
    if (typeof event?.forget_after !== 'number' || !Number.isFinite(event.forget_after)) return false;
    const until = event.forget_after / 1e6 + MAX_LEEWAY;
    switch (event.type) {
      case 'claims-changed':
        return isNumber(event.cv) && this.#keep(this.#users, event.sub, { until, least: event.cv });
      case 'user-ended':
        return isNumber(event.cv) && this.#keep(this.#users, event.sub, { until, least: event.cv, dead: event.cv, reason: event.reason });
      case 'session-ended':
        return this.#keep(this.#sessions, event.sid, { until, reason: event.reason });
      case 'client-changed':
        return isNumber(event.pv) && this.#keep(this.#clients, event.client_id, { until, least: event.pv });
      case 'token-ended':
        return this.#keep(this.#tokens, event.jti, { until });
      case 'key-withdrawn':
        return this.#keep(this.#keys, event.kid, { until });
      default:
        return false;
    }
  }

  /** @param {Map<string, Entry>} map @param {string | undefined} key @param {Entry} entry */
  #keep(map, key, entry) {
    if (typeof key !== 'string' || key === '') return false;
    const known = map.get(key);
    if (known) {
      join(known, entry);
      return true;
    }
    if (this.size >= MAX_ENTRIES) throw new RangeError(`the ledger holds ${MAX_ENTRIES} entries and takes no more`);
    map.set(key, entry);
    this.#file(map, key, entry.until);
    return true;
  }

  /** @param {Map<string, Entry>} map @param {string} key @param {number} until */
  #file(map, key, until) {
    const at = shelf(until);
    const filed = this.#calendar.get(at);
    if (filed) filed.push([map, key]);
    else this.#calendar.set(at, [[map, key]]);
  }

  /**
   * What is known of a token that verified. The gravest first: an end is never reported as a change.
   * @param {import('./token.js').Claims} claims
   * @param {string | undefined} kid the key that signed it
   * @returns {Verdict}
   */
  judge(claims, kid) {
    if (this.#keys.size && kid !== undefined && this.#keys.has(kid)) return { kind: 'key_withdrawn' };
    if (this.#tokens.size && this.#tokens.has(claims.jti)) return { kind: 'token_ended' };
    const { sid, cv } = claims;
    const hasSession = sid !== undefined && cv !== undefined;
    const session = hasSession ? this.#sessions.get(sid) : undefined;
    if (session) return { kind: 'ended', reason: session.reason ?? 'revoked' };
    const user = hasSession ? this.#users.get(claims.sub) : undefined;
    if (user?.dead !== undefined && Number(cv) < user.dead) return { kind: 'ended', reason: user.reason ?? 'revoked' };
    const client = this.#clients.size ? this.#clients.get(claims.client_id) : undefined;
    if (client && (claims.pv ?? 0) < Number(client.least)) return { kind: 'client_changed' };
    if (user && Number(cv) < Number(user.least)) return { kind: 'stale', need: Number(user.least) };
    return GOOD;
  }

  /**
   * Forgets what no living token is concerned by.
   * @param {number} now seconds
   */
  forget(now) {
    for (const [at, filed] of this.#calendar) {
      if (at >= shelf(now)) continue;
      this.#calendar.delete(at);
      for (const [map, key] of filed) {
        const entry = map.get(key);
        if (entry && entry.until > now) this.#file(map, key, entry.until);
        else map.delete(key);
      }
    }
  }
}

/** Both, in whatever order they came. @param {Entry} known @param {Entry} other */
function join(known, other) {
  known.until = Math.max(known.until, other.until);
  if (other.least !== undefined) known.least = Math.max(known.least ?? 0, other.least);
  const later = other.dead !== undefined && (known.dead === undefined || other.dead > known.dead);
  const graver = other.dead === known.dead && gravity(other.reason) > gravity(known.reason);
  if (later) known.dead = other.dead;
  if (later || graver) known.reason = other.reason;
}

/** @param {number} at seconds */
const shelf = (at) => Math.floor(at / SHELF_SECONDS);
/** @param {unknown} value @returns {value is number} */
const isNumber = (value) => Number.isSafeInteger(value);
