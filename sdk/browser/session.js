/**
 * The session of a page: what it holds, when that is renewed, and what ends it. Only the server's explicit word ends a
 * session; a renewal that fails ends nothing. No listener is told of a renewal before its lock is given back, and none
 * is ever waited for.
 */

import { clock } from './clock.js';
import { cores } from './core.js';
import { fetching } from './fetch.js';
import { granted, take } from './holdings.js';
import { courteous } from './tabs.js';
import { MAX_ENTRIES } from './timeline.js';
import { matcher } from './urls.js';
import { ask, backOff, challenged, retryAfter, staler, verdict } from './wire.js';

/**
 * @typedef {import('./host.js').Host} Host
 * @typedef {import('./wire.js').BaseClaims} BaseClaims
 * @typedef {import('./wire.js').Answer} Answer
 * @typedef {import('./holdings.js').Grant} Grant
 * @typedef {import('./core.js').Core} Core
 * @typedef {import('./timeline.js').EndReason} EndReason
 * @typedef {import('./timeline.js').MintedBy} MintedBy
 * @typedef {import('./timeline.js').Renewal} Renewal
 * @typedef {import('./timeline.js').TimelineEntry} TimelineEntry
 */

/**
 * @typedef {object} RemintOptions
 * @property {string} issuer The server's URL.
 * @property {string} clientId
 * @property {'rolling' | 'fixed' | 'refresh' | 'cookie'} policy The policy that the client has at the server.
 * @property {'memory' | 'cookie'} [transport] Policy `refresh`: how the refresh token travels, as the client has it set.
 *   `cookie` (default; `transport: cookie` at the server): HttpOnly, out of reach of scripts. `memory` (`transport: body`
 *   at the server): this page keeps it.
 * @property {Keeper} [keeper] Where tokens are kept over a reload that no cookie keeps: `storage.js` has one, and says what
 *   it risks. Default: nowhere, so that a reload signs out, unless another tab shares them.
 * @property {(string | RegExp)[]} [apis] Who gets the token: origins, URL prefixes, patterns that match a whole origin.
 *   Default: the page's origin.
 * @property {number} [warnMs] How long before a limit of the session `expiring` is told, milliseconds. Default: two minutes.
 * @property {Host} [host] What is taken from the browser; for tests.
 */

/**
 * `save` of nothing forgets. What either throws is reported, and the session goes on, unkept.
 * @typedef {{ load: () => Grant | null | undefined, save: (grant?: Grant) => void }} Keeper
 */

/**
 * `created`: somebody is signed in. `refreshed`: a newer token is here. `claims-changed`: the record changed; `changed`
 * names the claims that differ. `expiring`: the session ends soon, at its idle limit unless a person goes on, or for good
 * at its absolute one. `offline`: a renewal got no answer or an error; it is tried again. `step-up`: an API or the server
 * demands a more recent or a stronger log-in (RFC 9470; `maxAge` in seconds). `ended`: nobody is signed in any more.
 * `status`: the status became another.
 * @template {BaseClaims} [C=BaseClaims]
 * @typedef {{ type: 'created', claims: C, by: MintedBy }
 *   | { type: 'refreshed', claims: C, by: MintedBy }
 *   | { type: 'claims-changed', claims: C, previous: C, changed: string[] }
 *   | { type: 'expiring', inMs: number, cap: 'idle' | 'absolute' }
 *   | { type: 'offline', retryInMs: number, error: string }
 *   | { type: 'step-up', acr?: string, maxAge?: number }
 *   | { type: 'ended', reason: EndReason }
 *   | { type: 'status', status: Status }} RemintEvent
 */

/**
 * `loading`: not known yet. `active`: somebody is signed in. `offline`: the last renewal failed, it is tried again, and
 * whoever was signed in still is. `none`: nobody is signed in.
 * @typedef {'loading' | 'active' | 'offline' | 'none'} Status
 */

/**
 * Status and claims as one value, the same until one of them changes.
 * @template {BaseClaims} C
 * @typedef {{ readonly status: Status, readonly claims: C | null }} Snapshot
 */

/**
 * The session of a page. Its methods need no `this`.
 * @template {BaseClaims} [C=BaseClaims]
 * @typedef {object} Remint
 * @property {Status} status
 * @property {C | null} claims What the newest token says; `null` where nobody is signed in.
 * @property {Promise<C | null>} ready Resolves once it is known who is signed in, with `null` for nobody. A page that is
 *   opened offline may wait for it.
 * @property {() => Snapshot<C>} snapshot
 * @property {(listener: (event: RemintEvent<C>) => void) => () => void} on Calls `listener` with every event; what it
 *   throws is reported and harms nothing. Returns what stops it.
 * @property {(listener: () => void) => () => void} subscribe Calls `listener` whenever status or claims may have changed:
 *   for `useSyncExternalStore`, and stores.
 * @property {() => Promise<string | null>} token A token for an API, renewed before if it is about to end. Where that
 *   fails it is what there is: the API decides. `null` where nobody is signed in, and under the policy `cookie`.
 * @property {() => Promise<C | null>} refresh Renews now, as use by a person: after a change made elsewhere, or to keep a
 *   session that is `expiring`. Resolves with the claims, whether it worked or not.
 * @property {typeof globalThis.fetch} fetch Like `fetch`, with the token for the `apis`.
 * @property {(url: string) => boolean} owns Whether a URL is one of the `apis`.
 * @property {(status: number, header: (name: string) => string | null | undefined, sent: string | null) => Promise<boolean>} heard
 *   For adapters: what an answer of one of the `apis` says of the session. Takes its `Remint-Token`, tells of a step-up,
 *   renews what it refuses. Resolves with whether the request is worth sending once more, with another token.
 * @property {() => number} now The clock of the timeline, milliseconds.
 * @property {() => TimelineEntry[]} timeline What happened to the session, oldest first.
 * @property {() => void} dispose Stops everything; the session goes on without this page.
 */

/** Less is too little to send a request with, milliseconds. */
const LEEWAY_MS = 5_000;
/** How long other tabs are asked for what they hold, milliseconds. */
const PEERS_MS = 200;
/** The longest time between two looks at the clock, milliseconds. */
const MINUTE_MS = 60_000;
/** Claims that say nothing of the person: they differ from token to token. */
const OF_A_TOKEN = /^(iat|exp|jti|cv|pv)$/;

/** What the page's own code throws is reported, and harms nothing. @param {() => unknown} theirs */
const guarded = (theirs) => {
  try {
    theirs();
  } catch (error) {
    console.error(error);
  }
};

/**
 * Makes the session of this page: once, at the top level of a module. It finds out by itself who is signed in.
 * @template {BaseClaims} [C=BaseClaims]
 * @param {RemintOptions} options
 * @returns {Remint<C>}
 * @throws {TypeError} An option that is missing or cannot be.
 */
export const createRemint = (options) => {
  const { issuer, clientId, policy, transport, keeper, apis, host = /** @type {Host} */ (globalThis) } = options;
  if (!clientId || !/^(rolling|fixed|refresh|cookie)$/.test(policy)) throw new TypeError('clientId or policy');
  const page = host.location?.href;
  const owns = matcher(apis ?? (page ? ['/'] : []), page);
  const name = `remint1:${issuer}:${clientId}`;
  const opaque = policy === 'cookie';
  const cookies = opaque || (policy === 'refresh' && transport !== 'memory');
  const now = clock(host);

  /** @type {Snapshot<C>} */
  let snapshot = { status: 'loading', claims: null };
  /** @type {Grant} */
  let held = { now: 0 };
  /** Rises with every log-in and every end: what was asked for before does not count any more. */
  let epoch = 0;
  /** Sessions that are over: what a slower tab still says of them does not revive them. @type {Set<string | undefined>} */
  const gone = new Set();
  /** @type {Promise<void> | undefined} */
  let flight;
  let failures = 0;
  let renewAt = 0;
  let notBefore = 0;
  /** Whether a person has used a page of this browser since the last renewal that said so. */
  let used = false;
  /** @type {any} */
  let timer;
  let disposed = false;
  /** @type {(value?: any) => void} */
  let peersAnswered = () => {};

  // --- telling ---

  /** @type {Set<(event: RemintEvent<C>) => void>} */
  const listeners = new Set();
  /** @type {any[]} */
  const log = [];

  const on = (/** @type {(event: RemintEvent<C>) => void} */ listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };

  const tell = (/** @type {RemintEvent<C>} */ event) => {
    for (const listener of [...listeners]) guarded(() => listener(event));
  };

  /** @param {{ type: TimelineEntry['type'] } & Record<string, unknown>} entry */
  const record = (entry) => {
    log.push({ at: now(), ...entry });
    if (log.length > MAX_ENTRIES) log.shift();
  };

  const become = (/** @type {Status} */ status, claims = snapshot.claims) => {
    const was = snapshot.status;
    if (status !== 'offline') {
      failures = notBefore = 0;
      settle(claims);
    }
    if (was === status && snapshot.claims === claims) return;
    snapshot = { status, claims };
    if (was !== status) tell({ type: 'status', status });
  };

  // --- the other tabs ---

  const post = (/** @type {any} */ message) => channel?.postMessage(message);
  /** @param {boolean} [fresh] */
  const share = (fresh) => post({ grant: { ...held, now: now() }, fresh });

  /** @param {{ data: any }} message */
  const hear = ({ data: { ask, grant, fresh, ended, reason, used: by = used } }) => {
    used = by;
    if (ask && held.access) share();
    if (ended && ended === snapshot.claims?.sid) end(reason, true, false);
    gone.add(ended);
    if (grant) peersAnswered(accept(grant, 'other-tab', fresh));
  };

  /** Asks the other tabs for what they hold. A page that holds nothing goes on with the first answer. */
  const peers = () =>
    new Promise((/** @type {(value?: any) => void} */ resolve) => {
      peersAnswered = held.access ? () => {} : resolve;
      host.setTimeout(resolve, channel ? PEERS_MS : 0);
      post({ ask: true });
    });

  // --- what is held ---

  /** @param {Grant} [grant] */
  const keep = (grant) => guarded(() => keeper?.save(grant));

  /**
   * Takes what is newer, and tells of it.
   * @param {Grant} grant
   * @param {MintedBy} by
   * @param {boolean} [fresh] Whether somebody logged in: then the session may be another one.
   * @returns {boolean} Whether there is a newer access token.
   */
  const accept = (grant, by, fresh) => {
    const sid = (grant.access ?? grant.account)?.claims.sid;
    const before = snapshot.claims;
    const replaced = before && before.sid !== sid;
    // A cookie is what the browser has, whoever put it there.
    if (!sid || gone.has(sid) || (replaced && !fresh && !(cookies && by === 'this-tab'))) return false;
    if (replaced) end('replaced', true, false);
    if (!snapshot.claims && !grant.access) return false;
    if (fresh) epoch++;
    const newer = take(held, grant, now() - grant.now);
    if (newer) news(by);
    if (!/tab$/.test(by)) share(fresh); // a renewal was shared before its lock was given back
    keep({ ...held, now: now() });
    return newer;
  };

  /** When to renew what is held. */
  const due = () => {
    // From half of the life to seven tenths of it, so that many pages do not renew in step.
    const share = policy === 'fixed' ? 0 : 0.3 + 0.2 * host.Math.random();
    // An API brings no new account token: under `rolling` that one is over first.
    const { life, ends } = policy === 'rolling' ? proof() : held.access;
    return ends - life * share;
  };

  const news = (/** @type {MintedBy} */ by) => {
    const { claims, life, ends } = /** @type {import('./holdings.js').Token<C>} */ (held.access);
    const { iat = 0, cv } = claims;
    const previous = snapshot.claims;
    renewAt = due();
    const times = { life_ms: life, left_ms: ends - now(), renew_in_ms: renewAt - now() };
    record({ type: 'minted', kind: opaque ? 'page' : 'access', iat, cv, by, ...times });
    become('active', claims);
    tell({ type: previous ? 'refreshed' : 'created', claims, by });
    if (previous) compare(previous, claims);
    check();
  };

  /** @param {any} previous @param {any} claims */
  const compare = (previous, claims) => {
    const changed = Object.keys({ ...previous, ...claims }).filter(
      (claim) => !OF_A_TOKEN.test(claim) && JSON.stringify(previous[claim]) !== JSON.stringify(claims[claim]),
    );
    if (!changed[0]) return;
    record({ type: 'claims-changed', cv: claims.cv, changed });
    tell({ type: 'claims-changed', claims, previous, changed });
  };

  /**
   * Nobody is signed in any more.
   * @param {EndReason} reason
   * @param {boolean} [over] Whether the session itself is over, and not only this page's proof of it.
   * @param {boolean} [shared] Whether the other tabs are to hear of it.
   */
  const end = (reason, over = true, shared = over) => {
    const sid = snapshot.claims?.sid;
    const known = sid || (over && snapshot.status !== 'none');
    epoch++;
    held = { now: 0 };
    used = false;
    keep();
    if (over) gone.add(sid);
    if (shared) post({ ended: sid, reason });
    become('none', null);
    if (!known) return;
    record({ type: 'ended', reason });
    tell({ type: 'ended', reason });
    check();
  };

  // --- renewal ---

  /**
   * One flight for all who ask. Resolves when it is over, however it went.
   * @param {boolean} byPerson
   */
  const renew = async (byPerson) => {
    if (now() < notBefore || !(held.access || cookies)) return;
    flight ??= attempt(byPerson).finally(() => {
      flight = undefined;
      check();
    });
    await flight;
  };

  /** Where this tab slept, another one may have gone on without it. */
  const catchUp = async () => {
    if (held.access && !cookies && now() > renewAt + LEEWAY_MS) await peers();
  };

  const attempt = async (/** @type {boolean} */ byPerson) => {
    await catchUp();
    if (!(await present(byPerson))) return;
    await peers(); // what was presented is not taken: is there anything better?
    await present(byPerson, true);
  };

  /**
   * Presents the proof that the session goes on, and does what the answer says. The lock is for the other tabs' sake: what
   * came is shared before it is given back, what is to be told here is told after.
   * @param {boolean} byPerson
   * @param {boolean} [again] Whether a refusal is believed that is not the session's own end.
   * @returns {Promise<true | void>} `true` where there was such a refusal, and it is to be tried again.
   */
  const present = async (byPerson, again) => {
    const [before, ofEpoch, began] = [held.access, epoch, now()];
    const interactive = byPerson || used;
    const note = (/** @type {Renewal['outcome']} */ outcome, more = {}) =>
      record({ type: 'renewal', outcome, interactive, took_ms: now() - began, ...more });
    /** @type {Answer | undefined} */
    let answer;
    /** @type {any} */
    let grant;
    await courteous(host, name, async () => {
      // Another tab was first, it is over, or there is nothing to present.
      if (epoch !== ofEpoch || held.access !== before || !(before || cookies)) return;
      answer = await prove(interactive);
      grant = granted(now(), answer?.body);
      if (grant.access && epoch === ofEpoch) post({ grant, ...(interactive && { used: false }) });
    });
    if (!grant) return;
    if (epoch !== ofEpoch) return note('late');
    if (grant.access || answer?.status === 204) return renewed(grant, interactive, note);
    const over = answer && verdict(answer);
    if (!over) return failed(answer, note);
    if (over.sure || again || !snapshot.claims) return end(over.reason, over.sure);
    return true;
  };

  /**
   * The account token, for it alone brings the next one: unless it ran out and an API has put off the end of the other. Where
   * both look over, by a clock that was set, the server decides.
   */
  const proof = () => /** @type {any} */ (
    /** @type {any} */ (held.account)?.ends > Math.min(now() + LEEWAY_MS, /** @type {any} */ (held.access).ends - LEEWAY_MS) ? held.account : held.access
  );

  /** By the refresh token, the cookie, or a token. */
  const prove = (/** @type {boolean} */ interactive) => {
    if (held.refresh) return grantOf(held.refresh, interactive);
    return send('POST', '/session/renew', cookies ? '' : proof().text, interactive ? {} : { interactive });
  };

  /** @param {Grant} grant @param {boolean} interactive @param {(outcome: Renewal['outcome']) => void} note */
  const renewed = (grant, interactive, note) => {
    const before = held.access;
    if (interactive) used = false;
    if (!accept(grant, 'this-tab') && before) {
      renewAt = Math.max(due(), now() + Math.min(Math.max(before.life / 10, 1000), MINUTE_MS));
      note(!grant.access ? 'kept' : staler(grant.access.claims, before.claims) ? 'late' : 'repeated');
    }
    become(held.access ? 'active' : 'none');
  };

  /**
   * The session goes on; tried again later, ever later, and not before the server wishes.
   * @param {Answer | undefined} answer
   * @param {(outcome: Renewal['outcome'], more: Partial<Renewal>) => void} note
   */
  const failed = (answer, note) => {
    const retryInMs = Math.max(retryAfter(answer), backOff(host, failures++));
    const error = answer?.body.error ?? 'no_answer';
    notBefore = renewAt = now() + retryInMs;
    if (snapshot.status !== 'none') become('offline');
    tell({ type: 'offline', retryInMs, error });
    note(answer ? 'failed' : 'lost', { status: answer?.status, error, retry_in_ms: retryInMs });
  };

  /** Renews until the claims are of this version at least; what fails is tried again by the clock. */
  const want = async (/** @type {number} */ cv) => {
    if (/** @type {any} */ (snapshot.claims)?.cv < cv) await renew(false); // perhaps one that began before the change
    if (/** @type {any} */ (snapshot.claims)?.cv < cv) await renew(false);
  };

  // --- the server ---

  const credentials = cookies ? 'include' : 'omit';
  const headers = (token = '') => ({
    'Content-Type': 'application/json',
    ...(token && { Authorization: `Bearer ${token}` }),
    ...(cookies && { 'Remint-Client': clientId }),
  });

  /** @param {string} method @param {string} path @param {string} [token] @param {any} [body] */
  const send = (method, path, token, body) =>
    ask(host, issuer + path, { method, credentials, headers: headers(token), body: JSON.stringify(body) });

  /**
   * RFC 6749 section 6; with `resource` (RFC 8707) for the account token.
   * @param {string} refresh_token
   * @param {boolean} interactive
   * @param {{ resource?: string }} [more]
   */
  const grantOf = (refresh_token, interactive, more) => {
    const idle = !interactive && { interactive: 'false' };
    const body = new URLSearchParams({ grant_type: 'refresh_token', client_id: clientId, refresh_token, ...idle, ...more });
    return ask(host, issuer + '/oauth2/token', { method: 'POST', credentials, body });
  };

  /** The error of a challenge; a demand of RFC 9470 is told to the page. @param {string | null | undefined} challenge */
  const demanded = (challenge) => {
    const error = challenged(challenge, 'error');
    if (error === 'insufficient_user_authentication') {
      const maxAge = Number(challenged(challenge, 'max_age')) || undefined;
      tell({ type: 'step-up', acr: challenged(challenge, 'acr_values'), maxAge });
    }
    return error;
  };

  /** @type {Remint<C>['heard']} */
  const heard = async (status, header, sent) => {
    // It was minted while the request was on its way: all of its life is left.
    const grant = granted(now(), { access_token: header('Remint-Token') });
    if (grant.access && held.access) accept(grant, 'response-header');
    void want(Number(header('Remint-Renew')));
    if (status !== 401 || demanded(header('WWW-Authenticate')) !== 'invalid_token') return false;
    // A token that is held no more was renewed already, for another request.
    if (held.access?.text === (sent ?? '')) await renew(true);
    return opaque ? snapshot.status === 'active' : (held.access?.text ?? sent) !== sent;
  };

  // --- the clock ---

  /** Does what is due, and comes back when the next thing is, within a minute. */
  const check = () => {
    host.clearTimeout(timer);
    if (disposed) return core.pulse(0);
    const at = now();
    const due = held.access || snapshot.status === 'offline' ? Math.max(renewAt, notBefore) : Infinity;
    if (at >= due) void renew(false);
    const next = Math.min(due > at ? due : Infinity, core.pulse(at), at + MINUTE_MS);
    timer = host.setTimeout(check, Math.max(next - at, 50));
  };

  // --- the beginning and the end ---

  let channel = host.BroadcastChannel && new host.BroadcastChannel(name);
  if (channel) channel.onmessage = hear;

  const dispose = () => {
    disposed = true;
    epoch++;
    listeners.clear();
    channel?.close();
    channel = undefined;
    check();
  };

  /** @type {(claims: C | null) => void} */
  let settle;
  const ready = /** @type {Promise<C | null>} */ (new Promise((resolve) => (settle = resolve)));

  /** @type {Core} */
  const core = {
    ...{ options, host, name, now, headers, credentials, send, grantOf, accept, end, catchUp, renew, want, tell, record, check, demanded },
    held: () => held,
    online: () => failures && (renewAt = notBefore = 0),
    touch: () => used || !held.access || post({ used: (used = true) }),
    pulse: () => Infinity,
  };

  const start = async () => {
    await undefined; // the page listens first
    guarded(() => accept(keeper?.load() ?? held, 'storage'));
    await (cookies ? renew(true) : peers());
    if (snapshot.status === 'loading') become('none');
    check();
  };
  core.started = start();
  import('./live.js').then(({ live }) => live(core), console.error);

  /** @type {Remint<C>} */
  const remint = {
    get status() {
      return snapshot.status;
    },
    get claims() {
      return snapshot.claims;
    },
    ready,
    snapshot: () => snapshot,
    on,
    subscribe: on,
    token: async () => {
      await core.started;
      // A clock that was set forward makes a token look over that the server keeps: it is asked once in a while, not each time.
      if (held.access?.text && held.access.ends - now() <= LEEWAY_MS && now() >= renewAt) await renew(true);
      return held.access?.text || null;
    },
    refresh: async () => {
      await core.started;
      await renew(true);
      return snapshot.claims;
    },
    fetch: (input, init) => fetching(remint, host, input, init),
    owns,
    heard,
    now,
    timeline: () => [...log],
    dispose,
  };
  cores.set(remint, core);
  return remint;
};
