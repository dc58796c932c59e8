// The playground in a real Chromium, every button against the real server, on a phone and on a desk. With
// PLAYGROUND_IMAGE=<file> it leaves a picture of itself there.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { launched, opened } from './chromium.js'
import { dev } from './server.js'

const POLICIES = ['rolling', 'fixed', 'refresh', 'cookie']
const SIZES = [
  { viewport: { width: 390, height: 844 }, colorScheme: 'dark' },
  { viewport: { width: 1280, height: 900 }, colorScheme: 'light' },
]
/** Longer than any story takes at this speed. */
const PATIENCE = 60_000
let browser
let remint

before(async () => {
  [browser, remint] = await Promise.all([launched(), dev({ speed: 30 })])
})
after(async () => {
  await browser?.close()
  await remint?.stop()
})

/** The playground, opened. */
async function playground(size) {
  const { page, wrong, close } = await opened(browser, size)
  page.setDefaultTimeout(PATIENCE)
  await page.goto(`${remint.issuer}/play`)
  await page.locator('.policy').first().waitFor()
  const idle = () => page.waitForFunction(() => !document.querySelector('[aria-busy="true"]') && document.querySelector('#speed input:enabled'))
  const log = () => page.$$eval('#log li', (lines) => lines.map((line) => line.innerText.replace(/\s+/g, ' ')).reverse())
  const since = async (press) => {
    await page.evaluate(() => document.getElementById('log').replaceChildren())
    await press()
    await idle()
    return (await log()).join('\n')
  }
  return {
    page,
    wrong,
    close,
    /** Signs in under a policy; answers what the page told. */
    signIn: (policy) => since(() => page.click(`[data-policy="${policy}"]`)),
    /** Presses a button, enabled or not; answers what the page told. */
    act: (id) => since(() => page.click(`[data-act="${id}"]`, { force: true })),
    sign: () => since(() => page.click('#sign')),
    reason: (id) => page.locator(`[data-act="${id}"] span`).innerText(),
    disabled: async (id) => (await page.getAttribute(`[data-act="${id}"]`, 'aria-disabled')) === 'true',
    claims: () => page.locator('#token pre').last().innerText(),
    live: async () => (await page.innerText('#sign')) === 'Sign out',
    lifeline: () => page.evaluate(() => document.getElementById('lifeline').shadowRoot.querySelector('desc')?.textContent ?? ''),
    table: () => page.evaluate(() => [...document.getElementById('lifeline').shadowRoot.querySelectorAll('tbody tr')].map((row) => row.cells[1].textContent)),
  }
}

for (const size of SIZES) {
  const { width } = size.viewport

  test(`at ${width}: under refresh a lost answer and a race log nobody out, and theft ends it for both`, async () => {
    const play = await playground(size)
    assert.match(await play.signIn('refresh'), /You signed in as Ada/)
    assert.match(await play.act('lose'), /the same successor, byte for byte/)
    assert.match(await play.act('tabs'), /both got the same successor: its fingerprint is [0-9a-f]{8} in both tabs/)
    assert.ok(await play.live())
    const told = await play.act('steal')
    assert.match(told, /The thief It presents the copy and gets an access token and the next refresh token/)
    assert.match(told, /The session ended: theft/)
    assert.match(told, /The thief It tries once more, and reads the same as you: “session ended: theft”/)
    assert.ok(!(await play.live()))
    assert.match(await play.lifeline(), /It ended: theft/)
    assert.equal((await play.table()).at(-1), 'ended: theft')
    assert.deepEqual(play.wrong, [])
    await play.close()
  })

  test(`at ${width}: a verified number is in the next token, is the second factor then, and can be removed`, async () => {
    const play = await playground(size)
    await play.signIn('refresh')
    assert.match(await play.act('phone'), /raised its version to cv \d+\. The token in its answer shows it/)
    assert.match(await play.claims(), /phone_number: "\+12025550123"/)
    assert.match(await play.signIn('rolling'), /has a second factor: a code was sent/)
    assert.match(await play.claims(), /amr: \["pwd","sms","mfa"\]/)
    assert.match(await play.act('phone'), /The number is gone from the record/)
    assert.doesNotMatch(await play.claims(), /phone_number: "/)
    assert.deepEqual(play.wrong, [])
    await play.close()
  })

  for (const policy of POLICIES) {
    test(`at ${width}: under ${policy} an administrator's change and another device's ending arrive by themselves`, async () => {
      const play = await playground(size)
      await play.signIn(policy)
      const told = await play.act('role')
      const [, role] = /They made Ada (\w+)/.exec(told)
      assert.match(told, /It heard of it by its stream/)
      assert.match(await play.claims(), new RegExp(`role: "${role}"`))
      assert.match(await play.act('revoke'), /The session ended: revoked[^]*the page knew \d+ ms later/)
      assert.ok(!(await play.live()))
      assert.match(await play.lifeline(), /It ended: revoked/)
      assert.deepEqual(play.wrong, [])
      await play.close()
    })
  }

  test(`at ${width}: what makes no sense is disabled, says why, and can be reached and asked all the same`, async () => {
    const play = await playground(size)
    for (const id of ['phone', 'role', 'lose', 'tabs', 'steal', 'revoke']) {
      assert.ok(await play.disabled(id), id)
      assert.equal(await play.reason(id), 'Sign in first.')
    }
    await play.signIn('fixed')
    for (const id of ['lose', 'tabs']) assert.match(await play.reason(id), /never renewed/)
    assert.match(await play.act('lose'), /makes no sense now\. A fixed session is never renewed/)
    for (const [policy, why] of [['fixed', /a copy of the token is good until/], ['rolling', /the token is the proof/], ['cookie', /HttpOnly/]]) {
      await play.signIn(policy)
      assert.ok(await play.disabled('steal'))
      assert.match(await play.reason('steal'), why)
    }
    assert.deepEqual(play.wrong, [])
    await play.close()
  })

  test(`at ${width}: under rolling and cookie a lost answer and a race cost nothing`, async () => {
    const play = await playground(size)
    for (const [policy, lost, raced] of [['rolling', /lives to its own end/, /one token: the same claims and the same jti/], ['cookie', /nothing to lose/, /both got the same claims/]]) {
      await play.signIn(policy)
      if (policy === 'rolling') await play.page.waitForFunction(() => document.querySelector('[data-act="lose"]').getAttribute('aria-disabled') !== 'true')
      assert.match(await play.act('lose'), lost)
      assert.match(await play.act('tabs'), raced)
      assert.ok(await play.live())
    }
    assert.deepEqual(play.wrong, [])
    await play.close()
  })

  test(`at ${width}: every control is reached by the Tab key, and nothing is wider than the window`, async () => {
    const play = await playground(size)
    await play.signIn('refresh')
    const reached = await reachedByTab(play.page)
    const expected = ['a.skip', 'a', 'input', '#sign', '#log', '.frame', 'summary', '.copy', '#as-curl', ...POLICIES.map((policy) => `[data-policy="${policy}"]`),
      ...['phone', 'role', 'lose', 'tabs', 'steal', 'revoke'].map((id) => `[data-act="${id}"]`)]
    for (const control of expected) assert.ok(reached.some((one) => one.matched.includes(control)), `${control} is not reached`)
    assert.ok(reached.every((one) => one.visible), JSON.stringify(reached.filter((one) => !one.visible)))
    const overflow = await play.page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    assert.ok(overflow <= 0, `${overflow} px too wide`)
    assert.deepEqual(play.wrong, [])
    await play.close()

    /** What has the focus after each press of the key, inside shadow roots too, until it comes round. */
    async function reachedByTab(page) {
      const found = []
      for (let presses = 0; presses < 60; presses++) {
        await page.keyboard.press('Tab')
        const one = await page.evaluate((controls) => {
          let focused = document.activeElement
          while (focused?.shadowRoot?.activeElement) focused = focused.shadowRoot.activeElement
          if (!focused || focused === document.body) return null
          const { width, height } = focused.getBoundingClientRect()
          return { matched: controls.filter((control) => focused.matches(control)), visible: width > 0 && height > 0, text: focused.outerHTML.slice(0, 80) }
        }, ['a.skip', 'a', 'input', '#sign', '#log', '.frame', 'summary', '.copy', '#as-curl', '[data-policy="rolling"]', '[data-policy="fixed"]',
          '[data-policy="refresh"]', '[data-policy="cookie"]', ...['phone', 'role', 'lose', 'tabs', 'steal', 'revoke'].map((id) => `[data-act="${id}"]`)])
        if (!one) continue // round the end of the page
        found.push(one)
      }
      return found
    }
  })
}

test('by keyboard alone: sign in, step through the picture, choose a snippet, sign out', async () => {
  const play = await playground(SIZES[1])
  const { page } = play
  await page.focus('#sign')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('#sign').textContent === 'Sign out')
  await page.evaluate(() => document.getElementById('lifeline').shadowRoot.querySelector('.frame').focus())
  await page.keyboard.press('Home')
  assert.match(await page.evaluate(() => document.getElementById('lifeline').shadowRoot.querySelector('[role=status]').textContent), /logged in, good until/)
  await page.focus('#as-curl')
  await page.keyboard.press('ArrowRight')
  await page.waitForFunction(() => document.activeElement.id === 'as-Koa' && /koa-jwt/.test(document.querySelector('.snippet pre').textContent))
  await page.focus('#sign')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('#sign').textContent === 'Sign in as Ada')
  assert.deepEqual(play.wrong, [])
  await play.close()
})

test('another speed is set while the page is open, and the session begins anew with it', async () => {
  const play = await playground(SIZES[1])
  const { page } = play
  await play.signIn('rolling')
  assert.match(await page.innerText('[data-policy="rolling"] .lives'), /token 40 s/)
  await page.click('#speed input[value="10"]', { force: true })
  await page.waitForFunction(() => /token 2 min/.test(document.querySelector('[data-policy="rolling"] .lives').textContent) && document.querySelector('#sign').textContent === 'Sign out')
  await page.waitForFunction(() => document.querySelector('#speed input[value="30"]:enabled'))
  await page.click('#speed input[value="30"]', { force: true })
  await page.waitForFunction(() => /token 40 s/.test(document.querySelector('[data-policy="rolling"] .lives').textContent) && document.querySelector('#speed input:enabled'))
  assert.deepEqual(play.wrong, [])
  await play.close()
})

test('a picture for the README', { skip: process.env.PLAYGROUND_IMAGE ? false : 'set PLAYGROUND_IMAGE to take one' }, async () => {
  const play = await playground({ ...SIZES[1], deviceScaleFactor: 1 })
  await play.signIn('refresh')
  await play.act('role')
  await play.act('lose')
  await play.act('tabs')
  await play.page.evaluate(() => scrollTo(0, 0))
  await play.page.screenshot({ path: process.env.PLAYGROUND_IMAGE })
  await play.close()
})
