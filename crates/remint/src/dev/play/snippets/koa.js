// npm install koa koa-jwt jwks-rsa. Any JWT library will do: the tokens are those of RFC 9068.
import { readFileSync } from 'node:fs';
import Koa from 'koa';
import jwt from 'koa-jwt';
import jwks from 'jwks-rsa';

const { issuer } = JSON.parse(readFileSync('remint-dev/dev.json', 'utf8'));
const app = new Koa();
app.use(jwt({
  secret: jwks.koaJwtSecret({ jwksUri: `${issuer}/oauth2/jwks`, cache: true }),
  issuer,
  audience: 'demo-api',
  algorithms: ['ES256'],
}));
app.use((ctx) => {
  ctx.body = ctx.state.user; // the claims, verified
});
const server = app.listen(Number(process.argv[2] ?? 8080), 'localhost', () => {
  console.log(`http://localhost:${server.address().port}/me`);
});
