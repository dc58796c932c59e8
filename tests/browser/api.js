// Somebody's page and API, for tests in Chromium: pages of one origin that serve the library as it lies here, and a Koa
// application of another behind the guard for Node.

import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { fileURLToPath } from 'node:url'
import Koa from 'koa'

import { cors, remint } from '../../sdk/node/koa.js'

const VENDOR = {
  '/axios.js': 'node_modules/axios/dist/esm/axios.js', '/angular.js': 'node_modules/angular/angular.js', '/rxjs.js': 'node_modules/rxjs/dist/bundles/rxjs.umd.js',
  '/react.js': 'node_modules/react/umd/react.development.js', '/react-dom.js': 'node_modules/react-dom/umd/react-dom.development.js',
}

export async function listening(http) {
  await new Promise((up) => http.listen(0, '127.0.0.1', up))
  const { port } = http.address()
  return { origin: `http://127.0.0.1:${port}`, port, close: () => (http.closeAllConnections(), http.close()) }
}

/** Serves `/sdk/*.js`, the libraries that are adapted, what `others` names (path to text), and an empty page elsewhere. */
export const pages = (others = {}, backend = undefined) =>
  listening(createServer(async (request, answer) => {
    const { url } = request
    if (backend && url.startsWith('/api/')) return backend(request, answer)
    const file = VENDOR[url] ?? (/^\/sdk\/[a-z-]+\.js$/.test(url) ? `../../sdk/browser/${url.slice(5)}` : null)
    const text = others[url] ?? (file ? await readFile(fileURLToPath(new URL(file, import.meta.url))) : undefined)
    answer.setHeader('content-type', text && url !== '/' ? 'text/javascript' : 'text/html')
    answer.end(text ?? '<!doctype html><title>page</title><div id="root"></div>')
  }))

/** An API that shows a name, for pages of an origin; `seen` are the statuses of its answers. */
export function api(server, origin, options = {}) {
  const [{ client_id: id, client_secret: secret }] = server.apis
  const guard = remint({ issuer: server.issuer, audience: server.audience, credential: { id, secret }, ...options })
  const seen = []
  const app = new Koa()
  app.silent = true
  app.use(async (ctx, next) => {
    await next().catch((error) => { seen.push(error.status); throw error })
    if (ctx.method === 'GET') seen.push(ctx.status)
  }).use(cors([origin])).use(guard).use((ctx) => { ctx.body = { nickname: ctx.state.user.nickname } })
  return { guard, seen, handler: app.callback() }
}
