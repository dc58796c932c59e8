// The guard for Node beside what others use, in one process and in turns: ratios count, times do not. Asserts no times; an
// answer that is not the right one ends it.
//
//     npm ci && npm start

import assert from 'node:assert/strict';
import { createSecretKey, generateKeyPairSync, sign } from 'node:crypto';
import { createServer, request, Agent } from 'node:http';

import { Verifier } from '@remint/node';
import { remint } from '@remint/node/koa';
import { createVerifier } from 'fast-jwt';
import * as jose from 'jose';
import jsonwebtoken from 'jsonwebtoken';
import Koa from 'koa';
import koaJwt from 'koa-jwt';

const [issuer, audience] = ['https://issuer.test', 'api'];
const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256', use: 'sig' };
const SECRET = 'a secret of thirty-two characters';
const now = Math.floor(Date.now() / 1000);
const b64 = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const id = (n) => Buffer.from(n.toString(16).padStart(32, '0'), 'hex').toString('base64url');

/** A token that nobody has seen, young enough that no renewal is due. */
function token(n) {
  const claims = { iss: issuer, sub: id(n), aud: audience, client_id: 'shop', sid: id(n + 1e6), cv: 7, pv: 1, iat: now, exp: now + 1200, jti: id(n + 2e6), scope: 'read' };
  const input = `${b64({ alg: 'ES256', typ: 'at+jwt', kid: 'k' })}.${b64(claims)}`;
  return `${input}.${sign('sha256', Buffer.from(input), { key: privateKey, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

/** An issuer with its keys and a feed that told of a million sessions. */
function published(url) {
  if (url.endsWith('/.well-known/oauth-authorization-server')) return Promise.resolve(Response.json({ issuer, jwks_uri: `${issuer}/keys` }));
  if (url.endsWith('/keys')) return Promise.resolve(Response.json({ keys: [jwk] }));
  const frame = (event, data, at) => `${at === undefined ? '' : `id: ${at}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
  async function* feed() {
    const hello = { issuer, audience, client_timeout_ms: 1e4, server_deadline_ms: 5e3, leeway_ms: 5e3, heartbeat_ms: 1e5, resumed: false, cursor: '0-x' };
    yield frame('hello', hello);
    for (let at = 0; at < 1e6; at += 500) {
      const ended = (n) => ({ type: 'session-ended', sid: id(5e6 + at + n), reason: 'logout', forget_after: (now + 1e5) * 1e6 });
      yield frame('snapshot', Array.from({ length: 500 }, (_, n) => ended(n)));
    }
    yield frame('snapshot-end', {}, '1000000-x');
    await new Promise(() => {});
  }
  return Promise.resolve(new Response(ReadableStream.from(feed()).pipeThrough(new TextEncoderStream()), { headers: { 'content-type': 'text/event-stream' } }));
}

const ROUNDS = 9;

/** Each in turn, several times; the median of operations per second. @param {Record<string, (n: number) => unknown>} sides */
async function measured(title, sides, ms = 300) {
  const rates = Object.fromEntries(Object.keys(sides).map((name) => [name, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, side] of Object.entries(sides)) {
      const begin = performance.now();
      let done = 0;
      while (performance.now() - begin < ms) for (let n = 0; n < 50; n += 1) await side(done++);
      rates[name].push(done / (performance.now() - begin) * 1000);
    }
  }
  const median = (all) => all.sort((a, b) => a - b)[Math.floor(all.length / 2)];
  const [first] = Object.keys(sides);
  const own = median(rates[first]);
  console.log(`\n${title}`);
  for (const name of Object.keys(sides)) console.log(`  ${name.padEnd(44)} ${Math.round(median(rates[name])).toString().padStart(9)}/s   ${(own / median(rates[name])).toFixed(2)} of it is ours`);
}

const credential = { id: 'api', secret: 'x' };
const verifier = new Verifier({ issuer, audience, credential, fetch: published, cacheTokens: 1000 });
await verifier.ready();
const many = Array.from({ length: 20_000 }, (_, n) => token(n));
const few = many.slice(0, 500);
const hs = few.map((_, n) => jsonwebtoken.sign({ sub: id(n), aud: audience, iss: issuer }, SECRET, { expiresIn: 1200 }));
const pem = publicKey.export({ type: 'spki', format: 'pem' });
const [cached, uncached] = [true, false].map((cache) => createVerifier({ key: pem, algorithms: ['ES256'], allowedAud: audience, allowedIss: issuer, cache: cache ? 1000 : false }));
const right = async (claims) => assert.equal((await claims).aud, audience);

await measured('full verification, ES256 (each token once in 20,000)', {
  'remint, a million sessions in the ledger': async (n) => right((await verifier.verify(many[n % many.length])).claims),
  'jose': async (n) => right((await jose.jwtVerify(many[n % many.length], publicKey, { issuer, audience, algorithms: ['ES256'], typ: 'at+jwt' })).payload),
  'fast-jwt, without its cache': async (n) => right(uncached(many[n % many.length])),
  'jsonwebtoken (koa-jwt), key object': async (n) => right(jsonwebtoken.verify(many[n % many.length], publicKey, { issuer, audience, algorithms: ['ES256'] })),
  'jsonwebtoken (koa-jwt), HS256, string secret': async (n) => right(jsonwebtoken.verify(hs[n % hs.length], SECRET, { issuer, audience })),
  'jsonwebtoken (koa-jwt), HS256, key object': async (n) => right(jsonwebtoken.verify(hs[n % hs.length], createSecretKey(Buffer.from(SECRET)), { issuer, audience })),
});

await measured('a token that was seen before (500 in turn)', {
  'remint, a million sessions in the ledger': (n) => assert.equal(verifier.verifyRemembered(few[n % few.length])?.claims.aud, audience),
  'remint, as its middleware asks: await verify()': async (n) => assert.equal((await verifier.verify(few[n % few.length])).claims.aud, audience),
  'fast-jwt with its cache': (n) => assert.equal(cached(few[n % few.length]).aud, audience),
});

/** Requests over kept-alive connections to a server of this process: what differs is the middleware. */
async function served(middleware) {
  const app = new Koa();
  for (const one of middleware) app.use(one);
  app.use((ctx) => (ctx.body = ctx.state.user.sub));
  const server = createServer(app.callback()).listen(0, '127.0.0.1');
  await new Promise((up) => server.once('listening', up));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const { port } = server.address();
  const ask = (authorization) => new Promise((resolve, reject) => {
    const asked = request({ port, host: '127.0.0.1', agent, headers: { authorization } }, (answer) => {
      answer.resume().once('end', () => (answer.statusCode === 200 ? resolve() : reject(new Error(`${answer.statusCode}`))));
    });
    asked.once('error', reject).end();
  });
  return { ask, close: () => (agent.destroy(), server.close()) };
}

const rolling = await served([remint({ issuer, audience, credential, verifier, rolling: true })]);
const resigning = await served([
  koaJwt({ secret: SECRET }),
  (ctx, next) => {
    const { iat: _, exp: __, ...claims } = ctx.state.user;
    ctx.set('x-token', jsonwebtoken.sign(claims, SECRET, { expiresIn: 1200 }));
    return next();
  },
]);
await measured('Koa, a request (one connection, both sides in this process)', {
  'remint, rolling': (n) => rolling.ask(`Bearer ${few[n % few.length]}`),
  'koa-jwt that signs anew on every request, HS256': (n) => resigning.ask(`Bearer ${hs[n % hs.length]}`),
});

rolling.close();
resigning.close();
verifier.close();
process.exit(0);
