// The road from a token to claims: parse, key, signature, claims, clock, ledger, in this order. A token that was verified
// before skips the first four steps, never the last two. Asks the network only for keys; and about the token itself
// where the feed is silent and its owner chose `introspect`.

import { RemintError } from './errors.js';
import { Feed } from './feed.js';
import { Keys } from './keys.js';
import { MAX_LEEWAY } from './ledger.js';
import { authorization, checkedIssuer, json, request } from './net.js';
import { checked, parse, plainBearer, timely, verified } from './token.js';

const DEFAULT_LEEWAY = 5;

/** @typedef {import('./token.js').Claims} Claims */
/** @typedef {'refuse' | 'introspect' | 'serve'} OnLag what to do while nobody can say whether sessions have ended */

/**
 * @typedef {object} VerifierOptions
 * @property {string} issuer byte for byte as its tokens name it
 * @property {string | string[]} audience of this API; exactly one where the feed is followed, which is of one audience
 * @property {{ id: string, secret: string }} [credential] of this API: with it the feed is followed, and an end is known
 *   within a second. Without it a token is good until it expires.
 * @property {'refuse' | 'hint'} [staleClaims] what becomes of a token from before the user record changed: `refuse` (the
 *   default), or serve it and say so by `Remint-Renew`
 * @property {number} [laggingMs] silence of the feed after which `onLagging` counts; 10 s
 * @property {OnLag} [onLagging] `serve`
 * @property {number} [lostMs] silence after which `onLost` counts, also before it was ever heard; 60 s
 * @property {OnLag} [onLost] `refuse`
 * @property {number} [leeway] seconds granted to clocks, 60 at most; what the issuer advises, else 5
 * @property {number} [cacheTokens] how many verified tokens are remembered; 10,000
 * @property {number} [leastIntervalMs] between two fetches of keys that tokens cause; 10 s
 * @property {boolean} [plainHttp] lets the issuer be reached without TLS beyond this machine
 * @property {typeof globalThis.fetch} [fetch]
 * @property {{ now(): number, ticks(): number }} [clock] seconds since the epoch; milliseconds that never jump
 * @property {(line: string) => void} [log] one line about keys, feed or a credential that is refused, never a token; default:
 *   `console.warn`, the same line once a minute
 */

/** @typedef {{ claims: Claims, kid: string | undefined }} Known */
/** @typedef {{ claims: Claims, stale: number | undefined }} Verified a token, found good; `stale` is the least `cv` that a new one must have */

/** The greatest that each number among the options may be. */
const MOST = { leeway: MAX_LEEWAY, laggingMs: 86_400_000, lostMs: 86_400_000, cacheTokens: 10_000_000, leastIntervalMs: 86_400_000 };

const CLOCK = { now: () => Date.now() / 1000, ticks: () => performance.now() };

/** Verifies the access tokens of one issuer for one API. */
export class Verifier {
  /** @type {Map<string, Known>} */ #cache = new Map();
  #era = 0;

  /** @param {VerifierOptions} given */
  constructor(given) {
    const { credential, ...options } = given;
    for (const [name, most] of Object.entries(MOST)) {
      const value = /** @type {any} */ (options)[name];
      if (value !== undefined && !(typeof value === 'number' && value >= 0 && value <= most)) throw new RangeError(`\`${name}\` must be a number from 0 to ${most}`);
    }
    this.issuer = checkedIssuer(options.issuer, options.plainHttp ?? false);
    this.audiences = [options.audience].flat().filter((audience) => typeof audience === 'string' && audience !== '');
    if (this.audiences.length === 0) throw new TypeError('`audience` is needed: the name of this API in its tokens');
    if (credential && this.audiences.length > 1) throw new TypeError('the feed is of one audience: make one verifier for each');
    if ((options.lostMs ?? 60_000) < (options.laggingMs ?? 10_000)) throw new RangeError('`lostMs` is below `laggingMs`: raise it');
    this.options = options;
    this.clock = options.clock ?? CLOCK;
    this.fetch = options.fetch ?? globalThis.fetch;
    this.log = harmless(options.log ?? seldom(console.warn));
    /** The `Authorization` header of this API's credential, where it has one. @type {(() => string) | null} */
    this.authorization = credential ? authorization(credential) : null;
    this.keys = new Keys({
      issuer: this.issuer, fetch: this.fetch, ticks: this.clock.ticks, leastIntervalMs: options.leastIntervalMs ?? 10_000,
      plainHttp: options.plainHttp ?? false, changed: () => this.#void(), log: this.log,
    });
    this.feed = this.authorization && this.#follow(this.authorization);
  }

  /** @param {() => string} authorization */
  #follow(authorization) {
    const { laggingMs = 10_000, lostMs = 60_000 } = this.options;
    return new Feed({
      issuer: this.issuer, audience: this.audiences[0], authorization, fetch: this.fetch, now: this.clock.now, ticks: this.clock.ticks,
      laggingMs, lostMs, renewed: () => this.#void(), log: this.log,
      event: (event) => event.type === 'key-withdrawn' && event.kid && this.keys.withdrawn(event.kid),
    });
  }

  /**
   * @param {string} token
   * @returns {Promise<Verified>}
   * @throws {RemintError} the first thing that is wrong with it, or why nothing can be said
   */
  async verify(token) {
    if (typeof token !== 'string') throw new RemintError('request_malformed');
    const known = this.#remembered(token) ?? (await this.#read(token));
    const choice = this.#choice();
    if (choice === 'serve') return this.#judged(known);
    if (choice === 'refuse' || !this.authorization) throw new RemintError('feed_lagging');
    const good = this.#judged(known); // what the ledger knew stays known
    await this.#introspected(token, this.authorization());
    return good;
  }

  /** As {@link Verifier.verify}, of a token that was verified before; null for all others. Never waits. @param {string} token */
  verifyRemembered(token) {
    const known = this.#remembered(token);
    return known && this.#choice() === 'serve' ? this.#judged(known) : null;
  }

  /** @param {string} token */
  #remembered(token) {
    const known = this.#cache.get(token);
    if (!known) return null;
    try {
      timely(known.claims, this.clock.now(), this.leeway());
    } catch (over) {
      this.#cache.delete(token);
      throw over;
    }
    return known;
  }

  /** @param {string} token @returns {Promise<Known>} */
  async #read(token) {
    const era = this.#era;
    const unverified = parse(token);
    const key = await this.keys.forToken(unverified.kid, unverified.alg);
    const claims = checked(await verified(unverified, key), { issuer: this.issuer, audiences: this.audiences });
    timely(claims, this.clock.now(), this.leeway());
    plainBearer(claims);
    const known = { claims: frozen(claims), kid: key.kid };
    if (era === this.#era) this.#keep(token, known);
    return known;
  }

  /** The oldest goes where there is no room. @param {string} token @param {Known} known */
  #keep(token, known) {
    const most = this.options.cacheTokens ?? 10_000;
    const oldest = this.#cache.size >= most ? this.#cache.keys().next().value : undefined;
    if (oldest !== undefined) this.#cache.delete(oldest);
    if (most > 0) this.#cache.set(token, known);
  }

  #void() {
    this.#era += 1;
    this.#cache.clear();
  }

  leeway() {
    return this.options.leeway ?? this.feed?.leeway ?? DEFAULT_LEEWAY;
  }

  /** @returns {OnLag} */
  #choice() {
    const standing = this.feed?.standing() ?? 'fresh';
    if (standing === 'fresh') return 'serve';
    return standing === 'lagging' ? (this.options.onLagging ?? 'serve') : (this.options.onLost ?? 'refuse');
  }

  /** @param {Known} known @returns {Verified} */
  #judged({ claims, kid }) {
    const verdict = this.feed?.ledger.judge(claims, kid) ?? { kind: 'good' };
    switch (verdict.kind) {
      case 'good':
        return { claims, stale: undefined };
      case 'stale':
        if (this.options.staleClaims === 'hint') return { claims, stale: verdict.need };
        throw new RemintError('stale_claims', { renew: verdict.need });
      case 'client_changed':
        throw new RemintError('client_changed', { renew: claims.cv });
      case 'ended':
        throw new RemintError('session_ended', { text: `session ended: ${verdict.reason}`, reason: verdict.reason });
      case 'token_ended':
        throw new RemintError('token_revoked');
      default:
        throw new RemintError('key_withdrawn');
    }
  }

  /** RFC 7662. @param {string} token @param {string} authorization */
  async #introspected(token, authorization) {
    const headers = { authorization, 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' };
    const body = new URLSearchParams({ token }).toString();
    const answer = await request(this.fetch, this.at('/oauth2/introspect'), { method: 'POST', headers, body }).catch(() => null);
    const active = answer?.status === 200 ? json(answer.bytes)?.active : undefined;
    if (active === false) throw new RemintError('token_inactive');
    if (active !== true) throw new RemintError('feed_lagging');
  }

  /** An address of the issuer. @param {string} path */
  at(path) {
    return this.issuer.replace(/\/$/, '') + path;
  }

  /** Waits until keys are there and, with a credential, the feed's first snapshot. */
  async ready() {
    await this.keys.ready();
    await this.feed?.heard(0);
  }

  /** Waits until the feed was heard up to the event with this number. @param {number} seq */
  async heard(seq) {
    await this.feed?.heard(seq);
  }

  /** How fresh the knowledge of ended sessions is; null without a feed. For a readiness probe. */
  standing() {
    return this.feed?.standing() ?? null;
  }

  /** Ends what runs beside. */
  close() {
    this.keys.close();
    this.feed?.close();
  }
}

/** @param {Verified} verified @param {string} needed one space between */
export function demandScope({ claims }, needed) {
  const held = (claims.scope ?? '').split(' ');
  const lacks = needed.split(' ').some((scope) => scope !== '' && !held.includes(scope));
  if (lacks) throw new RemintError('insufficient_scope', { scope: needed });
}

/**
 * RFC 9470: the person proved who they are within `maxAge` seconds, and in one of these contexts.
 * @param {Verified} verified
 * @param {{ maxAge?: number, acr?: string }} demands `acr`: one space between
 * @param {number} now seconds
 */
export function demandLogin({ claims }, { maxAge, acr }, now) {
  const old = maxAge !== undefined && !(claims.auth_time !== undefined && now - claims.auth_time <= maxAge);
  const weak = acr !== undefined && !acr.split(' ').includes(claims.acr ?? '');
  if (old || weak) throw new RemintError('step_up_required', { maxAge, acrValues: acr });
}

/** A handler that changes what it is handed must not change what others get. @template {object} T @param {T} value @returns {T} */
function frozen(value) {
  for (const part of Object.values(value)) if (part !== null && typeof part === 'object') frozen(part);
  return Object.freeze(value);
}

/** What is told of must not depend on who listens. @param {(line: string) => void} log @returns {(line: string) => void} */
function harmless(log) {
  return (line) => {
    try {
      log(line);
    } catch {
      // it is not this program's to mend
    }
  };
}

/** @param {(line: string) => void} log @returns {(line: string) => void} */
function seldom(log) {
  let [last, at] = ['', -Infinity];
  return (line) => {
    const now = performance.now();
    if (line === last && now - at < 60_000) return;
    [last, at] = [line, now];
    log(`remint: ${line}`);
  };
}
