/**
 * A browser with a clock that only a test moves: tabs with timers, channels, locks and a network of their own. Knows
 * nothing of sessions; nothing here waits for time to pass.
 */

/** A stream of numbers in [0, 1) that is the same for the same seed. @param {number} seed */
export const numbers = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};

const turn = () => new Promise((resolve) => setImmediate(resolve));

export class Browser {
  time = 1_800_000_000_000;
  #timers = new Map();
  #last = 0;
  tabs = [];
  locks = new Map();
  offline = false;

  /** @param {{ seed?: number, network: (request: Request, tab: any) => Promise<Response>, locks?: boolean, channel?: boolean }} options */
  constructor({ seed = 1, network, locks = true, channel = true }) {
    Object.assign(this, { random: numbers(seed), network, withLocks: locks, withChannel: channel });
  }

  later(call, ms, tab) {
    const id = ++this.#last;
    const wait = ms > 2 ** 31 - 1 ? 1 : Math.max(0, ms || 0); // as browsers do
    this.#timers.set(id, { at: this.time + wait, call, tab });
    return id;
  }

  cancel(id) {
    this.#timers.delete(id);
  }

  /** Lets `ms` pass; all that falls due on the way happens in its order. */
  async pass(ms) {
    const until = this.time + ms;
    for (;;) {
      await turn();
      let next;
      for (const [id, timer] of this.#timers) {
        if (timer.tab?.frozen || timer.at > until) continue;
        if (!next || timer.at < next.timer.at) next = { id, timer };
      }
      if (!next) break;
      this.#timers.delete(next.id);
      this.time = Math.max(this.time, next.timer.at);
      next.timer.call();
    }
    this.time = until;
    await turn();
  }

  tab() {
    const tab = new Tab(this);
    tab.offline = this.offline;
    this.tabs.push(tab);
    return tab;
  }

  /** The network of the machine goes. What is open breaks off, or hangs, as it does where nobody says so. */
  goOffline(hangs = false) {
    this.offline = true;
    for (const tab of this.tabs) {
      tab.offline = true;
      tab.cut(hangs);
      tab.fire('offline');
    }
  }

  /** It is back. */
  goOnline() {
    this.offline = false;
    for (const tab of this.tabs) {
      tab.offline = false;
      tab.fire('online');
    }
  }

  /** The machine sleeps: no page runs and none is told, what is due comes late, what is open hangs. The world goes on. */
  async sleep(ms) {
    const awake = this.tabs.filter(({ frozen }) => !frozen);
    for (const tab of awake) tab.frozen = true;
    for (const tab of this.tabs) tab.cut(true);
    await this.pass(ms);
    for (const tab of awake) tab.goOn();
  }
}

class Tab {
  frozen = false;
  offline = false;
  /** How far this machine's clock is from the truth; a test may move it. */
  wallOffset = 0;
  /** What `performance.now()` has missed, as where it stops in sleep. */
  asleep = 0;
  channels = new Set();
  waiting = [];
  requests = [];
  /** Answers that go on and on. */
  streams = new Set();
  /** Whether it was frozen without a word. */
  silent = false;
  /** When it was last shown or hidden. */
  since = 0;

  constructor(browser) {
    this.browser = browser;
    const events = new EventTarget();
    const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
    this.host = {
      fetch: (input, init) => this.#fetch(input, init),
      Date: { now: () => browser.time + this.wallOffset },
      performance: { now: () => browser.time - 1_800_000_000_000 - this.asleep },
      Math: { random: browser.random },
      setTimeout: (call, ms) => browser.later(call, ms, this),
      clearTimeout: (id) => browser.cancel(id),
      AbortSignal: { timeout: (ms) => this.#timeout(ms) },
      document,
      addEventListener: events.addEventListener.bind(events),
      removeEventListener: events.removeEventListener.bind(events),
      location: { href: 'https://app.test/page' },
      ...(browser.withChannel && { BroadcastChannel: channelOf(this) }),
      ...(browser.withLocks && { navigator: { locks: locksOf(this) } }),
    };
    this.window = events;
  }

  /** An event of the window or the document. */
  fire(type) {
    const target = /^(visibilitychange|resume|freeze)$/.test(type) ? this.host.document : this.window;
    target.dispatchEvent(new Event(type));
  }

  /** Another tab, or another program, stands before it. */
  hide() {
    this.#becomes('hidden');
  }

  show() {
    this.#becomes('visible');
  }

  #becomes(state) {
    if (this.host.document.visibilityState === state) return;
    this.host.document.visibilityState = state;
    this.since = this.browser.time;
    this.fire('visibilitychange');
  }

  /** No browser freezes a tab that can be seen. Some say nothing of it: those do it a while after the tab was hidden. */
  freeze(silently = false) {
    this.hide();
    this.silent = silently && this.browser.time - this.since > 1000;
    if (!this.silent) this.fire('freeze');
    this.frozen = true;
  }

  goOn() {
    this.frozen = false;
    for (const message of this.waiting.splice(0)) message();
  }

  thaw() {
    this.goOn();
    if (!this.silent) this.fire('resume');
    this.silent = false;
    this.show();
  }

  close() {
    this.frozen = true;
    this.closed = true;
    this.cut(true);
    for (const channel of this.channels) channel.close();
    for (const queue of this.browser.locks.values()) release(queue, this);
  }

  /** What comes to a frozen tab waits. */
  async awake() {
    while (this.frozen) await new Promise((resolve) => this.waiting.push(resolve));
  }

  #timeout(ms) {
    const controller = new AbortController();
    this.browser.later(() => controller.abort(new DOMException('too late', 'TimeoutError')), ms, this);
    return controller.signal;
  }

  async #fetch(input, init = {}) {
    const request = new Request(input, { ...init, signal: null });
    this.requests.push(request.clone());
    const { signal } = init;
    if (this.offline) throw new TypeError('offline');
    signal?.throwIfAborted();
    const coming = this.browser.network(request, this);
    const aborted = new Promise((_, reject) => signal?.addEventListener('abort', () => reject(signal.reason)));
    aborted.catch(() => coming.then(({ cut }) => cut?.())).catch(() => {}); // nobody takes that answer
    const answer = await Promise.race([coming.finally(() => this.awake()), aborted]); // an abort waits for nothing
    return answer.cut ? this.#stream(answer, signal) : answer;
  }

  /** A body that goes on, as it comes to a tab: while that is frozen, it waits. */
  #stream({ cut, body, headers }, signal) {
    if (this.offline || signal?.aborted) cut();
    this.streams.add(cut);
    signal?.addEventListener('abort', () => {
      this.streams.delete(cut);
      cut(signal.reason);
    });
    const late = new TransformStream({
      transform: async (chunk, out) => {
        await this.awake();
        out.enqueue(chunk);
      },
    });
    return new Response(body.pipeThrough(late), { headers });
  }

  /** What goes on breaks off, or hangs. @param {boolean} hangs */
  cut(hangs) {
    for (const cut of this.streams) cut(hangs ? undefined : new TypeError('network error'));
    this.streams.clear();
  }
}

const channelOf = (tab) =>
  class {
    constructor(name) {
      this.name = name;
      tab.channels.add(this);
    }
    postMessage(message) {
      if (!tab.channels.has(this)) throw new DOMException('closed', 'InvalidStateError');
      const copy = structuredClone(message);
      for (const other of tab.browser.tabs) {
        for (const channel of other.channels) {
          if (channel === this || channel.name !== this.name) continue;
          const deliver = () => other.channels.has(channel) && channel.onmessage?.({ data: structuredClone(copy) });
          tab.browser.later(() => (other.frozen ? other.waiting.push(deliver) : deliver()), tab.browser.random() * 20);
        }
      }
    }
    close() {
      tab.channels.delete(this);
    }
  };

const release = (queue, tab) => {
  for (const entry of [...queue]) if (entry.tab === tab) queue.splice(queue.indexOf(entry), 1);
  grant(queue);
};

const grant = (queue) => {
  const first = queue[0];
  if (first && !first.granted) {
    first.granted = true;
    first.start();
  }
};

const locksOf = (tab) => ({
  request(name, { signal }, task) {
    const queue = tab.browser.locks.get(name) ?? [];
    tab.browser.locks.set(name, queue);
    return new Promise((resolve, reject) => {
      const entry = { tab, granted: false };
      const leave = () => {
        if (queue.includes(entry)) queue.splice(queue.indexOf(entry), 1);
        grant(queue);
      };
      entry.start = async () => {
        await tab.awake(); // a frozen tab gets it, and does nothing with it
        try {
          resolve(await task({ name }));
        } catch (error) {
          reject(error);
        } finally {
          leave();
        }
      };
      const abort = () => {
        if (entry.granted) return;
        leave();
        reject(signal.reason ?? new DOMException('aborted', 'AbortError'));
      };
      if (signal?.aborted) return reject(signal.reason);
      signal?.addEventListener('abort', abort);
      queue.push(entry);
      tab.browser.later(() => grant(queue), tab.browser.random() * 3);
    });
  },
});
