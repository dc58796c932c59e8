//! The next event of the feed, as its row is: numbered, and chained to all before it. Both databases write it so.

use remint_core::event::{Cursor, Notice};

use super::error::StoreError;
use super::record::Param;

/// The columns of an event, in the order of [`next`].
macro_rules! event_columns {
    () => {
        "seq, chain, event, concerns, at, forget_after"
    };
}
pub(super) use event_columns;

/// The values of the event behind `head`, which moves on to it.
pub(super) fn next(head: &mut Cursor, notice: &Notice) -> Result<[Param<'static>; 6], StoreError> {
    let event = serde_json::to_string(&notice.event).map_err(unwritable)?;
    let concerns = serde_json::to_string(&notice.concerns).map_err(unwritable)?;
    *head = Cursor { seq: head.seq + 1, chain: head.chain.then(&event) };
    Ok([
        number(head.seq)?,
        Param::Blob(head.chain.as_bytes().to_vec().into()),
        Param::owned(event),
        Param::owned(concerns),
        Param::time(notice.at),
        Param::time(notice.event.forget_after()),
    ])
}

/// The number of an event.
pub(super) fn number(seq: u64) -> Result<Param<'static>, StoreError> {
    i64::try_from(seq).map(Param::Int).map_err(|_| StoreError::Unstorable { table: "feed", column: "seq" })
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands over")]
fn unwritable(error: serde_json::Error) -> StoreError {
    StoreError::Io { what: error.to_string() }
}
