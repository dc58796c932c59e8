-- Schema 3. A verified telephone number is a field of the user record.

ALTER TABLE users ADD COLUMN phone_number TEXT;

-- Codes that were sent: a number to be verified, a log-in that waits for its second factor. `hash` is a MAC of the code
-- under a key that is not in here. A row means nothing after `expires_at`.
CREATE TABLE challenges (
  id         BLOB   NOT NULL PRIMARY KEY,
  rev        BIGINT NOT NULL,
  user_id    BLOB   NOT NULL,
  purpose    TEXT   NOT NULL,
  target     TEXT   NOT NULL,
  salt       BLOB   NOT NULL,
  hash       BLOB   NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE INDEX challenges_expired ON challenges (expires_at);
