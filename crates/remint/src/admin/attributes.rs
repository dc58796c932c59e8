//! Declarations of attributes: what a user record may hold, and who may write it. Never touches a record.

use remint_core::administration::AdminScope;
use remint_core::attribute::{Declaration, is_proved};
use remint_core::audit::{Act, Target};
use remint_core::change::{Changes, Row};
use remint_core::rev::Rev;
use serde_json::{Map, Value, json};

use crate::admin::{AdminError, By, Seen, differences, document, members};
use crate::app::App;
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::store::{Commit, DeclaredAttributes};

/// Declares an attribute, or changes who may write it and how large it may be. Its type stays: records hold it. Whoever
/// lets people write what they could not may write it into their records as well.
pub async fn declare(app: &App, by: &By, input: Map<String, Value>) -> Result<Seen, AdminError> {
    let wanted: Declaration = document(input)?;
    can_be_declared(&wanted)?;
    for _ in 0..MAX_CONFLICTS {
        let declared = app.store.read(DeclaredAttributes).await?;
        let before = declared.named(&wanted.name);
        if before.is_some_and(|before| before.kind != wanted.kind) {
            return Err(AdminError::invalid(
                "type",
                "cannot be changed: records hold values of it. Declare another name",
            ));
        }
        if before.is_some_and(|before| wanted.lets_in_more_than(before)) {
            by.needs(AdminScope::UsersWrite)?;
        }
        let rev = before.map_or(Rev::NEW, |before| before.rev);
        by.expects(rev)?;
        if before.is_some_and(|before| Declaration { rev, ..wanted.clone() } == *before) {
            return Ok(Seen { view: json!(wanted), rev });
        }
        let names = differences(&before.map(members).unwrap_or_default(), &members(&wanted));
        let entry = by.did(Act::AttributeDeclared, Target::Attribute(wanted.name.clone()), app.clock.now());
        let row = Declaration { rev, ..wanted.clone() };
        match by.commit(app, Changes::none().write(Row::Attribute(row)).audit(entry.names(names))).await? {
            Commit::Done { .. } => return Ok(Seen { view: json!(wanted), rev: rev.next() }),
            Commit::Conflict { .. } => {} // declared by somebody else in between
        }
    }
    Err(Failure::Contended.into())
}

/// The name of a field that only a proof writes is none of an attribute, and a limit below the shortest value would make
/// one that nobody can write.
pub(crate) fn can_be_declared(wanted: &Declaration) -> Result<(), AdminError> {
    if is_proved(&wanted.name) {
        return Err(AdminError::invalid("name", "is a field of every record, written by verifying a phone number"));
    }
    let least = wanted.kind.least_bytes();
    if wanted.max_bytes < least {
        return Err(AdminError::invalid(
            "max_bytes",
            format!("must be at least {least}: no value of this type is shorter"),
        ));
    }
    Ok(())
}

/// One declaration.
pub async fn show(app: &App, name: &str) -> Result<Seen, AdminError> {
    let missing = || AdminError::not_found("attribute", name);
    let known = name.parse().map_err(|_| missing())?;
    let declared = app.store.read(DeclaredAttributes).await?;
    let found = declared.named(&known).ok_or_else(missing)?;
    Ok(Seen { view: json!(found), rev: found.rev })
}

/// All declarations, by name.
pub async fn list(app: &App) -> Result<Value, AdminError> {
    let declared = app.store.read(DeclaredAttributes).await?;
    Ok(json!({ "attributes": declared.iter().collect::<Vec<_>>() }))
}
