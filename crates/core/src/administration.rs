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

    /// Whether a client may be changed from `before` to `after` by whoever has these rights: nobody grants what they
    /// lack, nobody touches a client that may do more of administration than they, and nobody gets the secret of one that
    /// may do more of anything, for whoever holds its secret is that client. Errs with what is lacking.
    pub fn may_change(&self, before: Option<&Client>, after: &Client) -> Result<(), Lacking> {
        let Self::Granted { admin, scopes, apis, .. } = self else { return Ok(()) };
        for given in [before, Some(after)].into_iter().flatten().filter_map(|client| client.administration.as_ref()) {
            if let Some(scope) = given.scopes.iter().find(|scope| !admin.contains(scope)) {
                return Err(Lacking::Scope(scope.to_owned()));
            }
            if let Some(client) = given.opens_sessions_at.iter().find(|client| !self.may_open_at(client)) {
                return Err(Lacking::SessionsAt(client.clone()));
            }
        }
        let kept = before.filter(|before| before.secret == after.secret);
        let had_scope = |scope: &str| kept.is_some_and(|kept| kept.scopes.contains(scope));
        if let Some(scope) = after.scopes.iter().find(|scope| !had_scope(scope) && !scopes.contains(scope)) {
            return Err(Lacking::Scope(scope.to_owned()));
        }
        let had_api = |api: &Audience| kept.is_some_and(|kept| kept.apis.contains(api));
        match after.apis.iter().find(|api| !had_api(api) && !apis.contains(api)) {
            Some(api) => Err(Lacking::Api(api.clone())),
            None => Ok(()),
        }
    }

    /// Whether an api may be changed from `before` to `after`, its secret included: by whoever may call it. Scopes that it
    /// knows from then on are in the tokens of all clients that have them: they are granted too. Errs with what is lacking.
    pub fn may_change_api(&self, before: &Api, after: &Api) -> Result<(), Lacking> {
        let Self::Granted { scopes, apis, .. } = self else { return Ok(()) };
        if !apis.contains(&before.audience) {
            return Err(Lacking::Api(before.audience.clone()));
        }
        match after.scopes.iter().find(|scope| !before.scopes.contains(scope) && !scopes.contains(scope)) {
            Some(scope) => Err(Lacking::Scope(scope.to_owned())),
            None => Ok(()),
        }
    }
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
        assert_eq!(clerk.may_change(None, &plain), Ok(()), "the scope `read` is the clerk's own");
        assert_eq!(clerk.may_change(None, &chief), Err(Lacking::Scope("remint:keys".into())));
        assert!(clerk.may_change(Some(&chief), &chief).is_err(), "a new secret would make the clerk the chief");
        assert!(clerk.may_change(Some(&chief), &plain).is_err());
        let wider = Client { scopes: "read pay".parse().unwrap(), ..plain.clone() };
        assert_eq!(clerk.may_change(Some(&plain), &wider), Err(Lacking::Scope("pay".into())));
        assert_eq!(clerk.may_change(Some(&wider), &wider), Ok(()), "what it had already is not granted");
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
        assert_eq!(clerk.may_change(Some(&banks), &Client { name: "Bank".into(), ..banks.clone() }), Ok(()));
    }

    #[test]
    fn an_api_is_changed_by_whoever_may_call_it() {
        let clerk = rights(&administrator("remint:clients", &[]));
        let api = fixture::api();
        assert_eq!(clerk.may_change_api(&api, &Api { secret: SecretHash::of(b"new"), ..api.clone() }), Ok(()));
        let bank = Api { audience: "bank".parse().unwrap(), ..api.clone() };
        assert_eq!(clerk.may_change_api(&bank, &bank), Err(Lacking::Api(bank.audience.clone())));
        assert_eq!(Rights::All.may_change_api(&bank, &bank), Ok(()));
        let pays = Api { scopes: "read pay".parse().unwrap(), ..api.clone() };
        assert_eq!(clerk.may_change_api(&api, &pays), Err(Lacking::Scope("pay".into())));
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
