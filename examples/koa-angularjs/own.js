// The application keeps its own users: it checks the password, lets Remint open the session, verifies the phone number, and
// tells Remint what became of the record. From there on its sessions are like any other.

import { Codes, parseNumber } from './codes.js';
import { Limit } from './limit.js';
import { texts } from './refusal.js';
import { Users } from './users.js';

/** @typedef {import('koa').Context} Context */

const SHOWN = 20;

/**
 * @param {{ backend: import('@remint/node').Backend, clientId: string, cookie: string | undefined }} settings `cookie` is the
 *   name of the session's, under that policy
 */
export function ownUsers({ backend, clientId, cookie }) {
  const users = new Users();
  const codes = new Codes();
  const messages = new Limit({ tries: 10, windowMs: 60 * 60_000 });
  /** What a real application sends to phones, the newest first. @type {string[]} */
  const sent = [];

  /** @param {Context} ctx */
  async function logIn(ctx) {
    const { identifier, password } = texts(ctx, ['identifier', 'password']);
    const { id, nickname, phone } = await users.check(identifier, password);
    // `account` is how the API knows its user again: the token's `sub` is Remint's own id.
    const attributes = { account: id, nickname, phone };
    const device = { user_agent: ctx.get('user-agent'), address: ctx.ip };
    const { cookie: value, ...answer } = await backend.openSession({ user: id, client_id: clientId, amr: ['pwd'], attributes, ...device });
    if (cookie && value) ctx.append('Set-Cookie', `${cookie}=${value}; Path=/; Secure; HttpOnly; SameSite=Lax`);
    ctx.body = answer; // as it came, for the page's library
  }

  /** @param {Context} ctx */
  async function askForCode(ctx) {
    const { sid, account } = ctx.state.user;
    const number = parseNumber(texts(ctx, ['phone_number']).phone_number);
    messages.take(account);
    sent.unshift(`${number}: your code is ${codes.make(sid, number)}`);
    sent.length = Math.min(sent.length, SHOWN);
    ctx.status = 202;
    ctx.body = { sent_to: `***${number.slice(-2)}` };
  }

  /** Every token from before is stale once Remint has answered; the page has a new one a moment later. @param {Context} ctx */
  async function verify(ctx) {
    const { sid, account } = ctx.state.user;
    const phone = codes.take(sid, texts(ctx, ['code']).code);
    users.change(account, { phone });
    ctx.body = await backend.users.patch(`external:${account}`, { phone });
  }

  return {
    demo: users.demo,
    /** @param {import('@koa/router').default} open @param {import('@koa/router').default} api behind the guard */
    routes: (open, api) => {
      open.post('/login', logIn);
      open.get('/inbox', (ctx) => {
        ctx.body = sent.join('\n') || 'Nothing was sent yet.';
      });
      api.post('/phone', askForCode);
      api.post('/phone/verify', verify);
    },
  };
}
