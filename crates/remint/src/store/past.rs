//! Questions about what is over: rows that may mean nothing to anybody any more, a slice at a time. Whether they do not
//! is for [`remint_core::retention`] to say.
//!
//! Sessions and counters are walked by their keys: an index by the time at which they end would be written by every
//! renewal and every attempt, and all of them are looked at but once an hour.

use remint_core::id::{ChallengeId, SessionId};
use remint_core::retention::Limits;
use remint_core::rev::Rev;
use remint_core::time::Timestamp;

use super::ask::{Question, Reader, behind};
use super::error::StoreError;
use super::record::Param;

/// The limits of sessions, in the order of their ids.
#[derive(Clone, Copy, Debug)]
pub struct SessionLimits {
    /// Only those behind this one.
    pub after: Option<SessionId>,
    /// At most so many.
    pub limit: usize,
}

/// One session as [`SessionLimits`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionEnd {
    /// Which.
    pub sid: SessionId,
    /// The version of its row.
    pub rev: Rev,
    /// When it is over.
    pub limits: Limits,
}

impl Question for SessionLimits {
    type Answer = Vec<SessionEnd>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT sid, rev, ended_at, idle_at, absolute_at FROM sessions \
                   WHERE slot >= $1 AND sid > $2 ORDER BY slot LIMIT $3";
        let [slot, sid] = behind(self.after.as_ref().map(SessionId::as_bytes));
        reader.all("sessions", sql, &[slot, sid, Param::limit(self.limit)], |record| {
            let (sid, rev) = (SessionId::from_bytes(record.bytes("sid")?), record.rev()?);
            let ended_at = record.maybe_time("ended_at")?;
            let (idle_at, absolute_at) = (record.time("idle_at")?, record.time("absolute_at")?);
            Ok(SessionEnd { sid, rev, limits: Limits { ended_at, idle_at, absolute_at } })
        })
    }
}

/// Counters and when they expire, in the order of their keys.
#[derive(Clone, Debug)]
pub struct CounterLimits {
    /// Only those behind this one.
    pub after: String,
    /// At most so many.
    pub limit: usize,
}

impl Question for CounterLimits {
    type Answer = Vec<(String, Timestamp)>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT key, expires_at FROM counters WHERE key > $1 ORDER BY key LIMIT $2";
        reader.all("counters", sql, &[Param::text(&self.after), Param::limit(self.limit)], |record| {
            Ok((record.text("key")?.to_owned(), record.time("expires_at")?))
        })
    }
}

/// The numbers of events that are to be forgotten by a time, the first to be forgotten first. Never the last of the feed.
#[derive(Clone, Copy, Debug)]
pub struct FeedForgotten {
    /// Those whose `forget_after` is not later.
    pub by: Timestamp,
    /// At most so many.
    pub limit: usize,
}

impl Question for FeedForgotten {
    type Answer = Vec<u64>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT seq FROM feed WHERE forget_after <= $1 \
                   AND seq < (SELECT seq FROM feed_head WHERE one = 1) ORDER BY forget_after, seq LIMIT $2";
        reader.all("feed", sql, &[Param::time(self.by), Param::limit(self.limit)], |record| record.int("seq"))
    }
}

/// Challenges that expired by a time, the first that expired first.
#[derive(Clone, Copy, Debug)]
pub struct ChallengesOver {
    /// Those whose `expires_at` is not later.
    pub by: Timestamp,
    /// At most so many.
    pub limit: usize,
}

impl Question for ChallengesOver {
    type Answer = Vec<(ChallengeId, Rev)>;
    const ONE_STATEMENT: bool = true;
    const SCAN: bool = true;

    fn ask(&self, reader: &mut Reader<'_>) -> Result<Self::Answer, StoreError> {
        let sql = "SELECT id, rev FROM challenges WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2";
        reader.all("challenges", sql, &[Param::time(self.by), Param::limit(self.limit)], |record| {
            Ok((ChallengeId::from_bytes(record.bytes("id")?), record.rev()?))
        })
    }
}
