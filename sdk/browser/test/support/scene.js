/** A server, a browser, and pages in its tabs: the beginning of most tests. */

import { account } from '../../account.js';
import { createRemint } from '../../index.js';
import '../../live.js'; // so that its import settles without a file being read
import { Browser } from './browser.js';
import { Server } from './server.js';

/** @param {{ policy?: string, transport?: string, seed?: number } & Record<string, any>} [options] */
export const scene = ({ policy = 'refresh', transport = 'cookie', seed, locks, channel, ...server } = {}) => {
  const model = new Server({ policy, transport, ...server });
  const browser = new Browser({ seed, network: model.network, locks, channel });
  model.browser = browser;

  /** A page in a tab of its own. */
  const open = (options = {}, tab = browser.tab()) => {
    const remint = createRemint({ issuer: 'https://id.test', clientId: 'app', policy, transport, apis: ['https://api.test'], host: tab.host, ...options });
    const events = [];
    remint.on((event) => events.push(event));
    const types = () => events.map((event) => (event.type === 'status' ? `status:${event.status}` : event.type));
    return { tab, remint, events, types, ...account(remint) };
  };

  /** Waits for a promise that needs time to pass. */
  const settle = async (promise, ms = 60_000) => {
    let done = false;
    const both = promise.then(
      (value) => ((done = true), { value }),
      (error) => ((done = true), { error }),
    );
    for (let passed = 0; !done && passed < ms; passed += 50) await browser.pass(50);
    if (!done) throw new Error('it did not settle');
    const { value, error } = await both;
    if (error) throw error;
    return value;
  };

  /** A page where somebody is signed in. */
  const signedIn = async (options) => {
    const page = open(options);
    await settle(page.login({ identifier: 'ada', password: 'secret' }));
    await browser.pass(100);
    return page;
  };

  return { server: model, browser, open, settle, signedIn };
};

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
