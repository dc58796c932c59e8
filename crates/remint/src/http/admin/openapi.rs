//! The description of the administrative, session and OAuth endpoints (OpenAPI 3.1), served at
//! `/admin/api/openapi.json` to everybody: it holds no secret. Kept by hand beside the table of endpoints; tests hold the
//! two together, and schemathesis holds the answers against it. Decides nothing.

mod admin;
mod person;
mod schemas;

use axum::Json;
use axum::extract::State;
use http::Method;
use remint_core::administration::AdminScope;
use serde_json::{Map, Value, json};

use self::schemas::of;
use crate::app::App;

/// Answers the document of this installation.
pub async fn document(State(app): State<App>) -> Json<Value> {
    Json(describe(app.settings.issuer.as_str()))
}

/// The document of the server at `issuer`.
pub fn describe(issuer: &str) -> Value {
    let mut paths = Map::new();
    let described = admin::operations().into_iter().chain(person::operations());
    for Operation { method, path, value } in described {
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        entry[method.as_str().to_ascii_lowercase()] = value;
    }
    let scopes = AdminScope::ALL.iter().map(|scope| (scope.as_str().to_owned(), json!("")));
    let flow = json!({
        "tokenUrl": format!("{issuer}/oauth2/token?resource={issuer}/admin/api"),
        "scopes": scopes.collect::<Map<_, _>>(),
    });
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Remint",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Administration, sessions and OAuth 2.1. Administration needs a client's own token for \
                            `<issuer>/admin/api`. Every change there takes `?reason=`, for the audit log.",
        },
        "servers": [{ "url": issuer }],
        "paths": paths,
        "components": {
            "schemas": schemas::all(),
            "securitySchemes": {
                "administrator": { "type": "oauth2", "flows": { "clientCredentials": flow } },
                "account": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The account token. A page whose client has a cookie sends that in its place.",
                },
                "api": { "type": "http", "scheme": "basic", "description": "The credential of an api" },
            },
        },
    })
}

/// One operation, as it is written into the document.
struct Operation {
    method: Method,
    path: String,
    value: Value,
}

/// What stands in an operation.
struct Said {
    summary: &'static str,
    query: Vec<Value>,
    body: Option<(&'static str, Value)>,
    example: Option<Value>,
    answer: (u16, Value),
    /// The other statuses, each with an error as its body.
    errors: Vec<u16>,
    tagged: bool,
    /// What the answer is of.
    media: &'static str,
    /// Whether 204 is an answer too.
    or_nothing: bool,
    /// Whether 201 is an answer too, of the same shape.
    or_made: bool,
    /// What a name in the path is.
    named: Value,
}

impl Said {
    fn new(summary: &'static str, answer: Value) -> Self {
        let (query, errors) = (Vec::new(), Vec::new());
        let (media, or_nothing, or_made) = ("application/json", false, false);
        let (body, example, tagged) = (None, None, false);
        let named = json!({ "type": "string", "minLength": 1 });
        Self { summary, query, body, example, answer: (200, answer), errors, tagged, media, or_nothing, or_made, named }
    }

    /// Or answers 204, where there is nothing to say.
    fn or_nothing(self) -> Self {
        Self { or_nothing: true, ..self }
    }

    /// Or answers 201, where it was not there before.
    fn or_made(self) -> Self {
        Self { or_made: true, ..self }
    }

    /// Where the path names one of few.
    fn named(self, named: Value) -> Self {
        Self { named, ..self }
    }

    /// Takes a JSON body of this shape.
    fn takes(self, shape: Value) -> Self {
        Self { body: Some(("application/json", shape)), ..self }.or(&[413, 415])
    }

    /// Takes a form of this shape (RFC 6749 appendix B).
    fn takes_form(self, shape: Value) -> Self {
        Self { body: Some(("application/x-www-form-urlencoded", shape)), ..self }.or(&[413, 415])
    }

    /// With a body that does something.
    fn example(self, example: Value) -> Self {
        Self { example: Some(example), ..self }
    }

    /// Answers this status instead of 200.
    fn answers(mut self, status: u16) -> Self {
        self.answer.0 = status;
        self
    }

    /// Or refuses with these.
    fn or(mut self, errors: &[u16]) -> Self {
        self.errors.extend_from_slice(errors);
        self
    }

    /// With parameters in the query, all of them optional.
    fn asked(mut self, parameters: &[(&str, Value)]) -> Self {
        self.query.extend(parameters.iter().map(|(name, shape)| query(name, shape)));
        self
    }

    /// The answer carries an entity tag.
    fn tagged(self) -> Self {
        Self { tagged: true, ..self }
    }

    /// The operation, with the parameters of its path.
    fn operation(self, method: &Method, path: &str, security: &Value, tag: &str) -> Value {
        let named = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
        let named = named.map(|name| json!({ "name": name, "in": "path", "required": true, "schema": self.named }));
        let parameters: Vec<Value> = named.chain(self.query.iter().cloned()).collect();
        let mut operation = json!({
            "summary": self.summary,
            "operationId": operation_id(method, path),
            "tags": [tag],
            "security": security,
            "parameters": parameters,
            "responses": self.responses(),
        });
        if let Some((media, shape)) = self.body {
            let required = method != Method::DELETE;
            let mut content = json!({ "schema": shape });
            if let Some(example) = self.example {
                content["example"] = example;
            }
            operation["requestBody"] = json!({ "required": required, "content": { media: content } });
        }
        operation
    }

    fn responses(&self) -> Value {
        let (status, shape) = &self.answer;
        let mut answer = json!({ "description": "Done" });
        if !shape.is_null() {
            answer["content"] = json!({ self.media: { "schema": shape } });
        }
        if self.tagged {
            answer["headers"] = json!({ "ETag": { "required": true, "schema": { "type": "string" } } });
        }
        let mut responses = Map::new();
        if self.or_made {
            responses.insert("201".into(), answer.clone());
        }
        responses.insert(status.to_string(), answer);
        if self.or_nothing {
            responses.insert("204".into(), json!({ "description": "Nothing to say" }));
        }
        for error in &self.errors {
            let content = json!({ "application/json": { "schema": of("Error") } });
            responses.insert(error.to_string(), json!({ "description": meaning(*error), "content": content }));
        }
        Value::Object(responses)
    }
}

fn query(name: &str, shape: &Value) -> Value {
    json!({ "name": name, "in": "query", "required": false, "schema": shape })
}

fn operation_id(method: &Method, path: &str) -> String {
    let words = path.split(['/', '.', '-']).filter(|word| !word.is_empty());
    let plain = words.map(|word| word.trim_matches(['{', '}']));
    format!("{}_{}", method.as_str().to_ascii_lowercase(), plain.collect::<Vec<_>>().join("_"))
}

const fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request is wrong: `field` says where",
        401 => "No access token, or one that is not good (RFC 6750)",
        403 => "The token lacks a scope, or the page is not the client's",
        404 => "There is none of that name",
        409 => "There is one of that name already",
        412 => "It is not at the version of `If-Match`",
        413 => "The body is too large",
        415 => "The body is of another type",
        429 => "Too many attempts: `Retry-After` says when",
        503 => "Not just now: `Retry-After` says when",
        _ => "Refused",
    }
}
