//! The crate `jsonwebtoken` as a second opinion: both accept, both refuse, or a named strictness says why not.
//!
//! Each strictness is found in the token by means of its own (plain `serde_json` and two scanners), never by asking the
//! code under test. There is no arm that explains everything.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, Validation};
use remint_core::claims::{AccessClaims, Expected};
use remint_core::json::JsonError;
use remint_core::jws::TokenError;
use remint_core::time::Timestamp;
use serde_json::{Map, Value};

use crate::keys::{AUDIENCE, ISSUER, JWKS, all};

/// A rule that is stricter here than in the oracle, or the one rule that is laxer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Strictness {
    /// Longer than 8 KiB.
    Length,
    /// `crit`, `b64`, `enc` or `zip` in the header.
    Extension,
    /// `jwk`, `jku`, `x5c` or `x5u` in the header.
    EmbeddedKey,
    /// `kid` is there and is not that of the key for `alg`; the oracle never looks at it.
    KeyId,
    /// `typ` is not at+jwt.
    Kind,
    /// A member named twice.
    Duplicate,
    /// Nested deeper than 32.
    Depth,
    /// `client_id`, `iat` or `jti` is missing.
    Absent(&'static str),
    /// A claim has a form that is refused here.
    Form(&'static str),
    /// `cnf` is there.
    Bound,
    /// The one laxness: the oracle types header parameters that are ignored here.
    IgnoredParameter,
}

/// What both say of a token.
#[derive(Debug)]
pub(crate) enum Verdict {
    BothAccept,
    BothRefuse,
    Explained(Strictness),
}

/// Compares both on one token.
///
/// # Panics
/// Where they differ and no strictness explains it, or where they read different claims.
pub(crate) fn compare(token: &str, now: Timestamp) -> Verdict {
    let audience = [AUDIENCE.to_owned()];
    let ours = Expected::new(ISSUER, &audience).unwrap().accept(token, &JWKS, now);
    match (ours, theirs(token)) {
        (Ok(ours), Some(theirs)) => same_claims(&ours, &theirs),
        (Err(_), None) => Verdict::BothRefuse,
        (Err(error), Some(_)) => match explanation(&error) {
            Some(strictness) if holds(strictness, token) => Verdict::Explained(strictness),
            strictness => panic!("only the oracle accepts {token}\n{error:?} is not explained by {strictness:?}"),
        },
        (Ok(_), None) if holds(Strictness::IgnoredParameter, token) => Verdict::Explained(Strictness::IgnoredParameter),
        (Ok(_), None) => panic!("only we accept {token}"),
    }
}

fn same_claims(ours: &AccessClaims, theirs: &Map<String, Value>) -> Verdict {
    let text = |name: &str| theirs.get(name).and_then(Value::as_str);
    assert_eq!((text("iss"), text("sub")), (Some(ours.iss.as_str()), Some(ours.sub.as_str())));
    assert_eq!((text("jti"), text("client_id")), (ours.jti.as_deref(), ours.client_id.as_deref()));
    assert_eq!(theirs["exp"].as_f64().map(f64::floor), Some(ours.exp as f64));
    for (name, value) in &ours.rest {
        assert_eq!(theirs.get(name), Some(value), "{name}");
    }
    Verdict::BothAccept
}

static ORACLE_KEYS: LazyLock<Vec<(String, DecodingKey)>> = LazyLock::new(|| {
    let key = |key: &remint_core::jwk::PublicKey| {
        let jwk = serde_json::from_value(serde_json::to_value(key.jwk()).unwrap()).unwrap();
        DecodingKey::from_jwk(&jwk).unwrap()
    };
    all().map(|pair| (pair.algorithm().to_string(), key(pair.public()))).into()
});

/// The oracle with the key for the header's `alg`, made as strict as it can be.
fn theirs(token: &str) -> Option<Map<String, Value>> {
    let alg = jsonwebtoken::decode_header(token).ok()?.alg;
    let (_, key) = ORACLE_KEYS.iter().find(|(name, _)| name.parse() == Ok(alg))?;
    let mut validation = Validation::new(alg);
    validation.leeway = 0;
    validation.validate_nbf = true;
    validation.set_issuer(&[ISSUER]);
    validation.set_audience(&[AUDIENCE]);
    validation.set_required_spec_claims(&["iss", "sub", "aud", "exp"]);
    jsonwebtoken::decode(token, key, &validation).ok().map(|data| data.claims)
}

/// The strictness that an error stands for; none where the oracle must refuse as well.
fn explanation(error: &TokenError) -> Option<Strictness> {
    match error {
        TokenError::TooLong => Some(Strictness::Length),
        TokenError::Encrypted | TokenError::Critical => Some(Strictness::Extension),
        TokenError::Header { parameter: "b64" | "zip" } => Some(Strictness::Extension),
        TokenError::Header { parameter: "jwk" | "jku" | "x5c" | "x5u" } => Some(Strictness::EmbeddedKey),
        TokenError::Header { parameter: "kid" } => Some(Strictness::KeyId),
        TokenError::Header { parameter: "typ" } => Some(Strictness::Kind),
        TokenError::UnknownKey { .. } | TokenError::AlgorithmMismatch => Some(Strictness::KeyId),
        TokenError::WrongType { .. } => Some(Strictness::Kind),
        TokenError::DuplicateMember { .. } => Some(Strictness::Duplicate),
        TokenError::Json { cause: JsonError::TooDeep, .. } => Some(Strictness::Depth),
        TokenError::MissingClaim { name: name @ ("client_id" | "iat" | "jti") } => Some(Strictness::Absent(name)),
        TokenError::MistypedClaim { name } => Some(Strictness::Form(name)),
        TokenError::BoundToken => Some(Strictness::Bound),
        TokenError::NotCompact
        | TokenError::Base64 { .. }
        | TokenError::Json { .. }
        | TokenError::Header { .. }
        | TokenError::UnknownAlgorithm
        | TokenError::BadSignature
        | TokenError::MissingClaim { .. }
        | TokenError::Expired
        | TokenError::NotYetValid
        | TokenError::WrongIssuer
        | TokenError::WrongAudience => None,
    }
}

/// Whether the token really has what the strictness is about.
fn holds(strictness: Strictness, token: &str) -> bool {
    let mut parts = token.split('.').map(|part| URL_SAFE_NO_PAD.decode(part).unwrap_or_default());
    let (header_text, payload_text) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let object = |text: &[u8]| serde_json::from_slice::<Map<String, Value>>(text).unwrap_or_default();
    let (header, payload) = (object(&header_text), object(&payload_text));
    let any_of = |names: &[&str]| names.iter().any(|name| header.contains_key(*name));
    match strictness {
        Strictness::Length => token.len() > 8192,
        Strictness::Extension => any_of(&["crit", "b64", "enc", "zip"]),
        Strictness::EmbeddedKey => any_of(&["jwk", "jku", "x5c", "x5u"]),
        Strictness::KeyId => header.get("kid").is_some_and(|kid| Some(kid) != usual_kid(&header).as_ref()),
        Strictness::Kind => !header
            .get("typ")
            .and_then(Value::as_str)
            .is_some_and(|typ| ["at+jwt", "application/at+jwt"].contains(&typ.to_ascii_lowercase().as_str())),
        Strictness::Duplicate => named_twice(&header_text) || named_twice(&payload_text),
        Strictness::Depth => depth(&header_text) > 32 || depth(&payload_text) > 32,
        Strictness::Absent(name) => !payload.contains_key(name),
        Strictness::Form(name) => payload.get(name).is_some_and(|value| !is_accepted_form(name, value)),
        Strictness::Bound => payload.contains_key("cnf"),
        Strictness::IgnoredParameter => ["cty", "url", "nonce", "x5t", "x5t#S256"]
            .iter()
            .any(|name| header.get(*name).is_some_and(|value| !value.is_string() && !value.is_null())),
    }
}

fn usual_kid(header: &Map<String, Value>) -> Option<Value> {
    let alg = header.get("alg")?.as_str()?;
    let key = all().into_iter().find(|key| key.algorithm().as_str() == alg)?;
    Some(Value::from(key.kid().as_str()))
}

fn is_accepted_form(name: &str, value: &Value) -> bool {
    let text = |value: &Value| value.as_str().is_some_and(|text| !text.is_empty());
    let texts = |value: &Value| value.as_array().is_some_and(|texts| texts.iter().all(text));
    match name {
        "exp" | "nbf" | "iat" | "auth_time" => {
            value.as_f64().is_some_and(|date| (0.0..=253_402_300_799.0).contains(&date))
        }
        "aud" => text(value) || texts(value) && value != &Value::Array(vec![]),
        "amr" => texts(value),
        "scope" => value.is_string(),
        "cv" | "pv" => value.is_u64(),
        "cnf" => value.is_object(),
        _ => text(value),
    }
}

/// Whether the text has more members than the value that a lax parser makes of it.
fn named_twice(text: &[u8]) -> bool {
    let value: Value = serde_json::from_slice(text).unwrap_or_default();
    outside_strings(text).filter(|byte| *byte == b':').count() > members(&value)
}

fn members(value: &Value) -> usize {
    match value {
        Value::Object(object) => object.len() + object.values().map(members).sum::<usize>(),
        Value::Array(array) => array.iter().map(members).sum(),
        _ => 0,
    }
}

fn depth(text: &[u8]) -> i64 {
    let step = |depth: &mut i64, byte: u8| {
        *depth += i64::from(b"[{".contains(&byte)) - i64::from(b"]}".contains(&byte));
        Some(*depth)
    };
    outside_strings(text).scan(0, step).max().unwrap_or(0)
}

fn outside_strings(text: &[u8]) -> impl Iterator<Item = u8> {
    let (mut inside, mut escaped) = (false, false);
    text.iter().copied().filter(move |byte| match (inside, escaped, byte) {
        (true, true, _) => {
            escaped = false;
            false
        }
        (true, false, b'\\') => {
            escaped = true;
            false
        }
        (_, false, b'"') => {
            inside = !inside;
            false
        }
        _ => !inside,
    })
}
