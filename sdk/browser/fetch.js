/**
 * `remint.fetch`: fetch, with the token for the APIs that the page has named. Repeats a request once at most, and only
 * where its body can be sent again.
 */

/**
 * `fetch`, as a session does it. A request that goes elsewhere, or has an `Authorization` of its own, is passed on as it
 * is. One whose body is a stream cannot be sent again: its 401 is the answer, and the token is renewed for the next one.
 * @param {Pick<import('./session.js').Remint<any>, 'owns' | 'token' | 'heard'>} session
 * @param {Pick<import('./host.js').Host, 'fetch'>} host
 * @param {RequestInfo | URL} input
 * @param {RequestInit} [init]
 * @returns {Promise<Response>}
 */
export const fetching = async (session, host, input, init) => {
  const first = new Request(input, init);
  if (!session.owns(first.url) || first.headers.has('Authorization')) return host.fetch(first);
  const spare = init?.body instanceof ReadableStream ? undefined : first.clone();
  for (let request = first; ; request = /** @type {Request} */ (spare)) {
    const token = await session.token();
    if (token) request.headers.set('Authorization', `Bearer ${token}`);
    const answer = await host.fetch(request);
    if (!session.owns(answer.url || request.url)) return answer; // redirected away: not our API's word
    const status = request === first ? answer.status : 0; // the second refusal stands
    if (!(await session.heard(status, (name) => answer.headers.get(name), token)) || !spare) return answer;
    await answer.body?.cancel();
  }
};
