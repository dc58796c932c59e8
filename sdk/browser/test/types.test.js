/** What is shipped: every entry with its types, and those hold for somebody who uses the package from TypeScript. */

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const COMPILER = { strict: true, noEmit: true, module: 'nodenext', target: 'es2022', lib: ['es2023', 'dom'], types: [], skipLibCheck: false };
let folder;
let files;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'remint-types-'));
  const installed = join(folder, 'node_modules/@remint/browser');
  await mkdir(installed, { recursive: true });
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: here('..') });
  const [{ filename, files: packed }] = JSON.parse(stdout);
  files = packed.map(({ path }) => path);
  await run('tar', ['-xzf', join(folder, filename), '-C', installed, '--strip-components=1']);
});
after(() => rm(folder, { recursive: true }));

test('every entry of the package is there, with its types', async () => {
  const { exports } = JSON.parse(await readFile(here('../package.json'), 'utf8'));
  for (const [entry, targets] of Object.entries(exports)) {
    for (const target of [targets.types, targets.default]) assert.ok(files.includes(target.slice(2)), `${entry}: ${target}`);
  }
  assert.deepEqual(files.filter((file) => /test|tsconfig/.test(file)), [], 'and what nobody needs is not');
});

test('somebody\'s program is checked against them', async () => {
  await copyFile(here('support/consumer.ts'), join(folder, 'consumer.ts'));
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions: COMPILER, files: ['consumer.ts'] }));
  await assert.doesNotReject(run(here('../node_modules/.bin/tsc'), ['-p', folder]).catch(({ stdout }) => Promise.reject(new Error(stdout))));
});
