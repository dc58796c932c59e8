/** How many bytes a page loads, bundled, minified and gzipped: printed, held to what is promised and to what the README says. */

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const KB = 1024;
/** What the session loads later, by itself. */
const LATER = ['./live.js'];
/** What the other parts share with the session is counted with the session. */
const SHARED = ['./core.js', './holdings.js', './wire.js'];
/** How far the gzip of another Node.js may be from the one that the README was written with, bytes. */
const SAME = 16;

const BUDGETS = /** @type {const} */ ([
  ['index.js', LATER, 4 * KB],
  ['live.js', SHARED, 3 * KB],
  ['account.js', [...LATER, ...SHARED], 2 * KB],
  ['xhr.js', [], KB],
  ['axios.js', [], KB],
  ['angular.js', [], KB],
  ['angularjs.js', [], KB],
  ['react.js', [], KB],
]);

const readme = await readFile(new URL('../README.md', import.meta.url), 'utf8');

for (const [file, external, most] of BUDGETS) {
  test(`${file}: at most ${most} bytes, as the README says`, async (t) => {
    const entry = fileURLToPath(new URL(`../${file}`, import.meta.url));
    const built = await build({ entryPoints: [entry], bundle: true, minify: true, format: 'esm', write: false, external: [...external] });
    const bytes = gzipSync(built.outputFiles[0].contents, { level: 9 }).length;
    t.diagnostic(`${file}: ${bytes} of ${most} bytes`);
    assert.ok(bytes <= most, `${bytes} bytes`);
    const [, said] = new RegExp(`^\\| \`${file}\`[^|]*\\| ([\\d,]+) \\|$`, 'm').exec(readme) ?? [];
    assert.ok(Math.abs(bytes - Number(said?.replace(',', ''))) <= SAME, `${bytes} bytes, and the README says ${said}`);
  });
}
