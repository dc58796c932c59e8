// What the page says: of what went wrong and what to do, why a session ended, and what the page holds under each policy.

/** By the code of an error, of Remint as of the application's server. @type {Record<string, string>} */
const WRONG = {
  invalid_grant: 'This address and this password do not belong together. Check both, and try again.',
  invalid_code: 'That is not the code that was sent. Check it, and type it again.',
  invalid_challenge: 'This code is not good any more. Ask for another one.',
  no_answer: 'The server cannot be reached. Check the connection, and try again.',
};

/** By what was done, where the server did not take it: the field's own sentence. @type {Record<string, string>} */
const INVALID = {
  number: 'This is no phone number that can get messages. Write it with the code of its country, like +1 202 555 0123.',
};

/**
 * A sentence for an error of `account`, or of `$http`.
 * @param {any} error
 * @param {string | null} asked What was asked for.
 */
export function wrong(error, asked) {
  const code = error.data?.error ?? error.code ?? (error.status > 0 ? `${error.status}` : 'no_answer');
  if (code === 'slow_down') return `Too many tries. Wait ${wait(error)}, and try again.`;
  if (code === 'invalid_request' && asked && INVALID[asked]) return INVALID[asked];
  // What ended says so itself: else the session goes on, and so may the person.
  return WRONG[code] ?? 'The server cannot do this just now. Try again in a moment.';
}

/** @param {any} error */
function wait(error) {
  const seconds = error.retryAfterMs / 1000 || Number(error.headers?.('Retry-After')) || 0;
  return seconds > 90 ? `${Math.ceil(seconds / 60)} minutes` : seconds ? `${Math.ceil(seconds)} seconds` : 'a moment';
}

/** @type {Record<string, string>} */
const ENDED = {
  logout: 'You logged out.',
  revoked: 'This session was ended from another browser.',
  theft: 'This session was ended: its refresh token was used twice, so somebody may have a copy. Log in again.',
  disabled: 'This account or application was disabled.',
  'password-changed': 'The password was changed. Log in with the new one.',
  everywhere: 'All sessions of this account were ended.',
  expired: 'The session has run out. Log in again.',
  replaced: 'Somebody else logged in here.',
};

/** @param {string} reason */
export const ended = (reason) => ENDED[reason] ?? 'You are not logged in any more.';

/** @type {Record<string, string>} */
export const ABOUT = {
  rolling: 'One token. Past half of its life the API’s answer brings the next one.',
  fixed: 'One token, good for a long time and never renewed. A changed record gets a new one at once all the same.',
  refresh: 'A token for a short time. A refresh token, which APIs never see, gets the next one.',
  cookie: 'This page holds no token: a cookie that no script can read is all there is. The server swaps it for one.',
};

/** A browser, from what it says of itself. @param {string} agent */
export function browserOf(agent) {
  const name = /(Firefox|Edg|OPR|Chrome|Safari)\//.exec(agent.replace(/Chrome(?=.*(Edg|OPR)\/)|Safari(?=.*Edg)/g, ''))?.[1];
  const system = /(Android|iPhone|iPad|Windows|Mac OS X|Linux)/.exec(agent)?.[1];
  return name ? `${{ Edg: 'Edge', OPR: 'Opera' }[name] ?? name}${system ? ` on ${system}` : ''}` : agent.slice(0, 60) || 'Unknown device';
}
