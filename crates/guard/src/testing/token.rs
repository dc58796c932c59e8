//! A token to be minted: sensible claims, each of which a test can change.

use std::time::Duration;

use remint_core::id::{Jti, SessionId, UserId};
use remint_core::jws::{Typ, compact};
use remint_core::time::Timestamp;
use serde_json::{Map, Value, json};

use super::server::Endpoints;

/// A token to be minted.
#[derive(Clone, Debug)]
pub struct Draft {
    at: Endpoints,
    pub(super) sub: String,
    pub(super) session: Option<(String, u64)>,
    pub(super) pv: u64,
    pub(super) aud: Vec<String>,
    pub(super) client_id: String,
    pub(super) iat: i64,
    pub(super) life: Duration,
    pub(super) scope: Option<String>,
    pub(super) auth_time: Option<i64>,
    acr: Option<String>,
    jkt: Option<String>,
    jti: Jti,
    typ: Typ,
    pub(super) mapped: Map<String, Value>,
}

impl Draft {
    pub(super) fn new(at: Endpoints, sub: String, now: Timestamp) -> Self {
        let (sid, jti) = (SessionId::from_bytes(at.next_id()), Jti::from_bytes(at.next_id()));
        Self {
            at,
            sub,
            session: Some((sid.to_string(), 1)),
            pv: 1,
            aud: vec![super::AUDIENCE.to_owned()],
            client_id: "test-client".to_owned(),
            iat: now.secs(),
            life: Duration::from_secs(1200),
            scope: None,
            auth_time: Some(now.secs()),
            acr: None,
            jkt: None,
            jti,
            typ: Typ::AccessToken,
            mapped: Map::new(),
        }
    }

    /// For this user; its `sub` is the id's text.
    #[must_use]
    pub fn user(self, user: UserId) -> Self {
        Self { sub: user.to_string(), ..self }
    }

    /// Of this session.
    #[must_use]
    pub fn sid(mut self, sid: SessionId) -> Self {
        let cv = self.session.map_or(1, |(_, cv)| cv);
        self.session = Some((sid.to_string(), cv));
        self
    }

    /// With this claims version.
    #[must_use]
    pub fn cv(mut self, cv: u64) -> Self {
        if let Some((_, version)) = &mut self.session {
            *version = cv;
        }
        self
    }

    /// A client's own token: without a session.
    #[must_use]
    pub fn without_session(self) -> Self {
        Self { session: None, auth_time: None, ..self }
    }

    /// To this client, at this version of its settings.
    #[must_use]
    pub fn client(self, client_id: &str, pv: u64) -> Self {
        Self { client_id: client_id.to_owned(), pv, ..self }
    }

    /// With this id.
    #[must_use]
    pub fn jti(self, jti: Jti) -> Self {
        Self { jti, ..self }
    }

    /// For this audience.
    #[must_use]
    pub fn audience(self, audience: &str) -> Self {
        Self { aud: vec![audience.to_owned()], ..self }
    }

    /// Issued then.
    #[must_use]
    pub fn issued(self, at: Timestamp) -> Self {
        Self { iat: at.secs(), ..self }
    }

    /// Living so long.
    #[must_use]
    pub fn lives(self, life: Duration) -> Self {
        Self { life, ..self }
    }

    /// With these scopes, one space between.
    #[must_use]
    pub fn scope(self, scope: &str) -> Self {
        Self { scope: Some(scope.to_owned()), ..self }
    }

    /// Logged in then.
    #[must_use]
    pub fn logged_in(self, at: Timestamp) -> Self {
        Self { auth_time: Some(at.secs()), ..self }
    }

    /// With this authentication context.
    #[must_use]
    pub fn acr(self, acr: &str) -> Self {
        Self { acr: Some(acr.to_owned()), ..self }
    }

    /// Bound to the key with this thumbprint.
    #[must_use]
    pub fn bound_to(self, jkt: &str) -> Self {
        Self { jkt: Some(jkt.to_owned()), ..self }
    }

    /// As another kind of token.
    #[must_use]
    pub fn typ(self, typ: Typ) -> Self {
        Self { typ, ..self }
    }

    /// With one mapped claim more.
    #[must_use]
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.mapped.insert(name.to_owned(), value.into());
        self
    }

    /// The token, signed with the issuer's current key.
    ///
    /// # Panics
    /// Where a mapped claim has the name of one of the server's, or the token would be too long.
    pub fn mint(self) -> String {
        let mut claims = json!({
            "iss": self.at.url(),
            "sub": self.sub,
            "aud": self.aud,
            "client_id": self.client_id,
            "pv": self.pv,
            "iat": self.iat,
            "exp": self.iat.saturating_add_unsigned(self.life.as_secs()),
            "jti": self.jti,
            "amr": ["pwd"],
        });
        let (sid, cv) = self.session.unzip();
        let optional = [
            ("sid", sid.map(Value::from)),
            ("cv", cv.map(Value::from)),
            ("scope", self.scope.map(Value::from)),
            ("auth_time", self.auth_time.map(Value::from)),
            ("acr", self.acr.map(Value::from)),
            ("cnf", self.jkt.map(|jkt| json!({ "jkt": jkt }))),
        ];
        let present = optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        for (name, value) in present.chain(self.mapped) {
            assert!(claims.get(&name).is_none(), "a mapped claim must not have a reserved name: {name}");
            claims[name] = value;
        }
        let (key, rng) = (self.at.signing_key(), super::server::random());
        compact(self.typ, claims.to_string().as_bytes(), &key, &rng).expect("a token is at most 3.5 KB")
    }
}
