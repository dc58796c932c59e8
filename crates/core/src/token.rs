//! What an access token says (RFC 9068 section 2.2): assembled from one snapshot of user, client and session. Minting
//! the same thing within one quantum gives the same claims and `jti`. Never signs.

use std::time::Duration;

use aws_lc_rs::digest;
use serde::Serialize;

use crate::client::{Api, Client};
use crate::id::{Audience, ClientId, Jti, SessionId};
use crate::jws::MAX_MINTED_BYTES;
use crate::mapping::Mapped;
use crate::refusal::Refusal;
use crate::scope::ScopeSet;
use crate::session::Session;
use crate::time::Timestamp;
use crate::user::User;

/// The claims of one access token, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenClaims {
    iss: String,
    sub: String,
    aud: Audience,
    client_id: ClientId,
    #[serde(flatten)]
    session: Option<SessionClaims>,
    pv: u64,
    iat: i64,
    exp: i64,
    jti: Jti,
    #[serde(skip_serializing_if = "ScopeSet::is_empty")]
    scope: ScopeSet,
    #[serde(flatten)]
    mapped: serde_json::Map<String, serde_json::Value>,
}

/// The claims of a token that has a session. A client's own token has none.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct SessionClaims {
    sid: SessionId,
    cv: u64,
    auth_time: i64,
    amr: Vec<String>,
}

/// The longest life of a token for the admin API.
pub const ADMINISTRATOR_LIFE: Duration = Duration::from_secs(300);

/// Where a token is for: an api, or the issuer's own session API (the account token).
#[derive(Clone, Copy, Debug)]
pub enum Target<'a> {
    /// A resource server.
    Api(&'a Api),
    /// The issuer itself.
    Issuer(&'a Audience),
}

impl Target<'_> {
    fn audience(&self) -> &Audience {
        match self {
            Self::Api(api) => &api.audience,
            Self::Issuer(audience) => audience,
        }
    }

    /// What of `granted` means something there. The session API knows no scopes.
    fn scope(&self, granted: &ScopeSet) -> ScopeSet {
        match self {
            Self::Api(api) => granted.intersection(&api.scopes),
            Self::Issuer(_) => ScopeSet::empty(),
        }
    }
}

/// What a token may not say more than, whatever its session could have. The default bounds nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds<'a> {
    /// A scope narrower than was granted (RFC 6749 section 6).
    pub scope: Option<&'a ScopeSet>,
    /// What the token is minted in exchange for.
    pub grounds: Option<&'a Grounds>,
}

/// What an access token shows that another is minted for. The row may know more by now: that the person proved anew who
/// they are says nothing of whoever holds a token from before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    /// Its `auth_time`.
    pub auth_time: Timestamp,
    /// Its `amr`.
    pub amr: Vec<String>,
    /// The new token ends then at the latest: where only another proof, the refresh token, prolongs the session.
    pub until: Option<Timestamp>,
}

/// Who issues, and when: the same for every token of one answer.
#[derive(Clone, Copy, Debug)]
pub struct Issuing<'a> {
    /// The issuer, as it stands in `iss`.
    pub issuer: &'a str,
    /// What minting times are rounded down to.
    pub quantum: Duration,
    /// Now.
    pub now: Timestamp,
}

impl TokenClaims {
    /// Of a token for a session: what user and client are now, within what was granted, no longer than the session.
    pub fn of_session(
        by: Issuing<'_>,
        user: &User,
        client: &Client,
        session: &Session,
        target: Target<'_>,
        bounds: Bounds<'_>,
    ) -> Self {
        let granted = session.scope.intersection(&client.scopes);
        let scope = target.scope(&bounds.scope.map_or(granted.clone(), |narrowed| narrowed.intersection(&granted)));
        let iat = by.now.quantised(by.quantum);
        let until = bounds.grounds.and_then(|grounds| grounds.until).unwrap_or(session.absolute_at);
        let exp = iat.plus(client.policy.life()).min(session.absolute_at).min(until);
        let (auth_time, amr) = match bounds.grounds {
            Some(grounds) => (grounds.auth_time, &grounds.amr),
            None => (session.auth_time, &session.amr),
        };
        let (auth_time_bytes, exp_bytes) = (auth_time.secs().to_be_bytes(), exp.secs().to_be_bytes());
        let proved = amr.join(" ");
        let holder: [&[u8]; 4] = [session.sid.as_bytes(), &auth_time_bytes, proved.as_bytes(), &exp_bytes];
        Self {
            iss: by.issuer.to_owned(),
            sub: user.id.to_string(),
            aud: target.audience().clone(),
            client_id: client.id.clone(),
            session: Some(SessionClaims {
                sid: session.sid,
                cv: user.cv,
                auth_time: auth_time.secs(),
                amr: amr.clone(),
            }),
            pv: client.pv,
            iat: iat.secs(),
            exp: exp.secs(),
            jti: jti(&holder, iat, user.cv, client.pv, target.audience(), &scope),
            scope,
            mapped: client.mapping.apply(user).into_claims(),
        }
    }

    /// Of a client's own token (RFC 6749 section 4.4): `sub` is the client, there is no session.
    pub fn of_client(by: Issuing<'_>, client: &Client, api: &Api, scope: &ScopeSet) -> Self {
        Self::own(by, client, &api.audience, api.max_life, scope.intersection(&api.scopes))
    }

    /// Of an administrator's token: a client's own, for the admin API of the issuer.
    pub fn of_administrator(by: Issuing<'_>, client: &Client, admin: &Audience, scope: &ScopeSet) -> Self {
        Self::own(by, client, admin, ADMINISTRATOR_LIFE, scope.clone())
    }

    fn own(by: Issuing<'_>, client: &Client, audience: &Audience, most: Duration, scope: ScopeSet) -> Self {
        let iat = by.now.quantised(by.quantum);
        Self {
            iss: by.issuer.to_owned(),
            sub: client.id.to_string(),
            aud: audience.clone(),
            client_id: client.id.clone(),
            session: None,
            pv: client.pv,
            iat: iat.secs(),
            exp: iat.plus(client.policy.life().min(most)).secs(),
            jti: jti(&[client.id.as_str().as_bytes()], iat, 0, client.pv, audience, &scope),
            scope,
            mapped: Mapped::none().into_claims(),
        }
    }

    /// What it says of the person and the session, without what belongs to a token alone: what a page is told where it
    /// gets no token.
    pub fn without_token(&self) -> Result<serde_json::Map<String, serde_json::Value>, Refusal> {
        let too_large = Refusal::TokenTooLarge { limit: MAX_MINTED_BYTES };
        let Ok(serde_json::Value::Object(mut claims)) = serde_json::to_value(self) else { return Err(too_large) };
        ["iss", "aud", "iat", "exp", "jti"].iter().for_each(|of_token| drop(claims.remove(*of_token)));
        Ok(claims)
    }

    /// The `jti`: one per (session, minting time, versions, audience, scope).
    pub const fn jti(&self) -> Jti {
        self.jti
    }

    /// The `iat`, seconds: the start of the quantum in which it is minted.
    pub const fn iat(&self) -> i64 {
        self.iat
    }

    /// The `exp`, seconds.
    pub const fn exp(&self) -> i64 {
        self.exp
    }

    /// Seconds that the token has left at `now`: `expires_in` (RFC 6749 section 5.1).
    pub fn expires_in(&self, now: Timestamp) -> u64 {
        Timestamp::from_secs(self.exp).since(now).as_secs()
    }

    /// The scope that it carries.
    pub const fn scope(&self) -> &ScopeSet {
        &self.scope
    }

    /// The payload's bytes. `TokenTooLarge` where the compact form could exceed [`MAX_MINTED_BYTES`].
    pub fn payload(&self, overhead: usize) -> Result<Vec<u8>, Refusal> {
        let too_large = Refusal::TokenTooLarge { limit: MAX_MINTED_BYTES };
        let payload = serde_json::to_vec(self).map_err(|_| too_large.clone())?;
        if payload.len().div_ceil(3) * 4 + overhead > MAX_MINTED_BYTES { Err(too_large) } else { Ok(payload) }
    }
}

/// `jti` = f(holder, iat, cv, pv, aud, scope): the first 16 bytes of SHA-256 over length-prefixed fields. The holder is a
/// client, or a session with what was proved and the `exp`: two tokens that differ have two names.
fn jti(holder: &[&[u8]], iat: Timestamp, cv: u64, pv: u64, aud: &Audience, scope: &ScopeSet) -> Jti {
    let (iat, cv, pv) = (iat.micros().to_be_bytes(), cv.to_be_bytes(), pv.to_be_bytes());
    let fields = [&iat[..], &cv[..], &pv[..], aud.as_str().as_bytes(), scope.as_str().as_bytes()];
    let mut context = digest::Context::new(&digest::SHA256);
    for field in holder.iter().copied().chain(fields) {
        context.update(&(field.len() as u64).to_be_bytes());
        context.update(field);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&context.finish().as_ref()[..16]);
    Jti::from_bytes(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::policy::{Policy, QUANTUM};
    use serde_json::json;

    fn minted(session: &Session, user: &User, at: i64) -> TokenClaims {
        let client = Client { mapping: fixture::mapping(), ..fixture::client(Policy::rolling()) };
        let (api, now) = (fixture::api(), Timestamp::from_secs(at));
        let by = Issuing { issuer: "https://id.example", quantum: QUANTUM, now };
        TokenClaims::of_session(by, user, &client, session, Target::Api(&api), Bounds::default())
    }

    #[test]
    fn a_token_reads_as_rfc_9068_demands_with_the_mapped_claims_beside() {
        let session = fixture::session(Policy::rolling());
        let mut claims = serde_json::to_value(minted(&session, &fixture::user(), 7)).unwrap();
        assert_eq!(claims["jti"].take().as_str().map(str::len), Some(22));
        assert_eq!(
            claims,
            json!({
                "iss": "https://id.example", "sub": fixture::user().id.to_string(), "aud": "demo-api",
                "client_id": "demo", "sid": session.sid.to_string(), "cv": 1, "auth_time": 0, "amr": ["pwd"], "pv": 1,
                "iat": 5, "exp": 1205, "jti": null, "scope": "read", "nickname": "ada", "role": "engineer",
            })
        );
    }

    #[test]
    fn ten_tabs_in_one_quantum_get_one_token() {
        let (session, user) = (fixture::session(Policy::rolling()), fixture::user());
        assert_eq!(minted(&session, &user, 5), minted(&session, &user, 9));
        assert_ne!(minted(&session, &user, 9).jti(), minted(&session, &user, 10).jti());
        let changed = User { cv: 2, ..fixture::user() };
        assert_ne!(minted(&session, &user, 9).jti(), minted(&session, &changed, 9).jti());
    }

    #[test]
    fn no_token_outlives_its_session() {
        let session = fixture::session(Policy::rolling());
        let claims = minted(&session, &fixture::user(), session.absolute_at.secs() - 60);
        assert_eq!(claims.exp(), session.absolute_at.secs());
    }

    #[test]
    fn no_token_says_more_than_the_one_that_it_is_minted_for() {
        let session = Session { auth_time: Timestamp::from_secs(600), ..fixture::session(Policy::refresh()) };
        let (user, client, api) = (fixture::user(), fixture::client(Policy::refresh()), fixture::api());
        let by = Issuing { issuer: "https://id.example", quantum: QUANTUM, now: Timestamp::from_secs(610) };
        let minted = |grounds: Option<&Grounds>| {
            let bounds = Bounds { grounds, ..Bounds::default() };
            TokenClaims::of_session(by, &user, &client, &session, Target::Api(&api), bounds)
        };
        let grounds = Grounds { auth_time: Timestamp::from_secs(0), amr: vec!["otp".into()], until: None };
        let (free, bound) = (minted(None), minted(Some(&grounds)));
        let shown = bound.session.as_ref().unwrap();
        assert_eq!((shown.auth_time, &shown.amr, bound.exp), (0, &grounds.amr, free.exp));
        assert_ne!(bound.jti, free.jti, "another token has another name");
        let short = minted(Some(&Grounds { until: Some(Timestamp::from_secs(700)), ..grounds }));
        assert_eq!(short.exp, 700);
        assert_ne!(short.jti, bound.jti);
    }

    #[test]
    fn a_scope_taken_from_the_client_is_in_no_new_token() {
        let session = Session { scope: "read write".parse().unwrap(), ..fixture::session(Policy::rolling()) };
        assert_eq!(minted(&session, &fixture::user(), 0).scope().to_string(), "read");
    }

    #[test]
    fn a_token_too_large_is_refused_with_what_to_do() {
        let mut user = fixture::user();
        user.attributes.insert("nickname".parse().unwrap(), json!("x".repeat(3000)));
        let refused = minted(&fixture::session(Policy::rolling()), &user, 0).payload(200).unwrap_err();
        assert!(refused.to_string().contains("3584 bytes"));
    }
}
