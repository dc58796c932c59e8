-- Schema 2. Users and sessions are found by one number: the first eight bytes of their random id, in the order of the
-- ids (`slot`, made by the program). So a row is one walk down one tree, where an index by id was a second one; and the
-- primary key is half as wide. The whole id stands in the row, and is compared.

ALTER TABLE users RENAME TO users_1;

CREATE TABLE users (
  slot         INTEGER NOT NULL PRIMARY KEY,
  id           BLOB    NOT NULL,
  rev          BIGINT  NOT NULL,
  cv           BIGINT  NOT NULL,
  epoch        BIGINT  NOT NULL,
  epoch_reason TEXT    NOT NULL,
  status       TEXT    NOT NULL,
  attributes   TEXT    NOT NULL,
  created_at   BIGINT  NOT NULL
);

INSERT INTO users (slot, id, rev, cv, epoch, epoch_reason, status, attributes, created_at)
  SELECT slot(id), id, rev, cv, epoch, epoch_reason, status, attributes, created_at FROM users_1 ORDER BY id;

DROP TABLE users_1;

DROP INDEX sessions_of_user;

ALTER TABLE sessions RENAME TO sessions_1;

CREATE TABLE sessions (
  slot          INTEGER NOT NULL PRIMARY KEY,
  sid           BLOB    NOT NULL,
  rev           BIGINT  NOT NULL,
  user_id       BLOB    NOT NULL,
  client_id     TEXT    NOT NULL,
  epoch         BIGINT  NOT NULL,
  ended_reason  TEXT,
  ended_at      BIGINT,
  policy        TEXT    NOT NULL,
  cookie_hash   BLOB,
  generation    BIGINT,
  branch        BIGINT,
  parent_branch BIGINT,
  kid           BIGINT,
  salt          BLOB,
  delivered_at  BIGINT,
  acked_at      BIGINT,
  scope         TEXT    NOT NULL,
  auth_time     BIGINT  NOT NULL,
  amr           TEXT    NOT NULL,
  created_at    BIGINT  NOT NULL,
  last_seen     BIGINT  NOT NULL,
  idle_at       BIGINT  NOT NULL,
  absolute_at   BIGINT  NOT NULL,
  user_agent    TEXT    NOT NULL,
  address       TEXT    NOT NULL,
  bound_key     TEXT
);

INSERT INTO sessions (slot, sid, rev, user_id, client_id, epoch, ended_reason, ended_at, policy, cookie_hash, generation,
                      branch, parent_branch, kid, salt, delivered_at, acked_at, scope, auth_time, amr, created_at,
                      last_seen, idle_at, absolute_at, user_agent, address, bound_key)
  SELECT slot(sid), sid, rev, user_id, client_id, epoch, ended_reason, ended_at, policy, cookie_hash, generation, branch,
         parent_branch, kid, salt, delivered_at, acked_at, scope, auth_time, amr, created_at, last_seen, idle_at,
         absolute_at, user_agent, address, bound_key
  FROM sessions_1 ORDER BY sid;

DROP TABLE sessions_1;

CREATE INDEX sessions_of_user ON sessions (user_id);
