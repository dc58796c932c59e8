/** The narrated log: who did what, and why it came out so, one sentence each; the newest first. Never shows a token. */

import { by, h } from './dom.js';

/** How many sentences are kept. */
const MOST = 60;

/** @typedef {'you' | 'page' | 'server' | 'admin' | 'device' | 'tab' | 'network' | 'thief'} Actor */
/** @type {Record<Actor, string>} */
const NAMES = {
  you: 'You', page: 'This page', server: 'The server', admin: 'An administrator', device: 'Another device',
  tab: 'The second tab', network: 'The network', thief: 'The thief',
};

/**
 * Tells what happened.
 * @param {Actor} actor @param {string} sentence @param {{ ended?: boolean }} [kind]
 */
export function tell(actor, sentence, { ended = false } = {}) {
  const now = new Date();
  const time = h('time', { datetime: now.toISOString() }, now.toLocaleTimeString([], { hour12: false }));
  const line = h('li', { class: `fresh ${actor}${ended ? ' ended' : ''}` }, time, h('b', {}, NAMES[actor]), h('p', {}, sentence));
  const log = by('log');
  log.prepend(line);
  by('log-empty').hidden = true;
  while (log.children.length > MOST) log.lastElementChild?.remove();
}
