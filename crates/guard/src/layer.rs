//! The door of an API: one bearer token in, verified claims beside the request, or the refusal in RFC 6750's words.
//! Reads no cookie and no query: only the `Authorization` header counts.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Request, Response};
use tower::{Layer, Service};

use crate::reject::{REMINT_RENEW, Reject};
use crate::renew::{Pending, Renewals, Rolling};
use crate::verifier::{Verified, Verifier};

/// What the layer found, for the extractors: they tell a route without the layer from a request without a token.
#[derive(Clone, Debug)]
pub(crate) struct Guarded(pub(crate) Option<Verified>);

/// Guards every route inside it: 401 without a good token, [`Claims`](crate::Claims) with one.
#[derive(Clone)]
pub struct RemintLayer {
    verifier: Verifier,
    passthrough: bool,
    renewals: Option<Arc<Renewals>>,
}

impl std::fmt::Debug for RemintLayer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut fields = f.debug_struct("RemintLayer");
        fields.field("verifier", &self.verifier).field("passthrough", &self.passthrough);
        fields.field("rolling", &self.renewals.is_some()).finish()
    }
}

impl RemintLayer {
    /// Demands a good token of every request.
    pub const fn new(verifier: Verifier) -> Self {
        Self { verifier, passthrough: false, renewals: None }
    }

    /// Lets requests without a token through, for handlers that take `Option<Claims<C>>`. A bad token is still refused.
    #[must_use]
    pub fn passthrough(self) -> Self {
        Self { passthrough: true, ..self }
    }

    /// Renews tokens of the rolling policy on the way: past half of a token's life the answer carries `Remint-Token`.
    #[must_use]
    pub fn rolling(self) -> Self {
        self.rolling_with(Rolling::default())
    }

    /// As [`RemintLayer::rolling`], with a budget of your own.
    #[must_use]
    pub fn rolling_with(self, settings: Rolling) -> Self {
        let renewals = Some(Arc::new(Renewals::new(self.verifier.clone(), settings)));
        Self { renewals, ..self }
    }

    /// Verifies what the headers carry, and begins a renewal where one is due.
    async fn admit(&self, headers: &HeaderMap) -> Result<(Option<Verified>, Option<Pending>), Reject> {
        let token = match bearer(headers) {
            Err(Reject::Missing) if self.passthrough => return Ok((None, None)),
            token => token?,
        };
        let verified = self.verifier.verify(token).await?;
        let pending = self.renewals.as_ref().and_then(|renewals| renewals.begin(token, &verified));
        Ok((Some(verified), pending))
    }
}

impl<S> Layer<S> for RemintLayer {
    type Service = RemintService<S>;

    fn layer(&self, inner: S) -> RemintService<S> {
        RemintService { inner, door: self.clone() }
    }
}

/// A service behind [`RemintLayer`].
#[derive(Clone, Debug)]
pub struct RemintService<S> {
    inner: S,
    door: RemintLayer,
}

impl<S, B, R> Service<Request<B>> for RemintService<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Send,
    B: Send + 'static,
    R: From<String> + Send,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<R>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let fresh = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, fresh); // the one that said it is ready
        let door = self.door.clone();
        Box::pin(async move {
            let (verified, pending) = match door.admit(request.headers()).await {
                Ok(admitted) => admitted,
                Err(cause) => {
                    tracing::debug!(code = cause.code(), "a request was refused");
                    return Ok(cause.answer());
                }
            };
            let stale = verified.as_ref().and_then(Verified::stale);
            request.extensions_mut().insert(Guarded(verified));
            let mut answer = inner.call(request).await?;
            if let Some(cv) = stale {
                answer.headers_mut().insert(REMINT_RENEW, HeaderValue::from(cv));
            }
            if let Some(pending) = pending {
                pending.beside(answer.headers_mut()).await;
            }
            Ok(answer)
        })
    }
}

/// The one token of the `Authorization` header (RFC 6750 section 2.1). Another scheme is no token at all: section 3.1
/// wants a challenge without an error then.
fn bearer(headers: &HeaderMap) -> Result<&str, Reject> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = match (lines.next(), lines.next()) {
        (None, _) => return Err(Reject::Missing),
        (Some(line), None) => line.to_str().map_err(|_| Reject::Malformed)?,
        (Some(_), Some(_)) => return Err(Reject::Malformed),
    };
    let (scheme, rest) = line.split_once(' ').unwrap_or((line, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(Reject::Missing);
    }
    let token = rest.trim_matches(' ');
    if is_b64token(token) { Ok(token) } else { Err(Reject::Malformed) }
}

/// `b64token = 1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_b64token(text: &str) -> bool {
    let body = text.trim_end_matches('=');
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
    !body.is_empty() && body.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(lines: &[&str]) -> Result<String, Reject> {
        let headers = lines.iter().map(|line| (AUTHORIZATION, HeaderValue::from_bytes(line.as_bytes()).unwrap()));
        bearer(&headers.collect()).map(str::to_owned)
    }

    #[test]
    fn exactly_one_header_of_the_scheme_and_one_token_is_taken() {
        for good in ["Bearer a.b.c", "bearer a.b.c", "BEARER  a.b.c "] {
            assert_eq!(read(&[good]), Ok("a.b.c".to_owned()), "{good}");
        }
        for missing in [&[][..], &["Basic a:b"], &["Bearerx a.b.c"], &["a.b.c"], &["DPoP a.b.c"]] {
            assert_eq!(read(missing), Err(Reject::Missing), "{missing:?}");
        }
        for malformed in [
            &["Bearer"][..],
            &["Bearer "],
            &["Bearer a b"],
            &["Bearer a,b"],
            &["Bearer \"a\""],
            &["Bearer ="],
            &["Bearer a\tb"],
            &["Bearer ä"],
            &["Bearer a.b.c", "Bearer a.b.c"],
            &["Bearer a.b.c", "Basic x"],
        ] {
            assert_eq!(read(malformed), Err(Reject::Malformed), "{malformed:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic_or_gives_out_more_than_one_word(line in proptest::collection::vec(32_u8..=255, 0..80)) {
            if let Ok(value) = HeaderValue::from_bytes(&line) {
                let headers = HeaderMap::from_iter([(AUTHORIZATION, value)]);
                if let Ok(token) = bearer(&headers) {
                    prop_assert!(!token.is_empty() && !token.contains(|c: char| c.is_whitespace() || c == ','));
                }
            }
        }
    }
}
