/**
 * axios: the token for the APIs that the page has named, on an instance of axios. Repeats a request once at most, and not
 * one whose body is a stream.
 */

/**
 * @param {{ interceptors: any, request: (config: any) => Promise<any>, getUri: (config: any) => string }} instance Of axios.
 * @param {import('./session.js').Remint<any>} remint
 * @returns {() => void} Takes both interceptors away again.
 */
export const attach = (instance, remint) => {
  const { request, response } = instance.interceptors;
  /** @param {any} config */
  const ours = (config) => remint.owns(new URL(instance.getUri(config), globalThis.location?.href).href);

  const asked = request.use(async (/** @type {any} */ config) => {
    if (ours(config) && !config.headers.has('Authorization')) {
      config.remint = { token: await remint.token(), again: config.remint };
      if (config.remint.token) config.headers.set('Authorization', `Bearer ${config.remint.token}`);
    }
    return config;
  });

  /** Whether the request is worth sending once more. Where a redirect left our APIs, it is not theirs to say. @param {any} answer */
  const heard = async ({ status, headers, config, request }) =>
    !!config?.remint &&
    remint.owns(request?.responseURL || instance.getUri(config)) &&
    (await remint.heard(config.remint.again ? 0 : status, (name) => headers[name.toLowerCase()], config.remint.token));

  const answered = response.use(
    async (/** @type {any} */ answer) => (await heard(answer), answer),
    async (/** @type {any} */ error) => {
      const { config, response: answer } = error;
      if (!answer || !(await heard(answer)) || config.data?.getReader || config.data?.pipe) throw error;
      config.headers.delete('Authorization');
      return instance.request(config);
    },
  );
  return () => {
    request.eject(asked);
    response.eject(answered);
  };
};
