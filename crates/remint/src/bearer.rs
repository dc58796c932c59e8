//! An access token presented to the server itself. Only the account token speaks to `/session` and `/account`; a token
//! of an API is taken at `/session/renew` alone, so that no API can change its caller's record. A token that has
//! merely gone stale is taken: the record is read here anyway. Never says that the session is live: the row does.

use remint_core::claims::AccessClaims;
use remint_core::id::SessionId;
use remint_core::jws::TokenError;
use remint_core::refusal::Refusal;
use remint_core::rolling;
use remint_core::time::Timestamp;

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

/// What a verified access token of ours says of its session.
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
    account: bool,
}

impl Bearer {
    /// The account token: its only audience is the issuer.
    pub fn account(app: &App, token: &str) -> Result<Self, Failure> {
        let claims = app.mint.verify_account_token(token, app.clock.now())?;
        Self::of_session(claims, true)
    }

    /// The account token, or one of any API of ours: for `/session/renew`.
    pub async fn account_or_api(app: &App, token: &str) -> Result<Self, Failure> {
        let claims = app.mint.verify_own(token, &anyone(app).await?, app.clock.now())?;
        let account = claims.aud == [app.settings.issuer.as_str()];
        Self::of_session(claims, account)
    }

    /// Whether it is the account token.
    pub const fn is_account(&self) -> bool {
        self.account
    }

    /// The session with its user and client, as they are now. A session that is not stored any more has expired.
    pub async fn holding(&self, app: &App) -> Result<Held, Failure> {
        Ok(app.store.read(Holding(self.sid)).await?.ok_or(Refusal::SessionExpired)?)
    }

    fn of_session(claims: AccessClaims, account: bool) -> Result<Self, Failure> {
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
        Ok(Self { sid, held, auth_time, claims, account })
    }
}
