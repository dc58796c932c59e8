// The claims of the page and those that the API verified, side by side, as rows of a table.

/** Those that a person understands stand first; ids last. */
const ORDER = ['nickname', 'phone_number', 'account', 'amr', 'cv', 'iat', 'exp', 'auth_time', 'aud', 'scope', 'client_id', 'sub', 'sid'];
/** They say nothing to a person. */
const LEFT_OUT = ['iss', 'jti', 'pv'];
const TIMES = ['iat', 'exp', 'auth_time'];

/** @param {string} name */
const place = (name) => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);

/** @param {string} name @param {any} value */
function text(name, value) {
  if (value === undefined) return '–';
  if (TIMES.includes(name)) return new Date(value * 1000).toLocaleTimeString();
  return Array.isArray(value) ? value.join(' ') : String(value);
}

/**
 * @param {Record<string, any> | null} here
 * @param {Record<string, any> | null} seen
 * @param {string[]} changed Names of claims.
 */
export function claimRows(here, seen, changed) {
  if (!here) return [];
  const names = Object.keys({ ...here, ...seen }).filter((name) => !LEFT_OUT.includes(name)).sort((a, b) => place(a) - place(b));
  return names.map((name) => ({ name, here: text(name, here[name]), api: text(name, seen?.[name]), news: changed.includes(name) }));
}
