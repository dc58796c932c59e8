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

/** What express-jwt's users look at: `name`, `status`, `code`. `inner` is the refusal by its own name. */
export class UnauthorizedError extends Error {
  /** @param {RemintError} inner */
  constructor(inner) {
    super(inner.message);
    this.name = 'UnauthorizedError';
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
      const admitted = await door.admit(req, given);
      const { verified, token } = admitted;
      if (await options.isRevoked?.(req, verified.claims, token)) throw new RemintError('token_revoked');
      [req.auth, req.remint] = [verified.claims, verified];
      await beside(res, admitted);
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
 * @param {import('./door.js').Admitted} admitted
 */
async function beside(res, { verified, pending }) {
  if (verified.stale !== undefined) res.setHeader('Remint-Renew', String(verified.stale));
  if (!pending) return;
  /** @type {string | null} */ let token = await Promise.race([pending, null]);
  pending.then((landed) => (token = landed));
  const { writeHead } = res;
  res.writeHead = /** @type {any} */ ((/** @type {any[]} */ ...args) => {
    if (token !== null && !isShared(String(res.getHeader('Cache-Control') ?? ''))) {
      res.setHeader('Remint-Token', token);
      res.setHeader('Cache-Control', 'private, no-store');
    }
    return Reflect.apply(writeHead, res, args);
  });
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
    for (const [name, value] of Object.entries(cors?.headers ?? {})) res.setHeader(name, value);
    if (cors?.preflight) res.status(204).end();
    else next();
  };
}
