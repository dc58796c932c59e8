// The session of this page, as the server's settings have it. One for each page; everything else asks it.

import { account } from '/sdk/account.js';
import { createRemint } from '/sdk/index.js';
import { inSessionStorage } from '/sdk/storage.js';

/** What the server says of itself: no secret. @type {Record<string, any>} */
export const config = await (await fetch('/config.json')).json();

/** Whether a cookie keeps the session over a reload, out of reach of scripts. */
const inCookie = config.policy === 'cookie' || config.transport === 'cookie';

export const remint = createRemint({
  issuer: config.issuer,
  clientId: config.clientId,
  policy: config.policy,
  transport: inCookie ? 'cookie' : 'memory',
  // Where there is no cookie a reload would log out. What lies here any script of this page can read: see the README.
  keeper: inCookie ? undefined : inSessionStorage('tables'),
  apis: ['/api'],
});

export const person = account(remint);
