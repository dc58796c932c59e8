/** What a session lends to the other parts of this package. Not for pages: it can reach the tokens. */

/** @typedef {import('./holdings.js').Grant} Grant */
/** @typedef {import('./wire.js').Answer} Answer */

/**
 * @typedef {object} Core
 * @property {import('./session.js').RemintOptions} options
 * @property {import('./host.js').Host} host
 * @property {string} name Of this client's session in this browser: locks and channels are called by it.
 * @property {() => number} now
 * @property {() => Grant} held
 * @property {(token?: string) => Record<string, string>} headers
 * @property {RequestCredentials} credentials
 * @property {(method: string, path: string, token?: string, body?: unknown) => Promise<Answer | undefined>} send
 * @property {(refreshToken: string, interactive: boolean, more?: { resource?: string }) => Promise<Answer | undefined>} grantOf
 * @property {(challenge: string | null | undefined) => string | undefined} demanded
 * @property {(grant: Grant, by: import('./timeline.js').MintedBy, fresh?: boolean) => boolean} accept
 * @property {(reason: import('./timeline.js').EndReason) => void} end
 * @property {() => Promise<void>} catchUp Before a refresh token is presented: what other tabs have is asked for, where this one slept.
 * @property {(byPerson: boolean) => Promise<void>} renew
 * @property {(cv: number) => Promise<void>} want
 * @property {(event: any) => void} tell
 * @property {(entry: { type: import('./timeline.js').TimelineEntry['type'] } & Record<string, unknown>) => void} record
 * @property {() => void} check
 * @property {() => unknown} online What failed may be tried again at once.
 * @property {() => unknown} touch A person is at work.
 * @property {(at: number) => number} pulse Called with every look at the clock; answers when to come back.
 * @property {Promise<void>} [started]
 * @property {Promise<void>} [minting] The flight for an account token.
 */

/** @type {WeakMap<object, Core>} */
export const cores = new WeakMap();
