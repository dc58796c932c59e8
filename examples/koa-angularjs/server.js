// The application's server: its page, and its API behind the guard. Verifies every token by itself and hears of endings by
// the feed; a request to it costs no request to Remint.

import { bodyParser } from '@koa/bodyparser';
import Router from '@koa/router';
import Koa from 'koa';
import { remint } from '@remint/node/koa';

import { files } from './files.js';
import { ownUsers } from './own.js';
import { Refused, refusals } from './refusal.js';

/** @typedef {import('koa').Context} Context */

/**
 * @typedef {object} Settings
 * @property {string} issuer of the tokens
 * @property {string} audience what this API is called in them
 * @property {{ id: string, secret: string }} credential of this API
 * @property {string} origin where the page is, and nowhere else
 * @property {import('./clients.js').Client} client of the page
 * @property {string} policy that the client has
 * @property {import('@remint/node').Backend} [backend] where the application checks passwords itself
 * @property {{ identifier: string, password: string }} demo somebody who can log in at Remint
 */

/** @param {Settings} settings */
export function application({ issuer, audience, credential, origin, client, policy, backend, demo }) {
  const cookie = policy === 'cookie' ? `__Host-remint-session-${client.id}` : undefined;
  // In the place of koa-jwt. A page of the cookie policy sends no token: its cookie is swapped for one, now and then.
  const guard = remint({ issuer, audience, credential, cookie, rolling: policy === 'rolling' });
  const own = backend && ownUsers({ backend, clientId: client.id, cookie });
  const shown = own?.demo ?? demo;
  const inbox = own ? `${origin}/inbox` : `${issuer}/dev/inbox`;

  const open = new Router();
  open.get('/config.json', (ctx) => {
    ctx.body = { issuer, clientId: client.id, transport: client.transport, policy, users: own ? 'own' : 'remint', inbox, demo: shown };
  });

  const api = new Router({ prefix: '/api' });
  api.use(guard);
  api.get('/me', (ctx) => {
    ctx.body = { claims: ctx.state.user };
  });
  api.post('/reservations', (ctx) => {
    const { nickname, phone_number: phone } = ctx.state.user;
    if (!phone) throw new Refused(403, 'phone_number_required');
    ctx.status = 201;
    ctx.body = { table: 4, name: nickname, reminder_to: `***${phone.slice(-2)}` };
  });
  own?.routes(open, api);

  const app = new Koa();
  app.use(headers(issuer)).use(refusals()).use(ownPage(origin)).use(files()).use(bodyParser({ enableTypes: ['json'], jsonLimit: '8kb' }));
  for (const router of [open, api]) app.use(router.routes()).use(router.allowedMethods());
  return { app, demo: shown, inbox, ready: () => guard.verifier.ready(), close: () => guard.verifier.close() };
}

/** Scripts and styles of this server only, none inline. @param {string} issuer to which the page speaks too */
function headers(issuer) {
  const policy = [
    "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self'", `connect-src 'self' ${issuer}`,
    "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
  ].join('; ');
  return async (/** @type {Context} */ ctx, /** @type {() => Promise<unknown>} */ next) => {
    ctx.set({ 'Content-Security-Policy': policy, 'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer', 'Cache-Control': 'no-store' });
    await next();
  };
}

/**
 * Answers this host only (else a page of another site could have its name point here), and what changes something only to
 * its own page.
 * @param {string} origin
 */
function ownPage(origin) {
  const { host } = new URL(origin);
  return async (/** @type {Context} */ ctx, /** @type {() => Promise<unknown>} */ next) => {
    if (ctx.host !== host) throw new Refused(421, `open ${origin}`);
    if (!['GET', 'HEAD'].includes(ctx.method) && ctx.get('origin') !== origin) throw new Refused(403, 'access_denied');
    await next();
  };
}
