/**
 * Who speaks to the server: the page's own session, one of another device, a second tab, a thief. All but the thief use
 * the browser library as any page would.
 */

import { account, createRemint, read } from './library.js';
import { decoded } from './token.js';
import { Wire } from './wire.js';

/** @import { Remint, RemintEvent } from './library.js' */
/** @import { Policy, Stage } from './main.js' */
/** @import { Held } from './token.js' */

/**
 * @typedef {object} Facts What `GET /dev/facts.json` says.
 * @property {string} issuer
 * @property {string} audience
 * @property {{ identifier: string, password: string }} user
 * @property {{ client_id: string, policy: { kind: Policy, life?: number, idle?: number, absolute?: number } }[]} clients
 * @property {number} speed
 * @property {{ window: number }} timing In seconds.
 */

/** How long the second tab may take for whatever it does, milliseconds. */
const FRAME_MS = 30_000;

/** @returns {Promise<Facts>} */
export const facts = async () => (await fetch('/dev/facts.json', { cache: 'no-store' })).json();

/**
 * An act of the operator of this server: a page of `remint dev` may, and nobody else.
 * @param {'/dev/role' | '/dev/speed'} path @param {Record<string, unknown>} body @returns {Promise<any>}
 */
export async function post(path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(path, { method: 'POST', headers, body: JSON.stringify(body) });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error_description ?? String(answer.status));
  return said;
}

/** The newest code that was sent to a phone. @returns {Promise<string>} */
export async function code() {
  const { messages } = await (await fetch('/dev/inbox.json', { cache: 'no-store' })).json();
  return messages.find((/** @type {any} */ message) => message.code).code;
}

/**
 * What the library takes from this browser, with the wire in between. Without Web Locks: the lock is a courtesy among
 * tabs, and here the server is to be seen settling the races that are left without it.
 * @param {Wire} wire @param {boolean} alone Whether other tabs are not to know of it.
 */
function host(wire, alone) {
  return {
    fetch: wire.fetch, AbortSignal, Date, Math, document, location, performance,
    setTimeout: setTimeout.bind(window), clearTimeout: clearTimeout.bind(window), reportError: reportError.bind(window),
    addEventListener: addEventListener.bind(window), removeEventListener: removeEventListener.bind(window),
    ...(alone ? {} : { BroadcastChannel }),
  };
}

/**
 * @param {Policy} policy @param {string} issuer @param {{ alone: boolean }} how
 */
export function client(policy, issuer, { alone }) {
  const wire = new Wire();
  const remint = createRemint({
    issuer, clientId: `demo-${policy}`, policy, transport: 'memory', apis: [], host: host(wire, alone),
  });
  return { remint, wire };
}

/**
 * Logs the demo's user in; a code that is asked for is read from the inbox.
 * @param {Remint<any>} remint @param {Facts} facts @param {(sentence: string) => void} [tell]
 */
export async function logIn(remint, { user }, tell = () => {}) {
  const { login, factor } = account(remint);
  const { challenge } = await login(user);
  if (!challenge) return;
  tell('The password was right, and the account has a second factor: a code was sent. It is read from the inbox of this server.');
  await factor(challenge, await code());
}

/** The session of this page. */
export class Session {
  /** @param {Policy} policy @param {Facts} facts @param {(event: RemintEvent<any>) => void} heard */
  constructor(policy, facts, heard) {
    this.policy = policy;
    Object.assign(this, client(policy, facts.issuer, { alone: false }));
    this.remint.on(heard);
  }

  /** @type {Remint<any>} */
  remint;
  /** @type {Wire} */
  wire;

  get live() { return this.remint.claims !== null; }

  /** The life of the newest token, or of the session where the page has none; milliseconds. */
  left() {
    const life = read(this.remint.timeline());
    if (!life || life.end) return { ms: 0, life_ms: 1 };
    const now = this.remint.now();
    const token = life.tokens.at(-1);
    if (token) return { ms: token.to - now, life_ms: token.to - token.from };
    const idle = life.idle ?? now;
    const since = life.marks.at(-1)?.at ?? now;
    return { ms: idle - now, life_ms: Math.max(1, idle - since) };
  }

  /** When the token is due for renewal by the server's rule, without the jitter: milliseconds from now. */
  due() {
    const token = read(this.remint.timeline())?.tokens.at(-1);
    return token ? token.half - this.remint.now() : 0;
  }

  /** What the card shows. @returns {Promise<Held | null>} */
  async held() {
    const { claims } = this.remint;
    if (!claims) return null;
    const token = await this.remint.token();
    const header = token ? decoded(token).header : null;
    /** @type {[string, string][]} */
    const chips = [['policy', this.policy], ['cv', String(claims.cv)]];
    if (header) chips.push(['key', `${String(header.kid).slice(0, 8)}…`], ['signed', String(header.alg)]);
    const place = this.policy === 'refresh' ? position(this.wire.refreshToken) : null;
    if (place) chips.push(['refresh token', place.text]);
    return { holds: HOLDS[this.policy], header, claims, chips };
  }
}

/** @type {Record<Policy, string>} */
const HOLDS = {
  rolling: 'One token. Past half of its life it is the proof for the next one; the ring shows what is left of it.',
  fixed: 'One token, until it runs out.',
  refresh: 'A short token, and beside it a refresh token that no API ever sees. Both in memory: nothing is stored.',
  cookie: 'No token. The cookie is out of reach of scripts; the page’s own backend swaps it for a short one. The ring shows the idle limit.',
};

/**
 * Where a refresh token stands in its line: `rt1.<key>.<session>.<generation>.<branch>.<mac>`.
 * @param {string | null} token
 */
export function position(token) {
  const [, , , generation, branch] = token?.split('.') ?? [];
  if (generation === undefined) return null;
  const [g, b] = [Number(generation), Number(branch)];
  return { order: g * 1e6 + b, text: `generation ${g}${b ? `, branch ${b}` : ''}` };
}

/** Another device of the same user: a session of its own, which no tab of this browser shares. @param {Facts} facts */
export async function otherDevice(facts) {
  const { remint } = client('rolling', facts.issuer, { alone: true });
  await logIn(remint, facts);
  return {
    /** @param {string} sid */
    end: (sid) => account(remint).sessions.revoke(sid),
    async leave() {
      await account(remint).logout();
      remint.dispose();
    },
  };
}

/**
 * A second tab: a page of its own in a frame, with the same client. It gets the session as any other tab does.
 * @param {HTMLElement} place @param {Policy} policy
 * @returns {Promise<{ renew(): Promise<Renewed>, close(): void }>}
 */
export async function secondTab(place, policy) {
  const frame = document.createElement('iframe');
  frame.src = `/play/tab.html?${policy}`;
  frame.title = 'A second tab';
  const close = () => {
    place.hidden = true;
    frame.remove();
  };
  place.replaceChildren(frame);
  place.hidden = false;
  try {
    if (!(await said(frame, 'ready'))) throw new Error('the second tab knows of no session');
  } catch (error) {
    close();
    throw error;
  }
  return {
    renew() {
      const renewed = said(frame, 'renewed');
      frame.contentWindow?.postMessage('renew', location.origin);
      return renewed;
    },
    close,
  };
}

/**
 * What a renewal brought, as fingerprints: two are the same where the tokens are, byte for byte.
 * @typedef {object} Renewed
 * @property {number} status
 * @property {string} [access]
 * @property {string} [refresh]
 * @property {string} [jti]
 */

/** @param {import('./wire.js').Seen} seen @returns {Promise<Renewed>} */
export async function fingerprints({ status, body }) {
  const jti = body.access_token && decoded(body.access_token).claims.jti;
  return { status, jti, access: await fingerprint(body.access_token), refresh: await fingerprint(body.refresh_token) };
}

/** @param {string} [text] */
async function fingerprint(text) {
  if (!text) return undefined;
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
  return [...digest.slice(0, 4)].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What the frame says next of a type; it is not waited for longer than half a minute. @param {HTMLIFrameElement} frame @param {string} type @returns {Promise<any>} */
function said(frame, type) {
  return new Promise((resolve, reject) => {
    const over = (/** @type {() => void} */ settle) => {
      removeEventListener('message', listener);
      clearTimeout(timer);
      settle();
    };
    const listener = (/** @type {MessageEvent} */ event) => {
      if (event.origin !== location.origin || event.source !== frame.contentWindow || event.data.type !== type) return;
      over(() => resolve(event.data.value));
    };
    const timer = setTimeout(() => over(() => reject(new Error('waited for the second tab, in vain'))), FRAME_MS);
    addEventListener('message', listener);
  });
}

/**
 * A thief with a copy of the page's refresh token, at a machine of their own: no library, no tab, one request a time.
 * @param {Stage} stage
 */
export function thief({ facts, session }) {
  let token = session?.wire.refreshToken ?? '';
  return {
    place: () => position(token)?.order ?? 0,
    /** The newest copy, as whatever reads along has it. */
    again() { token = session?.wire.refreshToken ?? ''; },
    async use() {
      const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: 'demo-refresh', refresh_token: token });
      const answer = await fetch(`${facts.issuer}/oauth2/token`, { method: 'POST', body });
      const said = await answer.json();
      const rotated = Boolean(said.refresh_token);
      if (rotated) token = said.refresh_token;
      return { ok: answer.ok, rotated, why: String(said.error_description ?? '') };
    },
  };
}
