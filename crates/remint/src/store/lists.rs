//! Lists for an administrator, a page at a time, in the order of a key. Each answers one row more than a page where it
//! is asked to, and never how many there are.

use std::sync::Arc;

use remint_core::change::Identifier;
use remint_core::client::{Api, Client};
use remint_core::id::{ClientId, SessionId, UserId};
use remint_core::session::Session;
use remint_core::user::{User, UserStatus};

use super::ask::{Question, Reader, behind};
use super::error::StoreError;
use super::record::Param;
use super::rows::{self, session_columns, user_columns};

/// A user with the identifiers, in their order.
pub type Named = (User, Vec<Identifier>);

/// Users in the order of their ids; none that is deleted.
#[derive(Clone, Copy, Debug)]
pub struct UsersListed {
    /// Only those of this status.
    pub status: Option<UserStatus>,
    /// Only those behind this one.
    pub after: Option<UserId>,
    /// At most so many.
    pub limit: usize,
}

impl Question for UsersListed {
    type Answer = Vec<Named>;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = concat!(
            "SELECT ",
            user_columns!(),
            " FROM users WHERE slot >= $1 AND id > $2 AND status <> 'deleted' AND ($3 = '' OR status = $3) \
             ORDER BY slot LIMIT $4"
        );
        let [slot, id] = behind(self.after.as_ref().map(UserId::as_bytes));
        let status = self.status.map_or("", rows::status_word);
        let users = reader.all("users", sql, &[slot, id, Param::text(status), Param::limit(self.limit)], rows::user)?;
        users.into_iter().map(|user| named(reader, user)).collect()
    }
}

fn named(reader: &Reader<'_>, user: User) -> Result<Named, StoreError> {
    let identifiers = reader.identifiers(user.id)?;
    Ok((user, identifiers))
}

/// Users who have an identifier that begins so, in the order of the first of these; none that is deleted.
#[derive(Clone, Debug)]
pub struct UsersCalled {
    /// How it begins.
    pub prefix: String,
    /// Only those of this status.
    pub status: Option<UserStatus>,
    /// Only those behind this identifier.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

impl Question for UsersCalled {
    /// With the identifier that was found.
    type Answer = Vec<(String, Named)>;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let mut found = Vec::new();
        let mut after = self.after.clone().unwrap_or_default();
        while found.len() < self.limit {
            let page = self.identifiers(reader, &after)?;
            let Some(last) = page.last() else { break };
            after.clone_from(&last.text);
            for identifier in page {
                let Some(user) = reader.user(identifier.user)? else { continue };
                let wanted = self.status.map_or(user.status != UserStatus::Deleted, |status| user.status == status);
                if wanted && found.len() < self.limit {
                    found.push((identifier.text, named(reader, user)?));
                }
            }
        }
        Ok(found)
    }
}

impl UsersCalled {
    /// The identifiers behind `after`, of each user the first that begins so.
    fn identifiers(&self, reader: &Reader<'_>, after: &str) -> Result<Vec<Identifier>, StoreError> {
        let sql = "SELECT text, rev, user_id FROM identifiers AS one \
                   WHERE text > $1 AND text >= $2 AND text < $3 AND NOT EXISTS ( \
                     SELECT 1 FROM identifiers AS other \
                     WHERE other.user_id = one.user_id AND other.text >= $2 AND other.text < one.text) \
                   ORDER BY text LIMIT $4";
        let end = format!("{}\u{10ffff}", self.prefix); // the last character there is
        let params = [Param::text(after), Param::text(&self.prefix), Param::owned(end), Param::limit(self.limit)];
        reader.all("identifiers", sql, &params, rows::identifier)
    }
}

/// Sessions in the order of their ids, ended ones too while their rows are kept, each with its user.
#[derive(Clone, Debug)]
pub struct SessionsListed {
    /// Only those of this user.
    pub user: Option<UserId>,
    /// Only those at this client.
    pub client: Option<ClientId>,
    /// Only those behind this one.
    pub after: Option<SessionId>,
    /// At most so many.
    pub limit: usize,
}

impl Question for SessionsListed {
    type Answer = Vec<(Session, User)>;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let of_user = concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions WHERE user_id = $1 AND slot >= $2 AND sid > $3 AND ($4 = '' OR client_id = $4) \
             ORDER BY slot LIMIT $5"
        );
        let of_all = concat!(
            "SELECT ",
            session_columns!(),
            " FROM sessions WHERE slot >= $1 AND sid > $2 AND ($3 = '' OR client_id = $3) ORDER BY slot LIMIT $4"
        );
        let [slot, sid] = behind(self.after.as_ref().map(SessionId::as_bytes));
        let client = Param::text(self.client.as_ref().map_or("", |client| client.as_str()));
        let limit = Param::limit(self.limit);
        let sessions = match &self.user {
            Some(user) => {
                let params = [Param::blob(user.as_bytes()), slot, sid, client, limit];
                reader.all("sessions", of_user, &params, rows::session)?
            }
            None => reader.all("sessions", of_all, &[slot, sid, client, limit], rows::session)?,
        };
        let mut held = Vec::with_capacity(sessions.len());
        for session in sessions {
            if let Some(user) = reader.user(session.user)? {
                held.push((session, user));
            }
        }
        Ok(held)
    }
}

/// Clients in the order of their ids.
#[derive(Clone, Debug)]
pub struct ClientsListed {
    /// Only those behind this id.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

impl Question for ClientsListed {
    type Answer = Vec<Arc<Client>>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let documents = reader.documents;
        let sql = "SELECT id, rev, document FROM clients WHERE id > $1 ORDER BY id LIMIT $2";
        let after = Param::text(self.after.as_deref().unwrap_or_default());
        reader.all("clients", sql, &[after, Param::limit(self.limit)], |record| rows::client(record, documents))
    }
}

/// Apis in the order of their ids.
#[derive(Clone, Debug)]
pub struct ApisListed {
    /// Only those behind this id.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

impl Question for ApisListed {
    type Answer = Vec<Arc<Api>>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let documents = reader.documents;
        let sql = "SELECT id, rev, document FROM apis WHERE id > $1 ORDER BY id LIMIT $2";
        let after = Param::text(self.after.as_deref().unwrap_or_default());
        reader.all("apis", sql, &[after, Param::limit(self.limit)], |record| rows::api(record, documents))
    }
}
