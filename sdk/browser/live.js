/**
 * What keeps a session in touch: its stream of events, read by one tab of the browser for all; the wake-ups of the page;
 * the session's limits. The session loads it by itself, and works without.
 */

import { bearer, call, refused } from './api.js';
import { follow } from './stream.js';
import { elected } from './tabs.js';
import { retryAfter } from './wire.js';

/** @typedef {import('./core.js').Core} Core */

/** A tab that reads the stream and says nothing for so long is gone or frozen, milliseconds; one that was spoken to answers. */
const [SILENT_MS, ANSWER_MS] = [60_000, 2_000];
/** How far a limit may have moved and still be the same, milliseconds. */
const SAME_MS = 5_000;
/** What may mean that time has passed unseen, or that a person is at work. */
const WAKES = ['visibilitychange', 'resume', 'freeze', 'pageshow', 'pagehide', 'online', 'focus', 'pointerdown', 'keydown'];

/** @param {Core} core */
export const live = (core) => {
  const { host, name, now } = core;
  const { policy, issuer, warnMs = 120_000 } = core.options;
  let [idleAt, absoluteAt, warned] = [Infinity, Infinity, 0];
  /** When whoever reads the stream is silent for too long; the version of the record that it named; the last try for it. */
  let [silentAt, cv, asked] = [0, 0, 0];
  /** Where the last try for the stream failed: from when on the server would be asked again, and when the token ended that was held. */
  let [closedUntil, failedWith] = [Infinity, 0];
  /** @type {string | undefined} */
  let sid;
  let away = false;
  /** @type {AbortController | undefined} */
  let stream;
  /** @type {AbortSignal | undefined} */
  let reading;
  const beats = host.BroadcastChannel && new host.BroadcastChannel(`${name}:events`);
  if (beats) beats.onmessage = ({ data }) => sid && data.sid === sid && told(data);

  // --- the limits ---

  /** Asks for them. Under the policies `rolling` and `fixed` the token's own end is the only idle limit. */
  const look = async () => {
    const answer = await call(core, 'GET', '/session').catch(() => undefined);
    const { access } = core.held();
    if (!answer || !access || answer.sid !== access.claims.sid) return;
    const zero = access.ends - 1000 * (access.claims.exp ?? answer.idle_expires_at); // from the server's clock to this one
    absoluteAt = zero + 1000 * answer.expires_at;
    idleAt = /^(refresh|cookie)$/.test(policy) ? zero + 1000 * answer.idle_expires_at : Infinity;
    const at = now();
    core.record({ type: 'limits', idle_in_ms: Math.min(idleAt, absoluteAt) - at, absolute_in_ms: absoluteAt - at });
    core.check();
  };

  /** Tells of a limit that is near, once; of the idle one only after a look at whether it has moved. */
  const warn = async () => {
    const limit = (warned = Math.min(idleAt, absoluteAt));
    const cap = idleAt < absoluteAt ? 'idle' : 'absolute';
    if (cap === 'idle') await look();
    if (!sid || Math.min(idleAt, absoluteAt) > limit + SAME_MS) return;
    warned = Math.min(idleAt, absoluteAt);
    core.tell({ type: 'expiring', inMs: Math.max(0, warned - now()), cap });
  };

  // --- the stream ---

  /** Whether the page can be seen: such a one is not frozen. */
  const seen = () => host.document?.visibilityState !== 'hidden';

  /** Whether this tab reads, and does not wait for its turn. */
  const reads = () => !!stream && reading === stream.signal;

  /** @param {boolean} [elect] Whether one tab is enough. */
  const watch = (elect = true) => {
    stream = new AbortController();
    const { signal } = stream;
    offer();
    void (elect ? elected(host, `${name}:events`, signal, () => read(signal)) : read(signal));
  };

  /** A tab that can be seen would read: one that cannot may be frozen at any time, and no browser need say so. */
  const offer = () => {
    if (!seen() || reads()) return;
    silentAt = now() + ANSWER_MS;
    beats?.postMessage({ sid, offer: true });
  };

  /** Tells the others that the stream is alive. */
  const beat = () => reads() && beats?.postMessage({ sid, cv, hidden: !seen() });

  /** @param {{ offer?: boolean, cv?: any, hidden?: boolean }} message Of another tab. */
  const told = (message) => {
    if (!message.offer) {
      named(message.cv);
      if (message.hidden) offer();
    } else if (seen()) {
      beat();
    } else {
      leave();
      core.check();
    }
  };

  /** The stream is alive; what it said of the record is as new as this. */
  const named = (/** @type {number} */ version) => {
    silentAt = now() + SILENT_MS;
    if (version <= cv) return;
    [cv, asked] = [version, 0];
    core.check();
  };

  const read = async (/** @type {AbortSignal} */ signal) => {
    reading = signal;
    named(cv);
    const open = async (/** @type {AbortSignal} */ cut) => {
      closedUntil = Infinity;
      try {
        const headers = core.headers(await bearer(core));
        const answer = await host.fetch(`${issuer}/session/events`, { headers, credentials: core.credentials, signal: cut });
        if (!answer.ok) closedUntil = now() + retryAfter(answer);
        return answer;
      } catch (error) {
        if (!cut.aborted) closedUntil = 0;
        throw error;
      } finally {
        failedWith = core.held().access?.ends ?? 0;
      }
    };
    await follow(host, signal, {
      open: async (cut) => {
        const answer = await open(cut);
        if (answer.status !== 401) return answer;
        await refused(core);
        return open(cut);
      },
      alive: () => {
        if (signal.aborted) return;
        named(cv);
        beat();
      },
      hear: (event, data) => {
        if (signal.aborted) return;
        if (event === 'ended') core.end(data.reason);
        if (event === 'claims-changed') named(data.cv);
      },
    });
  };

  const leave = () => {
    stream?.abort();
    stream = undefined;
  };

  // --- the page ---

  const wake = (/** @type {Event} */ { type }) => {
    if (/freeze|hide$/.test(type)) away = true;
    if (/resume|show$/.test(type)) away = false;
    if (away) return leave(); // another tab is to read it
    if (/^(pointer|key)down$/.test(type)) {
      core.touch();
      if (warned && warned === idleAt) void core.renew(true);
      return;
    }
    if (type === 'online') {
      core.online();
      leave(); // what was open when the network went may be dead
    }
    if (type === 'visibilitychange') seen() ? offer() : beat();
    core.check();
  };

  const listen = (/** @type {'addEventListener' | 'removeEventListener'} */ verb) =>
    WAKES.forEach((type) => (/^(vis|res|fre)/.test(type) ? host.document : host)?.[verb]?.(type, wake, { passive: true }));

  core.pulse = (at) => {
    const { access } = core.held();
    if (!at) {
      listen('removeEventListener');
      beats?.close();
    }
    if (!at || !access) {
      sid = undefined;
      leave();
      return Infinity;
    }
    if (sid !== access.claims.sid) {
      sid = access.claims.sid;
      [idleAt, absoluteAt, warned, cv] = [Infinity, Infinity, 0, 0];
      leave();
      void look();
    }
    const again = reads() && access.ends !== failedWith; // the server answers again: no longer is waited than it wishes
    if (again && at >= closedUntil) leave();
    if (!stream && !away) watch();
    const ears = seen() || reads();
    if (stream && at >= silentAt && ears) {
      leave();
      watch(false); // whoever was to read it, be it this tab before it slept, is silent
    }
    if (access.claims.cv < cv && at - asked > SAME_MS) {
      asked = at;
      void core.want(cv);
    }
    const from = Math.min(idleAt, absoluteAt) - warnMs;
    if (at >= from && from + warnMs > warned) void warn();
    return Math.min(from > at ? from : Infinity, stream && ears ? silentAt : Infinity, again && stream ? closedUntil : Infinity);
  };

  listen('addEventListener');
  core.check();
};
