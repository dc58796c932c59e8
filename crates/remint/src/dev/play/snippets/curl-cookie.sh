ISSUER=$(jq -r .issuer remint-dev/dev.json)

# Log in: no token, a cookie that only the server can read.
curl -sS -i "$ISSUER/session" --json '{
  "client_id": "demo-cookie", "identifier": "ada@example.test", "password": "analytical engine 1843"
}' > login.txt
COOKIE=$(sed -n 's/^set-cookie: __Host-remint-session-demo-cookie=\([^;]*\).*/\1/p' login.txt)

# What your backend does with it: swap it for a short token of its own audience, by its own credential.
curl -sS "$ISSUER/session/exchange" -u "demo-api:$(jq -r '.apis[0].client_secret' remint-dev/dev.json)" \
  --json "{\"cookie\": \"$COOKIE\"}" > exchanged.json
jq keys exchanged.json
