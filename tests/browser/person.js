// A person with a browser of their own, in scenes of what goes wrong: a profile of Chromium behind a proxy, tabs of it in
// which the library runs with real clocks, locks and channels, and the view from outside: what the server says of the session.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { drowsy } from './chromium.js'
import { proxied } from './proxy.js'
import { binary, watchPages } from './server.js'

/** In the page: a clock that can be wrong, then the library, and a list of what it tells, with the true time. */
const PAGE = `<!doctype html><title>page</title><div id="root"></div>
<script>
  const { query, options } = JSON.parse(decodeURIComponent(location.search.slice(1) || '{}'))
  window.now = Date.now.bind(Date)
  window.skewMs = query?.skewMs ?? 0
  window.Date = class extends Date {
    constructor(...time) { time.length ? super(...time) : super(window.Date.now()) }
    static now() { return window.now() + window.skewMs }
  }
  window.told = []
  window.started = (remint) => remint.on((event) => window.told.push({ ...event, at: window.now() }))
  window.shown = []
  addEventListener('pageshow', ({ persisted }) => window.shown.push(persisted))
</script>
<script type="module">
  import { createRemint } from '/sdk/index.js'
  import { account } from '/sdk/account.js'
  if (options) {
    window.remint = createRemint(options)
    window.started(window.remint)
    window.account = account(window.remint)
  }
</script>`
const VENDOR = { '/react.js': 'react/umd/react.development.js', '/react-dom.js': 'react-dom/umd/react-dom.development.js' }

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
export const pause = (ms) => new Promise((go) => setTimeout(go, ms))

/** Work that is done one after another, so that what is to happen within a second is not measured while pages start. */
let turn = Promise.resolve()
export const inTurn = (work) => (turn = turn.catch(() => {}).then(work))

/** Waits until `found` gives something true, and gives it. Looks so often as is no work for the machine: what is measured, pages note themselves. */
export async function until(what, found, limitMs = 10_000) {
  for (const from = Date.now(); ; await pause(100)) {
    const value = await found()
    if (value) return value
    assert.ok(Date.now() - from < limitMs, `${what}: not within ${limitMs} ms`)
  }
}

/** The pages' own server. */
export async function pages() {
  const server = createServer(async ({ url }, answer) => {
    const path = url.split('?')[0]
    const file = VENDOR[path] ? `node_modules/${VENDOR[path]}` : /^\/sdk\/[a-z-]+\.js$/.test(path) ? `../..${path.replace('/sdk/', '/sdk/browser/')}` : null
    answer.setHeader('content-type', file ? 'text/javascript' : 'text/html')
    answer.end(file ? await readFile(here(file)) : PAGE)
  })
  await new Promise((up) => server.listen(0, '127.0.0.1', up))
  return { origin: `http://localhost:${server.address().port}`, close: () => (server.closeAllConnections(), server.close()) }
}

/** A server with a client for each of the `kinds`, whose pages are at `origin`; and the person's other device. */
export async function staged(server, kinds, origin) {
  const data = join(server.folder, 'remint-dev')
  for (const { clientId, policy, cli } of kinds) {
    const words = ['client', 'create', clientId, '--policy', policy, '--first-party', '--origin', origin, '--api', 'demo-api', '--claim', 'nickname=nickname', ...cli]
    await promisify(execFile)(binary, ['--data', data, ...words], { env: {} })
  }
  let token
  const asked = async (method, path, body) => {
    const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
    return fetch(server.issuer + path, { method, headers, body: body && JSON.stringify(body) })
  }
  const opened = await until('a log-in elsewhere', async () => {
    const answer = await asked('POST', '/session', { ...server.user, client_id: 'demo-fixed' })
    return answer.ok && answer.json()
  })
  token = opened.account_token
  return {
    ...server,
    /** Whether the server has the session among the live ones. */
    lives: async (sid) => {
      const { sessions } = await (await asked('GET', '/sessions')).json()
      return sessions.some((session) => session.sid === sid)
    },
    /** Ends it, from the other device; answers when that began. */
    ends: async (sid) => {
      const at = Date.now()
      assert.equal((await asked('DELETE', `/sessions/${sid}`)).status, 204)
      return at
    },
  }
}

/** One tab. */
class Tab {
  constructor(page) {
    this.page = page
  }

  /** Runs a function in the page. */
  run(what, argument) {
    return this.page.evaluate(what, argument)
  }

  status() {
    return this.run(() => window.remint?.status)
  }

  /** What it told, of one type. */
  async told(type) {
    return (await this.run(() => window.told)).filter((event) => event.type === type)
  }

  timeline() {
    return this.run(() => window.remint.timeline())
  }

  /** The browser stops the page, as it does with tabs that nobody looks at. Only where it is `drowsy`. */
  async freezes() {
    this.cdp ??= await this.page.context().newCDPSession(this.page)
    await this.cdp.send('Page.setWebLifecycleState', { state: 'frozen' })
    assert.equal(await this.run(() => document.visibilityState), 'hidden')
  }

  /** Somebody looks at it again. */
  async thaws() {
    await this.cdp.send('Page.setWebLifecycleState', { state: 'active' })
    await this.cdp.send('Emulation.setFocusEmulationEnabled', { enabled: true })
  }

  /** Renews as a person does who asks for it; not waited for where the answer will not come. */
  refresh() {
    return this.run(() => window.remint.refresh().then(() => {}))
  }

  active(limitMs) {
    return until('the tab is active', async () => (await this.status()) === 'active', limitMs)
  }
}

/** A browser of a person who uses one client. Scenes that need more tabs open them. */
export class Person {
  /** Without a `browser` in one of their own, that freezes tabs. @param {{ browser?: any, stage: any, origin: string, kind: any, apis?: string[] }} where */
  static async arrives({ browser, ...where }) {
    const proxy = await proxied()
    const own = browser ? await browser.newContext({ proxy: { server: proxy.url } }).then((context) => ({ context, close: () => context.close() })) : await drowsy(proxy.url)
    watchPages(own.context)
    return Object.assign(new Person(), { proxy, ...own, ...where, tabs: [] })
  }

  /** Of the library, in their pages. */
  get options() {
    const { clientId, policy, transport } = this.kind
    return { issuer: this.stage.issuer, clientId, policy, transport, apis: this.apis }
  }

  /** A tab with a session; `query` is what is wrong with the page from the start. */
  async opens(query) {
    const tab = await this.blank(`${this.origin}/?${encodeURIComponent(JSON.stringify({ query, options: this.options }))}`)
    await tab.run(() => window.remint.ready)
    return tab
  }

  /** A tab that has none yet. */
  async blank(url = this.origin) {
    const tab = new Tab(await this.context.newPage())
    this.tabs.push(tab)
    await tab.page.goto(url)
    return tab
  }

  /** Opens so many tabs, and logs in in the first. */
  static async signedIn(where, { tabs = 1, query } = {}) {
    const person = await Person.arrives(where)
    const first = await person.opens(query)
    await until('a log-in', () => first.run((user) => window.account.login(user).then(() => true, (error) => { if (![0, 503].includes(error.status)) throw error }), where.stage.user))
    person.since = Date.now()
    person.sid = await first.run(() => window.remint.claims.sid)
    while (person.tabs.length < tabs) await person.opens(query)
    for (const tab of person.tabs) await tab.active()
    await person.hears()
    return person
  }

  /** Requests that renew, of those that came since; not those for an account token, for which the stream asks (RFC 8707). */
  renewals(since = 0) {
    return this.proxy.seen.filter(({ path, at, asked }) => isRenewal(path) && at >= since && !/(^|&)resource=/.test(asked))
  }

  /** Until a tab is connected to the channel on which ends are told. */
  hears(limitMs) {
    return until('the stream is open', () => this.proxy.seen.some(({ path, status, over }) => path === '/session/events' && status === 200 && !over), limitMs)
  }

  /** The end of every scene: nobody was signed out, here and at the server; then the session really ends, and every tab says so within a second. */
  async staysAndEnds() {
    for (const tab of this.tabs) {
      await tab.active()
      assert.deepEqual(await tab.told('ended'), [], 'nobody was signed out')
      assert.equal(await tab.run(() => window.remint.claims.sid), this.sid)
    }
    assert.ok(await this.stage.lives(this.sid), 'the server says so too')
    await this.hears()
    await inTurn(async () => this.endsWithin(1000, await this.stage.ends(this.sid), 'revoked'))
  }

  /** Every tab told the end, once, for this reason, within so many milliseconds of `at`. */
  async endsWithin(ms, at, ...reasons) {
    for (const tab of this.tabs) {
      await until('the tab tells the end', async () => (await tab.told('ended')).length, 3 * ms)
      const [end, more] = await tab.told('ended')
      assert.ok(reasons.includes(end.reason) && !more, JSON.stringify([end, more]))
      assert.ok(end.at - at < ms, `${end.at - at} ms after it`)
      assert.equal(await tab.status(), 'none')
    }
  }

  async leaves() {
    await this.close()
    this.proxy.close()
  }
}

export const isRenewal = (path) => path === '/session/renew' || path === '/oauth2/token'
