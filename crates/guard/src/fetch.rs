//! Everything that the guard asks of the network: the issuer's metadata, its keys, its feed, a renewal, and, where its
//! owner chose so for the time that the feed is silent, whether a token stands. The addresses
//! come from the configuration or from the issuer's own metadata, never from a token. Redirects are not followed: a
//! moved issuer is a matter for whoever configured it.

use std::time::Duration;

use remint_core::event::Cursor;
use remint_core::feed;
use reqwest::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde::Deserialize;

use crate::builder::Credential;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest answer to a renewal that is read, in bytes.
const MAX_RENEWAL_BYTES: usize = 64 * 1024;

/// The longest answer to an introspection that is read, in bytes.
const MAX_INTROSPECTION_BYTES: usize = 64 * 1024;

/// Why nothing useful came back.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("no answer: {0}")]
    NoAnswer(#[from] reqwest::Error),
    #[error("the answer was {0}")]
    Status(StatusCode),
    #[error("the answer is longer than {0} bytes")]
    TooLong(usize),
    #[error("the answer is not an event stream")]
    NotAStream,
    #[error("the answer does not say whether the token is active")]
    NotAnIntrospection,
}

/// A document, and how long it may be kept.
pub(crate) struct Document {
    pub(crate) bytes: Vec<u8>,
    pub(crate) max_age: Option<Duration>,
}

/// What a renewal came to.
pub(crate) enum Renewed {
    /// A new token.
    Token(String),
    /// The old one is still good enough.
    NotYet,
    /// The issuer will not, and will not soon.
    Refused,
    /// The issuer could not; wait so long where it said so.
    Failed(Option<Duration>),
}

/// The one outgoing client.
#[derive(Clone, Debug)]
pub(crate) struct Fetch(Client);

impl Fetch {
    /// `tls` is whether any address needs it: a machine without CA certificates can still talk to its own loopback.
    pub(crate) fn new(tls: bool) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("remint-guard/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT);
        let client = if tls { client } else { client.tls_certs_only([]) };
        client.build().map(Self)
    }

    /// A JSON document of at most `limit` bytes.
    pub(crate) async fn document(&self, url: &Url, limit: usize) -> Result<Document, FetchError> {
        let asked = self.0.get(url.clone()).header(ACCEPT, "application/json").timeout(ANSWER_TIMEOUT);
        let answer = asked.send().await.map_err(reqwest::Error::without_url)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let max_age = max_age(answer.headers());
        Ok(Document { bytes: bounded(answer, limit).await?, max_age })
    }

    /// Opens the feed at `place`, or from its beginning.
    pub(crate) async fn feed(
        &self,
        url: &Url,
        credential: &Credential,
        place: Option<Cursor>,
    ) -> Result<Response, FetchError> {
        let mut asked = self.0.get(url.clone()).header(ACCEPT, feed::CONTENT_TYPE);
        asked = asked.basic_auth(&credential.client_id, Some(credential.secret()));
        if let Some(place) = place {
            asked = asked.header("last-event-id", place.to_string());
        }
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, asked.send()).await;
        let answer = answer.map_err(|_| FetchError::Status(StatusCode::GATEWAY_TIMEOUT))?;
        let answer = answer.map_err(reqwest::Error::without_url)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let is_stream = |kind: &str| kind.split(';').next().is_some_and(|kind| kind.trim() == feed::CONTENT_TYPE);
        let kind = answer.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind.is_some_and(is_stream) { Ok(answer) } else { Err(FetchError::NotAStream) }
    }

    /// Whether the issuer says that the token stands (RFC 7662 section 2).
    pub(crate) async fn introspection(
        &self,
        url: &Url,
        credential: &Credential,
        token: &str,
    ) -> Result<bool, FetchError> {
        #[derive(Deserialize)]
        struct Introspection {
            active: bool,
        }
        let asked = self.0.post(url.clone()).basic_auth(&credential.client_id, Some(credential.secret()));
        let asked = asked.header(ACCEPT, "application/json").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        // A token that verified is base64url and dots: it stands in a form as it is.
        let answer = asked.body(format!("token={token}")).timeout(ANSWER_TIMEOUT).send().await;
        let answer = answer.map_err(reqwest::Error::without_url)?;
        if answer.status() != StatusCode::OK {
            return Err(FetchError::Status(answer.status()));
        }
        let bytes = bounded(answer, MAX_INTROSPECTION_BYTES).await?;
        let read = serde_json::from_slice(&bytes).map_err(|_| FetchError::NotAnIntrospection);
        read.map(|answer: Introspection| answer.active)
    }

    /// Presents `token` for renewal: the token, the word that a person is there, and nothing else of any request.
    pub(crate) async fn renewal(&self, url: &Url, token: &str) -> Renewed {
        let asked = self.0.post(url.clone()).bearer_auth(token).header(CONTENT_TYPE, "application/json");
        let asked = asked.header(ACCEPT, "application/json").body(r#"{"interactive":true}"#).timeout(ANSWER_TIMEOUT);
        let Ok(answer) = asked.send().await else { return Renewed::Failed(None) };
        match answer.status() {
            StatusCode::OK => renewed_token(answer).await.map_or(Renewed::Failed(None), Renewed::Token),
            StatusCode::NO_CONTENT => Renewed::NotYet,
            StatusCode::TOO_MANY_REQUESTS => Renewed::Failed(retry_after(answer.headers())),
            status if status.is_client_error() => Renewed::Refused,
            _ => Renewed::Failed(retry_after(answer.headers())),
        }
    }
}

async fn renewed_token(answer: Response) -> Option<String> {
    #[derive(Deserialize)]
    struct Issued {
        access_token: String,
    }
    let bytes = bounded(answer, MAX_RENEWAL_BYTES).await.ok()?;
    serde_json::from_slice(&bytes).ok().map(|issued: Issued| issued.access_token)
}

async fn bounded(mut answer: Response, limit: usize) -> Result<Vec<u8>, FetchError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(reqwest::Error::without_url)? {
        if bytes.len() + chunk.len() > limit {
            return Err(FetchError::TooLong(limit));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// `max-age` of RFC 9111 section 5.2.2.1; zero where the answer must not be kept.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let directives = headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok());
    let mut directives = directives.flat_map(|line| line.split(',')).map(str::trim);
    directives.find_map(|directive| match directive.split_once('=') {
        Some((name, secs)) if name.eq_ignore_ascii_case("max-age") => {
            secs.trim_matches('"').parse().ok().map(Duration::from_secs)
        }
        None if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache") => {
            Some(Duration::ZERO)
        }
        _ => None,
    })
}

/// The seconds of RFC 9110 section 10.2.3; a date is passed over.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}
