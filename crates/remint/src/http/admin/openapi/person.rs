//! The session API and the OAuth endpoints.

use http::Method;
use serde_json::{Value, json};

use super::schemas::{input, list, object, of, tokens_or_page};
use super::{Operation, Said};

/// All of them.
pub(super) fn operations() -> Vec<Operation> {
    let account = json!([{ "account": [] }]);
    let api = json!([{ "api": [] }]);
    let session = [
        (Method::POST, "/session", open(), json!([])),
        (Method::GET, "/session", show(), account.clone()),
        (Method::DELETE, "/session", end(), account.clone()),
        (Method::POST, "/session/renew", renew(), account.clone()),
        (Method::GET, "/session/events", events(), account.clone()),
        (Method::POST, "/session/exchange", exchange(), api.clone()),
        (Method::GET, "/sessions", Said::new("The person's devices", list("sessions", "Device")), account.clone()),
        (Method::DELETE, "/sessions/{sid}", end_other(), account.clone()),
        (Method::POST, "/session/factor", second_factor(), json!([])),
        (Method::PATCH, "/account", patch(), account.clone()),
        (Method::POST, "/account/phone", add_phone(), account.clone()),
        (Method::POST, "/account/phone/verify", verify_phone(), account.clone()),
        (Method::DELETE, "/account/phone", remove_phone(), account),
    ];
    let oauth = [
        (Method::POST, "/oauth2/token", token(), json!([])),
        (Method::POST, "/oauth2/revoke", revoke(), json!([])),
        (Method::POST, "/oauth2/introspect", introspect(), api),
        (Method::GET, "/oauth2/jwks", jwks(), json!([])),
    ];
    let operation = |tag: &'static str| {
        move |(method, path, said, security): (Method, &str, Said, Value)| {
            let known = path.starts_with("/session") || path.starts_with("/account");
            let said = if known { said.or(&[400, 401, 403, 503]) } else { said };
            Operation { value: said.operation(&method, path, &security, tag), path: path.to_owned(), method }
        }
    };
    session.into_iter().map(operation("session")).chain(oauth.into_iter().map(operation("oauth"))).collect()
}

fn open() -> Said {
    Said::new("Logs in; a client of the cookie policy gets a cookie and no token", tokens_or_page())
        .takes(input(
            json!({
                "client_id": { "type": "string" },
                "client_secret": { "type": "string" },
                "identifier": { "type": "string" },
                "password": { "type": "string" },
                "scope": { "type": "string" },
                "resource": { "type": "string" },
            }),
            &["client_id", "identifier", "password"],
        ))
        .or(&[429])
}

fn show() -> Said {
    let user = object(json!({ "sub": of("Id"), "cv": { "type": "integer" }, "attributes": of("Attributes") }));
    let session = object(json!({
        "sid": of("Id"),
        "client_id": of("ClientId"),
        "policy": { "enum": ["rolling", "fixed", "refresh", "cookie"] },
        "user": user,
        "scope": { "type": "string" },
        "auth_time": of("Secs"),
        "amr": { "type": "array", "items": { "type": "string" } },
        "created_at": of("Secs"),
        "idle_expires_at": of("Secs"),
        "expires_at": of("Secs"),
    }));
    Said::new("The session, its user's record and its limits", session)
}

fn end() -> Said {
    Said::new("Ends this session, or all of the person's", Value::Null)
        .answers(204)
        .asked(&[("everywhere", json!({ "type": "boolean" }))])
}

fn renew() -> Said {
    Said::new("New tokens, by a token or a cookie; 204 where what you have is good", tokens_or_page())
        .takes(input(json!({ "interactive": { "type": "boolean" } }), &[]))
        .or_nothing()
}

fn events() -> Said {
    let said = Said::new("Says that this session ended or that its record changed", json!({ "type": "string" }));
    Said { media: "text/event-stream", ..said }.or(&[429])
}

fn exchange() -> Said {
    let body = json!({ "cookie": { "type": "string" }, "interactive": { "type": "boolean" } });
    Said::new("Swaps the session cookie of your caller for a token of your audience", of("Tokens"))
        .takes(input(body, &["cookie"]))
}

fn end_other() -> Said {
    Said::new("Ends another of the person's sessions", Value::Null).answers(204).or(&[404])
}

fn patch() -> Said {
    let said = Said::new("The person writes their own record; what is answered shows it", tokens_or_page());
    said.takes(of("Attributes"))
}

fn second_factor() -> Said {
    let text = || json!({ "type": "string" });
    let body = json!({ "client_id": text(), "client_secret": text(), "challenge": text(), "code": text() });
    Said::new("Finishes a log-in with the code that was sent", tokens_or_page())
        .takes(input(body, &["client_id", "challenge", "code"]))
        .or(&[429])
}

fn add_phone() -> Said {
    let sent = object(json!({ "sent_to": { "type": "string" }, "expires_in": { "type": "integer" } }));
    Said::new("Sends a code to a phone number, to verify it", sent)
        .takes(input(json!({ "phone_number": { "type": "string" } }), &["phone_number"]))
        .answers(202)
        .or(&[429, 501])
}

fn verify_phone() -> Said {
    Said::new("Verifies the phone number with the code; what is answered shows it", tokens_or_page())
        .takes(input(json!({ "code": { "type": "string" } }), &["code"]))
        .or(&[429])
}

fn remove_phone() -> Said {
    Said::new("Removes the phone number, and with it the second factor", tokens_or_page())
}

fn form(required: &[&str], more: &[&str]) -> Value {
    let names = required.iter().chain(more).chain(&["client_id", "client_secret"]);
    let properties: serde_json::Map<_, _> =
        names.map(|name| ((*name).to_owned(), json!({ "type": "string" }))).collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

fn token() -> Said {
    let more = ["refresh_token", "interactive", "scope", "resource"];
    Said::new("The grants refresh_token and client_credentials (RFC 6749)", of("Tokens"))
        .takes_form(form(&["grant_type"], &more))
        .or(&[400, 401, 403, 503])
}

fn revoke() -> Said {
    Said::new("Revokes a token (RFC 7009)", Value::Null)
        .takes_form(form(&["token"], &["token_type_hint"]))
        .or(&[400, 401, 403, 503])
}

fn introspect() -> Said {
    let answer = json!({
        "type": "object", "required": ["active"], "properties": { "active": { "type": "boolean" } },
    });
    let form = json!({ "type": "object", "required": ["token"], "properties": {
        "token": { "type": "string" }, "token_type_hint": { "type": "string" },
    } });
    Said::new("What a token for your audience says, while it is good (RFC 7662)", answer)
        .takes_form(form)
        .or(&[400, 401, 403, 503])
}

fn jwks() -> Said {
    let set = json!({ "type": "object", "required": ["keys"], "properties": { "keys": { "type": "array" } } });
    Said { media: "application/jwk-set+json", ..Said::new("The keys that tokens verify with (RFC 7517)", set) }
}
