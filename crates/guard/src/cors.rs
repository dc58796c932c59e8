//! Cross-origin answers for APIs that pages call: without the names listed here a browser hides the new token, the reason
//! of a refusal and the time to wait from the page.

use std::time::Duration;

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::reject::REMINT_RENEW;
use crate::renew::REMINT_TOKEN;

/// The response headers that the browser library reads.
pub const EXPOSED: [HeaderName; 4] = [REMINT_TOKEN, REMINT_RENEW, WWW_AUTHENTICATE, RETRY_AFTER];

/// An origin is `scheme://host[:port]`, written out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no origin: write scheme://host[:port], without a path and without wildcards")]
pub struct BadOrigin(String);

/// Lets pages of exactly these origins call the API with a bearer token, and read the headers in [`EXPOSED`]. Cookies are
/// not allowed. Put it outside of [`RemintLayer`](crate::RemintLayer), so that refusals can be read too and a preflight
/// needs no token.
///
/// # Errors
/// [`BadOrigin`].
///
/// ```
/// let cors = remint_guard::cors(["https://app.example.com"])?;
/// # Ok::<(), remint_guard::BadOrigin>(())
/// ```
pub fn cors<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<CorsLayer, BadOrigin> {
    let origins: Vec<HeaderValue> = origins.into_iter().map(origin).collect::<Result<_, _>>()?;
    Ok(CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, ACCEPT])
        .expose_headers(EXPOSED)
        .max_age(Duration::from_secs(600)))
}

/// The origin of RFC 6454 section 6.2, compared byte for byte with what a browser sends.
fn origin(text: &str) -> Result<HeaderValue, BadOrigin> {
    let bad = || BadOrigin(text.to_owned());
    let url = reqwest::Url::parse(text).map_err(|_| bad())?;
    if url.origin().ascii_serialization() != text {
        return Err(bad());
    }
    HeaderValue::from_str(text).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_origins_are_taken() {
        for good in ["https://app.example.com", "http://localhost:5173", "http://127.0.0.1:8080"] {
            assert!(cors([good]).is_ok(), "{good}");
        }
        for wrong in ["*", "null", "app.example.com", "https://app.example.com/", "https://*.example.com:x", ""] {
            assert_eq!(cors([wrong]).unwrap_err(), BadOrigin(wrong.to_owned()));
        }
    }
}
