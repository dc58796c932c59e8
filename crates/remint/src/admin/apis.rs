//! Apis: the resource servers, with the credential by which each follows its feed. A secret is answered once, when it
//! is made, and never again.

use remint_core::audit::{Act, Target};
use remint_core::change::{Changes, Row, RowKey};
use remint_core::client::Api;
use remint_core::id::ClientId;
use remint_core::secret::ClientSecret;
use serde_json::{Map, Value, json};

use crate::admin::page::Paged;
use crate::admin::{AdminError, By, Seen, differences, document, members, merged, refuse_members, with_secret};
use crate::app::App;
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::store::{ApiById, ApisListed, ClientById, Clients, Commit};

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
    by.may_change_api(None, &api)?;
    if app.store.read(ClientById(api.id.clone())).await?.is_some() {
        return Err(AdminError::exists("client", &api.id));
    }
    app.keyring.ensure(api.algorithm).await.map_err(super::keys::refused)?;
    let entry = by.did(Act::ApiCreated, Target::Api(api.id.clone()), app.clock.now());
    match by.commit(app, Changes::none().write(Row::Api(api.clone())).audit(entry)).await? {
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

/// Changes members of an api (RFC 7396, one level; `null` takes the default). Its audience stays: tokens and clients
/// name it.
pub async fn update(app: &App, by: &By, id: &str, input: &Map<String, Value>) -> Result<Seen, AdminError> {
    refuse_members(input, &["id", "secret"])?;
    for _ in 0..MAX_CONFLICTS {
        let before = found(app, id).await?;
        by.expects(before.rev)?;
        let wanted: Api = document(merged(members(&before), input.clone()))?;
        if wanted.audience != before.audience {
            return Err(AdminError::invalid("audience", "cannot be changed: tokens and clients name it"));
        }
        let after = Api { rev: before.rev, ..wanted };
        by.may_change_api(Some(&before), &after)?;
        fits_its_clients(app, &after).await?;
        if after == before {
            return Ok(Seen { view: view(&after), rev: after.rev });
        }
        app.keyring.ensure(after.algorithm).await.map_err(super::keys::refused)?;
        let names = differences(&members(&before), &members(&after));
        let entry = by.did(Act::ApiChanged, Target::Api(after.id.clone()), app.clock.now()).names(names);
        match by.commit(app, Changes::none().write(Row::Api(after.clone())).audit(entry)).await? {
            Commit::Done { .. } => return Ok(written(&after)),
            Commit::Conflict { .. } => {} // changed by somebody else in between
        }
    }
    Err(Failure::Contended.into())
}

/// No client that may call it has tokens that live longer than it allows.
async fn fits_its_clients(app: &App, api: &Api) -> Result<(), AdminError> {
    for client in app.store.read(Clients).await?.iter().filter(|client| client.apis.contains(&api.audience)) {
        let cap = [(api.audience.as_str(), api.max_life)];
        client.policy.check(&app.settings.timing, cap).map_err(|why| {
            AdminError::invalid("max_life", format!("does not fit the client `{}`: {why}", client.id))
        })?;
    }
    Ok(())
}

/// Apis in the order of their ids, a page at a time.
pub async fn list(app: &App, paged: &Paged) -> Result<Value, AdminError> {
    let page = paged.of(app, "apis")?;
    let mut apis = app.store.read(ApisListed { after: page.text_place(), limit: page.one_more() }).await?;
    let next = page.next(app, &mut apis, |api| api.id.as_str().as_bytes().to_vec());
    Ok(json!({ "apis": apis.iter().map(|api| view(api)).collect::<Vec<_>>(), "next": next }))
}

/// Makes a new secret; the old one is refused from now on.
pub async fn rotate_secret(app: &App, by: &By, id: &str) -> Result<Seen, AdminError> {
    let secret = ClientSecret::from_random(app.entropy.bytes());
    for _ in 0..MAX_CONFLICTS {
        let before = found(app, id).await?;
        by.expects(before.rev)?;
        let api = Api { secret: secret.hash(), ..before.clone() };
        by.may_change_api(Some(&before), &api)?;
        let entry = by.did(Act::ApiSecretRotated, Target::Api(api.id.clone()), app.clock.now());
        match by.commit(app, Changes::none().write(Row::Api(api.clone())).audit(entry)).await? {
            Commit::Done { .. } => return Ok(with_secret(written(&api), Some(&secret))),
            Commit::Conflict { .. } => {} // changed by somebody else in between
        }
    }
    Err(Failure::Contended.into())
}
