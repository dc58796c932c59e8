// `npm start`: finds `remint dev` or starts one, makes the clients that the application needs there, and serves it on this
// machine only. `--policy` and `--users` choose which of the eight ways is shown. Never prints a secret.

import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { Backend } from '@remint/node';

import { register, registerBackend } from './clients.js';
import { remintDev } from './dev.js';
import { application } from './server.js';

const POLICIES = ['rolling', 'fixed', 'refresh', 'cookie'];
const USERS = ['remint', 'own'];

/** What was asked for on the command line, checked. */
function settings() {
  const text = /** @type {const} */ ('string');
  const { values } = parseArgs({
    options: {
      policy: { type: text, default: 'refresh' }, // how the session goes on
      users: { type: text, default: 'remint' }, // who checks the password
      port: { type: text, default: '3000' }, // 0: one that is free
      data: { type: text }, // the folder of a `remint dev`
    },
  });
  const { policy = '', users = '' } = values;
  if (!POLICIES.includes(policy)) throw new Error(`--policy is one of ${POLICIES.join(', ')}`);
  if (!USERS.includes(users)) throw new Error(`--users is one of ${USERS.join(', ')}`);
  return { policy, users, port: Number(values.port), data: values.data };
}

/** Listens on the loopback. The page must be opened at `localhost`: Remint's cookies are of that host. @param {number} port */
async function listening(port) {
  const server = createServer();
  await new Promise((up, fail) => server.once('error', fail).listen(port, '127.0.0.1', () => up(undefined)));
  const address = /** @type {import('node:net').AddressInfo} */ (server.address());
  return { server, origin: `http://localhost:${address.port}` };
}

async function start() {
  const { policy, users, port, data } = settings();
  const dev = await remintDev(data);
  const { server, origin } = await listening(port);
  const { issuer, audience, apis } = dev.facts;
  const client = await register(dev.ask, { policy, users, origin });
  const backend = users === 'own' ? new Backend({ issuer, ...(await registerBackend(dev.ask, client.id)) }) : undefined;
  const credential = { id: apis[0].client_id, secret: apis[0].client_secret };
  const { app, demo, inbox, ready, close } = application({ issuer, audience, credential, origin, client, policy, backend, demo: dev.facts.user });
  await ready();
  server.on('request', app.callback());
  console.log(`The application is at ${origin} (policy ${policy}, users ${users}; Ctrl-C stops it)

  log in   ${demo.identifier}  ${demo.password}
  codes    ${inbox}
  Remint   ${issuer}
  others   npm start -- --policy ${POLICIES.join('|')} --users ${USERS.join('|')}`);
  const stop = () => {
    close();
    server.close();
    server.closeAllConnections();
    dev.stop();
  };
  process.once('SIGINT', stop).once('SIGTERM', stop);
}

start().catch((error) => {
  console.error(error.code === 'EADDRINUSE' ? 'The port is taken: choose another with `npm start -- --port N` (0 takes a free one).' : error.message);
  process.exit(1);
});
