// npm install koa @remint/node. Any JWT library will do as well: the tokens are those of RFC 9068.
import { readFileSync } from 'node:fs';
import Koa from 'koa';
import { cors, remint } from '@remint/node/koa';

const { issuer, apis: [api] } = JSON.parse(readFileSync('remint-dev/dev.json', 'utf8'));
const app = new Koa();
app.use(cors(['http://localhost:3000', 'http://localhost:4200', 'http://localhost:5173'])); // pages that may call
app.use(remint({
  issuer,
  audience: api.audience,
  credential: { id: api.client_id, secret: api.client_secret }, // with it, ends and changes are heard within a second
  rolling: true, // past half of its life a token gets a successor beside the answer
  cookie: '__Host-remint-session-demo-cookie', // under the policy cookie: of the pages of this server itself
}));
app.use((ctx) => {
  ctx.body = ctx.state.user; // the claims, verified
});
const server = app.listen(Number(process.argv[2] ?? 8080), 'localhost', () => {
  console.log(`http://localhost:${server.address().port}/me`);
});
