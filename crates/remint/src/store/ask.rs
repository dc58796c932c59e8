//! Questions: what can be asked of the store, each a small value with the SQL that answers it. A question sees one
//! snapshot. Never writes, and never turns a failure into "not found": `None` says that the row is not there.

use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use remint_core::attribute::Declarations;
use remint_core::change::{Identifier, PasswordRow, Row, RowKey};
use remint_core::client::{Api, Client};
use remint_core::code::Challenge;
use remint_core::event::{ChainHash, Concerns, Cursor, Event};
use remint_core::id::{Audience, ChallengeId, ClientId, Jti, SessionId, UserId};
use remint_core::key::Key;
use remint_core::refresh::MacKeyId;
use remint_core::sender::{Sender, SenderName};
use remint_core::session::Session;
use remint_core::time::Timestamp;
use remint_core::user::User;
use rusqlite::Connection;

use super::documents::{Age, Documents, Unchanged};
use super::error::StoreError;
use super::postgres;
use super::record::{Answer, BadColumn, Param, Record};
use super::rows::{self, session_columns, user_columns};
use super::sqlite::{failed, prepared};
use super::take::Counted;

/// Something to ask of the store.
pub trait Question: Send + 'static {
    /// What it answers.
    type Answer: Send + 'static;

    /// Whether it reads more than a few rows by their keys. Then it is asked on a thread that may block; the others
    /// are asked where they stand, because a read by primary key costs a few microseconds.
    const SCAN: bool = false;

    /// Whether it asks one statement, and neither for a client nor for an api: that is a snapshot by itself. One that asks
    /// more than it said is answered with an error where that matters.
    const ONE_STATEMENT: bool = false;

    /// Whether it is asked of the writer, between two commits: see [`BeforeCommit`].
    const BEFORE_COMMIT: bool = false;

    /// Whether memory may have the answer: of clients and apis.
    const REMEMBERED: bool = false;

    /// The answer, where memory has it as of this age.
    fn remembered(&self, _: &Documents, _: Age) -> Option<Self::Answer> {
        None
    }

    /// The session that it asks for first, with the user whose it is. A store that is asked many questions at once may
    /// fetch all of these together.
    fn session(&self) -> Option<SessionId> {
        None
    }

    /// Asks, in one snapshot.
    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError>;
}

/// Asks single statements in the snapshot of a question.
pub struct Reader<'a> {
    pub(super) source: Source<'a>,
    pub(super) documents: &'a Documents,
}

/// Where rows come from.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    Sqlite {
        connection: &'a Connection,
        /// The age of the documents before the snapshot began; none in a transaction that writes.
        age: Option<Age>,
    },
    Postgres(&'a postgres::Session),
}

impl Source<'_> {
    /// Shows the rows that a statement answers, in its order, until `see` has seen enough.
    fn each(
        self,
        sql: &'static str,
        params: &[Param<'_>],
        mut see: impl FnMut(Record<'_>) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Sqlite { connection, .. } => {
                let mut statement = prepared(connection, sql, params).map_err(failed)?;
                let mut rows = statement.raw_query();
                while let Some(row) = rows.next().map_err(failed)? {
                    if see(Record::of(Answer::Sqlite(row)))?.is_break() {
                        break;
                    }
                }
            }
            Self::Postgres(session) => {
                for row in &session.rows(sql, params)? {
                    if see(Record::of(Answer::Postgres(row)))?.is_break() {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The row of a key, or that there is none, where it was fetched with others in this snapshot.
    fn fetched(self, key: &RowKey) -> Option<Option<Rc<tokio_postgres::Row>>> {
        match self {
            Self::Sqlite { .. } => None,
            Self::Postgres(session) => session.fetched(key),
        }
    }

    fn age(self) -> Result<Option<Age>, StoreError> {
        match self {
            Self::Sqlite { age, .. } => Ok(age),
            Self::Postgres(session) => Ok(session.age()?),
        }
    }
}

impl Reader<'_> {
    /// The first row that the statement answers, if there is one. Its first column is the key of the row in `table`.
    pub fn one<T>(
        &self,
        table: &'static str,
        sql: &'static str,
        params: &[Param<'_>],
        decode: impl FnOnce(&mut Record<'_>) -> Result<T, BadColumn>,
    ) -> Result<Option<T>, StoreError> {
        let (mut decode, mut found) = (Some(decode), None);
        self.source.each(sql, params, |record| {
            found = decode.take().map(|decode| decoded(table, record, decode)).transpose()?;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }

    /// All rows that the statement answers, in its order. Their first column is the key of the row in `table`.
    pub fn all<T>(
        &self,
        table: &'static str,
        sql: &'static str,
        params: &[Param<'_>],
        mut decode: impl FnMut(&mut Record<'_>) -> Result<T, BadColumn>,
    ) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        self.source.each(sql, params, |record| {
            all.push(decoded(table, record, &mut decode)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(all)
    }

    /// The row of a key.
    pub fn row(&self, key: &RowKey) -> Result<Option<Row>, StoreError> {
        let table = rows::table(key);
        self.one(table.name, table.select, &rows::key(key), |record| rows::row(key, record, self.documents))
    }

    fn session(&self, sid: SessionId) -> Result<Option<Session>, StoreError> {
        if let Some(fetched) = self.source.fetched(&RowKey::Session(sid)) {
            return fetched
                .map(|row| decoded("sessions", Record::of(Answer::Postgres(&row)), rows::session))
                .transpose();
        }
        let table = rows::SESSIONS;
        self.one(table.name, table.select, &rows::slotted(sid.as_bytes()), rows::session)
    }

    pub(super) fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        if let Some(fetched) = self.source.fetched(&RowKey::User(id)) {
            return fetched.map(|row| decoded("users", Record::of(Answer::Postgres(&row)), rows::user)).transpose();
        }
        let table = rows::USERS;
        self.one(table.name, table.select, &rows::slotted(id.as_bytes()), rows::user)
    }

    fn password(&self, id: UserId) -> Result<Option<PasswordRow>, StoreError> {
        let table = rows::PASSWORDS;
        self.one(table.name, table.select, &[Param::blob(id.as_bytes())], rows::password)
    }

    pub(super) fn identifiers(&self, of: UserId) -> Result<Vec<Identifier>, StoreError> {
        let sql = "SELECT text, rev, user_id FROM identifiers WHERE user_id = $1 ORDER BY text";
        self.all("identifiers", sql, &[Param::blob(of.as_bytes())], rows::identifier)
    }

    fn account(&self, id: UserId) -> Result<Option<Account>, StoreError> {
        let Some(user) = self.user(id)? else { return Ok(None) };
        Ok(Some(Account { user, password: self.password(id)? }))
    }

    fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, StoreError> {
        let table = rows::CLIENTS;
        self.documents.clients_by_id.or_read(id.as_str(), self.source.age()?, || {
            let key = Param::text(id.as_str());
            self.one(table.name, table.select, &[key], |record| rows::client(record, self.documents))
        })
    }

    fn api(&self, kept: &Unchanged<Api>, sql: &'static str, key: &str) -> Result<Option<Arc<Api>>, StoreError> {
        kept.or_read(key, self.source.age()?, || {
            self.one("apis", sql, &[Param::text(key)], |record| rows::api(record, self.documents))
        })
    }

    /// A counter, as it is stored.
    pub(super) fn counter(&self, key: &str) -> Result<Option<Counted>, StoreError> {
        let sql = "SELECT key, count, started_at, expires_at FROM counters WHERE key = $1";
        self.one("counters", sql, &[Param::text(key)], |record| {
            record.text("key")?;
            Ok(Counted {
                count: record.int("count")?,
                started_at: record.time("started_at")?,
                expires_at: record.time("expires_at")?,
            })
        })
    }

    /// Where the feed stands. Its row is made with the file: a file without it is corrupt.
    pub(super) fn feed_head(&self) -> Result<Cursor, StoreError> {
        let head = self.one("feed_head", "SELECT seq, chain FROM feed_head WHERE one = 1", &[], cursor)?;
        head.ok_or_else(no_feed_head)
    }
}

pub(super) fn no_feed_head() -> StoreError {
    StoreError::Corrupt { table: "feed_head", key: "1".to_owned(), what: "the row is missing".to_owned() }
}

pub(super) fn decoded<T>(
    table: &'static str,
    mut record: Record<'_>,
    decode: impl FnOnce(&mut Record<'_>) -> Result<T, BadColumn>,
) -> Result<T, StoreError> {
    decode(&mut record).map_err(|BadColumn(column)| StoreError::Corrupt {
        table,
        key: rows::printed(record.key()),
        what: format!("unreadable `{column}`"),
    })
}

/// A question of few rows by their keys, after which a commit of the same rows is to be expected. The writer answers
/// it with all others that wait, in one snapshot and from the pages that it keeps; a connection that only reads would
/// fetch most of them anew after every commit. It waits behind the commit that is under way.
#[derive(Clone, Copy, Debug)]
pub struct BeforeCommit<Q>(pub Q);

impl<Q: Question> Question for BeforeCommit<Q> {
    type Answer = Q::Answer;
    const BEFORE_COMMIT: bool = true;

    fn session(&self) -> Option<SessionId> {
        self.0.session()
    }

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        self.0.ask(reader)
    }
}

/// Where a page of users or sessions begins: behind this id, or at the first.
pub(super) fn behind(after: Option<&[u8; 16]>) -> [Param<'_>; 2] {
    after.map_or([Param::Int(i64::MIN), Param::blob(&[])], rows::slotted)
}

/// A session by its id.
#[derive(Clone, Copy, Debug)]
pub struct SessionById(pub SessionId);

impl Question for SessionById {
    type Answer = Option<Session>;
    const ONE_STATEMENT: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        reader.session(self.0)
    }
}

/// A session with its user and its client, as one snapshot shows them. Nothing where one of the three is not there.
#[derive(Clone, Copy, Debug)]
pub struct Holding(pub SessionId);

/// What [`Holding`] answers.
#[derive(Clone, Debug)]
pub struct Held {
    /// The session.
    pub session: Session,
    /// Whose it is.
    pub user: User,
    /// At which client.
    pub client: Arc<Client>,
    /// How old clients and apis are in that snapshot: see [`Store::read_as_of`](super::Store::read_as_of).
    pub seen: Option<Age>,
}

impl Question for Holding {
    type Answer = Option<Held>;

    fn session(&self) -> Option<SessionId> {
        Some(self.0)
    }

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let Some(session) = reader.session(self.0)? else { return Ok(None) };
        let (user, client) = (reader.user(session.user)?, reader.client(&session.client)?);
        let seen = reader.source.age()?;
        Ok(user.zip(client).map(|(user, client)| Held { session, user, client, seen }))
    }
}

/// A user by id.
#[derive(Clone, Copy, Debug)]
pub struct UserById(pub UserId);

impl Question for UserById {
    type Answer = Option<User>;
    const ONE_STATEMENT: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        reader.user(self.0)
    }
}

/// A user by an identifier in its canonical form, with the password.
#[derive(Clone, Debug)]
pub struct AccountOf(pub String);

/// A user by id, with the password.
#[derive(Clone, Copy, Debug)]
pub struct AccountById(pub UserId);

/// What [`AccountOf`] and [`AccountById`] answer.
#[derive(Clone, Debug)]
pub struct Account {
    /// The user.
    pub user: User,
    /// The password, if the user has one.
    pub password: Option<PasswordRow>,
}

impl Question for AccountOf {
    type Answer = Option<Account>;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let table = rows::IDENTIFIERS;
        let found = reader.one(table.name, table.select, &[Param::text(&self.0)], rows::identifier)?;
        found.map_or(Ok(None), |identifier| reader.account(identifier.user))
    }
}

impl Question for AccountById {
    type Answer = Option<Account>;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        reader.account(self.0)
    }
}

/// The identifiers of a user, in order.
#[derive(Clone, Copy, Debug)]
pub struct IdentifiersOf(pub UserId);

impl Question for IdentifiersOf {
    type Answer = Vec<Identifier>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        reader.identifiers(self.0)
    }
}

/// A code that was sent, by the key of its row.
#[derive(Clone, Copy, Debug)]
pub struct ChallengeById(pub ChallengeId);

impl Question for ChallengeById {
    type Answer = Option<Challenge>;
    const ONE_STATEMENT: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let table = rows::CHALLENGES;
        reader.one(table.name, table.select, &[Param::blob(self.0.as_bytes())], rows::challenge)
    }
}

/// Users in the order of their ids.
#[derive(Clone, Copy, Debug)]
pub struct Users {
    /// Only those behind this one.
    pub after: Option<UserId>,
    /// At most so many.
    pub limit: usize,
}

impl Question for Users {
    type Answer = Vec<User>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql =
            concat!("SELECT ", user_columns!(), " FROM users WHERE slot >= $1 AND id > $2 ORDER BY slot LIMIT $3");
        let [slot, id] = behind(self.after.as_ref().map(UserId::as_bytes));
        reader.all("users", sql, &[slot, id, Param::limit(self.limit)], rows::user)
    }
}

/// A client by its `client_id`.
#[derive(Clone, Debug)]
pub struct ClientById(pub ClientId);

impl Question for ClientById {
    type Answer = Option<Arc<Client>>;
    const REMEMBERED: bool = true;

    fn remembered(&self, documents: &Documents, age: Age) -> Option<Self::Answer> {
        documents.clients_by_id.known(self.0.as_str(), age).map(Some)
    }

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        reader.client(&self.0)
    }
}

/// All clients, in the order of their ids.
#[derive(Clone, Copy, Debug)]
pub struct Clients;

impl Question for Clients {
    type Answer = Vec<Arc<Client>>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let documents = reader.documents;
        let sql = "SELECT id, rev, document FROM clients ORDER BY id";
        reader.all("clients", sql, &[], |record| rows::client(record, documents))
    }
}

/// An api by the `client_id` of its credential.
#[derive(Clone, Debug)]
pub struct ApiById(pub ClientId);

/// An api by its audience.
#[derive(Clone, Debug)]
pub struct ApiFor(pub Audience);

impl Question for ApiById {
    type Answer = Option<Arc<Api>>;
    const REMEMBERED: bool = true;

    fn remembered(&self, documents: &Documents, age: Age) -> Option<Self::Answer> {
        documents.apis_by_id.known(self.0.as_str(), age).map(Some)
    }

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        reader.api(&reader.documents.apis_by_id, rows::APIS.select, self.0.as_str())
    }
}

impl Question for ApiFor {
    type Answer = Option<Arc<Api>>;
    const REMEMBERED: bool = true;

    fn remembered(&self, documents: &Documents, age: Age) -> Option<Self::Answer> {
        documents.apis_by_audience.known(self.0.as_str(), age).map(Some)
    }

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT id, rev, document FROM apis WHERE audience = $1";
        reader.api(&reader.documents.apis_by_audience, sql, self.0.as_str())
    }
}

/// All apis, in the order of their ids.
#[derive(Clone, Copy, Debug)]
pub struct Apis;

impl Question for Apis {
    type Answer = Vec<Arc<Api>>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let documents = reader.documents;
        let sql = "SELECT id, rev, document FROM apis ORDER BY id";
        reader.all("apis", sql, &[], |record| rows::api(record, documents))
    }
}

/// The declared attributes.
#[derive(Clone, Copy, Debug)]
pub struct DeclaredAttributes;

impl Question for DeclaredAttributes {
    type Answer = Declarations;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT name, rev, document FROM attributes ORDER BY name";
        Ok(reader.all("attributes", sql, &[], rows::declaration)?.into_iter().collect())
    }
}

/// All keys of the keyring, in the order of their making.
#[derive(Clone, Copy, Debug)]
pub struct Keys;

impl Question for Keys {
    type Answer = Vec<Key>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT kid, rev, purpose, state, since, created_at, sealed, public FROM keys \
                   ORDER BY created_at, kid";
        reader.all("keys", sql, &[], rows::keyring_key)
    }
}

/// A sender of messages by its name.
#[derive(Clone, Copy, Debug)]
pub struct SenderNamed(pub SenderName);

impl Question for SenderNamed {
    type Answer = Option<Sender>;
    const ONE_STATEMENT: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let table = rows::SENDERS;
        reader.one(table.name, table.select, &[Param::text(self.0.as_str())], rows::sender)
    }
}

/// The sessions of a user, the one last seen first.
#[derive(Clone, Copy, Debug)]
pub struct SessionsOf {
    /// Whose.
    pub user: UserId,
    /// At most so many.
    pub limit: usize,
}

impl Question for SessionsOf {
    type Answer = Vec<Session>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions WHERE user_id = $1 ORDER BY last_seen DESC, sid LIMIT $2"
        );
        let params = [Param::blob(self.user.as_bytes()), Param::limit(self.limit)];
        reader.all("sessions", sql, &params, rows::session)
    }
}

/// The sessions whose head was derived with a key, in the order of their ids. Reads the whole table: for the rare
/// withdrawal of a key.
#[derive(Clone, Copy, Debug)]
pub struct SessionsDerivedWith {
    /// The key.
    pub kid: MacKeyId,
    /// Only those behind this one.
    pub after: Option<SessionId>,
    /// At most so many.
    pub limit: usize,
}

impl Question for SessionsDerivedWith {
    type Answer = Vec<Session>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions WHERE slot >= $1 AND sid > $2 AND kid = $3 ORDER BY slot LIMIT $4"
        );
        let [slot, sid] = behind(self.after.as_ref().map(SessionId::as_bytes));
        let params = [slot, sid, Param::Int(self.kid.0.into()), Param::limit(self.limit)];
        reader.all("sessions", sql, &params, rows::session)
    }
}

/// Where the feed stands.
#[derive(Clone, Copy, Debug)]
pub struct FeedHead;

impl Question for FeedHead {
    type Answer = Cursor;
    const ONE_STATEMENT: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        reader.feed_head()
    }
}

/// An event of the feed, as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedEntry {
    /// Its place: its number and the history up to and with it.
    pub cursor: Cursor,
    /// The event as JSON, byte for byte as the chain was made of it.
    pub text: String,
    /// Who is to hear of it.
    pub concerns: Concerns,
    /// When it was decided.
    pub at: Timestamp,
    /// When it can be forgotten, leeway not included.
    pub forget_after: Timestamp,
}

pub(super) fn cursor(record: &mut Record<'_>) -> Result<Cursor, BadColumn> {
    Ok(Cursor { seq: record.int("seq")?, chain: ChainHash::from_bytes(record.bytes("chain")?) })
}

fn entry(record: &mut Record<'_>) -> Result<FeedEntry, BadColumn> {
    Ok(FeedEntry {
        cursor: cursor(record)?,
        text: record.text("event")?.to_owned(),
        concerns: record.json("concerns")?,
        at: record.time("at")?,
        forget_after: record.time("forget_after")?,
    })
}

/// The events behind a number, in order.
#[derive(Clone, Copy, Debug)]
pub struct FeedAfter {
    /// The number; zero for all.
    pub seq: u64,
    /// At most so many.
    pub limit: usize,
}

impl Question for FeedAfter {
    type Answer = Vec<FeedEntry>;
    const ONE_STATEMENT: bool = true; // of a few rows by their key: an ending must not wait behind somebody's list

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT seq, chain, event, concerns, at, forget_after FROM feed WHERE seq > $1 ORDER BY seq LIMIT $2";
        reader.all("feed", sql, &[number(self.seq), Param::limit(self.limit)], entry)
    }
}

/// The events that are not yet to be forgotten, in the order in which they will be: what a snapshot is made of. What is
/// to be forgotten costs nothing, however much of it there is.
#[derive(Clone, Copy, Debug)]
pub struct FeedAlive {
    /// Only those behind this `forget_after` and number: of the last event of the page before, or [`FeedAlive::at`].
    pub after: (Timestamp, u64),
    /// None behind this number.
    pub until: u64,
    /// At most so many.
    pub limit: usize,
}

impl Question for FeedAlive {
    type Answer = Vec<FeedEntry>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT seq, chain, event, concerns, at, forget_after FROM feed \
                   WHERE (forget_after, seq) > ($1, $2) AND seq <= $3 ORDER BY forget_after, seq LIMIT $4";
        let (forget_after, seq) = self.after;
        let params = [Param::time(forget_after), number(seq), number(self.until), Param::limit(self.limit)];
        reader.all("feed", sql, &params, entry)
    }
}

impl FeedAlive {
    /// Where those begin that are alive at `now`. Take the leeway of verifiers off it.
    pub const fn at(now: Timestamp) -> (Timestamp, u64) {
        (now, u64::MAX)
    }
}

/// Whether a token without a session was revoked. The feed is asked, where its ending stands until it would have
/// expired anyway: at its own `exp`, so an index finds it.
#[derive(Clone, Copy, Debug)]
pub struct TokenRevoked {
    /// The token.
    pub jti: Jti,
    /// When it expires.
    pub exp: Timestamp,
}

impl Question for TokenRevoked {
    type Answer = bool;
    const ONE_STATEMENT: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let told = Event::TokenEnded { jti: self.jti, forget_after: self.exp };
        let sql = "SELECT seq, event FROM feed WHERE forget_after = $1 ORDER BY seq";
        let event = |record: &mut Record<'_>| {
            record.int::<u64>("seq")?;
            record.text("event").map(|text| serde_json::from_str(text).is_ok_and(|event: Event| event == told))
        };
        Ok(reader.all("feed", sql, &[Param::time(self.exp)], event)?.contains(&true))
    }
}

/// The place with a number, if the feed still has it; zero is where the history of this installation begins.
#[derive(Clone, Copy, Debug)]
pub struct FeedAt(pub u64);

impl Question for FeedAt {
    type Answer = Option<Cursor>;
    const ONE_STATEMENT: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        if self.0 == 0 {
            let origin = |record: &mut Record<'_>| record.bytes("origin").map(ChainHash::from_bytes);
            let chain = reader.one("feed_head", "SELECT origin FROM feed_head WHERE one = 1", &[], origin)?;
            return Ok(Some(Cursor { seq: 0, chain: chain.ok_or_else(no_feed_head)? }));
        }
        reader.one("feed", "SELECT seq, chain FROM feed WHERE seq = $1", &[number(self.0)], cursor)
    }
}

/// A number that somebody sent: one beyond what a column holds is behind every event.
fn number(seq: u64) -> Param<'static> {
    Param::Int(i64::try_from(seq).unwrap_or(i64::MAX))
}

/// The longest access life that any client ever had: what the feed must remember an ending of a user for.
#[derive(Clone, Copy, Debug)]
pub struct LongestLife;

impl Question for LongestLife {
    type Answer = Duration;
    const ONE_STATEMENT: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT MAX(longest_life) FROM clients";
        let longest = reader.one("clients", sql, &[], |record| record.maybe_int("longest_life"))?;
        Ok(longest.flatten().map_or(Duration::ZERO, Duration::from_micros))
    }
}

/// A counter, as the last [`Take`](remint_core::change::Take) left it.
#[derive(Clone, Debug)]
pub struct Counter(pub String);

impl Question for Counter {
    type Answer = Option<Counted>;
    const ONE_STATEMENT: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        reader.counter(&self.0)
    }
}
