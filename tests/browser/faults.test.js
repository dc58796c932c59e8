// What goes wrong between a page and the server, in a real Chromium, and that nobody is signed out by it: the library as pages
// load it from one origin, a real Remint at another one of the same site, and between them a proxy that loses, delays and
// refuses. Each scene ends with the session's real end, which every tab must tell within a second.

import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { after, before, describe, test } from 'node:test'

import { launched } from './chromium.js'
import { Person, isRenewal, pages, pause, staged, until } from './person.js'
import { dev } from './server.js'

// The server's clock is real, so its lives are short. Speed 5 makes its deadline 1 s; with a client timeout of 1 s the window W
// of lost answers is 2 * (1 + 1) = 4 s, where it is 30 s by default. So "after 1 s" is within W here as there, "after 40 s" is
// 5 s, and "two hours" is longer than a token lives while the clock of the page says two hours.
const SPEED = 5
const WINDOW_MS = 4_000
const FORTY_SECONDS_MS = 5_000
const DAY_MS = 86_400_000

/** The clients, and when after the log-in a renewal brings something new. */
const KINDS = {
  rolling: { clientId: 'rolling', policy: 'rolling', lifeMs: 16_000, dueMs: 11_200, cli: ['--life', '16s'] },
  'refresh in memory': { clientId: 'body', policy: 'refresh', transport: 'memory', lifeMs: 12_000, dueMs: WINDOW_MS + 100, cli: ['--transport', 'body', '--life', '12s', '--client-timeout', '1s'] },
  'refresh in a cookie': { clientId: 'jar', policy: 'refresh', transport: 'cookie', lifeMs: 12_000, dueMs: WINDOW_MS + 100, cli: ['--transport', 'cookie', '--life', '12s', '--client-timeout', '1s'] },
  cookie: { clientId: 'cookie', policy: 'cookie', lifeMs: 12_000, dueMs: 0, cli: ['--life', '12s'] },
}

let browser, server, site, foreignSite, stage

before(async () => {
  // Playwright turns the back/forward cache off; people have it.
  ;[browser, server, site, foreignSite] = await Promise.all([launched({ ignoreDefaultArgs: ['--disable-back-forward-cache'] }), dev({ speed: SPEED }), pages(), pages()])
  stage = await staged(server, KINDS, site.origin)
})

after(async () => {
  await browser?.close()
  site?.close()
  foreignSite?.close()
  await server?.stop()
})

/** One after another: what starts a page and logs in is work, and most of a scene is waiting. */
let turn = Promise.resolve()
const inTurn = (work) => (turn = turn.catch(() => {}).then(work))

/** One scene for each kind of session: `play` gets where it plays, and `with` whom. */
function scene(name, play, kinds = Object.keys(KINDS)) {
  for (const kind of kinds) {
    test(`${name} (${kind})`, async (t) => {
      const people = []
      const where = { browser, stage, origin: site.origin, kind: KINDS[kind] }
      const cast = {
        signedIn: async (options, more) => people[people.push(await inTurn(() => Person.signedIn({ ...where, ...more }, options))) - 1],
        arrives: async (more) => people[people.push(await inTurn(() => Person.arrives({ ...where, ...more }))) - 1],
      }
      try {
        await play(cast, KINDS[kind], t)
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

    scene(`${count} tabs renew at once though the lock of their browser is orphaned`, async ({ signedIn }, { policy, clientId }) => {
      const person = await signedIn({ tabs: count })
      const orphan = await person.context.newPage()
      await orphan.goto(person.origin)
      await orphan.evaluate((name) => void navigator.locks.request(name, () => new Promise(() => {})), `remint1:${stage.issuer}:${clientId}`)
      const together = meeting(count)
      person.proxy.rule(({ path }) => isRenewal(path) && { before: together.comes() })
      // The timers of rolling tabs come by themselves, within a fifth of the life.
      if (policy !== 'rolling') await due(person).then(() => Promise.all(person.tabs.map((tab) => tab.refresh())))
      await until('all of them are at the server together', () => together.met, 16_000)
      person.proxy.rule()
      await alike(person)
      if (policy === 'refresh') await eachRenews(person)
      await person.staysAndEnds()
    })
  }

  /** All tabs have one token, or for the policy `cookie` the claims. */
  async function alike({ tabs }) {
    await until('all tabs have the same', async () => new Set(await Promise.all(tabs.map((tab) => tab.run(async () => `${JSON.stringify(window.remint.claims)} ${await window.remint.token()}`)))).size === 1)
  }

  /** The first and the last tab, one after the other, each when what it presents is rotated: neither has kept an old one. */
  async function eachRenews({ tabs, proxy }) {
    for (const tab of [tabs[0], tabs.at(-1)]) {
      await pause(WINDOW_MS + 100)
      const from = Date.now()
      await tab.refresh()
      assert.ok(proxy.seen.some((entry) => entry.at >= from && isRenewal(entry.path) && refreshToken(entry).text), 'it was rotated')
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
