//! Administration over the network: which scopes there are, what a client may be given of them, and the rule that
//! nobody grants what they lack. Never looks at a token.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::client::{Api, Client};
use crate::id::{Audience, ClientId};
use crate::scope::ScopeSet;

/// One right of an administrator, a scope of the admin API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AdminScope {
    /// See users.
    UsersRead,
    /// Make, change, disable and delete users, and set passwords. What was written is answered.
    UsersWrite,
    /// See and change clients, apis and declarations of attributes.
    Clients,
    /// See, rotate and withdraw keys.
    Keys,
    /// See and end sessions.
    Sessions,
    /// Open sessions for users whose password somebody else checked, at the clients that are named.
    SessionsOpen,
    /// Read the audit log.
    Audit,
}

impl AdminScope {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::UsersRead, Self::UsersWrite, Self::Clients, Self::Keys, Self::Sessions, Self::SessionsOpen, Self::Audit];

    /// The scope token (RFC 6749 section 3.3).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UsersRead => "remint:users:read",
            Self::UsersWrite => "remint:users:write",
            Self::Clients => "remint:clients",
            Self::Keys => "remint:keys",
            Self::Sessions => "remint:sessions",
            Self::SessionsOpen => "remint:sessions:open",
            Self::Audit => "remint:audit",
        }
    }
}

impl fmt::Display for AdminScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a client may do of administration. Set by an administrator who may do all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Administration {
    /// The scopes of the admin API that it may be granted.
    pub scopes: ScopeSet,
    /// The clients at which it may open sessions, with the scope `remint:sessions:open`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub opens_sessions_at: Vec<ClientId>,
}

impl Administration {
    /// The first scope that the admin API does not have.
    pub fn unknown_scope(&self) -> Option<&str> {
        self.scopes.iter().find(|scope| AdminScope::ALL.iter().all(|known| known.as_str() != *scope))
    }
}

/// What a caller may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rights {
    /// Everything: whoever may use the control socket.
    All,
    /// What the scopes of a token say, as far as its client has them still.
    Granted {
        /// The scopes of the admin API.
        admin: ScopeSet,
        /// The scopes of apis that the client itself may be granted, and so may grant.
        scopes: ScopeSet,
        /// The apis that the client itself may call, and so may hand on and change.
        apis: Vec<Audience>,
        /// The clients at which it may open sessions.
        opens_sessions_at: Vec<ClientId>,
    },
}

impl Rights {
    /// Of a token with `scope` of this client. A scope that was taken from the client is not in it any more.
    pub fn of(client: &Client, scope: &ScopeSet) -> Self {
        let given = client.administration.clone().unwrap_or_default();
        Self::Granted {
            admin: scope.intersection(&given.scopes),
            scopes: client.scopes.clone(),
            apis: client.apis.clone(),
            opens_sessions_at: given.opens_sessions_at,
        }
    }

    /// Whether this right is among them.
    pub fn include(&self, scope: AdminScope) -> bool {
        match self {
            Self::All => true,
            Self::Granted { admin, .. } => admin.contains(scope.as_str()),
        }
    }

    /// Whether sessions may be opened at this client.
    pub fn may_open_at(&self, client: &ClientId) -> bool {
        match self {
            Self::All => true,
            Self::Granted { opens_sessions_at, .. } => {
                self.include(AdminScope::SessionsOpen) && opens_sessions_at.contains(client)
            }
        }
    }

    /// Whether this right is among them; errs with it.
    pub fn need(&self, scope: AdminScope) -> Result<(), Lacking> {
        if self.include(scope) { Ok(()) } else { Err(Lacking::Scope(scope.as_str().to_owned())) }
    }

    /// Whether a client may be changed from `before` to `after` by whoever has these rights: nobody touches a client that
    /// may do more than they, before or after, for whoever sets its secret, its mapping or its switches decides what is
    /// done in its name. Stopping one is allowed: it grants nothing. Errs with what is lacking.
    pub fn may_change(&self, before: Option<&Client>, after: &Client) -> Result<(), Lacking> {
        for client in [before, Some(after)].into_iter().flatten() {
            self.cover_administration(client)?;
        }
        if before.is_some_and(|before| only_stops(before, after)) {
            return Ok(());
        }
        for client in [before, Some(after)].into_iter().flatten() {
            self.cover(client)?;
        }
        Ok(())
    }

    fn cover_administration(&self, client: &Client) -> Result<(), Lacking> {
        let (Self::Granted { admin, .. }, Some(given)) = (self, &client.administration) else { return Ok(()) };
        if let Some(scope) = given.scopes.iter().find(|scope| !admin.contains(scope)) {
            return Err(Lacking::Scope(scope.to_owned()));
        }
        match given.opens_sessions_at.iter().find(|client| !self.may_open_at(client)) {
            Some(client) => Err(Lacking::SessionsAt(client.clone())),
            None => Ok(()),
        }
    }

    /// A right at an api is a scope there: who has all scopes and all apis of a client has all pairs of them.
    fn cover(&self, client: &Client) -> Result<(), Lacking> {
        let Self::Granted { scopes, apis, .. } = self else { return Ok(()) };
        if let Some(scope) = client.scopes.iter().find(|scope| !scopes.contains(scope)) {
            return Err(Lacking::Scope(scope.to_owned()));
        }
        match client.apis.iter().find(|api| !apis.contains(api)) {
            Some(api) => Err(Lacking::Api(api.clone())),
            None => Ok(()),
        }
    }

    /// Whether an api may be made, or changed from `before`, by whoever has these rights: one that they may call, to know
    /// scopes that they have. Whoever gets its secret hears of every user's changes and of endings: so they must be able
    /// to see users and sessions. Errs with what is lacking.
    pub fn may_change_api(&self, before: Option<&Api>, after: &Api) -> Result<(), Lacking> {
        let Self::Granted { scopes, apis, .. } = self else { return Ok(()) };
        if before.is_none_or(|before| before.secret != after.secret) {
            self.need(AdminScope::UsersRead)?;
            self.need(AdminScope::Sessions)?;
        }
        let Some(before) = before else { return Ok(()) }; // nobody calls it yet
        if !apis.contains(&before.audience) {
            return Err(Lacking::Api(before.audience.clone()));
        }
        match after.scopes.iter().find(|scope| !before.scopes.contains(scope) && !scopes.contains(scope)) {
            Some(scope) => Err(Lacking::Scope(scope.to_owned())),
            None => Ok(()),
        }
    }
}

/// Whether nothing else changes but that the client gets no more tokens.
fn only_stops(before: &Client, after: &Client) -> bool {
    let kept = Client { disabled: before.disabled, pv: before.pv, longest_life: before.longest_life, ..after.clone() };
    after.disabled && kept == *before
}

/// What an administrator lacks for a wish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lacking {
    /// A scope, of the admin API or of an api.
    #[error("nobody grants what they lack, and your client lacks the scope `{0}`")]
    Scope(String),
    /// An api.
    #[error("nobody grants what they lack, and your client may not call the api `{0}`: name it in its `apis`")]
    Api(Audience),
    /// Sessions at a client.
    #[error("your client may not open sessions at `{0}`: name it in `administration.opens_sessions_at`")]
    SessionsAt(ClientId),
}

impl Lacking {
    /// What it is, in one word of ours: a scope of the admin API, or the setting of the client that is too narrow.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Scope(lacked) => {
                AdminScope::ALL.iter().map(|scope| scope.as_str()).find(|scope| scope == lacked).unwrap_or("scopes")
            }
            Self::Api(_) => "apis",
            Self::SessionsAt(_) => "opens_sessions_at",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use crate::policy::Policy;
    use crate::secret::SecretHash;

    fn administrator(scopes: &str, at: &[&str]) -> Client {
        let opens_sessions_at = at.iter().map(|id| id.parse().unwrap()).collect();
        let administration = Administration { scopes: scopes.parse().unwrap(), opens_sessions_at };
        Client { administration: Some(administration), ..fixture::client(Policy::fixed()) }
    }

    fn rights(client: &Client) -> Rights {
        Rights::of(client, &client.administration.as_ref().unwrap().scopes)
    }

    #[test]
    fn a_token_gives_no_right_that_its_client_has_lost() {
        let scope = "remint:clients remint:keys".parse().unwrap();
        let rights = Rights::of(&administrator("remint:keys", &[]), &scope);
        assert!(rights.include(AdminScope::Keys) && !rights.include(AdminScope::Clients));
        let plain = Rights::of(&fixture::client(Policy::fixed()), &scope);
        assert!(AdminScope::ALL.into_iter().all(|scope| !plain.include(scope)));
        assert!(AdminScope::ALL.into_iter().all(|scope| Rights::All.include(scope)));
    }

    #[test]
    fn nobody_grants_what_they_lack_and_nobody_touches_whom_they_could_become() {
        let clerk = rights(&administrator("remint:clients", &[]));
        let plain = fixture::client(Policy::fixed());
        let chief = administrator("remint:clients remint:keys", &[]);
        assert_eq!(clerk.may_change(None, &plain), Ok(()), "its scope and its api are the clerk's own");
        assert_eq!(clerk.may_change(None, &chief), Err(Lacking::Scope("remint:keys".into())));
        assert!(clerk.may_change(Some(&chief), &chief).is_err(), "a new secret would make the clerk the chief");
        assert!(clerk.may_change(Some(&chief), &plain).is_err());
        let wider = Client { scopes: "read pay".parse().unwrap(), ..plain.clone() };
        assert_eq!(clerk.may_change(Some(&plain), &wider), Err(Lacking::Scope("pay".into())));
        let renamed = Client { name: "Pay".into(), ..wider.clone() };
        assert_eq!(clerk.may_change(Some(&wider), &renamed), Err(Lacking::Scope("pay".into())));
        let stopped = Client { disabled: true, pv: 2, ..wider.clone() };
        assert_eq!(clerk.may_change(Some(&wider), &stopped), Ok(()), "in an emergency");
        assert_eq!(clerk.may_change(Some(&stopped), &wider), Err(Lacking::Scope("pay".into())));
        assert_eq!(Rights::All.may_change(Some(&chief), &wider), Ok(()));
    }

    #[test]
    fn nobody_gets_the_secret_of_whoever_may_do_more() {
        let clerk = rights(&administrator("remint:clients", &[]));
        let anew = |client: &Client| Client { secret: Some(SecretHash::of(b"new")), ..client.clone() };
        let plain = Client { secret: Some(SecretHash::of(b"old")), ..fixture::client(Policy::fixed()) };
        assert_eq!(clerk.may_change(Some(&plain), &anew(&plain)), Ok(()));
        let pays = Client { scopes: "read pay".parse().unwrap(), ..plain.clone() };
        assert_eq!(clerk.may_change(Some(&pays), &anew(&pays)), Err(Lacking::Scope("pay".into())));
        let (bank, called) = ("bank".parse::<Audience>().unwrap(), plain.apis[0].clone());
        let banks = Client { apis: vec![called, bank.clone()], ..plain.clone() };
        assert_eq!(clerk.may_change(Some(&banks), &anew(&banks)), Err(Lacking::Api(bank.clone())));
        assert_eq!(clerk.may_change(Some(&plain), &banks), Err(Lacking::Api(bank.clone())));
        assert_eq!(clerk.may_change(None, &banks), Err(Lacking::Api(bank)));
    }

    #[test]
    fn an_api_is_changed_by_whoever_may_call_it_and_its_secret_made_by_whoever_sees_users_and_sessions() {
        let clerk = rights(&administrator("remint:clients", &[]));
        let chief = rights(&administrator("remint:clients remint:users:read remint:sessions", &[]));
        let api = fixture::api();
        let longer = Api { max_life: std::time::Duration::from_secs(60), ..api.clone() };
        assert_eq!(clerk.may_change_api(Some(&api), &longer), Ok(()));
        let anew = Api { secret: SecretHash::of(b"new"), ..api.clone() };
        let bank = Api { audience: "bank".parse().unwrap(), ..api.clone() };
        for (before, after) in [(Some(&api), &anew), (None, &bank)] {
            assert_eq!(clerk.may_change_api(before, after), Err(Lacking::Scope("remint:users:read".into())));
            assert_eq!(chief.may_change_api(before, after), Ok(()));
        }
        assert_eq!(chief.may_change_api(Some(&bank), &bank), Err(Lacking::Api(bank.audience.clone())));
        assert_eq!(Rights::All.may_change_api(Some(&bank), &bank), Ok(()));
        let pays = Api { scopes: "read pay".parse().unwrap(), ..api.clone() };
        assert_eq!(chief.may_change_api(Some(&api), &pays), Err(Lacking::Scope("pay".into())));
    }

    #[test]
    fn sessions_are_opened_at_the_named_clients_only_and_so_is_the_right_handed_on() {
        let backend = rights(&administrator("remint:clients remint:sessions:open", &["shop"]));
        let (shop, bank) = ("shop".parse().unwrap(), "bank".parse().unwrap());
        assert!(backend.may_open_at(&shop) && !backend.may_open_at(&bank));
        let other = administrator("remint:sessions:open", &["shop", "bank"]);
        assert_eq!(backend.may_change(None, &other), Err(Lacking::SessionsAt(bank)));
        assert!(!rights(&administrator("remint:clients", &["shop"])).may_open_at(&shop));
    }
}
