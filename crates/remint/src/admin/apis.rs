//! Apis: the resource servers, with the credential by which each follows its feed. A secret is answered once, when it
//! is made, and never again.

use remint_core::audit::{Act, Target};
use remint_core::change::{Changes, Row, RowKey};
use remint_core::client::Api;
use remint_core::id::ClientId;
use remint_core::secret::ClientSecret;
use serde_json::{Map, Value, json};

use crate::admin::{AdminError, By, Seen, document, members, refuse_members, with_secret};
use crate::app::App;
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::store::{ApiById, Apis, ClientById, Commit};

/// Makes an api, and answers its secret.
pub async fn create(app: &App, by: &By, mut input: Map<String, Value>) -> Result<Seen, AdminError> {
    refuse_members(&input, &["secret"])?;
    let secret = ClientSecret::from_random(app.entropy.bytes());
    input.insert("secret".into(), json!(secret.hash()));
    let api: Api = document(input)?;
    if app.settings.issuer.is_own(&api.audience) {
        // Its tokens would open accounts, or administration: they are known by their audience.
        return Err(AdminError::invalid("audience", "is the public URL of this server: name the api otherwise"));
    }
    if app.store.read(ClientById(api.id.clone())).await?.is_some() {
        return Err(AdminError::exists("client", &api.id));
    }
    app.keyring.ensure(api.algorithm).await.map_err(super::keys::refused)?;
    let entry = by.did(Act::ApiCreated, Target::Api(api.id.clone()), app.clock.now());
    match app.store.commit(Changes::none().write(Row::Api(api.clone())).audit(entry)).await? {
        Commit::Done { .. } => Ok(with_secret(written(&api), Some(&secret))),
        Commit::Conflict { key: RowKey::Api(id), .. } if id == api.id => Err(AdminError::exists("api", id)),
        Commit::Conflict { .. } => Err(AdminError::exists("audience", &api.audience)),
    }
}

fn view(api: &Api) -> Value {
    let mut view = members(api);
    view.remove("secret");
    Value::Object(view)
}

/// The api behind the commit that wrote it.
fn written(api: &Api) -> Seen {
    Seen { view: view(api), rev: api.rev.next() }
}

/// One api, by the `client_id` of its credential.
pub async fn show(app: &App, id: &str) -> Result<Seen, AdminError> {
    let api = found(app, id).await?;
    Ok(Seen { view: view(&api), rev: api.rev })
}

async fn found(app: &App, id: &str) -> Result<Api, AdminError> {
    let missing = || AdminError::not_found("api", id);
    let known: ClientId = id.parse().map_err(|_| missing())?;
    let api = app.store.read(ApiById(known)).await?.ok_or_else(missing)?;
    Ok(Api::clone(&api))
}

/// All apis.
pub async fn list(app: &App) -> Result<Value, AdminError> {
    let apis = app.store.read(Apis).await?;
    Ok(json!({ "apis": apis.iter().map(|api| view(api)).collect::<Vec<_>>() }))
}

/// Makes a new secret; the old one is refused from now on.
pub async fn rotate_secret(app: &App, by: &By, id: &str) -> Result<Seen, AdminError> {
    let secret = ClientSecret::from_random(app.entropy.bytes());
    for _ in 0..MAX_CONFLICTS {
        let api = Api { secret: secret.hash(), ..found(app, id).await? };
        by.expects(api.rev)?;
        let entry = by.did(Act::ApiSecretRotated, Target::Api(api.id.clone()), app.clock.now());
        match app.store.commit(Changes::none().write(Row::Api(api.clone())).audit(entry)).await? {
            Commit::Done { .. } => return Ok(with_secret(written(&api), Some(&secret))),
            Commit::Conflict { .. } => {} // changed by somebody else in between
        }
    }
    Err(Failure::Contended.into())
}
