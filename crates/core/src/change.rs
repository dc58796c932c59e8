//! What a decision wants written: a value, committed whole or not at all. Knows no database.

use std::time::Duration;

use crate::attribute::Declaration;
use crate::audit::Entry;
use crate::client::{Api, Client};
use crate::code::Challenge;
use crate::event::Notice;
use crate::id::{AttributeName, ChallengeId, ClientId, SessionId, UserId};
use crate::key::Key;
use crate::rev::Rev;
use crate::secret::PasswordHash;
use crate::sender::{Sender, SenderName};
use crate::session::Session;
use crate::time::Timestamp;
use crate::user::User;

/// What a person types to say who they are, in its one canonical form. No two users share one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// The canonical text.
    pub text: String,
    /// Whose it is.
    pub user: UserId,
    /// The version of the row.
    pub rev: Rev,
}

/// A user's password, apart from the user record: no mapping and no `PATCH` can reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordRow {
    /// Whose it is.
    pub user: UserId,
    /// The hash.
    pub hash: PasswordHash,
    /// When it was set.
    pub changed_at: Timestamp,
    /// The version of the row.
    pub rev: Rev,
}

/// One row, whole, with the `rev` that it was read at ([`Rev::NEW`]: it must not exist).
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// A user.
    User(User),
    /// An identifier.
    Identifier(Identifier),
    /// A password.
    Password(PasswordRow),
    /// A session.
    Session(Session),
    /// A client.
    Client(Client),
    /// An api.
    Api(Api),
    /// A declaration of an attribute.
    Attribute(Declaration),
    /// A key.
    Key(Key),
    /// A code that was sent.
    Challenge(Challenge),
    /// A sender of messages.
    Sender(Sender),
}

/// Which row.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RowKey {
    /// A user.
    User(UserId),
    /// An identifier, by its canonical text.
    Identifier(String),
    /// The password of a user.
    Password(UserId),
    /// A session.
    Session(SessionId),
    /// A client.
    Client(ClientId),
    /// An api, by the `client_id` of its credential.
    Api(ClientId),
    /// A declaration of an attribute.
    Attribute(AttributeName),
    /// A key, by its `kid`.
    Key(String),
    /// A code that was sent.
    Challenge(ChallengeId),
    /// A sender of messages.
    Sender(SenderName),
}

impl Row {
    /// Which row it is.
    pub fn key(&self) -> RowKey {
        match self {
            Self::User(row) => RowKey::User(row.id),
            Self::Identifier(row) => RowKey::Identifier(row.text.clone()),
            Self::Password(row) => RowKey::Password(row.user),
            Self::Session(row) => RowKey::Session(row.sid),
            Self::Client(row) => RowKey::Client(row.id.clone()),
            Self::Api(row) => RowKey::Api(row.id.clone()),
            Self::Attribute(row) => RowKey::Attribute(row.name.clone()),
            Self::Key(row) => RowKey::Key(row.kid.clone()),
            Self::Challenge(row) => RowKey::Challenge(row.id),
            Self::Sender(row) => RowKey::Sender(row.name),
        }
    }

    /// The version that it was read at.
    pub const fn rev(&self) -> Rev {
        match self {
            Self::User(row) => row.rev,
            Self::Identifier(row) => row.rev,
            Self::Password(row) => row.rev,
            Self::Session(row) => row.rev,
            Self::Client(row) => row.rev,
            Self::Api(row) => row.rev,
            Self::Attribute(row) => row.rev,
            Self::Key(row) => row.rev,
            Self::Challenge(row) => row.rev,
            Self::Sender(row) => row.rev,
        }
    }
}

/// A conditional increment without a rev: at most `limit` within `window`. The result comes back with the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Take {
    /// What is counted.
    pub key: String,
    /// How many are allowed.
    pub limit: u32,
    /// Within how long; counted from the first.
    pub window: Duration,
    /// The time of this attempt.
    pub at: Timestamp,
}

/// What became of a [`Take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// Allowed and counted: this many now.
    Allowed {
        /// How many now.
        count: u32,
    },
    /// Not allowed, and not counted.
    Exhausted {
        /// When the window ends.
        retry_after: Duration,
    },
}

/// Something that means nothing to anybody any more ([`crate::retention`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forgotten {
    /// A counter, unless somebody began to count again: then it has not expired by this time.
    Counter {
        /// What was counted.
        key: String,
        /// It goes only if it had expired by then.
        by: Timestamp,
    },
    /// An event of the feed, by its number. Never the last one: whoever has heard all of it has that place.
    Event(u64),
}

/// Everything that one decision writes.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    /// Rows to write, each at the `rev` that it carries.
    pub writes: Vec<Row>,
    /// Rows to remove, each at a `rev`.
    pub deletes: Vec<(RowKey, Rev)>,
    /// Rows that must still be at a `rev`, and are not written: a log-in expects its user and its client.
    pub expects: Vec<(RowKey, Rev)>,
    /// Counters to raise.
    pub takes: Vec<Take>,
    /// Counters to lower by one, each at zero at least: an attempt that was counted, and never made.
    pub returns: Vec<String>,
    /// Counters to forget.
    pub resets: Vec<String>,
    /// What is to be forgotten.
    pub forgotten: Vec<Forgotten>,
    /// Events to append to the feed, in this order.
    pub notices: Vec<Notice>,
    /// Entries to append to the audit log.
    pub entries: Vec<Entry>,
}

impl Changes {
    /// Nothing yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// With a row written.
    #[must_use]
    pub fn write(mut self, row: Row) -> Self {
        self.writes.push(row);
        self
    }

    /// With a row removed.
    #[must_use]
    pub fn delete(mut self, key: RowKey, rev: Rev) -> Self {
        self.deletes.push((key, rev));
        self
    }

    /// With a row expected.
    #[must_use]
    pub fn expect(mut self, key: RowKey, rev: Rev) -> Self {
        self.expects.push((key, rev));
        self
    }

    /// With a counter raised.
    #[must_use]
    pub fn take(mut self, take: Take) -> Self {
        self.takes.push(take);
        self
    }

    /// With a counter lowered by one.
    #[must_use]
    pub fn give_back(mut self, counter: String) -> Self {
        self.returns.push(counter);
        self
    }

    /// With a counter forgotten.
    #[must_use]
    pub fn reset(mut self, counter: String) -> Self {
        self.resets.push(counter);
        self
    }

    /// With something forgotten.
    #[must_use]
    pub fn forget(mut self, forgotten: Forgotten) -> Self {
        self.forgotten.push(forgotten);
        self
    }

    /// With an event.
    #[must_use]
    pub fn notice(mut self, notice: Notice) -> Self {
        self.notices.push(notice);
        self
    }

    /// With an entry in the audit log.
    #[must_use]
    pub fn audit(mut self, entry: Entry) -> Self {
        self.entries.push(entry);
        self
    }

    /// Whether it is one row written, and nothing beside it.
    pub fn is_one_write(&self) -> bool {
        let Self { writes, deletes, expects, takes, returns, resets, forgotten, notices, entries } = self;
        writes.len() == 1
            && deletes.is_empty()
            && expects.is_empty()
            && takes.is_empty()
            && returns.is_empty()
            && resets.is_empty()
            && forgotten.is_empty()
            && notices.is_empty()
            && entries.is_empty()
    }

    /// Whether there is nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.writes.is_empty()
            && self.deletes.is_empty()
            && self.expects.is_empty()
            && self.takes.is_empty()
            && self.returns.is_empty()
            && self.resets.is_empty()
            && self.forgotten.is_empty()
            && self.notices.is_empty()
            && self.entries.is_empty()
    }
}
