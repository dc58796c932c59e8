// In a page that the API serves itself, as a module. The library comes from Remint; @remint/browser is the same.
import { createRemint } from 'ISSUER/sdk/VERSION/index.js';
import { account } from 'ISSUER/sdk/VERSION/account.js';

const remint = createRemint({ issuer: 'ISSUER', clientId: 'demo-cookie', policy: 'cookie' });
remint.on((event) => console.log(event.type, event));

await account(remint).login({ identifier: 'ada@example.test', password: 'analytical engine 1843' });
const answer = await remint.fetch('/me'); // the cookie goes along; the API swaps it for a short token that no page sees
console.log(await answer.json());
