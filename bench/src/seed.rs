//! The data that is measured: one api, one client, and sessions whose heads were delivered long ago, each with a user
//! of its own. Made through the store; nothing random, so that their refresh tokens can be derived again.

use std::path::Path;
use std::time::Duration;

use remint::app::App;
use remint::clock::Clock;
use remint::entropy::Entropy;
use remint::settings::Settings;
use remint::store::{Commit, FeedHead};
use remint_core::change::{Changes, Row};
use remint_core::client::{Api, Client};
use remint_core::id::{SessionId, UserId};
use remint_core::policy::Policy;
use remint_core::refresh::{self, Chain, MacKeyId, Position};
use remint_core::secret::{ClientSecret, MacKey, Salt, SecretHash};
use remint_core::session::{Continuity, Device, Opening, Session};
use remint_core::time::Timestamp;
use remint_core::user::User;
use serde_json::json;
use tempfile::TempDir;

use crate::Fallible;

pub(crate) const MASTER_KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// The client, the api, and the api's audience and credential.
pub(crate) const CLIENT: &str = "bench";
pub(crate) const API: &str = "bench-api";

/// Sessions that are written in one transaction.
const AT_ONCE: u64 = 4000;
/// How long ago they were opened: longer than R, shorter than any limit.
const AGE: Duration = Duration::from_secs(3600);
/// A step that visits all sessions, none twice, in no order of the file. It is prime.
const STEP: u64 = 7_368_787;

/// A data folder, removed when dropped, and what its refresh tokens are derived with.
pub(crate) struct Seeded {
    folder: TempDir,
    sessions: u64,
    kid: MacKeyId,
    key: MacKey,
    /// The number of the last event in the feed.
    pub(crate) feed: u64,
}

/// The settings of the measured server: the defaults.
pub(crate) fn settings(data: &Path, port: u16) -> Fallible<Settings> {
    Ok(Settings::new(format!("http://127.0.0.1:{port}").parse()?, data.to_owned()))
}

/// The secret of the api's credential.
pub(crate) fn api_secret() -> ClientSecret {
    ClientSecret::from_random([7; 32])
}

impl Seeded {
    /// Makes the folder beside this program: on a disk, where a commit costs what it costs.
    pub(crate) async fn new(sessions: u64) -> Fallible<Self> {
        let program = std::env::current_exe()?;
        let beside = program.parent().ok_or("the program is in no folder")?;
        let folder = tempfile::Builder::new().prefix("bench-data-").tempdir_in(beside)?;
        let settings = settings(folder.path(), 1)?;
        let app = App::open(settings, MASTER_KEY.parse()?, Clock::system(), Entropy::system()).await?;
        let (kid, key) = app.keyring.current_refresh();
        furnish(&app).await?;
        let opened = app.clock.now().minus(AGE);
        for from in (0..sessions).step_by(AT_ONCE as usize) {
            let numbers = from..(from + AT_ONCE).min(sessions);
            commit(&app, numbers.fold(Changes::none(), |changes, n| session(changes, n, kid, opened))).await?;
        }
        let feed = app.store.read(FeedHead).await?.seq;
        app.store.clone().close().await;
        Ok(Self { folder, sessions, kid, key, feed })
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
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
    let client = client.checked(None, std::slice::from_ref(&api), &app.settings.timing)?;
    let mut changes = Changes::none().write(Row::Api(api)).write(Row::Client(client));
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

fn session(changes: Changes, number: u64, kid: MacKeyId, opened: Timestamp) -> Changes {
    let (sid, salt) = identity(number);
    let attributes = json!({ "nickname": format!("user {number}"), "role": "engineer" });
    let attributes = serde_json::from_value(attributes).unwrap_or_default();
    let user = User::new(UserId::from_bytes(*sid.as_bytes()), attributes, opened);
    let opening = Opening {
        sid,
        continuity: Continuity::Refresh(Chain::new(kid, salt, opened)),
        scope: "read write".parse().unwrap_or_default(),
        amr: vec!["pwd".to_owned()],
        device: Device::new("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "203.0.113.7"),
    };
    let client = CLIENT.parse().unwrap_or_else(|_| unreachable!("a constant that is an id"));
    let session = Session::open(&user, &client, &Policy::refresh(), opening, opened);
    changes.write(Row::User(user)).write(Row::Session(session))
}
