// What the application needs to be known at Remint: a client for its page and, where it keeps its own users, one for its
// server. With a real server you do this once, by `remint apply` (docs/command-line.md), and not at every start.

/** @typedef {import('./dev.js').Ask} Ask */
/** @typedef {{ id: string, transport: 'body' | 'cookie' }} Client `transport` of its refresh tokens */

/** Makes a client, or sets one that is there. @param {Ask} ask @param {Record<string, any>} client @returns {Promise<any>} */
async function put(ask, { id, ...settings }) {
  const { status } = await ask('GET', `/clients/${id}`);
  const { confidential: _, ...changes } = settings;
  return done(await (status === 404 ? ask('POST', '/clients', { id, ...settings }) : ask('PATCH', `/clients/${id}`, changes)));
}

/** @param {{ status: number, body: any }} answer */
function done({ status, body }) {
  if (status >= 300) throw new Error(`Remint refused what the application needs: ${body?.error_description ?? status}`);
  return body;
}

/**
 * The page's client. Its lives are those of dev's own client of that policy, so that `remint dev --speed` counts here too.
 * @param {Ask} ask
 * @param {{ policy: string, users: string, origin: string }} settings
 * @returns {Promise<Client>}
 */
export async function register(ask, { policy, users, origin }) {
  const own = users === 'own';
  // A number that the application verified itself is an attribute like any other; Remint's own is the second factor.
  if (own) for (const name of ['phone', 'account']) done(await ask('POST', '/attributes', { name, type: 'string' }));
  const { policy: lives, apis, scopes } = done(await ask('GET', `/clients/demo-${policy}`));
  // Only Remint itself can put a refresh token into a cookie of its own host.
  const transport = policy === 'refresh' && !own ? 'cookie' : 'body';
  const id = `tables-${users}-${policy}`;
  await put(ask, {
    id, name: 'Tables', policy: lives, apis, scopes, transport, first_party: true, origins: [origin],
    mapping: own ? { nickname: 'nickname', account: 'account', phone_number: 'phone' } : { nickname: 'nickname', phone_number: 'phone_number' },
  });
  return { id, transport };
}

/**
 * The client of the application's server, which may open sessions at the page's client and write users.
 * @param {Ask} ask
 * @param {string} page the `client_id` of the page
 */
export async function registerBackend(ask, page) {
  const id = `${page}-backend`;
  await put(ask, {
    id, policy: { kind: 'fixed', life: 300 }, confidential: true, client_credentials: true,
    administration: { scopes: 'remint:sessions:open remint:users:write', opens_sessions_at: [page] },
  });
  const { client_secret: clientSecret } = done(await ask('POST', `/clients/${id}/secret`));
  return { clientId: id, clientSecret };
}
