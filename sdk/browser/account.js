/**
 * What a page needs of the person's account beside the session itself: log-in and log-out, the own record, the phone
 * number, the other devices. Keeps no password and no code.
 */

import { bearer, call, lives } from './api.js';
import { cores } from './core.js';
import { RemintError } from './errors.js';
import { granted } from './holdings.js';
import { ask, verdict } from './wire.js';

export { RemintError } from './errors.js';

/**
 * A log-in, done or half done. Done: `claims`. Where the account has a second factor: `challenge`, to be given to
 * `factor` with the code that was sent to the number that ends like `sentTo`, within `expiresIn` seconds.
 * @typedef {{ claims: any, challenge?: undefined } | { challenge: string, sentTo: string, expiresIn: number }} Login
 */

/**
 * One of the person's sessions. Times are seconds since the epoch.
 * @typedef {{ sid: string, current: boolean, client_id: string, created_at: number, last_seen: number,
 *   user_agent: string, address: string }} Device
 */

/**
 * The account of whoever is, or will be, signed in. All of these reject with {@link RemintError}. Changes of a factor
 * demand a log-in of the last five minutes: they reject with `insufficient_user_authentication`, and `step-up` is told;
 * log in again, which is a new proof of who it is within the same session, and repeat.
 * @param {import('./session.js').Remint<any>} remint
 */
export const account = (remint) => {
  const core = /** @type {import('./core.js').Core} */ (cores.get(remint));
  const { credentials, host } = core;
  const { clientId: client_id, policy, issuer } = core.options;
  /** What a log-out shows that has not reached the server yet. @type {import('./holdings.js').Grant | undefined} */
  let leaving;

  /** @param {string} path @param {Record<string, unknown>} body @returns {Promise<Login>} */
  const open = async (path, body) => {
    await core.started;
    const token = await bearer(core).catch(() => ''); // somebody who is here already proves it anew
    const answer = await core.send('POST', path, token, { client_id, ...body });
    const { challenge, sent_to: sentTo, expires_in: expiresIn } = answer?.body ?? {};
    if (challenge) return { challenge, sentTo, expiresIn };
    if (answer?.status !== 200) throw new RemintError(answer);
    core.accept(granted(core.now(), answer.body), 'login', true);
    return { claims: remint.claims };
  };

  /** An access token ends its session too (RFC 7009), and no other of the person. @param {string} token */
  const revoke = async (token) => {
    const answer = await ask(host, `${issuer}/oauth2/revoke`, { method: 'POST', credentials, body: new URLSearchParams({ client_id, token }) });
    if (answer?.status !== 200) throw new RemintError(answer);
  };

  /** Tells the server. @param {boolean} everywhere @param {import('./holdings.js').Grant} grant @returns {Promise<void>} */
  const leave = async (everywhere, { access, account, refresh }) => {
    const renewable = policy === 'refresh';
    // An API may have kept the session alive, with its access token, beyond the account token. Whether that one still lives
    // is the server's to say: to revoke a dead one does no harm.
    const outlived = !renewable && access?.text && !lives(core, account);
    if (outlived) await revoke(access.text);
    if (outlived && !everywhere) return;
    let token = renewable && !lives(core, account) ? '' : account?.text;
    let answer;
    if (!token && renewable) {
      answer = await (refresh ? core.grantOf(refresh, false, { resource: issuer }) : core.send('POST', '/session/renew', '', {}));
      token = answer?.body.account_token ?? answer?.body.access_token;
    }
    if (token || !renewable) answer = await core.send('DELETE', `/session${everywhere ? '?everywhere=true' : ''}`, token);
    const over = answer && verdict(answer);
    // Where nothing is left to show, or what is left has run out, there is no session of this browser any more; of the
    // person's others that says nothing.
    const gone = over && !everywhere && (over.sure || !(token && renewable));
    if (answer?.status !== 204 && !gone) throw new RemintError(answer);
  };

  return {
    /** Logs in. @param {{ identifier: string, password: string, scope?: string }} credentials */
    login: (credentials) => open('/session', credentials),
    /** The second step of a log-in. @param {string} challenge @param {string} code What the person typed. */
    factor: (challenge, code) => open('/session/factor', { challenge, code }),
    /**
     * Takes the session that your own server has opened for the person (`POST /admin/api/sessions`), as if they had logged
     * in here. @param {Record<string, any>} answer The token response as that server got it; under the policy `cookie`
     * without the cookie, which it has set itself. @returns {Promise<Login>}
     */
    adopt: async (answer) => {
      await core.started;
      core.accept(granted(core.now(), answer), 'login', true);
      return { claims: remint.claims };
    },
    /**
     * Ends the session: here and in the other tabs at once, whatever is on its way, then at the server. Rejects where the
     * server could not be told; called again, it tells it.
     * @param {{ everywhere?: boolean }} [options] Whether all sessions of the person end. Where only an access token is left,
     *   or nothing that the server takes, that needs a new log-in, and rejects until then.
     */
    logout: async ({ everywhere = false } = {}) => {
      await core.started;
      leaving = remint.claims ? core.held() : (leaving ?? core.held());
      if (remint.claims) core.end(everywhere ? 'everywhere' : 'logout');
      await leave(everywhere, leaving);
      leaving = undefined;
    },
    /** Writes attributes of the own record; `null` removes one. @param {Record<string, unknown>} attributes */
    update: (attributes) => call(core, 'PATCH', '/account', attributes).then(() => remint.claims),
    phone: {
      /** Sends a code to a number in international form. @param {string} phone_number */
      set: (phone_number) =>
        call(core, 'POST', '/account/phone', { phone_number }).then((body) => ({ sentTo: body.sent_to, expiresIn: body.expires_in })),
      /** With the right code the number is the account's, and its second factor. @param {string} code */
      verify: (code) => call(core, 'POST', '/account/phone/verify', { code }).then(() => remint.claims),
      /** The account has no number any more. */
      remove: () => call(core, 'DELETE', '/account/phone').then(() => remint.claims),
    },
    sessions: {
      /** The person's live sessions. @returns {Promise<Device[]>} */
      list: () => call(core, 'GET', '/sessions').then((body) => body.sessions),
      /** Ends one of them. @param {string} sid */
      revoke: (sid) => call(core, 'DELETE', `/sessions/${encodeURIComponent(sid)}`).then(() => {}),
    },
    /** The session as the server has it: user, policy, limits. */
    session: () => call(core, 'GET', '/session'),
  };
};
