/** How many bytes a page loads, bundled, minified and gzipped: printed, and held to what is promised. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const KB = 1024;
/** What the session loads later, by itself, when somebody is signed in. */
const LATER = ['./live.js'];
/** What account and session share is counted with the session. */
const SHARED = ['./core.js', './holdings.js', './wire.js', './errors.js'];

const BUDGETS = /** @type {const} */ ([
  ['index.js', LATER, 4 * KB],
  ['account.js', [...LATER, ...SHARED], 2 * KB],
  ['xhr.js', [], KB],
  ['axios.js', [], KB],
  ['angular.js', [], KB],
  ['angularjs.js', [], KB],
  ['react.js', [], KB],
]);

for (const [file, external, most] of BUDGETS) {
  test(`${file}: at most ${most} bytes`, async (t) => {
    const entry = fileURLToPath(new URL(`../${file}`, import.meta.url));
    const built = await build({ entryPoints: [entry], bundle: true, minify: true, format: 'esm', write: false, external: [...external] });
    const bytes = gzipSync(built.outputFiles[0].contents, { level: 9 }).length;
    t.diagnostic(`${file}: ${bytes} of ${most} bytes`);
    assert.ok(bytes <= most, `${bytes} bytes`);
  });
}
