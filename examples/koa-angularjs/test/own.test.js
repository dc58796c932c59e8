// What the application does for its own users: codes, limits, passwords. The clock is an argument; no server is needed.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Codes, parseNumber } from '../codes.js';
import { Limit } from '../limit.js';
import { Users } from '../users.js';

const MINUTE = 60_000;
const refused = (code) => (error) => error.code === code;
const other = (code) => (code === '000000' ? '000001' : '000000');

test('a code proves its number once, to the session that asked', () => {
  const codes = new Codes();
  const code = codes.make('mine', '+12025550123');
  assert.match(code, /^\d{6}$/);
  assert.throws(() => codes.take('theirs', code), refused('invalid_challenge'));
  assert.throws(() => codes.take('mine', other(code)), refused('invalid_code'));
  assert.throws(() => codes.take('mine', ''), refused('invalid_code'));
  assert.equal(codes.take('mine', ` ${code} `), '+12025550123');
  assert.throws(() => codes.take('mine', code), refused('invalid_challenge'));
});

test('after five tries, after ten minutes, and after another one was asked for, a code is good no more', () => {
  let now = 0;
  const codes = new Codes(() => now);
  const guessed = codes.make('a', '+12025550123');
  for (let times = 0; times < 5; times += 1) assert.throws(() => codes.take('a', other(guessed)), refused('invalid_code'));
  assert.throws(() => codes.take('a', guessed), refused('invalid_challenge'));
  const first = codes.make('a', '+12025550123');
  let second;
  do second = codes.make('a', '+12025550199');
  while (second === first);
  assert.throws(() => codes.take('a', first), refused('invalid_code'));
  now = 10 * MINUTE;
  assert.throws(() => codes.take('a', second), refused('invalid_challenge'));
});

test('a number is taken as people write it, with the code of its country', () => {
  assert.equal(parseNumber('+1 (202) 555-0123'), '+12025550123');
  for (const none of ['12', '202 555 0123', '+0 202 555 0123', '+1 202 555 0123 4567 89', '+1202555012x']) assert.throws(() => parseNumber(none), refused('invalid_request'), none);
});

test('a limit holds for its key and its time, and says how long', () => {
  let now = 0;
  const limit = new Limit({ tries: 2, windowMs: MINUTE, now: () => now });
  limit.take('a');
  limit.take('a');
  now = 15_000;
  assert.throws(() => limit.take('a'), (error) => error.status === 429 && error.retryAfter === 45);
  limit.take('b');
  now = MINUTE;
  limit.take('a');
  limit.take('a');
  limit.forget('a');
  limit.take('a');
});

test('a password is taken after nine wrong ones, not after ten; nobody is told whether an account is there', async () => {
  const users = new Users();
  const { identifier, password } = users.demo;
  const wrong = async (times) => { for (let at = 0; at < times; at += 1) await assert.rejects(users.check(identifier, 'wrong'), refused('invalid_grant')); };
  await wrong(9);
  assert.equal((await users.check(` ${identifier.toUpperCase()}`, password)).nickname, 'grace');
  await wrong(10);
  await assert.rejects(users.check(identifier, password), refused('slow_down'));
  await assert.rejects(users.check('nobody@example.test', password), refused('invalid_grant'));
});
