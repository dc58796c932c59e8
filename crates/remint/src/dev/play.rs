//! `/play`: a page that shows the life of a session, on the browser library that `http::sdk` serves. Its files are in
//! the binary; none comes from elsewhere. Does not exist in `serve`.

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};

use crate::http::sdk;
use crate::settings::Issuer;

/// Scripts and styles of this server only, none inline; framed by its own pages only (the second tab).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

const PAGE: &str = include_str!("play/index.html");

macro_rules! files {
    ($($name:literal = $path:literal),+ $(,)?) => {
        [$(($name, include_str!($path))),+]
    };
}

/// What the page consists of, and the snippets that it shows: programs that tests run as they are, and the two for pages
/// with the blanks filled in.
const FILES: [(&str, &str); 21] = files![
    "play.css" = "play/play.css",
    "mark.svg" = "play/mark.svg",
    "main.js" = "play/main.js",
    "acts.js" = "play/acts.js",
    "clients.js" = "play/clients.js",
    "dom.js" = "play/dom.js",
    "log.js" = "play/log.js",
    "snippets.js" = "play/snippets.js",
    "token.js" = "play/token.js",
    "wire.js" = "play/wire.js",
    "tab.html" = "play/tab.html",
    "tab.js" = "play/tab.js",
    "curl-rolling.sh" = "play/snippets/curl-rolling.sh",
    "curl-fixed.sh" = "play/snippets/curl-fixed.sh",
    "curl-refresh.sh" = "play/snippets/curl-refresh.sh",
    "curl-cookie.sh" = "play/snippets/curl-cookie.sh",
    "fetch.txt" = "play/snippets/fetch.js",
    "fetch-cookie.txt" = "play/snippets/fetch-cookie.js",
    "koa.txt" = "play/snippets/koa.js",
    "express.txt" = "play/snippets/express.js",
    "axum.rs" = "../../../../examples/api/examples/axum.rs",
];

/// The page and its files, below the path of the issuer: cookies and origins are of that host only.
pub(super) fn router(issuer: &Issuer) -> Router {
    let (home, host) = (format!("{issuer}/play"), issuer.host().to_owned());
    let page = move |headers: HeaderMap| async move {
        let at_home = headers.get(HOST).is_some_and(|named| named.as_bytes() == host.as_bytes());
        if at_home { file("text/html", PAGE.into()) } else { Redirect::temporary(&home).into_response() }
    };
    Router::new().route("/play", get(page)).route("/play/library.js", get(library)).route("/play/{file}", get(one))
}

/// The library under its version, so that no file of the page has to know it.
async fn library() -> Response {
    let at = format!("/sdk/{}", sdk::VERSION);
    let modules = ["index.js", "account.js", "lifeline.js", "lifeline-model.js"]
        .map(|name| format!("export * from \"{at}/{name}\";\n"));
    file("text/javascript", format!("{}export const VERSION = \"{}\";\n", modules.concat(), sdk::VERSION))
}

async fn one(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, _)| *file == name) {
        Some((name, text)) => file(kind(name), (*text).to_owned()),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

fn kind(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js") => "text/javascript",
        Some("css") => "text/css",
        Some("svg") => "image/svg+xml",
        Some("html") => "text/html",
        _ => "text/plain",
    }
}

fn file(kind: &str, text: String) -> Response {
    let headers = [
        (CONTENT_TYPE, format!("{kind}; charset=utf-8")),
        (CONTENT_SECURITY_POLICY, POLICY.to_owned()),
        (CACHE_CONTROL, "no-store".to_owned()),
        (X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (REFERRER_POLICY, "no-referrer".to_owned()),
    ];
    (headers, text).into_response()
}
