//! An access token presented to the server itself. Only the account token speaks to `/session` and `/account`; a token
//! of an API is taken at `/session/renew` alone, so that no API can change its caller's record. A token that has
//! merely gone stale is taken: the record is read here anyway. The session cookie of a page speaks as its account token
//! would. Never says that the session is live: the row does.

use remint_core::claims::{AccessClaims, SessionClaims};
use remint_core::cookie::SessionCookie;
use remint_core::id::{ClientId, SessionId};
use remint_core::jws::TokenError;
use remint_core::policy::Policy;
use remint_core::refusal::Refusal;
use remint_core::rolling;
use remint_core::secret::SecretHash;
use remint_core::session::{Continuity, Session};
use remint_core::time::Timestamp;
use remint_core::token::Grounds;

use crate::app::App;
use crate::failure::Failure;
use crate::store::{Apis, Held, Holding, StoreError};

/// Every audience that a token of ours can have.
pub async fn anyone(app: &App) -> Result<Vec<String>, StoreError> {
    let apis = app.store.read(Apis).await?;
    let audiences = apis.iter().map(|api| api.audience.as_str());
    let own = [app.settings.issuer.as_str(), app.settings.issuer.admin().as_str()];
    Ok(audiences.chain(own).map(str::to_owned).collect())
}

/// How the caller shows that it speaks for the session.
#[derive(Clone, Copy, Debug)]
enum Shown {
    AccountToken,
    ApiToken,
    /// A session cookie, whose hash the row must have whenever it is read.
    Cookie(SecretHash),
}

/// What a verified access token of ours, or a session cookie, says of its session.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// The session.
    pub sid: SessionId,
    /// How old the token is.
    pub held: rolling::Held,
    /// When the person proved who they are, as this token knows it.
    pub auth_time: Timestamp,
    /// All that it says.
    pub claims: AccessClaims,
    shown: Shown,
}

impl Bearer {
    /// The account token: its only audience is the issuer.
    pub async fn account(app: &App, token: &str) -> Result<Self, Failure> {
        let claims = app.mint.verify_account_token(token, app.clock.now()).await??;
        Self::of_session(claims, Shown::AccountToken)
    }

    /// The account token, or one of any API of ours: for `/session/renew`.
    pub async fn account_or_api(app: &App, token: &str) -> Result<Self, Failure> {
        let claims = app.mint.verify_own(token, &anyone(app).await?, app.clock.now()).await??;
        let account = claims.aud == [app.settings.issuer.as_str()];
        Self::of_session(claims, if account { Shown::AccountToken } else { Shown::ApiToken })
    }

    /// The session cookie of a client's page: it knows what the rows say now.
    pub async fn cookie(app: &App, client: &ClientId, cookie: &SessionCookie) -> Result<Self, Failure> {
        let held = app.store.read(Holding(cookie.sid())).await?.ok_or(Refusal::BadCookie)?;
        let bearer = Self::of_row(app, &held, cookie.hash());
        if held.session.client != *client || !bearer.proves(&held.session) {
            return Err(Refusal::BadCookie.into());
        }
        Ok(bearer)
    }

    /// Whether it is the account token, or the cookie in its place.
    pub const fn is_account(&self) -> bool {
        matches!(self.shown, Shown::AccountToken | Shown::Cookie(_))
    }

    /// What a token that is minted for this one may show of the person, and how long it may live: where the policy of the
    /// client does not let an access token prolong the session, no longer than this one. The cookie has a new secret
    /// whenever the person proves again who they are: whoever has it has what the row says.
    pub fn grounds(&self, policy: &Policy) -> Option<Grounds> {
        let prolongs = matches!(policy, Policy::Rolling { .. });
        let until = (!prolongs).then_some(Timestamp::from_secs(self.held.exp));
        match self.shown {
            Shown::Cookie(_) => None,
            Shown::AccountToken | Shown::ApiToken => {
                Some(Grounds { auth_time: self.auth_time, amr: self.claims.amr.clone(), until })
            }
        }
    }

    /// The session with its user and client, as they are now. A session that is not stored any more has expired; one
    /// whose cookie has another secret by now is not the bearer's.
    pub async fn holding(&self, app: &App) -> Result<Held, Failure> {
        let held = app.store.read(Holding(self.sid)).await?.ok_or(Refusal::SessionExpired)?;
        if self.proves(&held.session) { Ok(held) } else { Err(Refusal::BadCookie.into()) }
    }

    /// Whether what was shown still is the proof of its session.
    pub fn proves(&self, session: &Session) -> bool {
        match (&self.shown, &session.continuity) {
            (Shown::Cookie(shown), Continuity::Cookie(kept)) => kept.equals(shown),
            (Shown::Cookie(_), Continuity::Rolling | Continuity::Fixed | Continuity::Refresh(_)) => false,
            (Shown::AccountToken | Shown::ApiToken, _) => true,
        }
    }

    fn of_row(app: &App, held: &Held, shown: SecretHash) -> Self {
        let (Held { session, user, client, .. }, iat) = (held, app.clock.now().secs());
        let issuer = app.settings.issuer.as_str().to_owned();
        let claims = AccessClaims {
            iss: issuer.clone(),
            sub: user.id.to_string(),
            aud: vec![issuer],
            client_id: Some(client.id.to_string()),
            session: Some(SessionClaims { sid: session.sid.to_string(), cv: user.cv }),
            pv: Some(client.pv),
            iat: Some(iat),
            exp: session.idle_at.secs(),
            nbf: None,
            jti: None,
            scope: None,
            auth_time: Some(session.auth_time.secs()),
            amr: session.amr.clone(),
            acr: None,
            cnf: None,
            rest: serde_json::Map::new(),
        };
        let held = rolling::Held { iat, exp: claims.exp, cv: user.cv, pv: client.pv };
        Self { sid: session.sid, held, auth_time: session.auth_time, claims, shown: Shown::Cookie(shown) }
    }

    fn of_session(claims: AccessClaims, shown: Shown) -> Result<Self, Failure> {
        let missing = |name| Failure::Token(TokenError::MissingClaim { name });
        let session = claims.session.as_ref().ok_or_else(|| missing("sid"))?;
        let sid = session.sid.parse().map_err(|_| Failure::Token(TokenError::MistypedClaim { name: "sid" }))?;
        let held = rolling::Held {
            iat: claims.iat.ok_or_else(|| missing("iat"))?,
            exp: claims.exp,
            cv: session.cv,
            pv: claims.pv.ok_or_else(|| missing("pv"))?,
        };
        let auth_time = Timestamp::from_secs(claims.auth_time.ok_or_else(|| missing("auth_time"))?);
        Ok(Self { sid, held, auth_time, claims, shown })
    }
}
