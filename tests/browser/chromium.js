// A Chromium of the system, and pages that keep what went wrong in them.

import { chromium } from 'playwright-core'

import { watchPages } from './server.js'

const QUIET = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

export const launched = () => chromium.launch({ executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium', args: QUIET })

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
