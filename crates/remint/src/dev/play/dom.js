/** Small ways to make elements. Text is always text: nothing here takes markup. */

/**
 * @param {string} name @param {Record<string, string | number | boolean | undefined>} [attributes]
 * @param {(Node | string)[]} children
 */
export function h(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) set(element, key, value);
  element.append(...children);
  return element;
}

/**
 * @param {string} name @param {Record<string, string | number>} [attributes] @param {(Node | string)[]} children
 */
export function s(name, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, String(value));
  element.append(...children);
  return element;
}

/**
 * Sets an attribute; `false` and `undefined` take it away.
 * @param {Element} element @param {string} name @param {string | number | boolean | undefined} value
 */
export function set(element, name, value) {
  if (value === false || value === undefined) element.removeAttribute(name);
  else element.setAttribute(name, value === true ? '' : String(value));
}

/**
 * @template {Element} [T=HTMLElement]
 * @param {string} id @returns {T}
 */
export function by(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`there is no #${id}`);
  return /** @type {T} */ (/** @type {unknown} */ (found));
}
