//! The shapes of what is sent and answered, as JSON Schema (OpenAPI 3.1 section 4.8.24). Never a secret's value.

use remint_core::audit::Act;
use remint_core::sender::SenderName;
use serde_json::{Map, Value, json};

/// A shape that is described once.
pub(super) fn of(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// A list of one shape under a name, with the cursor of the next page.
pub(super) fn page(list: &str, of_what: &str) -> Value {
    let properties = json!({ list: { "type": "array", "items": of(of_what) }, "next": { "type": ["string", "null"] } });
    json!({ "type": "object", "required": [list, "next"], "properties": properties })
}

/// A whole list of one shape under a name.
pub(super) fn list(list: &str, of_what: &str) -> Value {
    json!({ "type": "object", "required": [list], "properties": { list: { "type": "array", "items": of(of_what) } } })
}

/// An object with these members, all of them there.
pub(super) fn object(properties: Value) -> Value {
    let required: Vec<&String> = properties.as_object().map(|all| all.keys().collect()).unwrap_or_default();
    json!({ "type": "object", "required": required, "properties": properties })
}

/// An object to send: these members, those that are `required`, and no others.
pub(super) fn input(properties: Value, required: &[&str]) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// What a session answers: tokens, or for a page of the cookie policy how it stands.
pub(super) fn tokens_or_page() -> Value {
    json!({ "anyOf": [of("Tokens"), of("Page")] })
}

/// All that are named.
pub(super) fn all() -> Value {
    let mut all = Map::new();
    for part in [common(), people(), applications(), server()] {
        all.extend(part);
    }
    Value::Object(all)
}

fn parts(parts: Value) -> Map<String, Value> {
    match parts {
        Value::Object(parts) => parts,
        _ => Map::new(), // every caller writes an object
    }
}

fn common() -> Map<String, Value> {
    parts(json!({
        "Secs": { "type": "integer", "description": "Seconds since 1970-01-01T00:00:00Z" },
        "Id": { "type": "string", "pattern": "^[A-Za-z0-9_-]{22}$" },
        "ClientId": { "type": "string", "pattern": "^[A-Za-z0-9._~-]{1,64}$" },
        "Attributes": {
            "type": "object",
            "description": "Declared names; `null` removes one",
            "additionalProperties": { "type": ["string", "boolean", "integer", "array", "null"] },
        },
        "Error": {
            "type": "object",
            "required": ["error", "error_description"],
            "properties": {
                "error": { "type": "string" },
                "error_description": { "type": "string" },
                "field": { "type": "string", "description": "The member that is to blame" },
            },
        },
        "Tokens": {
            "type": "object",
            "description": "RFC 6749 section 5.1",
            "required": ["access_token", "token_type", "expires_in"],
            "properties": {
                "access_token": { "type": "string" },
                "token_type": { "const": "Bearer" },
                "expires_in": { "type": "integer", "minimum": 0 },
                "refresh_token": { "type": "string" },
                "scope": { "type": "string" },
                "account_token": { "type": "string", "description": "Speaks to /session and /account, and to no api" },
            },
        },
        "Page": {
            "type": "object",
            "description": "What a page of the cookie policy gets in the place of tokens",
            "required": ["claims", "expires_in", "idle_expires_at", "expires_at"],
            "properties": {
                "claims": { "type": "object" },
                "expires_in": { "type": "integer", "minimum": 0 },
                "scope": { "type": "string" },
                "idle_expires_at": of("Secs"),
                "expires_at": of("Secs"),
            },
        },
    }))
}

fn people() -> Map<String, Value> {
    parts(json!({
        "User": object(json!({
            "id": of("Id"),
            "identifiers": { "type": "array", "items": { "type": "string" } },
            "external_id": { "type": ["string", "null"] },
            "status": { "enum": ["active", "disabled"] },
            "attributes": of("Attributes"),
            "phone_number": { "type": ["string", "null"] },
            "cv": { "type": "integer", "minimum": 1 },
            "created_at": of("Secs"),
        })),
        "Version": object(json!({ "id": of("Id"), "cv": { "type": "integer", "minimum": 1 } })),
        "Session": object(json!({
            "sid": of("Id"),
            "user": of("Id"),
            "client_id": of("ClientId"),
            "created_at": of("Secs"),
            "last_seen": of("Secs"),
            "ends_at": of("Secs"),
            "auth_time": of("Secs"),
            "amr": { "type": "array", "items": { "type": "string" } },
            "user_agent": { "type": "string" },
            "address": { "type": "string" },
            "over": { "type": ["string", "null"], "description": "Why it is over; null while it is live" },
        })),
        "Device": object(json!({
            "sid": of("Id"),
            "current": { "type": "boolean" },
            "client_id": of("ClientId"),
            "created_at": of("Secs"),
            "last_seen": of("Secs"),
            "user_agent": { "type": "string" },
            "address": { "type": "string" },
        })),
    }))
}

/// The members of a client that an administrator sets.
pub(super) fn client_settings() -> Value {
    json!({
        "name": { "type": "string" },
        "disabled": { "type": "boolean" },
        "first_party": { "type": "boolean" },
        "policy": {
            "type": "object",
            "required": ["kind"],
            "properties": { "kind": { "enum": ["rolling", "fixed", "refresh", "cookie"] } },
        },
        "client_credentials": { "type": "boolean" },
        "origins": { "type": "array", "items": { "type": "string" } },
        "apis": { "type": "array", "items": { "type": "string" } },
        "scopes": { "type": "string" },
        "mapping": { "type": "object" },
        "always_return_refresh": { "type": "boolean" },
        "transport": { "enum": ["body", "cookie"] },
        "administration": {
            "type": ["object", "null"],
            "required": ["scopes"],
            "additionalProperties": false,
            "properties": {
                "scopes": { "type": "string" },
                "opens_sessions_at": { "type": "array", "items": of("ClientId") },
            },
        },
    })
}

fn applications() -> Map<String, Value> {
    let mut client = parts(client_settings());
    client.extend(parts(json!({
        "id": of("ClientId"),
        "pv": { "type": "integer" },
        "confidential": { "type": "boolean" },
        "client_secret": { "type": "string", "description": "Answered once, when it is made" },
    })));
    parts(json!({
        "Client": { "type": "object", "required": ["id", "policy", "apis", "confidential"], "properties": client },
        "Api": {
            "type": "object",
            "required": ["id", "audience", "scopes", "algorithm", "max_life"],
            "properties": {
                "id": of("ClientId"),
                "audience": { "type": "string" },
                "scopes": { "type": "string" },
                "algorithm": { "enum": ["ES256", "EdDSA", "RS256", "PS256"] },
                "max_life": { "type": "number" },
                "client_secret": { "type": "string", "description": "Answered once, when it is made" },
            },
        },
        "Attribute": {
            "type": "object",
            "required": ["name", "type"],
            "properties": {
                "name": { "type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]{0,63}$" },
                "type": { "enum": ["string", "boolean", "integer", "string_list"] },
                "max_bytes": { "type": "integer", "minimum": 0 },
                "writable_by": { "enum": ["admin", "user"] },
                "recent_login": { "type": "boolean" },
            },
        },
    }))
}

fn server() -> Map<String, Value> {
    let acts: Vec<&str> = Act::ALL.iter().map(|act| act.as_str()).collect();
    parts(json!({
        "Key": object(json!({
            "kid": { "type": "string" },
            "purpose": { "type": "string" },
            "state": { "enum": ["next", "current", "retired", "withdrawn"] },
            "since": of("Secs"),
            "created_at": of("Secs"),
            "signs_at": { "type": ["integer", "null"] },
        })),
        "Sender": object(json!({
            "name": { "enum": SenderName::ALL.map(SenderName::as_str) },
            "source": { "enum": ["configuration", "inbox", "declared"] },
            "in_use": { "type": "boolean" },
            "webhook": { "type": ["string", "null"], "description": "The origin of its address" },
            "per_number": { "type": "integer" },
            "per_block": { "type": "integer" },
            "per_address": { "type": "integer" },
            "per_day": { "type": "integer" },
            "countries": { "type": "array", "items": { "type": "string" } },
            "overridden": {
                "type": "array",
                "items": { "type": "string" },
                "description": "What of it the configuration sets, and so wins",
            },
        })),
        "Act": { "enum": acts },
        "AuditEntry": object(json!({
            "id": { "type": "integer" },
            "at": of("Secs"),
            "act": of("Act"),
            "actor": { "type": "string", "description": "operator, server, nobody, client:<id> or user:<id>" },
            "target": { "type": "string", "description": "user:<id>, client:<id>, ... or unknown" },
            "client_id": { "type": ["string", "null"] },
            "sid": { "type": ["string", "null"] },
            "from": { "type": "string", "description": "The address; empty for the control socket and the server" },
            "reason": { "type": ["string", "null"] },
            "names": { "type": "array", "items": { "type": "string" } },
        })),
        "Check": object(json!({
            "check": { "type": "string" },
            "grade": { "enum": ["ok", "warning", "error"] },
            "found": { "type": "string" },
        })),
    }))
}
