// What the application refuses, and how it says so: `{ "error": code }`, as Remint does. Never says what was presented.

/** A refusal. `code` is the word for programs. */
export class Refused extends Error {
  /** @param {number} status @param {string} code @param {number} [retryAfter] seconds */
  constructor(status, code, retryAfter) {
    super(code);
    this.status = status;
    this.code = code;
    this.retryAfter = retryAfter;
  }
}

/** Koa middleware: answers what is thrown behind it. */
export function refusals() {
  return async (/** @type {import('koa').Context} */ ctx, /** @type {() => Promise<unknown>} */ next) => {
    try {
      await next();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.retryAfter) ctx.set('Retry-After', String(error.retryAfter));
      ctx.status = error.status;
      ctx.body = { error: error.code };
    }
  };
}

/** The texts of a JSON body. @param {import('koa').Context} ctx @param {string[]} names @returns {Record<string, string>} */
export function texts(ctx, names) {
  const body = /** @type {any} */ (ctx.request).body ?? {};
  const known = names.every((name) => typeof body[name] === 'string' && body[name].length <= 200);
  if (!known) throw new Refused(400, 'invalid_request');
  return body;
}
