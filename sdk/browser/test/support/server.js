/**
 * A server for tests of races: one user, sessions of the four policies, the refresh machine of ARCHITECTURE.md with its
 * windows of 30 s, answers that a test can delay, lose or refuse. Real enough to end a session for theft where a page
 * presents an old refresh token; the words are the real server's. Tokens are not signed.
 */

const W_MS = 30_000;
const QUANTUM_S = 5;
const WORDS = { rolling: 1200, fixed: 604_800, refresh: 300, cookie: 300 };

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const payload = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());

export class Server {
  user = { cv: 1, nickname: 'ada' };
  sessions = new Map();
  streams = new Set();
  /** Cookies of the browser, by name. */
  jar = new Map();
  counts = {};
  #sids = 0;
  /** Whether the API hands out the next token past half of a token's life (`Remint-Token`), as the guards do with `rolling`. */
  hands = false;
  /** A test's hold on the wire: `(path, request) => { delay?, lose?: 'request' | 'answer', status?, headers? }`. */
  wire = () => ({});

  constructor({ policy, transport = 'cookie', life = WORDS[policy], idle = 14 * 86_400, absolute = 90 * 86_400 }) {
    Object.assign(this, { policy, transport, life, idle, absolute });
  }

  /** The network of a {@link import('./browser.js').Browser}. */
  network = async (request, tab) => {
    this.browser = tab.browser;
    const url = new URL(request.url);
    if (url.hostname !== 'id.test') return this.api(request, url);
    const path = url.pathname;
    this.counts[path] = (this.counts[path] ?? 0) + 1;
    const { delay = 0, back = 0, lose, status, headers, body } = this.wire(path, request) ?? {};
    await this.wait(delay);
    if (lose === 'request') return this.cut();
    if (status) return Response.json(body ?? { error: 'temporarily_unavailable' }, { status, headers });
    const answer = await this.answer(request, path, url);
    await this.wait(back);
    if (lose === 'answer') return this.cut();
    return answer;
  };

  wait(ms) {
    return ms ? new Promise((resolve) => this.browser.later(resolve, ms)) : undefined;
  }

  cut() {
    throw new TypeError('the connection broke off');
  }

  /** Somebody's API: by default it takes what is not stale and not ended. */
  api = async (request) => {
    const token = request.headers.get('Authorization')?.slice(7);
    const held = token && payload(token);
    const session = held && this.sessions.get(held.sid);
    if (!token) return new Response('', { status: 401, headers: { 'WWW-Authenticate': 'Bearer' } });
    if (!session || session.ended || held.exp * 1000 <= this.now()) return refusal('session ended or token expired');
    if (held.cv < this.user.cv) return refusal('stale claims', { 'Remint-Renew': String(this.user.cv) });
    const next = this.hands && this.renew(session, token, true);
    return Response.json(held, { headers: next && next.status === 200 ? { 'Remint-Token': (await next.json()).access_token } : {} });
  };

  now() {
    return this.browser.time;
  }

  async answer(request, path, url) {
    const text = await request.text();
    const body = request.headers.get('Content-Type')?.startsWith('application/json') ? JSON.parse(text || '{}') : Object.fromEntries(new URLSearchParams(text));
    const cookie = request.credentials === 'include' ? this.jar.get('session') : undefined;
    const bearer = request.headers.get('Authorization')?.slice(7);
    if (path === '/session' && request.method === 'POST') return this.open(bearer);
    if (path === '/oauth2/token') return this.refresh(body.refresh_token, body.interactive !== 'false', body.resource);
    if (path === '/session/renew' && this.policy === 'refresh') return cookie ? this.refresh(cookie, body.interactive !== false) : unauthorized();
    if (path === '/oauth2/revoke') {
      const shown = this.known(body.token);
      if (shown) this.end(shown, 'revoked');
      return new Response('');
    }
    const session = this.known(bearer ?? cookie);
    if (!session) return bearer ?? cookie ? refused(401, 'invalid_token', bearer ? 'the token has expired' : 'the session cookie is not valid') : unauthorized();
    const over = this.over(session);
    if (path === '/session' && request.method === 'DELETE') {
      this.end(session, 'logout');
      this.jar.delete('session');
      return new Response(null, { status: 204 });
    }
    if (over) return refused(401, 'invalid_token', over);
    if (path === '/session/renew') return this.renew(session, bearer, body.interactive !== false);
    if (path === '/session/events') return this.stream(session);
    if (path === '/session') return Response.json({ sid: session.sid, idle_expires_at: session.idleAt / 1000, expires_at: session.absoluteAt / 1000 });
    if (path === '/account') {
      this.change(body);
      return this.tokens(session, { account: true });
    }
    return refused(404, 'not_found', 'there is nothing here');
  }

  known(shown) {
    if (!shown) return undefined;
    if (!shown.includes('.')) return [...this.sessions.values()].find((session) => session.cookie === shown);
    const { sid, exp } = payload(shown);
    return exp * 1000 > this.now() ? this.sessions.get(sid) : undefined;
  }

  over(session) {
    if (session.ended) return `session ended: ${session.ended}`;
    if (this.now() >= session.idleAt || this.now() >= session.absoluteAt) return 'the session has expired';
    return undefined;
  }

  open() {
    const now = this.now();
    const sid = `sid-${++this.#sids}`;
    const absolute = this.policy === 'fixed' ? this.life : this.absolute;
    const session = { sid, gen: 0, br: 0, pbr: undefined, deliveredAt: now, ackedAt: undefined, absoluteAt: now + absolute * 1000 };
    session.idleAt = Math.min(now + this.idle * 1000, session.absoluteAt);
    this.sessions.set(sid, session);
    if (this.policy === 'cookie') this.jar.set('session', (session.cookie = `secret-${sid}`));
    return this.tokens(session, { account: true, refresh: true });
  }

  claims(session, life = this.life) {
    const now = Math.floor(this.now() / 1000);
    const iat = now - (now % QUANTUM_S);
    const exp = Math.min(iat + life, Math.floor(session.absoluteAt / 1000));
    return { sub: 'user', sid: session.sid, cv: this.user.cv, iat, exp, nickname: this.user.nickname };
  }

  tokens(session, { account = false, refresh = false, only = false }) {
    const claims = this.claims(session);
    const expires_in = Math.floor(claims.exp - this.now() / 1000);
    if (this.policy === 'cookie') {
      const { iat, exp, ...said } = claims;
      const left = Math.floor((session.idleAt - this.now()) / 1000);
      return Response.json({ claims: said, expires_in: left, idle_expires_at: session.idleAt / 1000, expires_at: session.absoluteAt / 1000 });
    }
    const token = (aud) => `h.${base64url({ ...claims, aud })}.s`;
    const body = { access_token: token(only ? 'https://id.test' : 'api'), expires_in, token_type: 'Bearer' };
    if (account) body.account_token = token('https://id.test');
    if (refresh && this.policy === 'refresh') {
      const text = `rt1-${session.sid}-${session.gen}-${session.br}`;
      if (this.transport === 'cookie') this.jar.set('session', text);
      else body.refresh_token = text;
    }
    return Response.json(body);
  }

  renew(session, bearer, interactive) {
    if (interactive) session.idleAt = Math.min(this.now() + this.idle * 1000, session.absoluteAt);
    if (this.policy === 'cookie') return this.tokens(session, {});
    const held = payload(bearer);
    const due = this.now() >= held.iat * 1000 + this.life * 1000 * 0.55;
    const later = this.claims(session).exp > held.exp;
    if (held.cv < this.user.cv || (this.policy === 'rolling' && due && later)) {
      session.idleAt = Math.min(this.now() + this.life * 1000, session.absoluteAt);
      return this.tokens(session, { account: held.aud !== 'api' });
    }
    return new Response(null, { status: 204 });
  }

  /** The refresh machine: the rows of the table by their numbers. */
  refresh(text, interactive, resource) {
    const [, sid, gen, br] = /^rt1-(sid-\d+)-(\d+)-(\d+)$/.exec(text) ?? [];
    const session = this.sessions.get(sid);
    const [status, error] = this.transport === 'cookie' ? [401, 'invalid_token'] : [400, 'invalid_grant'];
    if (!session) return refused(status, error, 'the refresh token is not valid'); // 0
    const over = this.over(session); // 2, 3
    if (over) return refused(status, error, over);
    const now = this.now();
    const [g, b] = [Number(gen), Number(br)];
    const answer = (refresh) => {
      if (interactive) session.idleAt = Math.min(now + this.idle * 1000, session.absoluteAt);
      return this.tokens(session, { account: this.transport === 'cookie', refresh, only: !!resource });
    };
    if (g === session.gen && b === session.br) {
      if (now - session.deliveredAt <= W_MS) return (session.ackedAt ??= now), answer(false); // 5
      Object.assign(session, { pbr: session.br, gen: g + 1, br: 0, deliveredAt: now, ackedAt: undefined }); // 6
      return answer(true);
    }
    if (g === session.gen - 1 && b === session.pbr) {
      if (session.ackedAt === undefined && now - session.deliveredAt > W_MS) session.br++; // 10
      if (session.ackedAt === undefined || now - session.ackedAt <= W_MS) {
        session.deliveredAt = now; // 9, 11
        return answer(true);
      }
    }
    this.end(session, 'theft'); // 12
    return refused(status, error, 'session ended: theft');
  }

  /** Eight streams of a session at most; one ends with the session, and outlives the token that opened it. */
  stream(session) {
    if ([...this.streams].filter(({ sid }) => sid === session.sid).length >= 8) {
      return Response.json({ error: 'too_many_requests' }, { status: 429, headers: { 'Retry-After': '30' } });
    }
    let out;
    const body = new ReadableStream({ start: (it) => void (out = it) });
    const answer = new Response(body, { headers: { 'Content-Type': 'text/event-stream' } });
    const close = () => this.streams.delete(entry) && out.close();
    const write = (text) => out.enqueue(new TextEncoder().encode(text));
    const say = (event, data) => write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    const ended = (reason) => (say('ended', { reason }), close());
    const entry = { sid: session.sid, say, ended };
    /** The wire breaks: with an error where somebody notices. */
    answer.cut = (error) => this.streams.delete(entry) && error && out.error(error);
    this.streams.add(entry);
    say('claims-changed', { cv: this.user.cv });
    const beat = () => {
      if (!this.streams.has(entry)) return;
      if (this.over(session)) return ended('expired');
      write(':\n\n');
      this.browser.later(beat, 20_000);
    };
    this.browser.later(beat, 20_000);
    return answer;
  }

  change(attributes) {
    Object.assign(this.user, attributes);
    this.user.cv++;
    for (const { say } of [...this.streams]) say('claims-changed', { cv: this.user.cv });
  }

  end(session, reason) {
    session.ended ??= reason;
    for (const { sid, ended } of [...this.streams]) if (sid === session.sid) ended(session.ended);
  }
}

const refused = (status, error, error_description) =>
  Response.json({ error, error_description }, { status, headers: { 'WWW-Authenticate': `Bearer error="${error}", error_description="${error_description}"` } });
const refusal = (description, headers = {}) =>
  new Response('', { status: 401, headers: { 'WWW-Authenticate': `Bearer error="invalid_token", error_description="${description}"`, ...headers } });
const unauthorized = () =>
  Response.json({ error: 'invalid_token', error_description: 'an access token is required' }, { status: 401, headers: { 'WWW-Authenticate': 'Bearer realm="remint"' } });
