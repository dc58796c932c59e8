-- Schema 1. Times are microseconds since the epoch. `rev` counts the writes of a row. Ids are 16 bytes.
-- Rows longer than about 230 bytes live in tables with a rowid: with pages of 1 KB a WITHOUT ROWID table would put
-- the rest of each on a page of its own. Measured on 100,000 sessions of an ordinary browser, indexes included: 394
-- bytes each, against 1,200.
-- $SEED is replaced by the 16 random bytes that the history of this installation begins with.

CREATE TABLE users (
  id           BLOB   NOT NULL PRIMARY KEY,
  rev          BIGINT NOT NULL,
  cv           BIGINT NOT NULL,
  epoch        BIGINT NOT NULL,
  epoch_reason TEXT   NOT NULL,
  status       TEXT   NOT NULL,
  attributes   TEXT   NOT NULL,
  created_at   BIGINT NOT NULL
);

CREATE TABLE identifiers (
  text    TEXT   NOT NULL PRIMARY KEY,
  rev     BIGINT NOT NULL,
  user_id BLOB   NOT NULL
) WITHOUT ROWID;

CREATE INDEX identifiers_of_user ON identifiers (user_id);

CREATE TABLE passwords (
  user_id    BLOB   NOT NULL PRIMARY KEY,
  rev        BIGINT NOT NULL,
  hash       TEXT   NOT NULL,
  changed_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE sessions (
  sid           BLOB   NOT NULL PRIMARY KEY,
  rev           BIGINT NOT NULL,
  user_id       BLOB   NOT NULL,
  client_id     TEXT   NOT NULL,
  epoch         BIGINT NOT NULL,
  ended_reason  TEXT,
  ended_at      BIGINT,
  policy        TEXT   NOT NULL,
  cookie_hash   BLOB,
  generation    BIGINT,
  branch        BIGINT,
  parent_branch BIGINT,
  kid           BIGINT,
  salt          BLOB,
  delivered_at  BIGINT,
  acked_at      BIGINT,
  scope         TEXT   NOT NULL,
  auth_time     BIGINT NOT NULL,
  amr           TEXT   NOT NULL,
  created_at    BIGINT NOT NULL,
  last_seen     BIGINT NOT NULL,
  idle_at       BIGINT NOT NULL,
  absolute_at   BIGINT NOT NULL,
  user_agent    TEXT   NOT NULL,
  address       TEXT   NOT NULL,
  bound_key     TEXT
);

CREATE INDEX sessions_of_user ON sessions (user_id);

CREATE TABLE clients (
  id           TEXT   NOT NULL PRIMARY KEY,
  rev          BIGINT NOT NULL,
  longest_life BIGINT NOT NULL,
  document     TEXT   NOT NULL
);

CREATE INDEX clients_longest_life ON clients (longest_life);

CREATE TABLE apis (
  id       TEXT   NOT NULL PRIMARY KEY,
  rev      BIGINT NOT NULL,
  audience TEXT   NOT NULL UNIQUE,
  document TEXT   NOT NULL
);

CREATE TABLE attributes (
  name     TEXT   NOT NULL PRIMARY KEY,
  rev      BIGINT NOT NULL,
  document TEXT   NOT NULL
) WITHOUT ROWID;

CREATE TABLE keys (
  kid        TEXT   NOT NULL PRIMARY KEY,
  rev        BIGINT NOT NULL,
  purpose    TEXT   NOT NULL,
  state      TEXT   NOT NULL,
  since      BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  sealed     BLOB   NOT NULL,
  public     TEXT
);

CREATE TABLE counters (
  key        TEXT   NOT NULL PRIMARY KEY,
  count      BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
) WITHOUT ROWID;

CREATE TABLE feed (
  seq          INTEGER PRIMARY KEY,
  chain        BLOB   NOT NULL,
  event        TEXT   NOT NULL,
  concerns     TEXT   NOT NULL,
  at           BIGINT NOT NULL,
  forget_after BIGINT NOT NULL
);

CREATE INDEX feed_alive ON feed (forget_after, seq);

CREATE TABLE feed_head (
  one    BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
  seq    BIGINT NOT NULL,
  chain  BLOB   NOT NULL,
  origin BLOB   NOT NULL
);

INSERT INTO feed_head (one, seq, chain, origin) VALUES (1, 0, $SEED, $SEED);
