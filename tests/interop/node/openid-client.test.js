// openid-client discovers Remint, and refreshes: twice inside R, where the answer carries no new refresh token, and again
// after R, where it does.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import * as client from 'openid-client'
import { dev, login, seconds } from './dev.js'

let remint

before(async () => {
  remint = await dev({ speed: 60 }) // R is 2 s
})

after(() => remint.stop())

const discovered = (client_id, authentication) =>
  client.discovery(new URL(remint.issuer), client_id, undefined, authentication, {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
  })

test('a session is refreshed twice inside R and goes on behind it', async () => {
  const config = await discovered('demo-refresh', client.None())
  const first = await login(remint, 'demo-refresh')
  let refresh_token = first.refresh_token
  let access_token = first.access_token
  const refresh = async () => {
    const tokens = await client.refreshTokenGrant(config, refresh_token)
    access_token = tokens.access_token
    assert.equal(tokens.token_type, 'bearer')
    const rotated = tokens.refresh_token !== undefined
    refresh_token = tokens.refresh_token ?? refresh_token // RFC 6749 section 6
    return rotated
  }
  assert.equal(await refresh(), false)
  assert.equal(await refresh(), false)
  await seconds(remint.timing.window + 0.1)
  assert.equal(await refresh(), true, 'after R the token is rotated')
  assert.notEqual(refresh_token, first.refresh_token)
  assert.equal(await refresh(), false)
  await seconds(remint.timing.window + 0.1)
  assert.equal(await refresh(), true)
  const account = await client.refreshTokenGrant(config, refresh_token, { resource: remint.issuer })
  const session = await fetch(`${remint.issuer}/session`, {
    headers: { authorization: `Bearer ${account.access_token}` },
  })
  assert.equal(session.status, 200, 'it is the session that was opened')
  assert.ok(access_token)
})

test('a refresh token that was revoked is refused as the specification says', async () => {
  const config = await discovered('demo-refresh', client.None())
  const { refresh_token } = await login(remint, 'demo-refresh')
  await client.tokenRevocation(config, refresh_token)
  await assert.rejects(client.refreshTokenGrant(config, refresh_token), {
    error: 'invalid_grant',
    error_description: 'session ended: revoked',
    status: 400,
  })
})

test('a confidential client gets a token of its own', async () => {
  const { client_id, client_secret } = remint.clients.find((one) => one.client_secret)
  for (const authentication of [client.ClientSecretBasic(client_secret), client.ClientSecretPost(client_secret)]) {
    const config = await discovered(client_id, authentication)
    const tokens = await client.clientCredentialsGrant(config, { scope: 'read' })
    assert.equal(tokens.scope, 'read')
    const claims = JSON.parse(Buffer.from(tokens.access_token.split('.')[1], 'base64url'))
    assert.deepEqual([claims.sub, claims.aud], [client_id, remint.audience])
  }
  const wrong = await discovered(client_id, client.ClientSecretBasic('wrong'))
  await assert.rejects(client.clientCredentialsGrant(wrong, {}), ({ status, cause }) => {
    assert.equal(status, 401)
    assert.equal(cause[0].scheme, 'basic', 'RFC 6749 section 5.2: the challenge names the scheme that was used')
    return true
  })
})
