//! Clients: the applications. Settings that cannot work are refused when they are set; what a token would show
//! differently raises `pv`, and the feed tells it in the same commit. A secret is answered once and never again.

use remint_core::audit::{Act, Target};
use remint_core::change::{Changes, Row};
use remint_core::client::{Api, Client};
use remint_core::id::ClientId;
use remint_core::notice;
use remint_core::secret::ClientSecret;
use serde_json::{Map, Value, json};

use crate::admin::page::Paged;
use crate::admin::{AdminError, By, Seen, differences, document, members, merged, refuse_members, with_secret};
use crate::app::App;
use crate::failure::Failure;
use crate::grant::MAX_CONFLICTS;
use crate::store::{ApiById, Apis, ClientById, ClientsListed, Commit, DeclaredAttributes};

/// What only the server writes.
const KEPT: [&str; 3] = ["pv", "secret", "longest_life"];

/// Makes a client. With `"confidential": true` it has a secret, which is in the answer.
pub async fn create(app: &App, by: &By, mut input: Map<String, Value>) -> Result<Seen, AdminError> {
    refuse_members(&input, &KEPT)?;
    let confidential = match input.remove("confidential") {
        None | Some(Value::Null | Value::Bool(false)) => false,
        Some(Value::Bool(true)) => true,
        Some(_) => return Err(AdminError::invalid("confidential", "must be true or false")),
    };
    let secret = confidential.then(|| ClientSecret::from_random(app.entropy.bytes()));
    if let Some(secret) = &secret {
        input.insert("secret".into(), json!(secret.hash()));
    }
    let client: Client = document(input)?;
    if app.store.read(ApiById(client.id.clone())).await?.is_some() {
        return Err(AdminError::exists("api", &client.id));
    }
    let id = client.id.clone();
    let client = checked(app, client, None).await?;
    by.may_change(None, &client)?;
    let entry = by.did(Act::ClientCreated, Target::Client(id.clone()), app.clock.now());
    match by.commit(app, Changes::none().write(Row::Client(client.clone())).audit(entry)).await? {
        Commit::Done { .. } => Ok(with_secret(Seen { view: view(&client), rev: client.rev.next() }, secret.as_ref())),
        Commit::Conflict { .. } => Err(AdminError::exists("client", id)),
    }
}

pub(super) async fn checked(app: &App, client: Client, before: Option<&Client>) -> Result<Client, AdminError> {
    let apis: Vec<Api> = app.store.read(Apis).await?.iter().map(|api| Api::clone(api)).collect();
    let declared = app.store.read(DeclaredAttributes).await?;
    if let Some(unknown) = declared.undeclared(&client.mapping) {
        let what =
            format!("shows the attribute `{unknown}`, which is not declared: `remint attribute declare {unknown}`");
        return Err(AdminError::invalid("mapping", what));
    }
    client.checked(before, &apis, &app.settings.timing).map_err(AdminError::wrong)
}

fn view(client: &Client) -> Value {
    let mut view = members(client);
    KEPT[1..].iter().for_each(|kept| drop(view.remove(*kept)));
    view.insert("confidential".into(), json!(client.secret.is_some()));
    Value::Object(view)
}

/// One client.
pub async fn show(app: &App, id: &str) -> Result<Seen, AdminError> {
    let client = found(app, id).await?;
    Ok(Seen { view: view(&client), rev: client.rev })
}

pub(super) async fn found(app: &App, id: &str) -> Result<Client, AdminError> {
    let missing = || AdminError::not_found("client", id);
    let known: ClientId = id.parse().map_err(|_| missing())?;
    let client = app.store.read(ClientById(known)).await?.ok_or_else(missing)?;
    Ok(Client::clone(&client))
}

/// Clients in the order of their ids, a page at a time.
pub async fn list(app: &App, paged: &Paged) -> Result<Value, AdminError> {
    let page = paged.of(app, "clients")?;
    let mut clients = app.store.read(ClientsListed { after: page.text_place(), limit: page.one_more() }).await?;
    let next = page.next(app, &mut clients, |client| client.id.as_str().as_bytes().to_vec());
    Ok(json!({ "clients": clients.iter().map(|client| view(client)).collect::<Vec<_>>(), "next": next }))
}

/// Changes members of a client (RFC 7396, one level; `null` takes the default).
pub async fn update(app: &App, by: &By, id: &str, input: &Map<String, Value>) -> Result<Seen, AdminError> {
    refuse_members(input, &KEPT)?;
    refuse_members(input, &["id", "confidential"])?;
    let decide = |before: &Client| document(merged(members(before), input.clone()));
    change(app, by, Act::ClientChanged, id, decide).await
}

/// The client gets no more tokens, and those that it has die.
pub async fn disable(app: &App, by: &By, id: &str) -> Result<Seen, AdminError> {
    change(app, by, Act::ClientDisabled, id, |before| Ok(Client { disabled: true, ..before.clone() })).await
}

/// The client gets tokens again; those that died stay dead.
pub async fn enable(app: &App, by: &By, id: &str) -> Result<Seen, AdminError> {
    change(app, by, Act::ClientEnabled, id, |before| Ok(Client { disabled: false, ..before.clone() })).await
}

/// Makes a new secret; the old one is refused from now on. A public client becomes a confidential one.
pub async fn rotate_secret(app: &App, by: &By, id: &str) -> Result<Seen, AdminError> {
    let secret = ClientSecret::from_random(app.entropy.bytes());
    let hash = secret.hash();
    let seen = change(app, by, Act::ClientSecretRotated, id, |before| match before.secret {
        Some(_) => Ok(Client { secret: Some(hash), ..before.clone() }),
        None => Err(AdminError::invalid(
            "client_id",
            "is of a public client, which has no secret: a new one would lock its pages out. Create a confidential client",
        )),
    })
    .await?;
    Ok(with_secret(seen, Some(&secret)))
}

/// Decides on the client as it stands, commits, and decides again where it moved.
async fn change(
    app: &App,
    by: &By,
    act: Act,
    id: &str,
    decide: impl Fn(&Client) -> Result<Client, AdminError>,
) -> Result<Seen, AdminError> {
    for _ in 0..MAX_CONFLICTS {
        let before = found(app, id).await?;
        by.expects(before.rev)?;
        let wanted = Client { rev: before.rev, ..decide(&before)? };
        let after = checked(app, wanted, Some(&before)).await?;
        by.may_change(Some(&before), &after)?;
        if after == before {
            return Ok(Seen { view: view(&after), rev: after.rev });
        }
        let now = app.clock.now();
        let told = notice::client_changed(&before, &after, &app.settings.timing, now);
        let names = differences(&members(&before), &members(&after));
        let entry = by.did(act, Target::Client(after.id.clone()), now).names(names);
        let changes = Changes { notices: told.into_iter().collect(), ..Changes::none() };
        match by.commit(app, changes.write(Row::Client(after.clone())).audit(entry)).await? {
            Commit::Done { .. } => return Ok(Seen { view: view(&after), rev: after.rev.next() }),
            Commit::Conflict { .. } => {} // changed by somebody else in between
        }
    }
    Err(Failure::Contended.into())
}
