// The `remint dev` that the application runs against: one that is running, or one of its own. And what its operator may do,
// over the control socket in its folder, which only the owner of the folder can open.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

const MISSING = `No Remint is running, and none was found to start. Either

  run one in the folder of the repository (it needs Rust):   cargo run --release -- dev
  or say where the program is:                               REMINT_BIN=/path/to/remint npm start

and then \`npm start\` again. One that runs elsewhere is found with \`npm start -- --data FOLDER/remint-dev\`.`;

/** @typedef {(method: string, path: string, body?: unknown) => Promise<{ status: number, body: any }>} Ask */
/** @typedef {{ facts: Record<string, any>, ask: Ask, stop: () => void }} Dev `facts` are those of its `dev.json` */

/**
 * @param {string} [folder] where its data lies; else beside this file, or in the repository
 * @returns {Promise<Dev>}
 */
export async function remintDev(folder) {
  const own = folder ?? join(HERE, 'remint-dev');
  for (const data of folder ? [folder] : [own, join(REPOSITORY, 'remint-dev')]) {
    const facts = await running(data);
    if (facts) return { facts, ask: asking(data), stop: () => {} };
  }
  const child = await started(own);
  const facts = await running(own);
  if (!facts) throw new Error(`\`remint dev\` was started in ${own} and does not answer`);
  return { facts, ask: asking(own), stop: () => child.kill('SIGTERM') };
}

/** Its facts, where it answers. @param {string} data */
async function running(data) {
  try {
    const facts = JSON.parse(await readFile(join(data, 'dev.json'), 'utf8'));
    const answer = await fetch(`${facts.issuer}/oauth2/jwks`, { signal: AbortSignal.timeout(5000) });
    return answer.ok ? facts : null;
  } catch {
    return null;
  }
}

/** Starts one, on a free port. Resolves once it listens. @param {string} data */
async function started(data) {
  const built = ['release', 'debug'].map((profile) => join(REPOSITORY, 'target', profile, 'remint'));
  // To the program every variable REMINT_* is a setting, and this one is none.
  const { REMINT_BIN: program = built.find(existsSync) ?? 'remint', ...env } = process.env;
  const child = spawn(program, ['dev', '--no-open', '--port', '0', '--data', data], { env, stdio: ['ignore', 'pipe', 'inherit'] });
  await new Promise((up, fail) => {
    createInterface({ input: child.stdout }).once('line', up);
    child.once('error', () => fail(new Error(MISSING)));
    child.once('exit', () => fail(new Error('`remint dev` did not start: see above')));
  });
  return child;
}

/** Asks the admin API as the operator. @param {string} data @returns {Ask} */
const asking = (data) => (method, path, body) =>
  new Promise((resolve, reject) => {
    const headers = { host: 'localhost', 'content-type': 'application/json' };
    const asked = request({ socketPath: join(data, 'control.sock'), method, path: `/admin/api${path}`, headers }, async (answer) => {
      let text = '';
      for await (const part of answer) text += part;
      resolve({ status: answer.statusCode ?? 0, body: text ? JSON.parse(text) : null });
    });
    asked.once('error', reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
