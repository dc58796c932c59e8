/**
 * `@remint/browser`: the session of a page, its token kept fresh, its end heard at once. Start at {@link createRemint}.
 * Depends on nothing, keeps nothing in `localStorage`, and sends the token to no API that the page has not named.
 */

export { createRemint } from './session.js';

/**
 * @typedef {import('./session.js').RemintOptions} RemintOptions
 * @typedef {import('./session.js').Status} Status
 * @typedef {import('./wire.js').BaseClaims} BaseClaims
 * @typedef {import('./timeline.js').TimelineEntry} TimelineEntry
 * @typedef {import('./timeline.js').EndReason} EndReason
 */
/**
 * @template {BaseClaims} [C=BaseClaims]
 * @typedef {import('./session.js').Remint<C>} Remint
 */
/**
 * @template {BaseClaims} [C=BaseClaims]
 * @typedef {import('./session.js').RemintEvent<C>} RemintEvent
 */
