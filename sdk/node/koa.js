// Koa: in the place of koa-jwt. A refusal is thrown, as koa-jwt does, with the status and the headers of RFC 6750; the
// options of koa-jwt mean what they mean there. Never reads a body.

import unless from 'koa-unless';

import { corsHeaders } from './cors.js';
import { beside, Door } from './door.js';
import { RemintError } from './errors.js';
import { demandLogin, demandScope } from './verifier.js';

/** @typedef {import('koa').Context} Context */
/** @typedef {import('./door.js').Admitted} Admitted */

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

  /** As koa-jwt has it, an answer that cannot be had counts as a yes. @param {Context} ctx @param {Admitted} admitted */
  async function revoked(ctx, { verified, token }) {
    try {
      return await options.isRevoked?.(ctx, verified.claims, token);
    } catch (cause) {
      log?.(`isRevoked failed: ${cause instanceof Error ? cause.message : cause}`);
      return true;
    }
  }

  /** The request, admitted; null where it passes all the same. @param {Context} ctx @param {string | null} given */
  async function admit(ctx, given) {
    try {
      const admitted = await door.admit(ctx.req, given);
      if (await revoked(ctx, admitted)) throw new RemintError('token_revoked');
      return admitted;
    } catch (cause) {
      if (cause instanceof RemintError) log?.(`a request was refused: ${cause.code}`);
      if (!passthrough) throw cause;
      ctx.state.jwtOriginalError = cause;
      return null;
    }
  }

  /** @param {Context} ctx @param {() => Promise<unknown>} next */
  async function middleware(ctx, next) {
    try {
      const admitted = await admit(ctx, options.getToken?.(ctx, options) || null);
      if (!admitted) return await next();
      const { verified, token } = admitted;
      const pending = door.renewed(token, verified);
      known.set(ctx, verified);
      ctx.state[key] = { ...verified.claims };
      ctx.state.session = session(verified.claims, door.verifier.clock.now());
      if (tokenKey) ctx.state[tokenKey] = token;
      await next();
      ctx.set(await beside({ verified, pending }, ctx.response.get('cache-control')));
    } catch (cause) {
      throw answerable(cause); // of a handler too: it may demand more of the token
    }
  }

  const { verifier } = door;
  const but = (/** @type {any} */ when) => Object.assign(/** @type {typeof middleware} */ (unless.call(middleware, when)), { verifier });
  return Object.assign(middleware, { unless: but, verifier });
}

/** @param {import('./token.js').Claims} claims @param {number} now */
const session = ({ sid, cv, exp }, now) => ({ sid, cv, expiresIn: Math.max(0, Math.floor(exp - now)) });

/** Whose requests these are, for {@link requireLogin} and {@link requireScope}. @type {WeakMap<Context, import('./verifier.js').Verified>} */
const known = new WeakMap();

/** A refusal as Koa answers it, of this request alone: its headers, its text as the body. @param {unknown} cause */
function answerable(cause) {
  if (!(cause instanceof RemintError) || Object.hasOwn(cause, 'headers')) return cause;
  const { 'content-type': _, ...headers } = cause.headers();
  const error = Object.assign(new RemintError(cause.code, { ...cause.more, text: cause.message }), { headers });
  return Object.defineProperty(error, 'originalError', { value: cause });
}

/** Demands all of these scopes, one space between: 403 `insufficient_scope`. @param {string} needed */
export function requireScope(needed) {
  return demanding((verified) => demandScope(verified, needed));
}

/** Demands a recent or a stronger log-in (RFC 9470). @param {{ maxAge?: number, acr?: string }} demands `maxAge` in seconds */
export function requireLogin(demands) {
  return demanding((verified) => demandLogin(verified, demands, Date.now() / 1000));
}

/** @param {(verified: import('./verifier.js').Verified) => void} demand */
function demanding(demand) {
  return async (/** @type {Context} */ ctx, /** @type {() => Promise<unknown>} */ next) => {
    try {
      const verified = known.get(ctx);
      if (!verified) throw new RemintError('token_missing');
      demand(verified);
    } catch (cause) {
      throw answerable(cause);
    }
    await next();
  };
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
