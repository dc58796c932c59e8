ISSUER=$(jq -r .issuer remint-dev/dev.json)

# Log in: one token for the API, one for the account.
curl -sS "$ISSUER/session" --json '{
  "client_id": "demo-rolling", "identifier": "ada@example.test", "password": "analytical engine 1843"
}' > login.json
TOKEN=$(jq -r .access_token login.json)

# Show the token, get the next one: 204 before half of its life, 200 past it.
curl -sS -o renewed.json -w '%{http_code}\n' -X POST "$ISSUER/session/renew" -H "Authorization: Bearer $TOKEN"
