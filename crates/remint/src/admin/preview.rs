//! A mapping tried out: what the tokens of a user at a client show now, and what they would show. Commits nothing and
//! signs nothing.

use remint_core::client::Client;
use remint_core::id::SessionId;
use remint_core::mapping::Mapping;
use remint_core::session::{Continuity, Device, Opening, Session};
use remint_core::time::Timestamp;
use remint_core::token::{Bounds, Issuing, Target, TokenClaims};
use remint_core::user::User;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::{AdminError, clients, users};
use crate::app::App;
use crate::failure::Failure;
use crate::store::ApiFor;

/// What is to be tried.
#[derive(Debug, Deserialize)]
pub struct Trial {
    /// The user.
    pub user: String,
    /// The mapping, instead of the client's.
    pub mapping: Value,
}

/// The claims before and after, and whether those after fit into a token.
pub async fn preview(app: &App, id: &str, trial: Trial) -> Result<Value, AdminError> {
    let before = clients::found(app, id).await?;
    let mapping: Mapping =
        serde_json::from_value(trial.mapping).map_err(|error| AdminError::invalid("mapping", error))?;
    let after = clients::checked(app, Client { mapping, ..before.clone() }, Some(&before)).await?;
    let user = users::account(app, &trial.user).await?.user;
    let (now_shown, _) = shown(app, &before, &user).await?;
    let (then_shown, refused) = shown(app, &after, &user).await?;
    Ok(json!({
        "user": user.id,
        "before": now_shown,
        "after": then_shown,
        "fits": refused.is_none(),
        "refused": refused.map(|failure| failure.to_string()),
    }))
}

/// The claims of the client's default api, as a session opened now would have them, without the ids of session and
/// token.
async fn shown(app: &App, client: &Client, user: &User) -> Result<(Value, Option<Failure>), AdminError> {
    let Some(audience) = client.default_api() else {
        return Err(AdminError::invalid("client_id", "is of a client that calls no api"));
    };
    let Some(api) = app.store.read(ApiFor(audience.clone())).await? else {
        return Err(AdminError::not_found("api", audience));
    };
    app.keyring.look_for_signer(api.algorithm).await.map_err(Failure::from)?;
    let now = app.clock.now();
    let session = imagined(client, user, now);
    let by = Issuing { issuer: app.settings.issuer.as_str(), quantum: app.settings.timing.quantum, now };
    let claims = TokenClaims::of_session(by, user, client, &session, Target::Api(&api), Bounds::default());
    let refused = app.mint.fits(&claims, api.algorithm).err().map(Failure::from);
    let mut view = json!(claims);
    if let Value::Object(members) = &mut view {
        members.retain(|name, _| !["sid", "jti"].contains(&name.as_str()));
    }
    Ok((view, refused))
}

fn imagined(client: &Client, user: &User, now: Timestamp) -> Session {
    let opening = Opening {
        sid: SessionId::from_bytes([0; 16]),
        continuity: Continuity::Fixed,
        scope: client.scopes.clone(),
        amr: Vec::new(),
        device: Device::default(),
    };
    Session::open(user, &client.id, &client.policy, opening, now)
}
