//! The administrative operations. The table of endpoints says which there are and what they need; what they take and
//! answer is said here.

use http::Method;
use remint_core::audit::Reason;
use remint_core::secret::Password;
use remint_core::sender::SenderName;
use serde_json::{Value, json};

use super::schemas::{client_settings, input, list, object, of, page, tokens_or_page};
use super::{Operation, Said};
use crate::admin::page::MAX;
use crate::http::admin::{Endpoint, endpoints};
use crate::settings::WebhookSecret;

/// All of them.
pub(super) fn operations() -> Vec<Operation> {
    endpoints().into_iter().map(operation).collect()
}

fn operation(endpoint: Endpoint) -> Operation {
    let Endpoint { method, path, needs, versioned } = endpoint;
    let scopes: Vec<&str> = needs.iter().map(|scope| scope.as_str()).collect();
    let said = said(&method, path).or(&[400, 401, 403, 503]);
    let said = if path.contains('{') { said.or(&[404]) } else { said };
    let said = if method == Method::GET { said } else { changing(said, versioned) };
    let path = format!("/admin/api{path}");
    let value = said.operation(&method, &path, &json!([{ "administrator": scopes }]), "administration");
    Operation { method, path, value }
}

/// What every change takes; one of what has a version can say at which.
fn changing(said: Said, versioned: bool) -> Said {
    let reason = json!({ "type": "string", "minLength": 1, "maxLength": Reason::MAX_BYTES / 4, "pattern": "^[ -~]+$" });
    let said = said.asked(&[("reason", reason)]);
    if !versioned {
        return said;
    }
    let mut said = said.or(&[412]);
    said.query.push(json!({
        "name": "If-Match", "in": "header", "required": false,
        "schema": { "type": "string", "pattern": "^([*]|\"[0-9]{1,18}\")$" },
    }));
    said
}

fn text() -> Value {
    json!({ "type": "string", "minLength": 1 })
}

fn password() -> Value {
    json!({ "type": "string", "minLength": Password::MIN_CHARS, "maxLength": Password::MAX_BYTES })
}

fn paged() -> [(&'static str, Value); 2] {
    [("limit", json!({ "type": "integer", "minimum": 1, "maximum": MAX })), ("cursor", text())]
}

fn said(method: &Method, path: &str) -> Said {
    match path {
        _ if path.starts_with("/users") => users(method, path),
        _ if path.starts_with("/sessions") => sessions(method, path),
        _ if path.starts_with("/clients") => clients(method, path),
        _ if path.starts_with("/senders") => {
            senders(method, path).named(json!({ "enum": SenderName::ALL.map(SenderName::as_str) }))
        }
        _ => rest(method, path),
    }
}

fn users(method: &Method, path: &str) -> Said {
    let brief = |summary| Said::new(summary, of("Version")).tagged();
    match (method.as_str(), path) {
        ("GET", "/users") => Said::new("Users, a page at a time", page("users", "User"))
            .asked(&[("identifier", text()), ("status", json!({ "enum": ["active", "disabled"] }))])
            .asked(&paged()),
        ("POST", "/users") => Said::new("Makes a user", of("User"))
            .takes(input(
                json!({
                    "identifiers": { "type": "array", "items": { "type": "string" } },
                    "external_id": text(),
                    "password": password(),
                    "attributes": of("Attributes"),
                }),
                &[],
            ))
            .example(json!({ "identifiers": ["grace@example.test"], "attributes": { "nickname": "grace" } }))
            .answers(201)
            .or(&[409])
            .tagged(),
        ("GET", "/users/{user}") => {
            Said::new("One user: by id, by identifier, or as `external:` and your own id", of("User")).tagged()
        }
        ("PATCH", "/users/{user}") => {
            let answer = json!({ "anyOf": [of("User"), of("Version")] });
            let what = "Writes attributes; answers the record, or without `remint:users:read` its new `cv` alone";
            Said::new(what, answer).takes(of("Attributes")).tagged()
        }
        ("DELETE", "/users/{user}") => Said::new("Empties the record for good", of("Version")),
        (_, "/users/{user}/disable") => brief("Lets the user in no more, and ends every session"),
        (_, "/users/{user}/enable") => brief("Lets the user in again"),
        (_, "/users/{user}/phone") => {
            brief("Removes the phone number, and with it the second factor; the number is told")
        }
        (_, "/users/{user}/unlock") => brief("Forgets the failed log-ins of a user, who can try again at once"),
        (_, "/users/{user}/password") => brief("Sets the password, and ends every session")
            .takes(input(json!({ "password": password() }), &["password"])),
        ("GET", _) => Said::new("The sessions of a user, newest use first", list("sessions", "Session")),
        _ => brief("Ends every session of a user"),
    }
}

fn sessions(method: &Method, path: &str) -> Said {
    match (method.as_str(), path) {
        ("GET", "/sessions") => Said::new("Sessions, a page at a time", page("sessions", "Session"))
            .asked(&[("user", text()), ("client_id", of("ClientId"))])
            .asked(&paged())
            .or(&[404]),
        ("POST", _) => Said::new("Opens a session for a person whose password you checked", opened())
            .takes(input(
                json!({
                    "user": text(),
                    "attributes": of("Attributes"),
                    "client_id": of("ClientId"),
                    "amr": { "type": "array", "items": text(), "minItems": 1, "maxItems": 8 },
                    "auth_time": of("Secs"),
                    "scope": { "type": "string" },
                    "resource": { "type": "string" },
                    "user_agent": { "type": "string" },
                    "address": { "type": "string" },
                }),
                &["user", "client_id", "amr"],
            ))
            .example(json!({ "user": "4711", "client_id": "demo-refresh", "amr": ["pwd"] })),
        ("GET", _) => Said::new("One session", of("Session")).tagged(),
        _ => Said::new("Ends one session", object(json!({ "sid": of("Id"), "was_live": { "type": "boolean" } }))),
    }
}

/// For a client with a cookie its value: whoever opened the session sets the cookie.
fn opened() -> Value {
    let cookie = json!({ "type": "string", "description": "The value of the client's cookie, without its name" });
    json!({ "allOf": [tokens_or_page(), { "properties": { "cookie": cookie } }] })
}

fn clients(method: &Method, path: &str) -> Said {
    let client = |summary| Said::new(summary, of("Client")).tagged();
    match (method.as_str(), path) {
        ("GET", "/clients") => Said::new("Clients, a page at a time", page("clients", "Client")).asked(&paged()),
        ("POST", "/clients") => {
            let mut settings = client_settings();
            settings["id"] = of("ClientId");
            settings["confidential"] = json!({ "type": "boolean" });
            let example = json!({ "id": "my-app", "policy": { "kind": "refresh" }, "apis": ["demo-api"] });
            let takes = input(settings, &["id", "policy"]);
            client("Makes a client").takes(takes).example(example).answers(201).or(&[409])
        }
        ("GET", _) => client("One client"),
        ("PATCH", _) => client("Changes settings; `null` takes the default").takes(input(client_settings(), &[])),
        (_, "/clients/{id}/disable") => client("Gives the client no more tokens"),
        (_, "/clients/{id}/enable") => client("Gives the client tokens again"),
        (_, "/clients/{id}/secret") => client("Makes a new secret; the old one is refused from now on"),
        _ => {
            let shown = object(json!({
                "user": of("Id"),
                "before": { "type": "object" },
                "after": { "type": "object" },
                "fits": { "type": "boolean" },
                "refused": { "type": ["string", "null"] },
            }));
            let trial = input(json!({ "user": text(), "mapping": { "type": "object" } }), &["user", "mapping"]);
            let example = json!({ "user": "ada@example.test", "mapping": { "name": "nickname" } });
            let said = Said::new("This user's token before and after a change of the mapping", shown);
            said.takes(trial).example(example)
        }
    }
}

/// The members of an api that an administrator sets at any time.
fn api_settings() -> Value {
    json!({
        "scopes": { "type": "string" },
        "algorithm": { "enum": ["ES256", "EdDSA", "RS256", "PS256"] },
        "max_life": { "type": "integer", "minimum": 1 },
    })
}

fn new_api() -> Value {
    let mut settings = api_settings();
    settings["id"] = of("ClientId");
    settings["audience"] = text();
    input(settings, &["id", "audience"])
}

/// A sender to be declared.
fn sender() -> Value {
    let count = json!({ "type": "integer", "minimum": 1, "maximum": u32::MAX });
    let members = json!({
        "webhook_url": { "type": "string", "description": "https; it is not answered whole" },
        "secret": {
            "type": ["string", "null"],
            "minLength": WebhookSecret::MIN_BYTES,
            "description": "Never answered; where it is left out, the one that is there stays",
        },
        "per_number": count,
        "per_block": count,
        "per_address": count,
        "per_day": count,
        "countries": { "type": "array", "items": { "type": "string", "pattern": "^[1-9][0-9]{0,3}$" } },
    });
    input(members, &["webhook_url"])
}

fn senders(method: &Method, path: &str) -> Said {
    match (method.as_str(), path) {
        ("GET", "/senders") => {
            Said::new("Who carries messages to phones, and by whose word", list("senders", "Sender"))
        }
        ("GET", _) => Said::new("One declared sender", of("Sender")).tagged(),
        ("PUT", _) => {
            let what = "Declares a sender, in use at once; what is left out takes its default, but for the secret";
            let secret = "made by openssl rand -hex 32, not this";
            let example = json!({ "webhook_url": "https://sms.example/send", "secret": secret, "per_day": 500 });
            Said::new(what, of("Sender")).takes(sender()).example(example).or_made().tagged()
        }
        ("POST", _) => {
            let names = json!({ "type": "array", "items": { "type": "string" } });
            let would = object(json!({ "name": { "type": "string" }, "changes": names, "overridden": names }));
            Said::new("What declaring it would change: names, no values", would).takes(sender())
        }
        _ => {
            let gone = object(json!({ "name": { "type": "string" }, "removed": { "const": true } }));
            Said::new("Removes a declared sender", gone)
        }
    }
}

fn rest(method: &Method, path: &str) -> Said {
    match (method.as_str(), path) {
        ("GET", "/attributes") => Said::new("All declared attributes", list("attributes", "Attribute")),
        ("POST", "/attributes") => {
            let example = json!({ "name": "plan", "type": "string", "max_bytes": 32 });
            let said = Said::new("Declares an attribute, or changes its limits", of("Attribute"));
            said.takes(of("Attribute")).example(example).tagged()
        }
        ("GET", "/attributes/{name}") => Said::new("One declaration", of("Attribute")).tagged(),
        ("GET", "/apis") => Said::new("Apis, a page at a time", page("apis", "Api")).asked(&paged()),
        ("POST", "/apis") => Said::new("Makes an api, and answers its secret", of("Api"))
            .takes(new_api())
            .example(json!({ "id": "my-api", "audience": "https://api.example.com", "scopes": "read" }))
            .answers(201)
            .or(&[409])
            .tagged(),
        ("GET", "/apis/{id}") => Said::new("One api", of("Api")).tagged(),
        ("PATCH", "/apis/{id}") => {
            let mut settings = api_settings();
            settings["audience"] = json!({ "type": "string", "description": "Only as it is: it cannot be changed" });
            let said = Said::new("Changes settings; `null` takes the default", of("Api"));
            said.takes(input(settings, &[])).example(json!({ "max_life": 1800 })).tagged()
        }
        (_, "/apis/{id}/secret") => Said::new("Makes a new secret", of("Api")).tagged(),
        ("GET", "/keys") => Said::new("All keys; nothing private of them", list("keys", "Key")),
        ("POST", "/keys") => Said::new("Rotates keys", json!({ "type": "object", "required": ["kid", "signs"] }))
            .takes(input(json!({ "purpose": { "type": "string" }, "at_once": { "type": "boolean" } }), &["purpose"]))
            .example(json!({ "purpose": "refresh" })),
        (_, "/keys/{kid}") => {
            let done = json!({ "type": "object", "required": ["kid", "current", "sessions_ended"] });
            Said::new("Withdraws a key that must not be believed any more", done)
        }
        ("GET", "/audit") => Said::new("Who did what to whom, the newest first", page("entries", "AuditEntry"))
            .asked(&[("actor", text()), ("target", text()), ("act", of("Act"))])
            .asked(&[("since", of("Secs")), ("until", of("Secs"))])
            .asked(&paged()),
        _ => Said::new("What `remint doctor` asks", list("checks", "Check")),
    }
}
