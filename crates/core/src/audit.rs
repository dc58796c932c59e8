//! The audit log: who did what to whom, when, from where and why. An entry is a value that is committed with what it
//! tells of, and never changed. Never holds a secret, a token, a value of the record or what somebody typed.

use std::fmt;
use std::str::FromStr;

use crate::change::Take;
use crate::id::{AttributeName, ClientId, SessionId, UserId};
use crate::sender::SenderName;
use crate::time::Timestamp;

macro_rules! acts {
    ($($(#[$doc:meta])* $name:ident = $word:literal,)*) => {
        /// What was done.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Act {
            $($(#[$doc])* $name,)*
        }

        impl Act {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

acts! {
    /// A person logged in: a session was opened.
    LogIn = "login",
    /// A log-in failed. At most one entry a window for each account, and so many an hour for all.
    LogInFailed = "login.failed",
    /// A person proved again who they are.
    Reauthenticated = "login.again",
    /// A backend opened a session for a person whom it knows.
    SessionOpened = "session.opened",
    /// A session was ended.
    SessionEnded = "session.ended",
    /// A refresh token was used by two holders: the session was ended.
    Theft = "session.theft",
    /// Every session of a user was ended.
    SessionsEnded = "user.sessions.ended",
    /// A token of a client's own was revoked.
    TokenRevoked = "token.revoked",
    /// A user was made.
    UserCreated = "user.created",
    /// Attributes of a user were written.
    UserChanged = "user.changed",
    /// A wrong code was typed to verify a phone number.
    CodeRefused = "user.code.refused",
    /// A user was disabled.
    UserDisabled = "user.disabled",
    /// A user was enabled.
    UserEnabled = "user.enabled",
    /// Failed log-ins of a user were forgotten.
    UserUnlocked = "user.unlocked",
    /// A user was deleted.
    UserDeleted = "user.deleted",
    /// A password was set or changed.
    PasswordChanged = "user.password.changed",
    /// A client or an api was turned away: a wrong secret, or a token that lacks a right. At most one entry a window for
    /// each and its reason, and so many an hour for all; none where nobody is called that.
    ClientRefused = "client.refused",
    /// A client was made.
    ClientCreated = "client.created",
    /// Settings of a client were changed.
    ClientChanged = "client.changed",
    /// A client was disabled.
    ClientDisabled = "client.disabled",
    /// A client was enabled.
    ClientEnabled = "client.enabled",
    /// A client got a new secret.
    ClientSecretRotated = "client.secret.rotated",
    /// An api was made.
    ApiCreated = "api.created",
    /// Settings of an api were changed.
    ApiChanged = "api.changed",
    /// An api got a new secret.
    ApiSecretRotated = "api.secret.rotated",
    /// An attribute was declared, or its declaration changed.
    AttributeDeclared = "attribute.declared",
    /// Keys were rotated, by command or because it was time.
    KeysRotated = "keys.rotated",
    /// A key was withdrawn.
    KeyWithdrawn = "key.withdrawn",
    /// A sender of messages was declared, or its declaration changed.
    SenderSet = "sender.set",
    /// A sender of messages was removed.
    SenderRemoved = "sender.removed",
    /// A copy of all data was made.
    StoreBackedUp = "store.backed_up",
    /// A backup was put in the place of lost data.
    StoreRestored = "store.restored",
    /// The running server took its configuration anew.
    ConfigReloaded = "config.reloaded",
}

/// The text is not one of its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not {0}")]
pub struct BadWord(pub &'static str);

impl FromStr for Act {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        Self::ALL.iter().copied().find(|act| act.as_str() == text).ok_or(BadWord("the word of an act"))
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who did it. As text `operator`, `server`, `nobody`, `client:<id>` or `user:<id>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Whoever may use the control socket.
    Operator,
    /// The server itself: what was due, or a verdict.
    Server,
    /// Somebody who did not prove who they are.
    Nobody,
    /// A client that authenticated itself.
    Client(ClientId),
    /// A person, about themselves.
    User(UserId),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Server => f.write_str("server"),
            Self::Nobody => f.write_str("nobody"),
            Self::Client(id) => write!(f, "client:{id}"),
            Self::User(id) => write!(f, "user:{id}"),
        }
    }
}

impl FromStr for Actor {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        let bad = BadWord("an actor: `operator`, `server`, `nobody`, `client:<id>` or `user:<id>`");
        match text.split_once(':') {
            Some(("client", id)) => id.parse().map(Self::Client).map_err(|_| bad),
            Some(("user", id)) => id.parse().map(Self::User).map_err(|_| bad),
            None if text == "operator" => Ok(Self::Operator),
            None if text == "server" => Ok(Self::Server),
            None if text == "nobody" => Ok(Self::Nobody),
            Some(_) | None => Err(bad),
        }
    }
}

/// To whom or what it was done. As text `<kind>:<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A user.
    User(UserId),
    /// A client.
    Client(ClientId),
    /// An api.
    Api(ClientId),
    /// A declaration of an attribute.
    Attribute(AttributeName),
    /// A key, by its `kid`.
    Key(String),
    /// The keys of a purpose; of all, where none is named.
    Keys(String),
    /// A sender of messages.
    Sender(SenderName),
    /// All that is stored.
    Store,
    /// The configuration of the server.
    Config,
    /// Somebody who is not known here.
    Unknown,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "user:{id}"),
            Self::Client(id) => write!(f, "client:{id}"),
            Self::Api(id) => write!(f, "api:{id}"),
            Self::Attribute(name) => write!(f, "attribute:{name}"),
            Self::Key(kid) => write!(f, "key:{kid}"),
            Self::Keys(purpose) => write!(f, "keys:{purpose}"),
            Self::Sender(name) => write!(f, "sender:{name}"),
            Self::Store => f.write_str("store"),
            Self::Config => f.write_str("config"),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

impl FromStr for Target {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        let bad = BadWord("a target: `user:<id>`, `client:<id>`, `api:<id>`, `attribute:<name>`, `key:<kid>`, ...");
        match text.split_once(':') {
            Some(("user", id)) => id.parse().map(Self::User).map_err(|_| bad),
            Some(("client", id)) => id.parse().map(Self::Client).map_err(|_| bad),
            Some(("api", id)) => id.parse().map(Self::Api).map_err(|_| bad),
            Some(("attribute", name)) => name.parse().map(Self::Attribute).map_err(|_| bad),
            Some(("key", kid)) => Ok(Self::Key(kid.to_owned())),
            Some(("keys", purpose)) => Ok(Self::Keys(purpose.to_owned())),
            Some(("sender", name)) => name.parse().map(Self::Sender).map_err(|_| bad),
            None if text == "store" => Ok(Self::Store),
            None if text == "config" => Ok(Self::Config),
            None if text == "unknown" => Ok(Self::Unknown),
            Some(_) | None => Err(bad),
        }
    }
}

/// Whoever acts: the same for every act of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doer {
    /// Who.
    pub actor: Actor,
    /// The address that the request came from, as text; empty for the control socket and the server itself.
    pub from: String,
    /// Why, in the words of whoever did it.
    pub reason: Option<Reason>,
}

/// Why something was done: up to 256 bytes, no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason(Box<str>);

impl Reason {
    /// The longest reason, in bytes.
    pub const MAX_BYTES: usize = 256;

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Reason {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        let fits = (1..=Self::MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.into())) } else { Err(BadWord("a reason of 1 to 256 bytes without control characters")) }
    }
}

impl Doer {
    /// The server itself.
    pub const fn server() -> Self {
        Self { actor: Actor::Server, from: String::new(), reason: None }
    }

    /// Whoever may use the control socket.
    pub const fn operator() -> Self {
        Self { actor: Actor::Operator, from: String::new(), reason: None }
    }

    /// Somebody on the network.
    pub fn at(actor: Actor, from: impl fmt::Display) -> Self {
        Self { actor, from: from.to_string(), reason: None }
    }

    /// The entry that tells of an act.
    pub fn did(&self, act: Act, target: Target, at: Timestamp) -> Entry {
        Entry { at, doer: self.clone(), act, target, client: None, sid: None, names: Vec::new(), within: Vec::new() }
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who, from where, why.
    pub doer: Doer,
    /// What.
    pub act: Act,
    /// To whom.
    pub target: Target,
    /// At which client, where a session is concerned.
    pub client: Option<ClientId>,
    /// Which session.
    pub sid: Option<SessionId>,
    /// The names of what changed, never the values; the reason of an ending.
    pub names: Vec<String>,
    /// It is written only where all of these allow it: what strangers cause must not fill the disk. Not stored.
    pub within: Vec<Take>,
}

impl Entry {
    /// About a session.
    #[must_use]
    pub fn session(self, client: &ClientId, sid: SessionId) -> Self {
        Self { client: Some(client.clone()), sid: Some(sid), ..self }
    }

    /// At a client, where no session came of it.
    #[must_use]
    pub fn client(self, client: &ClientId) -> Self {
        Self { client: Some(client.clone()), ..self }
    }

    /// With the names of what changed.
    #[must_use]
    pub fn names(self, names: impl IntoIterator<Item = impl ToString>) -> Self {
        Self { names: names.into_iter().map(|name| name.to_string()).collect(), ..self }
    }

    /// Only while a counter allows it.
    #[must_use]
    pub fn within(mut self, take: Take) -> Self {
        self.within.push(take);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_back_and_none_is_used_twice() {
        for act in Act::ALL {
            assert_eq!(act.as_str().parse(), Ok(*act));
        }
        assert!("Login".parse::<Act>().is_err());
        let user = UserId::from_bytes([3; 16]);
        let (id, name): (ClientId, AttributeName) = ("demo".parse().unwrap(), "role".parse().unwrap());
        for actor in [Actor::Operator, Actor::Server, Actor::Nobody, Actor::Client(id.clone()), Actor::User(user)] {
            assert_eq!(actor.to_string().parse(), Ok(actor));
        }
        let (key, keys) = (Target::Key("k:1".into()), Target::Keys("ES256".into()));
        for target in [
            Target::User(user),
            Target::Client(id.clone()),
            Target::Api(id),
            Target::Attribute(name),
            key,
            keys,
            Target::Sender(SenderName::Sms),
            Target::Store,
            Target::Config,
            Target::Unknown,
        ] {
            assert_eq!(target.to_string().parse(), Ok(target));
        }
    }

    #[test]
    fn a_reason_breaks_no_line_and_has_a_bound() {
        assert!("asked by telephone".parse::<Reason>().is_ok());
        for wrong in ["", "a\nb", "a\u{7f}", &"x".repeat(257)] {
            assert!(wrong.parse::<Reason>().is_err(), "{wrong:?}");
        }
    }
}
