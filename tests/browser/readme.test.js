// Every snippet of the library's README, as it stands there, in a real Chromium against a real Remint and an API of another
// origin. Of Angular only the two functions that take an interceptor are stood in for: adapters.test.js runs it.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'

import { api, listening, pages } from './api.js'
import { launched, opened } from './chromium.js'
import { binary, dev } from './server.js'

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8')
const readme = read('../../sdk/browser/README.md')
const SNIPPETS = new Map([...readme.matchAll(/```js (\w+)\n([^]*?)```/g)].map(([, name, code]) => [name, code]))
const exported = (global, names) => `const it = ${global}; export default it; export const { ${names} } = it`
const STAND_INS = {
  '/react-module.js': exported('window.React', 'createElement, useSyncExternalStore'),
  '/rxjs-module.js': exported('window.rxjs', 'catchError, from, switchMap, tap, throwError'),
  '/angular-http.js': 'export const provideHttpClient = (...features) => features; export const withInterceptors = (all) => all',
}
const COOKIE = '__Host-remint-session-demo-cookie'

const served = { ...STAND_INS }
const guards = []
const ran = new Set()
let server, site, shop, browser

before(async () => {
  server = await dev()
  browser = await launched()
  const own = guarded('http://localhost', { cookie: COOKIE })
  site = await pages(served, own)
  site.origin = `http://localhost:${site.port}` // the same site as Remint, as its cookies want it
  served['/'] = `<!doctype html><title>page</title><script type="importmap">${JSON.stringify({ imports: imports() })}</script><div id="root"></div>`
  shop = await listening(createServer(guarded(site.origin)))
  const cli = (...words) => promisify(execFile)(binary, ['--data', join(server.folder, 'remint-dev'), 'client', ...words, '--origin', site.origin], { env: {} })
  for (const policy of ['rolling', 'fixed', 'refresh', 'cookie']) await cli('update', `demo-${policy}`)
  await cli('create', 'web', '--policy', 'refresh', '--transport', 'cookie', '--first-party', '--api', 'demo-api', '--claim', 'nickname=nickname')
  for (const { verifier } of guards) await verifier.ready()
})

after(async () => {
  await browser?.close()
  for (const { verifier } of guards) verifier.close()
  for (const one of [site, shop]) one?.close()
  await server?.stop()
})

function guarded(origin, options) {
  const { guard, handler } = api(server, origin, options)
  guards.push(guard)
  return handler
}

/** What the package exports, and what it adapts. */
function imports() {
  const { name, exports } = JSON.parse(read('../../sdk/browser/package.json'))
  const own = Object.entries(exports).map(([entry, target]) => [name + entry.slice(1), `/sdk${target.default.slice(1)}`])
  return { ...Object.fromEntries(own), axios: '/axios.js', react: '/react-module.js', rxjs: '/rxjs-module.js', '@angular/common/http': '/angular-http.js' }
}

/** A page of a browser of its own, in which snippets run; what they show is kept there. */
async function newPage(...scripts) {
  const { page, wrong, close } = await opened(browser)
  const enter = async () => {
    await page.goto(site.origin)
    for (const url of scripts) await page.addScriptTag({ url })
    await page.evaluate(() => { window.shown = []; window.show = (what) => window.shown.push(what) })
  }
  await enter()
  return { page, wrong, close, enter, shown: (count) => page.waitForFunction((count) => window.shown.length >= count, count).then(() => page.evaluate(() => window.shown)) }
}

/** Runs a snippet as a module of the page; what it exports is there as `window.it`, and a session as `window.remint`. */
async function run(page, name) {
  ran.add(name)
  const { issuer, user: { password } } = server
  const given = `const [ISSUER, PASSWORD, show] = ${JSON.stringify([issuer, password])}.concat((what) => window.show(what));\n`
  const code = SNIPPETS.get(name).replaceAll('https://api.example.com', shop.origin)
  const remint = /(const|let) remint\b/.test(code) ? '' : 'const { remint } = window;\n'
  served[`/${name}-snippet.js`] = given + remint + code
  await page.evaluate(async (url) => {
    window.it = await import(url)
    if (window.it.remint) window.remint = window.it.remint
  }, `/${name}-snippet.js`)
}

const logIn = (page) => page.evaluate(async (user) => {
  const { account } = await import('@remint/browser/account')
  for (;;) {
    try {
      return await account(window.remint).login(user)
    } catch (error) {
      if (error.status !== 503) throw error // a busy machine may not hash a password in time
    }
  }
}, server.user)

/** The person changes the name on another device. */
async function renamed(nickname) {
  const json = (method, path, body, token) => fetch(server.issuer + path, { method, headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) }, body: JSON.stringify(body) })
  let answer
  do answer = await json('POST', '/session', { ...server.user, client_id: 'demo-fixed' })
  while (answer.status === 503)
  const { account_token } = await answer.json()
  assert.equal((await json('PATCH', '/account', { nickname }, account_token)).status, 200)
}

test('the first snippet: signed in, the API called, a change and the end shown', async () => {
  const { page, wrong, shown, close } = await newPage()
  await run(page, 'page')
  assert.equal(await page.evaluate(() => window.remint.status), 'active')
  await renamed('countess')
  assert.equal((await shown(1))[0].nickname, 'countess')
  await page.evaluate(async () => (await import('@remint/browser/account')).account(window.remint).logout())
  assert.equal((await shown(2))[1], null)
  assert.deepEqual(wrong, [])
  await close()
})

for (const policy of ['rolling', 'fixed', 'refresh']) {
  test(`${policy}: log-in, a call to the API, a renewal`, async () => {
    const { page, wrong, enter, close } = await newPage()
    await run(page, policy)
    await logIn(page)
    assert.equal(await page.evaluate((url) => window.remint.fetch(url).then(({ status }) => status), `${shop.origin}/me`), 200)
    await page.evaluate(() => window.remint.refresh())
    assert.equal(await page.evaluate(() => window.remint.status), 'active')
    await enter()
    await run(page, policy)
    const known = await page.evaluate(async () => !!(await window.remint.ready))
    assert.equal(known, policy === 'refresh', 'only a cookie outlives a reload')
    assert.deepEqual(wrong, [])
    await close()
  })
}

test('cookie: the page holds no token, and its own backend knows who it is, over a reload too', async () => {
  const { page, wrong, enter, close } = await newPage()
  await run(page, 'cookie')
  await logIn(page)
  const { nickname } = await page.evaluate(() => window.it.me())
  assert.deepEqual(await page.evaluate(async () => [window.remint.claims.nickname, await window.remint.token()]), [nickname, null])
  await enter()
  await run(page, 'cookie')
  assert.equal(await page.evaluate(async () => (await window.remint.ready).nickname), nickname)
  assert.deepEqual(wrong, [])
  await close()
})

test('events', async () => {
  const { page, wrong, shown, close } = await newPage()
  await run(page, 'fixed')
  await run(page, 'events')
  await logIn(page)
  assert.match((await shown(1))[0], /^signed in: .+, by login$/)
  await renamed('ada of the events')
  assert.equal((await shown(2))[1], 'changed: nickname')
  await page.evaluate(async () => (await import('@remint/browser/account')).account(window.remint).logout())
  assert.equal((await shown(3))[2], 'signed out: logout')
  assert.deepEqual(wrong, [])
  await close()
})

test('the adapters show what the API says', async () => {
  const { page, wrong, shown, close } = await newPage('/angular.js', '/rxjs.js', '/react.js', '/react-dom.js')
  await run(page, 'rolling')
  await logIn(page)
  await run(page, 'xhr')
  await run(page, 'axios')
  await run(page, 'angularjs')
  await page.evaluate(() => void window.angular.bootstrap(document.createElement('div'), ['app']))
  const { nickname } = await page.evaluate(() => window.remint.claims)
  assert.deepEqual(await shown(3), Array(3).fill({ nickname }))
  await run(page, 'angular')
  assert.equal(await page.evaluate(() => typeof window.it.appConfig.providers[0][0][0]), 'function')
  await run(page, 'react')
  await page.evaluate(() => window.ReactDOM.createRoot(document.getElementById('root')).render(window.React.createElement(window.it.App)))
  await page.waitForFunction((name) => document.getElementById('root').textContent === name, nickname)
  await page.evaluate(async () => (await import('@remint/browser/account')).account(window.remint).logout())
  await page.waitForFunction(() => document.getElementById('root').textContent === 'nobody')
  assert.equal((await shown(4))[3], null, 'told inside AngularJS')
  assert.deepEqual(wrong, [])
  await close()
})

test('the lifeline draws the session', async () => {
  const { page, wrong, close } = await newPage()
  await run(page, 'fixed')
  await logIn(page)
  await run(page, 'lifeline')
  await page.waitForFunction(() => document.querySelector('remint-lifeline').shadowRoot.querySelector('.bar'))
  assert.deepEqual(wrong, [])
  await close()
})

test('kept in sessionStorage the session outlives a reload, and can be read there by any script', async () => {
  const { page, wrong, enter, close } = await newPage()
  await run(page, 'storage')
  await logIn(page)
  await enter()
  await run(page, 'storage')
  assert.ok(await page.evaluate(async () => !!(await window.remint.ready)))
  assert.match(await page.evaluate(() => JSON.stringify({ ...sessionStorage })), /rt1\./)
  assert.equal(await page.evaluate(() => localStorage.length), 0)
  assert.deepEqual(wrong, [])
  await close()
})

test('no snippet was left out', () => {
  assert.deepEqual([...SNIPPETS.keys()].filter((name) => !ran.has(name)), [])
  assert.ok(SNIPPETS.size >= 13)
})
