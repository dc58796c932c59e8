-- A data file as the version with schema 5 left it. Never changed again.
PRAGMA page_size = 1024;
PRAGMA application_id = 1380798036;
PRAGMA user_version = 5;
BEGIN TRANSACTION;
CREATE TABLE apis (
  id       TEXT   NOT NULL PRIMARY KEY,
  rev      BIGINT NOT NULL,
  audience TEXT   NOT NULL UNIQUE,
  document TEXT   NOT NULL
);
INSERT INTO "apis" VALUES('demo-api',1,'demo-api','{"id":"demo-api","audience":"demo-api","scopes":"read write","algorithm":"ES256","max_life":3600,"secret":[43,184,13,83,123,29,163,227,139,211,3,97,170,133,86,134,189,224,234,205,113,98,254,246,162,95,233,123,245,39,162,91]}');
INSERT INTO "apis" VALUES('b',1,'yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy','{"id":"b","audience":"yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy","scopes":"read write","algorithm":"PS256","max_life":3600,"secret":[43,184,13,83,123,29,163,227,139,211,3,97,170,133,86,134,189,224,234,205,113,98,254,246,162,95,233,123,245,39,162,91]}');
CREATE TABLE attributes (
  name     TEXT   NOT NULL PRIMARY KEY,
  rev      BIGINT NOT NULL,
  document TEXT   NOT NULL
) WITHOUT ROWID;
INSERT INTO "attributes" VALUES('groups',1,'{"name":"groups","type":"string_list","max_bytes":18446744073709551615,"writable_by":"admin"}');
INSERT INTO "attributes" VALUES('nickname',1,'{"name":"nickname","type":"string","max_bytes":256,"writable_by":"user"}');
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
INSERT INTO "audit" VALUES(1,7000000,'user.created','operator','user:AAAAAQAAAAAAAAAAAAAABw',NULL,NULL,'',NULL,'["nickname"]');
INSERT INTO "audit" VALUES(2,8000000,'login','user:AAAAAQAAAAAAAAAAAAAABw','user:AAAAAQAAAAAAAAAAAAAABw','demo',X'00000001000000000000000000000007','192.0.2.7',NULL,'["pwd"]');
INSERT INTO "audit" VALUES(3,8000000,'login.failed','nobody','unknown','demo',NULL,'192.0.2.7',NULL,'[]');
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
INSERT INTO "challenges" VALUES(X'0102030405060708090A0B0C0D0E0F10',1,X'00000001000000000000000000000007','{"login":{"client":"demo","epoch":0,"password":1,"scope":"read","resource":null,"session":null}}','+441632960011',X'05050505050505050505050505050505',X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F',1000000000,1600000000);
INSERT INTO "challenges" VALUES(X'1112131415161718191A1B1C1D1E1F20',1,X'00000001000000000000000000000007','{"verification":{"session":"AAABMQAAAAAAAAAAAAAABw","replaces":"+441632960011"}}','+441632960011',X'05050505050505050505050505050505',X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F',1000000000,1600000000);
CREATE TABLE clients (
  id           TEXT   NOT NULL PRIMARY KEY,
  rev          BIGINT NOT NULL,
  longest_life BIGINT NOT NULL,
  document     TEXT   NOT NULL
);
INSERT INTO "clients" VALUES('demo',1,300000000,'{"id":"demo","name":"Demo","pv":1,"disabled":false,"first_party":true,"secret":null,"policy":{"kind":"refresh","life":300,"client_timeout":10,"idle":1209600,"absolute":7776000},"client_credentials":false,"origins":["https://app.example.com"],"apis":["demo-api"],"scopes":"read write","mapping":{"nickname":"nickname"},"always_return_refresh":false,"longest_life":300}');
INSERT INTO "clients" VALUES('xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx',1,2500000,'{"id":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx","name":"Demo","pv":18446744073709551615,"disabled":true,"first_party":true,"secret":[4,58,113,135,116,197,114,189,138,37,173,190,177,191,205,92,2,86,174,17,206,207,159,156,63,146,93,14,82,190,175,137],"policy":{"kind":"rolling","life":1200,"absolute":43200},"client_credentials":true,"origins":["https://app.example.com"],"apis":[],"scopes":"read write","mapping":{"nickname":"nickname"},"always_return_refresh":true,"longest_life":2.5}');
CREATE TABLE counters (
  key        TEXT   NOT NULL PRIMARY KEY,
  count      BIGINT NOT NULL,
  started_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO "counters" VALUES('k',1,1000000,10000000);
CREATE TABLE feed (
  seq          INTEGER PRIMARY KEY,
  chain        BLOB   NOT NULL,
  event        TEXT   NOT NULL,
  concerns     TEXT   NOT NULL,
  at           BIGINT NOT NULL,
  forget_after BIGINT NOT NULL
);
INSERT INTO "feed" VALUES(1,X'630DE41F16B1C093B764D668E5E36EB2','{"type":"session-ended","sid":"AAAAAQAAAAAAAAAAAAAABw","reason":"logout","forget_after":9000000}','{"only":["demo-api"]}',1000000,9000000);
CREATE TABLE feed_head (
  one    BIGINT NOT NULL PRIMARY KEY CHECK (one = 1),
  seq    BIGINT NOT NULL,
  chain  BLOB   NOT NULL,
  origin BLOB   NOT NULL
);
INSERT INTO "feed_head" VALUES(1,1,X'630DE41F16B1C093B764D668E5E36EB2',X'A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5A5');
CREATE TABLE identifiers (
  text    TEXT   NOT NULL PRIMARY KEY,
  rev     BIGINT NOT NULL,
  user_id BLOB   NOT NULL
) WITHOUT ROWID;
INSERT INTO "identifiers" VALUES('ada@example.test',1,X'00000001000000000000000000000007');
INSERT INTO "identifiers" VALUES('é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀é漢😀',1,X'00000002000000000000000000000007');
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
INSERT INTO "keys" VALUES('key-0',1,'ES256','next',5000000,10000000,X'','{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","use":"sig","alg":"EdDSA","kid":"k"}');
CREATE TABLE passwords (
  user_id    BLOB   NOT NULL PRIMARY KEY,
  rev        BIGINT NOT NULL,
  hash       TEXT   NOT NULL,
  changed_at BIGINT NOT NULL
) WITHOUT ROWID;
INSERT INTO "passwords" VALUES(X'00000001000000000000000000000007',1,'$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA',7000000);
CREATE TABLE senders (
  name     TEXT   NOT NULL PRIMARY KEY,
  rev      BIGINT NOT NULL,
  document TEXT   NOT NULL,
  sealed   BLOB   NOT NULL
);
INSERT INTO "senders" VALUES('sms',1,'{"per_number":7,"countries":["44","49"]}',X'0102030405');
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
INSERT INTO "sessions" VALUES(-9223372032559808512,X'00000001000000000000000000000007',1,X'00000001000000000000000000000007','demo',0,NULL,NULL,'refresh',NULL,0,0,NULL,1,X'05050505050505050505050505050505',1000000000,NULL,'read write',1000000000,'["pwd"]',1000000000,1000000000,1210600000000,7777000000000,'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0','192.0.2.7',NULL);
INSERT INTO "sessions" VALUES(-9223371177861316608,X'000000C8000000000000000000000007',1,X'00000001000000000000000000000007','demo',0,NULL,NULL,'rolling',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',1000000000,'[]',1000000000,1000000000,1210600000000,7777000000000,'','',NULL);
INSERT INTO "sessions" VALUES(-9223371173566349312,X'000000C9000000000000000000000007',1,X'00000001000000000000000000000007','demo',0,NULL,NULL,'fixed',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',1000000000,'[]',1000000000,1000000000,1210600000000,7777000000000,'','',NULL);
INSERT INTO "sessions" VALUES(-9223371169271382016,X'000000CA000000000000000000000007',1,X'00000001000000000000000000000007','demo',0,NULL,NULL,'cookie',X'D7E83E28A04B537E64424546B14CAF9B67BAD2F28DABCE68116E0D372319FA00',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',1000000000,'[]',1000000000,1000000000,1210600000000,7777000000000,'','',NULL);
INSERT INTO "sessions" VALUES(-9223371164976414720,X'000000CB000000000000000000000007',1,X'00000001000000000000000000000007','demo',0,NULL,NULL,'refresh',NULL,9223372036854775807,4294967295,4294967295,4294967295,X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF',9223372036854775807,-9223372036854775808,'',1000000000,'[]',1000000000,1000000000,1210600000000,7777000000000,'','',NULL);
INSERT INTO "sessions" VALUES(-9223371160681447424,X'000000CC000000000000000000000007',1,X'00000001000000000000000000000007','demo',0,NULL,NULL,'refresh',NULL,9223372036854775807,4294967295,NULL,4294967295,X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF',9223372036854775807,NULL,'',1000000000,'[]',1000000000,1000000000,1210600000000,7777000000000,'','',NULL);
INSERT INTO "sessions" VALUES(-9223371156386480128,X'000000CD000000000000000000000007',1,X'00000001000000000000000000000007','demo',0,NULL,NULL,'refresh',NULL,0,0,NULL,1,X'05050505050505050505050505050505',1000000000,NULL,'',1000000000,'[]',1000000000,1000000000,1210600000000,7777000000000,'','',NULL);
INSERT INTO "sessions" VALUES(-9223370748364587008,X'0000012C000000000000000000000007',1,X'00000001000000000000000000000007','demo',9223372036854775807,'logout',9223372036854775807,'rolling',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',1000000000,'["pwd","o\"t,p"]',1000000000,1000000000,1210600000000,9223372036854775807,'ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää','xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
INSERT INTO "sessions" VALUES(-9223370744069619712,X'0000012D000000000000000000000007',1,X'00000001000000000000000000000007','demo',9223372036854775807,'revoked',9223372036854775807,'fixed',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',1000000000,'["pwd","o\"t,p"]',1000000000,1000000000,1210600000000,9223372036854775807,'ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää','xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
INSERT INTO "sessions" VALUES(-9223370739774652416,X'0000012E000000000000000000000007',1,X'00000001000000000000000000000007','demo',9223372036854775807,'theft',9223372036854775807,'cookie',X'D7E83E28A04B537E64424546B14CAF9B67BAD2F28DABCE68116E0D372319FA00',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'',1000000000,'["pwd","o\"t,p"]',1000000000,1000000000,1210600000000,9223372036854775807,'ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää','xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
INSERT INTO "sessions" VALUES(-9223370735479685120,X'0000012F000000000000000000000007',1,X'00000001000000000000000000000007','demo',9223372036854775807,'disabled',9223372036854775807,'refresh',NULL,9223372036854775807,4294967295,4294967295,4294967295,X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF',9223372036854775807,-9223372036854775808,'',1000000000,'["pwd","o\"t,p"]',1000000000,1000000000,1210600000000,9223372036854775807,'ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää','xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
INSERT INTO "sessions" VALUES(-9223370731184717824,X'00000130000000000000000000000007',1,X'00000001000000000000000000000007','demo',9223372036854775807,'password-changed',9223372036854775807,'refresh',NULL,9223372036854775807,4294967295,NULL,4294967295,X'FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF',9223372036854775807,NULL,'',1000000000,'["pwd","o\"t,p"]',1000000000,1000000000,1210600000000,9223372036854775807,'ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää','xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
INSERT INTO "sessions" VALUES(-9223370726889750528,X'00000131000000000000000000000007',1,X'00000001000000000000000000000007','demo',9223372036854775807,'everywhere',9223372036854775807,'refresh',NULL,0,0,NULL,1,X'05050505050505050505050505050505',1000000000,NULL,'',1000000000,'["pwd","o\"t,p"]',1000000000,1000000000,1210600000000,9223372036854775807,'ääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääääää','xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx','NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs');
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
, phone_number TEXT);
INSERT INTO "users" VALUES(-9223372032559808512,X'00000001000000000000000000000007',1,1,0,'everywhere','active','{"nickname":"user 1","role":"engineer"}',1000000000,NULL);
INSERT INTO "users" VALUES(-9223371607358046208,X'00000064000000000000000000000007',1,9223372036854775807,9223372036854775806,'logout','active','{}',9223372036854775807,'+441632960011');
INSERT INTO "users" VALUES(-9223371598768111616,X'00000066000000000000000000000007',1,9223372036854775807,9223372036854775806,'theft','deleted','{"a":"\u0000\n\"é漢😀","b":9007199254740991,"c":["","x"],"d":false}',9223372036854775807,NULL);
CREATE INDEX identifiers_of_user ON identifiers (user_id);
CREATE INDEX clients_longest_life ON clients (longest_life);
CREATE INDEX feed_alive ON feed (forget_after, seq);
CREATE INDEX sessions_of_user ON sessions (user_id);
CREATE INDEX challenges_expired ON challenges (expires_at);
CREATE INDEX audit_at ON audit (at, seq);
CREATE INDEX audit_of_target ON audit (target, at, seq);
CREATE INDEX audit_of_actor ON audit (actor, at, seq);
COMMIT;
