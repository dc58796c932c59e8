//! What a person may do to their own record and sessions. One commit: the user, `cv + 1` and the feed's event. The
//! rules are [`remint_core::user`]'s; an administrator's way is the admin room's.

use std::time::Duration;

use remint_core::attribute::Writer;
use remint_core::audit::{Act, Doer, Entry, Target};
use remint_core::change::{Changes, Row, Take};
use remint_core::event::{Cause, Initiator};
use remint_core::notice;
use remint_core::refusal::Refusal;
use remint_core::rolling;
use remint_core::session::{EndReason, recently_authenticated};
use remint_core::time::Timestamp;
use remint_core::user::User;
use serde_json::{Map, Value};

use crate::app::App;
use crate::bearer::Bearer;
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::grant::gate::{self, Kind};
use crate::grant::issue::{self, Issued, Wanted};
use crate::store::Commit;
use crate::store::{DeclaredAttributes, Held};

/// Writes the person's own attributes, and answers new tokens that show them; never a refresh token.
pub async fn patch(app: &App, bearer: &Bearer, patch: &Map<String, Value>, doer: &Doer) -> Result<Issued, Failure> {
    let _place = app.changing.enter(&bearer.claims.sub).await;
    for _ in 0..MAX_CONFLICTS {
        let held = live(app, bearer, Kind::AccountChange).await?;
        let declared = app.store.read(DeclaredAttributes).await?;
        let (horizon, now) = (app.horizon().await?, app.clock.now());
        if declared.demand_recent_login(patch) {
            recently_authenticated(bearer.auth_time, now)?;
        }
        let changed = held.user.patched(patch, &declared, Writer::User).map_err(Refusal::from)?;
        let (user, changes) = match changed {
            None => (held.user.clone(), Changes::none()),
            Some(changed) => {
                let (who, cause) = (Initiator::User, Cause::Attributes);
                let entry = told_of(doer.did(Act::UserChanged, Target::User(held.user.id), now).names(&changed.names));
                let told = notice::claims_changed(&changed.user, changed.names, cause, who, horizon, now);
                (changed.user.clone(), Changes::none().write(Row::User(changed.user)).notice(told).audit(entry))
            }
        };
        if let Some(issued) = answered(app, bearer, held, &user, changes, now).await? {
            return Ok(issued);
        } // else the record moved: apply the patch to what is there now
    }
    Err(Failure::Contended)
}

/// Commits a change of the caller's record (`user` is the record after it), and answers tokens that show it; never a
/// refresh token. `None` where something moved: decide again.
pub async fn answered(
    app: &App,
    bearer: &Bearer,
    held: Held,
    user: &User,
    changes: Changes,
    now: Timestamp,
) -> Result<Option<Issued>, Failure> {
    let wanted = Wanted { account: true, grounds: bearer.grounds(&held.client.policy), ..Wanted::default() };
    let carried = rolling::carried(&held.session, &held.client, app.settings.timing.quantum, now);
    let changes = carried.clone().map_or(changes.clone(), |row| changes.write(Row::Session(row)));
    let session = carried.unwrap_or(held.session);
    let permit = gate::may_issue(user, &held.client, &session, Kind::AccountChange, now)?;
    issue::fits(app, permit, now).await?;
    match app.store.commit(changes).await? {
        Commit::Done { .. } => issue::for_session(app, permit, None, &wanted, now).await.map(Some),
        Commit::Conflict { .. } => Ok(None),
    }
}

/// At most so many acts of a kind are told of in an hour, of each person: they may write what they like as often as they
/// like.
const CHANGES_TOLD: u32 = 60;
const AN_HOUR: Duration = Duration::from_secs(3600);

/// An act of a person's own, within that limit.
pub fn told_of(entry: Entry) -> Entry {
    let take = Take {
        key: format!("audit:{}:{}", entry.act, entry.target),
        limit: CHANGES_TOLD,
        window: AN_HOUR,
        at: entry.at,
    };
    entry.within(take)
}

/// Ends every session of the person.
pub async fn end_everywhere(app: &App, bearer: &Bearer, doer: &Doer) -> Result<(), Failure> {
    let _place = app.changing.enter(&bearer.claims.sub).await;
    for _ in 0..MAX_CONFLICTS {
        let held = bearer.holding(app).await?;
        let now = app.clock.now();
        if let Some(over) = held.session.over(&held.user, now) {
            return already(over);
        }
        match app.store.commit(ending(&held.user, app.horizon().await?, doer, now)).await? {
            Commit::Done { .. } => return Ok(()),
            Commit::Conflict { .. } => {} // the record moved
        }
    }
    Err(Failure::Contended)
}

/// A lost answer is asked for again: that all sessions ended is what was wanted.
fn already(over: Refusal) -> Result<(), Failure> {
    match over {
        Refusal::SessionEnded(EndReason::Everywhere) => Ok(()),
        over => Err(over.into()),
    }
}

fn ending(user: &User, horizon: Duration, doer: &Doer, now: Timestamp) -> Changes {
    let entry = doer.did(Act::SessionsEnded, Target::User(user.id), now);
    let user = user.with_new_epoch(EndReason::Everywhere);
    let told = notice::user_ended(&user, horizon, now);
    Changes::none().write(Row::User(user)).notice(told).audit(entry)
}

/// The caller's session with its user and client, if it may have tokens.
pub async fn live(app: &App, bearer: &Bearer, kind: Kind) -> Result<Held, Failure> {
    let held = bearer.holding(app).await?;
    gate::may_issue(&held.user, &held.client, &held.session, kind, app.clock.now())?;
    Ok(held)
}
