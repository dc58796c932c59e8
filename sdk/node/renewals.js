// Rolling: past half of its life a token is presented to the issuer, and the new one travels beside the API's answer. One
// flight per session and proof; an answer waits for it no longer than its budget. Sends the issuer the token and nothing
// else of any request.

import { createHash } from 'node:crypto';

import { json, request } from './net.js';

const MAX_SLOTS = 10_000;
const MAX_FLIGHTS = 64;
const READY_MS = 60_000;
const REST = { notYet: 5000, refused: 60_000, failed: 5000, longest: 60_000 };

/** @typedef {import('./verifier.js').Verified} Verified */
/** @typedef {{ token: string, verified: Verified }} Minted */
/** @typedef {{ flight: Promise<Minted | null> } | { minted: Minted, until: number } | { until: number }} Slot */

/**
 * When a token is due to be minted anew, in seconds: `iat + life * (1/2 + j)`, `j` in [0, 0.2) from session and `iat`, as
 * the server has it.
 * @param {import('./token.js').Claims} claims with a session
 */
export function dueAt({ sid, iat, exp }) {
  const at = Buffer.alloc(8);
  at.writeBigInt64BE(BigInt(Math.floor(iat)) * 1_000_000n);
  const hash = createHash('sha256').update(Buffer.from(sid ?? '', 'base64url')).update(at).digest();
  return Math.floor(iat) + (exp - iat) * (0.5 + (0.2 * hash.readUInt32BE(0)) / 2 ** 32);
}

/** The renewals of one API. */
export class Renewals {
  /** @type {Map<string, Slot>} */ #slots = new Map();
  #flights = 0;

  /** @param {import('./verifier.js').Verifier} verifier @param {number} [budgetMs] how long an answer waits at most */
  constructor(verifier, budgetMs = 250) {
    this.verifier = verifier;
    this.budgetMs = budgetMs;
  }

  /**
   * Begins a renewal where one is due, or joins the one under way.
   * @param {string} token
   * @param {Verified} verified
   * @returns {Promise<string | null> | null} the new token, or null once the budget is spent; null where none is due
   */
  begin(token, verified) {
    const { claims, stale } = verified;
    if (claims.sid === undefined || claims.cv === undefined) return null;
    if (stale === undefined && this.verifier.clock.now() < dueAt(claims)) return null;
    const [line, now] = [lineOf(claims), this.verifier.clock.ticks()];
    const slot = this.#slots.get(line);
    if (slot && 'flight' in slot) return this.#within(slot.flight);
    if (slot && now < slot.until) {
      if (!('minted' in slot)) return null;
      if (this.#beats(slot.minted, verified)) return Promise.resolve(slot.minted.token);
    }
    if (this.#flights >= MAX_FLIGHTS || !this.#room(now)) return null;
    const flight = this.#fly(line, token);
    this.#slots.set(line, { flight });
    return this.#within(flight);
  }

  /** @param {Promise<Minted | null>} flight @returns {Promise<string | null>} */
  async #within(flight) {
    /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
    const budget = new Promise((spent) => (timer = setTimeout(spent, this.budgetMs, null)));
    const minted = /** @type {Minted | null} */ (await Promise.race([flight, budget]));
    clearTimeout(timer);
    return minted?.token ?? null;
  }

  /** Whether what was minted is newer than what is presented, and still good. @param {Minted} minted @param {Verified} presented */
  #beats(minted, { claims }) {
    const mine = minted.verified.claims;
    const newer = Number(mine.cv) - Number(claims.cv) || mine.iat - claims.iat;
    try {
      const now = this.verifier.verifyRemembered(minted.token) ?? minted.verified;
      return newer > 0 && now.stale === undefined;
    } catch {
      return false;
    }
  }

  /** @param {string} line @param {string} token @returns {Promise<Minted | null>} */
  async #fly(line, token) {
    this.#flights += 1;
    const { minted, rest } = await this.#ask(line, token);
    this.#flights -= 1;
    const now = this.verifier.clock.ticks();
    this.#slots.set(line, minted ? { minted, until: now + READY_MS } : { until: now + rest });
    return minted;
  }

  /** @param {string} line @param {string} token @returns {Promise<{ minted: Minted | null, rest: number }>} */
  async #ask(line, token) {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', accept: 'application/json' };
    const asked = { method: 'POST', headers, body: '{"interactive":true}' };
    const answer = await request(this.verifier.fetch, this.verifier.at('/session/renew'), asked).catch(() => null);
    const status = answer?.status ?? 503;
    if (status === 204) return { minted: null, rest: REST.notYet };
    const text = status === 200 ? json(answer?.bytes ?? new Uint8Array())?.access_token : undefined;
    if (typeof text === 'string') return { minted: await this.#accepted(line, text), rest: REST.refused };
    if (status >= 400 && status < 500 && status !== 429) return { minted: null, rest: REST.refused };
    const wait = Number(answer?.headers.get('retry-after') ?? NaN) * 1000 || REST.failed;
    return { minted: null, rest: Math.min(Math.max(wait, REST.notYet), REST.longest) };
  }

  /** A token for the same session, audience, scope and proof that verifies here. @param {string} line @param {string} token */
  async #accepted(line, token) {
    try {
      const verified = await this.verifier.verify(token);
      return lineOf(verified.claims) === line ? { token, verified } : null;
    } catch {
      return null;
    }
  }

  /** @param {number} now */
  #room(now) {
    if (this.#slots.size >= MAX_SLOTS) {
      for (const [line, slot] of this.#slots) if ('until' in slot && slot.until <= now) this.#slots.delete(line);
    }
    return this.#slots.size < MAX_SLOTS;
  }
}

/** What makes two tokens renew to the same: whoever holds the older proof must not be handed the newer. @param {import('./token.js').Claims} claims */
const lineOf = ({ sid, aud, scope, auth_time, amr }) => JSON.stringify([sid, [aud].flat(), scope, auth_time, amr]);

/** Whether shared caches may keep the answer (RFC 9111 section 5.2.2): a token must not be in it. @param {string | undefined} cacheControl */
export const isShared = (cacheControl) => /(?:^|,)\s*(?:public|s-maxage)\s*(?:=|,|$)/i.test(cacheControl ?? '');
