//! What stands before the public endpoints in dev: a page that says what there is, and the guard against DNS rebinding.
//! Neither exists in `serve`.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use serde_json::{Value, json};

use super::facts;

/// Of every page here: no script, nothing from elsewhere, nowhere framed, kept by nobody.
pub(super) const HEADERS: [(HeaderName, &str); 3] = [
    (CONTENT_TYPE, "text/html; charset=utf-8"),
    (CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (CACHE_CONTROL, "no-store"),
];

/// The public router with the page at `/`, for requests to this host only.
pub(super) fn router(public: Router, facts: &Value, port: u16) -> Router {
    let page: Arc<str> = page(facts).into();
    let front = get(move || async move { (HEADERS, page.to_string()) });
    public.route("/", front).layer(from_fn(asked_again)).layer(from_fn_with_state(port, only_this_host))
}

/// In earnest a version of the library never changes. Here it does, from one build to the next: a browser asks each time
/// whether what it has is still the same.
async fn asked_again(request: Request, next: Next) -> Response {
    let library = request.uri().path().starts_with("/sdk/");
    let mut response = next.run(request).await;
    if library {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    response
}

/// A page of another site that had its name point here would send that name: 421 (RFC 9110 section 15.5.20).
async fn only_this_host(State(port): State<u16>, request: Request, next: Next) -> Response {
    if names_this_host(request.headers(), request.uri(), port) {
        return next.run(request).await;
    }
    let description = format!("this server answers only as localhost:{port}, 127.0.0.1:{port} and [::1]:{port}");
    let body = json!({ "error": "invalid_request", "error_description": description });
    (StatusCode::MISDIRECTED_REQUEST, [(CACHE_CONTROL, "no-store")], axum::Json(body)).into_response()
}

fn names_this_host(headers: &HeaderMap, uri: &Uri, port: u16) -> bool {
    let ours = |authority: &str| {
        ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| match authority.strip_prefix(name) {
            Some("") => port == 80,
            Some(rest) => rest.strip_prefix(':') == Some(port.to_string().as_str()),
            None => false,
        })
    };
    let mut hosts = headers.get_all(HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let named = first.and_then(|host| host.to_str().ok()).is_some_and(ours);
    named && second.is_none() && uri.authority().is_none_or(|authority| ours(authority.as_str()))
}

/// How pages look, in the light and in the dark.
pub(super) const STYLE: &str = "\
body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;background:#fff}
pre{overflow-x:auto;padding:.75rem;background:#f2f2f2;border:1px solid #767676}th,td{text-align:left;padding-right:2rem}
dt{font-weight:600}@media(prefers-color-scheme:dark){body{color:#f2f2f2;background:#1a1a1a}pre{background:#262626}a{color:#9ecbff}}";

/// One page, without script and without anything from elsewhere.
fn page(facts: &Value) -> String {
    let text = |value: &Value| escaped(value.as_str().unwrap_or_default());
    let rows: String = facts["clients"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|one| {
            format!("<tr><td><code>{}</code></td><td>{}</td></tr>", text(&one["client_id"]), text(&one["policy"]))
        })
        .collect();
    let lines: String = facts::tries(facts).iter().map(|line| format!("<pre>{}</pre>", escaped(line))).collect();
    let timing: String = facts["timing"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| format!("<dt>{}</dt><dd>{value} s</dd>", escaped(&name.replace('_', " "))))
        .collect();
    let issuer = text(&facts["issuer"]);
    format!(
        r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Remint dev</title>
<style>{STYLE}</style>
</head><body><main><h1>Remint is running</h1>
<p>This is <code>remint dev</code> at <code>{issuer}</code>: for trying out, on this machine only.</p>
<p><strong><a href="/play">The playground</a></strong> shows the life of a session in this browser.</p>
<h2>Who can log in</h2><p><code>{identifier}</code> with the password <code>{password}</code>.</p>
<h2>Clients</h2><table><thead><tr><th scope="col">client_id</th><th scope="col">policy</th></tr></thead><tbody>{rows}</tbody></table>
<h2>To try, in this order</h2><p>Log in, look at the session, change the record:</p>{lines}
<h2>Timing</h2><dl>{timing}</dl>
<h2>Messages</h2><p>Codes to phones arrive in the <a href="/dev/inbox">inbox</a>: nothing leaves this machine.</p>
<h2>For programs</h2><ul><li><a href="/.well-known/oauth-authorization-server">Metadata (RFC 8414)</a></li>
<li><a href="/oauth2/jwks">Public keys</a></li><li><code>dev.json</code> in the data folder: all of this, with the secrets</li></ul>
</main></body></html>
"#,
        identifier = text(&facts["user"]["identifier"]),
        password = text(&facts["user"]["password"]),
    )
}

/// A text as it may stand in a page.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(host: &[&str], uri: &str, port: u16) -> bool {
        let mut headers = HeaderMap::new();
        for host in host {
            headers.append(HOST, host.parse().unwrap());
        }
        names_this_host(&headers, &uri.parse().unwrap(), port)
    }

    #[test]
    fn only_the_names_of_this_host_with_its_port_are_answered() {
        for good in ["localhost:7070", "127.0.0.1:7070", "[::1]:7070"] {
            assert!(answered(&[good], "/", 7070), "{good}");
        }
        for wrong in [
            "localhost",
            "localhost:7071",
            "evil.example:7070",
            "localhost.evil:7070",
            "localhost:07070",
            "a@localhost:7070",
        ] {
            assert!(!answered(&[wrong], "/", 7070), "{wrong}");
        }
        assert!(answered(&["localhost"], "/", 80));
        assert!(!answered(&[], "/", 7070), "no Host at all");
        assert!(!answered(&["localhost:7070", "evil.example"], "/", 7070), "two of them");
        assert!(!answered(&["localhost:7070"], "http://evil.example/", 7070), "another authority in the target");
    }

    #[test]
    fn the_page_shows_no_secret_and_lets_no_text_become_markup() {
        let facts = json!({
            "issuer": "http://localhost:1", "user": {"identifier": "<a>", "password": "p"},
            "clients": [{"client_id": "c", "client_secret": "hidden", "policy": "refresh"}],
            "apis": [{"client_secret": "hidden"}], "timing": {"window": 30},
        });
        let page = page(&facts);
        assert!(page.contains("&lt;a&gt;") && !page.contains("hidden") && page.contains("30 s"), "{page}");
    }
}
