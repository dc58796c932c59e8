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

let server, site, shop, foreign, browser, page, guard, seen

/** What an API may do to a request, beside answering: refuse it whatever it shows, or send it elsewhere. */
const MOODS = {
  '/refuses': (answer) => answer.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end('{}'),
  '/redirects': (answer) => answer.writeHead(302, { location: `${foreign.origin}/landed` }).end(),
}

before(async () => {
  server = await dev()
  browser = await launched()
  site = await pages()
  const made = api(server, site.origin)
  ;({ guard, seen } = made)
  shop = await listening(createServer((request, answer) => {
    const mood = MOODS[request.url]
    if (!mood) return made.handler(request, answer)
    allows(answer, site.origin)
    if (request.method === 'OPTIONS') return answer.end()
    seen.push(request.headers.authorization)
    mood(answer)
  }))
  foreign = await listening(createServer(elsewhere))
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
  for (const one of [site, shop, foreign]) one?.close()
  await server?.stop()
})

/** Lets a page read all of an answer. */
function allows(answer, origin) {
  for (const [name, value] of Object.entries({ origin, headers: 'authorization', methods: 'GET' })) answer.setHeader(`access-control-allow-${name}`, value)
  answer.setHeader('access-control-expose-headers', 'www-authenticate, remint-token, remint-renew')
}

/** An API of somebody else: what it was shown, and an answer that would start much if it were believed. */
const shown = []
function elsewhere(request, answer) {
  allows(answer, '*')
  if (request.method === 'OPTIONS') return answer.end()
  shown.push(request.headers.authorization ?? null)
  answer.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"', 'remint-renew': '999' }).end('{}')
}

/** In the page: a session that hears of nothing by itself. */
async function signIn({ issuer, api, user }) {
  const [{ createRemint }, { account }] = await Promise.all([import('/sdk/index.js'), import('/sdk/account.js')])
  const quiet = (input, init) => {
    if (/session\/events/.test(input?.url ?? input)) return new Promise(() => {})
    if (/oauth2\/token/.test(input?.url ?? input)) window.asked += 1 // how often it has renewed
    return fetch(input, init)
  }
  const host = {
    fetch: quiet, AbortSignal, Date, Math, document, location, performance, setTimeout: setTimeout.bind(window), clearTimeout: clearTimeout.bind(window),
    addEventListener: addEventListener.bind(window), removeEventListener: removeEventListener.bind(window),
  }
  window.api = `${api}/me`
  window.asked = 0
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

/** What an adapter does with a request of a session whose record has changed, and with APIs that are not to be believed. */
function adapts(name, script, ask, { tellsRedirects = true } = {}) {
  /** The status that the page is told, of a request to a URL. */
  const status = (url) => page.evaluate(async ([ask, url]) => {
    const was = window.api
    window.api = url
    try {
      return (await (0, eval)(`(${ask})`)()).status
    } catch (error) {
      return error.status ?? error.response?.status
    } finally {
      window.api = was
    }
  }, [`${ask}`, url])
  /** Runs it, and answers how often the session has renewed meanwhile. */
  const renewals = async (work) => {
    const before = await page.evaluate(() => window.asked)
    await work()
    await page.evaluate(() => new Promise((go) => setTimeout(go, 200)))
    return (await page.evaluate(() => window.asked)) - before
  }

  test(`${name}: a record that changed`, async () => {
    if (script) await page.addScriptTag({ url: script })
    await renamed(`${name} one`)
    seen.length = 0
    assert.deepEqual(await page.evaluate(ask), { status: 200, nickname: `${name} one` })
    assert.deepEqual(seen, [401, 200], 'refused once, sent once more')
    seen.length = 0
    assert.deepEqual(await page.evaluate(ask), { status: 200, nickname: `${name} one` })
    assert.deepEqual(seen, [200])
  })

  test(`${name}: a refusal that lasts is the answer, after one more try`, async () => {
    await renamed(`${name} two`) // so that the renewal brings another token, within a quantum too: that one is tried
    seen.length = 0
    const renewed = await renewals(async () => assert.equal(await status(`${shop.origin}/refuses`), 401))
    assert.equal(seen.length, 2, 'refused once, sent once more')
    assert.ok(seen.every((shown) => /^Bearer ./.test(shown)))
    assert.notEqual(seen[0], seen[1])
    assert.equal(renewed, 1)
    assert.equal(await page.evaluate(() => window.remint.status), 'active')
  })

  test(`${name}: an API that is not named gets no token, and starts nothing`, async () => {
    shown.length = 0
    const renewed = await renewals(async () => assert.equal(await status(`${foreign.origin}/me`), 401))
    assert.deepEqual([shown, renewed], [[null], 0])
  })

  test(`${name}: an answer that a redirect brought from elsewhere starts nothing`, { skip: !tellsRedirects && 'nothing says where it came from' }, async () => {
    shown.length = 0
    const renewed = await renewals(async () => assert.equal(await status(`${shop.origin}/redirects`), 401))
    assert.deepEqual([shown.length, renewed], [1, 0])
    assert.equal(await page.evaluate(() => window.remint.status), 'active')
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
}, { tellsRedirects: false })

adapts('angular', '/rxjs.js', async () => {
  const { remintInterceptor } = await import('/sdk/angular.js')
  const { from, throwError, firstValueFrom, switchMap, catchError, tap } = window.rxjs
  // What Angular hands to an interceptor, as far as it looks at it: a request that can be cloned, and the rest of the chain.
  const request = (headers) => ({ urlWithParams: window.api, headers: new Headers(headers), clone: ({ setHeaders }) => request(setHeaders) })
  const chain = ({ urlWithParams, headers }) => from((async () => {
    const answer = await fetch(urlWithParams, { headers })
    const event = { status: answer.status, url: answer.url, headers: answer.headers, body: await answer.json().catch(() => null) }
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
