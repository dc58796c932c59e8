// The issuer's public keys: found by discovery, fetched again before they grow old, kept when a fetch fails. A token can
// make the guard look again for a key, at most once per interval whatever is sent; it can never say where.

import { createPublicKey } from 'node:crypto';

import { RemintError } from './errors.js';
import { isPrivate, jittered, json, maxAge, request } from './net.js';
import { isKid } from './token.js';

const DEFAULT_AGE = 300;
const LEAST_AGE = 60;
const GREATEST_AGE = 24 * 3600;
const RETRY_WITH_KEYS = 15_000;
const RETRY_WITHOUT = 1000;
const MAX_UNKNOWN = 1000;
const UNKNOWN_FOR = 300_000;
const MAX_KEYS = 100;

/** @typedef {{ kid: string | undefined, alg: string, key: import('node:crypto').KeyObject, text: string }} Key */

/** The algorithm that a key serves: by what it is, and by its `alg` where it says so. @param {any} jwk @returns {string | null} */
function algorithm(jwk) {
  /** @type {Record<string, string[]>} */
  const by = { 'EC:P-256': ['ES256'], 'OKP:Ed25519': ['EdDSA'], RSA: ['RS256', 'PS256'] };
  const fits = by[jwk.kty === 'RSA' ? 'RSA' : `${jwk.kty}:${jwk.crv}`] ?? [];
  if (jwk.alg === undefined) return fits.length === 1 ? fits[0] : null;
  return fits.includes(jwk.alg) ? jwk.alg : null;
}

/** A key that verifies, or null: one that is not understood is passed over (RFC 7517 section 5). @param {any} jwk @returns {Key | null} */
function read(jwk) {
  if (jwk === null || typeof jwk !== 'object' || jwk.d !== undefined || jwk.k !== undefined) return null;
  if ((jwk.use ?? 'sig') !== 'sig') return null;
  if (jwk.key_ops !== undefined && !(Array.isArray(jwk.key_ops) && jwk.key_ops.includes('verify'))) return null;
  const alg = algorithm(jwk);
  if (!alg || (jwk.kid !== undefined && !(typeof jwk.kid === 'string' && isKid(jwk.kid)))) return null;
  try {
    const key = createPublicKey({ key: jwk, format: 'jwk' });
    const { modulusLength: bits, publicExponent } = key.asymmetricKeyDetails ?? {};
    if (bits !== undefined && (bits < 2048 || bits > 8192 || Number(publicExponent) < 65537)) return null;
    return { kid: jwk.kid, alg, key, text: JSON.stringify([jwk.kid, alg, key.export({ format: 'jwk' })]) };
  } catch {
    return null;
  }
}

/** @param {any} set a JWK Set; @returns {Key[] | null} null where it is none, or names a key twice */
export function keySet(set) {
  if (!Array.isArray(set?.keys) || set.keys.length > MAX_KEYS) return null;
  const keys = set.keys.map(read).filter((/** @type {Key | null} */ key) => key !== null);
  const kids = keys.map((/** @type {Key} */ key) => key.kid).filter(Boolean);
  return new Set(kids).size === kids.length ? keys : null;
}

/** The keys of one issuer. */
export class Keys {
  /** @type {Key[] | null} */ #current = null;
  /** @type {Promise<void> | null} */ #underWay = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer;
  /** @type {Map<string, number>} */ #unknown = new Map();
  #attempted = -Infinity;
  /** How many attempts have begun, and which of them was the last that brought keys. */
  #begun = 0;
  #brought = 0;
  #over = false;

  /**
   * @param {{ issuer: string, fetch: import('./net.js').Fetch, ticks: () => number, leastIntervalMs: number, plainHttp: boolean,
   *   changed: () => void, log: (line: string) => void, jwksUri?: string }} settings `ticks` in milliseconds
   */
  constructor(settings) {
    this.settings = settings;
    this.#attempt();
  }

  /**
   * The key to verify a token with.
   * @param {string | undefined} kid
   * @param {string} alg
   * @returns {Promise<Key>}
   */
  async forToken(kid, alg) {
    const now = this.settings.ticks();
    const known = this.#find(kid, alg);
    if (known) return known;
    if (kid === undefined || (this.#unknown.get(kid) ?? 0) <= now) {
      const before = this.#begun;
      await this.#underWay;
      if (!this.#find(kid, alg)) await this.#lookAgain(now);
      const found = this.#find(kid, alg);
      if (found) return found;
      // An attempt that began before this token came may have looked before its key was published.
      if (!this.#current || (kid !== undefined && this.#brought <= before)) throw new RemintError('keys_unavailable');
      if (kid !== undefined) this.#remember(kid, now);
    }
    throw new RemintError(this.#current ? 'unknown_key' : 'keys_unavailable');
  }

  /** That nobody publishes it. @param {string} kid @param {number} now */
  #remember(kid, now) {
    if (this.#unknown.size >= MAX_UNKNOWN) {
      for (const [other, until] of this.#unknown) if (until <= now) this.#unknown.delete(other);
    }
    if (this.#unknown.size < MAX_UNKNOWN) this.#unknown.set(kid, now + UNKNOWN_FOR);
  }

  /** @param {string | undefined} kid @param {string} alg */
  #find(kid, alg) {
    if (kid !== undefined) return this.#current?.find((key) => key.kid === kid);
    const fit = (this.#current ?? []).filter((key) => key.alg === alg);
    return fit.length === 1 ? fit[0] : undefined;
  }

  /** The issuer withdrew a key: where it is one of ours they are fetched at once. @param {string} kid */
  withdrawn(kid) {
    if (this.#current?.some((key) => key.kid === kid)) this.#attempt();
  }

  /** @param {number} now */
  async #lookAgain(now) {
    const interval = this.#current ? this.settings.leastIntervalMs : RETRY_WITHOUT;
    if (!this.#underWay && now - this.#attempted < interval) return;
    await (this.#underWay ?? this.#attempt());
  }

  #attempt() {
    if (this.#over) return Promise.resolve();
    clearTimeout(this.#timer);
    this.#attempted = this.settings.ticks();
    this.#begun += 1;
    const attempt = this.#once(this.#begun).then((wait) => {
      if (this.#underWay === attempt) this.#underWay = null;
      if (this.#over) return;
      this.#timer = setTimeout(() => this.#attempt(), jittered(wait));
      this.#timer.unref();
    });
    this.#underWay = attempt;
    return attempt;
  }

  /** @param {number} number @returns {Promise<number>} milliseconds until the next */
  async #once(number) {
    try {
      const { keys, age } = await this.#fetch();
      if (number > this.#brought) {
        this.#brought = number; // one that began later may have been faster
        this.#replace(keys);
      }
      return Math.min(Math.max(age ?? DEFAULT_AGE, LEAST_AGE), GREATEST_AGE) * 900;
    } catch (cause) {
      this.settings.log(`the issuer's keys could not be fetched: ${/** @type {Error} */ (cause).message}`);
      return this.#current ? RETRY_WITH_KEYS : RETRY_WITHOUT;
    }
  }

  async #fetch() {
    const { issuer, fetch, jwksUri, plainHttp } = this.settings;
    const uri = jwksUri ?? (await discovered(fetch, issuer, plainHttp));
    const { status, headers, bytes } = await request(fetch, uri);
    const keys = status === 200 ? keySet(json(bytes)) : null;
    if (!keys) throw new Error(`${uri} answered ${status} and no key set`);
    return { keys, age: maxAge(headers) };
  }

  /** A key that is gone takes its verified tokens with it. @param {Key[]} keys */
  #replace(keys) {
    const text = (/** @type {Key[]} */ set) => set.map((key) => key.text).sort().join();
    if (this.#current && text(this.#current) === text(keys)) return;
    const gone = (this.#current ?? []).filter((key) => !keys.some((other) => other.kid === key.kid));
    this.#current = keys;
    this.#unknown.clear();
    for (const { kid } of gone) if (kid) this.#unknown.set(kid, this.settings.ticks() + UNKNOWN_FOR);
    this.settings.changed();
  }

  /** Waits for the attempt that is under way. */
  async ready() {
    while (!this.#current && !this.#over) {
      await (this.#underWay ?? this.#attempt());
      if (!this.#current) await new Promise((go) => setTimeout(go, RETRY_WITHOUT));
    }
  }

  close() {
    this.#over = true;
    clearTimeout(this.#timer);
  }
}

/** The `jwks_uri` of the issuer's metadata (RFC 8414 section 3). @param {import('./net.js').Fetch} fetch @param {string} issuer @param {boolean} plainHttp */
async function discovered(fetch, issuer, plainHttp) {
  const { origin, pathname } = new URL(issuer);
  const path = pathname.replace(/\/$/, '');
  const url = `${origin}/.well-known/oauth-authorization-server${path}`;
  const { status, bytes } = await request(fetch, url);
  const metadata = status === 200 ? json(bytes) : null;
  if (metadata?.issuer !== issuer) throw new Error(`${url} is no metadata document of ${issuer}`);
  const uri = new URL(metadata.jwks_uri);
  if (!isPrivate(uri, plainHttp)) throw new Error('the `jwks_uri` is not https');
  return uri.href;
}
