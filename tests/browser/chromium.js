// A Chromium of the system, and pages that keep what went wrong in them.

import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { chromium } from 'playwright-core'

import { watchPages } from './server.js'

const QUIET = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

const executablePath = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium'

/** `options` are those of Playwright. */
export const launched = (options) => chromium.launch({ executablePath, args: QUIET, ...options })

/**
 * A Chromium of its own whose tabs can be hidden and frozen: in the contexts that Playwright makes every page counts as
 * visible, and Chromium freezes no visible page. All it asks goes to the proxy at that URL.
 */
export async function drowsy(proxy) {
  const folder = await mkdtemp(join(tmpdir(), 'remint-chromium-'))
  const options = ['--headless', '--remote-debugging-port=0', `--user-data-dir=${folder}`, `--proxy-server=${proxy}`, '--proxy-bypass-list=<-loopback>', ...QUIET]
  const child = spawn(executablePath, options, { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const url = await new Promise((resolve, reject) => {
    createInterface({ input: child.stderr }).on('line', (line) => {
      const [, found] = /listening on (ws:\S+)/.exec(line) ?? []
      if (found) resolve(found)
    })
    child.once('exit', (code) => reject(new Error(`Chromium ended with ${code}`)))
  })
  const browser = await chromium.connectOverCDP(url, { noDefaults: true, timeout: 90_000 })
  const close = async () => {
    await browser.close()
    child.kill()
    await ended
    await rm(folder, { recursive: true, maxRetries: 5 })
  }
  return { context: browser.contexts()[0], close }
}

/** A page in a browser profile of its own. `wrong` is what nobody wants to see: errors, and what the policy forbade. */
export async function opened(browser, options) {
  const context = await browser.newContext(options)
  watchPages(context)
  const page = await context.newPage()
  const wrong = []
  page.on('pageerror', (error) => wrong.push(error.message))
  page.on('console', (message) => {
    // A refusal by the server is an answer that Chromium shows as an error: those are told by the page itself.
    if (message.type() === 'error' && !/the server responded with a status of 4\d\d/.test(message.text())) wrong.push(message.text())
  })
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => console.error(`forbidden: ${event.violatedDirective} ${event.blockedURI}`))
  })
  return { page, wrong, close: () => context.close() }
}
