ISSUER=$(jq -r .issuer remint-dev/dev.json)

# Log in: a short token, and a refresh token beside it.
curl -sS "$ISSUER/session" --json '{
  "client_id": "demo-refresh", "identifier": "ada@example.test", "password": "analytical engine 1843"
}' > login.json

# Renew. Just after log-in the refresh token is fresh, and the answer carries no new one: keep it.
curl -sS "$ISSUER/oauth2/token" -d grant_type=refresh_token -d client_id=demo-refresh \
  --data-urlencode refresh_token="$(jq -r .refresh_token login.json)" > renewed.json
jq keys renewed.json
