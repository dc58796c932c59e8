// The application of `examples/koa-angularjs` in a real Chromium, started as `npm start` starts it: both kinds of users, all
// four policies, on a phone and on a desk, by keyboard.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { remintDev } from '../../examples/koa-angularjs/dev.js'
import { launched, opened } from './chromium.js'
import { binary, dev } from './server.js'

const EXAMPLE = fileURLToPath(new URL('../../examples/koa-angularjs', import.meta.url))
const POLICIES = ['rolling', 'fixed', 'refresh', 'cookie']
const NUMBER = '+1 202 555 0123'
const PHONE = { viewport: { width: 390, height: 844 }, colorScheme: 'dark' }
const DESK = { viewport: { width: 1280, height: 900 }, colorScheme: 'light' }
/** Longer than anything takes; and shorter than a renewal, which would find out too that a session has ended. */
const [PATIENCE, AT_ONCE] = [60_000, 5_000]
/** Lives in seconds, short enough to see a session go on. Not by `--speed`, which shortens the server's deadline too: a busy
 *  machine does not hash a password in that. */
const LIVES = {
  rolling: { kind: 'rolling', life: 20, absolute: 3600 }, refresh: { kind: 'refresh', life: 30, client_timeout: 2, idle: 1800, absolute: 3600 },
  cookie: { kind: 'cookie', life: 10, idle: 1800, absolute: 3600 }, fixed: { kind: 'fixed', life: 1800 },
}

let browser, server, data, admin
before(async () => {
  [browser, server] = await Promise.all([launched(), dev()])
  data = join(server.folder, 'remint-dev')
  admin = (await remintDev(data)).ask
})
after(async () => {
  await browser?.close()
  await server?.stop()
})

/** What `npm start -- ...options` runs; resolves with its first lines once it serves, or with what it said instead. */
async function started(t, options, env = {}) {
  const [program, script] = JSON.parse(await readFile(join(EXAMPLE, 'package.json'), 'utf8')).scripts.start.split(' ')
  const child = spawn(program, [script, '--port', '0', ...options], { cwd: EXAMPLE, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  let said = ''
  child.stderr.on('data', (bytes) => { said += bytes })
  const lines = createInterface({ input: child.stdout })
  await Promise.race([
    new Promise((up) => lines.on('line', (line) => { said += `${line}\n`; if (/^ {2}others/.test(line)) up() })),
    ended,
  ])
  const stop = () => (child.kill('SIGTERM'), ended)
  t.after(stop)
  return { said, stop, origin: /at (\S+) \(policy/.exec(said)?.[1], remint: /Remint +(\S+)/.exec(said)?.[1] }
}

/** The newest code that was sent to a phone. */
async function code(inbox) {
  const json = /\/dev\/inbox$/.test(inbox)
  const answer = await fetch(json ? `${inbox}.json` : inbox)
  return json ? (await answer.json()).messages[0].code : /code is (\d{6})/.exec(await answer.text())[1]
}

/** The page in a browser profile of its own, and what a person does there by keyboard. */
async function visited(origin, size) {
  const { page, wrong, close } = await opened(browser, size)
  page.setDefaultTimeout(PATIENCE)
  await page.goto(origin)
  const inbox = (await (await fetch(`${origin}/config.json`)).json()).inbox
  const line = (role, text) => page.locator(`[role="${role}"]`, { hasText: text })
  const busy = line('alert', /cannot do this just now|cannot be reached/)
  /** Does something until what it leads to is there: a busy machine may not hash a password in time. */
  const until = async (there, act) => {
    do {
      await act()
      await there.or(busy).first().waitFor().catch(async ({ message }) => { throw new Error(`${message}, but:\n${await page.innerText('main')}`) })
    } while (!(await there.isVisible()))
  }
  /** Types into a field and sends the form, until what that leads to is there. */
  const send = async (id, text, there) => {
    await page.waitForFunction((id) => document.activeElement?.id === id, id)
    await until(there, async () => {
      await page.locator(`#${id}`).focus()
      await page.keyboard.press('ControlOrMeta+a')
      await page.keyboard.type(text)
      await page.keyboard.press('Enter')
    })
  }
  return {
    page, wrong, close, line, until, send,
    said: (role, text) => line(role, text).waitFor(),
    cell: (claim, column) => page.locator(`tr[data-claim="${claim}"] .${column}`),
    in: () => page.locator('#reserve').waitFor(),
    out: () => page.locator('#identifier').waitFor(),
    code: () => code(inbox),
    logIn: async ({ identifier, password }, there = page.locator('#reserve')) => {
      await page.locator('#identifier').focus()
      await page.keyboard.press('ControlOrMeta+a')
      await page.keyboard.type(identifier)
      await page.keyboard.press('Tab')
      await send('password', password, there)
    },
  }
}

/** Until a claim reads so, or otherwise than so. */
const reads = (here, claim, column, text) => here.cell(claim, column).filter({ hasText: text }).waitFor()
const value = (here, claim, column = 'here') => here.cell(claim, column).innerText()

/** Sets the policy of a client, as an operator does. */
async function lives(client, policy) {
  const set = await admin('PATCH', `/clients/${client}`, { policy })
  assert.equal(set.status, 200, JSON.stringify(set.body))
}

/** Somebody who can log in, with nothing in the record that an earlier test put there. */
async function person(users, policy) {
  if (users === 'own') return { identifier: 'grace@example.test', password: 'nanoseconds of wire 1952', nickname: 'grace' }
  const one = { identifier: `${policy}@example.test`, password: 'correct horse battery', nickname: `person of ${policy}` }
  const made = await admin('POST', '/users', { identifiers: [one.identifier], password: one.password, attributes: { nickname: one.nickname } })
  assert.ok(made.status < 300, JSON.stringify(made.body))
  return one
}

/** The number is asked for by the API, verified, and in token, page and answer of the API; nobody logs in for it. */
async function verified(here) {
  const [sid, proved] = [await value(here, 'sid'), await value(here, 'auth_time', 'api')]
  const [asked, ticket, wrong] = ['#number', '.ticket', '#code'].map((at) => here.page.locator(at))
  await here.until(asked, () => here.page.locator('#reserve').press('Enter'))
  await here.send('number', '12', here.line('alert', 'Write it with the code of its country'))
  await here.page.locator('#number').focus()
  await here.send('number', NUMBER, wrong)
  const right = await here.code()
  await here.send('code', right === '000000' ? '000001' : '000000', here.line('alert', 'That is not the code that was sent'))
  await here.send('code', right, here.page.locator('#reserve'))
  await here.until(ticket, async () => (await ticket.isVisible()) || here.page.click('#reserve'))
  assert.match(await ticket.innerText(), /\*\*\*23/)
  for (const column of ['here', 'api']) await reads(here, 'phone_number', column, '+12025550123')
  await here.said('status', 'without a new log-in: phone_number')
  assert.deepEqual([await value(here, 'sid'), await value(here, 'auth_time', 'api')], [sid, proved])
}

/** The session goes on by use, as its policy has it: the API sees a token of the same session that lives longer, or never does. */
async function goesOn(here, policy) {
  const [sid, before] = [await value(here, 'sid'), await value(here, 'exp', 'api')]
  const newer = async () => {
    await here.page.click('#call')
    return (await value(here, 'exp', 'api')) !== before
  }
  if (policy === 'fixed') assert.equal(await newer(), false)
  else while (!(await newer())) await new Promise((soon) => setTimeout(soon, 200))
  assert.equal(await value(here, 'sid', 'api'), sid)
}

/** Logs in from a second browser profile, and ends the first one's session there. */
async function endedElsewhere(t, here, origin, who, users, size) {
  const there = await visited(origin, size)
  if (users === 'remint') { // the verified number is the second factor
    await there.logIn(who, there.page.locator('#code'))
    await there.send('code', 'wrong', there.line('alert', 'That is not the code that was sent'))
    await there.send('code', await there.code(), there.page.locator('#reserve'))
  } else await there.logIn(who)
  await there.page.locator('.devices button').click()
  const asked = performance.now()
  await here.page.locator('[role="alert"]', { hasText: 'ended from another browser' }).waitFor({ timeout: AT_ONCE })
  t.diagnostic(`the first page knew ${Math.round(performance.now() - asked)} ms later`)
  await there.said('status', 'is ended')
  await there.page.locator('.devices button').waitFor({ state: 'detached' })
  return there
}

for (const users of ['remint', 'own']) {
  for (const policy of POLICIES) {
    const size = (policy === 'rolling' || policy === 'cookie') === (users === 'own') ? PHONE : DESK
    test(`users ${users}, policy ${policy}, at ${size.viewport.width}: from the log-in to an end that another browser made`, async (t) => {
      const app = await started(t, ['--users', users, '--policy', policy, '--data', data])
      assert.ok(app.origin, app.said)
      await lives(`tables-${users}-${policy}`, LIVES[policy])
      const who = await person(users, policy)
      const here = await visited(app.origin, size)
      await here.out()
      assert.equal(await here.page.locator('remint-lifeline .legend').isVisible(), false, 'no session, no signs to explain')
      await here.logIn({ ...who, password: 'not this one' }, here.line('alert', 'do not belong together'))
      await here.logIn(who)
      for (const column of ['here', 'api']) await reads(here, 'nickname', column, who.nickname)
      await verified(here)
      await goesOn(here, policy)
      const sid = await value(here, 'sid')
      await here.page.reload()
      await here.in()
      await reads(here, 'sid', 'api', sid)
      assert.deepEqual(await here.page.evaluate(() => [localStorage.length, sessionStorage.length]), [0, /cookie|remint refresh/.test(`${users} ${policy}`) ? 0 : 1])
      const there = await endedElsewhere(t, here, app.origin, who, users, size)
      await here.page.reload()
      await here.out()
      await there.page.click('#logout')
      await there.said('status', 'You logged out')
      await there.page.reload()
      await there.out()
      for (const one of [here, there]) {
        assert.ok(await one.page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing hangs over the edge')
        assert.deepEqual(one.wrong, [])
        await one.close()
      }
    })
  }
}

test('a fixed session runs out, and the page says so', async (t) => {
  const app = await started(t, ['--policy', 'fixed', '--data', data])
  await lives('tables-remint-fixed', { kind: 'fixed', life: 12 })
  const here = await visited(app.origin, DESK)
  await here.logIn(server.user)
  await here.said('alert', 'has run out')
  await here.out()
  assert.deepEqual(here.wrong, [])
  await here.close()
})

test('what comes from elsewhere is refused: another host, another page, a file that is not the page’s', async (t) => {
  const app = await started(t, ['--users', 'own', '--data', data])
  const asked = async (path, options) => (await fetch(app.origin + path, options)).status
  const json = { 'content-type': 'application/json' }
  const body = JSON.stringify({ identifier: 'grace@example.test', password: 'nanoseconds of wire 1952' })
  assert.equal(await asked('/login', { method: 'POST', headers: json, body }), 403)
  assert.equal(await asked('/login', { method: 'POST', headers: { ...json, origin: 'https://evil.example' }, body }), 403)
  assert.equal((await fetch(app.origin.replace('localhost', '127.0.0.1'))).status, 421)
  assert.deepEqual([await asked('/sdk/package.json'), await asked('/vendor/..%2fpackage.json'), await asked('/server.js')], [404, 404, 404])
  assert.deepEqual([await asked('/api/me'), await asked('/sdk/index.js')], [401, 200])
})

test('without a `remint dev` it starts one, and takes it along; without a program it says what to do', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'remint-example-'))
  const alone = await started(t, ['--data', join(folder, 'none')], { REMINT_BIN: join(folder, 'nothing') })
  assert.match(alone.said, /cargo run --release -- dev[^]*REMINT_BIN=/)
  const app = await started(t, ['--data', join(folder, 'remint-dev')], { REMINT_BIN: binary })
  assert.ok(app.origin, app.said)
  const here = await visited(app.origin, DESK)
  await here.page.click('text=fill in')
  await here.until(here.page.locator('#reserve'), () => here.page.click('form .primary'))
  assert.deepEqual(here.wrong, [])
  await here.close()
  await app.stop()
  await assert.rejects(async () => { for (;;) await fetch(app.remint) })
  await rm(folder, { recursive: true })
})
