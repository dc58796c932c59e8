//! Clients and apis: who asks for tokens, and who takes them. Their settings are checked when they are set. Knows
//! nothing of how a caller proves to be one.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::administration::Administration;
use crate::id::{Audience, ClientId};
use crate::jwk::Algorithm;
use crate::mapping::Mapping;
use crate::policy::{ImpossiblePolicy, Policy, Timing, seconds};
use crate::rev::Rev;
use crate::scope::ScopeSet;
use crate::secret::SecretHash;

/// A web origin (RFC 6454 section 6.2): scheme, host and, where it is not the default, port. Compared as text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Box<str>);

/// The text is no origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "an origin is `https://host` or `http://host`, with `:port` where it is not the default, in lower case and without a path"
)]
pub struct BadOrigin;

impl Origin {
    /// The origin as a browser sends it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let (default_port, host) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
            (Some(host), _) => (":443", host),
            (None, Some(host)) => (":80", host),
            (None, None) => return Err(BadOrigin),
        };
        let allowed =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b':' | b'[' | b']');
        let well_formed = (1..=255).contains(&host.len()) && host.bytes().all(allowed) && !host.starts_with(':');
        if well_formed && !host.ends_with(default_port) { Ok(Self(text.into())) } else { Err(BadOrigin) }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// How a client's refresh tokens travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// In bodies (RFC 6749 section 5.1), kept by the client itself.
    #[default]
    Body,
    /// In a cookie that no script can read; renewed at `POST /session/renew`.
    Cookie,
}

impl Transport {
    const fn is_body(&self) -> bool {
        matches!(self, Self::Body)
    }
}

/// An application that asks for tokens (RFC 6749 section 1.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// Its `client_id`.
    pub id: ClientId,
    /// For people to read.
    #[serde(default)]
    pub name: String,
    /// The version of what its tokens show: rises with mapping, scopes, apis and disabling, and with a new secret where
    /// the client gets tokens of its own.
    #[serde(default)]
    pub pv: u64,
    /// Whether it may have no tokens.
    #[serde(default)]
    pub disabled: bool,
    /// Whether it may use the session API; set by an administrator only.
    #[serde(default)]
    pub first_party: bool,
    /// The hash of its secret; none makes it a public client (RFC 6749 section 2.1).
    #[serde(default)]
    pub secret: Option<SecretHash>,
    /// How its sessions live.
    pub policy: Policy,
    /// Whether it may use the grant `client_credentials`; needs a secret.
    #[serde(default)]
    pub client_credentials: bool,
    /// The origins of its pages.
    #[serde(default)]
    pub origins: Vec<Origin>,
    /// The apis that it may call; the first is the default `aud`. Only a client that administers may have none.
    #[serde(default)]
    pub apis: Vec<Audience>,
    /// The scopes that it may be granted.
    #[serde(default)]
    pub scopes: ScopeSet,
    /// What its tokens show of the user record.
    #[serde(default)]
    pub mapping: Mapping,
    /// For one-process confidential clients: every refresh answers with a refresh token. Gives up the promise that
    /// an honest client is never taken for a thief.
    #[serde(default)]
    pub always_return_refresh: bool,
    /// How its refresh tokens travel.
    #[serde(default, skip_serializing_if = "Transport::is_body")]
    pub transport: Transport,
    /// What it may do of administration over the network; needs the grant `client_credentials`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub administration: Option<Administration>,
    /// The longest access life that it ever had: what the feed must remember an ending for. Kept by [`Self::checked`].
    #[serde(with = "seconds", default)]
    pub longest_life: Duration,
    /// The version of the row.
    #[serde(skip)]
    pub rev: Rev,
}

/// A client's settings that cannot work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadClient {
    /// Its policy.
    #[error(transparent)]
    Policy(#[from] ImpossiblePolicy),
    /// No api.
    #[error("a client needs at least one api in `apis`: the first is the default audience of its tokens")]
    NoApi,
    /// An api that does not exist.
    #[error("there is no api `{0}`: create it first")]
    UnknownApi(Audience),
    /// An api named twice.
    #[error("the api `{0}` is named twice in `apis`")]
    RepeatedApi(Audience),
    /// `client_credentials` without a secret (RFC 6749 section 4.4).
    #[error("`client_credentials` needs a client secret (RFC 6749 section 4.4)")]
    CredentialsWithoutSecret,
    /// `always_return_refresh` without a secret.
    #[error("`always_return_refresh` is for confidential clients: give the client a secret")]
    AlwaysReturnWithoutSecret,
    /// A cookie for a client that no page of its own speaks for, or that has no refresh token.
    #[error(
        "`transport` = \"cookie\" is for first-party clients of the policy `refresh` without a secret: their pages hold the cookie"
    )]
    CookieTransport,
    /// `administration` without `client_credentials`.
    #[error("`administration` is for clients with `client_credentials`: only a client itself administers")]
    AdministrationWithoutCredentials,
    /// A name that no list can show.
    #[error("`name` holds a control character: write it for people to read")]
    ControlInName,
    /// A scope that the admin API does not have.
    #[error("the admin API has no scope `{0}`")]
    UnknownAdminScope(String),
}

/// What a client was given that comes to nothing as things stand: it can be stored, because what is missing can be made
/// later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Vain {
    /// A scope that no api knows which the client may call.
    #[error(
        "has the scope `{0}`, which none of its apis knows, so that no token carries it: name it there, or take it out"
    )]
    Scope(String),
    /// A client at which it may open sessions, and which is not there.
    #[error("may open sessions at `{0}`, and there is no such client: make it, or take it out")]
    SessionsAt(ClientId),
}

impl Client {
    /// What it was given in vain, where `apis` are all apis and `is_there` says of a client whether there is one.
    pub fn given_in_vain(&self, apis: &[Api], is_there: impl Fn(&ClientId) -> bool) -> Vec<Vain> {
        let mine = || apis.iter().filter(|api| self.apis.contains(&api.audience));
        let unknown = |scope: &&str| !mine().any(|api| api.scopes.contains(scope));
        let scopes = self.scopes.iter().filter(unknown).map(|scope| Vain::Scope(scope.to_owned()));
        let at = self.administration.iter().flat_map(|given| &given.opens_sessions_at);
        scopes.chain(at.filter(|id| !is_there(id)).cloned().map(Vain::SessionsAt)).collect()
    }

    /// These settings, if they can work: `before` is what is stored of the client, `apis` all apis that exist. Raises
    /// `pv` where a token would show the difference, so that older tokens die.
    pub fn checked(mut self, before: Option<&Self>, apis: &[Api], timing: &Timing) -> Result<Self, BadClient> {
        if self.apis.is_empty() && self.administration.is_none() {
            return Err(BadClient::NoApi);
        }
        let repeated = |(at, api): &(usize, &Audience)| self.apis[..*at].contains(api);
        if let Some((_, api)) = self.apis.iter().enumerate().find(repeated) {
            return Err(BadClient::RepeatedApi(api.clone()));
        }
        if self.name.contains(char::is_control) {
            return Err(BadClient::ControlInName);
        }
        if self.client_credentials && self.secret.is_none() {
            return Err(BadClient::CredentialsWithoutSecret);
        }
        if self.always_return_refresh && self.secret.is_none() {
            return Err(BadClient::AlwaysReturnWithoutSecret);
        }
        let of_pages = self.first_party && self.secret.is_none() && matches!(self.policy, Policy::Refresh { .. });
        if self.transport == Transport::Cookie && !of_pages {
            return Err(BadClient::CookieTransport);
        }
        if let Some(administration) = &self.administration {
            if !self.client_credentials {
                return Err(BadClient::AdministrationWithoutCredentials);
            }
            if let Some(unknown) = administration.unknown_scope() {
                return Err(BadClient::UnknownAdminScope(unknown.to_owned()));
            }
        }
        let find = |audience: &Audience| {
            apis.iter().find(|api| api.audience == *audience).ok_or_else(|| BadClient::UnknownApi(audience.clone()))
        };
        let mine = self.apis.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        self.policy.check(timing, mine.iter().map(|api| (api.audience.as_str(), api.max_life)))?;
        self.pv = before.map_or(1, |before| if self.shows_the_same(before) { before.pv } else { before.pv + 1 });
        self.longest_life = before.map_or(Duration::ZERO, |before| before.longest_life).max(self.policy.life());
        Ok(self)
    }

    /// A new secret too, where the client itself gets tokens: those of whoever had the old one die.
    fn shows_the_same(&self, before: &Self) -> bool {
        if self.client_credentials && self.secret != before.secret {
            return false;
        }
        (&self.mapping, &self.scopes, &self.apis, self.disabled, self.client_credentials, &self.administration)
            == (
                &before.mapping,
                &before.scopes,
                &before.apis,
                before.disabled,
                before.client_credentials,
                &before.administration,
            )
    }

    /// Whether its pages prove by a cookie that their session goes on.
    pub const fn has_cookies(&self) -> bool {
        matches!(self.policy, Policy::Cookie { .. }) || matches!(self.transport, Transport::Cookie)
    }

    /// The audience of a token that names no other.
    pub fn default_api(&self) -> Option<&Audience> {
        self.apis.first()
    }
}

/// A resource server (RFC 6749 section 1.1): its audience, and the credential that may follow its feed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    /// The `client_id` of its credential.
    pub id: ClientId,
    /// Its name in `aud`.
    pub audience: Audience,
    /// The scopes that it knows.
    #[serde(default)]
    pub scopes: ScopeSet,
    /// How its tokens are signed.
    #[serde(default = "default_algorithm")]
    pub algorithm: Algorithm,
    /// The longest life of a token for it.
    #[serde(with = "seconds", default = "default_max_life")]
    pub max_life: Duration,
    /// The hash of its secret: it may introspect and follow the feed for its own audience.
    pub secret: SecretHash,
    /// The version of the row.
    #[serde(skip)]
    pub rev: Rev,
}

const fn default_algorithm() -> Algorithm {
    Algorithm::Es256
}

/// Any of the four policies' defaults fits.
const fn default_max_life() -> Duration {
    Duration::from_secs(7 * 24 * 3600)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn an_origin_is_exactly_what_a_browser_sends() {
        for good in ["https://app.example.com", "http://localhost:5173", "https://[::1]:8443"] {
            assert_eq!(good.parse::<Origin>().unwrap().as_str(), good);
        }
        for wrong in [
            "",
            "null",
            "*",
            "app.example.com",
            "https://",
            "https://A.example",
            "https://a/",
            "https://a@b",
            "https://a:443",
        ] {
            assert_eq!(wrong.parse::<Origin>(), Err(BadOrigin), "{wrong}");
        }
    }

    #[test]
    fn a_name_is_for_people_to_read() {
        let (apis, timing) = ([fixture::api()], Timing::default());
        let named = |name: &str| {
            let client = Client { name: name.into(), ..fixture::client(Policy::refresh()) };
            client.checked(None, &apis, &timing).map(|client| client.name)
        };
        assert_eq!(named("Die Bücher, №1").as_deref(), Ok("Die Bücher, №1"));
        for wrong in ["a\0", "\u{1b}[2J", "two\nlines"] {
            assert_eq!(named(wrong), Err(BadClient::ControlInName), "{wrong:?}");
        }
    }

    #[test]
    fn a_change_that_tokens_show_raises_pv_and_another_does_not() {
        let (apis, timing) = ([fixture::api()], Timing::default());
        let before = fixture::client(Policy::refresh());
        let renamed = Client { name: "New".into(), ..before.clone() }.checked(Some(&before), &apis, &timing).unwrap();
        assert_eq!(renamed.pv, before.pv);
        let disabled = Client { disabled: true, ..before.clone() }.checked(Some(&before), &apis, &timing).unwrap();
        assert_eq!(disabled.pv, before.pv + 1);
        let secret = |text: &[u8]| Some(SecretHash::of(text));
        let keeps = Client { secret: secret(b"old"), ..before.clone() };
        let rotated =
            |before: &Client| Client { secret: secret(b"new"), ..before.clone() }.checked(Some(before), &apis, &timing);
        assert_eq!(rotated(&keeps).unwrap().pv, keeps.pv, "its sessions are not its own tokens");
        let itself = Client { client_credentials: true, ..keeps };
        assert_eq!(rotated(&itself).unwrap().pv, itself.pv + 1);
    }

    #[test]
    fn the_feed_remembers_for_the_longest_life_that_a_client_ever_had() {
        let (apis, timing) = ([fixture::api()], Timing::default());
        let before = fixture::client(Policy::fixed()).checked(None, &apis, &timing).unwrap();
        let after = Client { policy: Policy::refresh(), ..before.clone() };
        let after = after.checked(Some(&before), &apis, &timing).unwrap();
        assert_eq!(after.longest_life, Policy::fixed().life());
    }

    #[test]
    fn what_was_given_in_vain_is_told_by_name() {
        let opens_sessions_at = vec!["shop".parse().unwrap(), "shpo".parse().unwrap()];
        let administration = Some(Administration { scopes: ScopeSet::default(), opens_sessions_at });
        let client = Client { administration, scopes: "read pay".parse().unwrap(), ..fixture::client(Policy::fixed()) };
        let known = Api { scopes: "read".parse().unwrap(), ..fixture::api() };
        let other = Api { audience: "bank".parse().unwrap(), scopes: "pay".parse().unwrap(), ..fixture::api() };
        let vain = client.given_in_vain(&[known, other], |id| id.as_str() == "shop");
        assert_eq!(vain, [Vain::Scope("pay".into()), Vain::SessionsAt("shpo".parse().unwrap())]);
    }

    #[test]
    fn settings_that_cannot_work_are_refused_with_what_to_do() {
        let (apis, timing) = ([fixture::api()], Timing::default());
        let client = || fixture::client(Policy::refresh());
        let refused = |client: Client| client.checked(None, &apis, &timing).unwrap_err().to_string();
        assert!(refused(Client { apis: vec![], ..client() }).contains("at least one api"));
        assert!(refused(Client { apis: vec!["nope".parse().unwrap()], ..client() }).contains("no api `nope`"));
        let twice = vec!["demo-api".parse().unwrap(); 2];
        assert!(refused(Client { apis: twice, ..client() }).contains("`demo-api` is named twice"));
        assert!(refused(Client { client_credentials: true, ..client() }).contains("needs a client secret"));
        let administration = Some(Administration { scopes: "remint:keys".parse().unwrap(), ..Default::default() });
        assert!(refused(Client { administration, ..client() }).contains("`client_credentials`"));
        let administration = Some(Administration { scopes: "remint:all".parse().unwrap(), ..Default::default() });
        let secret = Some(SecretHash::of(b"secret"));
        let unknown = Client { administration, client_credentials: true, secret, ..client() };
        assert!(refused(unknown).contains("no scope `remint:all`"));
        assert!(refused(Client { always_return_refresh: true, ..client() }).contains("confidential"));
        let cookie = || Client { transport: Transport::Cookie, ..client() };
        assert!(cookie().checked(None, &apis, &timing).is_ok());
        let foreign = Client { first_party: false, ..cookie() };
        let confidential = Client { secret: Some(SecretHash::of(b"secret")), ..cookie() };
        let rolling = Client { transport: Transport::Cookie, ..fixture::client(Policy::rolling()) };
        for wrong in [foreign, confidential, rolling] {
            assert!(refused(wrong).contains("first-party clients of the policy `refresh` without a secret"));
        }
    }
}
