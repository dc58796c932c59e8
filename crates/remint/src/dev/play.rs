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
    ($($name:literal: $kind:literal),+ $(,)?) => {
        [$(($name, $kind, include_str!(concat!("play/", $name)))),+]
    };
}

const FILES: [(&str, &str, &str); 5] = files![
    "play.css": "text/css",
    "mark.svg": "image/svg+xml",
    "dom.js": "text/javascript",
    "log.js": "text/javascript",
    "token.js": "text/javascript",
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
    let modules = ["index.js", "account.js"].map(|name| format!("export * from \"{at}/{name}\";\n")).concat();
    file("text/javascript", format!("{modules}import \"{at}/lifeline.js\";\n"))
}

async fn one(Path(name): Path<String>) -> Response {
    match FILES.iter().find(|(file, ..)| *file == name) {
        Some((_, kind, text)) => file(kind, (*text).to_owned()),
        None => StatusCode::NOT_FOUND.into_response(),
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
