/**
 * The playground: puts the page together, and keeps what the acts play with. All that it knows of sessions it knows from
 * the browser library; it decides nothing.
 */

import { ACTS } from './acts.js';
import { facts as ask, open, post } from './clients.js';
import { by, h, set } from './dom.js';
import { tell } from './log.js';
import { Snippets } from './snippets.js';
import { TokenCard } from './token.js';

/** @import { Session } from './clients.js' */
/** @typedef {'rolling' | 'fixed' | 'refresh' | 'cookie'} Policy */

/** @type {Record<Policy, string>} */
const ABOUT = {
  rolling: 'The access token itself is the proof, past half of its life.',
  fixed: 'Nothing renews it: it lives and ends.',
  refresh: 'A refresh token is the proof, and turns over.',
  cookie: 'The page holds no token; the session stays on the server.',
};
/** @type {Policy[]} */
const POLICIES = ['rolling', 'fixed', 'refresh', 'cookie'];
/** How long something that is bound to happen may take, beyond what the server needs at any speed. */
const PATIENCE_MS = 15_000;

/** What the acts play with. */
export class Stage {
  /** @type {Policy} */
  policy = 'rolling';
  /** @type {Session | null} */
  session = null;
  /** Whether the record has a verified number. */
  phone = false;
  /** @type {string | null} The act that is under way. */
  busy = null;
  tell = tell;

  /** @param {import('./clients.js').Facts} facts */
  constructor(facts) { this.facts = facts; }

  /** Whether there is a session, and it lives. */
  get live() { return this.session?.live ?? false; }

  /** The library; there is one wherever an act runs. */
  get remint() { return this.current.remint; }
  get wire() { return this.current.wire; }
  get current() {
    if (!this.session) throw new Error('nobody is signed in');
    return this.session;
  }

  claims() { return this.session?.claims() ?? null; }

  /** Waits until something is so. @param {() => boolean} so @param {string} what */
  async until(so, what) {
    const patience = performance.now() + PATIENCE_MS;
    while (!so()) {
      if (performance.now() > patience) throw new Error(`waited for ${what}, in vain`);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  }

  /** @template T @param {Promise<T>} promise @param {string} what @returns {Promise<T>} */
  atMost(promise, what) {
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`waited for ${what}, in vain`)), 2 * PATIENCE_MS));
    return Promise.race([promise, late]);
  }

  /** Lets time pass while the session lives, and says what for. @param {number} ms @param {string} why */
  async pause(ms, why) {
    const until = performance.now() + ms;
    while (performance.now() < until && this.live) {
      says(`${why} ${Math.ceil((until - performance.now()) / 1000)} s`);
      await new Promise((resolve) => setTimeout(resolve, Math.min(200, Math.max(20, until - performance.now()))));
    }
    says('');
  }
}

/** @param {string} text */
function says(text) { by('who-says').textContent = text; }

