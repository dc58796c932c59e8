//! The user record: who may have tokens, and what tokens can show. Every change that a token could show raises `cv`
//! in the same value that carries it; a credential is no field of it, so that no mapping can reach one.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::attribute::{BadAttribute, Declarations, PHONE_NUMBER, PHONE_NUMBER_VERIFIED, PROVED_FIELDS, Writer};
use crate::id::{AttributeName, UserId};
use crate::phone::PhoneNumber;
use crate::rev::Rev;
use crate::session::EndReason;
use crate::time::Timestamp;

/// Whether the user may have tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserStatus {
    /// May log in.
    Active,
    /// May not; can be enabled again by an administrator.
    Disabled,
    /// Is gone: the row stays, emptied, so that the id is never used again.
    Deleted,
}

/// The attributes of a user: declared names, checked values.
pub type Attributes = BTreeMap<AttributeName, Value>;

/// The resource owner.
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The `sub` claim.
    pub id: UserId,
    /// The claims version: rises by one with any change that a token could show, and whenever tokens must die.
    pub cv: u64,
    /// Rises when every session must die; `cv` rises with it.
    pub epoch: u64,
    /// Why the epoch last rose.
    pub epoch_reason: EndReason,
    /// Whether the user may have tokens.
    pub status: UserStatus,
    /// What the operator and the user wrote about the user.
    pub attributes: Attributes,
    /// The number that the user has shown to hold: the second factor of the account ([`crate::factor`]).
    pub phone_number: Option<PhoneNumber>,
    /// When the record was made.
    pub created_at: Timestamp,
    /// The version of the row.
    pub rev: Rev,
}

/// A record that changed: the new user, and the names of what changed. Its `cv` is one above the old one's.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// The record after the change.
    pub user: User,
    /// Which attributes changed, in order.
    pub names: Vec<AttributeName>,
}

impl User {
    /// A new, active user.
    pub fn new(id: UserId, attributes: Attributes, now: Timestamp) -> Self {
        Self {
            id,
            cv: 1,
            epoch: 0,
            epoch_reason: EndReason::Everywhere,
            status: UserStatus::Active,
            attributes,
            phone_number: None,
            created_at: now,
            rev: Rev::NEW,
        }
    }

    /// Writes attributes (`null` removes one). `None` where nothing changes: then no token is stale.
    pub fn patched(
        &self,
        patch: &serde_json::Map<String, Value>,
        declared: &Declarations,
        writer: Writer,
    ) -> Result<Option<Changed>, BadAttribute> {
        let attributes = declared.apply(&self.attributes, patch, writer)?;
        let differs = |name: &&AttributeName| self.attributes.get(*name) != attributes.get(*name);
        let all = self.attributes.keys().chain(attributes.keys());
        let mut names: Vec<_> = all.filter(differs).cloned().collect();
        names.sort();
        names.dedup();
        if names.is_empty() {
            return Ok(None);
        }
        Ok(Some(Changed { user: Self { cv: self.cv + 1, attributes, ..self.clone() }, names }))
    }

    /// The number was verified, or removed. `None` where nothing changes.
    pub fn with_phone_number(&self, phone_number: Option<PhoneNumber>) -> Option<Changed> {
        if self.phone_number == phone_number {
            return None;
        }
        let names = PROVED_FIELDS.iter().filter_map(|name| name.parse().ok()).collect();
        Some(Changed { user: Self { cv: self.cv + 1, phone_number, ..self.clone() }, names })
    }

    /// What a mapping reads by this name: a field that was proved, or an attribute.
    pub fn field(&self, name: &AttributeName) -> Option<Value> {
        match name.as_str() {
            PHONE_NUMBER => self.phone_number.as_ref().map(|number| Value::from(number.as_str())),
            PHONE_NUMBER_VERIFIED => self.phone_number.as_ref().map(|_| Value::Bool(true)),
            _ => self.attributes.get(name).cloned(),
        }
    }

    /// Tokens must die, sessions go on: after a new proof of who the person is.
    pub fn with_new_cv(&self) -> Self {
        Self { cv: self.cv + 1, ..self.clone() }
    }

    /// Every session must die.
    pub fn with_new_epoch(&self, reason: EndReason) -> Self {
        Self { cv: self.cv + 1, epoch: self.epoch + 1, epoch_reason: reason, ..self.clone() }
    }

    /// May log in no more; every session dies.
    pub fn disabled(&self) -> Self {
        Self { status: UserStatus::Disabled, ..self.with_new_epoch(EndReason::Disabled) }
    }

    /// May log in again. Ended sessions stay ended.
    pub fn enabled(&self) -> Self {
        Self { status: UserStatus::Active, ..self.clone() }
    }

    /// Gone: the record is emptied, every session dies, the id stays taken.
    pub fn deleted(&self) -> Self {
        Self {
            status: UserStatus::Deleted,
            attributes: Attributes::new(),
            phone_number: None,
            ..self.with_new_epoch(EndReason::Disabled)
        }
    }
}
