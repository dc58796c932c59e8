-- Schema 4. The audit log: rows are added and never changed. `seq` orders what was written at one time; the database
-- gives it. `names` is a JSON array of texts.

CREATE TABLE audit (
  seq       INTEGER PRIMARY KEY,
  at        BIGINT NOT NULL,
  act       TEXT   NOT NULL,
  actor     TEXT   NOT NULL,
  target    TEXT   NOT NULL,
  client_id TEXT,
  sid       BLOB,
  address   TEXT   NOT NULL,
  reason    TEXT,
  names     TEXT   NOT NULL
);

CREATE INDEX audit_at ON audit (at, seq);
CREATE INDEX audit_of_target ON audit (target, at, seq);
CREATE INDEX audit_of_actor ON audit (actor, at, seq);
