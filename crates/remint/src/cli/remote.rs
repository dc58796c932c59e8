//! A server elsewhere: the administrative endpoints over HTTPS, with an access token of a client that may administer
//! (RFC 6749 section 4.4, RFC 8707). Finds the token endpoint by RFC 8414 and believes no issuer but the one it was told.
//! Never follows a redirect, never sends a credential over plain HTTP to another machine, and never prints one.

use std::path::PathBuf;
use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{Method, StatusCode};
use remint_core::secret::ClientSecret;
use serde_json::Value;

use super::ask::{self, MAX_ANSWER_BYTES};
use super::password::read_file;
use super::{CliError, Exit};
use crate::config::Environment;
use crate::settings::Issuer;

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The path of the administrative endpoints, and the end of the audience of their tokens.
const ADMIN: &str = "/admin/api";

/// Where the server is, and who asks. The secret is never an argument.
#[derive(Debug, Default, clap::Args)]
pub(super) struct Flags {
    /// Ask the server at this URL, its public one, as a client [default: REMINT_URL; else the one on this machine]
    #[arg(long, global = true, value_name = "URL")]
    url: Option<String>,
    /// With --url: the client that may administer [default: REMINT_CLIENT_ID]
    #[arg(long, global = true, value_name = "ID")]
    client_id: Option<String>,
    /// With --url: the file of its secret [default: REMINT_CLIENT_SECRET_FILE, or the secret in REMINT_CLIENT_SECRET]
    #[arg(long, global = true, value_name = "FILE")]
    client_secret_file: Option<PathBuf>,
}

/// A server, and the credential of whoever asks it.
pub(super) struct Address {
    issuer: Issuer,
    client_id: String,
    secret: ClientSecret,
}

impl Flags {
    /// Whether the command line itself names a server.
    pub(super) const fn url_is_given(&self) -> bool {
        self.url.is_some()
    }

    /// The server elsewhere, if one is meant. `is_local`: the command is about this machine, and the environment means
    /// others. `data_is_named`: the command line names the data of one on this machine.
    pub(super) fn address(
        self,
        environment: &Environment,
        is_local: bool,
        data_is_named: bool,
    ) -> Result<Option<Address>, CliError> {
        let inherited = environment.get("REMINT_URL").filter(|_| !is_local && !data_is_named);
        let Some(url) = self.url.as_deref().or(inherited) else {
            return match (self.client_id, self.client_secret_file) {
                (None, None) => Ok(None),
                _ => Err(CliError::usage("--client-id and --client-secret-file belong to --url: say which server")),
            };
        };
        if is_local {
            return Err(CliError::usage("this command is for this machine only: leave --url out"));
        }
        if data_is_named {
            return Err(CliError::usage("--url and --data name two servers: keep one"));
        }
        let wrong = "--url must be the public URL of the server: https://host, without a slash at its end (http for \
                     localhost only)";
        let issuer: Issuer = url.parse().map_err(|_| CliError::usage(wrong))?;
        let client_id = self.client_id.or_else(|| environment.get("REMINT_CLIENT_ID").map(str::to_owned));
        let client_id = client_id
            .ok_or_else(|| CliError::usage("with --url, say as which client: --client-id ID, or REMINT_CLIENT_ID"))?;
        let named = self.client_secret_file.or_else(|| environment.get("REMINT_CLIENT_SECRET_FILE").map(PathBuf::from));
        let secret = match (named, environment.get("REMINT_CLIENT_SECRET")) {
            (Some(file), _) => ClientSecret::presented(
                &read_file(&file).map_err(|why| CliError::usage(why.replace("password", "client secret")))?,
            ),
            (None, Some(secret)) => ClientSecret::presented(secret),
            (None, None) => {
                return Err(CliError::usage(
                    "with --url, give the client's secret: --client-secret-file FILE, REMINT_CLIENT_SECRET_FILE or \
                     REMINT_CLIENT_SECRET",
                ));
            }
        };
        Ok(Some(Address { issuer, client_id, secret }))
    }
}

/// A server that has given a token.
pub(super) struct Remote {
    http: reqwest::Client,
    issuer: String,
    client_id: String,
    authorization: http::HeaderValue,
}

impl Remote {
    /// Finds the token endpoint and gets a token.
    pub(super) async fn connected(address: &Address) -> Result<Self, CliError> {
        let issuer = address.issuer.as_str().to_owned();
        let mut building = reqwest::Client::builder();
        if issuer.starts_with("http://") {
            building = building.no_proxy(); // plain HTTP stays on this machine
        }
        let http = building
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .user_agent(concat!("remint/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| CliError::failed(format!("no HTTPS here: {}", causes(&error))))?;
        let endpoint = token_endpoint(&http, &issuer).await?;
        let form = [("grant_type", "client_credentials"), ("resource", &format!("{issuer}{ADMIN}"))];
        let asked = http
            .post(&endpoint)
            .basic_auth(form_encoded(&address.client_id), Some(form_encoded(address.secret.reveal())))
            .header(ACCEPT, "application/json")
            .form(&form);
        let (status, bytes) = answer(asked.send().await, &issuer).await?;
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = body["access_token"].as_str().filter(|_| status.is_success());
        let token = token.ok_or_else(|| no_token(&address.client_id, status, &body))?;
        let mut authorization = http::HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| CliError::failed("the token endpoint answered something that is no token"))?;
        authorization.set_sensitive(true);
        Ok(Self { http, issuer, client_id: address.client_id.clone(), authorization })
    }

    /// One request to the administrative endpoints.
    pub(super) async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(StatusCode, Vec<u8>), CliError> {
        let mut request = self.http.request(method, format!("{}{path}", self.issuer));
        request = request.header(AUTHORIZATION, self.authorization.clone()).header(ACCEPT, "application/json");
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let (status, bytes) = answer(request.send().await, &self.issuer).await?;
        match (status, bytes.is_empty()) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, true) => Ok((status, b"{}".to_vec())),
            _ => Ok((status, bytes)),
        }
    }

    /// A refusal, and what to do about it.
    pub(super) fn refused(&self, status: StatusCode, body: &Value) -> CliError {
        let why = body["error_description"].as_str().unwrap_or("the server says no more");
        let client = &self.client_id;
        match status {
            StatusCode::UNAUTHORIZED => CliError::failed(format!(
                "the server does not take the token of `{client}` (401): {why}. Is the client disabled, or the clock of \
                 this machine wrong?"
            )),
            StatusCode::FORBIDDEN => CliError::failed(format!(
                "`{client}` may not do this (403): {why}. Give it the scope that is missing, on the machine of the \
                 server or as a client that has it"
            )),
            _ => ask::refused(status, body),
        }
    }
}

/// By RFC 8414 section 3; the issuer in the answer must be the one that was asked (section 3.3), and the endpoint its own.
async fn token_endpoint(http: &reqwest::Client, issuer: &str) -> Result<String, CliError> {
    let asked = http.get(metadata_url(issuer)).header(ACCEPT, "application/json");
    let (status, bytes) = answer(asked.send().await, issuer).await?;
    let metadata: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    if !status.is_success() || metadata["issuer"].is_null() {
        let message = format!("{issuer} is no Remint server: its metadata (RFC 8414) answered {status}");
        return Err(CliError::new(Exit::NotFound, message));
    }
    if metadata["issuer"] != issuer {
        let other: String = metadata["issuer"].to_string().chars().filter(|c| !c.is_control()).take(128).collect();
        return Err(CliError::usage(format!("the server at {issuer} calls itself {other}: give --url as it does")));
    }
    match metadata["token_endpoint"].as_str().filter(|endpoint| endpoint.starts_with(&format!("{issuer}/"))) {
        Some(endpoint) => Ok(endpoint.to_owned()),
        None => Err(CliError::failed(format!("{issuer} names a token endpoint elsewhere: no secret is sent there"))),
    }
}

/// The well-known path stands between the host and the path of the issuer (RFC 8414 section 3.1).
fn metadata_url(issuer: &str) -> String {
    const WELL_KNOWN: &str = "/.well-known/oauth-authorization-server";
    let host_at = issuer.find("://").map_or(0, |at| at + 3);
    let path_at = issuer[host_at..].find('/').map_or(issuer.len(), |at| host_at + at);
    format!("{}{WELL_KNOWN}{}", &issuer[..path_at], &issuer[path_at..])
}

async fn answer(
    response: Result<reqwest::Response, reqwest::Error>,
    issuer: &str,
) -> Result<(StatusCode, Vec<u8>), CliError> {
    let gone = |error: reqwest::Error| {
        CliError::new(Exit::NotFound, format!("{issuer} does not answer: {}", causes(&error.without_url())))
    };
    let mut response = response.map_err(gone)?;
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(gone)? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > MAX_ANSWER_BYTES {
            return Err(CliError::failed("the answer is larger than any of ours"));
        }
    }
    Ok((response.status(), bytes))
}

fn no_token(client: &str, status: StatusCode, body: &Value) -> CliError {
    let why = body["error_description"].as_str().or(body["error"].as_str()).unwrap_or("the server says no more");
    let remedy = match body["error"].as_str() {
        Some("invalid_client") => "check the client id and its secret (`remint client rotate-secret` makes a new one)",
        Some("unauthorized_client") => "let it use the grant: `remint client update ID --client-credentials`",
        Some("invalid_target" | "invalid_scope") => "it may not administer: give it scopes of the admin API",
        _ => "look at the log of the server",
    };
    CliError::failed(format!("`{client}` got no token ({status}): {why}: {remedy}"))
}

/// Each part of HTTP Basic is form-encoded first (RFC 6749 section 2.3.1).
fn form_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'*') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// An error with what it stands on.
fn causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::extract::Request;
    use axum::response::IntoResponse as _;
    use axum::{Json, Router};
    use base64::Engine as _;
    use http_body_util::BodyExt as _;
    use serde_json::json;

    use super::*;

    fn environment(all: &[(&str, &str)]) -> Environment {
        all.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn flags(url: Option<&str>) -> Flags {
        Flags { url: url.map(str::to_owned), ..Flags::default() }
    }

    /// A server that answers as `tokens` and `admin` say, and what it was asked.
    struct Server {
        url: String,
        asked: Arc<Mutex<Vec<String>>>,
    }

    async fn server(issuer: Option<&'static str>, tokens: (u16, Value), admin: (u16, Value)) -> Server {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (own, log) = (url.clone(), asked.clone());
        let answer = move |request: Request| {
            let (own, log, tokens, admin) = (own.clone(), log.clone(), tokens.clone(), admin.clone());
            async move {
                let authorization =
                    request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
                let (method, path) = (request.method().clone(), request.uri().to_string());
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let line =
                    format!("{method} {path} {} {}", authorization.unwrap_or_default(), String::from_utf8_lossy(&body));
                log.lock().unwrap().push(line.trim_end().to_owned());
                let (status, body) = match path.as_str() {
                    "/.well-known/oauth-authorization-server" => {
                        let metadata = json!({"issuer": issuer.unwrap_or(&own), "token_endpoint": format!("{own}/t")});
                        (200, metadata)
                    }
                    "/t" => tokens,
                    _ => admin,
                };
                (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
        Server { url, asked }
    }

    impl Server {
        async fn connected(&self) -> Result<Remote, CliError> {
            let environment = environment(&[("REMINT_CLIENT_ID", "ops:1"), ("REMINT_CLIENT_SECRET", "s p+c")]);
            let address = flags(Some(&self.url)).address(&environment, false, false)?.unwrap();
            Remote::connected(&address).await
        }
    }

    fn granted() -> (u16, Value) {
        (200, json!({"access_token": "tok.en", "token_type": "Bearer", "expires_in": 300}))
    }

    #[tokio::test]
    async fn a_command_gets_a_token_for_the_admin_api_and_bears_it() {
        let server = server(None, granted(), (200, json!({"users": []}))).await;
        let remote = server.connected().await.unwrap();
        let (status, body) = remote.exchange(Method::PATCH, "/admin/api/users/a", Some(json!({"x": 1}))).await.unwrap();
        assert_eq!((status, body), (StatusCode::OK, br#"{"users":[]}"#.to_vec()));
        let asked = server.asked.lock().unwrap().clone();
        let basic = base64::engine::general_purpose::STANDARD.encode("ops%3A1:s%20p%2Bc");
        let resource = format!("{}/admin/api", server.url).replace(':', "%3A").replace('/', "%2F");
        assert_eq!(
            asked,
            [
                "GET /.well-known/oauth-authorization-server".to_owned(),
                format!("POST /t Basic {basic} grant_type=client_credentials&resource={resource}"),
                "PATCH /admin/api/users/a Bearer tok.en {\"x\":1}".to_owned(),
            ]
        );
    }

    #[tokio::test]
    async fn a_refusal_says_what_to_do() {
        let bad =
            (401, json!({"error": "invalid_client", "error_description": "the client could not be authenticated"}));
        let refused = server(None, bad, granted()).await.connected().await.err().unwrap();
        assert!(refused.to_string().contains("rotate-secret") && refused.exit == Exit::Failed, "{refused}");
        let server = server(None, granted(), (200, json!({}))).await;
        let remote = server.connected().await.unwrap();
        let missing = remote.refused(StatusCode::FORBIDDEN, &json!({"error_description": "remint:keys is missing"}));
        assert!(missing.to_string().contains("remint:keys is missing") && missing.to_string().contains("scope"));
        assert!(remote.refused(StatusCode::UNAUTHORIZED, &Value::Null).to_string().contains("disabled"));
        assert_eq!(remote.refused(StatusCode::NOT_FOUND, &Value::Null).exit, Exit::NotFound);
    }

    #[tokio::test]
    async fn no_secret_goes_to_an_issuer_that_calls_itself_otherwise() {
        let server = server(Some("https://id.example"), granted(), granted()).await;
        let refused = server.connected().await.err().unwrap();
        assert!(refused.to_string().contains("calls itself"), "{refused}");
        assert_eq!(server.asked.lock().unwrap().len(), 1, "the metadata, and nothing after it");
    }

    #[tokio::test]
    async fn nobody_to_ask_is_said() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        drop(listener);
        let nobody = Server { url, asked: Arc::default() }.connected().await.err().unwrap();
        assert!(nobody.exit == Exit::NotFound && nobody.to_string().contains("does not answer"), "{nobody}");
    }

    #[test]
    fn a_secret_goes_over_https_only_and_what_is_missing_is_said() {
        let full = [("REMINT_CLIENT_ID", "ops"), ("REMINT_CLIENT_SECRET", "s")];
        for (url, given, word) in [
            ("http://id.example", &full[..], "https://host"),
            ("https://id.example/", &full[..], "without a slash"),
            ("https://id.example", &full[1..], "--client-id"),
            ("https://id.example", &full[..1], "--client-secret-file"),
        ] {
            let refused = flags(Some(url)).address(&environment(given), false, false).err().unwrap();
            assert!(refused.exit == Exit::Usage && refused.to_string().contains(word), "{url}: {refused}");
        }
    }

    #[test]
    fn the_command_line_says_which_server_and_the_environment_means_no_local_command() {
        let all = [("REMINT_URL", "https://id.example"), ("REMINT_CLIENT_ID", "o"), ("REMINT_CLIENT_SECRET", "s")];
        let environment = environment(&all);
        let meant = |flags: Flags, local, data| flags.address(&environment, local, data);
        assert!(meant(flags(None), false, false).unwrap().is_some());
        assert!(meant(flags(None), false, true).unwrap().is_none(), "--data is nearer");
        assert!(meant(flags(None), true, false).unwrap().is_none());
        let as_client = Flags { client_id: Some("o".to_owned()), ..flags(None) };
        assert!(meant(as_client, true, false).is_err(), "a client on the command line is not passed over in silence");
        assert!(meant(flags(Some("https://id.example")), true, false).is_err());
        assert!(meant(flags(Some("https://id.example")), false, true).is_err());
    }

    #[test]
    fn the_metadata_stands_between_host_and_path() {
        let well_known = "/.well-known/oauth-authorization-server";
        assert_eq!(metadata_url("https://id.example"), format!("https://id.example{well_known}"));
        assert_eq!(metadata_url("https://a.example/id"), format!("https://a.example{well_known}/id"));
    }
}
