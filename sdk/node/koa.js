// Koa: in the place of koa-jwt. A refusal is thrown, as koa-jwt does, with the status and the headers of RFC 6750; the
// options of koa-jwt mean what they mean there. Never reads a body.

import unless from 'koa-unless';

import { corsHeaders } from './cors.js';
import { beside, Door } from './door.js';
import { RemintError } from './errors.js';

/** @typedef {import('koa').Context} Context */

/**
 * @typedef {Omit<import('./door.js').DoorOptions, 'log'> & {
 *   key?: string, tokenKey?: string, passthrough?: boolean, debug?: boolean, secret?: unknown,
 *   getToken?: (ctx: Context, options: KoaOptions) => string | null | undefined,
 *   isRevoked?: (ctx: Context, claims: import('./token.js').Claims, token: string) => boolean | Promise<boolean>,
 *   log?: (line: string) => void,
 * }} KoaOptions `key` is where `ctx.state` gets the claims (`user`), `tokenKey` where it gets the token; `passthrough` goes on
 *   without them and leaves the reason in `ctx.state.jwtOriginalError`; `debug` writes why to the console, never a token;
 *   `secret` of koa-jwt may stay and is not used: keys are the issuer's
 */

/**
 * Verifies the token of each request: `Authorization: Bearer`, a cookie where one is named, or what `getToken` finds.
 * `ctx.state.session` is `{ sid, cv, expiresIn }`, `expiresIn` in seconds.
 * @param {KoaOptions} options
 */
export function remint(options) {
  const log = options.log ?? (options.debug ? console.warn : undefined);
  const door = new Door({ ...options, log });
  const { key = 'user', tokenKey, passthrough = false } = options;

  /** @param {Context} ctx @param {() => Promise<unknown>} next */
  async function middleware(ctx, next) {
    let admitted;
    try {
      const { verified, token } = await door.admit(ctx.req, options.getToken?.(ctx, options) || null);
      if (await options.isRevoked?.(ctx, verified.claims, token)) throw new RemintError('token_revoked');
      admitted = { verified, pending: door.renewed(token, verified) };
      ctx.state[key] = { ...verified.claims };
      ctx.state.session = session(verified.claims, door.verifier.clock.now());
      if (tokenKey) ctx.state[tokenKey] = token;
    } catch (cause) {
      if (cause instanceof RemintError) log?.(`a request was refused: ${cause.code}`);
      if (!passthrough) throw cause instanceof RemintError ? thrown(cause) : cause;
      ctx.state.jwtOriginalError = cause;
    }
    await next();
    if (admitted) ctx.set(await beside(admitted, ctx.response.get('cache-control')));
  }

  const { verifier } = door;
  const but = (/** @type {any} */ when) => Object.assign(/** @type {typeof middleware} */ (unless.call(middleware, when)), { verifier });
  return Object.assign(middleware, { unless: but, verifier });
}

/** @param {import('./token.js').Claims} claims @param {number} now */
const session = ({ sid, cv, exp }, now) => ({ sid, cv, expiresIn: Math.max(0, Math.floor(exp - now)) });

/** An error as Koa answers it, of this request alone: its headers, its text as the body. @param {RemintError} cause */
function thrown(cause) {
  const { 'content-type': _, ...headers } = cause.headers();
  const error = Object.assign(new RemintError(cause.code, { ...cause.more, text: cause.message }), { headers });
  return Object.defineProperty(error, 'originalError', { value: cause });
}

/**
 * Lets pages of exactly these origins call, and read the headers that the browser library needs. Use it before
 * {@link remint}, so that refusals can be read and a preflight needs no token.
 * @param {string[]} origins
 */
export function cors(origins) {
  const headersFor = corsHeaders(origins);
  return async (/** @type {Context} */ ctx, /** @type {() => Promise<unknown>} */ next) => {
    const cors = headersFor(ctx.method, ctx.get('origin') || undefined, ctx.get('access-control-request-method') || undefined);
    ctx.vary('Origin');
    if (!cors) return next();
    ctx.set(cors.headers);
    if (cors.preflight) {
      ctx.status = 204;
      return undefined;
    }
    try {
      return await next();
    } catch (cause) {
      const error = /** @type {any} */ (cause);
      error.headers = { ...error.headers, ...cors.headers, vary: 'Origin' }; // Koa drops what was set before an error
      throw error;
    }
  };
}
