/**
 * The life of a session as numbers and words: from the entries of `timeline()` and the time now to what is drawn and
 * what stands in the table. Pure: never reads a clock, never touches a page.
 */

/** @import { Minted, Renewal, TimelineEntry } from './timeline.js' */

/**
 * @typedef {object} Token One access token. Times in milliseconds, of the clock of the entries.
 * @property {number} from When it was minted.
 * @property {number} to When it runs out.
 * @property {number} half When half of its life is over.
 * @property {number} left When the page had a newer one, at most `to`.
 * @property {number} cv The version of the record that it shows.
 * @property {number} iat As in the entry: with `cv` it tells one token from another.
 * @property {number} mark Which of the marks tells about it.
 */
/**
 * @typedef {object} Mark Something that happened.
 * @property {number} at When.
 * @property {'minted' | 'claims' | 'repeated' | 'lost' | 'failed' | 'used' | 'ended'} kind
 * @property {string} what In words.
 * @property {number} [until] When the token that came of it runs out.
 * @property {number} [cv]
 */
/**
 * @typedef {object} Life
 * @property {number} start
 * @property {Token[]} tokens In the order of minting.
 * @property {Mark[]} marks In the order of happening.
 * @property {number} [idle] The idle limit, as last known.
 * @property {number} [absolute] The absolute limit.
 * @property {{ at: number, reason: string }} [end]
 */

/**
 * @typedef {object} Picture Everything in CSS pixels.
 * @property {number} width
 * @property {number} height
 * @property {{ from: number, to: number }} view The stretch of time that is shown, in milliseconds.
 * @property {{ x: number, width: number, y: number, half: number | null, left: number, text: string, odd: boolean, mark: number }[]} bars
 * @property {{ x: number, y: number, kind: Mark['kind'], mark: number }[]} marks `mark` counts into the life's marks.
 * @property {{ x: number, kind: 'idle' | 'absolute' | 'ended', text: string, anchor: 'start' | 'end', y: number }[]} walls
 * @property {string[]} beyond Limits that lie to the right of the picture, in words.
 * @property {{ x: number, text: string }[]} ticks
 * @property {number} lived Where the session's line ends: now, or the end.
 * @property {{ marks: number, bars: number, line: number, axis: number }} at The heights of the lanes.
 */

/** A bar of 26, and the gap below it. */
const STEP = 32;
const ROWS = 3;
/** Before the first moment and after the last. */
const EDGE = 14;
/** So many lives of a token fit into a picture; fewer into one that is narrow. */
const LIVES = { wide: 7, narrow: 3.5 };
const NARROW = 560;
/** The least room of a label of the axis, and of a name in a bar. */
const TICK = 72;
const NAME = 40;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
/** A token that lives no longer is seen whole. */
const SIGHT = 30 * MINUTE;
const STEPS = [1, 2, 5, 10, 15, 30].map((n) => n * SECOND)
  .concat([1, 2, 5, 10, 15, 30].map((n) => n * MINUTE))
  .concat([1, 2, 3, 6, 12].map((n) => n * HOUR))
  .concat([1, 2, 7, 14, 30, 90].map((n) => n * DAY));

/** @type {Record<Minted['by'], string>} */
const CAME_BY = {
  login: 'logged in',
  'this-tab': 'renewed',
  'other-tab': 'renewed by another tab',
  'response-header': 'renewed: an API sent the new token',
  change: 'renewed: the record was changed here',
  storage: 'kept over a reload of the page',
};

/**
 * Reads the entries of the newest session among them; nothing where there is none.
 * @param {readonly TimelineEntry[]} entries The oldest first.
 * @returns {Life | null}
 */
export function read(entries) {
  const last = entries.length - 1;
  const before = entries.findLastIndex((entry, index) => entry.type === 'ended' && index < last);
  const own = entries.slice(before + 1);
  if (own.length === 0) return null;
  /** @type {Life} */
  const life = { start: own[0].at, tokens: [], marks: [] };
  for (const entry of own) learn(life, entry);
  life.start = Math.min(life.start, life.tokens[0]?.from ?? life.start);
  return life;
}

/** @param {Life} life @param {TimelineEntry} entry */
function learn(life, entry) {
  const { at } = entry;
  switch (entry.type) {
    case 'minted':
      return minted(life, entry);
    case 'renewal':
      life.marks.push({ at, ...told(entry) });
      return;
    case 'claims-changed':
      life.marks.push({ at, kind: 'claims', what: `the record changed: ${entry.changed.join(', ')}`, cv: entry.cv });
      return;
    case 'limits':
      life.idle = at + entry.idle_in_ms;
      life.absolute = at + entry.absolute_in_ms;
      return;
    case 'ended':
      life.end = { at, reason: entry.reason };
      life.marks.push({ at, kind: 'ended', what: `ended: ${entry.reason}` });
  }
}

/** @param {Life} life @param {Minted} entry */
function minted(life, { at, kind, iat, cv, by, life_ms, left_ms }) {
  const newest = life.tokens.at(-1);
  if (kind === 'page') {
    const what = by === 'login' ? CAME_BY.login : 'the server told the claims';
    life.marks.push({ at, kind: life.marks.length ? 'used' : 'minted', what, cv });
    return;
  }
  if (newest && newest.iat === iat && newest.cv === cv) {
    life.marks.push({ at, kind: 'repeated', what: `${CAME_BY[by]}: the same token again`, cv });
    return;
  }
  const to = at + left_ms;
  if (newest) newest.left = Math.min(newest.to, at);
  life.tokens.push({ from: to - life_ms, to, half: to - life_ms / 2, left: to, cv, iat, mark: life.marks.length });
  life.marks.push({ at, kind: 'minted', what: CAME_BY[by], until: to, cv });
}

/** @param {Renewal} entry @returns {Pick<Mark, 'kind' | 'what'>} */
function told({ outcome, interactive, error, status, retry_in_ms }) {
  const who = interactive ? '' : ', by timer';
  const again = retry_in_ms === undefined ? '' : `; once more in ${span(retry_in_ms)}`;
  switch (outcome) {
    case 'kept': return { kind: 'used', what: `asked, and the token is good still${who}` };
    case 'repeated': return { kind: 'repeated', what: `the same token again, as tabs that race get it${who}` };
    case 'late': return { kind: 'used', what: `an answer came too late and was not taken${who}` };
    case 'lost': return { kind: 'lost', what: `no answer came${who}${again}` };
    case 'failed': return { kind: 'failed', what: `the server could not: ${error ?? status}${who}${again}` };
  }
}

/**
 * A moment since the log-in, as `remint policy simulate` writes it: `1d 02:03:04`, without leading zeros of hours.
 * @param {number} ms
 */
export function clock(ms) {
  const secs = Math.max(0, Math.round(ms / SECOND));
  const [days, hours, minutes, seconds] = [secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60].map(Math.floor);
  const two = (/** @type {number} */ n) => String(n).padStart(2, '0');
  const day = days ? `${days}d ` : '';
  return day || hours ? `${day}${two(hours)}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

/**
 * A length as an operator writes it, in one or two units: `20 min`, `12 h`, `14 d`, `1 min 30 s`.
 * @param {number} ms
 */
export function span(ms) {
  const secs = Math.max(0, Math.round(ms / SECOND));
  /** @type {[number, string][]} */
  const units = [[86_400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const first = units.findIndex(([unit]) => secs >= unit);
  if (first < 0) return '0 s';
  const [unit, name] = units[first];
  const [smaller, less] = units[first + 1] ?? [1, ''];
  const rest = Math.floor(secs % unit / smaller);
  return `${Math.floor(secs / unit)} ${name}${less && rest ? ` ${rest} ${less}` : ''}`;
}

/**
 * What to draw.
 * @param {Life} life
 * @param {number} now Milliseconds, of the same clock as the entries.
 * @param {number} width CSS pixels.
 * @returns {Picture}
 */
export function picture(life, now, width) {
  const view = viewOf(life, now, width);
  const scale = (width - 2 * EDGE) / (view.to - view.from);
  const x = (/** @type {number} */ at) => EDGE + (Math.min(Math.max(at, view.from), view.to) - view.from) * scale;
  const bars = barsOf(life, view, x);
  const rows = Math.max(1, ...bars.map((bar) => bar.row + 1));
  const walls = wallsOf(life, view, x, width);
  const top = walls.length ? 68 : 50;
  const line = top + rows * STEP + 4;
  const seen = (/** @type {number} */ at) => at >= view.from && at <= view.to;
  return {
    width,
    height: line + 32,
    view,
    bars: bars.map(({ row, ...bar }) => ({ ...bar, y: top + row * STEP })),
    marks: life.marks.flatMap((mark, index) =>
      seen(mark.at) ? [{ x: x(mark.at), y: top - 14, kind: mark.kind, mark: index }] : []),
    walls,
    beyond: beyond(life, now, view),
    ticks: ticksOf(life, view, x, width),
    lived: x(life.end ? life.end.at : now),
    at: { marks: top - 14, bars: top, line, axis: line + 26 },
  };
}

/**
 * From the log-in, or as far back as can be told apart, to a little after what comes next.
 * @param {Life} life @param {number} now @param {number} width
 */
function viewOf(life, now, width) {
  const newest = life.tokens.at(-1);
  const whole = newest ? newest.to - newest.from : 0;
  const length = Math.min(whole, inSight((life.end?.at ?? now) - life.start));
  const last = life.end ? life.end.at : Math.max(now, newest ? Math.min(newest.to, Math.max(now, newest.from) + length) : 0);
  const lives = width < NARROW ? LIVES.narrow : LIVES.wide;
  const least = length || MINUTE;
  const to = Math.max(last, life.start + least) + least * 0.12;
  const from = Math.max(life.start, length ? to - lives * length : life.start);
  return { from, to };
}

/**
 * So much of a token that lives for days is looked ahead at: what has passed must be seen to move.
 * @param {number} age
 */
const inSight = (age) => SIGHT * 2 ** Math.max(0, Math.ceil(Math.log2(4 * Math.max(age, 1) / SIGHT)));

/**
 * Tokens that are good at once lie in rows of their own; where there are too many, the oldest gives way to the newest.
 * @param {Life} life
 */
function placed(life) {
  /** @type {{ token: Token, to: number, row: number }[]} */
  const all = [];
  /** @type {(typeof all)[number][]} The last of each row. */
  const last = [];
  for (const token of life.tokens) {
    const open = last.findIndex((before) => before.to <= token.from);
    const oldest = last.indexOf(last.reduce((a, b) => (b.token.from < a.token.from ? b : a), last[0]));
    const row = open >= 0 ? open : last.length < ROWS ? last.length : oldest;
    if (last[row]) last[row].to = Math.min(last[row].to, token.from);
    last[row] = { token, row, to: Math.min(token.to, life.end?.at ?? token.to) };
    all.push(last[row]);
  }
  return all;
}

/** @param {Life} life @param {{ from: number, to: number }} view @param {(at: number) => number} x */
function barsOf(life, view, x) {
  return placed(life).flatMap(({ token, to, row }, index) => {
    if (to <= view.from || token.from >= view.to) return [];
    const width = Math.max(2, x(to) - x(token.from));
    const half = token.half > view.from && token.half < Math.min(to, view.to) ? x(token.half) : null;
    const text = width >= NAME ? `cv ${token.cv}` : '';
    return [{ x: x(token.from), width, row, half, left: x(Math.min(token.left, to)), text, odd: index % 2 === 1, mark: token.mark }];
  });
}

/** @param {Life} life @param {{ from: number, to: number }} view @param {(at: number) => number} x @param {number} width */
function wallsOf(life, view, x, width) {
  const wall = (/** @type {'idle' | 'absolute' | 'ended'} */ kind, /** @type {number | undefined} */ at, /** @type {string} */ name) => {
    if (at === undefined || at < view.from || at > view.to || (kind !== 'ended' && life.end && at > life.end.at)) return [];
    const place = x(at);
    const anchor = /** @type {'start' | 'end'} */ (place > width / 2 ? 'end' : 'start');
    return [{ x: place, kind, text: `${name}, ${clock(at - life.start)}`, anchor, y: kind === 'idle' ? 26 : 12 }];
  };
  return [
    ...wall('absolute', life.absolute, 'absolute limit'),
    ...wall('idle', life.idle === life.absolute ? undefined : life.idle, 'idle limit'),
    ...wall('ended', life.end?.at, `ended: ${life.end?.reason}`),
  ];
}

/** @param {Life} life @param {number} now @param {{ to: number }} view */
function beyond(life, now, view) {
  if (life.end) return [];
  const far = (/** @type {string} */ name, /** @type {number | undefined} */ at) =>
    at !== undefined && at > view.to ? [`${name} in ${span(at - now)}`] : [];
  return [...far('the token runs out', life.tokens.at(-1)?.to), ...(life.idle === life.absolute ? [] : far('idle limit', life.idle)), ...far('absolute limit', life.absolute)];
}

/** @param {Life} life @param {{ from: number, to: number }} view @param {(at: number) => number} x @param {number} width */
function ticksOf(life, view, x, width) {
  const most = Math.max(2, Math.floor(width / TICK));
  const step = STEPS.find((step) => (view.to - view.from) / step <= most) ?? 365 * DAY;
  const first = Math.ceil((view.from - life.start) / step) * step + life.start;
  const count = Math.max(0, Math.floor((view.to - first) / step) + 1);
  return Array.from({ length: count }, (_, n) => first + n * step)
    .map((at) => ({ x: x(at), text: clock(at - life.start) }));
}

/**
 * The same as a table, a row each: when (since the log-in), what, and how long the token is good that came of it.
 * @param {Life} life
 */
export function rows(life) {
  return life.marks.map((mark) => ({
    at: clock(mark.at - life.start),
    what: mark.what,
    cv: mark.cv === undefined ? '' : String(mark.cv),
    until: mark.until === undefined ? '' : clock(mark.until - life.start),
  }));
}

/**
 * All of it in a few sentences.
 * @param {Life} life @param {number} now
 */
export function summary(life, now) {
  const renewals = life.marks.filter((mark) => mark.kind === 'minted').length - 1;
  const renewed = renewals < 1 ? 'never renewed' : renewals === 1 ? 'renewed once' : `renewed ${renewals} times`;
  if (life.end) {
    return `The session lived for ${span(life.end.at - life.start)} and was ${renewed}. It ended: ${life.end.reason}.`;
  }
  const newest = life.tokens.at(-1);
  const token = newest ? ` Its token runs out in ${span(newest.to - now)}.` : '';
  const limits = [['idle limit', life.idle], ['absolute limit', life.absolute]].flatMap(([name, at]) =>
    typeof at === 'number' ? [`${name} in ${span(at - now)}`] : []);
  const walls = limits.length ? ` It can go on: ${limits.join(', ')}.` : '';
  return `The session is ${span(now - life.start)} old and was ${renewed}.${token}${walls}`;
}
