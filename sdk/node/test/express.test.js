// The Express middleware in front of a real Remint: the shape of express-jwt, the answers of RFC 6750.

import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';

import express from 'express';

import { cors, remint, requireLogin, requireScope } from '../express.js';
import { RemintError } from '../errors.js';
import { dev, login, seconds, serving } from './dev.js';

let server;
before(async () => {
  server = await dev({ speed: 60 });
});
after(() => server.stop());

/** @param {object} options @param {(app: any) => void} routes */
async function application(options, routes) {
  const app = express();
  app.set('env', 'test');
  const { issuer, audience, credential } = server;
  const middleware = remint({ issuer, audience, credential, ...options });
  app.use(cors(['https://app.example']), middleware);
  routes(app);
  await middleware.verifier.ready();
  const served = await serving(app);
  return { ...served, close: () => (served.close(), middleware.verifier.close()) };
}

it('puts the claims into req.auth, and demands scopes and log-ins', async () => {
  const seen = [];
  const app = await application({}, (app) => {
    app.get('/me', (req, res) => res.json(req.auth));
    app.get('/write', requireScope('write'), (req, res) => res.send('written'));
    app.get('/delete', requireScope('write delete'), (req, res) => res.send('deleted'));
    app.get('/recent', requireLogin({ maxAge: 300 }), (req, res) => res.send('recent'));
    app.get('/strong', requireLogin({ acr: 'phr' }), (req, res) => res.send('strong'));
    app.use((error, req, res, next) => {
      seen.push([error.name, error.status, error.code, error.inner.code]);
      next(error);
    });
  });
  const { access_token } = await login(server, 'demo-refresh');
  assert.equal((await (await app.get('/me', access_token)).json()).nickname, 'ada');
  for (const path of ['/write', '/recent']) assert.equal((await app.get(path, access_token)).status, 200);
  const lacking = await app.get('/delete', access_token);
  assert.equal(lacking.headers.get('www-authenticate'), `Bearer error="insufficient_scope", error_description="the token lacks a scope", scope="write delete"`);
  const weak = await app.get('/strong', access_token);
  assert.equal(weak.headers.get('www-authenticate'), `Bearer error="insufficient_user_authentication", error_description="log in again, or with a stronger proof", acr_values="phr"`);
  const missing = await app.get('/me', undefined, { headers: { origin: 'https://app.example' } });
  assert.deepEqual([missing.status, missing.headers.get('www-authenticate'), missing.headers.get('access-control-allow-origin')], [401, 'Bearer', 'https://app.example']);
  assert.equal((await app.get('/me', 'a.b.c')).status, 401);
  assert.deepEqual(seen, [
    ['UnauthorizedError', 403, 'insufficient_scope', 'insufficient_scope'],
    ['UnauthorizedError', 401, 'insufficient_user_authentication', 'step_up_required'],
    ['UnauthorizedError', 401, 'credentials_required', 'token_missing'],
    ['UnauthorizedError', 401, 'invalid_token', 'token_malformed'],
  ]);
  app.close();
});

it('lets requests without a token pass where none is required, and no bad one', async () => {
  const app = await application({ credentialsRequired: false, isRevoked: (req) => req.path === '/no' }, (app) => {
    app.use((req, res) => res.json({ known: req.auth !== undefined }));
  });
  const { access_token } = await login(server, 'demo-fixed');
  assert.deepEqual(await (await app.get('/')).json(), { known: false });
  assert.deepEqual(await (await app.get('/', access_token)).json(), { known: true });
  assert.deepEqual([(await app.get('/no', access_token)).status, (await app.get('/', 'a.b.c')).status], [401, 401]);
  app.close();
});

it('hands a new token to no answer that may be shared, however that is said', { timeout: 60_000 }, async () => {
  const said = { 'Cache-Control': 'public, max-age=600' };
  const app = await application({ rolling: true }, (app) => {
    app.get('/object', (req, res) => res.writeHead(200, said).end());
    app.get('/words', (req, res) => res.writeHead(200, 'Fine', said).end());
    app.get('/flat', (req, res) => res.writeHead(200, ['cache-control', 's-maxage=9', 'set-cookie', 'a=1', 'set-cookie', 'b=2']).end());
    app.get('/pairs', (req, res) => res.writeHead(200, [['cache-control', 'public']]).end());
    app.get('/own', (req, res) => res.writeHead(200, { 'X-Own': 'kept' }).end());
  });
  const { access_token } = await login(server, 'demo-rolling');
  let answer = await app.get('/own', access_token);
  while (!answer.headers.has('remint-token')) {
    await seconds(0.2);
    answer = await app.get('/own', access_token);
    assert.equal(answer.status, 200);
  }
  assert.deepEqual([answer.headers.get('cache-control'), answer.headers.get('x-own')], ['private, no-store', 'kept']);
  for (const path of ['/object', '/words', '/flat', '/pairs']) {
    const shared = await app.get(path, access_token);
    assert.match(shared.headers.get('cache-control') ?? '', /public|s-maxage/, path);
    assert.equal(shared.headers.get('remint-token'), null, path);
    if (path === '/flat') assert.deepEqual(shared.headers.getSetCookie(), ['a=1', 'b=2']);
  }
  app.close();
});

it('logs nobody out while nothing can be said of a token', async () => {
  const verifier = { authorization: null, verify: async () => { throw new RemintError('feed_lagging'); } };
  /** @type {any} */ let passed;
  await remint({ verifier })({ rawHeaders: ['authorization', 'Bearer x'], headers: {} }, {}, (error) => (passed = error));
  assert.deepEqual([passed.name, passed.status, passed.headers['retry-after']], ['ServiceUnavailableError', 503, '1']);
});

it('hands out a new token past half of a rolling life, to this request or the next', { timeout: 60_000 }, async () => {
  const app = await application({ rolling: true }, (app) => app.get('/', async (req, res) => res.send('fine')));
  const { access_token } = await login(server, 'demo-rolling');
  let answer = await app.get('/', access_token);
  assert.equal(answer.headers.get('remint-token'), null);
  while (!answer.headers.has('remint-token')) {
    await seconds(0.2);
    answer = await app.get('/', access_token);
    assert.equal(answer.status, 200, 'it is renewed before it ends');
  }
  assert.equal(answer.headers.get('cache-control'), 'private, no-store');
  assert.equal((await app.get('/', answer.headers.get('remint-token'))).status, 200);
  app.close();
});
