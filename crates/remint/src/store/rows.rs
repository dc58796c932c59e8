//! Each kind of row as SQL: its statements, its values as parameters, and back. Both databases take this text.
//! Reads strictly and names what it cannot read; never fills in a default.
//!
//! Parameters are numbered in the order of their first use, because one database binds `$N` by that order and the
//! other by number. The values of a row come first, then its key, then the `rev` that it is expected at.

use std::sync::Arc;

use remint_core::attribute::Declaration;
use remint_core::change::{Identifier, PasswordRow, Row, RowKey};
use remint_core::client::{Api, Client};
use remint_core::code::Challenge;
use remint_core::id::{ChallengeId, SessionId, UserId};
use remint_core::jwk::Algorithm;
use remint_core::key::{Key, KeyState, Purpose, Sealed};
use remint_core::refresh::{Chain, MacKeyId, Position};
use remint_core::rev::Rev;
use remint_core::secret::{PasswordHash, Salt, SecretHash};
use remint_core::sender::Sender;
use remint_core::session::{Continuity, Device, EndReason, Session, State};
use remint_core::user::{User, UserStatus};
use serde::Serialize;

use super::documents::Documents;
use super::error::StoreError;
use super::record::{BadColumn, Param, Record};

/// The statements of one kind of row.
pub(super) struct Table {
    /// Its name.
    pub(super) name: &'static str,
    /// The row of a key, key first.
    pub(super) select: &'static str,
    /// The `rev` of a key.
    pub(super) rev: &'static str,
    /// A row that must not exist.
    pub(super) insert: &'static str,
    /// A row at a key and a `rev`.
    pub(super) update: &'static str,
    /// Nothing at a key and a `rev`.
    pub(super) delete: &'static str,
}

/// The columns of a user, in the order that [`user`] reads them.
macro_rules! user_columns {
    () => {
        "id, rev, cv, epoch, epoch_reason, status, attributes, created_at, phone_number"
    };
}
pub(super) use user_columns;

pub(super) const USERS: Table = Table {
    name: "users",
    select: concat!("SELECT ", user_columns!(), " FROM users WHERE slot = $1 AND id = $2"),
    rev: "SELECT rev FROM users WHERE slot = $1 AND id = $2",
    insert: "INSERT INTO users (cv, epoch, epoch_reason, status, attributes, created_at, phone_number, slot, id, rev) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 1) ON CONFLICT DO NOTHING",
    update: "UPDATE users SET cv = $1, epoch = $2, epoch_reason = $3, status = $4, attributes = $5, created_at = $6, \
             phone_number = $7, rev = rev + 1 WHERE slot = $8 AND id = $9 AND rev = $10",
    delete: "DELETE FROM users WHERE slot = $1 AND id = $2 AND rev = $3",
};

pub(super) const IDENTIFIERS: Table = Table {
    name: "identifiers",
    select: "SELECT text, rev, user_id FROM identifiers WHERE text = $1",
    rev: "SELECT rev FROM identifiers WHERE text = $1",
    insert: "INSERT INTO identifiers (user_id, text, rev) VALUES ($1, $2, 1) ON CONFLICT DO NOTHING",
    update: "UPDATE identifiers SET user_id = $1, rev = rev + 1 WHERE text = $2 AND rev = $3",
    delete: "DELETE FROM identifiers WHERE text = $1 AND rev = $2",
};

pub(super) const PASSWORDS: Table = Table {
    name: "passwords",
    select: "SELECT user_id, rev, hash, changed_at FROM passwords WHERE user_id = $1",
    rev: "SELECT rev FROM passwords WHERE user_id = $1",
    insert: "INSERT INTO passwords (hash, changed_at, user_id, rev) VALUES ($1, $2, $3, 1) ON CONFLICT DO NOTHING",
    update: "UPDATE passwords SET hash = $1, changed_at = $2, rev = rev + 1 WHERE user_id = $3 AND rev = $4",
    delete: "DELETE FROM passwords WHERE user_id = $1 AND rev = $2",
};

/// The columns of a session, in the order that [`session`] reads them.
macro_rules! session_columns {
    () => {
        "sid, rev, user_id, client_id, epoch, ended_reason, ended_at, policy, cookie_hash, generation, branch, \
         parent_branch, kid, salt, delivered_at, acked_at, scope, auth_time, amr, created_at, last_seen, idle_at, \
         absolute_at, user_agent, address, bound_key"
    };
}
pub(super) use session_columns;

/// A session never changes its user, so its index by user is never written by a renewal.
pub(super) const SESSIONS: Table = Table {
    name: "sessions",
    select: concat!("SELECT ", session_columns!(), " FROM sessions WHERE slot = $1 AND sid = $2"),
    rev: "SELECT rev FROM sessions WHERE slot = $1 AND sid = $2",
    insert: "INSERT INTO sessions (client_id, epoch, ended_reason, ended_at, policy, cookie_hash, generation, branch, \
             parent_branch, kid, salt, delivered_at, acked_at, scope, auth_time, amr, created_at, last_seen, idle_at, \
             absolute_at, user_agent, address, bound_key, user_id, slot, sid, rev) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, \
             $22, $23, $24, $25, $26, 1) ON CONFLICT DO NOTHING",
    update: "UPDATE sessions SET client_id = $1, epoch = $2, ended_reason = $3, ended_at = $4, policy = $5, \
             cookie_hash = $6, generation = $7, branch = $8, parent_branch = $9, kid = $10, salt = $11, \
             delivered_at = $12, acked_at = $13, scope = $14, auth_time = $15, amr = $16, created_at = $17, \
             last_seen = $18, idle_at = $19, absolute_at = $20, user_agent = $21, address = $22, bound_key = $23, \
             rev = rev + 1 WHERE user_id = $24 AND slot = $25 AND sid = $26 AND rev = $27",
    delete: "DELETE FROM sessions WHERE slot = $1 AND sid = $2 AND rev = $3",
};

pub(super) const CLIENTS: Table = Table {
    name: "clients",
    select: "SELECT id, rev, document FROM clients WHERE id = $1",
    rev: "SELECT rev FROM clients WHERE id = $1",
    insert: "INSERT INTO clients (longest_life, document, id, rev) VALUES ($1, $2, $3, 1) ON CONFLICT DO NOTHING",
    update: "UPDATE clients SET longest_life = $1, document = $2, rev = rev + 1 WHERE id = $3 AND rev = $4",
    delete: "DELETE FROM clients WHERE id = $1 AND rev = $2",
};

pub(super) const APIS: Table = Table {
    name: "apis",
    select: "SELECT id, rev, document FROM apis WHERE id = $1",
    rev: "SELECT rev FROM apis WHERE id = $1",
    insert: "INSERT INTO apis (audience, document, id, rev) VALUES ($1, $2, $3, 1) ON CONFLICT DO NOTHING",
    update: "UPDATE apis SET audience = $1, document = $2, rev = rev + 1 WHERE id = $3 AND rev = $4",
    delete: "DELETE FROM apis WHERE id = $1 AND rev = $2",
};

pub(super) const ATTRIBUTES: Table = Table {
    name: "attributes",
    select: "SELECT name, rev, document FROM attributes WHERE name = $1",
    rev: "SELECT rev FROM attributes WHERE name = $1",
    insert: "INSERT INTO attributes (document, name, rev) VALUES ($1, $2, 1) ON CONFLICT DO NOTHING",
    update: "UPDATE attributes SET document = $1, rev = rev + 1 WHERE name = $2 AND rev = $3",
    delete: "DELETE FROM attributes WHERE name = $1 AND rev = $2",
};

pub(super) const KEYS: Table = Table {
    name: "keys",
    select: "SELECT kid, rev, purpose, state, since, created_at, sealed, public FROM keys WHERE kid = $1",
    rev: "SELECT rev FROM keys WHERE kid = $1",
    insert: "INSERT INTO keys (purpose, state, since, created_at, sealed, public, kid, rev) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, 1) ON CONFLICT DO NOTHING",
    update: "UPDATE keys SET purpose = $1, state = $2, since = $3, created_at = $4, sealed = $5, public = $6, \
             rev = rev + 1 WHERE kid = $7 AND rev = $8",
    delete: "DELETE FROM keys WHERE kid = $1 AND rev = $2",
};

pub(super) const CHALLENGES: Table = Table {
    name: "challenges",
    select: "SELECT id, rev, user_id, purpose, target, salt, hash, created_at, expires_at FROM challenges \
             WHERE id = $1",
    rev: "SELECT rev FROM challenges WHERE id = $1",
    insert: "INSERT INTO challenges (user_id, purpose, target, salt, hash, created_at, expires_at, id, rev) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1) ON CONFLICT DO NOTHING",
    update: "UPDATE challenges SET user_id = $1, purpose = $2, target = $3, salt = $4, hash = $5, created_at = $6, \
             expires_at = $7, rev = rev + 1 WHERE id = $8 AND rev = $9",
    delete: "DELETE FROM challenges WHERE id = $1 AND rev = $2",
};

pub(super) const SENDERS: Table = Table {
    name: "senders",
    select: "SELECT name, rev, document, sealed FROM senders WHERE name = $1",
    rev: "SELECT rev FROM senders WHERE name = $1",
    insert: "INSERT INTO senders (document, sealed, name, rev) VALUES ($1, $2, $3, 1) ON CONFLICT DO NOTHING",
    update: "UPDATE senders SET document = $1, sealed = $2, rev = rev + 1 WHERE name = $3 AND rev = $4",
    delete: "DELETE FROM senders WHERE name = $1 AND rev = $2",
};

/// The table that a key is of.
pub(super) const fn table(key: &RowKey) -> &'static Table {
    match key {
        RowKey::User(_) => &USERS,
        RowKey::Identifier(_) => &IDENTIFIERS,
        RowKey::Password(_) => &PASSWORDS,
        RowKey::Session(_) => &SESSIONS,
        RowKey::Client(_) => &CLIENTS,
        RowKey::Api(_) => &APIS,
        RowKey::Attribute(_) => &ATTRIBUTES,
        RowKey::Key(_) => &KEYS,
        RowKey::Challenge(_) => &CHALLENGES,
        RowKey::Sender(_) => &SENDERS,
    }
}

/// A key as the parameters of its table's statements.
pub(super) fn key(key: &RowKey) -> Vec<Param<'_>> {
    match key {
        RowKey::User(id) => slotted(id.as_bytes()).into(),
        RowKey::Session(sid) => slotted(sid.as_bytes()).into(),
        RowKey::Password(id) => vec![Param::blob(id.as_bytes())],
        RowKey::Challenge(id) => vec![Param::blob(id.as_bytes())],
        RowKey::Identifier(text) | RowKey::Key(text) => vec![Param::text(text)],
        RowKey::Client(id) | RowKey::Api(id) => vec![Param::text(id.as_str())],
        RowKey::Attribute(name) => vec![Param::text(name.as_str())],
        RowKey::Sender(name) => vec![Param::text(name.as_str())],
    }
}

/// The key of a user or a session: where its row is, and the whole id.
pub(super) fn slotted(id: &[u8; 16]) -> [Param<'_>; 2] {
    [Param::Int(slot(id)), Param::blob(id)]
}

/// Where the row of a random id is: its first eight bytes, so that slots are in the order of ids. Two ids that share
/// them are a one in 2^64; the second is refused as a conflict, and whoever makes it takes another.
pub(super) fn slot(id: &[u8; 16]) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *id;
    i64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ i64::MIN
}

/// The row of a key, from its table's `select`.
pub(super) fn row(key: &RowKey, record: &mut Record<'_>, documents: &Documents) -> Result<Row, BadColumn> {
    Ok(match key {
        RowKey::User(_) => Row::User(user(record)?),
        RowKey::Identifier(_) => Row::Identifier(identifier(record)?),
        RowKey::Password(_) => Row::Password(password(record)?),
        RowKey::Session(_) => Row::Session(session(record)?),
        RowKey::Client(_) => Row::Client(Client::clone(&*client(record, documents)?)),
        RowKey::Api(_) => Row::Api(Api::clone(&*api(record, documents)?)),
        RowKey::Attribute(_) => Row::Attribute(declaration(record)?),
        RowKey::Key(_) => Row::Key(self::keyring_key(record)?),
        RowKey::Challenge(_) => Row::Challenge(challenge(record)?),
        RowKey::Sender(_) => Row::Sender(sender(record)?),
    })
}

/// The values of a row and its key, as its table's `insert` and `update` take them.
pub(super) fn values(row: &Row) -> Result<Vec<Param<'_>>, StoreError> {
    match row {
        Row::User(row) => user_values(row),
        Row::Identifier(row) => Ok(vec![Param::blob(row.user.as_bytes()), Param::text(&row.text)]),
        Row::Password(row) => {
            Ok(vec![Param::text(row.hash.as_phc()), Param::time(row.changed_at), Param::blob(row.user.as_bytes())])
        }
        Row::Session(row) => session_values(row),
        Row::Client(row) => {
            let life = row.longest_life.as_micros();
            let longest_life = i64::try_from(life).map_err(|_| too_large("clients", "longest_life"))?;
            Ok(vec![Param::Int(longest_life), document(row, "clients")?, Param::text(row.id.as_str())])
        }
        Row::Api(row) => {
            Ok(vec![Param::text(row.audience.as_str()), document(row, "apis")?, Param::text(row.id.as_str())])
        }
        Row::Attribute(row) => Ok(vec![document(row, "attributes")?, Param::text(row.name.as_str())]),
        Row::Key(row) => key_values(row),
        Row::Challenge(row) => challenge_values(row),
        Row::Sender(row) => Ok(vec![
            document(&row.limits, "senders")?,
            Param::blob(row.sealed.as_bytes()),
            Param::text(row.name.as_str()),
        ]),
    }
}

const fn too_large(table: &'static str, column: &'static str) -> StoreError {
    StoreError::Unstorable { table, column }
}

fn count<'a>(number: u64, table: &'static str, column: &'static str) -> Result<Param<'a>, StoreError> {
    i64::try_from(number).map(Param::Int).map_err(|_| too_large(table, column))
}

/// JSON of a value that has been checked: it fails on nothing that these types hold.
fn document<'a>(value: &impl Serialize, table: &'static str) -> Result<Param<'a>, StoreError> {
    serde_json::to_string(value).map(Param::owned).map_err(|_| too_large(table, "document"))
}

fn user_values(row: &User) -> Result<Vec<Param<'_>>, StoreError> {
    Ok(vec![
        count(row.cv, "users", "cv")?,
        count(row.epoch, "users", "epoch")?,
        Param::text(row.epoch_reason.as_str()),
        Param::text(status_word(row.status)),
        document(&row.attributes, "users")?,
        Param::time(row.created_at),
        Param::maybe(row.phone_number.as_ref(), |number| Param::text(number.as_str())),
        Param::Int(slot(row.id.as_bytes())),
        Param::blob(row.id.as_bytes()),
    ])
}

/// A user, from [`user_columns`].
pub(super) fn user(record: &mut Record<'_>) -> Result<User, BadColumn> {
    Ok(User {
        id: UserId::from_bytes(record.bytes("id")?),
        rev: record.rev()?,
        cv: record.int("cv")?,
        epoch: record.int("epoch")?,
        epoch_reason: end_reason(record.text("epoch_reason")?).ok_or(BadColumn("epoch_reason"))?,
        status: status(record.text("status")?).ok_or(BadColumn("status"))?,
        attributes: record.json("attributes")?,
        created_at: record.time("created_at")?,
        phone_number: record
            .maybe_text("phone_number")?
            .map(|text| text.parse().map_err(|_| BadColumn("phone_number")))
            .transpose()?,
    })
}

pub(super) const fn status_word(status: UserStatus) -> &'static str {
    match status {
        UserStatus::Active => "active",
        UserStatus::Disabled => "disabled",
        UserStatus::Deleted => "deleted",
    }
}

fn status(word: &str) -> Option<UserStatus> {
    [UserStatus::Active, UserStatus::Disabled, UserStatus::Deleted].into_iter().find(|&one| status_word(one) == word)
}

fn end_reason(word: &str) -> Option<EndReason> {
    EndReason::ALL.into_iter().find(|reason| reason.as_str() == word)
}

/// An identifier, from the columns of [`IDENTIFIERS`].
pub(super) fn identifier(record: &mut Record<'_>) -> Result<Identifier, BadColumn> {
    let text = record.text("text")?.to_owned();
    Ok(Identifier { text, rev: record.rev()?, user: UserId::from_bytes(record.bytes("user_id")?) })
}

/// A password, from the columns of [`PASSWORDS`].
pub(super) fn password(record: &mut Record<'_>) -> Result<PasswordRow, BadColumn> {
    Ok(PasswordRow {
        user: UserId::from_bytes(record.bytes("user_id")?),
        rev: record.rev()?,
        hash: PasswordHash::from_phc(record.text("hash")?.to_owned()),
        changed_at: record.time("changed_at")?,
    })
}

fn session_values(row: &Session) -> Result<Vec<Param<'_>>, StoreError> {
    let (ended_reason, ended_at) = match row.state {
        State::Live => (Param::Null, Param::Null),
        State::Ended { reason, at } => (Param::text(reason.as_str()), Param::time(at)),
    };
    let mut values = Vec::with_capacity(27);
    values.extend([Param::text(row.client.as_str()), count(row.epoch, "sessions", "epoch")?, ended_reason, ended_at]);
    values.extend(continuity_values(&row.continuity)?);
    values.extend([
        Param::text(row.scope.as_str()),
        Param::time(row.auth_time),
        document(&row.amr, "sessions")?,
        Param::time(row.created_at),
        Param::time(row.last_seen),
        Param::time(row.idle_at),
        Param::time(row.absolute_at),
        Param::text(&row.device.user_agent),
        Param::text(&row.device.address),
        Param::maybe(row.bound_key.as_deref(), Param::text),
        Param::blob(row.user.as_bytes()),
        Param::Int(slot(row.sid.as_bytes())),
        Param::blob(row.sid.as_bytes()),
    ]);
    Ok(values)
}

/// `policy, cookie_hash, generation, branch, parent_branch, kid, salt, delivered_at, acked_at`.
fn continuity_values(continuity: &Continuity) -> Result<[Param<'_>; 9], StoreError> {
    const N: Param<'static> = Param::Null;
    let plain = |policy| [Param::text(policy), N, N, N, N, N, N, N, N];
    Ok(match continuity {
        Continuity::Rolling => plain("rolling"),
        Continuity::Fixed => plain("fixed"),
        Continuity::Cookie(hash) => [Param::text("cookie"), Param::blob(hash.as_bytes()), N, N, N, N, N, N, N],
        Continuity::Refresh(chain) => [
            Param::text("refresh"),
            N,
            count(chain.head.generation, "sessions", "generation")?,
            Param::Int(chain.head.branch.into()),
            Param::maybe(chain.parent_branch, |branch| Param::Int(branch.into())),
            Param::Int(chain.kid.0.into()),
            Param::blob(chain.salt.as_bytes()),
            Param::time(chain.delivered_at),
            Param::maybe(chain.acked_at, Param::time),
        ],
    })
}

/// A session, from [`session_columns`].
pub(super) fn session(record: &mut Record<'_>) -> Result<Session, BadColumn> {
    Ok(Session {
        sid: SessionId::from_bytes(record.bytes("sid")?),
        rev: record.rev()?,
        user: UserId::from_bytes(record.bytes("user_id")?),
        client: record.parsed("client_id")?,
        epoch: record.int("epoch")?,
        state: state(record)?,
        continuity: continuity(record)?,
        scope: record.parsed("scope")?,
        auth_time: record.time("auth_time")?,
        amr: record.json("amr")?,
        created_at: record.time("created_at")?,
        last_seen: record.time("last_seen")?,
        idle_at: record.time("idle_at")?,
        absolute_at: record.time("absolute_at")?,
        device: Arc::new(Device {
            user_agent: record.text("user_agent")?.to_owned(),
            address: record.text("address")?.to_owned(),
        }),
        bound_key: record.maybe_text("bound_key")?.map(str::to_owned),
    })
}

fn state(record: &mut Record<'_>) -> Result<State, BadColumn> {
    match (record.maybe_text("ended_reason")?, record.maybe_time("ended_at")?) {
        (None, None) => Ok(State::Live),
        (Some(word), Some(at)) => Ok(State::Ended { reason: end_reason(word).ok_or(BadColumn("ended_reason"))?, at }),
        _ => Err(BadColumn("ended_at")),
    }
}

fn continuity(record: &mut Record<'_>) -> Result<Continuity, BadColumn> {
    let policy = record.text("policy")?;
    let cookie = record.maybe_bytes("cookie_hash")?.map(SecretHash::from_bytes);
    let chain = chain(record)?;
    match (policy, cookie, chain) {
        ("rolling", None, None) => Ok(Continuity::Rolling),
        ("fixed", None, None) => Ok(Continuity::Fixed),
        ("cookie", Some(hash), None) => Ok(Continuity::Cookie(hash)),
        ("refresh", None, Some(chain)) => Ok(Continuity::Refresh(chain)),
        _ => Err(BadColumn("policy")),
    }
}

/// The columns of the refresh machine: all there, or all absent.
fn chain(record: &mut Record<'_>) -> Result<Option<Chain>, BadColumn> {
    let generation = record.maybe_int("generation")?;
    let branch = record.maybe_int("branch")?;
    let parent_branch = record.maybe_int("parent_branch")?;
    let kid = record.maybe_int("kid")?.map(MacKeyId);
    let salt = record.maybe_bytes("salt")?.map(Salt::from_bytes);
    let delivered_at = record.maybe_time("delivered_at")?;
    let acked_at = record.maybe_time("acked_at")?;
    match (generation, branch, kid, salt, delivered_at) {
        (Some(generation), Some(branch), Some(kid), Some(salt), Some(delivered_at)) => {
            let head = Position { generation, branch };
            Ok(Some(Chain { head, parent_branch, kid, salt, delivered_at, acked_at }))
        }
        (None, None, None, None, None) if parent_branch.is_none() && acked_at.is_none() => Ok(None),
        _ => Err(BadColumn("generation")),
    }
}

/// A client, from the columns of [`CLIENTS`].
pub(super) fn client(record: &mut Record<'_>, documents: &Documents) -> Result<Arc<Client>, BadColumn> {
    let (id, rev, text) = (record.text("id")?, record.rev()?, record.text("document")?);
    documents.clients.parsed(id, rev, text)
}

/// An api, from the columns of [`APIS`].
pub(super) fn api(record: &mut Record<'_>, documents: &Documents) -> Result<Arc<Api>, BadColumn> {
    let (id, rev, text) = (record.text("id")?, record.rev()?, record.text("document")?);
    documents.apis.parsed(id, rev, text)
}

/// A declaration, from the columns of [`ATTRIBUTES`].
pub(super) fn declaration(record: &mut Record<'_>) -> Result<Declaration, BadColumn> {
    let (name, rev) = (record.text("name")?, record.rev()?);
    let declaration: Declaration = record.json("document")?;
    if declaration.name.as_str() != name {
        return Err(BadColumn("document"));
    }
    Ok(Declaration { rev, ..declaration })
}

fn key_values(row: &Key) -> Result<Vec<Param<'_>>, StoreError> {
    Ok(vec![
        Param::text(match row.purpose {
            Purpose::Sign(algorithm) => algorithm.as_str(),
            Purpose::Refresh => REFRESH,
        }),
        Param::text(key_state_word(row.state)),
        Param::time(row.since),
        Param::time(row.created_at),
        Param::blob(row.sealed.as_bytes()),
        row.public.as_ref().map_or(Ok(Param::Null), |public| document(public, "keys"))?,
        Param::text(&row.kid),
    ])
}

fn challenge_values(row: &Challenge) -> Result<Vec<Param<'_>>, StoreError> {
    Ok(vec![
        Param::blob(row.user.as_bytes()),
        document(&row.purpose, "challenges")?,
        Param::text(row.target.as_str()),
        Param::blob(row.salt.as_bytes()),
        Param::blob(row.hash.as_bytes()),
        Param::time(row.created_at),
        Param::time(row.expires_at),
        Param::blob(row.id.as_bytes()),
    ])
}

/// A challenge, from the columns of [`CHALLENGES`].
pub(super) fn challenge(record: &mut Record<'_>) -> Result<Challenge, BadColumn> {
    Ok(Challenge {
        id: ChallengeId::from_bytes(record.bytes("id")?),
        rev: record.rev()?,
        user: UserId::from_bytes(record.bytes("user_id")?),
        purpose: record.json("purpose")?,
        target: record.parsed("target")?,
        salt: Salt::from_bytes(record.bytes("salt")?),
        hash: SecretHash::from_bytes(record.bytes("hash")?),
        created_at: record.time("created_at")?,
        expires_at: record.time("expires_at")?,
    })
}

/// A sender, from the columns of [`SENDERS`].
pub(super) fn sender(record: &mut Record<'_>) -> Result<Sender, BadColumn> {
    Ok(Sender {
        name: record.parsed("name")?,
        rev: record.rev()?,
        limits: record.json("document")?,
        sealed: Sealed::from_bytes(record.blob("sealed")?.to_vec()),
    })
}

/// The purpose of a key that does not sign; the others are named by their algorithm.
const REFRESH: &str = "refresh";

/// A key, from the columns of [`KEYS`].
pub(super) fn keyring_key(record: &mut Record<'_>) -> Result<Key, BadColumn> {
    Ok(Key {
        kid: record.text("kid")?.to_owned(),
        rev: record.rev()?,
        purpose: purpose(record.text("purpose")?).ok_or(BadColumn("purpose"))?,
        state: key_state(record.text("state")?).ok_or(BadColumn("state"))?,
        since: record.time("since")?,
        created_at: record.time("created_at")?,
        sealed: Sealed::from_bytes(record.blob("sealed")?.to_vec()),
        public: record
            .maybe_text("public")?
            .map(|text| serde_json::from_str(text).map_err(|_| BadColumn("public")))
            .transpose()?,
    })
}

fn purpose(word: &str) -> Option<Purpose> {
    if word == REFRESH {
        return Some(Purpose::Refresh);
    }
    Algorithm::ALL.into_iter().find(|algorithm| algorithm.as_str() == word).map(Purpose::Sign)
}

const fn key_state_word(state: KeyState) -> &'static str {
    match state {
        KeyState::Next => "next",
        KeyState::Current => "current",
        KeyState::Retired => "retired",
        KeyState::Withdrawn => "withdrawn",
    }
}

fn key_state(word: &str) -> Option<KeyState> {
    [KeyState::Next, KeyState::Current, KeyState::Retired, KeyState::Withdrawn]
        .into_iter()
        .find(|&state| key_state_word(state) == word)
}

/// Sets the `rev` of a document that was parsed from a row.
pub(super) trait Document: Sized + Send + Sync + 'static {
    /// The document in `text`, if it is the one of `id`.
    fn read(id: &str, rev: Rev, text: &str) -> Option<Self>;
}

impl Document for Client {
    fn read(id: &str, rev: Rev, text: &str) -> Option<Self> {
        let client: Self = serde_json::from_str(text).ok()?;
        (client.id.as_str() == id).then_some(Self { rev, ..client })
    }
}

impl Document for Api {
    fn read(id: &str, rev: Rev, text: &str) -> Option<Self> {
        let api: Self = serde_json::from_str(text).ok()?;
        (api.id.as_str() == id).then_some(Self { rev, ..api })
    }
}

/// How a key reads in an error.
pub(super) fn printed(field: super::record::Field<'_>) -> String {
    use super::record::Field;
    match field {
        Field::Int(number) => number.to_string(),
        Field::Text(text) => text.to_owned(),
        Field::Blob(bytes) => match bytes.try_into() {
            Ok(id) => UserId::from_bytes(id).to_string(),
            Err(_) => format!("({} bytes)", bytes.len()),
        },
        Field::Null | Field::Foreign => "(none)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_that_is_written_is_read_back_and_no_other() {
        for reason in EndReason::ALL {
            assert_eq!(end_reason(reason.as_str()), Some(reason));
        }
        for algorithm in Algorithm::ALL {
            assert_eq!(purpose(algorithm.as_str()), Some(Purpose::Sign(algorithm)));
        }
        assert_eq!((end_reason("Logout"), purpose("none"), status(""), key_state("NEXT")), (None, None, None, None));
    }

    #[test]
    fn parameters_are_numbered_in_the_order_of_their_first_use() {
        for table in [USERS, IDENTIFIERS, PASSWORDS, SESSIONS, CLIENTS, APIS, ATTRIBUTES, KEYS, CHALLENGES, SENDERS] {
            for sql in [table.select, table.rev, table.insert, table.update, table.delete] {
                let numbers = sql.split('$').skip(1).map(|rest| {
                    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<usize>().unwrap()
                });
                assert!(numbers.eq(1..=sql.matches('$').count()), "{sql}");
            }
        }
    }
}
