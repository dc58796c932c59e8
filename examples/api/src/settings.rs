//! The environment, read once and in this room only.

use std::net::SocketAddr;

use remint_guard::{Builder, Feed, Verifier};

/// What the environment says.
pub(crate) struct Settings {
    issuer: String,
    audience: String,
    jwks_uri: Option<String>,
    feed: Option<(String, String)>,
    /// Where to listen.
    pub(crate) bind: SocketAddr,
    /// The pages that may call from a browser.
    pub(crate) origins: Vec<String>,
}

/// A variable that is set to more than nothing.
#[expect(clippy::disallowed_methods, reason = "this is the room that reads the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn demanded(name: &str, example: &str) -> Result<String, String> {
    variable(name).ok_or_else(|| format!("set {name}, for example {name}={example}"))
}

impl Settings {
    /// Reads and checks it; an error is one line that says what to set.
    pub(crate) fn from_environment() -> Result<Self, String> {
        let bind = variable("BIND").unwrap_or_else(|| "127.0.0.1:7080".to_owned());
        let bind = bind.parse().map_err(|_| format!("BIND={bind} is no address: write it like BIND=127.0.0.1:7080"))?;
        Ok(Self {
            issuer: demanded("REMINT_ISSUER", "http://localhost:7070")?,
            audience: demanded("REMINT_AUDIENCE", "demo-api")?,
            jwks_uri: variable("REMINT_JWKS_URI"),
            feed: feed()?,
            bind,
            origins: variable("EXAMPLE_ORIGINS")
                .map(|list| list.split(',').map(|origin| origin.trim().to_owned()).collect())
                .unwrap_or_default(),
        })
    }

    /// The verifier that the settings describe.
    pub(crate) fn verifier(&self) -> Builder {
        let mut builder = Verifier::builder(&self.issuer).audience(&self.audience);
        if let Some(uri) = &self.jwks_uri {
            builder = builder.jwks_uri(uri);
        }
        if let Some((client_id, client_secret)) = &self.feed {
            builder = builder.feed(Feed::new(client_id, client_secret));
        }
        builder
    }
}

/// The credential for the feed; none where it is off.
fn feed() -> Result<Option<(String, String)>, String> {
    let credential = (variable("REMINT_CLIENT_ID"), variable("REMINT_CLIENT_SECRET"));
    match (variable("REMINT_FEED").as_deref(), credential) {
        (Some("off"), _) => Ok(None),
        (None | Some("on"), (Some(client_id), Some(client_secret))) => Ok(Some((client_id, client_secret))),
        (None | Some("on"), _) => {
            Err("the feed needs REMINT_CLIENT_ID and REMINT_CLIENT_SECRET, the credential of the api \
            (`remint dev` writes it to dev.json); or set REMINT_FEED=off, and ended sessions are served until their \
            tokens expire"
                .to_owned())
        }
        (Some(other), _) => Err(format!("REMINT_FEED={other} is neither `on` nor `off`")),
    }
}
