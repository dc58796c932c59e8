//! What the control socket serves: administration, and beside it what only the operator of this very machine may do.
//! Never served on the network, whatever scope a token has: a backup is all that there is.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::stream;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use remint_core::audit::{Act, Doer, Target};
use remint_core::change::Changes;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};

use crate::admin::AdminError;
use crate::app::App;
use crate::http::admin::{self, Asked};
use crate::jobs;
use crate::store::StoreError;

/// The copy while it is made, in the data directory: there is as much room as the data needs, and nobody else.
const UNFINISHED: &str = "backup.partial";
const CHUNK_BYTES: usize = 128 * 1024;

/// The router of the control socket.
pub fn router(app: App) -> Router {
    let operation = Router::new()
        .route("/admin/api/backup", get(backup))
        .route("/admin/api/config/reload", post(reload))
        .with_state(app.clone());
    admin::router(app).merge(operation)
}

/// Why, for the audit log.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: Option<String>,
}

impl Why {
    fn operator(self) -> Result<Doer, AdminError> {
        let reason = self.reason.map(|text| text.parse()).transpose();
        Ok(Doer { reason: reason.map_err(|bad| AdminError::invalid("reason", bad))?, ..Doer::operator() })
    }
}

/// The configuration is looked at again, and what can be swapped is; where anything is wrong, nothing.
async fn reload(State(app): State<App>, Asked(why): Asked<Why>) -> Result<Response, AdminError> {
    let doer = why.operator()?;
    let wrong = |why: String| AdminError::Invalid { field: None, why };
    let reloading = app.clone();
    let reloaded = tokio::task::spawn_blocking(move || jobs::reload::now(&reloading)).await;
    let reloaded = reloaded.map_err(|error| wrong(error.to_string()))?.map_err(|bad| wrong(bad.to_string()))?;
    let nothing = || wrong("this server has no configuration: `remint dev` started it".to_owned());
    let reloaded = reloaded.ok_or_else(nothing)?;
    jobs::reload::tell(&app, &doer, &reloaded).await;
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(reloaded)).into_response())
}

/// A copy of the whole store as it stands, as one SQLite file. It is made first and then sent, so that a slow reader
/// holds nobody up; of the copy nothing is left behind. It is told to the audit log before the first byte leaves.
async fn backup(State(app): State<App>, Asked(why): Asked<Why>) -> Result<Response, AdminError> {
    let doer = why.operator()?;
    if app.settings.database.is_some() {
        let why = "the data is in a database: back it up by its own means, pg_dump or a replica".to_owned();
        return Err(AdminError::Invalid { field: None, why });
    }
    let path = app.settings.data.join(UNFINISHED);
    let mut unfinished = Unfinished::begin(path).map_err(disk)?.ok_or_else(|| AdminError::Exists {
        what: "copy",
        name: "a backup is being taken already: wait for it".to_owned(),
    })?;
    app.store.copy_to(unfinished.path.clone(), app.clock.now()).await?;
    let file = unfinished.file.try_clone().map_err(disk)?;
    let length = file.metadata().map_err(disk)?.len();
    unfinished.unlink();
    let entry = doer.did(Act::StoreBackedUp, Target::Store, app.clock.now());
    app.store.commit(Changes::none().audit(entry)).await?;
    let mut file = tokio::fs::File::from_std(file);
    file.rewind().await.map_err(disk)?;
    let chunks = stream::unfold((file, unfinished), |(mut file, unfinished)| async move {
        let mut chunk = vec![0; CHUNK_BYTES];
        match file.read(&mut chunk).await {
            Ok(0) => None,
            Ok(read) => {
                chunk.truncate(read);
                Some((Ok(Bytes::from(chunk)), (file, unfinished)))
            }
            Err(error) => Some((Err(error), (file, unfinished))),
        }
    });
    let mut response = Body::from_stream(chunks).into_response();
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/vnd.sqlite3"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    Ok(response)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn disk(error: io::Error) -> AdminError {
    StoreError::Io { what: format!("the copy: {error}") }.into()
}

/// The file of a copy under way. Whoever holds its lock is the only one; what was left behind by a process that is gone
/// is used again.
struct Unfinished {
    path: PathBuf,
    file: File,
}

impl Unfinished {
    /// `None` where another copy is under way.
    fn begin(path: PathBuf) -> io::Result<Option<Self>> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        file.set_len(0)?;
        Ok(Some(Self { path, file }))
    }

    /// The name goes; the file stays until it is sent.
    fn unlink(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, "the file of a backup stays behind: the next one uses it again");
        }
    }
}
