//! The data that is measured: one api, one client, and sessions whose heads were delivered long ago, each with a user
//! of its own. Made through the store; nothing random, so that their refresh tokens can be derived again.

use std::path::Path;
use std::time::Duration;

use remint::app::{App, DATA_FILE};
use remint::clock::Clock;
use remint::entropy::Entropy;
use remint::settings::Settings;
use remint::store::{Commit, FeedHead};
use remint_core::change::{Changes, Identifier, PasswordRow, Row};
use remint_core::client::{Api, Client};
use remint_core::cookie::SessionCookie;
use remint_core::id::{SessionId, UserId};
use remint_core::policy::Policy;
use remint_core::refresh::{self, Chain, MacKeyId, Position};
use remint_core::rev::Rev;
use remint_core::secret::{ClientSecret, MacKey, Password, Salt, SecretHash};
use remint_core::session::{Continuity, Device, Opening, Session};
use remint_core::time::Timestamp;
use remint_core::user::{Attributes, User, UserStatus};
use serde_json::json;
use tempfile::TempDir;

use crate::postgres::Postgres;
use crate::{Database, Fallible};

pub(crate) const MASTER_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// The client, the api, and the api's audience and credential.
pub(crate) const CLIENT: &str = "bench";
pub(crate) const API: &str = "bench-api";

/// A client of the cookie policy, and one that gets tokens of its own.
pub(crate) const WEB: &str = "bench-web";
pub(crate) const SERVICE: &str = "bench-service";
/// Whose people log in: `person-<number>`, with the password [`PASSWORD`]; as many `bare-<number>`, who have none, and
/// `away-<number>`, who are disabled.
pub(crate) const PEOPLE: u64 = 64;
pub(crate) const PASSWORD: &str = "correct horse battery staple";

/// What the holder of a session has.
#[derive(Clone, Copy)]
pub(crate) enum Proof {
    RefreshToken,
    Cookie,
}

/// Sessions that are written in one transaction.
const AT_ONCE: u64 = 4000;
/// How long ago they were opened: longer than R, shorter than any limit.
const AGE: Duration = Duration::from_secs(3600);
/// A step that visits all sessions, none twice, in no order of the file. It is prime.
const STEP: u64 = 7_368_787;

/// A data folder, removed when dropped, and what its refresh tokens are derived with.
pub(crate) struct Seeded {
    postgres: Option<Postgres>,
    folder: TempDir,
    sessions: u64,
    kid: MacKeyId,
    key: MacKey,
    /// The number of the last event in the feed.
    pub(crate) feed: u64,
}

/// The settings of the measured server: the defaults, but that one address may fail as often as it likes, for all requests
/// come from one.
pub(crate) fn settings(data: &Path, issuer_port: u16, database: Option<&str>) -> Fallible<Settings> {
    let mut settings = Settings::new(format!("http://127.0.0.1:{issuer_port}").parse()?, data.to_owned());
    settings.limits.logins_per_address = u32::MAX;
    match database {
        None => Ok(settings),
        Some(url) => Ok(settings.with_database(url.parse()?)),
    }
}

/// The secret of the api's credential, and of the client that gets tokens of its own.
pub(crate) fn api_secret() -> ClientSecret {
    ClientSecret::from_random([7; 32])
}

impl Seeded {
    /// On SQLite.
    pub(crate) async fn new(sessions: u64, proof: Proof) -> Fallible<Self> {
        Self::on(sessions, proof, Database::Sqlite).await
    }

    /// Makes the folder beside this program: on a disk, where a commit costs what it costs.
    pub(crate) async fn on(sessions: u64, proof: Proof, database: Database) -> Fallible<Self> {
        let program = std::env::current_exe()?;
        let beside = program.parent().ok_or("the program is in no folder")?;
        let folder = tempfile::Builder::new().prefix("bench-data-").tempdir_in(beside)?;
        let postgres = match database {
            Database::Sqlite => None,
            Database::Postgres => Some(Postgres::start(beside)?),
        };
        let settings = settings(folder.path(), 1, postgres.as_ref().map(Postgres::url).as_deref())?;
        let app = App::open(settings, MASTER_KEY.parse()?, Clock::system(), Entropy::system()).await?;
        let (kid, key) = app.keyring.current_refresh();
        furnish(&app).await?;
        let opened = app.clock.now().minus(AGE);
        for from in (0..sessions).step_by(AT_ONCE as usize) {
            let numbers = from..(from + AT_ONCE).min(sessions);
            commit(&app, numbers.fold(Changes::none(), |changes, n| session(changes, n, (proof, kid), opened))).await?;
        }
        let feed = app.store.read(FeedHead).await?.seq;
        app.store.clone().close().await;
        Ok(Self { postgres, folder, sessions, kid, key, feed })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The database, where the sessions are in one.
    pub(crate) fn postgres(&self) -> Fallible<&Postgres> {
        self.postgres.as_ref().ok_or_else(|| "the sessions are in a file".into())
    }

    /// What a server of this data is told.
    pub(crate) fn settings(&self, port: u16) -> Fallible<Settings> {
        settings(self.path(), port, self.postgres.as_ref().map(Postgres::url).as_deref())
    }

    /// The cookie of the n-th session that is visited, over and over.
    pub(crate) fn cookie(&self, n: u64) -> String {
        cookie(n * STEP % self.sessions).reveal()
    }

    /// How large the data file is with its log, or the database without it, in bytes.
    pub(crate) fn bytes(&self) -> Fallible<u64> {
        if let Some(postgres) = &self.postgres {
            return Ok(postgres.ask("SELECT pg_database_size(current_database())")?.parse()?);
        }
        let files = std::fs::read_dir(self.folder.path())?.collect::<Result<Vec<_>, _>>()?;
        let data = files.iter().filter(|file| file.file_name().to_string_lossy().starts_with(DATA_FILE));
        Ok(data.map(|file| file.metadata().map(|metadata| metadata.len())).sum::<Result<u64, _>>()?)
    }

    /// The refresh token of the n-th session that is visited; none beyond the last.
    pub(crate) fn token(&self, n: u64) -> Option<String> {
        let (sid, salt) = identity((n < self.sessions).then(|| n * STEP % self.sessions)?);
        let head = Position { generation: 0, branch: 0 };
        Some(refresh::derive(self.kid, &self.key, sid, &salt, head).reveal())
    }
}

async fn commit(app: &App, changes: Changes) -> Fallible<()> {
    match app.store.commit(changes).await? {
        Commit::Done { .. } => Ok(()),
        Commit::Conflict { key, .. } => Err(format!("there is such a row already: {key:?}").into()),
    }
}

async fn furnish(app: &App) -> Fallible<()> {
    let api: Api = serde_json::from_value(json!({
        "id": API, "audience": API, "scopes": "read write", "secret": api_secret().hash(),
    }))?;
    let client: Client = serde_json::from_value(json!({
        "id": CLIENT, "first_party": true, "policy": Policy::refresh(), "apis": [API], "scopes": "read write",
        "mapping": { "nickname": "nickname", "role": "role" },
    }))?;
    let web = Client { id: WEB.parse()?, policy: Policy::cookie(), ..client.clone() };
    let (id, secret) = (SERVICE.parse()?, Some(api_secret().hash()));
    let service = Client { id, secret, client_credentials: true, policy: Policy::fixed(), ..client.clone() };
    let mut changes = Changes::none();
    for client in [client, web, service] {
        changes = changes.write(Row::Client(client.checked(None, std::slice::from_ref(&api), &app.settings.timing)?));
    }
    changes = people(app, changes.write(Row::Api(api))).await?;
    for name in ["nickname", "role"] {
        changes = changes.write(Row::Attribute(serde_json::from_value(json!({ "name": name, "type": "string" }))?));
    }
    commit(app, changes).await
}

/// A session's id and salt.
fn identity(number: u64) -> (SessionId, Salt) {
    let hash = SecretHash::of(&number.to_be_bytes());
    let (sid, salt) = hash.as_bytes().split_at(16);
    let half = |bytes: &[u8]| std::array::from_fn(|at| bytes[at]);
    (SessionId::from_bytes(half(sid)), Salt::from_bytes(half(salt)))
}

/// People with a password, all the same one; people without one; people who are disabled.
async fn people(app: &App, mut changes: Changes) -> Fallible<Changes> {
    let (now, password) = (app.clock.now(), Password::new(PASSWORD.to_owned()).ok_or("a password that is too long")?);
    let hash = app.passwords.hash(password).await?;
    for (kind, number) in ["person", "bare", "away"].into_iter().flat_map(|kind| (0..PEOPLE).map(move |n| (kind, n))) {
        let id = UserId::from_bytes(app.entropy.bytes());
        let status = if kind == "away" { UserStatus::Disabled } else { UserStatus::Active };
        let user = User { status, ..User::new(id, Attributes::new(), now) };
        let identifier = Identifier { text: format!("{kind}-{number}"), user: id, rev: Rev::NEW };
        changes = changes.write(Row::User(user)).write(Row::Identifier(identifier));
        if kind != "bare" {
            let password = PasswordRow { user: id, hash: hash.clone(), changed_at: now, rev: Rev::NEW };
            changes = changes.write(Row::Password(password));
        }
    }
    Ok(changes)
}

/// The cookie of a session.
fn cookie(number: u64) -> SessionCookie {
    let secret = SecretHash::of(&(number + 1).to_le_bytes());
    SessionCookie::from_random(identity(number).0, *secret.as_bytes())
}

fn session(changes: Changes, number: u64, (proof, kid): (Proof, MacKeyId), opened: Timestamp) -> Changes {
    let (sid, salt) = identity(number);
    let attributes = json!({ "nickname": format!("user {number}"), "role": "engineer" });
    let attributes = serde_json::from_value(attributes).unwrap_or_default();
    let user = User::new(UserId::from_bytes(*sid.as_bytes()), attributes, opened);
    let opening = Opening {
        sid,
        continuity: match proof {
            Proof::RefreshToken => Continuity::Refresh(Chain::new(kid, salt, opened)),
            Proof::Cookie => Continuity::Cookie(cookie(number).hash()),
        },
        scope: "read write".parse().unwrap_or_default(),
        amr: vec!["pwd".to_owned()],
        device: Device::new("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "203.0.113.7"),
    };
    let (client, policy) = match proof {
        Proof::RefreshToken => (CLIENT, Policy::refresh()),
        Proof::Cookie => (WEB, Policy::cookie()),
    };
    let client = client.parse().unwrap_or_else(|_| unreachable!("a constant that is an id"));
    let session = Session::open(&user, &client, &policy, opening, opened);
    changes.write(Row::User(user)).write(Row::Session(session))
}
