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
async function playground(size, { issuer } = remint) {
  const { page, wrong, close } = await opened(browser, size)
  page.setDefaultTimeout(PATIENCE)
  await page.goto(`${issuer}/play`)
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
    assert.match(await play.act('lose'), /the same successor, byte for byte|It got a new branch, and the one that was lost is dead: nobody is logged out/)
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

  test(`at ${width}: under rolling and cookie a lost answer and a race cost nothing`, async (t) => {
    const faster = await dev({ speed: 60 }) // half of a rolling token's life is waited for
    t.after(faster.stop)
    const play = await playground(size, faster)
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
  await page.waitForFunction(() => document.activeElement.id === 'as-Koa' && /@remint\/node\/koa/.test(document.querySelector('.snippet pre').textContent))
  await page.focus('#sign')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.querySelector('#sign').textContent === 'Sign in as Ada')
  assert.deepEqual(play.wrong, [])
  await play.close()
})

test('the end of a session stays in sight, with its reason, until there is another one', async () => {
  const play = await playground(SIZES[1])
  const { page } = play
  const dead = () => page.locator('#token .dead').allInnerTexts()
  await play.signIn('refresh')
  await play.act('revoke')
  assert.deepEqual(await dead(), ['The session ended: revoked. What it held is refused from now on.'])
  assert.match(await play.claims(), /sid/)
  await page.waitForTimeout(500) // as long as whatever was on its way
  assert.equal((await dead()).length, 1)
  await play.signIn('rolling')
  assert.deepEqual(await dead(), [])
  await play.sign()
  assert.deepEqual(await dead(), ['The session ended: logout. What it held is refused from now on.'])
  assert.deepEqual(play.wrong, [])
  await play.close()
})

test('a snippet is copied as it is shown, and selected where the browser does not let a page copy', async () => {
  const play = await playground({ ...SIZES[1], permissions: ['clipboard-read', 'clipboard-write'] })
  const { page } = play
  await page.click('#as-fetch')
  await page.waitForFunction(() => /createRemint/.test(document.querySelector('.snippet pre').textContent))
  const text = await page.locator('.snippet pre').evaluate((pre) => pre.textContent)
  assert.ok(text.includes(remint.issuer) && !/ISSUER|POLICY|VERSION/.test(text))
  await page.click('.copy')
  await page.waitForFunction(() => document.querySelector('.copy').textContent === 'Copied')
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), text)
  await page.waitForFunction(() => document.querySelector('.copy').textContent === 'Copy')
  await page.evaluate(() => { navigator.clipboard.writeText = () => Promise.reject(new DOMException('no', 'NotAllowedError')) })
  await page.click('.copy')
  await page.waitForFunction(() => document.querySelector('.copy').textContent === 'Selected')
  assert.equal(await page.evaluate(() => getSelection().toString().trim()), text.trim())
  assert.deepEqual(play.wrong, [])
  await play.close()
})

test('of two snippets that are on their way the one that was chosen last is shown, whichever comes last', async () => {
  const play = await playground(SIZES[1])
  const { page } = play
  let late
  await page.route('**/play/curl-cookie.sh', async (route) => {
    await late
    await route.continue()
  })
  let go
  late = new Promise((resolve) => { go = resolve })
  await play.signIn('cookie')
  await play.signIn('rolling')
  await page.waitForFunction(() => /demo-rolling/.test(document.querySelector('.snippet pre').textContent))
  const came = page.waitForResponse('**/play/curl-cookie.sh')
  go()
  await (await came).finished()
  await page.waitForTimeout(300)
  assert.match(await page.locator('.snippet pre').innerText(), /demo-rolling/)
  await play.close()
})

test('a second tab that does not open ends the attempt, and the next one is possible', async () => {
  const play = await playground(SIZES[1])
  const { page } = play
  while (!(await play.live())) await play.signIn('cookie') // a busy machine may not hash a password in time
  await page.route('**/play/tab.js', (route) => route.fulfill({ contentType: 'text/javascript', body: 'parent.postMessage({ type: "ready", value: false }, location.origin)' }))
  assert.match(await play.act('tabs'), /That did not work: the second tab knows of no session/)
  assert.ok(await page.locator('#tab-place').isHidden())
  await page.unroute('**/play/tab.js')
  assert.match(await play.act('tabs'), /both got the same claims/)
  await play.close()
})

test('×60 makes 15 seconds of 15 minutes, and says so', async (t) => {
  const own = await dev()
  t.after(own.stop)
  const play = await playground(SIZES[1], own)
  const { page } = play
  assert.match(await page.innerText('#speed-says'), /choose ×60/)
  await page.click('#speed input[value="60"]', { force: true })
  await page.waitForFunction(() => document.getElementById('speed-says').textContent === '15 minutes are 15 seconds' && document.querySelector('#speed input:enabled'))
  assert.match(await page.innerText('[data-policy="rolling"] .lives'), /token 20 s/)
  assert.match(await page.innerText('[data-policy="refresh"] .lives'), /token 5 s/)
  assert.equal((await (await fetch(`${own.issuer}/dev/facts.json`)).json()).speed, 60)
  assert.deepEqual(play.wrong, [])
  await play.close()
})

test('in the dark the colours are others, and what is written can be read in both', async () => {
  const shades = {}
  for (const colorScheme of ['light', 'dark']) {
    const play = await playground({ ...SIZES[1], colorScheme })
    shades[colorScheme] = await play.page.evaluate(() => {
      const brightness = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number).reduce((sum, part, at) => sum + part * [0.299, 0.587, 0.114][at], 0)
      const behind = (element) => {
        const { backgroundColor } = getComputedStyle(element)
        return /rgba\(.*, 0\)|transparent/.test(backgroundColor) && element.parentElement ? behind(element.parentElement) : backgroundColor
      }
      return ['body', '.card', '.policy', '#sign', '.snippet pre'].map((selector) => {
        const element = document.querySelector(selector)
        return { selector, ink: brightness(getComputedStyle(element).color), paper: brightness(behind(element)) }
      })
    })
    assert.deepEqual(play.wrong, [])
    await play.close()
  }
  for (const [at, { selector, ink, paper }] of shades.light.entries()) {
    const there = shades.dark[at]
    assert.ok(Math.abs(ink - paper) > 90 && Math.abs(there.ink - there.paper) > 90, `${selector} can be read: ${JSON.stringify([ink, paper, there])}`)
  }
  const [light, dark] = [shades.light[0], shades.dark[0]]
  assert.ok(light.paper > 200 && light.ink < 80 && dark.paper < 60 && dark.ink > 180, JSON.stringify([light, dark]))
})

test('inside the window, a lost answer repeated brings the same successor', async () => {
  const slower = await dev({ speed: 3 }) // its window is ten seconds: the page asks again long before it is over
  const play = await playground(SIZES[1], slower)
  await play.signIn('refresh')
  assert.match(await play.act('lose'), /the same successor, byte for byte/)
  assert.ok(await play.live())
  assert.deepEqual(play.wrong, [])
  await play.close()
  await slower.stop()
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
