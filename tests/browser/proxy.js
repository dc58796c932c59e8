// What stands between a browser and everything else: a forward proxy (RFC 9112 section 3.2.2) that Chromium is told to use, so
// that no name, Host or Origin is rewritten and what breaks is a real connection. Without a rule it passes everything on,
// streams too. Never repeats a request, and never changes what the server says.

import { createServer, request as forward } from 'node:http'
import { buffer } from 'node:stream/consumers'

/**
 * What a rule may do with a request that is no preflight, by what it returns. `answer`: the proxy answers by itself, `{status,
 * headers, body}`. `before`, `after`: promises that the request, or its answer, waits for. `lose`: the server answers, and then
 * the connection breaks, `all` before the first byte, `rest` in the middle of the body; only `when` that says so of the answer.
 * @typedef {{ answer?: any, before?: Promise<unknown>, after?: Promise<unknown>, lose?: 'all' | 'rest',
 *   when?: (entry: any) => boolean }} Fault
 */

/**
 * Starts one. `seen` is every request that came, preflights excepted: `{method, path, port, at, headers, asked}`, and when the
 * server has answered its `status`, `body` and `cookies` (of no stream), whether that was `lost`, and whether it is `over`.
 */
export async function proxied() {
  const seen = []
  const sockets = new Set()
  /** @type {(entry: any) => Fault | void} */
  let rule = () => {}
  let gone = false

  async function serve(request, answer) {
    const { port, pathname: path, search } = new URL(request.url)
    const entry = { method: request.method, path, port, at: Date.now(), headers: request.headers }
    const preflight = request.method === 'OPTIONS'
    answer.once('close', () => { entry.over = true })
    entry.asked = await buffer(request)
    if (!preflight) seen.push(entry)
    if (gone) return request.socket.destroy()
    const { answer: own, before, after, lose, when = () => true } = (!preflight && rule(entry)) || {}
    await before
    if (own) return answer.writeHead(entry.status = own.status, { ...cors(request), ...own.headers }).end(own.body)
    const upstream = await passed(request, entry.asked, { host: '127.0.0.1', port, path: path + search, setHost: false })
    entry.status = upstream.statusCode
    if (/event-stream/.test(upstream.headers['content-type'])) return streamed(upstream, answer)
    entry.body = await buffer(upstream)
    entry.cookies = upstream.headers['set-cookie'] ?? []
    await after
    entry.lost = !!lose && when(entry)
    if (entry.lost && lose === 'all') return request.socket.destroy()
    answer.writeHead(upstream.statusCode, upstream.rawHeaders)
    if (entry.lost) return answer.write(entry.body.subarray(0, entry.body.length / 2), () => request.socket.destroy())
    answer.end(entry.body)
  }

  const server = createServer((request, answer) => void serve(request, answer).catch(() => request.socket.destroy()))
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const cut = () => sockets.forEach((socket) => socket.destroy())
  await new Promise((up) => server.listen(0, '127.0.0.1', up))
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    seen,
    /** From now on; without one everything is passed on. */
    rule: (next = () => {}) => {
      rule = next
      gone = false
    },
    /** Nothing goes through until there is another rule, and what was on its way breaks. */
    away: () => {
      gone = true
      cut()
    },
    /** Whatever goes to that port is answered so, and what was on its way breaks. */
    storms: (port, answer) => {
      rule = (entry) => entry.port === port && { answer }
      cut()
    },
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

/** The upstream answer. A connection of its own for each: none is stale when the server was restarted. */
function passed(request, body, where) {
  return new Promise((resolve, reject) => {
    const upstream = forward({ ...where, method: request.method, headers: request.headers, agent: false }, resolve)
    upstream.once('error', reject)
    upstream.end(body)
  })
}

function streamed(upstream, answer) {
  answer.writeHead(upstream.statusCode, upstream.rawHeaders)
  answer.flushHeaders()
  answer.once('close', () => upstream.destroy())
  upstream.once('error', () => answer.destroy())
  upstream.pipe(answer)
}

/** What lets a page of another origin read an answer, as the server itself would say it. */
const cors = ({ headers: { origin } }) =>
  origin ? { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true', 'access-control-expose-headers': 'Retry-After, WWW-Authenticate' } : {}
