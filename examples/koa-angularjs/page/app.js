// The page: logs in, calls the API, asks for a phone number where the API wants one, and follows what becomes of the session.
// Decides nothing that the API does not decide again.

import '/vendor/angular.min.js';
import { remintModule } from '/sdk/angularjs.js';
import '/sdk/lifeline.js';
import { claimRows } from './claims.js';
import { config, person, remint } from './session.js';
import { ABOUT, browserOf, ended, wrong } from './words.js';

const { angular } = /** @type {any} */ (globalThis);

/** @type {Record<string, string>} */
const TITLES = { login: 'Log in', proof: 'Confirm that it is you', number: 'A number for the reminder', code: 'The code', factor: 'The code' };
/** How long a change may be on its way to the API, milliseconds, and how often it is asked again. */
const SOON = { ms: 200, times: 5 };

class Page {
  policy = config.policy;
  users = config.users;
  inbox = config.inbox;
  demo = config.demo;
  about = ABOUT[config.policy];
  /** @type {Record<string, any> | null} */ claims = remint.claims;
  /** @type {Record<string, any> | null} What the API saw. */ seen = null;
  /** @type {string[]} Names of claims. */ changed = [];
  /** @type {ReturnType<typeof claimRows>} */ rows = [];
  /** @type {any[]} */ devices = [];
  /** @type {Record<string, any> | null} */ table = null;
  /** @type {'login' | 'proof' | 'number' | 'code' | 'factor' | null} What the form asks for. */ asks = null;
  /** @type {Record<string, string>} */ typed = {};
  sentTo = '';
  challenge = '';
  said = '';
  wrong = '';
  busy = false;

  /** @param {any} $scope @param {any} $http @param {any} $q @param {any} $timeout */
  constructor($scope, $http, $q, $timeout) {
    this.$http = $http;
    this.$q = $q;
    this.$timeout = $timeout;
    $scope.$on('remint', (/** @type {unknown} */ _, /** @type {any} */ event) => this.hear(event));
    $q.resolve(remint.ready).then((/** @type {unknown} */ claims) => (claims ? this.begin() : (this.asks ??= 'login')));
  }

  title() {
    if (this.asks) return TITLES[this.asks];
    return this.claims ? `Good day, ${this.claims.nickname}` : 'One moment …';
  }

  // --- the session ---

  /** @param {any} event Of the session. */
  hear(event) {
    this.claims = remint.claims;
    if (event.type === 'created') this.begin();
    if (event.type === 'claims-changed') this.follow(event.changed);
    if (event.type === 'ended') this.finish(event.reason);
    if (event.type === 'offline') this.said = 'The session could not be renewed just now. It goes on, and this page tries again.';
    if (event.type === 'expiring') this.said = `The session ends in ${Math.round(event.inMs / 1000)} seconds.`;
    this.show();
  }

  begin() {
    this.claims = remint.claims;
    this.changed = [];
    this.ask(null);
    this.refresh();
  }

  /** The record changed, here or elsewhere: nobody logged in again. @param {string[]} changed */
  follow(changed) {
    this.changed = changed;
    this.said = `The record changed, and so did the token, without a new log-in: ${changed.join(', ')}.`;
    this.refresh();
  }

  /** @param {string} reason */
  finish(reason) {
    Object.assign(this, { seen: null, table: null, devices: [], changed: [], typed: {} });
    this.said = reason === 'logout' ? ended(reason) : '';
    this.wrong = reason === 'logout' ? '' : ended(reason);
    this.ask('login');
  }

  show() {
    this.rows = claimRows(this.claims, this.seen, this.changed);
  }

  // --- what a person does ---

  /**
   * Does one thing at a time, and says what went wrong.
   * @param {() => Promise<any>} begin
   * @param {(result: any) => void} then
   */
  act(begin, then) {
    if (this.busy) return;
    this.busy = true;
    this.wrong = '';
    const over = (/** @type {(result: any) => void} */ next) => (/** @type {any} */ result) => {
      this.busy = false;
      next(result);
    };
    this.$q.resolve(begin()).then(over(then), over((error) => this.fail(error)));
  }

  /** @param {any} error */
  fail(error) {
    if (error.code === 'insufficient_user_authentication') {
      this.said = 'Your log-in is some minutes old. To change your number, confirm that it is you.';
      return this.ask('proof');
    }
    this.wrong = wrong(error, this.asks);
  }

  /** Shows another form, or none, and goes there. @param {typeof Page.prototype.asks} asks */
  ask(asks) {
    this.asks = asks;
    this.typed.code = this.typed.password = '';
    this.$timeout(() => /** @type {HTMLElement | null} */ (document.querySelector(asks ? '[data-first]' : '#do-title'))?.focus());
  }

  fillIn() {
    Object.assign(this.typed, this.demo);
  }

  logIn() {
    const { identifier, password } = this.typed;
    // The token response of the application's own server is taken as if it were Remint's.
    const open = this.users === 'own'
      ? () => this.$http.post('/login', { identifier, password }).then((/** @type {any} */ { data }) => person.adopt(data))
      : () => person.login({ identifier, password });
    this.said = '';
    this.act(open, (login) => {
      if (!login.challenge) return this.ask(this.asks === 'proof' ? 'number' : null);
      this.challenge = login.challenge;
      this.sentTo = login.sentTo;
      this.ask('factor');
    });
  }

  logOut() {
    this.act(() => person.logout(), () => {});
  }

  callApi() {
    this.act(() => this.look(), () => {});
  }

  /** What the API says of whoever calls it. */
  look() {
    return this.$http.get('/api/me').then((/** @type {any} */ { data }) => {
      this.seen = data.claims;
      this.show();
    });
  }

  /** @param {number} [times] How often it may be asked again. */
  reserve(times = SOON.times) {
    const asked = () => this.$http.post('/api/reservations', {}).catch((/** @type {any} */ answer) => {
      if (answer.data?.error !== 'phone_number_required') throw answer;
      return answer;
    });
    this.act(asked, ({ status, data }) => {
      if (status === 201) this.table = data;
      else if (!this.claims?.phone_number) this.ask('number');
      // Under the policy `cookie` the API learns of a change by the feed alone: it may know a moment after this page.
      else if (times > 0) this.$timeout(() => this.reserve(times - 1), SOON.ms);
    });
  }

  sendCode() {
    const phone_number = this.typed.number;
    const send = this.users === 'own'
      ? () => this.$http.post('/api/phone', { phone_number }).then((/** @type {any} */ { data }) => ({ sentTo: data.sent_to }))
      : () => person.phone.set(phone_number);
    this.said = '';
    this.act(send, ({ sentTo }) => {
      this.sentTo = sentTo;
      this.ask('code');
    });
  }

  giveCode() {
    const { code } = this.typed;
    if (this.asks === 'factor') return this.act(() => person.factor(this.challenge, code), () => this.ask(null));
    // With the number at Remint the answer brings the new token; else it is fetched.
    const verify = this.users === 'own'
      ? () => this.$http.post('/api/phone/verify', { code }).then(() => remint.refresh())
      : () => person.phone.verify(code);
    return this.act(verify, () => {
      this.ask(null);
      this.reserve();
    });
  }

  /** Back to the step before the code. */
  again() {
    this.wrong = '';
    this.ask(this.asks === 'code' ? 'number' : 'login');
  }

  /** What does not stand in the token. What is wrong with the session, the session tells itself. */
  refresh() {
    this.look().catch(() => {});
    this.lookAtDevices();
  }

  lookAtDevices() {
    this.$q.resolve(person.sessions.list()).then((/** @type {any[]} */ devices) => {
      this.devices = devices.map((one) => ({ ...one, browser: browserOf(one.user_agent) }));
    }, () => {});
  }

  /** @param {any} device */
  endOther(device) {
    this.act(() => person.sessions.revoke(device.sid), () => {
      this.said = `The session of ${device.browser} is ended.`;
      this.lookAtDevices();
    });
  }
}

angular.module('tables', [remintModule(angular, remint).name]).controller('Page', ['$scope', '$http', '$q', '$timeout', Page]);
angular.bootstrap(document, ['tables'], { strictDi: true });
/** @type {any} */ (document.querySelector('remint-lifeline')).follow(remint);
