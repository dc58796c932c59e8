/** The same in other people's programs: snippets that run as they are, for the client of the policy that is chosen. */

import { h, set } from './dom.js';
import { VERSION } from './library.js';

/** @import { Facts } from './clients.js' */
/** @import { Policy } from './main.js' */

const CALL = 'Any language: what goes over the wire.';
const GUARD = 'An API that checks the token by itself, with no call per request, hears of endings by the feed and re-mints rolling tokens. Start it where the folder remint-dev lies.';
const PAGE = 'A page on localhost:3000, 4200 or 5173, with one of the APIs of this list.';
const OWN_PAGE = 'A page that the API serves itself, with Koa or Express of this list.';
/** @type {{ name: string, about(policy: Policy): string, file(policy: Policy): string }[]} */
const KINDS = [
  { name: 'curl', about: () => CALL, file: (policy) => `curl-${policy}.sh` },
  { name: 'Koa', about: () => GUARD, file: () => 'koa.txt' },
  { name: 'Express', about: () => GUARD, file: () => 'express.txt' },
  { name: 'axum', about: () => GUARD, file: () => 'axum.rs' },
  { name: 'fetch', about: (policy) => (policy === 'cookie' ? OWN_PAGE : PAGE), file: (policy) => (policy === 'cookie' ? 'fetch-cookie.txt' : 'fetch.txt') },
];

/** A text as the server has it. @param {string} name @returns {Promise<string>} */
async function fetched(name) {
  const answer = await fetch(`/play/${name}`);
  if (!answer.ok) throw new Error(`${answer.status}`);
  return answer.text();
}

export class Snippets {
  /** @type {Policy} */
  #policy = 'rolling';
  #chosen = 0;
  /** Rises with every choice: a text that was asked for before comes too late. */
  #choices = 0;
  #about = h('p');
  #text = h('pre', { tabindex: 0 });
  #copy = h('button', { type: 'button', class: 'copy' }, 'Copy');
  /** @type {HTMLElement[]} */
  #tabs;
  #panel = h('div', { class: 'snippet', role: 'tabpanel', id: 'snippet' }, h('div', { class: 'about' }, this.#about, this.#copy), this.#text);

  /** @param {HTMLElement} place @param {Facts} facts */
  constructor(place, facts) {
    this.facts = facts;
    this.#tabs = KINDS.map(({ name }, index) => {
      const tab = h('button', { type: 'button', role: 'tab', id: `as-${name}`, 'aria-controls': 'snippet' }, name);
      tab.addEventListener('click', () => this.#choose(index));
      return tab;
    });
    const list = h('div', { class: 'tabs', role: 'tablist', 'aria-label': 'Language' }, ...this.#tabs);
    list.addEventListener('keydown', (event) => this.#step(event));
    this.#copy.addEventListener('click', () => this.#copied());
    place.append(list, this.#panel);
    this.#choose(0);
  }

  /** @param {Policy} policy */
  set policy(policy) {
    if (policy === this.#policy) return;
    this.#policy = policy;
    this.#choose(this.#chosen);
  }

  /** @param {number} index */
  async #choose(index) {
    const [choice, policy] = [++this.#choices, this.#policy];
    this.#chosen = index;
    this.#tabs.forEach((tab, at) => {
      set(tab, 'aria-selected', String(at === index));
      set(tab, 'tabindex', at === index ? 0 : -1);
    });
    const { name, about, file } = KINDS[index];
    set(this.#panel, 'aria-labelledby', `as-${name}`);
    set(this.#text, 'aria-label', `${name} snippet`);
    this.#about.textContent = about(policy);
    const text = await fetched(file(policy)).catch(() => 'The server did not answer. Choose it once more.');
    if (choice !== this.#choices) return;
    this.#text.textContent = name !== 'fetch' ? text : text.replaceAll('ISSUER', this.facts.issuer)
      .replaceAll('POLICY', policy).replaceAll('VERSION', VERSION);
  }

  /** Arrow keys go from one to the next. @param {KeyboardEvent} event */
  #step({ key }) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[key];
    if (by === undefined) return;
    const next = (this.#chosen + by + KINDS.length) % KINDS.length;
    this.#choose(next);
    this.#tabs[next].focus();
  }

  /** Where the browser does not let a page write to the clipboard, the text is selected for the person to copy. */
  async #copied() {
    try {
      await navigator.clipboard.writeText(this.#text.textContent ?? '');
      this.#copy.textContent = 'Copied';
    } catch {
      getSelection()?.selectAllChildren(this.#text);
      this.#copy.textContent = 'Selected';
    }
    setTimeout(() => { this.#copy.textContent = 'Copy'; }, 1500);
  }
}
