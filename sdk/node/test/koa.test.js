// The Koa middleware in front of a real Remint: what koa-jwt promises, and what it does not.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import Koa from 'koa';

import { demandLogin, demandScope } from '../index.js';
import { cors, remint, requireLogin, requireScope } from '../koa.js';
import { dev, login, seconds, serving } from './dev.js';

let server;
before(async () => {
  server = await dev();
});
after(() => server.stop());

/** An application with the middleware before a handler that answers the state. */
async function application(options = {}, handler = (ctx) => (ctx.body = ctx.state), around = []) {
  const app = new Koa();
  app.silent = true;
  const { issuer, audience, credential } = server;
  const middleware = remint({ issuer, audience, credential, ...options });
  for (const outer of around) app.use(outer);
  app.use(options.unless ? middleware.unless(options.unless) : middleware);
  app.use(handler);
  await middleware.verifier.ready();
  const served = await serving(app.callback());
  return { ...served, verifier: middleware.verifier, close: () => (served.close(), middleware.verifier.close()) };
}

/** Runs a scene against an application, and closes it. */
const scene = (options, run, handler, around) => async () => {
  const app = await application(typeof options === 'function' ? options() : options, handler, around);
  try {
    await run(app);
  } finally {
    app.close();
  }
};

describe('what koa-jwt promises', () => {
  it('sets ctx.state.user to the claims', scene({}, async (app) => {
    const { access_token } = await login(server, 'demo-rolling');
    const answer = await app.get('/', access_token);
    const state = await answer.json();
    assert.equal(answer.status, 200);
    assert.equal(state.user.nickname, 'ada');
    assert.deepEqual([state.session.sid, state.session.cv], [state.user.sid, 1]);
    assert.ok(state.session.expiresIn > 1100 && state.session.expiresIn <= 1200);
  }));

  it('takes another key and keeps the token where it is asked to', scene({ key: 'jwtdata', tokenKey: 'raw' }, async (app) => {
    const { access_token } = await login(server, 'demo-rolling');
    const state = await (await app.get('/', access_token)).json();
    assert.deepEqual([state.jwtdata.role, state.raw, state.user], ['engineer', access_token, undefined]);
  }));

  it('passes through without a token, and says why', scene({ passthrough: true }, async (app) => {
    assert.deepEqual(await (await app.get('/')).json(), { code: 'token_missing', user: null });
    assert.deepEqual(await (await app.get('/', 'a.b.c')).json(), { code: 'token_malformed', user: null });
  }, (ctx) => (ctx.body = { code: ctx.state.jwtOriginalError?.code, user: ctx.state.user ?? null })));

  it('leaves the paths of unless alone', scene({ unless: { path: [/^\/public/] } }, async (app) => {
    assert.equal((await app.get('/public/x')).status, 200);
    assert.equal((await app.get('/private')).status, 401);
  }));

  it('finds the token by getToken first, then in the cookie, then in the header', scene({ getToken: (ctx) => ctx.query.token, cookie: 'jwt' }, async (app) => {
    const { access_token } = await login(server, 'demo-rolling');
    assert.equal((await app.get(`/?token=${access_token}`, 'a.b.c')).status, 200);
    assert.equal((await app.get('/', 'a.b.c', { headers: { cookie: `jwt=${access_token}` } })).status, 200);
    assert.equal((await app.get('/', access_token)).status, 200);
  }));

  it('asks isRevoked with context, claims and token', scene({ isRevoked: async (ctx, claims, token) => ctx.path === '/no' && claims.cv === 1 && token.length > 9 }, async (app) => {
    const { access_token } = await login(server, 'demo-rolling');
    assert.equal((await app.get('/yes', access_token)).status, 200);
    const refused = await app.get('/no', access_token);
    assert.equal(refused.headers.get('www-authenticate'), 'Bearer error="invalid_token", error_description="token revoked"');
  }));

  it('takes an isRevoked that fails for a yes', scene({ isRevoked: async () => { throw new Error('the store is away'); } }, async (app) => {
    const { access_token } = await login(server, 'demo-rolling');
    const refused = await app.get('/', access_token);
    assert.deepEqual([refused.status, refused.headers.get('www-authenticate')], [401, 'Bearer error="invalid_token", error_description="token revoked"']);
  }));

  it('lets no request pass whose getToken fails', scene({ passthrough: true, getToken: () => { throw new Error('a mistake'); } }, async (app) => {
    const { access_token } = await login(server, 'demo-rolling');
    assert.equal((await app.get('/', access_token)).status, 500);
  }));

  it('throws what an application may catch, as before', scene({}, async (app) => {
    assert.deepEqual(await (await app.get('/', 'a.b.c')).json(), { mine: 401 });
  }, undefined, [async (ctx, next) => {
    try {
      await next();
    } catch (error) {
      ctx.body = { mine: error.status };
      assert.equal(error.originalError.code, error.code);
      assert.ok(JSON.stringify(error).includes(error.code), 'it can be written as JSON');
    }
  }]));
});

describe('what it adds', () => {
  it('answers every refusal as RFC 6750 says', scene({}, async (app) => {
    const missing = await app.get('/');
    assert.deepEqual([missing.status, missing.headers.get('www-authenticate')], [401, 'Bearer']);
    const other = await app.get('/', undefined, { headers: { authorization: 'Basic eDp5' } });
    assert.equal(other.headers.get('www-authenticate'), 'Bearer');
    const twice = await app.get('/', undefined, { headers: { authorization: 'Bearer a b' } });
    assert.equal(twice.status, 400);
    const { account_token } = await login(server, 'demo-rolling');
    const foreign = await app.get('/', account_token);
    assert.equal(foreign.headers.get('www-authenticate'), 'Bearer error="invalid_token", error_description="wrong audience"');
    assert.equal(foreign.headers.get('cache-control'), 'no-store');
  }));

  const STEP_UP = 'Bearer error="insufficient_user_authentication", error_description="log in again, or with a stronger proof", max_age="0"';
  const LACKS = 'Bearer error="insufficient_scope", error_description="the token lacks a scope", scope="fly"';
  const origin = 'https://app.example';
  /** @returns {Promise<[number, string | null, string | null]>} status, challenge, and who may read it */
  const refusal = async (app, path, token) => {
    const { status, headers } = await app.get(path, token, { headers: { origin } });
    return [status, headers.get('www-authenticate'), headers.get('access-control-allow-origin')];
  };

  it('answers what a handler demands of the token as RFC 9470 and RFC 6750 say', scene({}, async (app) => {
    const { access_token } = await login(server, 'demo-rolling');
    while ((await app.get('/login', access_token)).status === 200) await seconds(0.2); // auth_time is a whole second
    assert.deepEqual(await refusal(app, '/login', access_token), [401, STEP_UP, origin]);
    assert.deepEqual(await refusal(app, '/scope', access_token), [403, LACKS, origin]);
    assert.equal((await app.get('/bug', access_token)).status, 500);
  }, (ctx) => {
    const verified = { claims: ctx.state.user };
    if (ctx.path === '/login') demandLogin(verified, { maxAge: 0 }, Date.now() / 1000);
    if (ctx.path === '/scope') demandScope(verified, 'fly');
    if (ctx.path === '/bug') throw new TypeError('a mistake');
    ctx.body = 'fine';
  }, [cors([origin])]));

  it('demands a log-in or a scope by a middleware of its own, of whoever is known', scene({ key: 'other', passthrough: true }, async (app) => {
    const { access_token } = await login(server, 'demo-rolling');
    while ((await app.get('/login', access_token)).status === 200) await seconds(0.2);
    assert.deepEqual(await refusal(app, '/login', access_token), [401, STEP_UP, origin]);
    assert.deepEqual(await refusal(app, '/scope', access_token), [403, LACKS, origin]);
    assert.deepEqual(await refusal(app, '/scope'), [401, 'Bearer', origin]);
    assert.equal((await app.get('/recent', access_token)).status, 200);
  }, (ctx) => {
    const gates = { '/login': requireLogin({ maxAge: 0 }), '/recent': requireLogin({ maxAge: 300 }), '/scope': requireScope('fly') };
    return gates[ctx.path](ctx, async () => { ctx.body = 'fine'; });
  }, [cors([origin])]));

  it('refuses a session within a second of its end, and says why', scene({}, async (app) => {
    const { access_token, account_token } = await login(server, 'demo-refresh');
    assert.equal((await app.get('/', access_token)).status, 200);
    const gone = await fetch(`${server.issuer}/session`, { method: 'DELETE', headers: { authorization: `Bearer ${account_token}` } });
    assert.ok(gone.ok);
    const end = performance.now() + 10_000;
    let answer = await app.get('/', access_token);
    while (answer.status === 200 && performance.now() < end) answer = await app.get('/', access_token);
    assert.equal(answer.headers.get('www-authenticate'), 'Bearer error="invalid_token", error_description="session ended: logout"');
  }));

  it('refuses stale claims with the version that is needed, or hints', async () => {
    const [refusing, hinting] = [await application(), await application({ staleClaims: 'hint' })];
    const { access_token, account_token } = await login(server, 'demo-fixed');
    assert.equal((await refusing.get('/', access_token)).status, 200);
    const headers = { authorization: `Bearer ${account_token}`, 'content-type': 'application/json' };
    const changed = await fetch(`${server.issuer}/account`, { method: 'PATCH', headers, body: '{"nickname":"countess"}' });
    assert.equal(changed.status, 200);
    await Promise.all([refusing, hinting].map(async (app) => {
      while (!(await app.get('/', access_token)).headers.has('remint-renew')) await seconds(0.02);
    }));
    const [refused, hinted] = [await refusing.get('/', access_token), await hinting.get('/', access_token)];
    assert.equal(refused.headers.get('www-authenticate'), 'Bearer error="invalid_token", error_description="stale claims"');
    assert.deepEqual([refused.status, hinted.status], [401, 200]);
    assert.equal(refused.headers.get('remint-renew'), hinted.headers.get('remint-renew'));
    refusing.close();
    hinting.close();
  });

  it('lets pages of the origins that are named read the new token, refusals too', scene({}, async (app) => {
    const origin = 'https://app.example';
    const refused = await app.get('/', undefined, { headers: { origin } });
    assert.deepEqual([refused.status, refused.headers.get('access-control-allow-origin')], [401, origin]);
    assert.match(refused.headers.get('access-control-expose-headers') ?? '', /Remint-Token, Remint-Renew, WWW-Authenticate/);
    const preflight = await app.get('/', undefined, { method: 'OPTIONS', headers: { origin, 'access-control-request-method': 'PUT' } });
    assert.deepEqual([preflight.status, preflight.headers.get('access-control-allow-headers')], [204, 'authorization, content-type, accept']);
    const foreign = await app.get('/', undefined, { headers: { origin: 'https://app.example.evil.test' } });
    assert.equal(foreign.headers.get('access-control-allow-origin'), null);
  }, undefined, [cors(['https://app.example'])]));
});

describe('a session of the cookie policy', () => {
  const name = '__Host-remint-demo-cookie';
  /** @returns {Promise<string>} the cookie as a browser sends it */
  async function session() {
    const { cookies } = await login(server, 'demo-cookie', { origin: server.issuer, 'sec-fetch-site': 'same-origin' });
    return cookies[0].split(';')[0];
  }

  it('is swapped for a token, once, and ends at once', scene(() => ({ cookie: name }), async (app) => {
    const cookie = await session();
    const headers = { cookie: `${name}=${cookie.split('=').slice(1).join('=')}` };
    const state = await (await app.get('/', undefined, { headers })).json();
    assert.equal(state.user.nickname, 'countess');
    const again = await (await app.get('/', undefined, { headers })).json();
    assert.equal(again.user.jti, state.user.jti, 'it is remembered');
    assert.equal((await server.admin('DELETE', `/sessions/${state.user.sid}`)).status < 300, true);
    let answer = await app.get('/', undefined, { headers });
    while (answer.status === 200) answer = await app.get('/', undefined, { headers });
    assert.equal(answer.status, 401);
    assert.match(answer.headers.get('www-authenticate') ?? '', /session ended: revoked|opens no session/);
  }));

  it('ends for many requests at once with one answer', scene(() => ({ cookie: name }), async (app) => {
    const headers = { cookie: `${name}=rc1.${'A'.repeat(22)}.${'A'.repeat(43)}` };
    const answers = await Promise.all(Array.from({ length: 5 }, () => app.get('/', undefined, { headers })));
    assert.deepEqual(answers.map(({ status }) => status), [401, 401, 401, 401, 401]);
  }));

  it('gives way to the header where the cookie is empty', scene(() => ({ cookie: name }), async (app) => {
    const { access_token } = await login(server, 'demo-rolling');
    assert.equal((await app.get('/', access_token, { headers: { cookie: `${name}=` }, method: 'POST' })).status, 200);
  }));

  it('changes nothing for a page of somebody else, and is refused where there are two', scene(() => ({ cookie: name, origins: ['https://other.example'] }), async (app) => {
    const value = (await session()).split('=').slice(1).join('=');
    const post = (headers) => app.get('/', undefined, { method: 'POST', headers: { cookie: `${name}=${value}`, ...headers } });
    assert.equal((await post({})).status, 403);
    assert.equal((await post({ origin: 'https://evil.test', 'sec-fetch-site': 'cross-site' })).status, 403);
    assert.equal((await post({ 'sec-fetch-site': 'same-origin' })).status, 200);
    assert.equal((await post({ origin: 'https://other.example', 'sec-fetch-site': 'same-site' })).status, 200);
    const twice = await app.get('/', undefined, { headers: { cookie: `${name}=x; ${name}=${value}` } });
    assert.equal(twice.status, 400);
    assert.equal((await app.get('/', undefined, { headers: { cookie: `${name}=nonsense` } })).status, 401);
  }));
});

describe('rolling', () => {
  it('puts one new token beside the answers past half of its life, and none into a shared one', { timeout: 60_000 }, async () => {
    const fast = await dev({ speed: 60 }); // twenty minutes in twenty seconds
    const app = new Koa();
    const middleware = remint({ issuer: fast.issuer, audience: fast.audience, credential: fast.credential, rolling: { budgetMs: 5000 } });
    app.use(middleware);
    app.use((ctx) => {
      if (ctx.path === '/shared') ctx.set('cache-control', 'public, max-age=60');
      ctx.body = 'fine';
    });
    await middleware.verifier.ready();
    const served = await serving(app.callback());
    const { access_token } = await login(fast, 'demo-rolling');
    const young = await served.get('/', access_token);
    assert.deepEqual([young.status, young.headers.get('remint-token')], [200, null]);
    let answers = [];
    while (!answers.some((answer) => answer.headers.has('remint-token'))) {
      await seconds(0.2);
      answers = await Promise.all([1, 2, 3].map(() => served.get('/', access_token)));
      assert.ok(answers.every((answer) => answer.status === 200), 'and it is renewed before it ends');
    }
    const tokens = new Set(answers.map((answer) => answer.headers.get('remint-token')).filter(Boolean));
    assert.equal(tokens.size, 1, 'one flight, one token');
    assert.equal(answers[0].headers.get('cache-control'), 'private, no-store');
    const shared = await served.get('/shared', access_token);
    assert.deepEqual([shared.headers.get('remint-token'), shared.headers.get('cache-control')], [null, 'public, max-age=60']);
    const [next] = tokens;
    assert.equal((await served.get('/', next)).status, 200);
    served.close();
    middleware.verifier.close();
    await fast.stop();
  });
});
