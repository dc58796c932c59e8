// What goes wrong between a page and the server, in a real Chromium, and that nobody is signed out by it: the library as pages
// load it from one origin, a real Remint at another one of the same site, and between them a proxy that loses, delays and
// refuses. Each scene ends with the session's real end, which every tab must tell within a second.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, describe, test } from 'node:test'

import { api, listening } from './api.js'
import { launched } from './chromium.js'
import { Person, inTurn, isRenewal, pages, pause, staged, until } from './person.js'
import { dev } from './server.js'

// The server's clock is real, so its lives are short. Speed 5 makes its deadline 1 s; with a client timeout of 1 s the window W
// of lost answers is 2 * (1 + 1) = 4 s, where it is 30 s by default. So "after 1 s" is within W here as there, "after 40 s" is
// 5 s, and "two hours" is longer than a token lives while the clock of the page says two hours.
const SPEED = 5
const WINDOW_MS = 4_000
const FORTY_SECONDS_MS = 5_000
const DAY_MS = 86_400_000
/** Of the library, between two tries. */
const LONGEST_PAUSE_MS = 60_000
/** A scene that takes longer hangs. */
const PATIENCE_MS = 300_000

/** The clients, and when after the log-in a renewal brings something new. */
const KINDS = {
  rolling: { clientId: 'rolling', policy: 'rolling', lifeMs: 26_000, dueMs: 18_200, cli: ['--life', '26s'] },
  'refresh in memory': { clientId: 'body', policy: 'refresh', transport: 'memory', lifeMs: 12_000, dueMs: WINDOW_MS + 100, cli: ['--transport', 'body', '--life', '12s', '--client-timeout', '1s'] },
  'refresh in a cookie': { clientId: 'jar', policy: 'refresh', transport: 'cookie', lifeMs: 12_000, dueMs: WINDOW_MS + 100, cli: ['--transport', 'cookie', '--life', '12s', '--client-timeout', '1s'] },
  cookie: { clientId: 'cookie', policy: 'cookie', lifeMs: 12_000, dueMs: 0, cli: ['--life', '12s'] },
}

/** Nothing is due under it, so only some scenes are its own. */
const FIXED = { fixed: { clientId: 'fixed', policy: 'fixed', lifeMs: 300_000, dueMs: 0, cli: ['--life', '5m'] } }

/** For whoever takes turns: their tokens live so long that no timer comes in between. */
const UNHURRIED = Object.fromEntries(Object.entries(KINDS).filter(([, { policy }]) => policy === 'refresh').map(([name, kind]) =>
  [name, { ...kind, clientId: `${kind.clientId}-unhurried`, cli: kind.cli.map((word) => (word === '12s' ? '5m' : word)) }]))

let browser, server, site, foreignSite, stage, shop

before(async () => {
  // Playwright turns the back/forward cache off; people have it.
  ;[browser, server, site, foreignSite] = await Promise.all([launched({ ignoreDefaultArgs: ['--disable-back-forward-cache'] }), dev({ speed: SPEED }), pages(), pages()])
  stage = await staged(server, [...Object.values(KINDS), ...Object.values(UNHURRIED), ...Object.values(FIXED)], site.origin)
  const { guard, handler } = api(server, site.origin, { rolling: true })
  shop = { guard, ...(await listening(createServer(handler))) }
  await guard.verifier.ready()
})

after(async () => {
  await browser?.close()
  site?.close()
  foreignSite?.close()
  shop?.guard.verifier.close()
  shop?.close()
  await server?.stop()
})

/** One scene for each kind of session: `play` gets where it plays, and `with` whom. */
function scene(name, play, kinds = KINDS) {
  for (const [called, kind] of Object.entries(kinds)) {
    test(`${name} (${called})`, { timeout: PATIENCE_MS }, async () => {
      const people = []
      const where = { browser, stage, origin: site.origin, kind }
      const cast = {
        signedIn: async (options, more) => people[people.push(await inTurn(() => Person.signedIn({ ...where, ...more }, options))) - 1],
        arrives: async (more) => people[people.push(await inTurn(() => Person.arrives({ ...where, ...more }))) - 1],
      }
      try {
        await play(cast, kind)
      } finally {
        await Promise.all(people.map((person) => person.leaves()))
      }
    })
  }
}

/** Waits until a renewal brings something new. */
const due = ({ since, kind }) => pause(Math.max(0, since + kind.dueMs - Date.now()))

/** The refresh token in an answer, and its place in its line: generation and branch. */
function refreshToken({ body, cookies }) {
  const [text, generation, branch] = /rt1\.\d+\.[\w-]+\.(\d+)\.(\d+)\.[\w-]+/.exec(`${body} ${cookies}`) ?? []
  return { text, generation: Number(generation), branch: Number(branch) }
}

/** Whether an answer brings a new token, under `refresh` the next refresh token. */
const brings = ({ policy }, answer) => answer.status === 200 && (policy !== 'refresh' || !!refreshToken(answer).text)

describe('faults', { concurrency: 12 }, () => {
  for (const count of [2, 5]) {
    scene(`${count} tabs renew at once`, async ({ signedIn }, { policy }) => {
      const person = await signedIn({ tabs: count })
      await due(person)
      await Promise.all(person.tabs.map((tab) => tab.refresh()))
      await alike(person)
      if (policy === 'refresh') await eachRenews(person)
      await person.staysAndEnds()
    })
  }

  scene('5 tabs renew at once though the lock of their browser is orphaned', async ({ signedIn }, { policy, clientId }) => {
    const person = await signedIn({ tabs: 5 })
    const orphan = await person.context.newPage()
    await orphan.goto(person.origin)
    await orphan.evaluate((name) => void navigator.locks.request(name, () => new Promise(() => {})), `remint1:${stage.issuer}:${clientId}`)
    const together = meeting(5)
    person.proxy.rule(({ path }) => isRenewal(path) && { before: together.comes() })
    // The timers of rolling tabs come by themselves, within a fifth of the life.
    if (policy !== 'rolling') {
      await due(person)
      for (const tab of person.tabs) tab.refresh().catch(() => {})
    }
    await until('all of them are at the server together', () => together.met, 26_000)
    person.proxy.rule()
    await alike(person)
    if (policy === 'refresh') await eachRenews(person)
    await person.staysAndEnds()
  })

  const LOST = {
    'the answer is lost, and the page asks again after 1 s': { lose: 'all' },
    'the answer breaks off in its middle, and the page asks again after 1 s': { lose: 'rest' },
    'the answer is lost, and for 40 s there is no network': { lose: 'all', meanwhile: noNetwork },
  }
  for (const [name, { lose, meanwhile = async () => Date.now() }] of Object.entries(LOST)) {
    scene(name, async ({ signedIn }, { policy }) => {
      const person = await signedIn()
      const lost = await losesOne(person, lose)
      const from = await meanwhile(person)
      person.proxy.rule()
      const answered = await renews(person, from)
      if (policy === 'refresh') {
        const [before, now] = [lost, answered].map(refreshToken)
        const took = lose === 'rest' && person.kind.transport === 'cookie'
        if (took) assert.ok(!now.text, 'the browser had the new one from the headers')
        else if (meanwhile === noNetwork) assert.deepEqual([now.generation, now.branch], [before.generation, before.branch + 1], 'another branch after the window')
        else assert.ok(now.text === before.text, 'within the window the same once more')
      }
      // What broke off in its middle has a status, and shows as `failed`.
      assert.ok((await person.tabs[0].timeline()).some(({ outcome }) => outcome === (lose === 'rest' ? 'failed' : 'lost')))
      await person.staysAndEnds()
    })
  }

  scene('the answer is lost, and the tab sleeps for two hours', async ({ signedIn }, kind) => {
    const person = await signedIn({}, { browser: null })
    const [tab] = person.tabs
    await losesOne(person, 'all')
    await tab.freezes()
    person.proxy.rule()
    await pause(kind.lifeMs)
    await tab.run((ms) => { window.skewMs += ms }, 2 * 3_600_000)
    let woken
    await inTurn(async () => {
      woken = Date.now()
      await tab.thaws()
      // Under `rolling` the token is the only proof: when it has run out the session is really over.
      if (kind.policy === 'rolling') await person.endsWithin(1000, woken, 'expired')
    })
    if (kind.policy === 'rolling') return
    await renews(person, woken)
    await person.staysAndEnds()
  })

  /** From now on answers to renewals get lost, those that bring something new; until one was. */
  async function losesOne(person, lose) {
    const [tab] = person.tabs
    await due(person)
    const from = Date.now()
    person.proxy.rule(({ path }) => isRenewal(path) && { lose, when: (answer) => brings(person.kind, answer) })
    tab.refresh().catch(() => {}) // the tab may be closed before it is over
    const lost = await until('an answer is lost', () => person.renewals(from).find((entry) => entry.lost), 26_000)
    await until('the page knows', async () => (await tab.told('offline')).length)
    return lost
  }

  /** In a tunnel; answers when it ends. The page may ask before it is known here that it is online. */
  async function noNetwork({ proxy, context }) {
    await context.setOffline(true)
    proxy.away()
    await pause(FORTY_SECONDS_MS)
    const over = Date.now()
    proxy.rule()
    await context.setOffline(false)
    return over
  }

  /** Until the page has asked again; answers the first answer that it got, be it to a request for the account token. */
  async function renews({ tabs: [tab], proxy }, from, limitMs = 15_000) {
    await tab.active(limitMs)
    return proxy.seen.find(({ path, status, at }) => at >= from && isRenewal(path) && status === 200) ?? assert.fail('no renewal')
  }

  for (const skewMs of [-DAY_MS, DAY_MS]) {
    scene(`the clock of the page is a day ${skewMs < 0 ? 'slow' : 'fast'}, and is then set to the other side`, async ({ signedIn }, kind) => {
      const person = await signedIn({ query: { skewMs } })
      const [tab] = person.tabs
      assert.equal(await tab.run(() => Math.round((Date.now() - window.now()) / 1000)), skewMs / 1000, 'it is wrong')
      if (kind.policy !== 'cookie') {
        const { at } = await until('a renewal by timer, that is over', () => person.renewals(person.since).find(({ over }) => over), kind.lifeMs)
        // Half of the life before its end, at the earliest; the answer says when that is, in whole seconds.
        const { at: asked, body } = person.proxy.seen.findLast(({ method, path }) => method === 'POST' && path === '/session')
        const earliest = 1000 * JSON.parse(body).expires_in - 0.5 * kind.lifeMs
        assert.ok(earliest > 0.4 * kind.lifeMs && at - asked > earliest && at - person.since < 0.8 * kind.lifeMs, `at its time, not after ${at - asked} ms`)
      }
      const from = Date.now() // before it: the library may have noticed by the time that it is known here
      await tab.run((ms) => { window.skewMs = ms }, -skewMs)
      await tab.run(() => window.remint.token())
      await tab.refresh()
      await pause(3000)
      const tries = person.renewals(from).length
      assert.ok(tries > 0 && tries < 8, `no storm: ${tries} renewals in 3 s`)
      assert.deepEqual(await tab.told('offline'), [])
      await person.staysAndEnds()
    })
  }

  scene('offline while a renewal is due, and back', async ({ signedIn }, { policy }) => {
    const person = await signedIn()
    const [tab] = person.tabs
    await person.context.setOffline(true)
    person.proxy.away()
    if (policy === 'cookie') tab.refresh()
    await until('the page knows', async () => (await tab.told('offline')).length, 20_000)
    assert.deepEqual(await tab.run(() => [window.remint.status, window.remint.claims.sid]), ['offline', person.sid])
    person.proxy.rule()
    await person.context.setOffline(false)
    await tab.active(1500)
    await person.staysAndEnds()
  })

  scene('the session ends while the page is offline, which says so when it is back', async ({ signedIn }, { policy }) => {
    const person = await signedIn()
    await person.context.setOffline(true)
    person.proxy.away()
    await stage.ends(person.sid)
    // No renewal is due yet, and the stream has tried so often that its next try is some seconds away.
    await pause(policy === 'refresh' ? 5500 : 6500)
    assert.deepEqual(await person.tabs[0].told('ended'), [])
    person.proxy.rule()
    await inTurn(async () => {
      const back = Date.now()
      await person.context.setOffline(false)
      await person.endsWithin(1000, back, 'revoked')
    })
  }, { ...KINDS, ...FIXED })

  /** The person works: the page calls an API that hands out the next token, twice a second. */
  async function works({ tabs: [tab] }, ms) {
    const statuses = await tab.run(async ({ api, ms }) => {
      const got = []
      for (const until = window.now() + ms; window.now() < until; await new Promise((go) => setTimeout(go, 500))) got.push((await window.remint.fetch(api)).status)
      return [...new Set(got)]
    }, { api: `${shop.origin}/me`, ms })
    assert.deepEqual(statuses, [200])
    assert.ok((await tab.told('refreshed')).some(({ by }) => by === 'response-header'), 'a token came from the API')
  }

  scene('an API hands out the tokens, longer than any of them lives', async ({ signedIn }, kind) => {
    const person = await signedIn({}, { apis: [shop.origin] })
    const [tab] = person.tabs
    await works(person, 1.6 * kind.lifeMs)
    const from = Date.now()
    await works(person, kind.lifeMs)
    const renewals = person.renewals(from).length
    assert.ok(renewals <= 6, `no storm: ${renewals} renewals in a life`)
    assert.equal(await tab.run(() => window.account.session().then(({ sid }) => sid)), person.sid)
    await tab.run(() => dispatchEvent(new Event('online'))) // the stream is opened anew
    await until('it is open again', () => person.proxy.seen.some(({ path, at, status, over }) => path === '/session/events' && at > from && status === 200 && !over))
    await person.staysAndEnds()
  }, { rolling: KINDS.rolling })

  scene('somebody signs out for whom an API has handed out tokens, longer than any of them lives', async ({ signedIn }, kind) => {
    const person = await signedIn({}, { apis: [shop.origin] })
    await works(person, 1.3 * kind.lifeMs)
    assert.ok(await stage.lives(person.sid))
    await person.tabs[0].run(() => window.account.logout())
    assert.ok(!(await stage.lives(person.sid)), 'the server says so too')
  }, { rolling: KINDS.rolling })

  scene('somebody signs out whose page has reached nothing but such an API', async ({ signedIn }, kind) => {
    const person = await signedIn({}, { apis: [shop.origin] })
    person.proxy.rule(({ path }) => isRenewal(path) && { answer: { status: 503, headers: { 'content-type': 'application/json' }, body: '{}' } })
    await works(person, 1.1 * kind.lifeMs)
    assert.ok(await stage.lives(person.sid))
    await person.tabs[0].run(() => window.account.logout())
    assert.ok(person.proxy.seen.some(({ path, status }) => path === '/oauth2/revoke' && status === 200), 'by the access token')
    assert.ok(!(await stage.lives(person.sid)), 'the server says so too')
  }, { rolling: KINDS.rolling })

  scene('a page is opened from history, its token long over', async ({ signedIn }, kind) => {
    const person = await signedIn()
    await goesAndReturns(person, () => pause(kind.policy === 'rolling' ? 0.75 * kind.lifeMs : kind.lifeMs))
    await person.staysAndEnds()
  })

  scene('the session ends while the page is in history', async ({ signedIn }) => {
    const person = await signedIn()
    await inTurn(async () => person.endsWithin(1000, await goesAndReturns(person, () => stage.ends(person.sid)), 'revoked'))
  })

  /** The person follows a link, and goes back to the page, which was kept as it was; answers when that was. */
  async function goesAndReturns({ tabs: [{ page }], origin }, meanwhile) {
    const at = (what) => page.evaluate(what)
    await page.goto(`${origin}/elsewhere`)
    await meanwhile()
    const back = Date.now()
    await at(() => history.back())
    await until('the page is back', () => at(() => window.shown.length === 2).catch(() => false))
    assert.deepEqual(await at(() => window.shown), [false, true], 'from the back/forward cache')
    return back
  }

  for (const held of ['before', 'after']) {
    scene(`a tab signs out while another one's ${held === 'before' ? 'renewal' : 'new token'} is on its way`, async ({ signedIn }) => {
      const person = await signedIn({ tabs: 2 })
      const [first, second] = person.tabs
      await due(person)
      const late = meeting(2)
      let slow
      person.proxy.rule((entry) => isRenewal(entry.path) && !slow && { [held]: late.comes(slow = entry) })
      second.refresh()
      await until('it is on its way', () => slow && (held === 'before' || slow.status))
      let at
      await inTurn(async () => {
        at = Date.now()
        await first.run(() => window.account.logout())
        await person.endsWithin(1000, at, 'logout')
      })
      late.comes()
      await until('it arrives', () => slow.over)
      await pause(300)
      await person.endsWithin(1000, at, 'logout') // as before: the answer revived nothing
      assert.ok(!(await stage.lives(person.sid)))
      await second.page.reload()
      assert.equal(await second.run(() => window.remint.ready), null)
    })
  }

  for (const signal of ['SIGTERM', 'SIGKILL']) {
    test(`the server is restarted by ${signal} after an answer that was lost`, { timeout: PATIENCE_MS }, async () => {
      const own = await dev({ speed: SPEED })
      const there = await staged(own, Object.values(KINDS), site.origin)
      const people = []
      try {
        for (const kind of Object.values(KINDS)) people.push(await inTurn(() => Person.signedIn({ browser, stage: there, origin: site.origin, kind })))
        await Promise.all(people.map((person) => losesOne(person, 'all')))
        for (const { proxy } of people) proxy.away()
        await own.restart(signal)
        const from = Date.now()
        for (const { proxy } of people) proxy.rule()
        await Promise.all(people.map((person) => renews(person, from, LONGEST_PAUSE_MS))) // in vain they have tried for half a minute
        await pause(WINDOW_MS + 100)
        for (const { tabs, kind } of people) if (kind.policy !== 'rolling') await tabs[0].refresh()
        await Promise.all(people.map((person) => person.staysAndEnds()))
      } finally {
        await Promise.all(people.map((person) => person.leaves()))
        await own.stop()
      }
    })
  }

  const STORMS = [
    { status: 429, headers: { 'content-type': 'application/json', 'retry-after': '2' }, body: '{"error":"too_many_requests"}', leastMs: 2000 },
    { status: 503, headers: { 'content-type': 'application/json' }, body: '{"error":"temporarily_unavailable"}', leastMs: 500 },
    { status: 502, headers: { 'content-type': 'text/html' }, body: '<h1>Bad Gateway</h1>', leastMs: 500 },
    { status: 200, headers: { 'content-type': 'text/html' }, body: '<h1>Welcome to the hotel</h1>', leastMs: 500 },
  ]
  scene('storms of 429, 503, 502 and of a portal that says 200', async ({ signedIn }) => {
    const person = await signedIn()
    const [tab] = person.tabs
    for (const { leastMs, ...answer } of STORMS) {
      person.proxy.storms(new URL(stage.issuer).port, answer)
      const from = Date.now()
      tab.refresh().catch(() => {})
      await until('the second try', () => person.renewals(from).length > 1)
      const [first, second] = person.renewals(from)
      assert.ok(second.at - first.at >= leastMs, `${answer.status}: again after ${second.at - first.at} ms`)
      assert.equal(await tab.status(), 'offline')
      person.proxy.rule()
      await tab.active()
    }
    await person.staysAndEnds()
  })

  scene("a 401 of somebody else's API, which says that the session has ended", async ({ arrives, signedIn }) => {
    const asked = []
    const api = createServer(({ method, url, headers }, answer) => {
      if (method !== 'OPTIONS') asked.push({ url, token: headers.authorization })
      const open = { 'access-control-allow-origin': site.origin, 'access-control-allow-headers': 'authorization', 'access-control-expose-headers': 'www-authenticate' }
      answer.writeHead(method === 'OPTIONS' ? 204 : 401, { ...open, 'www-authenticate': 'Bearer error="invalid_token", error_description="session ended: revoked"' }).end()
    })
    await new Promise((up) => api.listen(0, '127.0.0.1', up))
    const { port } = api.address()
    try {
      const person = await signedIn({}, { apis: [`http://localhost:${port}/named`] })
      const [tab] = person.tabs
      const calls = async (path) => {
        const from = Date.now()
        asked.length = 0
        const call = (url) => window.remint.fetch(url).then(({ status }) => status)
        for (let one = 0; one < 3; one++) assert.equal(await tab.run(call, `http://localhost:${port}${path}`), 401)
        return [asked.length, person.renewals(from).length]
      }
      assert.deepEqual(await calls('/foreign'), [3, 0])
      assert.ok(asked.every(({ token }) => !token), 'it is sent nothing')
      const [requests, renewals] = await calls('/named')
      assert.ok(requests >= 3 && requests <= 6 && renewals <= 3, `${requests} requests and ${renewals} renewals for 3 calls`)
      await person.staysAndEnds()
    } finally {
      api.closeAllConnections()
      api.close()
    }
  })

  scene('React mounts twice, and each mount makes a session', async ({ signedIn }) => {
    const person = await signedIn()
    const second = await person.blank()
    for (const url of ['/react.js', '/react-dom.js']) await second.page.addScriptTag({ url })
    await second.run(async (options) => {
      const { React, ReactDOM } = window
      const [{ createRemint }, { hooks }] = await Promise.all([import('/sdk/index.js'), import('/sdk/react.js')])
      window.made = []
      const Session = ({ remint }) => React.createElement('b', null, hooks(remint, React).useSession().status)
      const App = () => {
        const [remint, set] = React.useState(null)
        React.useEffect(() => {
          const made = createRemint(options)
          window.made.push(made)
          window.started(window.remint = made)
          set(made)
          return made.dispose
        }, [])
        return remint && React.createElement(Session, { remint })
      }
      ReactDOM.createRoot(document.getElementById('root')).render(React.createElement(React.StrictMode, null, React.createElement(App)))
    }, person.options)
    await until('the page shows it', () => second.run(() => document.getElementById('root').textContent === 'active'))
    assert.equal(await second.run(() => window.made.length), 2)
    await person.staysAndEnds()
    await until('the page shows it', () => second.run(() => document.getElementById('root').textContent === 'none'))
  })

  scene('the page and the server have different origins of one site, and a third origin gets nothing', async ({ signedIn }, { policy, transport }) => {
    const person = await signedIn()
    await due(person)
    const from = Date.now()
    await person.tabs[0].refresh()
    const [{ headers }] = person.renewals(from)
    assert.deepEqual([headers.origin, headers['sec-fetch-site']], [site.origin, 'same-site'])
    if (policy === 'cookie' || transport === 'cookie') assert.match(headers.cookie, /__Host-remint-/)
    const third = await person.blank(foreignSite.origin)
    await third.run((options) => import('/sdk/index.js').then(({ createRemint }) => { window.started(window.remint = createRemint(options)) }), person.options)
    await pause(1000)
    assert.equal(await third.run(() => window.remint.claims), null)
    assert.deepEqual(await third.told('ended'), [])
    person.tabs.pop()
    await person.staysAndEnds()
  })

  scene('a stolen refresh token is used in a second profile: the family ends, and both see why', async ({ signedIn, arrives }, { transport }) => {
    const victim = await signedIn()
    const thief = await arrives()
    if (transport === 'cookie') {
      await thief.context.addCookies(await victim.context.cookies(stage.issuer))
      await inTurn(() => thief.opens())
    } else {
      const { body } = victim.proxy.seen.find(({ method, path }) => method === 'POST' && path === '/session')
      await thief.blank().then((tab) => tab.run(steal, { options: thief.options, stolen: JSON.parse(body) }))
    }
    await thief.tabs[0].active()
    assert.equal(await thief.tabs[0].run(() => window.remint.claims.sid), victim.sid)
    // Each in its turn, when what it presents is rotated: the thief is first, and the fourth turn is one too many.
    let from
    for (const { tabs: [tab] } of [thief, victim, thief, victim]) {
      await pause(WINDOW_MS + 100)
      if (!(await stage.lives(victim.sid))) break
      await inTurn(async () => {
        from = Date.now()
        await tab.refresh()
        await pause(500) // whoever else hears of an end is heard in quiet
      })
    }
    assert.ok(!(await stage.lives(victim.sid)), 'the family ended')
    for (const person of [victim, thief]) await person.endsWithin(1000, from, 'theft')
  }, UNHURRIED)

  /** In the page: a session of what was copied. */
  async function steal({ options, stolen: { access_token: text, refresh_token: refresh } }) {
    const { createRemint } = await import('/sdk/index.js')
    const claims = JSON.parse(atob(text.split('.')[1].replace(/-/g, '+').replace(/_/g, '/')))
    const life = 1000 * (claims.exp - claims.iat)
    const now = Date.now()
    const grant = { now, access: { text, claims, life, ends: now + life }, refresh, refreshIat: claims.iat }
    window.started(window.remint = createRemint({ ...options, keeper: { load: () => grant, save: () => {} } }))
    await window.remint.ready
  }

  /** All tabs have one token: its claims, `jti` among them. */
  async function alike({ tabs }) {
    await until('all tabs have the same', async () => new Set(await Promise.all(tabs.map((tab) => tab.run(() => JSON.stringify(window.remint.claims))))).size === 1)
  }

  /** The first and the last tab, one after the other, until what it presents is rotated: neither has kept an old one. */
  async function eachRenews({ tabs, proxy }) {
    for (const tab of [tabs[0], tabs.at(-1)]) {
      const from = Date.now()
      const rotated = () => proxy.seen.some((entry) => entry.at >= from && isRenewal(entry.path) && refreshToken(entry).text)
      await until('it is rotated', () => pause(WINDOW_MS + 100).then(() => tab.refresh()).then(rotated), 6 * WINDOW_MS)
    }
    await alike({ tabs })
  }
})

/** Where so many must have come before any goes on. */
function meeting(count) {
  let waiting = 0
  let open
  const opened = new Promise((resolve) => { open = resolve })
  return {
    comes() {
      if (++waiting >= count) open()
      return opened
    },
    get met() {
      return waiting >= count
    },
  }
}
