// The snippets of the README, run against a real Remint.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { after, before, it } from 'node:test';

import { dev, login, serving } from './dev.js';

const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
let server;
before(async () => {
  server = await dev();
});
after(() => server.stop());

/** Runs a snippet as a module of this package, with what it takes for granted, and answers what it names. */
async function run(name, more, exported) {
  const [, code] = new RegExp(`\`\`\`js ${name}\\n([^]*?)\`\`\``).exec(readme) ?? [];
  const given = { ISSUER: server.issuer, CREDENTIAL: server.credential, ...more };
  const constants = Object.entries(given).map(([key, value]) => `const ${key} = ${JSON.stringify(value)};`);
  const file = new URL(`./readme-${name}.mjs`, import.meta.url);
  await writeFile(file, `${constants.join('\n')}\n${code}\nexport { ${exported} };\n`);
  try {
    return await import(file.href);
  } finally {
    await rm(file);
  }
}

/** Asks until keys and feed are there. */
async function served(listener, path, token, method = 'GET') {
  const app = await serving(listener);
  let answer = await app.get(path, token, { method });
  while (answer.status === 503) answer = await app.get(path, token, { method });
  app.close();
  return answer;
}

it('Koa', async () => {
  const { app } = await run('koa', {}, 'app');
  app.silent = true;
  const { access_token } = await login(server, 'demo-rolling');
  const body = await (await served(app.callback(), '/', access_token)).json();
  assert.equal(body.hello, 'ada');
  assert.equal((await served(app.callback(), '/', undefined)).status, 401);
  assert.equal((await served(app.callback(), '/public', undefined)).status, 500, 'and the handler finds nobody there');
});

it('Express', async () => {
  const { app } = await run('express', {}, 'app');
  app.set('env', 'test');
  const { access_token } = await login(server, 'demo-fixed');
  assert.deepEqual(await (await served(app, '/me', access_token)).json(), { hello: 'ada' });
  assert.deepEqual(await (await served(app, '/pay', access_token, 'POST')).json(), { paid: true });
});

it('without a framework', async () => {
  const { access_token } = await login(server, 'demo-refresh');
  const { verified, verifier } = await run('plain', { token: access_token }, 'verified, verifier');
  assert.equal(verified.claims.nickname, 'ada');
  verifier.close();
});
