// The cases that every guard runs: of a token, and of what the feed said.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { Ledger } from '../ledger.js';
import { Verifier } from '../verifier.js';

const file = JSON.parse(readFileSync(new URL('../../../tests/guard-cases.json', import.meta.url), 'utf8'));
const { issuer, audience, leeway, now, jwks } = file;

/** An issuer of which there are its metadata and its keys. */
async function published(url) {
  const documents = {
    [`${issuer}/.well-known/oauth-authorization-server`]: { issuer, jwks_uri: `${issuer}/keys` },
    [`${issuer}/keys`]: jwks,
  };
  return Response.json(documents[url] ?? {}, { status: documents[url] ? 200 : 404 });
}

const clock = { now: () => now, ticks: () => 0 };
const verifier = () => new Verifier({ issuer, audience, leeway, clock, fetch: published, leastIntervalMs: 0 });

describe('a token', () => {
  for (const { name, token, refused } of file.cases) {
    it(name, async () => {
      const guard = verifier();
      const said = await guard.verify(token).then(() => null, (error) => ({ code: error.code, challenge: error.challenge() }));
      guard.close();
      assert.deepEqual(said, refused);
    });
  }
});

describe('the ledger', () => {
  for (const { name, events, says } of file.ledger) {
    it(name, async () => {
      const guard = verifier();
      const ledger = new Ledger();
      for (const event of events) assert.ok(ledger.apply(event));
      const heard = { ledger, leeway, standing: () => 'fresh', close: () => {} };
      Object.assign(guard, { feed: heard });
      const said = await guard.verify(file.ledger_token).then(() => 'good', ({ code, reason }) => [code, reason].filter(Boolean).join(' '));
      guard.close();
      assert.equal(said, says);
    });
  }

  it('forgets when no token can be concerned any more, and not before', () => {
    const ledger = new Ledger();
    ledger.apply({ type: 'session-ended', sid: 'x', reason: 'logout', forget_after: now * 1e6 });
    ledger.apply({ type: 'session-ended', sid: 'x', reason: 'logout', forget_after: (now + 1000) * 1e6 });
    ledger.forget(now + 500);
    assert.equal(ledger.size, 1);
    ledger.forget(now + 1000 + 60 + 64);
    assert.equal(ledger.size, 0);
  });
});
