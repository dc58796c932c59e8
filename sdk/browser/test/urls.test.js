/** Which requests may carry the token: those to the APIs that are named, however like one another an address may look. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { matcher } from '../urls.js';

const PAGE = 'https://app.test/in/page';

/** @param {(string | RegExp)[]} apis @param {Record<string, boolean>} expected */
const owns = (apis, expected) => {
  const ours = matcher(apis, PAGE);
  for (const [url, yes] of Object.entries(expected)) assert.equal(ours(url), yes, `${apis}: ${url}`);
};

test('an origin is that origin, and no other that begins like it', () => {
  owns(['https://api.test'], {
    'https://api.test': true,
    'https://api.test/me?of=1#x': true,
    'https://API.test:443/': true,
    'https://api.test.evil.test/': false,
    'https://api.test@evil.test/': false,
    'https://user@api.test/': false,
    'https://api.test:8443/': false,
    'http://api.test/': false,
    'https://evil.test/https://api.test/': false,
    'blob:https://api.test/1': false,
    '/me': false,
    'https://': false,
  });
});

test('a prefix is cut at a slash', () => {
  owns(['https://api.test/v1', '/own'], {
    'https://api.test/v1': true,
    'https://api.test/v1?x': true,
    'https://api.test/v1/me': true,
    'https://api.test/v10': false,
    'https://api.test/v1/../v2': false,
    '/own/me': true,
    'https://app.test/own': true,
    '/': false,
  });
});

test('a RegExp matches the whole origin, and nothing of what follows it can make it match', () => {
  owns([/https:\/\/.*\.api\.test/, /https:\/\/(eu|us)\.other\.test(:\d+)?/gi], {
    'https://eu.api.test/me': true,
    'https://a.b.api.test/': true,
    'https://us.other.test:8443/me': true,
    'https://evil.test/.api.test': false,
    'https://evil.test/?https://eu.api.test': false,
    'https://evil.test/#.api.test': false,
    'https://evil.test:443/x.api.test/': false,
    'https://eu.api.test.evil.test/': false,
    'https://evil.test\\.api.test/': false,
    'https://x@eu.api.test/': false,
    'http://eu.api.test/': false,
  });
  for (const greedy of [/.*api\.test/, /https:.*api\.test.*/s, /^https:\/\/[^]*\.api\.test/m]) owns([greedy], { 'https://evil.test/x.api.test': false });
  owns([/a|https:\/\/x\.test/], { 'https://x.test/': true, 'https://x.test.evil.test/': false });
});

test('without a page nothing relative is anybody’s', () => {
  assert.equal(matcher(['https://api.test'], undefined)('/me'), false);
});
