// In a page, as a module. The library comes from the server itself; @remint/browser is the same.
import { createRemint } from 'ISSUER/sdk/VERSION/index.js';
import { account } from 'ISSUER/sdk/VERSION/account.js';

const remint = createRemint({
  issuer: 'ISSUER',
  clientId: 'demo-POLICY',
  policy: 'POLICY',
  transport: 'memory',
  apis: ['http://localhost:8080'], // who gets the token
});
remint.on((event) => console.log(event.type, event));

await account(remint).login({ identifier: 'ada@example.test', password: 'analytical engine 1843' });
const answer = await remint.fetch('http://localhost:8080/me'); // renews, retries once, adopts Remint-Token
console.log(await answer.json());
