//! What is to be done so that an installation is as its file says: the difference between the two, a step for each
//! thing, in the order of need. Every declaration is checked by the rules of `remint_core` before anything is changed.
//! Never deletes, never sets a password again, and never undoes what users wrote about themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::Method;
use remint_core::attribute::{Declaration, Declarations, WritableBy, Writer};
use remint_core::client::{Api, Client};
use remint_core::id::ClientId;
use remint_core::policy::Timing;
use remint_core::secret::SecretHash;
use remint_core::user::Attributes;
use serde_json::{Map, Value, json};

use super::file::{Entry, Section};
use super::senders::Compared;
use crate::account::external::ExternalId;
use crate::account::identifier::CanonicalIdentifier;
use crate::admin::{self, AdminError, document, members};
use crate::cli::ask::path;
use crate::cli::password::read_file;
use crate::config::{Environment, shown};

/// What stands on the server: the answers of its lists, and of each name of a user in the file.
pub(super) struct Current {
    pub(super) attributes: Vec<Map<String, Value>>,
    pub(super) apis: Vec<Map<String, Value>>,
    pub(super) clients: Vec<Map<String, Value>>,
    pub(super) users: BTreeMap<String, Map<String, Value>>,
    /// What is wrong with a sender of the file, where something is.
    pub(super) senders: BTreeMap<String, Result<Compared, String>>,
}

/// A member, as it is, and as it will be.
pub(super) type Change = (String, Value, Value);

/// One request, and what it is for.
pub(super) struct Step {
    pub(super) section: Section,
    pub(super) name: String,
    /// Where it is declared.
    pub(super) at: String,
    pub(super) is_new: bool,
    /// What it changes.
    pub(super) changes: Vec<Change>,
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Option<Value>,
    /// Whether its answer carries a secret, shown this once.
    pub(super) makes_secret: bool,
}

/// Where first passwords and secrets are read.
pub(super) struct Beside<'a> {
    /// The folder of the file: names of files are relative to it.
    pub(super) folder: &'a Path,
    pub(super) environment: &'a Environment,
}

/// What is to be done, and what a reader of the file should know of it.
pub(super) struct Plan {
    pub(super) steps: Vec<Step>,
    pub(super) notes: Vec<String>,
}

/// The steps; none where everything is as declared.
///
/// # Errors
/// All that cannot be, a text for each, beginning with the line.
pub(super) fn plan(
    entries: &[Entry],
    current: &Current,
    timing: &Timing,
    beside: &Beside<'_>,
) -> Result<Plan, Vec<String>> {
    let ids = of(entries, Section::Clients).map(|entry| entry.name.as_str());
    let stored = current.clients.iter().filter_map(|client| client["id"].as_str());
    let mut planning = Planning {
        current,
        timing,
        beside,
        clients: ids.chain(stored).collect(),
        named: BTreeMap::new(),
        wrong: Vec::new(),
        plan: Plan { steps: Vec::new(), notes: Vec::new() },
    };
    let (declared, apis) = (planning.declarations(entries), planning.apis(entries));
    for entry in entries {
        let planned = match entry.section {
            Section::Attributes => planning.attribute(entry, &declared),
            Section::Apis => planning.api(entry, &apis),
            Section::Clients => planning.client(entry, &declared, &apis),
            Section::Senders => planning.sender(entry),
            Section::Users => planning.user(entry, &declared),
        };
        if let Err(why) = planned {
            planning.wrong.push(why);
        }
    }
    if planning.wrong.is_empty() { Ok(planning.plan) } else { Err(planning.wrong) }
}

struct Planning<'a> {
    current: &'a Current,
    timing: &'a Timing,
    beside: &'a Beside<'a>,
    /// The ids of all clients that there are or will be.
    clients: BTreeSet<&'a str>,
    /// Whose each name of a user is, and where that user is declared.
    named: BTreeMap<String, (&'a str, String)>,
    wrong: Vec<String>,
    plan: Plan,
}

/// No secret is known here: where a document needs one to be whole, this stands in its place and goes nowhere.
fn placeholder() -> Value {
    json!(SecretHash::of(b""))
}

impl<'a> Planning<'a> {
    /// All attributes, as they will be declared.
    fn declarations(&mut self, entries: &[Entry]) -> BTreeMap<String, Declaration> {
        let mut all = BTreeMap::new();
        for stored in &self.current.attributes {
            if let Ok(declaration) = document::<Declaration>(stored.clone()) {
                all.insert(declaration.name.to_string(), declaration);
            }
        }
        for entry in of(entries, Section::Attributes) {
            match read(entry, Map::from_iter([("name".to_owned(), json!(entry.name))])) {
                Ok(declaration) => drop(all.insert(entry.name.clone(), declaration)),
                Err(why) => self.wrong.push(why),
            }
        }
        all
    }

    /// All apis, as they will be.
    fn apis(&mut self, entries: &[Entry]) -> BTreeMap<String, Api> {
        let mut all = BTreeMap::new();
        for stored in &self.current.apis {
            let mut stored = stored.clone();
            stored.insert("secret".into(), placeholder());
            if let Ok(api) = document::<Api>(stored) {
                all.insert(api.id.to_string(), api);
            }
        }
        for entry in of(entries, Section::Apis) {
            let mut more = Map::from_iter([("id".to_owned(), json!(entry.name)), ("secret".to_owned(), placeholder())]);
            if !entry.members.contains_key("audience") {
                more.insert("audience".into(), json!(entry.name));
            }
            match read(entry, more) {
                Ok(api) => drop(all.insert(entry.name.clone(), api)),
                Err(why) => self.wrong.push(why),
            }
        }
        all
    }

    fn attribute(&mut self, entry: &Entry, declared: &BTreeMap<String, Declaration>) -> Result<(), String> {
        let Some(wanted) = declared.get(&entry.name) else { return Ok(()) }; // what is wrong was told
        admin::attributes::can_be_declared(wanted).map_err(|bad| blamed(entry, bad))?;
        let wanted = members(wanted);
        let stored = self.current.attributes.iter().find(|stored| stored["name"] == json!(entry.name));
        let changes = differences(entry, stored, &wanted);
        if changes.iter().any(|(name, ..)| name == "type") && stored.is_some() {
            let why = "cannot be changed: records hold values of it. Declare another name";
            return Err(format!("{}: {why}", entry.at(Some("type"))));
        }
        if stored.is_none() || !changes.is_empty() {
            let path = "/admin/api/attributes".to_owned();
            self.step(entry, stored.is_none(), changes, (Method::POST, path, Some(Value::Object(wanted))));
        }
        Ok(())
    }

    fn api(&mut self, entry: &Entry, apis: &BTreeMap<String, Api>) -> Result<(), String> {
        let Some(api) = apis.get(&entry.name) else { return Ok(()) };
        if let Some(twin) = apis.values().find(|other| other.id != api.id && other.audience == api.audience) {
            return Err(format!("{}: the api {} has the audience {} too", entry.at(None), twin.id, api.audience));
        }
        if self.current.clients.iter().any(|client| client["id"] == json!(entry.name)) {
            return Err(format!("{}: a client has this id already", entry.at(None)));
        }
        let mut wanted = members(api);
        wanted.remove("secret");
        let stored = self.current.apis.iter().find(|stored| stored["id"] == json!(entry.name));
        let changes = differences(entry, stored, &wanted);
        if stored.is_none() {
            let request = (Method::POST, "/admin/api/apis".to_owned(), Some(Value::Object(wanted)));
            self.step(entry, true, changes, request);
        } else if changes.iter().any(|(name, ..)| name == "audience") {
            let why = "cannot be changed: tokens and clients name it. Declare another api";
            return Err(format!("{}: {why}", entry.at(Some("audience"))));
        } else if !changes.is_empty() {
            self.step(entry, false, changes.clone(), patch("apis", &entry.name, &changes));
        }
        Ok(())
    }

    fn client(
        &mut self,
        entry: &Entry,
        declared: &BTreeMap<String, Declaration>,
        apis: &BTreeMap<String, Api>,
    ) -> Result<(), String> {
        let confidential = match entry.members.get("confidential") {
            None => false,
            Some(Value::Bool(confidential)) => *confidential,
            Some(_) => return Err(format!("{}: must be true or false", entry.at(Some("confidential")))),
        };
        let mut more = Map::from_iter([("id".to_owned(), json!(entry.name))]);
        if confidential {
            more.insert("secret".into(), placeholder());
        }
        let client: Client = read(entry, more)?;
        if apis.contains_key(&entry.name) {
            return Err(format!("{}: an api has this id already", entry.at(None)));
        }
        let attributes: Declarations = declared.values().cloned().collect();
        if let Some(unknown) = attributes.undeclared(&client.mapping) {
            let why = format!("shows the attribute `{unknown}`, which is not declared: add [attributes.{unknown}]");
            return Err(format!("{}: {why}", entry.at(Some("mapping"))));
        }
        let all: Vec<Api> = apis.values().cloned().collect();
        let client = client.checked(None, &all, self.timing).map_err(|why| format!("{}: {why}", entry.at(None)))?;
        let vain = client.given_in_vain(&all, |id: &ClientId| self.clients.contains(id.as_str()));
        self.plan.notes.extend(vain.iter().map(|vain| format!("clients.{}: {vain}", client.id)));
        let mut wanted = members(&client);
        wanted.insert("confidential".into(), json!(confidential));
        let stored = self.current.clients.iter().find(|stored| stored["id"] == json!(entry.name));
        let changes = differences(entry, stored, &wanted);
        if stored.is_none() {
            ["pv", "secret", "longest_life"].iter().for_each(|kept| drop(wanted.remove(*kept)));
            let request = (Method::POST, "/admin/api/clients".to_owned(), Some(Value::Object(wanted)));
            self.step(entry, true, changes, request);
            self.plan.steps.last_mut().into_iter().for_each(|step| step.makes_secret = confidential);
        } else if changes.iter().any(|(name, ..)| name == "confidential") {
            let why = "cannot be changed: a client that has no secret cannot be given one. Declare another client";
            return Err(format!("{}: {why}", entry.at(Some("confidential"))));
        } else if !changes.is_empty() {
            self.step(entry, false, changes.clone(), patch("clients", &entry.name, &changes));
        }
        Ok(())
    }

    fn sender(&mut self, entry: &Entry) -> Result<(), String> {
        let Some(compared) = self.current.senders.get(&entry.name) else { return Ok(()) };
        let Compared { is_new, body, changes, .. } = compared.as_ref().map_err(Clone::clone)?;
        if !changes.is_empty() {
            let request = (Method::PUT, path("senders", &entry.name, ""), Some(body.clone()));
            self.step(entry, *is_new, changes.clone(), request);
        }
        Ok(())
    }

    fn user(&mut self, entry: &'a Entry, declared: &BTreeMap<String, Declaration>) -> Result<(), String> {
        let user: DeclaredUser = read(entry, Map::new())?;
        self.names_nobody_else(entry)?;
        let all: Declarations = declared.values().cloned().collect();
        all.apply(&Attributes::new(), &user.attributes, Writer::Admin)
            .map_err(|why| format!("{}: {why}", entry.at(Some("attributes"))))?;
        match self.current.users.get(&entry.name) {
            None => self.new_user(entry, &user)?,
            Some(stored) => self.known_user(entry, &user, stored, declared)?,
        }
        let was_disabled = self.current.users.get(&entry.name).is_some_and(|stored| stored["status"] == "disabled");
        if let Some(disabled) = user.disabled.filter(|disabled| *disabled != was_disabled) {
            let verb = if disabled { "/disable" } else { "/enable" };
            let changes = vec![("disabled".to_owned(), json!(was_disabled), json!(disabled))];
            self.step(entry, false, changes, (Method::POST, path("users", &entry.name, verb), None));
        }
        Ok(())
    }

    /// No name of this user is one of another user of the file.
    fn names_nobody_else(&mut self, entry: &'a Entry) -> Result<(), String> {
        for name in names_of_user(entry) {
            let canonical = name.parse().map_or(name.clone(), |known: CanonicalIdentifier| known.as_str().to_owned());
            let other = self.named.insert(canonical, (&entry.name, entry.at(None)));
            if let Some((_, at)) = other.filter(|(other, _)| *other != entry.name) {
                return Err(format!("{}: `{}` is a name of another user too, line {at}", entry.at(None), shown(&name)));
            }
        }
        Ok(())
    }

    fn new_user(&mut self, entry: &Entry, user: &DeclaredUser) -> Result<(), String> {
        if let Some(taken) = names_of_user(entry).into_iter().find(|name| self.current.users.contains_key(name)) {
            return Err(format!(
                "{}: `{}` is a name of another user, who is there already",
                entry.at(None),
                shown(&taken)
            ));
        }
        let identifiers: Vec<&String> = std::iter::once(&entry.name).chain(&user.identifiers).collect();
        for identifier in &identifiers {
            let member = (**identifier != entry.name).then_some("identifiers");
            identifier.parse::<CanonicalIdentifier>().map_err(|why| format!("{}: {why}", entry.at(member)))?;
        }
        let mut body = json!({ "identifiers": identifiers, "attributes": user.attributes });
        let mut changes = vec![("identifiers".to_owned(), Value::Null, body["identifiers"].clone())];
        if let Some(external) = &user.external_id {
            external.parse::<ExternalId>().map_err(|why| format!("{}: {why}", entry.at(Some("external_id"))))?;
            body["external_id"] = json!(external);
            changes.push(("external_id".to_owned(), Value::Null, json!(external)));
        }
        changes.extend(user.attributes.iter().map(|(name, value)| (name.clone(), Value::Null, value.clone())));
        if let Some(password) = self.password(entry, user)? {
            let member = if user.password_file.is_some() { "password_file" } else { "password_env" };
            admin::users::new_password(password.to_string())
                .map_err(|why| format!("{}: {why}", entry.at(Some(member))))?;
            body["password"] = json!(password.as_str());
        }
        self.step(entry, true, changes, (Method::POST, "/admin/api/users".to_owned(), Some(body)));
        Ok(())
    }

    /// Read only when it is needed: the file can be gone once the user is made.
    fn password(&self, entry: &Entry, user: &DeclaredUser) -> Result<Option<zeroize::Zeroizing<String>>, String> {
        match (&user.password_file, &user.password_env) {
            (Some(_), Some(_)) => {
                Err(format!("{}: there is a `password_file` too: keep one", entry.at(Some("password_env"))))
            }
            (Some(file), None) => read_file(&self.beside.folder.join(file))
                .map(Some)
                .map_err(|why| format!("{}: {why}", entry.at(Some("password_file")))),
            (None, Some(variable)) => match self.beside.environment.get(variable) {
                Some(password) => Ok(Some(zeroize::Zeroizing::new(password.to_owned()))),
                None => Err(format!("{}: the variable is not set", entry.at(Some("password_env")))),
            },
            (None, None) => Ok(None),
        }
    }

    /// The attributes that the file names, but for those that users write themselves: these are theirs once they are
    /// made.
    fn known_user(
        &mut self,
        entry: &Entry,
        user: &DeclaredUser,
        stored: &Map<String, Value>,
        declared: &BTreeMap<String, Declaration>,
    ) -> Result<(), String> {
        let has = stored.get("identifiers").and_then(Value::as_array).cloned().unwrap_or_default();
        let is_theirs = |name: &&String| {
            name.parse::<CanonicalIdentifier>().is_ok_and(|canonical| has.contains(&json!(canonical.as_str())))
        };
        if let Some(missing) = user.identifiers.iter().find(|name| !is_theirs(name)) {
            let why = format!("`{missing}` is none of this user's, and is not added to one that exists");
            return Err(format!("{}: {why}", entry.at(Some("identifiers"))));
        }
        if user.external_id.as_ref().is_some_and(|id| stored.get("external_id") != Some(&json!(id))) {
            let why = "is not this user's, and is not given to one that exists";
            return Err(format!("{}: {why}", entry.at(Some("external_id"))));
        }
        let theirs = |name: &str| declared.get(name).is_some_and(|known| known.writable_by == WritableBy::User);
        let before = |name: &str| stored.get("attributes").and_then(|all| all.get(name)).cloned().unwrap_or_default();
        let changes: Vec<_> = user
            .attributes
            .iter()
            .filter(|(name, value)| !theirs(name) && before(name) != **value)
            .map(|(name, value)| (name.clone(), before(name), value.clone()))
            .collect();
        if !changes.is_empty() {
            self.step(entry, false, changes.clone(), patch("users", &entry.name, &changes));
        }
        Ok(())
    }

    fn step(
        &mut self,
        entry: &Entry,
        is_new: bool,
        changes: Vec<Change>,
        (method, path, body): (Method, String, Option<Value>),
    ) {
        let (section, name, at) = (entry.section, entry.name.clone(), entry.at(None));
        let makes_secret = is_new && section == Section::Apis;
        self.plan.steps.push(Step { section, name, at, is_new, changes, method, path, body, makes_secret });
    }
}

/// A user as it is declared.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredUser {
    #[serde(default)]
    identifiers: Vec<String>,
    external_id: Option<String>,
    #[serde(default)]
    attributes: Map<String, Value>,
    disabled: Option<bool>,
    password_file: Option<String>,
    password_env: Option<String>,
}

/// Every name by which the admin API would find the user of an entry; none where it is of another section.
pub(super) fn names_of_user(entry: &Entry) -> Vec<String> {
    if entry.section != Section::Users {
        return Vec::new();
    }
    let identifiers = entry.members.get("identifiers").and_then(Value::as_array).into_iter().flatten();
    let typed = identifiers.filter_map(Value::as_str).filter(|text| text.parse::<CanonicalIdentifier>().is_ok());
    let external = entry.members.get("external_id").and_then(Value::as_str).map(|id| format!("external:{id}"));
    std::iter::once(entry.name.clone()).chain(typed.map(str::to_owned)).chain(external).collect()
}

fn of(entries: &[Entry], section: Section) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(move |entry| entry.section == section)
}

/// An entry as a document of ours, with members that the file does not hold; what is wrong is told with its line.
fn read<T: serde::de::DeserializeOwned>(entry: &Entry, more: Map<String, Value>) -> Result<T, String> {
    let mut all = entry.members.clone();
    all.remove("confidential");
    all.extend(more);
    document(all).map_err(|bad| blamed(entry, bad))
}

/// What is wrong, with the line of the member that is to blame.
fn blamed(entry: &Entry, bad: AdminError) -> String {
    match bad {
        AdminError::Invalid { field, why } => {
            let member = field.filter(|name| entry.section.members().contains(name)); // a name is none
            format!("{}: {why}", entry.at(member.as_deref()))
        }
        other => format!("{}: {other}", entry.at(None)),
    }
}

/// The members that are not as declared. What is not declared has its default, but for `disabled`: what an operator
/// stopped in an emergency must not go on because a file is silent. Of a new thing only what is declared is told.
fn differences(entry: &Entry, stored: Option<&Map<String, Value>>, wanted: &Map<String, Value>) -> Vec<Change> {
    let value = |of: &Map<String, Value>, name: &str| of.get(name).cloned().unwrap_or_default();
    let mut names = entry.section.members();
    names.sort();
    names.retain(|name| entry.members.contains_key(name) || (stored.is_some() && name != "disabled"));
    let all = names.into_iter().map(|name| {
        let (before, after) = (stored.map(|stored| value(stored, &name)).unwrap_or_default(), value(wanted, &name));
        (name, before, after)
    });
    all.filter(|(_, before, after)| before != after).collect()
}

fn patch(section: &str, name: &str, changes: &[Change]) -> (Method, String, Option<Value>) {
    let body = changes.iter().map(|(name, _, after)| (name.clone(), after.clone())).collect();
    (Method::PATCH, path(section, name, ""), Some(Value::Object(body)))
}
