//! The parts of a running server, put together once. Never decides anything.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use remint_core::id::ClientId;
use remint_core::notice;

use crate::account::line::Lines;
use crate::account::password::Passwords;
use crate::account::throttle::Throttle;
use crate::clock::Clock;
use crate::config::Reloader;
use crate::entropy::Entropy;
use crate::failure::Failure;
use crate::feed::{Hub, Places};
use crate::grant::desk::Desk;
use crate::grant::refresh::Granted;
use crate::http::origin::KnownOrigins;
use crate::keyring::{Keyring, KeyringError, MasterKey};
use crate::listen::Drain;
use crate::message::{BadCarrier, Outbox};
use crate::mint::Mint;
use crate::proxies::Proxies;
use crate::ready::Doubt;
use crate::settings::{Issuer, Settings};
use crate::store::{Apis, Keys, LongestLife, OpenError, Store, StoreError, StoreOptions};

/// Well below the attempts that one account has: a person who is right many times at once is no guesser.
const LOG_INS_ABREAST: usize = 3;

/// The store's file in the data directory.
pub const DATA_FILE: &str = "remint.db";

/// In the data directory from the first start on: there is data, and where it is not found it was lost.
const BEGUN: &str = "begun";

/// The running server. Cheap to clone.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// What a handler reaches for.
pub struct Parts {
    /// What the installation was told.
    pub settings: Settings,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// What is remembered.
    pub store: Store,
    /// The keys.
    pub keyring: Keyring,
    /// The only place that signs.
    pub mint: Mint,
    /// The pool that hashes passwords.
    pub passwords: Passwords,
    /// Log-ins of one account take turns, a few abreast.
    pub logging_in: Lines,
    /// Changes of one record take turns.
    pub changing: Lines,
    /// Messages to phones.
    pub outbox: Outbox,
    /// How often log-ins may be tried.
    pub throttle: Throttle,
    /// Whose word counts about where a request came from.
    pub proxies: Proxies,
    /// Where the settings came from; nowhere under `remint dev`.
    pub reloader: OnceLock<Reloader>,
    /// Whether commits may be missing.
    pub doubt: Doubt,
    /// Whether the server is going down.
    pub drain: Drain,
    /// Who follows the feed.
    pub hub: Hub,
    /// Which pages watch their sessions.
    pub page_streams: Places,
    /// The origins of all clients' pages.
    pub origins: KnownOrigins,
    /// Where presentations of one session take turns.
    pub desk: Desk<Result<Granted, Failure>>,
}

impl Deref for App {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory or its store.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The keys.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The public URL was changed to what an api is called: its tokens would pass for account tokens.
    #[error("the api `{api}` has an audience of {issuer} itself, which is the public URL: set another `public_url`")]
    ApiIsIssuer {
        /// The api.
        api: ClientId,
        /// Both.
        issuer: Issuer,
    },
    /// The data directory was in use, and its data is gone.
    #[error(
        "the data is lost: {} is {}, but this directory held an installation. Restore a backup of it, with the master \
         key of that time. To begin anew with no users, clients and keys, remove {} first",
        file.display(), if file.exists() { "empty" } else { "not there" }, begun.display()
    )]
    DataLost {
        /// The data file.
        file: PathBuf,
        /// What says that there was one.
        begun: PathBuf,
    },
    /// The data directory cannot be marked.
    #[error("{}: {source}", path.display())]
    Mark {
        /// The mark.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The carrier of messages.
    #[error(transparent)]
    Carrier(#[from] BadCarrier),
    /// The threads that hash passwords.
    #[error("cannot start the threads that hash passwords: {0}")]
    Passwords(std::io::Error),
}

impl App {
    /// Opens the store and the keyring of an installation.
    pub async fn open(
        settings: Settings,
        master: MasterKey,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, StartError> {
        let store = store(&settings, &entropy)?;
        no_api_is_the_issuer(&store, &settings.issuer).await?;
        let data_is_new = store.read(Keys).await?.is_empty();
        let (lives, timing) = (settings.keys, settings.timing);
        let keyring = Keyring::open(store.clone(), master, clock.clone(), entropy.clone(), lives, timing).await?;
        if settings.database.is_none() {
            mark_begun(&settings.data)?;
        }
        let doubt = Doubt::at_start(clock.now(), data_is_new);
        let hub = Hub::open(store.clone()).await?;
        Ok(Self(Arc::new(Parts {
            mint: Mint::new(keyring.clone(), entropy.clone(), &settings.issuer),
            passwords: Passwords::new(&settings.limits, settings.timing.server_deadline, entropy.clone())
                .map_err(StartError::Passwords)?,
            outbox: Outbox::open(&settings, (&store, &keyring), clock.clone(), entropy.clone())?,
            throttle: Throttle::new(&settings.limits, &keyring),
            proxies: Proxies::new(&settings.trusted_proxies),
            reloader: OnceLock::new(),
            logging_in: Lines::new(LOG_INS_ABREAST),
            changing: Lines::new(1),
            origins: KnownOrigins::default(),
            desk: Desk::default(),
            page_streams: Places::new(settings.limits.page_streams),
            settings,
            clock,
            entropy,
            store,
            keyring,
            doubt,
            drain: Drain::default(),
            hub,
        })))
    }

    /// How long an event that may concern any token must be remembered.
    pub async fn horizon(&self) -> Result<Duration, StoreError> {
        Ok(notice::horizon(self.store.read(LongestLife).await?, &self.settings.timing))
    }
}

/// The database, or the file in the data directory.
fn store(settings: &Settings, entropy: &Entropy) -> Result<Store, StartError> {
    let options = StoreOptions {
        longest_wait: settings.timing.server_deadline,
        database_ca_file: settings.database_ca_file.clone(),
        ..StoreOptions::default()
    };
    if let Some(database) = &settings.database {
        return Ok(Store::connect(database.reveal(), options, entropy.bytes())?);
    }
    data_is_not_lost(&settings.data)?;
    Ok(Store::open(&settings.data.join(DATA_FILE), options, entropy.bytes())?)
}

/// Without its file a directory looks like a new one, and a server that began anew there would log everybody out.
fn data_is_not_lost(data: &Path) -> Result<(), StartError> {
    let (file, begun) = (data.join(DATA_FILE), data.join(BEGUN));
    let empty = file.metadata().map_or(true, |metadata| metadata.len() == 0);
    if empty && begun.exists() { Err(StartError::DataLost { file, begun }) } else { Ok(()) }
}

/// After the first keys were made, so that a first start that is cut off can be made again.
fn mark_begun(data: &Path) -> Result<(), StartError> {
    let path = data.join(BEGUN);
    if path.exists() {
        return Ok(());
    }
    let written =
        std::fs::write(&path, "This directory holds an installation of Remint. Remove this file only to begin anew.\n");
    written.map_err(|source| StartError::Mark { path, source })
}

async fn no_api_is_the_issuer(store: &Store, issuer: &Issuer) -> Result<(), StartError> {
    match store.read(Apis).await?.iter().find(|api| issuer.is_own(&api.audience)) {
        Some(api) => Err(StartError::ApiIsIssuer { api: api.id.clone(), issuer: issuer.clone() }),
        None => Ok(()),
    }
}
