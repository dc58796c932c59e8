ISSUER=$(jq -r .issuer remint-dev/dev.json)

# Log in: the token lives and ends, nothing renews it.
curl -sS "$ISSUER/session" --json '{
  "client_id": "demo-fixed", "identifier": "ada@example.test", "password": "analytical engine 1843"
}' > login.json

# The session: whose it is, and how long it goes on.
ACCOUNT=$(jq -r .account_token login.json)
curl -sS "$ISSUER/session" -H "Authorization: Bearer $ACCOUNT" | jq
