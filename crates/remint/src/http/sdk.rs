//! `GET /sdk/<version>/<file>`: the files of the browser library, byte for byte those of `sdk/browser`, so that a page
//! needs no package and no build. Any page may import them; under a version they never change, and no other is here.
//! In `remint dev`, where one version is many builds, `dev::front` has browsers ask each time.

use std::sync::LazyLock;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, IF_NONE_MATCH, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::http::not_here;

/// Of the binary, and so of the library in it.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

static CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

macro_rules! files {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../../../sdk/browser/", $name)))),+]
    };
}

/// Every module of the library, by name.
pub const FILES: [(&str, &str); 24] = files![
    "account.js",
    "angular.js",
    "angularjs.js",
    "api.js",
    "axios.js",
    "clock.js",
    "core.js",
    "errors.js",
    "fetch.js",
    "holdings.js",
    "host.js",
    "index.js",
    "lifeline-model.js",
    "lifeline.js",
    "live.js",
    "react.js",
    "session.js",
    "storage.js",
    "stream.js",
    "tabs.js",
    "timeline.js",
    "urls.js",
    "wire.js",
    "xhr.js"
];

/// The entity tag of each file (RFC 9110 section 8.8.3).
static TAGS: LazyLock<Vec<String>> = LazyLock::new(|| FILES.iter().map(|(_, text)| tag(text)).collect());

fn tag(text: &str) -> String {
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16]))
}

/// One file, or 304 to whoever has it.
pub async fn get(Path((version, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    let found = FILES.iter().position(|(file, _)| version == VERSION && *file == name);
    let Some(index) = found else { return not_here() };
    let tag = &TAGS[index];
    let about = [
        (CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (ETAG, tag.as_str()),
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (CROSS_ORIGIN_RESOURCE_POLICY.clone(), "cross-origin"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    if headers.get_all(IF_NONE_MATCH).iter().any(|line| names(line, tag)) {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    (about, [(CONTENT_TYPE, "text/javascript; charset=utf-8")], FILES[index].1).into_response()
}

/// Whether one of the tags of `If-None-Match` is this one, weakly compared (RFC 9110 section 13.1.2).
fn names(line: &HeaderValue, tag: &str) -> bool {
    let tags = line.to_str().unwrap_or_default().split(',');
    tags.map(|one| one.trim().trim_start_matches("W/")).any(|one| one == "*" || one == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_known_again_alone_among_others_and_weak() {
        let line = |text: &'static str| HeaderValue::from_static(text);
        assert!(
            names(&line("\"a\""), "\"a\"") && names(&line("\"b\", W/\"a\""), "\"a\"") && names(&line("*"), "\"a\"")
        );
        assert!(!names(&line("\"b\""), "\"a\"") && !names(&line("a"), "\"a\""));
        assert_ne!(tag("a"), tag("b"));
    }
}
