// Strict JSON objects for tokens: a member named twice is refused at whatever depth (RFC 7515 section 4, RFC 7519 section
// 4), so are bytes that are not UTF-8, text that is not whole, numbers that are none, and depth. Knows no claim.

const MAX_DEPTH = 32;
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** What is wrong with a text that is no acceptable object. */
export class JsonFault extends Error {
  /** @param {string} message @param {boolean} [duplicate] */
  constructor(message, duplicate = false) {
    super(message);
    this.duplicate = duplicate;
  }
}

/**
 * @param {Uint8Array} bytes
 * @returns {Record<string, unknown>}
 * @throws {JsonFault}
 */
export function object(bytes) {
  const text = attempt(() => utf8.decode(bytes), 'the text is not UTF-8');
  const value = attempt(() => JSON.parse(text), 'the text is not JSON');
  if (value === null || typeof value !== 'object' || Array.isArray(value)) throw new JsonFault('the text is JSON, but not an object');
  walk(text);
  return value;
}

/** @template T @param {() => T} read @param {string} fault */
function attempt(read, fault) {
  try {
    return read();
  } catch {
    throw new JsonFault(fault);
  }
}

/** Looks at the names of a text that is valid JSON. @param {string} text */
function walk(text) {
  /** @type {(Set<string> | null)[]} */
  const open = [];
  const token = /"(?:[^"\\]|\\.)*"|[{}[\]]|-?\d[\d.eE+-]*/gy;
  const blank = /[\s,:]*|true|false|null/gy;
  for (let at = 0; at < text.length; ) {
    token.lastIndex = at;
    const found = token.exec(text);
    if (!found) {
      blank.lastIndex = at;
      at += Math.max(1, blank.exec(text)?.[0].length ?? 1);
      continue;
    }
    at = token.lastIndex;
    const first = found[0][0];
    if (first === '{' || first === '[') {
      open.push(first === '{' ? new Set() : null);
      if (open.length > MAX_DEPTH) throw new JsonFault(`objects and arrays nest deeper than ${MAX_DEPTH}`);
    } else if (first === '}' || first === ']') {
      open.pop();
    } else if (first === '"') {
      string(found[0], open.at(-1) ?? null, text, at);
    } else if (!Number.isFinite(Number(found[0]))) {
      throw new JsonFault('a number is out of range');
    }
  }
}

/** @param {string} quoted @param {Set<string> | null} names @param {string} text @param {number} at behind it */
function string(quoted, names, text, at) {
  const plain = /** @type {string & { isWellFormed(): boolean }} */ (JSON.parse(quoted));
  if (!plain.isWellFormed()) throw new JsonFault('a string is not whole');
  while (' \t\n\r'.includes(text[at] ?? '-')) at += 1;
  if (!names || text[at] !== ':') return;
  if (names.has(plain)) throw new JsonFault('a member is named twice', true);
  names.add(plain);
}
