/**
 * The page's own channel, `GET /session/events`: server-sent events, read by fetch so that no token stands in a URL.
 * Opened again whenever it breaks off, until the signal. Decides nothing: whoever reads does.
 */

import { backOff, retryAfter } from './wire.js';

/** @typedef {import('./host.js').Host} Host */

/** The server says something every 20 s; a stream that is silent for so long is dead. Milliseconds. */
export const SILENCE_MS = 50_000;
/** A timer that is to wait longer does not wait at all. */
const LONGEST_MS = 2 ** 31 - 1;
/** An event is some dozen bytes. */
const MAX_EVENT_CHARS = 65_536;

/**
 * @typedef {object} Reader
 * @property {(signal: AbortSignal) => Promise<Response>} open
 * @property {(event: string, data: any) => void} hear
 * @property {() => void} alive Something came, be it a sign of life; called when it was heard.
 */

/**
 * @param {Host} host
 * @param {AbortSignal} signal
 * @param {Reader} reader
 */
export const follow = async (host, signal, reader) => {
  for (let failures = 0; !signal.aborted; ) {
    const response = await read(host, signal, reader).catch(() => undefined);
    failures = response?.ok ? 0 : failures + 1;
    await pause(host, signal, Math.max(retryAfter(response), backOff(host, failures)));
  }
};

/**
 * Needs no timer to end with the signal: that of a page that is being frozen would not come.
 * @param {Host} host @param {AbortSignal} signal @param {number} ms @returns {Promise<void>}
 */
const pause = (host, signal, ms) =>
  new Promise((resolve) => {
    const done = () => {
      host.clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = host.setTimeout(done, Math.min(ms, LONGEST_MS));
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });

/**
 * One connection, until it ends or falls silent.
 * @param {Host} host
 * @param {AbortSignal} signal
 * @param {Reader} reader
 */
const read = async (host, signal, { open, hear, alive }) => {
  const cut = new AbortController();
  const stop = () => cut.abort();
  /** @type {any} */
  let timer;
  const wait = () => {
    host.clearTimeout(timer);
    timer = host.setTimeout(stop, SILENCE_MS);
  };
  signal.addEventListener('abort', stop);
  wait();
  /** @type {Response | undefined} */
  let response;
  try {
    response = await open(cut.signal);
    if (response.ok) await frames(cut.signal, /** @type {ReadableStream<BufferSource>} */ (response.body), hear, () => (wait(), alive()));
  } catch {
    // broke off
  }
  host.clearTimeout(timer);
  signal.removeEventListener('abort', stop);
  stop();
  return response;
};

/**
 * @param {AbortSignal} signal
 * @param {ReadableStream<BufferSource>} body
 * @param {Reader['hear']} hear
 * @param {() => void} alive
 */
const frames = async (signal, body, hear, alive) => {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  signal.addEventListener('abort', () => reader.cancel().catch(() => {})); // not every fetch ends what is piped on
  for (let text = ''; text.length < MAX_EVENT_CHARS; ) {
    const { done, value } = await reader.read();
    if (done) return;
    const all = (text + value).split('\n\n');
    text = all.pop() ?? '';
    for (const frame of all) {
      const [, event, data] = /^event: (.+)\ndata: (.+)$/.exec(frame) ?? [];
      if (event) hear(event, JSON.parse(data));
    }
    alive();
  }
};
