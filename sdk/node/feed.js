// Follows the issuer's feed (`GET /feed`, server-sent events) and keeps the ledger: a snapshot, then every event as it
// happens, again from the same place after a break. Knows how fresh its knowledge is; what to do when it is not is the
// owner's choice. Never sits between a request and its answer.

import { Ledger } from './ledger.js';
import { jittered } from './net.js';

const MAX_FRAME = 1 << 20;
const MISSED_HEARTBEATS = 3;
const FIRST_MESSAGE = 10_000;
const LEAST_PATIENCE = 500;
const MOST_PATIENCE = 600_000;
const FIRST_BACKOFF = 200;
const LAST_BACKOFF = 15_000;
const TYPES = ['claims-changed', 'user-ended', 'session-ended', 'client-changed', 'token-ended', 'key-withdrawn'];

/** @typedef {{ id: string | undefined, event: string, data: string }} Frame */

/** Something that was sent may be missing: nothing that is known may be built upon. */
class Gap extends Error {}

/** Reads an event stream piece by piece, wherever the pieces are cut (HTML standard, section 9.2). */
export class Frames {
  #decoder = new TextDecoder('utf-8', { fatal: true });
  #rest = '';
  #cr = false;
  /** @type {string[]} */ #data = [];
  #event = '';
  /** @type {string | undefined} */ #id;
  #size = 0;

  /** @param {Uint8Array} bytes @returns {Frame[]} */
  push(bytes) {
    let text = this.#decoded(bytes);
    if (text === '') return [];
    if (this.#cr && text.startsWith('\n')) text = text.slice(1);
    this.#cr = text.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\n|\r/);
    this.#rest = lines.pop() ?? '';
    if (this.#size + this.#rest.length > MAX_FRAME) throw new Gap(`the feed sent a frame of more than ${MAX_FRAME} bytes`);
    return lines.flatMap((line) => this.#line(line));
  }

  /** @param {Uint8Array} bytes */
  #decoded(bytes) {
    try {
      return this.#decoder.decode(bytes, { stream: true });
    } catch {
      throw new Gap('the feed sent what is no text');
    }
  }

  /** @param {string} line @returns {Frame[]} */
  #line(line) {
    if (line === '') return this.#end();
    this.#size += line.length;
    if (this.#size > MAX_FRAME) throw new Gap(`the feed sent a frame of more than ${MAX_FRAME} bytes`);
    const colon = line.indexOf(':');
    if (colon === 0) return [];
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (name === 'data') this.#data.push(value);
    if (name === 'event') this.#event = value;
    if (name === 'id') this.#id = value;
    return [];
  }

  #end() {
    const frame = { id: this.#id, event: this.#event || 'message', data: this.#data.join('\n') };
    const whole = this.#data.length > 0;
    [this.#data, this.#event, this.#id, this.#size] = [[], '', undefined, 0];
    return whole ? [frame] : [];
  }
}

/** Where a place in the feed is: `<seq>-<chain>`. @param {string | undefined} id */
function seqOf(id) {
  const found = /^(\d{1,16})-[0-9a-zA-Z_-]+$/.exec(id ?? '');
  if (!found) throw new Gap('the feed sent a message without a place');
  return Number(found[1]);
}

/** @param {string} data @returns {any} */
function parsed(data) {
  try {
    return JSON.parse(data);
  } catch {
    throw new Gap('the feed sent a message that cannot be read');
  }
}

/** @typedef {'fresh' | 'lagging' | 'lost'} Standing */

/** Follows the feed of one audience until it is closed. */
export class Feed {
  ledger = new Ledger();
  /** The leeway that the issuer advises, in seconds. @type {number | undefined} */ leeway;
  /** @type {string | undefined} */ #place;
  #seq = -1;
  #heard = -Infinity;
  #heardAt = -Infinity;
  #over = new AbortController();
  /** @type {Set<() => void>} */ #waiting = new Set();

  /**
   * @param {{ issuer: string, audience: string, authorization: () => string, fetch: import('./net.js').Fetch,
   *   now: () => number, ticks: () => number, laggingMs: number, lostMs: number,
   *   renewed: () => void, event: (event: import('./ledger.js').FeedEvent) => void, log: (line: string) => void }} settings
   *   `now` in seconds since the epoch, `ticks` in milliseconds that never jump
   */
  constructor(settings) {
    this.settings = settings;
    this.done = this.#follow();
  }

  /** @returns {Standing} */
  standing() {
    const { now, ticks, laggingMs, lostMs } = this.settings;
    if (this.#heard === -Infinity) return 'lost';
    const silence = Math.max(ticks() - this.#heard, (now() - this.#heardAt) * 1000);
    return silence > lostMs ? 'lost' : silence > laggingMs ? 'lagging' : 'fresh';
  }

  /** Waits until everything up to the event with this number was heard; 0 waits for the first snapshot. @param {number} seq */
  async heard(seq) {
    const alive = setInterval(() => {}, 60_000); // what is waited for keeps the process
    while (this.#seq < seq && !this.#over.signal.aborted) await new Promise((go) => this.#waiting.add(() => go(undefined)));
    clearInterval(alive);
  }

  close() {
    this.#over.abort();
    this.#wake();
  }

  #wake() {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const go of waiting) go();
  }

  async #follow() {
    let backoff = FIRST_BACKOFF;
    while (!this.#over.signal.aborted) {
      const connection = new Connection(this, this.#place);
      try {
        await connection.run(this.#over.signal);
      } catch (cause) {
        if (this.#over.signal.aborted) return;
        this.settings.log(`the feed was interrupted: ${/** @type {Error} */ (cause).message}`);
        if (cause instanceof Gap || cause instanceof RangeError) [this.#heard, this.#place, this.#seq] = [-Infinity, undefined, -1];
      }
      backoff = connection.live ? FIRST_BACKOFF : Math.min(backoff * 2, LAST_BACKOFF);
      await this.#pause(jittered(backoff));
    }
  }

  /** @param {number} ms @returns {Promise<void>} */
  #pause(ms) {
    const { signal } = this.#over;
    return new Promise((go) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        go();
      };
      const timer = setTimeout(done, ms);
      timer.unref();
      signal.addEventListener('abort', done);
    });
  }

  /** News up to a place. @param {string} place */
  at(place) {
    this.#seq = seqOf(place);
    this.#place = place;
    this.touch();
    this.#wake();
  }

  touch() {
    [this.#heard, this.#heardAt] = [this.settings.ticks(), this.settings.now()];
  }
}

/** One connection: greeting, snapshot, live. */
class Connection {
  live = false;
  /** The snapshot so far; null before the greeting and when it is complete. @type {Ledger | null} */ #snapshot = null;
  #greeted = false;
  #patience = FIRST_MESSAGE;

  /** @param {Feed} feed @param {string | undefined} asked */
  constructor(feed, asked) {
    this.feed = feed;
    this.asked = asked;
  }

  /** Reads until the connection breaks. @param {AbortSignal} over */
  async run(over) {
    const { issuer, fetch, authorization } = this.feed.settings;
    const quiet = new AbortController();
    /** @type {ReadableStreamDefaultReader<Uint8Array> | undefined} */ let reader;
    const stop = () => {
      quiet.abort();
      // What ties a running fetch to its signal may be collected as garbage (undici holds it weakly): then the signal ends
      // nothing any more, and a feed that fell silent would be waited for for ever.
      reader?.cancel().catch(() => {});
    };
    let timer = setTimeout(stop, FIRST_MESSAGE);
    over.addEventListener('abort', stop);
    try {
      /** @type {Record<string, string>} */
      const headers = { authorization: authorization(), accept: 'text/event-stream' };
      if (this.asked) headers['last-event-id'] = this.asked;
      const answer = await fetch(`${issuer.replace(/\/$/, '')}/feed`, { headers, redirect: 'error', signal: quiet.signal });
      if (answer.status !== 200 || !answer.body) throw new Error(`it was answered ${answer.status}`);
      const frames = new Frames();
      reader = answer.body.getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new Error('the issuer closed it');
        clearTimeout(timer);
        for (const frame of frames.push(value)) this.#message(frame);
        timer = setTimeout(stop, this.#patience);
      }
    } catch (cause) {
      throw quiet.signal.aborted && !over.aborted ? new Error(`nothing was heard for ${this.#patience} ms`) : cause instanceof TypeError && !this.#greeted ? new Error('the issuer cannot be reached') : cause;
    } finally {
      clearTimeout(timer);
      over.removeEventListener('abort', stop);
      stop();
    }
  }

  /** @param {Frame} frame */
  #message({ id, event, data }) {
    if (event === 'hello' && !this.#greeted) return this.#hello(parsed(data));
    if (!this.#greeted) throw new Gap('the feed does not begin as it should');
    if (this.#snapshot) return this.#past(event, id, data, this.#snapshot);
    if (['hello', 'snapshot', 'snapshot-end'].includes(event)) throw new Gap('the feed does not go on as it should');
    if (event === 'heartbeat') {
      this.feed.ledger.forget(this.feed.settings.now());
    } else if (TYPES.includes(event)) {
      seqOf(id);
      const what = parsed(data);
      if (what?.type !== event || !this.feed.ledger.apply(what)) throw new Gap(`the feed sent a \`${event}\` that cannot be read`);
      this.feed.settings.event(what);
    }
    if (id !== undefined) this.feed.at(id);
  }

  /** @param {any} hello */
  #hello(hello) {
    const { issuer, audience } = this.feed.settings;
    if (hello?.issuer !== issuer || hello.audience !== audience) {
      throw new Gap(`the feed is that of issuer ${hello?.issuer} for audience ${hello?.audience}: check issuer, audience and credential`);
    }
    if (hello.resumed && !this.asked) throw new Gap('the feed does not begin as it should');
    this.#greeted = true;
    this.#patience = Math.min(Math.max(Number(hello.heartbeat_ms) * MISSED_HEARTBEATS || FIRST_MESSAGE, LEAST_PATIENCE), MOST_PATIENCE);
    this.feed.leeway = Math.min(Number(hello.leeway_ms) / 1000 || 0, 60);
    this.live = Boolean(hello.resumed);
    if (!hello.resumed) this.#snapshot = new Ledger();
    else if (hello.cursor === this.asked) this.feed.touch();
  }

  /** @param {string} event @param {string | undefined} id @param {string} data @param {Ledger} snapshot */
  #past(event, id, data, snapshot) {
    if (event === 'snapshot') {
      const events = parsed(data);
      if (!Array.isArray(events)) throw new Gap('the feed sent a snapshot that cannot be read');
      for (const what of events) {
        if (!TYPES.includes(what?.type)) continue;
        if (!snapshot.apply(what)) throw new Gap('the feed sent a snapshot that cannot be read');
        this.feed.settings.event(what);
      }
    } else if (event === 'snapshot-end') {
      seqOf(id);
      [this.feed.ledger, this.#snapshot, this.live] = [snapshot, null, true];
      this.feed.settings.renewed();
      this.feed.at(String(id));
    } else if (TYPES.includes(event)) {
      throw new Gap('the feed does not go on as it should');
    }
  }
}
