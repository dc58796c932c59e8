/**
 * XMLHttpRequest: the token for the APIs that the page has named. An XHR cannot be sent twice, so this one is asked for by
 * a function, which repeats it once at most.
 */

/**
 * @param {import('./session.js').Remint<any>} remint
 * @param {{ method?: string, url: string, headers?: Record<string, string>, body?: any, prepare?: (xhr: XMLHttpRequest) => void }} wanted
 *   `prepare` is called before each sending: for `responseType`, `timeout`, listeners of progress.
 * @param {new () => XMLHttpRequest} [Xhr] For tests.
 * @returns {Promise<XMLHttpRequest>} When it is done, whatever its status; rejects where no answer came.
 */
export const send = async (remint, wanted, Xhr = XMLHttpRequest) => {
  const url = new URL(wanted.url, globalThis.location?.href).href;
  const ours = remint.owns(url) && !Object.keys(wanted.headers ?? {}).some((name) => /^authorization$/i.test(name));
  for (let again = false; ; again = true) {
    const token = ours ? await remint.token() : null;
    const xhr = await sent(new Xhr(), url, wanted, token);
    const heard = ours && remint.owns(xhr.responseURL || url) && remint.heard(again ? 0 : xhr.status, (name) => xhr.getResponseHeader(name), token);
    if (!(await heard)) return xhr;
  }
};

/** @param {XMLHttpRequest} xhr @param {string} url @param {{ method?: string, headers?: Record<string, string>, body?: any, prepare?: (xhr: XMLHttpRequest) => void }} wanted @param {string | null} token @returns {Promise<XMLHttpRequest>} */
const sent = (xhr, url, { method = 'GET', headers = {}, body, prepare }, token) =>
  new Promise((done, failed) => {
    xhr.open(method, url);
    for (const [name, value] of Object.entries(headers)) xhr.setRequestHeader(name, value);
    if (token) xhr.setRequestHeader('Authorization', `Bearer ${token}`);
    prepare?.(xhr);
    xhr.addEventListener('load', () => done(xhr));
    for (const name of ['error', 'abort', 'timeout']) xhr.addEventListener(name, () => failed(new TypeError(`no answer: ${name}`)));
    xhr.send(body ?? null);
  });
