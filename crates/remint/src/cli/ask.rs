//! Asks the administrative endpoints: of the running server over its control socket, or, where none is running, of the
//! same router in this process, which takes the lock on the data directory meanwhile.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use remint_core::audit::Reason;
use serde_json::Value;
use tokio::net::UnixStream;
use tower::ServiceExt as _;

use super::remote::Remote;
use super::{CliError, Exit, Setup};
use crate::app::App;
use crate::clock::Clock;
use crate::config::{Config, DEV_MARKER};
use crate::control::socket_path;
use crate::entropy::Entropy;
use crate::{dev, http as endpoints};

/// No answer of ours is larger, in bytes.
pub(super) const MAX_ANSWER_BYTES: usize = 64 << 20;

/// Somebody who answers administrative requests, and why they are made.
pub(super) struct Answerer {
    pub(super) who: Who,
    reason: Option<Reason>,
}

/// Who answers.
pub(super) enum Who {
    /// The running server.
    Running(PathBuf),
    /// This process.
    Here(Box<(Router, App)>),
    /// A server elsewhere.
    Remote(Box<Remote>),
}

/// To whoever says why where nobody would ever read it.
pub(super) const NOTHING_TO_TELL: &str = "nothing of this command goes into the audit log: leave --reason out";

impl Setup {
    /// The data directory: as set, or that of `remint dev` in the working directory.
    pub(super) fn data(&self) -> Result<PathBuf, CliError> {
        match Config::data(&self.flags, &self.environment)? {
            Some(data) => Ok(data),
            None if Path::new(dev::DEFAULT_DATA).join(DEV_MARKER).exists() => Ok(dev::DEFAULT_DATA.into()),
            None => Err(CliError::usage(
                "the data directory is not known: give --data DIR, set `data` in remint.toml or REMINT_DATA, \
                 or start `remint dev` here",
            )),
        }
    }

    /// Whoever can answer.
    pub(super) async fn answerer(&self) -> Result<Answerer, CliError> {
        Ok(Answerer { who: self.who().await?, reason: self.reason.clone() })
    }

    async fn who(&self) -> Result<Who, CliError> {
        if let Some(address) = &self.remote {
            return Ok(Who::Remote(Box::new(Remote::connected(address).await?)));
        }
        let data = self.data()?;
        match self.running(&data).await? {
            Some(socket) => Ok(Who::Running(socket)),
            None => Ok(Who::Here(Box::new(self.opened(&data).await?))),
        }
    }

    /// The running server on this data, and nobody in its place.
    pub(super) async fn server(&self) -> Result<Answerer, CliError> {
        let nobody =
            || CliError::new(Exit::NotFound, "no server is running on this data: it reads its settings when it starts");
        let socket = self.running(&self.data()?).await?.ok_or_else(nobody)?;
        Ok(Answerer { who: Who::Running(socket), reason: self.reason.clone() })
    }

    /// The control socket of the server that runs on this data, if one does.
    async fn running(&self, data: &Path) -> Result<Option<PathBuf>, CliError> {
        let socket = socket_path(data);
        match UnixStream::connect(&socket).await {
            Ok(_) => Ok(Some(socket)),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
            Err(error) => Err(CliError::new(
                Exit::NotFound,
                format!("{} does not answer: {error}. Run this as the user of the server", socket.display()),
            )),
        }
    }

    async fn opened(&self, data: &Path) -> Result<(Router, App), CliError> {
        if !data.is_dir() {
            let message =
                format!("there is no data directory {}: start the server once, or name another", data.display());
            return Err(CliError::new(Exit::NotFound, message));
        }
        let app = self.app(data).await?;
        Ok((endpoints::control::router(app.clone()), app))
    }

    /// The installation, opened in this process.
    pub(super) async fn app(&self, data: &Path) -> Result<App, CliError> {
        let (settings, master_key) = if data.join(DEV_MARKER).exists() {
            dev::settings_of(data).map_err(CliError::failed)?
        } else {
            let config = Config::load(&self.flags, &self.environment)?;
            (config.settings, config.master_key)
        };
        App::open(settings, master_key, Clock::system(), Entropy::system()).await.map_err(CliError::failed)
    }

    /// One request, its answer printed.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<(), CliError> {
        if method == Method::GET && self.reason.is_some() {
            return Err(CliError::usage(NOTHING_TO_TELL));
        }
        let answerer = self.answerer().await?;
        let answer = answerer.ask(method, path, body).await;
        answerer.close().await;
        self.print(&answer?)
    }
}

impl Answerer {
    /// The answer to one request, or the error that it says.
    pub(super) async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, CliError> {
        let (status, value) = self.answered(method, path, body).await?;
        if status.is_success() { Ok(value) } else { Err(self.refused(status, &value)) }
    }

    /// What is at a path, if anything is.
    pub(super) async fn find(&self, path: &str) -> Result<Option<Value>, CliError> {
        match self.answered(Method::GET, path, None).await? {
            (status, value) if status.is_success() => Ok(Some(value)),
            (StatusCode::NOT_FOUND, value) if value["error"] == "not_found" => Ok(None),
            (status, value) => Err(self.refused(status, &value)),
        }
    }

    async fn answered(&self, method: Method, path: &str, body: Option<Value>) -> Result<(StatusCode, Value), CliError> {
        let path = if method == Method::GET { path.to_owned() } else { self.saying_why(path) };
        let (status, bytes) = match &self.who {
            Who::Remote(remote) => remote.exchange(method, &path, body).await?,
            Who::Running(_) | Who::Here(_) => read(self.send(request(method, &path, body)?).await?).await?,
        };
        let value: Value = serde_json::from_slice(&bytes)
            .map_err(|_| CliError::failed(format!("the server answered {status}, and not in JSON")))?;
        Ok((status, value))
    }

    /// A path, with the reason for the audit log where the command line says one.
    fn saying_why(&self, path: &str) -> String {
        match &self.reason {
            Some(reason) => format!("{path}?reason={}", encoded(reason.as_str())),
            None => path.to_owned(),
        }
    }

    fn refused(&self, status: StatusCode, body: &Value) -> CliError {
        match &self.who {
            Who::Remote(remote) => remote.refused(status, body),
            Who::Running(_) | Who::Here(_) => refused(status, body),
        }
    }

    /// The body of an answer that is no JSON, as it comes; or the error that it says. It is told of: with the reason.
    pub(super) async fn stream(&self, path: &str) -> Result<Body, CliError> {
        let response = self.send(request(Method::GET, &self.saying_why(path), None)?).await?;
        if response.status().is_success() {
            return Ok(response.into_body());
        }
        let (status, bytes) = read(response).await?;
        Err(refused(status, &serde_json::from_slice(&bytes).unwrap_or_default()))
    }

    async fn send(&self, request: Request<Body>) -> Result<Response<Body>, CliError> {
        match &self.who {
            Who::Running(socket) => exchange(socket, request).await,
            Who::Here(here) => here.0.clone().oneshot(request).await.map_err(CliError::failed),
            Who::Remote(_) => Err(CliError::failed("this is done on the server itself: leave --url out")),
        }
    }

    /// Gives the lock on the data directory back.
    pub(super) async fn close(self) {
        if let Who::Here(here) = self.who {
            here.1.store.clone().close().await;
        }
    }
}

fn request(method: Method, path: &str, body: Option<Value>) -> Result<Request<Body>, CliError> {
    let request = Request::builder().method(method).uri(path).header(HOST, "localhost");
    let built = match body {
        Some(body) => request.header(CONTENT_TYPE, "application/json").body(Body::from(body.to_string())),
        None => request.body(Body::empty()),
    };
    built.map_err(CliError::usage)
}

/// The connection lives as long as the answer is read.
async fn exchange(socket: &Path, request: Request<Body>) -> Result<Response<Body>, CliError> {
    let gone = |error: &dyn std::fmt::Display| {
        CliError::new(Exit::NotFound, format!("{} does not answer: {error}", socket.display()))
    };
    let stream = UnixStream::connect(socket).await.map_err(|error| gone(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| gone(&error))?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| gone(&error))?;
    Ok(response.map(Body::new))
}

async fn read(response: Response<Body>) -> Result<(StatusCode, Vec<u8>), CliError> {
    let status = response.status();
    let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| CliError::failed(format!("the answer broke off: {error}")))?;
    Ok((status, body.to_bytes().to_vec()))
}

pub(super) fn refused(status: StatusCode, body: &Value) -> CliError {
    let exit = match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::BAD_REQUEST => Exit::Usage,
        _ => Exit::Failed,
    };
    CliError::new(exit, body["error_description"].as_str().unwrap_or("the server refused without a reason"))
}

/// A path with one segment of the caller's in it, percent-encoded.
pub(super) fn path(before: &str, segment: &str, after: &str) -> String {
    format!("/admin/api/{before}/{}{after}", encoded(segment))
}

/// A text as it may stand in a path or a query (RFC 3986 section 2.1).
pub(super) fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~' | b'@') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
