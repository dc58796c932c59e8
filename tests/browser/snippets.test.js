// The snippets that the playground shows, run as they stand there where somebody would start them: beside the folder
// remint-dev. The one for axum is run by examples/api/tests/program.rs. In those for pages the blanks are filled in as the
// playground fills them, and the port of the API is one that is free here.

import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import { launched, opened } from './chromium.js'
import { binary, dev } from './server.js'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))
const snippet = (name) => readFile(here(`../../crates/remint/src/dev/play/snippets/${name}`), 'utf8')
/** Pages that may call; nobody listens there, so what they are is answered for them. */
const PAGES = ['http://localhost:3000', 'http://localhost:4200', 'http://localhost:5173']

let server, browser, version
const running = []

before(async () => {
  ;[server, browser] = await Promise.all([dev(), launched()])
  const modules = join(server.folder, 'node_modules')
  await mkdir(join(modules, '@remint'), { recursive: true })
  await symlink(here('../../sdk/node'), join(modules, '@remint/node'))
  for (const name of ['koa', 'express']) await symlink(here(`node_modules/${name}`), join(modules, name))
  version = /\/sdk\/([^/]+)\//.exec(await (await fetch(`${server.issuer}/play/library.js`)).text())[1]
})

after(async () => {
  for (const child of running) child.kill()
  await browser?.close()
  await server?.stop()
})

/** Starts a program of Node in the folder; answers where it listens. */
async function started(name) {
  const file = `${name}.mjs`
  await writeFile(join(server.folder, file), await snippet(`${name}.js`))
  const child = spawn(process.execPath, [file, '0'], { cwd: server.folder, stdio: ['ignore', 'pipe', 'inherit'] })
  running.push(child)
  const [line] = await Promise.race([
    new Promise((resolve) => createInterface({ input: child.stdout }).once('line', (line) => resolve([line]))),
    new Promise((_, reject) => child.once('exit', (code) => reject(new Error(`${name} ended with ${code}`)))),
  ])
  return line
}

/** Until it is not 503: a password takes a while to hash, and a guard has to hear the feed first. */
async function answered(...asked) {
  for (;;) {
    const answer = await fetch(...asked)
    if (answer.status !== 503) return answer
    await new Promise((go) => setTimeout(go, 50))
  }
}

/** What a module in a page writes alone on a line: what it was answered. Events are written beside their names. */
async function shown(origin, text) {
  const { page, wrong, close } = await opened(browser, { permissions: ['local-network-access'] }) // its page comes from no network
  await page.route(`${origin}/`, (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>page</title><link rel="icon" href="data:,">' }))
  await page.goto(`${origin}/`)
  const said = page.waitForEvent('console', { predicate: (message) => message.type() === 'log' && message.args().length === 1, timeout: 30_000 })
  const broke = new Promise((_, reject) => page.once('pageerror', () => reject(new Error(wrong.join('\n')))))
  await page.addScriptTag({ type: 'module', content: text })
  const value = await (await Promise.race([said, broke])).args()[0].jsonValue()
  await close()
  assert.deepEqual(wrong, [])
  return value
}

/** A page's snippet as the playground shows it, for an API that listens elsewhere than on the port that stands there. */
const filled = async (name, policy, api) =>
  (await snippet(name)).replaceAll('ISSUER', server.issuer).replaceAll('POLICY', policy).replaceAll('VERSION', version).replaceAll('http://localhost:8080', new URL(api).origin)

for (const policy of ['rolling', 'fixed', 'refresh', 'cookie']) {
  test(`curl: ${policy}`, async () => {
    await answered(`${server.issuer}/session`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...server.user, client_id: 'demo-fixed' }) })
    const script = `set -eo pipefail\n${await snippet(`curl-${policy}.sh`)}`
    const { stdout } = await promisify(execFile)('bash', ['-c', script], { cwd: server.folder })
    const expected = { rolling: /^204$/m, fixed: /"policy": "fixed"/, refresh: /"access_token"/, cookie: /"access_token"/ }[policy]
    assert.match(stdout, expected)
  })
}

for (const name of ['koa', 'express']) {
  describe(name, () => {
    let api
    before(async () => { api = await started(name) })

    test('answers the claims to whoever has a token, and lets the named pages read a refusal', async () => {
      const body = JSON.stringify({ ...server.user, client_id: 'demo-rolling' })
      const { access_token } = await (await answered(`${server.issuer}/session`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })).json()
      const headers = { authorization: `Bearer ${access_token}` }
      const me = await answered(api, { headers })
      assert.deepEqual([me.status, (await me.json()).nickname], [200, 'ada'])
      for (const origin of PAGES) {
        const refused = await fetch(api, { headers: { origin } })
        assert.deepEqual([refused.status, refused.headers.get('www-authenticate'), refused.headers.get('access-control-allow-origin')], [401, 'Bearer', origin])
      }
      assert.equal((await fetch(api, { headers: { ...headers, origin: 'https://elsewhere.example' } })).headers.get('access-control-allow-origin'), null)
    })

    for (const [policy, origin] of [['rolling', PAGES[0]], ['fixed', PAGES[1]], ['refresh', PAGES[2]]]) {
      test(`the page of fetch logs in and calls it, under ${policy}`, async () => {
        assert.equal((await shown(origin, await filled('fetch.js', policy, api))).nickname, 'ada')
      })
    }

    test('a page of its own logs in and calls it, under cookie', async () => {
      const { origin } = new URL(api)
      await promisify(execFile)(binary, ['--data', join(server.folder, 'remint-dev'), 'client', 'update', 'demo-cookie', '--origin', origin], { env: {} })
      assert.equal((await shown(origin, await filled('fetch-cookie.js', 'cookie', api))).nickname, 'ada')
    })
  })
}
