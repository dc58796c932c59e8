//! The one gate: every path to a token passes [`may_issue`], and only it makes a [`Permit`], without which nothing is
//! minted. Reads nothing, writes nothing.

use remint_core::administration::Administration;
use remint_core::client::{Client, Transport};
use remint_core::factor;
use remint_core::policy::Policy;
use remint_core::refusal::Refusal;
use remint_core::session::{Continuity, RECENT_LOGIN, Session};
use remint_core::time::Timestamp;
use remint_core::user::{User, UserStatus};

/// The ways to a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A person logs in or proves again who they are: `POST /session`, `POST /session/factor`.
    Login,
    /// `POST /session/renew`.
    Renewal,
    /// An answer to a changed record: `PATCH /account`, `/account/phone`.
    AccountChange,
    /// `POST /oauth2/token`, `grant_type=refresh_token` (RFC 6749 section 6).
    Refresh,
    /// The same at `POST /session/renew`, where the refresh token travels in a cookie.
    CookieRefresh,
    /// A backend swaps its caller's session cookie for a token of its own audience: `POST /session/exchange`.
    Exchange,
    /// A backend vouches for a person whom it knows: `POST /admin/api/sessions`.
    Vouched,
}

/// Leave to mint for exactly this user, client and session. Only the gate makes one.
#[derive(Clone, Copy, Debug)]
pub struct Permit<'a> {
    user: &'a User,
    client: &'a Client,
    session: &'a Session,
    kind: Kind,
}

impl<'a> Permit<'a> {
    /// The user.
    pub const fn user(&self) -> &'a User {
        self.user
    }

    /// The client.
    pub const fn client(&self) -> &'a Client {
        self.client
    }

    /// The session.
    pub const fn session(&self) -> &'a Session {
        self.session
    }

    /// Whether a page of the cookie policy asks: it gets no token, whichever way it asks.
    pub const fn is_for_a_page(&self) -> bool {
        let of_cookies = matches!(self.client.policy, Policy::Cookie { .. })
            || matches!(self.session.continuity, Continuity::Cookie(_));
        of_cookies && !matches!(self.kind, Kind::Exchange)
    }
}

/// Leave to mint a client's own token. Only the gate makes one.
#[derive(Clone, Copy, Debug)]
pub struct ClientPermit<'a>(&'a Client);

impl<'a> ClientPermit<'a> {
    /// The client.
    pub const fn client(&self) -> &'a Client {
        self.0
    }
}

/// Whether this session of this user at this client may have a token now.
pub fn may_issue<'a>(
    user: &'a User,
    client: &'a Client,
    session: &'a Session,
    kind: Kind,
    now: Timestamp,
) -> Result<Permit<'a>, Refusal> {
    stands(user, client, session, now)?;
    if kind == Kind::Login && !factor::is_shown(user, &session.amr) {
        return Err(Refusal::FactorNotShown { max_age: RECENT_LOGIN.as_secs() });
    }
    kind_fits(client, kind)?;
    Ok(Permit { user, client, session, kind })
}

/// Whether this session of this user at this client goes on, and with it the tokens that it has.
pub fn stands(user: &User, client: &Client, session: &Session, now: Timestamp) -> Result<(), Refusal> {
    if session.user != user.id || session.client != client.id {
        return Err(Refusal::OtherClient);
    }
    if client.disabled {
        return Err(Refusal::ClientDisabled);
    }
    match user.status {
        UserStatus::Active => {}
        UserStatus::Disabled => return Err(Refusal::UserDisabled),
        UserStatus::Deleted => return Err(Refusal::NoSuchUser),
    }
    session.over(user, now).map_or(Ok(()), Err)
}

fn kind_fits(client: &Client, kind: Kind) -> Result<(), Refusal> {
    match (kind, &client.policy) {
        (Kind::Login | Kind::Renewal | Kind::AccountChange | Kind::CookieRefresh, _) if !client.first_party => {
            Err(Refusal::NotFirstParty)
        }
        (Kind::Login | Kind::Renewal | Kind::AccountChange | Kind::Vouched, _)
        | (Kind::Exchange, Policy::Cookie { .. }) => Ok(()),
        (Kind::Refresh, Policy::Refresh { .. }) if client.transport == Transport::Body => Ok(()),
        (Kind::CookieRefresh, Policy::Refresh { .. }) if client.transport == Transport::Cookie => Ok(()),
        (Kind::Refresh | Kind::CookieRefresh, _) => Err(Refusal::GrantNotAllowed { grant: "refresh_token" }),
        (Kind::Exchange, Policy::Rolling { .. } | Policy::Fixed { .. } | Policy::Refresh { .. }) => {
            Err(Refusal::BadCookie)
        }
    }
}

/// Whether this client may have a token of its own (RFC 6749 section 4.4).
pub fn may_issue_to_client(client: &Client) -> Result<ClientPermit<'_>, Refusal> {
    if client.disabled {
        return Err(Refusal::ClientDisabled);
    }
    if !client.client_credentials || client.secret.is_none() {
        return Err(Refusal::GrantNotAllowed { grant: "client_credentials" });
    }
    Ok(ClientPermit(client))
}

/// Leave to mint a client's token for the admin API. Only the gate makes one.
#[derive(Clone, Copy, Debug)]
pub struct AdminPermit<'a> {
    client: &'a Client,
    administration: &'a Administration,
}

impl<'a> AdminPermit<'a> {
    /// The client.
    pub const fn client(&self) -> &'a Client {
        self.client
    }

    /// What it may do.
    pub const fn administration(&self) -> &'a Administration {
        self.administration
    }
}

/// Whether this client may have a token for the admin API.
pub fn may_administer(client: &Client) -> Result<AdminPermit<'_>, Refusal> {
    let ClientPermit(client) = may_issue_to_client(client)?;
    let administration = client.administration.as_ref().ok_or(Refusal::UnknownResource)?;
    Ok(AdminPermit { client, administration })
}
