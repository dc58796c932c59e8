// Reads a token and its claims, in the order of RFC 7515 section 5.2 and RFC 9068 section 4: the same strictness as the
// guard for Rust. Never chooses an algorithm by the token: it must be the key's.

import { flattenedVerify } from 'jose';

import { malformed, RemintError } from './errors.js';
import { JsonFault, object } from './json.js';

const MAX_TOKEN_BYTES = 8 * 1024;
export const ALGORITHMS = ['ES256', 'EdDSA', 'RS256', 'PS256'];
const NEVER = ['b64', 'zip', 'jwk', 'jku', 'x5c', 'x5u'];

/**
 * The claims of an access token (RFC 9068). `sid` and `cv` are there where it has a session.
 * @typedef {{ iss: string, sub: string, aud: string | string[], client_id: string, iat: number, exp: number, jti: string,
 *   nbf?: number, sid?: string, cv?: number, pv?: number, scope?: string, auth_time?: number, amr?: string[],
 *   acr?: string, [name: string]: unknown }} Claims
 */

/** @typedef {{ alg: string, kid: string | undefined, parts: [string, string, string], typ: string | undefined }} Unverified */

/**
 * @param {string} part strict base64url, without padding or stray bits
 * @param {string} name for the message
 */
function decode(part, name) {
  const bytes = Buffer.from(part, 'base64url');
  if (bytes.toString('base64url') !== part) throw malformed(`the ${name} of the token is not strict base64url`);
  return bytes;
}

/** @param {Uint8Array} bytes @param {string} name */
function strict(bytes, name) {
  try {
    return object(bytes);
  } catch (fault) {
    if (!(fault instanceof JsonFault)) throw fault;
    if (fault.duplicate) throw malformed(`the ${name} of the token names a member twice`);
    throw malformed(`the ${name} of the token is not acceptable JSON: ${fault.message}`);
  }
}

/**
 * Reads the header; nothing of it is to be believed.
 * @param {string} token
 * @returns {Unverified}
 */
export function parse(token) {
  if (Buffer.byteLength(token) > MAX_TOKEN_BYTES) throw malformed(`the token is longer than ${MAX_TOKEN_BYTES} bytes`);
  const parts = token.split('.', 6);
  if (parts.length === 5) throw malformed('the token is encrypted (JWE): only signed tokens are accepted');
  if (parts.length !== 3) throw malformed('the token is not a compact JWS: three parts between two dots');
  const header = strict(decode(parts[0], 'header'), 'header');
  if (Object.hasOwn(header, 'crit')) throw malformed('the header has `crit`: no critical extension is supported');
  if (Object.hasOwn(header, 'enc')) throw malformed('the token is encrypted (JWE): only signed tokens are accepted');
  for (const name of NEVER) if (Object.hasOwn(header, name)) throw badHeader(name);
  const alg = parameter(header, 'alg');
  if (alg === undefined) throw badHeader('alg');
  if (!ALGORITHMS.includes(alg)) throw malformed('`alg` is none of ES256, EdDSA, RS256, PS256');
  const [kid, typ] = [parameter(header, 'kid'), parameter(header, 'typ')];
  if (kid !== undefined && !isKid(kid)) throw badHeader('kid');
  return { alg, kid, typ, parts: [parts[0], parts[1], parts[2]] };
}

/** @param {string} kid */
export const isKid = (kid) => /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(kid);

/** @param {Record<string, unknown>} header @param {string} name */
function parameter(header, name) {
  const value = Object.hasOwn(header, name) ? header[name] : undefined;
  if (value !== undefined && typeof value !== 'string') throw badHeader(name);
  return value;
}

/** @param {string} name */
const badHeader = (name) => malformed(`the header parameter \`${name}\` is missing, malformed or never accepted`);

/**
 * Checks kind, algorithm and signature with one key, and gives out what was signed.
 * @param {Unverified} unverified
 * @param {{ alg: string, key: import('jose').CryptoKey | import('node:crypto').KeyObject }} key
 * @returns {Promise<Record<string, unknown>>}
 */
export async function verified({ alg, typ, parts }, key) {
  if (!/^(application\/)?at\+jwt$/i.test(typ ?? '')) {
    throw malformed('the token is of another kind: `typ` must be at+jwt');
  }
  if (alg !== key.alg) throw malformed('`alg` is not the algorithm of the key');
  decode(parts[2], 'signature');
  try {
    await flattenedVerify({ protected: parts[0], payload: parts[1], signature: parts[2] }, key.key, { algorithms: [alg] });
  } catch {
    throw new RemintError('bad_signature');
  }
  return strict(decode(parts[1], 'payload'), 'payload');
}

const TEXTS = ['iss', 'sub', 'client_id', 'jti', 'acr'];
/** The end of the year 9999: more than that is milliseconds. */
const LAST_DATE = 253_402_300_799;
const DATES = ['iat', 'exp', 'nbf', 'auth_time'];
const DEMANDED = ['iss', 'sub', 'aud', 'client_id', 'iat', 'exp', 'jti'];

/**
 * The claims, each of its type, for this issuer and audience. What time says is asked by {@link timely}.
 * @param {Record<string, unknown>} members
 * @param {{ issuer: string, audiences: string[] }} expected
 * @returns {Claims}
 */
export function checked(members, { issuer, audiences }) {
  /** @param {string} name */
  const has = (name) => Object.hasOwn(members, name);
  for (const name of DEMANDED) if (!has(name)) throw malformed(`the claim \`${name}\` is missing`);
  for (const name of TEXTS) if (has(name) && !isText(members[name])) throw mistyped(name);
  for (const name of DATES) if (has(name) && !isDate(members[name])) throw mistyped(name);
  for (const name of ['cv', 'pv']) if (has(name) && !isVersion(members[name])) throw mistyped(name);
  if (has('sid') && !isText(members.sid)) throw mistyped('sid');
  if (has('scope') && typeof members.scope !== 'string') throw mistyped('scope');
  if (has('amr') && !isTexts(members.amr)) throw mistyped('amr');
  if (!isText(members.aud) && !(isTexts(members.aud) && members.aud.length > 0)) throw mistyped('aud');
  if (has('cnf') && !isObject(members.cnf)) throw mistyped('cnf');
  const claims = /** @type {Claims} */ (members);
  if (claims.iss !== issuer) throw new RemintError('wrong_issuer');
  if (![claims.aud].flat().some((named) => audiences.includes(named))) throw new RemintError('wrong_audience');
  return claims;
}

/** RFC 9449 section 7.2: asked last. @param {Claims} claims */
export function plainBearer(claims) {
  if (Object.hasOwn(claims, 'cnf')) throw new RemintError('token_bound');
}

/**
 * RFC 7519 sections 4.1.4 and 4.1.5. Fractions are rounded to the side that shortens the token's life.
 * @param {Claims} claims
 * @param {number} now seconds
 * @param {number} leeway seconds
 */
export function timely(claims, now, leeway) {
  if (Math.floor(claims.exp) + leeway <= now) throw new RemintError('token_expired');
  if (claims.nbf !== undefined && Math.ceil(claims.nbf) > now + leeway) throw new RemintError('token_not_yet_valid');
}

/** @param {unknown} value @returns {value is string} */
const isText = (value) => typeof value === 'string' && value !== '';
/** @param {unknown} value @returns {value is string[]} */
const isTexts = (value) => Array.isArray(value) && value.every(isText);
/** @param {unknown} value */
const isVersion = (value) => Number.isSafeInteger(value) && Number(value) >= 0;
/** @param {unknown} value */
const isDate = (value) => typeof value === 'number' && value >= 0 && Math.floor(value) <= LAST_DATE;
/** @param {unknown} value */
const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);
/** @param {string} name */
const mistyped = (name) => malformed(`the claim \`${name}\` has the wrong type, or an impossible value`);
