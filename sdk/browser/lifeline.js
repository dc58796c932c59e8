/**
 * `<remint-lifeline>`: draws the life of a session from the entries of `timeline()`, with a table of the same beside it.
 * It only shows: it holds no token, asks nobody, decides nothing. No inline style, so it works under a strict CSP.
 */

import { clock, picture, read, rows, summary } from './lifeline-model.js';

/** @import { TimelineEntry } from './timeline.js' */
/** @import { Life, Picture } from './lifeline-model.js' */

const SVG = 'http://www.w3.org/2000/svg';
/** How often the picture is made anew while nothing happens. */
const REDRAW_MS = 1000;

const HINT = 'Point at a sign, or use the arrow keys, to read what it was.';

/** What the marks look like, in a box of 16 by 16 around the moment. */
const SHAPES = {
  minted: 'M0-5A5 5 0 1 1-.01-5Z',
  claims: 'M0-7 7 0 0 7-7 0Z',
  repeated: 'M0-6A6 6 0 1 1-.01-6ZM0-3A3 3 0 1 0 .01-3Z',
  lost: 'M-6-4-4-6 0-2 4-6 6-4 2 0 6 4 4 6 0 2-4 6-6 4-2 0Z',
  failed: 'M0-7 7 6H-7Z',
  used: 'M0-2.5A2.5 2.5 0 1 1-.01-2.5Z',
  ended: 'M-6-6H6V6H-6Z',
};

const CSS = `
:host { display: block; --blue: #2f6690; --pale: #81a4cd; --ink: #3c3c3c; --soft: #6a6a66; --red: #b3261e; --amber: #9a5b00;
  --green: #3d7a46; --rule: #d8d4c8; --paper: transparent; color: var(--ink); font: 13px/1.4 system-ui, sans-serif; }
@media (prefers-color-scheme: dark) { :host { --blue: #6aa5d3; --pale: #35618a; --ink: #d9d6cf; --soft: #a3a19b; --red: #ff8a80;
  --amber: #e8b04a; --green: #86c48f; --rule: #3a4046; } }
:host([hidden]), [hidden] { display: none !important; }
.frame { border-radius: 6px; outline-offset: 3px; }
.frame:focus-visible { outline: 3px solid var(--blue); }
svg { display: block; width: 100%; overflow: visible; touch-action: pan-y; }
text { fill: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
.bar { fill: var(--blue); fill-opacity: .16; stroke: var(--blue); stroke-width: 1; }
.bar.odd { fill: var(--pale); fill-opacity: .3; stroke: var(--pale); }
.spent { fill: var(--blue); } .odd + .spent, .spent.odd { fill: var(--pale); }
.half { stroke: var(--ink); stroke-width: 1.5; stroke-dasharray: 2 2; }
.name { fill: #fff; font-weight: 600; paint-order: stroke; stroke: rgb(0 0 0 / .55); stroke-width: 2.5px; stroke-linejoin: round; }
.minted { fill: var(--blue); } .claims { fill: var(--amber); } .repeated { fill: var(--green); fill-rule: evenodd; }
.lost, .ended, .failed { fill: var(--red); } .used { fill: var(--soft); }
.hit { fill: transparent; cursor: pointer; }
.chosen { fill: none; stroke: var(--ink); stroke-width: 1.5; }
.line { stroke: var(--ink); stroke-width: 5; stroke-linecap: round; }
.rail, .tick { stroke: var(--rule); stroke-width: 1; }
.wall { stroke-width: 1.5; stroke-dasharray: 4 3; }
.wall.idle { stroke: var(--amber); } .wall.absolute, .wall.ended { stroke: var(--red); }
.wall.ended { stroke-dasharray: none; stroke-width: 2.5; }
text.idle { fill: var(--amber); } text.absolute, text.ended { fill: var(--red); font-weight: 600; }
.now { stroke: var(--green); stroke-width: 2; } .pin { fill: var(--green); } text.now-name { fill: var(--green); font-weight: 600; stroke: none; }
p { margin: 4px 0 0; } .said { min-height: 1.4em; } .beyond { color: var(--soft); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 14px; margin: 4px 0 0; padding: 0; list-style: none; color: var(--soft); }
.legend[hidden] { display: none; } .legend li { display: flex; gap: 5px; align-items: center; } .legend svg { width: 16px; height: 16px; flex: none; }
.empty { color: var(--soft); padding: 2.5em 1em; text-align: center; border: 1px dashed var(--rule); border-radius: 6px; }
details { margin-top: 6px; } summary { cursor: pointer; width: fit-content; padding: 4px 0; min-height: 24px; }
summary:focus-visible { outline: 3px solid var(--blue); outline-offset: 2px; border-radius: 3px; }
.scroll { overflow: auto; max-height: 20em; } .scroll:focus-visible { outline: 3px solid var(--blue); }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding: 4px 0; color: var(--soft); }
th, td { text-align: left; padding: 3px 12px 3px 0; border-top: 1px solid var(--rule); vertical-align: top; }
@media (forced-colors: active) { .bar, .bar.odd { stroke: CanvasText; } .line, .now { stroke: CanvasText; } .spent, .spent.odd { fill: Highlight; } }
`;

/** @type {CSSStyleSheet | undefined} */
let sheet;
function styles() {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  return sheet;
}

/**
 * @param {string} name @param {Record<string, string | number>} attributes @param {(Element | string)[]} children
 */
function svg(name, attributes, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/**
 * @param {string} name @param {Record<string, string>} attributes @param {(Element | string)[]} children
 */
function html(name, attributes, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/**
 * Set `entries`, or let it `follow` a session. Arrow keys step through what happened once it has the focus.
 * `clock` tells the time by which the entries are told; that of a session that is followed is `remint.now()`.
 */
export class RemintLifeline extends HTMLElement {
  /** @type {() => number} Milliseconds, of the clock that the entries are told by. */
  clock = () => Date.now();
  /** @type {Life | null} */
  #life = null;
  /** @type {Picture | null} */
  #drawn = null;
  /** @type {number | null} Which mark is told about. */
  #chosen = null;
  #root = this.attachShadow({ mode: 'open' });
  #svg = svg('svg', { role: 'img', 'aria-labelledby': 'title desc' });
  #frame = html('div', {
    class: 'frame', tabindex: '0', role: 'group', 'aria-label': 'Picture of the session', 'aria-describedby': 'keys',
  }, this.#svg);
  #empty = html('p', { class: 'empty' }, 'No session yet.');
  #said = html('p', { class: 'said', role: 'status' }, HINT);
  #beyond = html('p', { class: 'beyond' });
  #legend = html('ul', { class: 'legend', 'aria-label': 'What the signs mean' }, ...legend());
  #body = html('tbody', {});
  #table = this.#makeTable();
  #told = '';
  #resized = new ResizeObserver(() => this.#draw());
  #calm = matchMedia('(prefers-reduced-motion: reduce)');
  #frameId = 0;
  #drawnAt = 0;

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [styles()];
    const keys = html('span', { id: 'keys', hidden: '' }, HINT);
    this.#root.append(this.#empty, this.#frame, this.#beyond, this.#said, this.#legend, this.#table, keys);
    this.#frame.addEventListener('keydown', (event) => this.#step(/** @type {KeyboardEvent} */ (event)));
    this.#svg.addEventListener('click', (event) => this.#point(event));
    this.#svg.addEventListener('pointermove', (event) => this.#point(event));
    this.#show();
  }

  connectedCallback() {
    this.#resized.observe(this);
    this.#tick();
  }

  disconnectedCallback() {
    this.#resized.disconnect();
    cancelAnimationFrame(this.#frameId);
  }

  /** @param {readonly TimelineEntry[]} entries Of one session, the oldest first; none where there is no session. */
  set entries(entries) {
    const before = this.#life;
    this.#life = read(entries);
    if (before?.start !== this.#life?.start) this.#forget();
    this.#show();
  }

  /**
   * Shows a session for as long as the answered function is not called.
   * @param {{ timeline(): readonly TimelineEntry[], now(): number, subscribe(listener: () => void): () => void }} remint
   */
  follow(remint) {
    this.clock = () => remint.now();
    const update = () => { this.entries = remint.timeline(); };
    update();
    return remint.subscribe(update);
  }

  #makeTable() {
    const head = ['After', 'What happened', 'Record (cv)', 'Token until'].map((name) => html('th', { scope: 'col' }, name));
    const caption = html('caption', {}, 'Times are counted from the log-in.');
    const table = html('table', {}, caption, html('thead', {}, html('tr', {}, ...head)), this.#body);
    const scroll = html('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': 'What happened, as a table' }, table);
    return html('details', {}, html('summary', {}, 'The same as a table'), scroll);
  }

  #show() {
    const life = this.#life;
    this.#empty.hidden = Boolean(life);
    for (const part of [this.#frame, this.#said, this.#beyond, this.#legend, this.#table]) part.hidden = !life;
    if (life) this.#fill(life);
    this.#draw();
  }

  /** The table changes only where something happened: whoever reads in it is not disturbed. @param {Life} life */
  #fill(life) {
    const all = rows(life);
    const told = JSON.stringify(all);
    if (told === this.#told) return;
    this.#told = told;
    this.#body.replaceChildren(...all.map((row) =>
      html('tr', {}, ...[row.at, row.what, row.cv, row.until].map((text) => html('td', {}, text)))));
  }

  #tick() {
    this.#frameId = requestAnimationFrame(() => {
      if (!this.isConnected) return;
      const due = performance.now() - this.#drawnAt >= REDRAW_MS;
      if (due && !this.#life?.end) this.#draw();
      else if (!this.#calm.matches) this.#move();
      this.#tick();
    });
  }

  #draw() {
    const width = this.clientWidth;
    if (!this.#life || width === 0) return;
    const now = this.clock();
    this.#drawnAt = performance.now();
    this.#drawn = picture(this.#life, now, width);
    this.#beyond.textContent = this.#drawn.beyond.join(' · ');
    this.#svg.setAttribute('viewBox', `0 0 ${width} ${this.#drawn.height}`);
    this.#svg.setAttribute('height', String(this.#drawn.height));
    this.#svg.replaceChildren(...drawing(this.#drawn, this.#life, now, this.#chosen));
    this.#move();
  }

  /** Only what moves with the time: the pin of now, and how much of each bar is over. */
  #move() {
    const [drawn, life] = [this.#drawn, this.#life];
    if (!drawn || !life) return;
    const { from, to } = drawn.view;
    const now = Math.min(Math.max(life.end?.at ?? this.clock(), from), to);
    const x = 14 + (now - from) / (to - from) * (drawn.width - 28);
    this.#svg.querySelector('.pinned')?.setAttribute('transform', `translate(${x.toFixed(2)} 0)`);
    this.#svg.querySelector('.line')?.setAttribute('x2', x.toFixed(2));
    for (const spent of this.#svg.querySelectorAll('.spent')) {
      const [left, right] = [Number(spent.getAttribute('x')), Number(spent.getAttribute('data-right'))];
      spent.setAttribute('width', Math.max(0, Math.min(x, right) - left).toFixed(2));
    }
  }

  /** @param {KeyboardEvent} event */
  #step(event) {
    const count = this.#life?.marks.length ?? 0;
    const last = count - 1;
    const at = this.#chosen ?? last + 1;
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (to === undefined || count === 0) return;
    event.preventDefault();
    this.#choose(Math.min(Math.max(to, 0), last));
  }

  /** @param {MouseEvent} event */
  #point(event) {
    const mark = event.target instanceof Element ? event.target.getAttribute('data-mark') : null;
    if (mark !== null && Number(mark) !== this.#chosen) this.#choose(Number(mark));
  }

  #forget() {
    this.#chosen = null;
    this.#said.textContent = HINT;
  }

  /** @param {number} index */
  #choose(index) {
    const mark = this.#life?.marks[index];
    if (!this.#life || !mark) return;
    this.#chosen = index;
    const until = mark.until === undefined ? '' : `, good until ${clock(mark.until - this.#life.start)}`;
    this.#said.textContent = `${clock(mark.at - this.#life.start)}: ${mark.what}${until}`;
    this.#draw();
  }
}

/**
 * @param {Picture} drawn @param {Life} life @param {number} now @param {number | null} chosen
 */
function drawing(drawn, life, now, chosen) {
  const { line, axis, bars } = drawn.at;
  const end = drawn.width - 14;
  return [
    svg('title', { id: 'title' }, 'The life of the session'),
    svg('desc', { id: 'desc' }, summary(life, now)),
    ...drawn.ticks.flatMap((tick) => [
      svg('line', { class: 'tick', x1: tick.x, x2: tick.x, y1: line, y2: line + 8 }),
      svg('text', { x: tick.x, y: axis, 'text-anchor': anchored(tick.x, drawn.width) }, tick.text),
    ]),
    svg('line', { class: 'rail', x1: 14, x2: end, y1: line, y2: line }),
    ...drawn.bars.flatMap(bar),
    ...drawn.walls.flatMap((wall) => walled(wall, line)),
    svg('line', { class: 'line', x1: 14, x2: drawn.lived, y1: line, y2: line }),
    ...(life.end ? [] : [pin(bars, line)]),
    ...drawn.marks.flatMap((mark) => marked(mark, mark.mark === chosen)),
  ];
}

/** @returns {Element[]} */
function legend() {
  /** @type {[keyof typeof SHAPES, string][]} */
  const signs = [['minted', 'token minted'], ['claims', 'record changed'], ['lost', 'answer lost'], ['repeated', 'answered again'], ['failed', 'failed']];
  const items = signs.map(([kind, name]) => html('li', {},
    svg('svg', { viewBox: '-8 -8 16 16', 'aria-hidden': 'true' }, svg('path', { class: kind, d: SHAPES[kind] })), name));
  const half = svg('svg', { viewBox: '-8 -8 16 16', 'aria-hidden': 'true' }, svg('line', { class: 'half', x1: 0, x2: 0, y1: -7, y2: 7 }));
  return [...items, html('li', {}, half, 'half of its life')];
}

/** @param {number} x @param {number} width */
const anchored = (x, width) => (x < 40 ? 'start' : x > width - 40 ? 'end' : 'middle');

/** @param {Picture['bars'][number]} bar */
function bar(bar) {
  const odd = bar.odd ? ' odd' : '';
  const box = { x: bar.x, y: bar.y, height: 26, rx: 3 };
  return [
    svg('rect', { ...box, class: `bar${odd}`, width: bar.width }),
    svg('rect', { ...box, class: `spent${odd}`, width: 0, 'data-right': bar.left }),
    ...(bar.half === null ? [] : [svg('line', { class: 'half', x1: bar.half, x2: bar.half, y1: bar.y, y2: bar.y + 26 })]),
    ...(bar.text ? [svg('text', { class: 'name', x: bar.x + 7, y: bar.y + 17 }, bar.text)] : []),
    svg('rect', { ...box, class: 'hit', width: bar.width, 'data-mark': bar.mark }),
  ];
}

/** @param {Picture['walls'][number]} wall @param {number} line */
function walled(wall, line) {
  const gap = wall.anchor === 'start' ? 5 : -5;
  return [
    svg('line', { class: `wall ${wall.kind}`, x1: wall.x, x2: wall.x, y1: wall.y - 10, y2: line + 8 }),
    svg('text', { class: wall.kind, x: wall.x + gap, y: wall.y, 'text-anchor': wall.anchor }, wall.text),
  ];
}

/** @param {number} top @param {number} line */
function pin(top, line) {
  return svg('g', { class: 'pinned' },
    svg('line', { class: 'now', x1: 0, x2: 0, y1: top - 26, y2: line + 6 }),
    svg('path', { class: 'pin', d: `M0 ${line + 2}l6 10H-6Z` }),
    svg('text', { class: 'now-name', x: 0, y: top - 30, 'text-anchor': 'middle' }, 'now'));
}

/** @param {Picture['marks'][number]} mark @param {boolean} chosen */
function marked(mark, chosen) {
  const place = `translate(${mark.x} ${mark.y})`;
  return [
    svg('path', { class: mark.kind, d: SHAPES[mark.kind], transform: place }),
    ...(chosen ? [svg('circle', { class: 'chosen', cx: mark.x, cy: mark.y, r: 10 })] : []),
    svg('circle', { class: 'hit', cx: mark.x, cy: mark.y, r: 12, 'data-mark': mark.mark }),
  ];
}

if (!customElements.get('remint-lifeline')) customElements.define('remint-lifeline', RemintLifeline);
