// A Koa application that knows nothing of Remint verifies its access tokens with koa-jwt and jwks-rsa, as their
// documentation says, and refuses those that it must.

import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import Koa from 'koa'
import koaJwt from 'koa-jwt'
import jwksRsa from 'jwks-rsa'
import { dev, login, seconds } from './dev.js'

const CLIENTS = ['demo-rolling', 'demo-fixed', 'demo-refresh']
const running = []
let remint

/** An application for tokens of `issuer` and `audience`; answers a function that calls it. */
async function application({ issuer, audience }, keysOf = issuer) {
  const app = new Koa()
  app.silent = true // a refusal is an answer, not something to log
  app.use(async (ctx, next) => {
    try {
      await next()
    } catch (error) {
      ctx.status = error.status ?? 500
      ctx.body = { refused: error.originalError?.message ?? error.message }
    }
  })
  const secret = jwksRsa.koaJwtSecret({ jwksUri: `${keysOf}/oauth2/jwks`, cache: true })
  app.use(koaJwt({ secret, issuer, audience, algorithms: ['ES256'], debug: true }))
  app.use((ctx) => {
    ctx.body = ctx.state.user
  })
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  running.push(async () => server.close())
  return async (token) => {
    const url = `http://127.0.0.1:${server.address().port}/`
    const answer = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
    return { status: answer.status, body: await answer.json() }
  }
}

async function started(options) {
  const server = await dev(options)
  running.push(server.stop)
  return server
}

before(async () => {
  remint = await started()
})

after(async () => {
  for (const stop of running.reverse()) await stop()
})

const parts = (token) => token.split('.')
const json = (part) => JSON.parse(Buffer.from(part, 'base64url'))
const encoded = (value) => Buffer.from(JSON.stringify(value)).toString('base64url')

function refused(answer, why) {
  assert.equal(answer.status, 401)
  assert.match(answer.body.refused, why)
}

for (const client of CLIENTS) {
  test(`a token of ${client} is verified as it is`, async () => {
    const api = await application(remint)
    const { access_token } = await login(remint, client)
    const { status, body } = await api(access_token)
    assert.equal(status, 200, JSON.stringify(body))
    assert.equal(body.client_id, client)
    assert.equal(body.nickname, 'ada')
    assert.equal(body.role, 'engineer')
  })

  test(`a token of ${client} with one claim changed is refused`, async () => {
    const api = await application(remint)
    const [head, claims, signature] = parts((await login(remint, client)).access_token)
    const forged = encoded({ ...json(claims), role: 'admin' })
    refused(await api([head, forged, signature].join('.')), /invalid signature/)
  })
}

test('a token with another signature of the same length is refused', async () => {
  const api = await application(remint)
  const [head, claims, signature] = parts((await login(remint, 'demo-fixed')).access_token)
  const bytes = Buffer.from(signature, 'base64url')
  bytes[10] ^= 1
  refused(await api([head, claims, bytes.toString('base64url')].join('.')), /invalid signature/)
})

test('a token for another audience is refused', async () => {
  const api = await application({ ...remint, audience: 'other-api' })
  refused(await api((await login(remint, 'demo-fixed')).access_token), /jwt audience invalid/)
})

test('the account token is refused by an API', async () => {
  const api = await application(remint)
  refused(await api((await login(remint, 'demo-fixed')).account_token), /jwt audience invalid/)
})

test('a token signed by another key under the name of the right one is refused', async () => {
  const api = await application(remint)
  const [head, claims] = parts((await login(remint, 'demo-fixed')).access_token)
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signature = sign('sha256', Buffer.from(`${head}.${claims}`), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  refused(await api(`${head}.${claims}.${signature.toString('base64url')}`), /invalid signature/)
})

test('a token without a signature is refused', async () => {
  const api = await application(remint)
  const [head, claims] = parts((await login(remint, 'demo-fixed')).access_token)
  const none = encoded({ ...json(head), alg: 'none' })
  assert.equal((await api(`${none}.${claims}.`)).status, 401)
})

test('a token of another issuer is refused, by its key and by its name', async () => {
  const other = await started()
  const { access_token } = await login(other, 'demo-fixed')
  assert.equal((await (await application(other))(access_token)).status, 200)
  refused(await (await application(remint))(access_token), /Unable to find a signing key/)
  refused(await (await application(remint, other.issuer))(access_token), /jwt issuer invalid/)
})

test('a token is refused when it has expired', async () => {
  const fast = await started({ speed: 60 })
  const api = await application(fast)
  const { access_token, expires_in } = await login(fast, 'demo-refresh')
  assert.equal((await api(access_token)).status, 200)
  await seconds(expires_in + 1)
  refused(await api(access_token), /jwt expired/)
})
