/**
 * What the library takes from the browser, all in one place: `globalThis` in a page, a stand-in with a clock of its own
 * in a test. Optional members may be missing; then the page does without.
 */

/**
 * @typedef {object} Host
 * @property {typeof globalThis.fetch} fetch
 * @property {{ now(): number }} Date
 * @property {{ now(): number }} performance
 * @property {{ random(): number }} Math
 * @property {(call: () => void, ms: number) => any} setTimeout
 * @property {(timer: any) => void} clearTimeout
 * @property {Pick<typeof globalThis.AbortSignal, 'timeout'>} AbortSignal
 * @property {new (name: string) => Pick<BroadcastChannel, 'postMessage' | 'close' | 'onmessage'>} [BroadcastChannel]
 * @property {{ locks?: Pick<LockManager, 'request'> }} [navigator]
 * @property {Pick<Document, 'visibilityState' | 'addEventListener' | 'removeEventListener'>} [document]
 * @property {Pick<Window, 'addEventListener' | 'removeEventListener'>['addEventListener']} [addEventListener]
 * @property {Pick<Window, 'addEventListener' | 'removeEventListener'>['removeEventListener']} [removeEventListener]
 * @property {{ href: string }} [location]
 * @property {Pick<Storage, 'getItem' | 'setItem' | 'removeItem'>} [sessionStorage]
 * @property {(error: unknown) => void} [reportError]
 */

export {};
