// The pure part of the lifeline: what is drawn and told of a life, by numbers alone.
import assert from 'node:assert/strict';
import test from 'node:test';

import { clock, picture, read, rows, span, summary } from '../lifeline-model.js';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const START = 1_800_000_000_000;

/** What `timeline()` says of a token that was minted `n` times 35 s after the log-in and lives for a minute. */
const minted = (n, more = {}) => ({
  at: START + n * 35 * SECOND, type: 'minted', kind: 'access', iat: START / SECOND + n * 35, life_ms: MINUTE, left_ms: MINUTE,
  renew_in_ms: 35 * SECOND, cv: 1, by: n ? 'this-tab' : 'login', ...more,
});

/** A session of `count` tokens. */
const rolling = (count, more = {}) => ({ ...read(Array.from({ length: count }, (_, n) => minted(n))), ...more });

/** Whether two bars lie on top of each other. */
const overlap = (a, b) => a.y === b.y && a.x < b.x + b.width && b.x < a.x + a.width;

test('a life is read from its entries: tokens, marks, limits, end', () => {
  const life = read([
    minted(0, { at: START + 200, left_ms: MINUTE - 200 }),
    { at: START + 200, type: 'limits', idle_in_ms: 10 * MINUTE, absolute_in_ms: 30 * MINUTE },
    { at: START + 20 * SECOND, type: 'renewal', outcome: 'lost', interactive: true, took_ms: 10_000, retry_in_ms: 1000 },
    { at: START + 21 * SECOND, type: 'claims-changed', cv: 2, changed: ['phone_number', 'role'] },
    minted(1, { cv: 2 }),
    { at: START + 40 * SECOND, type: 'limits', idle_in_ms: 10 * MINUTE, absolute_in_ms: 29 * MINUTE + 20.2 * SECOND },
    { at: START + 41 * SECOND, type: 'renewal', outcome: 'failed', interactive: false, took_ms: 9, status: 503, error: 'temporarily_unavailable' },
    { at: START + 50 * SECOND, type: 'ended', reason: 'revoked' },
  ]);
  assert.equal(life.start, START);
  assert.deepEqual(life.tokens.map(({ from, half, to, left, cv }) => [from, half, to, left, cv].map((n) => (n > 99 ? n - START : n))), [
    [0, 30 * SECOND, 60 * SECOND, 35 * SECOND, 1],
    [35 * SECOND, 65 * SECOND, 95 * SECOND, 95 * SECOND, 2],
  ]);
  assert.deepEqual([life.idle - START, life.absolute - START], [640 * SECOND, 1800.2 * SECOND]);
  assert.deepEqual(life.end, { at: START + 50 * SECOND, reason: 'revoked' });
  assert.deepEqual(life.marks.map(({ kind, what }) => [kind, what]), [
    ['minted', 'logged in'],
    ['lost', 'no answer came; once more in 1 s'],
    ['claims', 'the record changed: phone_number, role'],
    ['minted', 'renewed'],
    ['failed', 'the server could not: temporarily_unavailable, by timer'],
    ['ended', 'ended: revoked'],
  ]);
  assert.equal(life.marks[life.tokens[1].mark].until, START + 95 * SECOND);
});

test('the same token twice is one bar', () => {
  const life = read([minted(0), minted(1), minted(1, { at: START + 36 * SECOND, by: 'other-tab' })]);
  assert.deepEqual([life.tokens.length, life.marks.at(-1).kind], [2, 'repeated']);
});

test('after an end the next session is read alone, and without another the ended one stays in sight', () => {
  const ended = { at: START + 10 * SECOND, type: 'ended', reason: 'logout' };
  assert.equal(read([minted(0), ended]).end.reason, 'logout');
  const next = read([minted(0), ended, minted(3, { by: 'login' })]);
  assert.deepEqual([next.end, next.tokens.length, next.start], [undefined, 1, START + 105 * SECOND]);
  assert.equal(read([]), null);
});

test('under the cookie policy there is no token and no bar', () => {
  const page = (at, by) => ({ ...minted(0), at: START + at, kind: 'page', iat: 0, by });
  const life = read([page(0, 'login'), page(9 * SECOND, 'this-tab')]);
  assert.deepEqual(life.tokens, []);
  assert.deepEqual(life.marks.map(({ kind, what }) => [kind, what]), [['minted', 'logged in'], ['used', 'the server told the claims']]);
});

test('of a token that lives for days so much is looked ahead at that the time is seen to pass', () => {
  const week = read([minted(0, { life_ms: 7 * 1440 * MINUTE, left_ms: 7 * 1440 * MINUTE })]);
  const early = picture(week, START + SECOND, 900);
  assert.ok(early.view.to - early.view.from < 60 * MINUTE);
  assert.deepEqual(early.beyond, ['the token runs out in 6 d 23 h']);
  for (const hours of [1, 5, 30, 160]) {
    const { view, lived, bars } = picture(week, START + hours * 60 * MINUTE, 900);
    const now = START + hours * 60 * MINUTE;
    assert.ok(view.from <= now && now <= view.to, `${hours}`);
    assert.ok(lived > 100 && bars[0].x + bars[0].width >= lived, `${hours}: ${lived}`);
  }
});

test('bars of tokens that are good at once lie in rows of their own, at every width', () => {
  for (const width of [320, 390, 800, 1280]) {
    for (const count of [1, 2, 5, 40]) {
      const { bars, height, at } = picture(rolling(count), START + count * 35 * SECOND, width);
      assert.ok(bars.length >= 1);
      for (const [index, bar] of bars.entries()) {
        assert.ok(bar.x >= 0 && bar.x + bar.width <= width, `${width}: ${JSON.stringify(bar)}`);
        assert.ok(bar.left >= bar.x && bar.left <= bar.x + bar.width);
        assert.ok(bar.y + 26 <= at.line && at.line < height);
        for (const other of bars.slice(index + 1)) assert.ok(!overlap(bar, other), JSON.stringify([bar, other]));
      }
    }
  }
});

test('of many tokens that are good at once the oldest gives way, and the newest is seen whole', () => {
  const tokens = Array.from({ length: 9 }, (_, n) => {
    const from = START + n * SECOND;
    return { from, to: from + MINUTE, half: from + MINUTE / 2, left: from + (n < 8 ? SECOND : MINUTE), cv: n + 1, iat: n, mark: 0 };
  });
  const { bars } = picture({ start: START, tokens, marks: [] }, START + 20 * SECOND, 900);
  for (const [index, bar] of bars.entries()) {
    // a bar is never narrower than can be seen, so two of a row may touch by that much
    for (const other of bars.slice(index + 1)) assert.ok(bar.y !== other.y || bar.x + bar.width <= other.x + 2);
  }
  assert.ok(bars.at(-1).half !== null && bars.at(-1).text === 'cv 9');
});

test('half of the life is in the middle of the bar', () => {
  const [bar] = picture(rolling(1), START, 800).bars;
  assert.ok(Math.abs(bar.half - (bar.x + bar.width / 2)) < 0.01);
});

test('a long life shows its newest tokens, and fewer of them on a phone', () => {
  const life = rolling(100);
  const now = START + 99 * 35 * SECOND;
  const [wide, narrow] = [picture(life, now, 1200), picture(life, now, 340)];
  assert.ok(wide.view.from > START && narrow.view.from > wide.view.from);
  assert.ok(wide.bars.length > narrow.bars.length && narrow.bars.length >= 3);
  for (const { view } of [wide, narrow]) assert.ok(view.from < now && now < view.to);
});

test('labels of the axis stand apart and count from the log-in', () => {
  for (const width of [320, 390, 1280]) {
    for (const count of [1, 7, 500]) {
      const { ticks } = picture(rolling(count), START + count * 35 * SECOND, width);
      assert.ok(ticks.length >= 1);
      for (let n = 1; n < ticks.length; n++) assert.ok(ticks[n].x - ticks[n - 1].x >= 60, `${width}, ${count}`);
    }
  }
  assert.equal(picture(rolling(1), START, 800).ticks[0].text, '0:00');
});

test('a limit in sight is a wall, one that is far is said in words, and one that did not come is neither', () => {
  const near = picture(rolling(2, { absolute: START + 90 * SECOND }), START, 800);
  assert.deepEqual(near.walls.map((wall) => [wall.kind, wall.text]), [['absolute', 'absolute limit, 1:30']]);
  assert.deepEqual(near.beyond, []);
  const far = picture(rolling(2, { idle: START + 60 * MINUTE, absolute: START + 720 * MINUTE }), START, 800);
  assert.deepEqual(far.walls, []);
  assert.deepEqual(far.beyond, ['idle limit in 1 h', 'absolute limit in 12 h']);
  const ended = rolling(2, { absolute: START + 90 * SECOND, end: { at: START + 40 * SECOND, reason: 'revoked' } });
  const { walls, beyond } = picture(ended, START + 999 * SECOND, 800);
  assert.deepEqual(walls.map((wall) => [wall.kind, wall.text]), [['ended', 'ended: revoked, 0:40']]);
  assert.deepEqual(beyond, []);
});

test('with its end the session stands still: no bar and no line goes beyond it, however late it is', () => {
  const life = rolling(2, { end: { at: START + 40 * SECOND, reason: 'theft' } });
  const [soon, late] = [START + 40 * SECOND, START + 9999 * MINUTE].map((now) => picture(life, now, 800));
  assert.deepEqual(late, soon);
  for (const bar of soon.bars) assert.ok(bar.x + bar.width <= soon.lived + 0.01);
});

test('a token that ran out without another is in sight together with the time since', () => {
  const drawn = picture(rolling(1), START + 10 * MINUTE, 800);
  assert.ok(drawn.lived < 800 && drawn.view.to > START + 10 * MINUTE);
});

test('a session without tokens in the page has a line, and marks of its contacts', () => {
  const marks = [{ at: START, kind: 'minted', what: 'logged in' }, { at: START + 30 * SECOND, kind: 'used', what: 'used' }];
  const drawn = picture({ start: START, tokens: [], marks }, START + 45 * SECOND, 390);
  assert.deepEqual(drawn.bars, []);
  assert.equal(drawn.marks.length, 2);
  assert.ok(drawn.lived > drawn.marks[1].x);
});

test('the table tells all that the picture shows, in order', () => {
  const life = rolling(2);
  assert.deepEqual(rows(life), [
    { at: '0:00', what: 'logged in', cv: '1', until: '1:00' },
    { at: '0:35', what: 'renewed', cv: '1', until: '1:35' },
  ]);
});

test('the summary says how old it is, how often it was renewed, and why it ended', () => {
  assert.equal(
    summary(rolling(3, { idle: START + 20 * MINUTE, absolute: START + 60 * MINUTE }), START + 80 * SECOND),
    'The session is 1 min 20 s old and was renewed 2 times. Its token runs out in 50 s. '
      + 'It can go on: idle limit in 18 min 40 s, absolute limit in 58 min 40 s.',
  );
  assert.equal(
    summary(rolling(1, { end: { at: START + 20 * SECOND, reason: 'logout' } }), START + MINUTE),
    'The session lived for 20 s and was never renewed. It ended: logout.',
  );
});

test('moments and lengths are written as the command line writes them', () => {
  assert.deepEqual([0, 35, 754, 3600, 93_784].map((secs) => clock(secs * SECOND)),
    ['0:00', '0:35', '12:34', '01:00:00', '1d 02:03:04']);
  assert.deepEqual([0, 1, 90, 1200, 43_200, 1_209_600].map((secs) => span(secs * SECOND)),
    ['0 s', '1 s', '1 min 30 s', '20 min', '12 h', '14 d']);
});
