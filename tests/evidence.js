// What the servers of the tests log, and beside it the secrets that they gave or were given, for `scripts/scan-logs` to
// hold against each other. Kept in the folder that `TEST_LOGS` names; where it names none, no secret is kept.

import { appendFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

const FOLDER = process.env.TEST_LOGS

/** The members of requests and answers that nobody may log. */
const SECRETS = /^(access_token|account_token|refresh_token|client_secret|secret|password|challenge|cookie)$/
/** In an error it is a word. */
const isCode = (member, value) => member === 'code' && /\d/.test(value)

/** A file of this process, open for what a server says on stderr; in `folder` where nothing is to be kept. */
export const logOf = (name, folder) => open(join(FOLDER ?? folder, `${name}-${process.pid}.log`), 'a')

/** The secrets of a process whose log has this `name`. */
export const evidence = (name) => {
  const secret = (text) => FOLDER && text && appendFileSync(join(FOLDER, `${name}-${process.pid}.secrets`), `${text}\n`)

  /** Those among the members of a request or an answer. */
  const secretsIn = (body) => {
    for (const [member, value] of Object.entries(Object(body))) {
      if (typeof value !== 'string') secretsIn(value)
      else if (SECRETS.test(member) || isCode(member, value)) secret(value)
    }
  }

  /** Those in the body of a request, be it JSON or a form. */
  const secretsInText = (text) => secretsIn(text?.startsWith('{') ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text ?? '')))

  /** Those that an answer sets as cookies. @param {string[]} lines `Set-Cookie`, each. */
  const secretsInCookies = (lines) => lines.forEach((line) => secret(/^[^=]+=([^;]*)/.exec(line)?.[1]))

  return { secretsIn, secretsInText, secretsInCookies }
}

/** Keeps the secrets of all that this process sends and gets by `fetch`. What goes on and on is not read. */
export function watchFetch(name) {
  if (!FOLDER) return
  const { secretsIn, secretsInText, secretsInCookies } = evidence(name)
  const send = globalThis.fetch
  globalThis.fetch = async (input, init) => {
    const request = new Request(input, init)
    if (request.body) secretsInText(await request.clone().text())
    const answer = await send(request)
    secretsInCookies(answer.headers.getSetCookie())
    if (/json/.test(answer.headers.get('content-type'))) secretsIn(await answer.clone().json().catch(() => null))
    return answer
  }
}
