/**
 * What keeps a session in touch: its stream of events, read by one tab of the browser for all; the wake-ups of the page;
 * the session's limits. The session loads it by itself, and works without.
 */

import { bearer, call } from './api.js';
import { follow } from './stream.js';
import { elected } from './tabs.js';

/** @typedef {import('./core.js').Core} Core */

/** A tab that reads the stream and says nothing for so long is gone or frozen, milliseconds. */
const SILENT_MS = 60_000;
/** How far a limit may have moved and still be the same, milliseconds. */
const SAME_MS = 5_000;
/** What may mean that time has passed unseen, or that a person is at work. */
const WAKES = ['visibilitychange', 'resume', 'freeze', 'pageshow', 'pagehide', 'online', 'focus', 'pointerdown', 'keydown'];

/** @param {Core} core */
export const live = (core) => {
  const { host, name, now } = core;
  const { policy, issuer, warnMs = 120_000 } = core.options;
  let [idleAt, absoluteAt, warned, heard] = [Infinity, Infinity, 0, 0];
  /** @type {string | undefined} */
  let sid;
  let away = false;
  /** @type {AbortController | undefined} */
  let stream;
  /** @type {AbortSignal | undefined} */
  let reading;
  const beats = host.BroadcastChannel && new host.BroadcastChannel(`${name}:events`);
  if (beats) beats.onmessage = () => (heard = now());

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

  const watch = () => {
    stream = new AbortController();
    const { signal } = stream;
    heard = now();
    void elected(host, `${name}:events`, signal, () => read(signal));
  };

  const read = async (/** @type {AbortSignal} */ signal) => {
    if (reading === signal) return;
    reading = signal;
    await follow(host, signal, {
      open: async (cut) =>
        host.fetch(`${issuer}/session/events`, { headers: core.headers(await bearer(core)), credentials: core.credentials, signal: cut }),
      refused: ({ status }) => status === 401 && core.renew(false),
      alive: () => beats?.postMessage((heard = now())),
      hear: (event, { reason, cv }) => {
        if (signal.aborted) return;
        if (event === 'ended') core.end(reason);
        if (event === 'claims-changed') void core.want(cv);
      },
    });
  };

  const leave = () => {
    stream?.abort();
    stream = undefined;
  };

  // --- the page ---

  const wake = (/** @type {Event} */ { type }) => {
    away = /^(freeze|pagehide)$/.test(type);
    if (away) return leave(); // another tab is to read it
    if (/^(pointer|key)down$/.test(type)) {
      core.touch();
      if (warned && warned === idleAt) void core.renew(true);
      return;
    }
    if (type === 'online') {
      core.online();
      leave(); // its stream is dead, or waits for another try
    }
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
      [idleAt, absoluteAt, warned] = [Infinity, Infinity, 0];
      leave();
      void look();
    }
    if (!stream && !away) watch();
    if (stream && at - heard > SILENT_MS && host.document?.visibilityState !== 'hidden') {
      heard = at;
      void read(stream.signal); // whoever was to read it is silent
    }
    const from = Math.min(idleAt, absoluteAt) - warnMs;
    if (at >= from && from + warnMs > warned) void warn();
    return from > at ? from : Infinity;
  };

  listen('addEventListener');
  core.check();
};
