// What an application without a framework uses; `@remint/node/koa` and `@remint/node/express` are built on it.

export { Backend, BackendError } from './backend.js';
export { corsHeaders, EXPOSED } from './cors.js';
export { RemintError } from './errors.js';
export { demandLogin, demandScope, Verifier } from './verifier.js';
