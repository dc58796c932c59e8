// Express: `req.auth` in the shape of express-jwt. A refusal goes to `next` as an `UnauthorizedError` with the status, and
// with the headers of RFC 6750 that Express's own error handler answers. Never reads a body.

import { corsHeaders } from './cors.js';
import { Door } from './door.js';
import { RemintError } from './errors.js';
import { isShared } from './renewals.js';
import { demandLogin, demandScope } from './verifier.js';

/** @typedef {import('express').Request & { auth?: import('./token.js').Claims, remint?: import('./verifier.js').Verified }} Request */
/** @typedef {import('express').Response} Response */
/** @typedef {import('express').NextFunction} Next */

/**
 * @typedef {import('./door.js').DoorOptions & {
 *   credentialsRequired?: boolean,
 *   getToken?: (req: Request) => string | null | undefined | Promise<string | null | undefined>,
 *   isRevoked?: (req: Request, claims: import('./token.js').Claims, token: string) => boolean | Promise<boolean>,
 * }} ExpressOptions `credentialsRequired: false` lets requests without a token pass, without `req.auth`
 */

/**
 * What express-jwt's users look at: `name`, `status`, `code`. `inner` is the refusal by its own name. `name` is
 * `ServiceUnavailableError` where `status` is 503.
 */
export class UnauthorizedError extends Error {
  /** @param {RemintError} inner */
  constructor(inner) {
    super(inner.message);
    // Handlers of express-jwt answer 401 to this name: where nothing can be said of the token, nobody is to be logged out.
    this.name = inner.status < 500 ? 'UnauthorizedError' : 'ServiceUnavailableError';
    this.status = inner.status;
    this.code = CODES[inner.code] ?? inner.error ?? inner.code;
    this.inner = inner;
    const { 'content-type': _, ...headers } = inner.headers();
    this.headers = headers;
  }
}

/** express-jwt's words. @type {Record<string, string>} */
const CODES = { token_missing: 'credentials_required', request_malformed: 'credentials_bad_format', token_revoked: 'revoked_token' };

/** @param {unknown} cause */
const passed = (cause) => (cause instanceof RemintError ? new UnauthorizedError(cause) : cause);

/** @param {ExpressOptions} options */
export function remint(options) {
  const door = new Door(options);

  /** @param {Request} req @param {Response} res @param {Next} next */
  async function middleware(req, res, next) {
    try {
      const given = (await options.getToken?.(req)) || null;
      const { verified, token } = await door.admit(req, given);
      if (await options.isRevoked?.(req, verified.claims, token)) throw new RemintError('token_revoked');
      [req.auth, req.remint] = [{ ...verified.claims }, verified];
      await beside(res, verified, door.renewed(token, verified));
    } catch (cause) {
      const absent = cause instanceof RemintError && cause.code === 'token_missing';
      return next(absent && options.credentialsRequired === false ? undefined : passed(cause));
    }
    return next();
  }

  return Object.assign(middleware, { verifier: door.verifier });
}

/**
 * Express answers whenever the handler does: what has landed by then goes beside it, what has not is handed to the next
 * request.
 * @param {Response} res
 * @param {import('./verifier.js').Verified} verified
 * @param {Promise<string | null> | null} pending
 */
async function beside(res, verified, pending) {
  if (verified.stale !== undefined) res.setHeader('Remint-Renew', String(verified.stale));
  if (!pending) return;
  /** @type {string | null} */ let token = await Promise.race([pending, null]);
  pending.then((landed) => (token = landed));
  const { writeHead } = res;
  res.writeHead = /** @type {any} */ ((/** @type {number} */ status, /** @type {any[]} */ ...more) => {
    // Headers that are handed over here would be set after all others, and let the answer be shared.
    for (const [name, values] of handed(more.find((part) => typeof part === 'object' && part !== null))) res.setHeader(name, values);
    if (token !== null && !isShared(String(res.getHeader('Cache-Control') ?? ''))) {
      res.setHeader('Remint-Token', token);
      res.setHeader('Cache-Control', 'private, no-store');
    }
    return Reflect.apply(writeHead, res, [status, ...more.filter((part) => typeof part === 'string')]);
  });
}

/** The headers of `writeHead`: an object, pairs, or names and values in turn. @param {any} headers @returns {Map<string, any>} */
function handed(headers) {
  if (!Array.isArray(headers)) return new Map(Object.entries(headers ?? {}));
  const flat = headers.flatMap((part) => (Array.isArray(part) ? [part] : [])).length > 0 ? headers.flat() : headers;
  /** @type {Map<string, any>} */ const all = new Map();
  for (let at = 0; at + 1 < flat.length; at += 2) {
    const name = String(flat[at]).toLowerCase();
    all.set(name, all.has(name) ? [all.get(name), flat[at + 1]].flat() : flat[at + 1]);
  }
  return all;
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
  return (/** @type {Request} */ req, /** @type {Response} */ _res, /** @type {Next} */ next) => {
    try {
      if (!req.remint) throw new RemintError('token_missing');
      demand(req.remint);
    } catch (cause) {
      return next(passed(cause));
    }
    return next();
  };
}

/** Lets pages of exactly these origins call. Use it before {@link remint}. @param {string[]} origins */
export function cors(origins) {
  const headersFor = corsHeaders(origins);
  return (/** @type {Request} */ req, /** @type {Response} */ res, /** @type {Next} */ next) => {
    const asks = req.headers['access-control-request-method'];
    const cors = headersFor(req.method, req.headers.origin, asks);
    res.vary('Origin');
    for (const [name, value] of Object.entries(cors?.headers ?? {})) res.setHeader(name, value);
    if (cors?.preflight) res.status(204).end();
    else next();
  };
}
