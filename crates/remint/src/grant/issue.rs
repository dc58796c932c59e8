//! From a permit to tokens: which audience, which scope, and whether the account token comes too. Mints only with a
//! permit of the gate; never decides whether.

use remint_core::client::{Api, Client, Transport};
use remint_core::cookie::SessionCookie;
use remint_core::id::{Audience, ClientId};
use remint_core::jwk::Algorithm;
use remint_core::refusal::Refusal;
use remint_core::scope::ScopeSet;
use remint_core::session::Session;
use remint_core::time::Timestamp;
use remint_core::token::{Bounds, Grounds, Issuing, Target, TokenClaims};
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::failure::Failure;
use crate::grant::gate::{AdminPermit, ClientPermit, Permit};
use crate::mint::AccessToken;
use crate::store::{Age, ApiFor};

/// Account tokens and those for the admin API are read by the issuer alone, so their algorithm is ours to choose.
const ACCOUNT_ALGORITHM: Algorithm = Algorithm::Es256;

/// What the caller asked for beside the token itself.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// The audience (RFC 8707 section 2); none means the client's first api.
    pub resource: Option<Audience>,
    /// A scope narrower than was granted (RFC 6749 section 6).
    pub scope: Option<ScopeSet>,
    /// Whether the account token comes too.
    pub account: bool,
    /// What the caller showed, where that was an access token: nothing goes beyond it.
    pub grounds: Option<Grounds>,
}

impl Wanted {
    fn bounds(&self) -> Bounds<'_> {
        Bounds { scope: self.scope.as_ref(), grounds: self.grounds.as_ref() }
    }
}

/// The tokens of one answer.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The access token; a page of the cookie policy gets none.
    pub access_token: Option<AccessToken>,
    /// Seconds that it has left.
    pub expires_in: u64,
    /// The scope that it carries.
    pub scope: ScopeSet,
    /// The account token, where it was wanted.
    pub account_token: Option<AccessToken>,
    /// The refresh token, as text for the wire, where one is handed out in the body.
    pub refresh_token: Option<RefreshText>,
    /// What is handed out in a cookie.
    pub carried: Option<Carried>,
    /// What a backend is to put into a cookie itself.
    pub handed: Option<Proof>,
    /// What a page is told in the place of tokens.
    pub page: Option<Page>,
}

/// A proof that the session goes on, for a browser to keep out of reach of scripts.
#[derive(Clone, Debug)]
pub struct Carried {
    /// Of which client.
    pub client: ClientId,
    /// The proof.
    pub proof: Proof,
    /// How long it can be of use.
    pub lasts: Duration,
}

/// What is proof. Cannot be printed.
#[derive(Clone, Debug)]
pub enum Proof {
    /// The secret of a session of the cookie policy.
    Session(SessionCookie),
    /// The refresh token of a client whose transport is a cookie.
    Refresh(RefreshText),
}

impl Proof {
    /// The value of its cookie.
    pub fn reveal(&self) -> String {
        match self {
            Self::Session(cookie) => cookie.reveal(),
            Self::Refresh(token) => token.reveal().to_owned(),
        }
    }
}

/// What a page of the cookie policy is told of its session.
#[derive(Clone, Debug)]
pub struct Page {
    /// What a token would show of the person and the session.
    pub claims: Map<String, Value>,
    /// Without use by a person, the session ends then; seconds since the epoch.
    pub idle_expires_at: i64,
    /// The session ends then, whatever happens; seconds since the epoch.
    pub expires_at: i64,
}

impl Issued {
    /// With the refresh token of `session`, on the way that its client has set.
    pub fn with_refresh(self, token: RefreshText, client: &Client, session: &Session, now: Timestamp) -> Self {
        match client.transport {
            Transport::Body => Self { refresh_token: Some(token), ..self },
            Transport::Cookie => self.with_cookie(Proof::Refresh(token), session, now),
        }
    }

    /// With a proof in a cookie, for as long as `session` can last.
    pub fn with_cookie(self, proof: Proof, session: &Session, now: Timestamp) -> Self {
        let (client, lasts) = (session.client.clone(), session.absolute_at.since(now));
        Self { carried: Some(Carried { client, proof, lasts }), ..self }
    }

    /// For a backend, which sets the cookie on its own host: it gets the value, and no cookie.
    pub fn for_a_backend(self) -> Self {
        Self { handed: self.carried.map(|carried| carried.proof), carried: None, ..self }
    }
}

/// A refresh token on its way into an answer. Cannot be printed.
#[derive(Clone)]
pub struct RefreshText(String);

impl std::fmt::Debug for RefreshText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshText(..)")
    }
}

impl RefreshText {
    /// Of a refresh token that was just derived.
    pub fn of(token: &remint_core::refresh::RefreshToken) -> Self {
        Self(token.reveal())
    }

    /// The text, for the answer's body.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

/// Mints what the permit allows; for a page of the cookie policy nothing. `seen` is of the snapshot that the permit was
/// given upon, where that is known: the api is taken as of it.
pub async fn for_session(
    app: &App,
    permit: Permit<'_>,
    seen: Option<Age>,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Issued, Failure> {
    let (client, session) = (permit.client(), permit.session());
    let audience = grantable(app, client, session, wanted)?;
    if permit.is_for_a_page() {
        return for_page(app, permit, seen, now).await;
    }
    let claims_for = |target: Target<'_>| {
        TokenClaims::of_session(issuing(app, now), permit.user(), client, session, target, wanted.bounds())
    };
    let account = || {
        let claims = claims_for(Target::Issuer(app.settings.issuer.audience()));
        app.mint.access_token(&claims, ACCOUNT_ALGORITHM).map(|minted| minted.token)
    };
    let (claims, access_token) = match audience {
        To::Issuer => (claims_for(Target::Issuer(app.settings.issuer.audience())), account()?),
        To::Api(audience) => {
            let api = api_for(app, audience, seen).await?;
            let claims = claims_for(Target::Api(&api));
            let token = app.mint.access_token(&claims, api.algorithm)?.token;
            (claims, token)
        }
    };
    Ok(Issued {
        access_token: Some(access_token),
        expires_in: claims.expires_in(now),
        scope: claims.scope().clone(),
        account_token: if wanted.account { Some(account()?) } else { None },
        refresh_token: None,
        carried: None,
        handed: None,
        page: None,
    })
}

/// What a token for the client's first api would say, without a token.
async fn for_page(app: &App, permit: Permit<'_>, seen: Option<Age>, now: Timestamp) -> Result<Issued, Failure> {
    let (client, session) = (permit.client(), permit.session());
    let api = api_for(app, client.default_api().ok_or(Refusal::UnknownResource)?, seen).await?;
    let claims = TokenClaims::of_session(
        issuing(app, now),
        permit.user(),
        client,
        session,
        Target::Api(&api),
        Bounds::default(),
    );
    let page = Page {
        claims: claims.without_token()?,
        idle_expires_at: session.idle_at.secs(),
        expires_at: session.absolute_at.secs(),
    };
    Ok(Issued {
        access_token: None,
        expires_in: session.idle_at.since(now).as_secs(),
        scope: claims.scope().clone(),
        account_token: None,
        refresh_token: None,
        carried: None,
        handed: None,
        page: Some(page),
    })
}

/// Whether the tokens that the permit allows are within the size limit: asked before a change is committed, so that no
/// change locks its maker out.
pub async fn fits(app: &App, permit: Permit<'_>, now: Timestamp) -> Result<(), Failure> {
    for audience in &permit.client().apis {
        let api = api_for(app, audience, None).await?;
        let (user, client, session) = (permit.user(), permit.client(), permit.session());
        let claims =
            TokenClaims::of_session(issuing(app, now), user, client, session, Target::Api(&api), Bounds::default());
        app.mint.fits(&claims, api.algorithm)?;
    }
    Ok(())
}

/// Mints a client's own token.
pub async fn for_client(
    app: &App,
    permit: ClientPermit<'_>,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Issued, Failure> {
    let client = permit.client();
    let scope = wanted.scope.as_ref().unwrap_or(&client.scopes);
    if !scope.is_subset(&client.scopes) {
        return Err(Refusal::ScopeExceeded.into());
    }
    let To::Api(audience) = audience(app, client, wanted.resource.as_ref())? else {
        return Err(Refusal::UnknownResource.into()); // a client has no account
    };
    let api = api_for(app, audience, None).await?;
    let claims = TokenClaims::of_client(issuing(app, now), client, &api, scope);
    Ok(Issued {
        access_token: Some(app.mint.access_token(&claims, api.algorithm)?.token),
        expires_in: claims.expires_in(now),
        scope: claims.scope().clone(),
        account_token: None,
        refresh_token: None,
        carried: None,
        handed: None,
        page: None,
    })
}

/// Mints a client's token for the admin API (RFC 8707): all its administrative scopes, or those that it asks for.
pub fn for_administrator(
    app: &App,
    permit: AdminPermit<'_>,
    wanted: &Wanted,
    now: Timestamp,
) -> Result<Issued, Failure> {
    let given = &permit.administration().scopes;
    let scope = wanted.scope.as_ref().unwrap_or(given);
    if !scope.is_subset(given) {
        return Err(Refusal::ScopeExceeded.into());
    }
    let admin = app.settings.issuer.admin();
    let claims = TokenClaims::of_administrator(issuing(app, now), permit.client(), admin, scope);
    Ok(Issued {
        access_token: Some(app.mint.access_token(&claims, ACCOUNT_ALGORITHM)?.token),
        expires_in: claims.expires_in(now),
        scope: claims.scope().clone(),
        account_token: None,
        refresh_token: None,
        carried: None,
        handed: None,
        page: None,
    })
}

fn issuing(app: &App, now: Timestamp) -> Issuing<'_> {
    Issuing { issuer: app.settings.issuer.as_str(), quantum: app.settings.timing.quantum, now }
}

/// Whom a token is for.
#[derive(Clone, Copy, Debug)]
pub enum To<'a> {
    /// The issuer itself: the account token.
    Issuer,
    /// An api.
    Api(&'a Audience),
}

/// Whether what is wanted lies within what was granted: asked before anything is committed, so that a refusal changes
/// nothing.
pub fn grantable<'a>(app: &App, client: &'a Client, session: &Session, wanted: &Wanted) -> Result<To<'a>, Refusal> {
    if wanted.scope.as_ref().is_some_and(|scope| !scope.is_subset(&session.scope)) {
        return Err(Refusal::ScopeExceeded); // RFC 6749 section 6
    }
    audience(app, client, wanted.resource.as_ref())
}

/// The audience that was asked for, if the client may call it. The account token is for first-party clients.
fn audience<'a>(app: &App, client: &'a Client, resource: Option<&Audience>) -> Result<To<'a>, Refusal> {
    let Some(resource) = resource else {
        return client.default_api().map(To::Api).ok_or(Refusal::UnknownResource);
    };
    if resource == app.settings.issuer.audience() && client.first_party {
        return Ok(To::Issuer);
    }
    client.apis.iter().find(|api| *api == resource).map(To::Api).ok_or(Refusal::UnknownResource)
}

/// The api, once there is a key for its tokens: the node that made the api has made that before.
async fn api_for(app: &App, audience: &Audience, seen: Option<Age>) -> Result<Arc<Api>, Failure> {
    let api = app.store.read_as_of(ApiFor(audience.clone()), seen).await?.ok_or(Refusal::UnknownResource)?;
    app.keyring.look_for_signer(api.algorithm).await?;
    Ok(api)
}
