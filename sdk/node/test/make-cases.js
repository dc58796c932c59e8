// Writes tests/guard-cases.json: tokens and what every guard must say of them. Run it by hand when a case is added; the
// keys are made anew, and nothing but the tests knows them.

import { createHmac, generateKeyPairSync, sign } from 'node:crypto';
import { writeFileSync } from 'node:fs';

const now = 1_700_000_000;
const [issuer, audience] = ['https://issuer.test', 'api-under-test'];
const pair = (type, options) => generateKeyPairSync(type, options);
const keys = {
  ES256: { kid: 'es', ...pair('ec', { namedCurve: 'P-256' }) },
  EdDSA: { kid: 'ed', ...pair('ed25519') },
  RS256: { kid: 'rs', ...pair('rsa', { modulusLength: 2048 }) },
  PS256: { kid: 'ps', ...pair('rsa', { modulusLength: 2048 }) },
};
const jwk = (alg) => ({ ...keys[alg].publicKey.export({ format: 'jwk' }), kid: keys[alg].kid, alg, use: 'sig' });
const jwks = { keys: Object.keys(keys).map(jwk) };

const b64 = (value) => Buffer.from(value).toString('base64url');
const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

function signature(alg, input) {
  const key = keys[alg].privateKey;
  if (alg === 'EdDSA') return sign(null, input, key);
  if (alg === 'ES256') return sign('sha256', input, { key, dsaEncoding: 'ieee-p1363' });
  return sign('sha256', input, alg === 'PS256' ? { key, padding: 6, saltLength: 32 } : key);
}

const claims = (more = {}) => ({
  iss: issuer, sub: 'AAAAAAAAAAAAAAAAAAAAAA', aud: audience, client_id: 'shop', sid: 'BBBBBBBBBBBBBBBBBBBBBA', cv: 7, pv: 3,
  iat: now - 60, exp: now + 240, jti: 'CCCCCCCCCCCCCCCCCCCCCA', scope: 'read', ...more,
});
const without = (name) => ({ ...claims(), [name]: undefined });

function token({ alg = 'ES256', header = {}, payload = claims(), by = alg, raw = (parts) => parts.join('.') } = {}) {
  const head = typeof header === 'string' ? header : text({ alg, typ: 'at+jwt', kid: keys[by]?.kid, ...header });
  const parts = [b64(head), b64(Buffer.isBuffer(payload) ? payload : text(payload))];
  parts.push(signature(by, Buffer.from(parts.join('.'))).toString('base64url'));
  return raw(parts);
}

const hmac = (parts) => {
  const input = `${b64(text({ alg: 'HS256', typ: 'at+jwt', kid: 'es' }))}.${parts[1]}`;
  const secret = keys.ES256.publicKey.export({ type: 'spki', format: 'pem' });
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
};
/** The last character of an ES256 signature has stray bits: 86 characters carry 516 bits. */
const stray = (parts) => [parts[0], parts[1], parts[2].slice(0, -1) + { A: 'B', Q: 'R', g: 'h', w: 'x' }[parts[2].at(-1)]].join('.');
const invalid = (code, description) => ({ code, challenge: `Bearer error="invalid_token", error_description="${description}"` });
const malformed = (description) => invalid('token_malformed', description.replaceAll('`', "'"));
const mistyped = (name) => malformed(`the claim ${name} has the wrong type, or an impossible value`.replace(name, `\`${name}\``));
const header = (name) => malformed(`the header parameter \`${name}\` is missing, malformed or never accepted`);
const twice = JSON.stringify(claims()).replace('{', '{"sub":"mallory",');

const cases = [
  ['ES256', token(), null],
  ['EdDSA', token({ alg: 'EdDSA' }), null],
  ['RS256', token({ alg: 'RS256' }), null],
  ['PS256', token({ alg: 'PS256' }), null],
  ['typ with application/', token({ header: { typ: 'application/AT+JWT' } }), null],
  ['without kid, where one key serves the algorithm', token({ header: { kid: undefined } }), null],
  ['an unknown header parameter', token({ header: { x5t: 'abc', foo: [1] } }), null],
  ['one of several audiences', token({ payload: claims({ aud: ['other', audience] }) }), null],
  ['without a session', token({ payload: claims({ sid: undefined, cv: undefined }) }), null],
  ['expired within the leeway', token({ payload: claims({ exp: now - 4 }) }), null],
  ['not yet valid within the leeway', token({ payload: claims({ nbf: now + 5 }) }), null],
  ['expired at the leeway', token({ payload: claims({ exp: now - 5 }) }), invalid('token_expired', 'expired')],
  ['expired, with a fraction', token({ payload: claims({ exp: now - 4.5 }) }), invalid('token_expired', 'expired')],
  ['not yet valid', token({ payload: claims({ nbf: now + 6 }) }), invalid('token_not_yet_valid', 'not yet valid')],
  ['not yet valid, with a fraction', token({ payload: claims({ nbf: now + 5.5 }) }), invalid('token_not_yet_valid', 'not yet valid')],
  ['another issuer', token({ payload: claims({ iss: `${issuer}/` }) }), invalid('wrong_issuer', 'wrong issuer')],
  ['another audience', token({ payload: claims({ aud: 'other' }) }), invalid('wrong_audience', 'wrong audience')],
  ['the issuer as audience', token({ payload: claims({ aud: issuer }) }), invalid('wrong_audience', 'wrong audience')],
  ['bound to a key', token({ payload: claims({ cnf: { jkt: 'x' } }) }), invalid('token_bound', 'bound to a key (cnf): not a plain bearer token')],
  ['a changed payload', token({ raw: ([h, , s]) => [h, b64(text(claims({ sub: 'mallory' }))), s].join('.') }), invalid('bad_signature', 'bad signature')],
  ['an empty signature', token({ raw: ([h, p]) => `${h}.${p}.` }), invalid('bad_signature', 'bad signature')],
  ['a signature of zeros', token({ raw: ([h, p]) => `${h}.${p}.${b64(Buffer.alloc(64))}` }), invalid('bad_signature', 'bad signature')],
  ['an unknown key', token({ header: { kid: 'nobody' } }), invalid('unknown_key', 'signed by a key that the issuer does not publish')],
  ['the algorithm of another key', token({ alg: 'ES256', header: { alg: 'EdDSA' } }), malformed('`alg` is not the algorithm of the key')],
  ['PS256 with the key of RS256', token({ alg: 'PS256', header: { kid: 'rs' } }), malformed('`alg` is not the algorithm of the key')],
  ['HS256 keyed with the public key', token({ raw: hmac }), malformed('`alg` is none of ES256, EdDSA, RS256, PS256')],
  ['none', token({ header: { alg: 'none' }, raw: ([h, p]) => `${h}.${p}.` }), malformed('`alg` is none of ES256, EdDSA, RS256, PS256')],
  ['an ID token', token({ header: { typ: 'JWT' } }), malformed('the token is of another kind: `typ` must be at+jwt')],
  ['a log-out token', token({ header: { typ: 'logout+jwt' } }), malformed('the token is of another kind: `typ` must be at+jwt')],
  ['without typ', token({ header: { typ: undefined } }), malformed('the token is of another kind: `typ` must be at+jwt')],
  ['crit', token({ header: { crit: ['exp'] } }), malformed('the header has `crit`: no critical extension is supported')],
  ['an embedded key', token({ header: { jwk: jwk('ES256') } }), header('jwk')],
  ['the address of a key', token({ header: { jku: 'https://evil.test/keys' } }), header('jku')],
  ['unencoded payload', token({ header: { b64: false } }), header('b64')],
  ['without alg', token({ header: { alg: undefined } }), header('alg')],
  ['alg that is a number', token({ header: { alg: 7 } }), header('alg')],
  ['kid that is a number', token({ header: { kid: 7 } }), header('kid')],
  ['kid with a quote', token({ header: { kid: 'a"b' } }), header('kid')],
  ['an opaque token', 'not-a-token', malformed('the token is not a compact JWS: three parts between two dots')],
  ['a part too many', token({ raw: (parts) => [...parts, 'x'].join('.') }), malformed('the token is not a compact JWS: three parts between two dots')],
  ['a JWE', 'a.b.c.d.e', malformed('the token is encrypted (JWE): only signed tokens are accepted')],
  ['enc in the header', token({ header: { enc: 'A128GCM' } }), malformed('the token is encrypted (JWE): only signed tokens are accepted')],
  ['padding', token({ raw: ([h, p, s]) => `${h}=.${p}.${s}` }), malformed('the header of the token is not strict base64url')],
  ['stray bits in the signature', token({ raw: stray }), malformed('the signature of the token is not strict base64url')],
  ['too long', token({ payload: claims({ long: 'x'.repeat(9000) }) }), malformed('the token is longer than 8192 bytes')],
  ['a claim twice', token({ payload: twice }), malformed('the payload of the token names a member twice')],
  ['a claim twice, one of them escaped', token({ payload: twice.replace('"sub"', '"s\\u0075b"') }), malformed('the payload of the token names a member twice')],
  ['a member twice, deep inside', token({ payload: JSON.stringify(claims({ x: 1 })).replace('"x":1', '"x":[{"a":1,"a":2}]') }), malformed('the payload of the token names a member twice')],
  ['a header parameter twice', token({ header: '{"alg":"ES256","alg":"ES256","typ":"at+jwt","kid":"es"}' }), malformed('the header of the token names a member twice')],
  ['an array as payload', token({ payload: '[1]' }), malformed('the payload of the token is not acceptable JSON: the text is JSON, but not an object')],
  ['a payload that is not UTF-8', token({ payload: Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]) }), malformed('the payload of the token is not acceptable JSON: the text is not UTF-8')],
  ['a payload that nests too deep', token({ payload: `{"a":${'['.repeat(32)}${']'.repeat(32)}}` }), malformed('the payload of the token is not acceptable JSON: objects and arrays nest deeper than 32')],
  ['one name at two depths', token({ payload: claims({ sub: 'AAAAAAAAAAAAAAAAAAAAAA', address: { sub: 'x' }, list: ['sub', 'sub'] }) }), null],
  ...['iss', 'sub', 'aud', 'client_id', 'iat', 'exp', 'jti'].map((name) => [`without ${name}`, token({ payload: without(name) }), malformed(`the claim \`${name}\` is missing`)]),
  ...[
    ['exp', '1700000240'], ['exp', null], ['iat', true], ['nbf', 'soon'], ['aud', []], ['aud', ['', audience]], ['sub', ''], ['sub', 7], ['cv', -1],
    ['cv', 1.5], ['cv', '7'], ['pv', null], ['sid', ''], ['scope', ['read']], ['amr', 'pwd'], ['auth_time', 'x'], ['cnf', 'x'],
  ].map(([name, value]) => [`${name} is ${JSON.stringify(value)}`, token({ payload: claims({ [name]: value }) }), mistyped(name)]),
].map(([name, token, refused]) => ({ name, token, refused }));

const later = (now + 3600) * 1e6;
const subject = { sub: claims().sub, sid: claims().sid, client_id: 'shop', jti: claims().jti };
const ledger = [
  ['nothing is known', [], 'good'],
  ['somebody else changed', [{ type: 'claims-changed', sub: 'DDDDDDDDDDDDDDDDDDDDDA', cv: 99, names: ['x'], cause: 'attributes', who: 'user', forget_after: later }], 'good'],
  ['the record changed', [{ type: 'claims-changed', sub: subject.sub, cv: 8, names: ['phone'], cause: 'attributes', who: 'user', forget_after: later }], 'stale_claims'],
  ['the change is in the token', [{ type: 'claims-changed', sub: subject.sub, cv: 7, names: ['phone'], cause: 'attributes', who: 'user', forget_after: later }], 'good'],
  ['all sessions ended', [{ type: 'user-ended', sub: subject.sub, cv: 8, reason: 'everywhere', forget_after: later }], 'session_ended everywhere'],
  ['all sessions ended before this one', [{ type: 'user-ended', sub: subject.sub, cv: 7, reason: 'disabled', forget_after: later }], 'good'],
  ['an end, then a change', [
    { type: 'user-ended', sub: subject.sub, cv: 8, reason: 'disabled', forget_after: later },
    { type: 'claims-changed', sub: subject.sub, cv: 9, names: ['x'], cause: 'attributes', who: 'admin', forget_after: later },
  ], 'session_ended disabled'],
  ['this session ended', [{ type: 'session-ended', sid: subject.sid, reason: 'theft', forget_after: later }], 'session_ended theft'],
  ['this session ended twice', [
    { type: 'session-ended', sid: subject.sid, reason: 'theft', forget_after: later },
    { type: 'session-ended', sid: subject.sid, reason: 'logout', forget_after: later },
  ], 'session_ended theft'],
  ['the client changed', [{ type: 'client-changed', client_id: 'shop', pv: 4, forget_after: later }], 'client_changed'],
  ['the client changed before', [{ type: 'client-changed', client_id: 'shop', pv: 3, forget_after: later }], 'good'],
  ['the token was revoked', [{ type: 'token-ended', jti: subject.jti, forget_after: later }], 'token_revoked'],
  ['the key was withdrawn', [{ type: 'key-withdrawn', kid: 'es', forget_after: later }], 'key_withdrawn'],
  ['an end is graver than a change', [
    { type: 'claims-changed', sub: subject.sub, cv: 8, names: ['x'], cause: 'attributes', who: 'user', forget_after: later },
    { type: 'client-changed', client_id: 'shop', pv: 4, forget_after: later },
    { type: 'session-ended', sid: subject.sid, reason: 'logout', forget_after: later },
  ], 'session_ended logout'],
].map(([name, events, says]) => ({ name, events, says }));

const file = new URL('../../../tests/guard-cases.json', import.meta.url);
const parts = { issuer, audience, now, leeway: 5, jwks, cases, ledger, ledger_token: cases[0].token };
writeFileSync(file, `${JSON.stringify(parts, null, 1)}\n`);
