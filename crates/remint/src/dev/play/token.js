/** The card of what the page holds: how much of the token's life is left, what stands in it, what has changed. */

import { h, s, set } from './dom.js';

const ROUND = 2 * Math.PI * 50;

/** @typedef {{ header: Record<string, unknown>, claims: Record<string, unknown> }} Decoded */

/**
 * Reads a JWT without verifying it: for looking at only.
 * @param {string} token @returns {Decoded}
 */
export function decoded(token) {
  const [header, claims] = token.split('.').slice(0, 2).map((part) => {
    const bytes = Uint8Array.from(atob(part.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
    return JSON.parse(new TextDecoder().decode(bytes));
  });
  return { header, claims };
}

/**
 * @typedef {object} Held What there is to show.
 * @property {string} holds In a sentence: which things the page has.
 * @property {Decoded['header'] | null} header None where the page has no token.
 * @property {Record<string, unknown>} claims
 * @property {[string, string][]} chips
 * @property {number} life Milliseconds, of the whole life that the ring shows.
 */

export class TokenCard {
  #place;
  /** @type {Record<string, unknown>} */
  #before = {};
  /** @type {Set<string>} */
  #changed = new Set();
  #left = s('circle', { class: 'left', cx: 60, cy: 60, r: 50, 'stroke-dasharray': `${ROUND} ${ROUND}` });
  #number = s('text', { x: 60, y: 66 });
  #unit = s('text', { x: 60, y: 84, class: 'unit' });
  #ring = s('svg', { class: 'ring', viewBox: '0 0 120 120', role: 'img', 'aria-label': '' },
    s('circle', { class: 'track', cx: 60, cy: 60, r: 50 }), this.#left,
    s('line', { class: 'half', x1: 60, y1: 104, x2: 60, y2: 116 }), this.#number, this.#unit);
  /** As text, so that nothing is made anew while nothing changes. */
  #shown = '';

  /** Whether what is shown is of a session that is over. */
  #over = false;

  /** The session is over: what is shown is good for nothing any more, and stays until there is another. @param {string} reason */
  end(reason) {
    if (this.#over || !this.#shown || this.#shown === 'null') return;
    this.#over = true;
    this.#place.prepend(h('p', { class: 'dead' }, `The session ended: ${reason}. What it held is refused from now on.`));
  }

  /** @param {HTMLElement} place */
  constructor(place) {
    this.#place = place;
    this.show(null);
  }

  /** @param {Held | null} held */
  show(held) {
    const told = JSON.stringify(held);
    if (told === this.#shown || (this.#over && !held)) return;
    this.#shown = told;
    this.#over = false;
    if (!held) {
      this.#before = {};
      this.#changed.clear();
      this.#place.replaceChildren(h('p', { class: 'nothing' }, 'Nothing yet: sign in.'));
      return;
    }
    this.#compare(held.claims);
    const chips = held.chips.map(([name, value]) =>
      h('li', { class: name === 'cv' && this.#changed.has('cv') ? 'news' : '' }, h('b', {}, `${name} `), value));
    const parts = [h('div', { class: 'holder' }, this.#ring, h('ul', { class: 'chips' }, ...chips)), h('p', { class: 'holds' }, held.holds)];
    if (held.header) parts.push(this.#json('Header', held.header));
    parts.push(this.#json(held.header ? 'Claims' : 'Claims, as GET /session tells them', held.claims));
    this.#place.replaceChildren(...parts);
  }

  /**
   * Moves the ring. @param {number} leftMs @param {number} lifeMs
   */
  move(leftMs, lifeMs) {
    const share = lifeMs > 0 ? Math.min(1, Math.max(0, leftMs / lifeMs)) : 0;
    const secs = Math.max(0, Math.ceil(leftMs / 1000));
    /** @type {[number, string]} */
    const [count, unit] = secs >= 172_800 ? [Math.floor(secs / 86_400), 'days left'] : secs >= 7200 ? [Math.floor(secs / 3600), 'hours left']
      : secs >= 120 ? [Math.floor(secs / 60), 'minutes left'] : [secs, secs === 1 ? 'second left' : 'seconds left'];
    this.#left.setAttribute('stroke-dasharray', `${(share * ROUND).toFixed(2)} ${ROUND}`);
    this.#number.textContent = String(count);
    this.#unit.textContent = unit.replace(' left', '');
    this.#ring.setAttribute('class', `ring${share === 0 ? ' over' : share < 0.5 ? ' late' : ''}`);
    set(this.#ring, 'aria-label', `${count} ${unit}`);
  }

  /** @param {Record<string, unknown>} claims */
  #compare(claims) {
    const before = this.#before;
    if (Object.keys(before).length > 0 && before.sid === claims.sid && before.cv !== claims.cv) {
      const names = new Set([...Object.keys(before), ...Object.keys(claims)]);
      this.#changed = new Set([...names].filter((name) => JSON.stringify(before[name]) !== JSON.stringify(claims[name])));
    } else if (before.sid !== claims.sid) this.#changed.clear();
    this.#before = claims;
  }

  /** @param {string} title @param {Record<string, unknown>} members */
  #json(title, members) {
    const lines = Object.entries(members).flatMap(([name, value]) => {
      const text = JSON.stringify(value);
      const shown = this.#changed.has(name) && !['iat', 'exp', 'jti'].includes(name) ? h('mark', {}, text) : text;
      return [h('span', { class: 'key' }, `  ${name}`), ': ', shown, note(name, value), '\n'];
    });
    return h('div', { class: 'json' }, h('h3', {}, title), h('pre', { tabindex: 0, 'aria-label': title }, '{\n', ...lines, '}'));
  }
}

/** What a number means. @param {string} name @param {unknown} value */
function note(name, value) {
  if (!['iat', 'exp', 'auth_time', 'idle_expires_at', 'expires_at', 'created_at'].includes(name) || typeof value !== 'number') return '';
  return h('span', { class: 'note' }, `  ${new Date(value * 1000).toLocaleTimeString([], { hour12: false })}`);
}
