-- Schema 5. Senders of messages, as an administrator declared them. `document` holds the limits; `sealed` the address and
-- the secret, under the master key.

CREATE TABLE senders (
  name     TEXT   NOT NULL PRIMARY KEY,
  rev      BIGINT NOT NULL,
  document TEXT   NOT NULL,
  sealed   BLOB   NOT NULL
);
