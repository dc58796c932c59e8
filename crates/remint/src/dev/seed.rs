//! What a dev folder begins with: attributes, an api, clients and a user, made by the same operations that an
//! administrator has. What is there already stays as it is.

use remint_core::policy::Policy;
use serde_json::{Map, Value, json};

use super::DevError;
use super::facts::Secrets;
use super::speed::Speed;
use crate::admin::{AdminError, By, apis, attributes, clients, users};
use crate::app::App;

/// The user's name and password, for everybody to know.
pub(super) const IDENTIFIER: &str = "ada@example.test";
pub(super) const PASSWORD: &str = "analytical engine 1843";
/// The api, its audience and the `client_id` of its credential.
pub(super) const API: &str = "demo-api";
/// A confidential client of the grant `client_credentials`.
pub(super) const SERVICE: &str = "demo-service";

/// Where the pages of an application under development come from.
const ORIGINS: [&str; 4] =
    ["http://localhost:3000", "http://localhost:4200", "http://localhost:5173", "http://localhost:8080"];

/// The public clients, each with its policy.
pub(super) fn public_clients() -> [(&'static str, Policy); 4] {
    [
        ("demo-rolling", Policy::rolling()),
        ("demo-fixed", Policy::fixed()),
        ("demo-refresh", Policy::refresh()),
        ("demo-cookie", Policy::cookie()),
    ]
}

/// Makes what is not there; with `rescale`, sets the policies of the demo's clients by `speed` anew. Answers the
/// secrets, which are kept in the folder's `dev.json` from the first start on.
pub(super) async fn seed(app: &App, speed: Speed, rescale: bool) -> Result<Secrets, DevError> {
    seeded(app, speed, rescale)
        .await
        .map_err(|error| DevError::Damaged(format!("the demo data cannot be made: {error}")))
}

async fn seeded(app: &App, speed: Speed, rescale: bool) -> Result<Secrets, AdminError> {
    for (name, writable_by) in [("nickname", "user"), ("role", "admin")] {
        attributes::declare(
            app,
            &By::operator(),
            object(json!({ "name": name, "type": "string", "writable_by": writable_by })),
        )
        .await?;
    }
    let kept = Secrets::kept(&app.settings.data);
    let api = match apis::show(app, API).await {
        Ok(_) => None,
        Err(AdminError::NotFound { .. }) => {
            let api = json!({ "id": API, "audience": API, "scopes": "read write" });
            Some(apis::create(app, &By::operator(), object(api)).await?.view)
        }
        Err(error) => return Err(error),
    };
    for (id, policy) in public_clients() {
        client(app, id, &speed.policy(&policy), rescale, false).await?;
    }
    let service = client(app, SERVICE, &speed.policy(&Policy::refresh()), rescale, true).await?;
    user(app).await?;
    let api = match (secret(api.as_ref()), kept.as_ref()) {
        (Some(made), _) => made,
        (None, Some(kept)) => kept.api.clone(),
        (None, None) => secret(Some(&apis::rotate_secret(app, &By::operator(), API).await?.view)).unwrap_or_default(),
    };
    let service = match (secret(service.as_ref()), kept) {
        (Some(made), _) => made,
        (None, Some(kept)) => kept.service,
        (None, None) => {
            secret(Some(&clients::rotate_secret(app, &By::operator(), SERVICE).await?.view)).unwrap_or_default()
        }
    };
    Ok(Secrets { api, service })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(), // every caller writes an object
    }
}

fn secret(made: Option<&Value>) -> Option<String> {
    made.and_then(|view| view["client_secret"].as_str()).map(str::to_owned)
}

/// The client, if it was made now.
async fn client(
    app: &App,
    id: &str,
    policy: &Policy,
    rescale: bool,
    confidential: bool,
) -> Result<Option<Value>, AdminError> {
    match clients::show(app, id).await {
        Ok(_) if rescale => {
            clients::update(app, &By::operator(), id, &object(json!({ "policy": policy }))).await.map(|_| None)
        }
        Ok(_) => Ok(None),
        Err(AdminError::NotFound { .. }) => {
            let origins: &[&str] = if confidential { &[] } else { &ORIGINS };
            let new = json!({
                "id": id, "name": id, "confidential": confidential, "client_credentials": confidential,
                "first_party": !confidential, "policy": policy, "origins": origins, "apis": [API],
                "scopes": "read write", "mapping": { "nickname": "nickname", "role": "role", "phone_number": "phone_number" },
            });
            clients::create(app, &By::operator(), object(new)).await.map(|made| Some(made.view))
        }
        Err(error) => Err(error),
    }
}

async fn user(app: &App) -> Result<(), AdminError> {
    match users::show(app, IDENTIFIER).await {
        Ok(_) => Ok(()),
        Err(AdminError::NotFound { .. }) => {
            let new = users::NewUser {
                identifiers: vec![IDENTIFIER.to_owned()],
                external_id: None,
                password: Some(PASSWORD.to_owned()),
                attributes: object(json!({ "nickname": "ada", "role": "engineer" })),
            };
            users::create(app, &By::operator(), new).await.map(drop)
        }
        Err(error) => Err(error),
    }
}
