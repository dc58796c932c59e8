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

  /** @param {{ seed?: number, network: (request: Request, tab: any) => Promise<Response>, locks?: boolean, channel?: boolean }} options */
  constructor({ seed = 1, network, locks = true, channel = true }) {
    Object.assign(this, { random: numbers(seed), network, withLocks: locks, withChannel: channel });
  }

  later(call, ms, tab) {
    const id = ++this.#last;
    this.#timers.set(id, { at: this.time + Math.max(0, ms || 0), call, tab });
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
    this.tabs.push(tab);
    return tab;
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

  freeze() {
    this.fire('freeze');
    this.frozen = true;
  }

  thaw() {
    this.frozen = false;
    for (const message of this.waiting.splice(0)) message();
    this.fire('resume');
  }

  close() {
    this.frozen = true;
    this.closed = true;
    for (const channel of this.channels) channel.close();
    for (const queue of this.browser.locks.values()) release(queue, this);
  }

  /** What comes to a frozen tab waits. */
  async #awake() {
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
    const aborted = new Promise((_, reject) => {
      if (signal?.aborted) reject(signal.reason);
      signal?.addEventListener('abort', () => reject(signal.reason));
    });
    aborted.catch(() => {});
    if (this.offline) throw new TypeError('offline');
    const answer = await Promise.race([this.browser.network(request, this), aborted]).finally(() => this.#awake());
    signal?.addEventListener('abort', () => answer.onAbort?.());
    return answer;
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
