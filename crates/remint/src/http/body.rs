//! Bodies, read strictly: one content type, every parameter once, no member that is not known. Never reads more than
//! the limit, and never repeats what it read in an error.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::error::Error;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::failure::{BadRequest, Failure};

/// The largest body, in bytes.
pub const MAX_BODY_BYTES: usize = 64 * 1024;

/// A form of RFC 6749 (appendix B: `application/x-www-form-urlencoded`), every parameter at most once (section 3.2);
/// one without a value counts as left out (section 3.1).
#[derive(Debug)]
pub struct Form(BTreeMap<String, String>);

impl Form {
    /// The value of a parameter.
    pub fn optional(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value of a parameter that must be there.
    pub fn required(&self, name: &'static str) -> Result<&str, BadRequest> {
        self.optional(name).ok_or(BadRequest::Missing(name))
    }

    fn parse(text: &[u8]) -> Result<Self, BadRequest> {
        let unreadable = || BadRequest::Malformed { what: "the form", why: "it is not percent-encoded UTF-8" };
        let mut form = BTreeMap::new();
        for pair in text.split(|b| *b == b'&').filter(|pair| !pair.is_empty()) {
            let (name, value) = decoded_pair(pair).ok_or_else(unreadable)?;
            match form.entry(name) {
                Entry::Vacant(place) => {
                    place.insert(value);
                }
                Entry::Occupied(taken) => return Err(BadRequest::Repeated(printable(taken.key()))),
            }
        }
        Ok(Self(form))
    }
}

/// A name as it may stand in an error: cut, and visible ASCII only.
pub fn printable(name: &str) -> String {
    name.chars().take(64).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect()
}

/// Decodes `a=b`; `None` where a percent sequence is broken or the bytes are no UTF-8.
fn decoded_pair(pair: &[u8]) -> Option<(String, String)> {
    let cut = pair.iter().position(|b| *b == b'=').unwrap_or(pair.len());
    Some((decode(&pair[..cut])?, decode(pair.get(cut + 1..).unwrap_or_default())?))
}

/// One percent-encoded component; `+` is a blank.
pub fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digit = |b: Option<&u8>| b.and_then(|b| char::from(*b).to_digit(16));
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            byte => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).ok()
}

/// A JSON object, strict: no member twice, none unknown.
#[derive(Debug)]
pub struct Json(pub Map<String, Value>);

impl Json {
    /// The members as a struct; an unknown or mistyped one is refused by name.
    pub fn read<T: DeserializeOwned>(self, members: &[&'static str]) -> Result<T, BadRequest> {
        if let Some(unknown) = self.0.keys().find(|name| !members.contains(&name.as_str())) {
            return Err(BadRequest::Unknown(printable(unknown)));
        }
        for name in members {
            // Each alone first, so that the error can name it without repeating its value.
            if let Some(value) = self.0.get(*name)
                && serde_json::from_value::<T>(Value::Object(Map::from_iter([((*name).to_owned(), value.clone())])))
                    .is_err_and(|error| !error.to_string().starts_with("missing field"))
            {
                return Err(BadRequest::Invalid { name, why: "is not of its type" });
            }
        }
        serde_json::from_value(Value::Object(self.0)).map_err(|error| missing(&error.to_string(), members))
    }
}

fn missing(error: &str, members: &[&'static str]) -> BadRequest {
    let named = members.iter().find(|name| error.contains(&format!("missing field `{name}`")));
    named.map_or(BadRequest::Malformed { what: "the body", why: "a member is not of its type" }, |name| {
        BadRequest::Missing(name)
    })
}

async fn bytes(request: Request) -> Result<Bytes, Failure> {
    match Limited::new(request.into_body(), MAX_BODY_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if is_too_large(&*error) => Err(BadRequest::TooLarge { limit: MAX_BODY_BYTES }.into()),
        Err(_) => Err(BadRequest::Malformed { what: "the body", why: "the connection broke off" }.into()),
    }
}

/// Whether a limit was met: the one here, or the one of the listener, whose error comes in the wrappings of the bodies
/// in between.
fn is_too_large(error: &(dyn Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_too_large)
}

/// The media type, without parameters; `None` where it is absent or given twice.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let (first, second) = (all.next()?, all.next());
    let text = first.to_str().ok().filter(|_| second.is_none())?;
    Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
}

fn demand(headers: &HeaderMap, expected: &'static str) -> Result<(), BadRequest> {
    if media_type(headers).as_deref() == Some(expected) { Ok(()) } else { Err(BadRequest::ContentType { expected }) }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = super::error::OAuthError;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        demand(request.headers(), "application/x-www-form-urlencoded")?;
        Ok(Self::parse(&bytes(request).await?)?)
    }
}

impl<S: Send + Sync> FromRequest<S> for Json {
    type Rejection = super::error::OAuthError;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        demand(request.headers(), "application/json")?;
        Ok(Self(object(&bytes(request).await?)?))
    }
}

/// A JSON object, or nothing at all where there is no body.
#[derive(Debug)]
pub struct OptionalJson(pub Json);

impl<S: Send + Sync> FromRequest<S> for OptionalJson {
    type Rejection = super::error::OAuthError;

    async fn from_request(request: Request, _: &S) -> Result<Self, Self::Rejection> {
        let typed = request.headers().contains_key(CONTENT_TYPE);
        let demanded = demand(request.headers(), "application/json");
        let bodiless = request.method() == Method::GET;
        let body = bytes(request).await?;
        if body.is_empty() && (!typed || demanded.is_ok() || bodiless) {
            return Ok(Self(Json(Map::new())));
        }
        demanded?;
        Ok(Self(Json(object(&body)?)))
    }
}

fn object(text: &[u8]) -> Result<Map<String, Value>, BadRequest> {
    remint_core::json::object(text).map_err(|_| BadRequest::Malformed {
        what: "the body",
        why: "it is not one JSON object without repeated members",
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[test]
    fn a_parameter_given_twice_is_refused_and_an_empty_one_is_left_out() {
        assert_eq!(Form::parse(b"a=1&b=2&a=1").unwrap_err(), BadRequest::Repeated("a".into()));
        assert_eq!(Form::parse(b"a=&a=1").unwrap_err(), BadRequest::Repeated("a".into()));
        assert_eq!(Form::parse(b"a=&b=x+y%2B").unwrap().optional("a"), None);
        assert_eq!(Form::parse(b"a=&b=x+y%2B").unwrap().optional("b"), Some("x y+"));
        assert!(Form::parse(b"a=%zz").is_err() && Form::parse(b"a=%f").is_err() && Form::parse(b"a=%ff").is_err());
    }

    #[test]
    fn a_json_error_names_the_member_and_never_its_value() {
        #[derive(Debug, Deserialize)]
        #[expect(dead_code, reason = "only its reading is tested")]
        struct Body {
            identifier: String,
            interactive: Option<bool>,
        }
        let read = |text: &str| Json(object(text.as_bytes()).unwrap()).read::<Body>(&["identifier", "interactive"]);
        assert_eq!(read(r#"{"interactive":true}"#).unwrap_err(), BadRequest::Missing("identifier"));
        assert_eq!(read(r#"{"identifier":"a","x":1}"#).unwrap_err(), BadRequest::Unknown("x".into()));
        let wrong = read(r#"{"identifier":"a","interactive":"secret"}"#).unwrap_err();
        assert_eq!(wrong.to_string(), "`interactive` is not of its type");
        assert!(object(br#"{"a":1,"a":2}"#).is_err() && object(b"[]").is_err() && object(b"").is_err());
    }
}
