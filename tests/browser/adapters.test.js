// The adapters of the library for pages, in a real Chromium, with the libraries that they adapt: a page of one origin, an API
// of another behind the guard for Node, and Remint. The record changes elsewhere; the page does not hear of it, and its next
// request is refused as stale, renewed once and sent once more.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { createServer } from 'node:http'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { promisify } from 'node:util'

import { api, listening, pages } from './api.js'
import { launched, opened } from './chromium.js'
import { binary, dev } from './server.js'

let server, site, shop, browser, page, guard, seen

before(async () => {
  server = await dev()
  browser = await launched()
  site = await pages()
  const made = api(server, site.origin)
  ;({ guard, seen } = made)
  shop = await listening(createServer(made.handler))
  await guard.verifier.ready()
  const data = join(server.folder, 'remint-dev')
  await promisify(execFile)(binary, ['--data', data, 'client', 'create', 'page', '--policy', 'refresh', '--first-party', '--origin', site.origin, '--api', 'demo-api', '--claim', 'nickname=nickname'], { env: {} })
  ;({ page } = await opened(browser))
  await page.goto(site.origin)
  await page.evaluate(signIn, { issuer: server.issuer, api: shop.origin, user: server.user })
})

after(async () => {
  await browser?.close()
  guard?.verifier.close()
  for (const one of [site, shop]) one?.close()
  await server?.stop()
})

/** In the page: a session that hears of nothing by itself. */
async function signIn({ issuer, api, user }) {
  const [{ createRemint }, { account }] = await Promise.all([import('/sdk/index.js'), import('/sdk/account.js')])
  const quiet = (input, init) => (/session\/events/.test(input?.url ?? input) ? new Promise(() => {}) : fetch(input, init))
  const host = {
    fetch: quiet, AbortSignal, Date, Math, document, location, performance, setTimeout: setTimeout.bind(window), clearTimeout: clearTimeout.bind(window),
    addEventListener: addEventListener.bind(window), removeEventListener: removeEventListener.bind(window),
  }
  window.api = `${api}/me`
  window.remint = createRemint({ issuer, clientId: 'page', policy: 'refresh', transport: 'memory', apis: [api], host })
  await window.remint.ready
  await account(window.remint).login(user)
}

/** The person changes the name on another device, and the API has heard of it. */
async function renamed(nickname) {
  const json = (method, path, body, token) => fetch(server.issuer + path, { method, headers: { 'content-type': 'application/json', ...(token ? { authorization: `Bearer ${token}` } : {}) }, body: JSON.stringify(body) })
  let opened
  do opened = await json('POST', '/session', { ...server.user, client_id: 'demo-fixed' })
  while (opened.status === 503)
  const { account_token } = await opened.json()
  assert.equal((await json('PATCH', '/account', { nickname }, account_token)).status, 200)
  const held = await page.evaluate(() => window.remint.token())
  while (await guard.verifier.verify(held).then(() => true, () => false)) await new Promise((go) => setTimeout(go, 10))
}

/** What an adapter does with a request of a session whose record has changed. */
function adapts(name, script, ask) {
  test(name, async () => {
    if (script) await page.addScriptTag({ url: script })
    await renamed(`${name} one`)
    seen.length = 0
    assert.deepEqual(await page.evaluate(ask), { status: 200, nickname: `${name} one` })
    assert.deepEqual(seen, [401, 200], 'refused once, sent once more')
    seen.length = 0
    assert.deepEqual(await page.evaluate(ask), { status: 200, nickname: `${name} one` })
    assert.deepEqual(seen, [200])
  })
}

adapts('fetch', null, async () => {
  const answer = await window.remint.fetch(window.api)
  return { status: answer.status, ...(await answer.json()) }
})

adapts('xhr', null, async () => {
  const { send } = await import('/sdk/xhr.js')
  const { status, response } = await send(window.remint, { url: window.api, prepare: (xhr) => { xhr.responseType = 'json' } })
  return { status, ...response }
})

adapts('axios', null, async () => {
  const [{ attach }, { default: axios }] = await Promise.all([import('/sdk/axios.js'), import('/axios.js')])
  const instance = axios.create()
  const detach = attach(instance, window.remint)
  const { status, data } = await instance.get(window.api)
  detach()
  return { status, ...data }
})

adapts('angularjs', '/angular.js', async () => {
  const { remintModule } = await import('/sdk/angularjs.js')
  const { angular } = window
  window.injector ??= angular.bootstrap(document.createElement('div'), [remintModule(angular, window.remint).name])
  const { status, data } = await window.injector.get('$http').get(window.api)
  return { status, ...data }
})

adapts('angular', '/rxjs.js', async () => {
  const { remintInterceptor } = await import('/sdk/angular.js')
  const { from, throwError, firstValueFrom, switchMap, catchError, tap } = window.rxjs
  // What Angular hands to an interceptor, as far as it looks at it: a request that can be cloned, and the rest of the chain.
  const request = (headers) => ({ urlWithParams: window.api, headers: new Headers(headers), clone: ({ setHeaders }) => request(setHeaders) })
  const chain = ({ urlWithParams, headers }) => from((async () => {
    const answer = await fetch(urlWithParams, { headers })
    const event = { status: answer.status, headers: answer.headers, body: await answer.json().catch(() => null) }
    if (!answer.ok) throw event
    return event
  })())
  const { status, body } = await firstValueFrom(remintInterceptor(window.remint, { from, throwError, switchMap, catchError, tap })(request(), chain))
  return { status, ...body }
})

test('react: under StrictMode one session, and the claims are rendered when they change', async () => {
  await page.addScriptTag({ url: '/react.js' })
  await page.addScriptTag({ url: '/react-dom.js' })
  await page.evaluate(async () => {
    const { React, ReactDOM } = window
    const { hooks } = await import('/sdk/react.js')
    const { useSession, useClaims, SignedIn } = hooks(window.remint, React)
    window.rendered = 0
    const Name = () => {
      window.rendered += 1
      return React.createElement('b', { id: 'name' }, `${useClaims(({ nickname }) => nickname)} ${useSession().status}`)
    }
    const app = React.createElement(React.StrictMode, null, React.createElement(SignedIn, { fallback: 'nobody' }, React.createElement(Name)))
    ReactDOM.createRoot(document.getElementById('root')).render(app)
  })
  await page.waitForFunction(() => /active/.test(document.getElementById('name')?.textContent))
  await renamed('countess')
  await page.evaluate(() => window.remint.refresh())
  await page.waitForFunction(() => document.getElementById('name')?.textContent === 'countess active')
  assert.ok((await page.evaluate(() => window.rendered)) < 12, 'and not again and again')
  await page.evaluate(async () => (await import('/sdk/account.js')).account(window.remint).logout())
  await page.waitForFunction(() => document.getElementById('root').textContent === 'nobody')
})

test('an API of somebody else is sent nothing, and its 401 starts nothing', async () => {
  await page.evaluate(async ({ user }) => (await import('/sdk/account.js')).account(window.remint).login(user), { user: server.user })
  const asked = []
  const foreign = await listening(createServer((request, answer) => {
    asked.push(request.headers.authorization ?? null)
    answer.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"', 'access-control-allow-origin': '*', 'access-control-expose-headers': '*' }).end()
  }))
  const status = await page.evaluate(async (url) => (await window.remint.fetch(url)).status, `${foreign.origin}/`)
  assert.deepEqual([status, asked], [401, [null]])
  assert.equal(await page.evaluate(() => window.remint.status), 'active')
  foreign.close()
})
