//! On whose behalf an operation is done: who it is, what they may do, what they say of it, and at which version they
//! expect what they change. Made at the door; every operation that changes something takes it.

use remint_core::administration::{AdminScope, Lacking, Rights};
use remint_core::audit::{Act, Doer, Entry, Target};
use remint_core::change::{Changes, Row, RowKey};
use remint_core::client::{Api, Client};
use remint_core::id::ClientId;
use remint_core::rev::Rev;
use remint_core::time::Timestamp;

use crate::admin::AdminError;
use crate::app::App;
use crate::failure::Failure;
use crate::store::Commit;

/// The caller of an administrative operation.
#[derive(Clone, Debug)]
pub struct By {
    doer: Doer,
    rights: Rights,
    expected: Expected,
    client: Option<(ClientId, Rev)>,
}

/// The versions at which a change is wanted (`If-Match`, RFC 9110 section 13.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expected {
    /// Whatever is there.
    #[default]
    Any,
    /// One of these.
    OneOf(Vec<Rev>),
}

impl By {
    /// Whoever may use the control socket, and what this program does before it serves.
    pub const fn operator() -> Self {
        Self { doer: Doer::operator(), rights: Rights::All, expected: Expected::Any, client: None }
    }

    /// A client that administers over the network, at the version that its rights were read from.
    pub fn client(doer: Doer, rights: Rights, client: &Client) -> Self {
        Self { doer, rights, expected: Expected::Any, client: Some((client.id.clone(), client.rev)) }
    }

    /// With what the request said beside.
    #[must_use]
    pub fn saying(mut self, reason: Option<remint_core::audit::Reason>, expected: Expected) -> Self {
        self.doer.reason = reason;
        self.expected = expected;
        self
    }

    /// Who acts.
    pub const fn doer(&self) -> &Doer {
        &self.doer
    }

    /// The client that acts, at the version that its rights were read from.
    pub const fn acting_client(&self) -> Option<&(ClientId, Rev)> {
        self.client.as_ref()
    }

    /// Whether this right is among the caller's.
    pub fn may(&self, scope: AdminScope) -> bool {
        self.rights.include(scope)
    }

    /// Whether this right is among the caller's, where what is asked for needs it beside that of the endpoint.
    pub fn needs(&self, scope: AdminScope) -> Result<(), AdminError> {
        self.rights.need(scope).map_err(AdminError::Lacking)
    }

    /// Whether sessions may be opened at a client.
    pub fn may_open_at(&self, client: &ClientId) -> Result<(), AdminError> {
        if self.rights.may_open_at(client) {
            Ok(())
        } else {
            Err(AdminError::Lacking(Lacking::SessionsAt(client.clone())))
        }
    }

    /// Whether a client may be made or changed to this.
    pub fn may_change(&self, before: Option<&Client>, after: &Client) -> Result<(), AdminError> {
        self.rights.may_change(before, after).map_err(AdminError::Lacking)
    }

    /// Whether an api may be made or changed to this.
    pub fn may_change_api(&self, before: Option<&Api>, after: &Api) -> Result<(), AdminError> {
        self.rights.may_change_api(before, after).map_err(AdminError::Lacking)
    }

    /// Whether what is there is what the caller expects.
    pub fn expects(&self, found: Rev) -> Result<(), AdminError> {
        match &self.expected {
            Expected::Any => Ok(()),
            Expected::OneOf(revs) if revs.contains(&found) => Ok(()),
            Expected::OneOf(_) => Err(AdminError::Moved),
        }
    }

    /// Commits what the caller does, if the rights that it was let in with still stand: a client that was disabled or
    /// changed since then, as while the body of its request was on the way, does nothing any more.
    ///
    /// # Errors
    /// [`Failure::Contended`] where the client has moved: whoever tries again is looked at anew. And those of the store.
    pub async fn commit(&self, app: &App, changes: Changes) -> Result<Commit, AdminError> {
        let client_changes = changes.writes.iter().any(|row| matches!(row, Row::Client(_)));
        let acting = self.client.as_ref().map(|(client, rev)| (RowKey::Client(client.clone()), *rev));
        let changes = acting.iter().cloned().fold(changes, |changes, (acting, rev)| changes.expect(acting, rev));
        let commit = app.store.commit(changes).await;
        if client_changes {
            app.origins.forget(); // also where it failed: it may have been written
        }
        let commit = commit?;
        let moved = match (&commit, acting) {
            (Commit::Conflict { key, current }, Some((acting, rev))) if *key == acting => {
                current.as_ref().is_none_or(|row| row.rev() != rev)
            }
            _ => false, // also where its own row is in the way of one that it wants
        };
        if moved { Err(Failure::Contended.into()) } else { Ok(commit) }
    }

    /// The entry that tells of an act of the caller.
    pub fn did(&self, act: Act, target: Target, at: Timestamp) -> Entry {
        self.doer.did(act, target, at)
    }
}
