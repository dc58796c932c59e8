/**
 * The playground: puts the page together, and keeps what the acts play with. All that it knows of sessions it knows from
 * the browser library; it decides nothing.
 */

import { ACTS } from './acts.js';
import { Session, facts as ask, logIn, post } from './clients.js';
import { by, h, set } from './dom.js';
import { account, span } from './library.js';
import { tell } from './log.js';
import { Snippets } from './snippets.js';
import { TokenCard } from './token.js';

/** @import { Facts } from './clients.js' */
/** @typedef {'rolling' | 'fixed' | 'refresh' | 'cookie'} Policy */

/** @type {Record<Policy, string>} */
const ABOUT = {
  rolling: 'The access token itself is the proof, past half of its life.',
  fixed: 'Nothing renews it: it lives and ends.',
  refresh: 'A refresh token is the proof, and turns over.',
  cookie: 'The page holds no token; the session stays on the server.',
};
/** @type {Policy[]} */
const POLICIES = ['rolling', 'fixed', 'refresh', 'cookie'];
/** How long something that is bound to happen may take, beyond what the server needs at any speed. */
const PATIENCE_MS = 15_000;

/** What the acts play with. */
export class Stage {
  /** @type {Policy} */
  policy = 'rolling';
  /** @type {Session | null} */
  session = null;
  /** Whether the record has a verified number. */
  phone = false;
  /** @type {string | null} The act that is under way. */
  busy = null;
  tell = tell;

  /** @param {Facts} facts */
  constructor(facts) { this.facts = facts; }

  /** Whether there is a session, and it lives. */
  get live() { return this.session?.live ?? false; }

  /** The library; there is one wherever an act runs. */
  get remint() { return this.current.remint; }
  get wire() { return this.current.wire; }
  get current() {
    if (!this.session) throw new Error('nobody is signed in');
    return this.session;
  }

  claims() { return this.session?.remint.claims ?? null; }

  /** How long things live under a policy, in words. @param {Policy} policy */
  livesOf(policy) {
    const { life, idle, absolute } = this.facts.clients.find((client) => client.policy.kind === policy)?.policy ?? {};
    const said = (/** @type {string} */ name, /** @type {number | undefined} */ secs) => (secs ? [`${name} ${span(secs * 1000)}`] : []);
    const token = policy === 'cookie' ? [] : said('token', life);
    return [...token, ...said('idle', idle), ...said('at most', absolute)].join(' · ');
  }

  /** Waits until something is so. @param {() => boolean} so @param {string} what */
  async until(so, what) {
    const patience = performance.now() + PATIENCE_MS;
    while (!so()) {
      if (performance.now() > patience) throw new Error(`waited for ${what}, in vain`);
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  }

  /** @template T @param {Promise<T>} promise @param {string} what @returns {Promise<T>} */
  atMost(promise, what) {
    const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`waited for ${what}, in vain`)), 2 * PATIENCE_MS));
    return Promise.race([promise, late]);
  }

  /** Lets time pass while the session lives, and says what for. @param {number} ms @param {string} why */
  async pause(ms, why) {
    const until = performance.now() + ms;
    while (performance.now() < until && this.live) {
      says(`${why} ${Math.ceil((until - performance.now()) / 1000)} s`);
      await new Promise((resolve) => setTimeout(resolve, Math.min(200, Math.max(20, until - performance.now()))));
    }
    says('');
  }
}

/** @param {string} text */
function says(text) {
  const place = by('who-says');
  place.textContent = text || (place.dataset.idle ?? '');
}

/** Waits until the server has begun anew at that speed. @param {number} speed @returns {Promise<Facts>} */
async function begun(speed) {
  for (const patience = performance.now() + PATIENCE_MS; performance.now() < patience;) {
    const facts = await ask().catch(() => null); // it may be between two runs just now
    if (facts?.speed === speed) return facts;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error('waited for the server to begin anew, in vain');
}

/** The words for an end. @type {Record<string, string>} */
const ENDS = {
  logout: 'You signed out. The session is over everywhere, and its tokens with it.',
  revoked: 'The session was ended from elsewhere.',
  theft: 'Its refresh token was used by two holders, who cannot both be honest: the server ended the session for both, in the same commit in which it saw it.',
  expired: 'A limit has passed: nobody has to do anything for that, and nothing can be done against it.',
  everywhere: 'All sessions of this user were ended.',
};

/** What signing in came to. @type {Record<Policy, string>} */
const OPENED = {
  rolling: 'You signed in as Ada and hold one token. The library shows it to the server past half of its life and gets the next one; each lives to its own end.',
  fixed: 'You signed in as Ada and hold one token until it runs out. Nothing renews it, but a change of the record and an ending reach it all the same.',
  refresh: 'You signed in as Ada and hold a short token, and a refresh token that buys the next one. Each refresh token is good once, but for honest accidents.',
  cookie: 'You signed in as Ada and hold nothing: the browser keeps a cookie that no script can read, and the session stays on the server.',
};

class Playground {
  #card = new TokenCard(by('token'));
  #lifeline = /** @type {import('./library.js').RemintLifeline} */ (/** @type {unknown} */ (by('lifeline')));
  #snippets;
  /** How many renewals by timer were told: more of them would only be noise. */
  #told = 0;
  #unfollow = () => {};

  /** @param {Stage} stage */
  constructor(stage) {
    this.stage = stage;
    this.#snippets = new Snippets(by('code'), stage.facts);
    by('policies').append(...POLICIES.map((policy) => this.#policy(policy)));
    by('buttons').append(...ACTS.map((act) => this.#act(act)));
    by('sign').addEventListener('click', () => this.#once('sign', () => (stage.live ? this.signOut() : this.signIn(stage.policy))));
    for (const input of by('speed').querySelectorAll('input')) {
      input.addEventListener('change', () => this.#once('speed', () => this.speed(Number(input.value))));
    }
    says('');
    this.refresh();
    setInterval(() => this.#move(), 100);
  }

  /** @param {Policy} policy */
  #policy(policy) {
    const button = h('button', { type: 'button', class: 'policy', 'data-policy': policy },
      h('b', {}, policy), h('span', {}, ABOUT[policy]), h('span', { class: 'lives' }));
    button.addEventListener('click', () => this.#once('sign', () => this.signIn(policy)));
    return button;
  }

  /** @param {import('./acts.js').Act} act */
  #act(act) {
    const button = h('button', { type: 'button', class: `act${act.danger ? ' danger' : ''}`, 'data-act': act.id, 'aria-describedby': `about-${act.id}` },
      h('b', {}), h('span', { id: `about-${act.id}` }));
    button.addEventListener('click', () => {
      const why = act.whyNot(this.stage);
      if (why) tell('page', `“${act.title(this.stage)}” makes no sense now. ${why}`);
      else this.#once(act.id, () => act.run(this.stage));
    });
    return h('li', {}, button);
  }

  /** One thing at a time; what goes wrong is told. @param {string} what @param {() => Promise<void>} run */
  async #once(what, run) {
    if (this.stage.busy) return tell('page', 'One thing at a time: the last one is not over yet.');
    this.stage.busy = what;
    this.refresh();
    try {
      await run();
    } catch (error) {
      tell('page', `That did not work: ${error instanceof Error ? error.message : error}`);
    } finally {
      this.stage.busy = null;
      this.refresh();
    }
  }

  /** @param {Policy} policy */
  async signIn(policy) {
    const { stage } = this;
    if (stage.live) await this.signOut();
    stage.session?.remint.dispose();
    this.#unfollow();
    stage.policy = policy;
    stage.session = new Session(policy, stage.facts, (event) => this.#heard(event));
    this.#told = 0;
    this.#unfollow = this.#lifeline.follow(stage.remint);
    this.refresh();
    await logIn(stage.remint, stage.facts, (sentence) => tell('server', sentence));
    stage.phone = Boolean(stage.claims()?.phone_number);
    tell('you', OPENED[policy]);
  }

  async signOut() {
    await account(this.stage.remint).logout();
    await this.stage.until(() => !this.stage.live, 'the page to be signed out');
  }

  /** @param {number} speed */
  async speed(speed) {
    const { stage } = this;
    const again = stage.live;
    if (again) await this.signOut();
    await post('/dev/speed', { speed });
    stage.facts = await begun(speed);
    this.#snippets.facts = stage.facts;
    tell('server', speed === 1 ? 'Lives are as long as in earnest again.' : `Lives run out ${speed} times faster now: 15 minutes are ${Math.round(900 / speed)} seconds. So are the windows in which a lost answer is given again.`);
    if (again) await this.signIn(stage.policy);
  }

  /** @param {any} event What the library says. */
  #heard(event) {
    const { stage } = this;
    if (event.type === 'ended') this.#card.end(event.reason);
    if (event.type === 'ended') tell('server', `The session ended: ${event.reason}. ${ENDS[event.reason] ?? ''}`, { ended: true });
    if (event.type === 'refreshed' && !stage.busy && this.#told < 2) {
      this.#told += 1;
      tell('page', `At about half of its life the library renewed by itself: nobody noticed.${this.#told === 2 ? ' From now on only the picture tells it.' : ''}`);
    }
    if (event.type === 'offline' && stage.busy !== 'lose') tell('network', 'No answer came. That ends nothing: the library asks again.');
    this.refresh();
  }

  /** Brings the page up to date with the stage. */
  refresh() {
    const { stage } = this;
    for (const button of document.querySelectorAll('.policy')) {
      const policy = /** @type {Policy} */ (button.getAttribute('data-policy'));
      set(button, 'aria-pressed', String(policy === stage.policy));
      const lives = button.querySelector('.lives');
      if (lives) lives.textContent = stage.livesOf(policy);
    }
    for (const act of ACTS) this.#freshen(act);
    const sign = by('sign');
    sign.textContent = stage.live ? 'Sign out' : 'Sign in as Ada';
    set(sign, 'aria-busy', stage.busy === 'sign');
    for (const input of by('speed').querySelectorAll('input')) {
      input.checked = Number(input.value) === stage.facts.speed;
      input.disabled = Boolean(stage.busy);
    }
    by('speed-says').textContent = stage.facts.speed === 1 ? 'A token lives for minutes: choose ×60 to watch it' : `15 minutes are ${Math.round(900 / stage.facts.speed)} seconds`;
    this.#snippets.policy = stage.policy;
    const { session } = stage;
    // What was asked for before the session ended, or another began, is not shown any more.
    session?.held().then((held) => (!held || (session.live && session === stage.session)) && this.#card.show(held), () => {});
  }

  /** @param {import('./acts.js').Act} act */
  #freshen(act) {
    const button = document.querySelector(`[data-act="${act.id}"]`);
    const [title, about] = button?.children ?? [];
    if (!button || !title || !about) return;
    const why = act.whyNot(this.stage);
    title.textContent = act.title(this.stage);
    about.textContent = why ?? act.about(this.stage);
    set(button, 'aria-disabled', why !== null && String(true));
    set(button, 'aria-busy', this.stage.busy === act.id && String(true));
  }

  #move() {
    const left = this.stage.session?.left();
    if (left) this.#card.move(left.ms, left.life_ms);
  }
}

ask().then((facts) => new Playground(new Stage(facts)), () => tell('page', 'The server does not answer.'));
