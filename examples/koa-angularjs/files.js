// The files of the page: its own, AngularJS, and the library for pages, each from its package. Serves those and no others.

import { readFile } from 'node:fs/promises';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PAGE = fileURLToPath(new URL('page', import.meta.url));
const [ANGULAR, SDK] = ['angular', '@remint/browser'].map((name) => dirname(fileURLToPath(import.meta.resolve(name))));

/** By the part of the path before the name. @type {Record<string, string>} */
const FOLDERS = { '': PAGE, '/vendor': ANGULAR, '/sdk': SDK };
/** @type {Record<string, string>} */
const TYPES = { '.html': 'text/html', '.css': 'text/css', '.js': 'text/javascript', '.svg': 'image/svg+xml' };

/** Where a path leads, if it names a file of the page. @param {string} path */
function place(path) {
  const [, folder, name] = /^(|\/vendor|\/sdk)\/([a-z][a-z-]*(?:\.min)?\.[a-z]+)$/.exec(path === '/' ? '/index.html' : path) ?? [];
  return name && TYPES[extname(name)] ? join(FOLDERS[folder], name) : null;
}

/** Koa middleware. */
export function files() {
  return async (/** @type {import('koa').Context} */ ctx, /** @type {() => Promise<unknown>} */ next) => {
    const file = ctx.method === 'GET' || ctx.method === 'HEAD' ? place(ctx.path) : null;
    const bytes = file && (await readFile(file).catch(() => null));
    if (!file || !bytes) return next();
    ctx.type = TYPES[extname(file)];
    ctx.body = bytes;
  };
}
