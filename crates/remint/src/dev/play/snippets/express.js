// npm install express express-jwt jwks-rsa. Any JWT library will do: the tokens are those of RFC 9068.
import { readFileSync } from 'node:fs';
import express from 'express';
import { expressjwt } from 'express-jwt';
import jwks from 'jwks-rsa';

const { issuer } = JSON.parse(readFileSync('remint-dev/dev.json', 'utf8'));
const app = express();
app.use(expressjwt({
  secret: jwks.expressJwtSecret({ jwksUri: `${issuer}/oauth2/jwks`, cache: true }),
  issuer,
  audience: 'demo-api',
  algorithms: ['ES256'],
}));
app.get('/me', (req, res) => {
  res.json(req.auth); // the claims, verified
});
const server = app.listen(Number(process.argv[2] ?? 8080), 'localhost', () => {
  console.log(`http://localhost:${server.address().port}/me`);
});
