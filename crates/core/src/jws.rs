//! Signed tokens: JWS compact serialization (RFC 7515 section 7.1), and no other form.
//!
//! [`Unverified`] is all that can be made of a string. Its `verify` is the only road to a [`Payload`], and a payload the
//! only road to claims. What is *not* checked here: anything that the payload says; see [`crate::claims`].

use aws_lc_rs::rand::SecureRandom;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::json::{self, JsonError};
use crate::jwk::{Algorithm, Kid, PublicKey, SignError, SigningKey};
use crate::jwks::Jwks;

/// The longest token that is looked at, in bytes.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The longest token that is minted, in bytes: with the rest of a request it fits the header buffers in common use.
pub const MAX_MINTED_BYTES: usize = 3584;

/// Why a token is refused. Each text is for the developer who reads the log; none quotes the token, but for `kid`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// Longer than [`MAX_TOKEN_BYTES`]; nothing of it was read.
    #[error("the token is longer than {MAX_TOKEN_BYTES} bytes")]
    TooLong,
    /// Not three parts between dots: an opaque token, a JSON serialization, a token cut short.
    #[error("the token is not a compact JWS: three parts between two dots")]
    NotCompact,
    /// Five parts, or `enc` in the header: a JWE. Whoever holds the public key can make one, so it proves nothing.
    #[error("the token is encrypted (JWE): only signed tokens are accepted")]
    Encrypted,
    /// A part is not strict base64url: padding, blanks, foreign characters or stray bits at the end (RFC 7515 section 2).
    #[error("the {part} of the token is not strict base64url")]
    Base64 {
        /// Which part.
        part: Part,
    },
    /// A part is not a JSON object of valid grammar and depth.
    #[error("the {part} of the token is not acceptable JSON: {cause}")]
    Json {
        /// Which part.
        part: Part,
        /// What is wrong with it.
        cause: JsonError,
    },
    /// A part names one member twice, at whatever depth.
    #[error("the {part} of the token names a member twice")]
    DuplicateMember {
        /// Which part.
        part: Part,
    },
    /// A header parameter is missing or of the wrong type, or one that is never accepted (`jwk jku x5u x5c zip b64`).
    #[error("the header parameter `{parameter}` is missing, malformed or never accepted")]
    Header {
        /// Its name.
        parameter: &'static str,
    },
    /// `crit` is present: no extension is understood here (RFC 7515 section 4.1.11).
    #[error("the header has `crit`: no critical extension is supported")]
    Critical,
    /// `typ`, or the shape of the claims, says that this is another kind of token.
    #[error("the token is of another kind: `typ` must be {expected}")]
    WrongType {
        /// What it should have been.
        expected: Typ,
    },
    /// `alg` is none of the four: `none` and all HMAC algorithms among them.
    #[error("`alg` is none of ES256, EdDSA, RS256, PS256")]
    UnknownAlgorithm,
    /// `alg` is not one that the key serves.
    #[error("`alg` is not the algorithm of the key")]
    AlgorithmMismatch,
    /// The key set has no such key; without a `kid`, not exactly one key for the algorithm.
    #[error("no key for the token: {}", .kid.as_ref().map_or("it has no `kid`, and not exactly one key serves its `alg`".to_owned(), |kid| format!("`kid` is {kid}")))]
    UnknownKey {
        /// The id in the header.
        kid: Option<Kid>,
    },
    /// The signature is not the key's over these bytes.
    #[error("the signature does not verify")]
    BadSignature,
    /// A claim that must be there is not.
    #[error("the claim `{name}` is missing")]
    MissingClaim {
        /// Its name.
        name: &'static str,
    },
    /// A claim is there with the wrong type or an impossible value. It never counts as absent.
    #[error("the claim `{name}` has the wrong type, or an impossible value")]
    MistypedClaim {
        /// Its name.
        name: &'static str,
    },
    /// `exp` has been reached.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not been reached.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iss` is not the expected issuer.
    #[error("the token was issued by another issuer")]
    WrongIssuer,
    /// `aud` names none of the expected audiences.
    #[error("the token is for another audience")]
    WrongAudience,
    /// `cnf` binds the token to a key, and the caller does not check proofs (RFC 9449 section 7.2).
    #[error("the token is bound to a key (`cnf`): it cannot be used as a plain bearer token")]
    BoundToken,
}

/// A part of a compact token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Before the first dot.
    Header,
    /// Between the dots.
    Payload,
    /// After the second dot.
    Signature,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

impl TokenError {
    /// The fault of a part's JSON.
    pub(crate) fn json(part: Part, cause: JsonError) -> Self {
        match cause {
            JsonError::DuplicateMember => Self::DuplicateMember { part },
            cause => Self::Json { part, cause },
        }
    }
}

/// The kind of token that is expected, told by `typ` (RFC 8725 section 3.11).
///
/// `typ` is compared without regard to case, with or without `application/` before it (RFC 7515 section 4.1.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Typ {
    /// `at+jwt` (RFC 9068 section 2.1).
    AccessToken,
    /// `at+jwt`, `JWT` or no `typ` at all: access tokens of issuers older than RFC 9068.
    AnyAccessToken,
    /// `JWT` or no `typ` at all: an OpenID Connect ID token.
    IdToken,
    /// `logout+jwt` (OpenID Connect Back-Channel Logout 1.0 section 2.4).
    LogoutToken,
}

impl Typ {
    /// Whether a header with this `typ` is of the kind.
    pub fn admits(self, typ: Option<&str>) -> bool {
        let names: &[&str] = match self {
            Self::AccessToken => &["at+jwt"],
            Self::AnyAccessToken => &["at+jwt", "jwt"],
            Self::IdToken => &["jwt"],
            Self::LogoutToken => &["logout+jwt"],
        };
        match typ.map(media_subtype) {
            Some(typ) => names.iter().any(|name| typ.eq_ignore_ascii_case(name)),
            None => matches!(self, Self::AnyAccessToken | Self::IdToken),
        }
    }

    /// What is written into the header of a new token of the kind.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken | Self::AnyAccessToken => "at+jwt",
            Self::IdToken => "JWT",
            Self::LogoutToken => "logout+jwt",
        }
    }
}

impl std::fmt::Display for Typ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::AnyAccessToken => "at+jwt, JWT or absent",
            Self::IdToken => "JWT or absent",
            Self::AccessToken | Self::LogoutToken => self.as_str(),
        })
    }
}

/// `typ` without the `application/` that may be left out.
fn media_subtype(typ: &str) -> &str {
    const PREFIX: &str = "application/";
    match typ.split_at_checked(PREFIX.len()) {
        Some((prefix, subtype)) if prefix.eq_ignore_ascii_case(PREFIX) => subtype,
        _ => typ,
    }
}

/// A token whose header was read and whose signature was not checked: it gives away nothing but its header.
#[derive(Debug)]
pub struct Unverified<'a> {
    signed: &'a str,
    payload: &'a str,
    signature: &'a str,
    algorithm: Algorithm,
    kid: Option<Kid>,
    typ: Option<String>,
}

impl<'a> Unverified<'a> {
    /// Reads a token, in the order of RFC 7515 section 5.2:
    ///
    /// 1. at most [`MAX_TOKEN_BYTES`], before anything else;
    /// 2. exactly three parts; five are a JWE and refused by name;
    /// 3. the header is strict base64url of a strict JSON object;
    /// 4. no `crit`, no `b64` (RFC 7797), no `enc` or `zip`, no key or address of a key (`jwk jku x5c x5u`);
    /// 5. `alg` is one of the four; `kid`, if present, could be a key's; `typ`, if present, is a string.
    ///
    /// Other header parameters are ignored (RFC 7515 section 4); `x5t` is one of them.
    ///
    /// # Errors
    /// [`TokenError`], the first that applies.
    pub fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong);
        }
        let [header, payload, signature] = parts(token)?;
        let signed = &token[..header.len() + 1 + payload.len()];
        let members = json::object(&decode(header, Part::Header)?);
        let members = members.map_err(|cause| TokenError::json(Part::Header, cause))?;
        nothing_refused(&members)?;
        let algorithm = parameter(&members, "alg")?.ok_or(TokenError::Header { parameter: "alg" })?;
        let algorithm = algorithm.parse().map_err(|_| TokenError::UnknownAlgorithm)?;
        let kid = parameter(&members, "kid")?.map(str::parse).transpose();
        let kid = kid.map_err(|_| TokenError::Header { parameter: "kid" })?;
        let typ = parameter(&members, "typ")?.map(str::to_owned);
        Ok(Self { signed, payload, signature, algorithm, kid, typ })
    }

    /// The key id that the header names: a hint which key to try, and nothing more.
    pub fn kid(&self) -> Option<&Kid> {
        self.kid.as_ref()
    }

    /// The algorithm that the header names: it must be the key's, and is never chosen by it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Verifies with the key of the set that `kid` names, or without `kid` the only one that serves the algorithm.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`], and all of [`Unverified::verify_with`].
    pub fn verify(self, keys: &Jwks, expected: Typ) -> Result<Payload, TokenError> {
        let key = match &self.kid {
            Some(kid) => keys.key(kid.as_str()),
            None => keys.only_key_for(self.algorithm),
        };
        match key {
            Some(key) => self.verify_with(key, expected),
            None => Err(TokenError::UnknownKey { kid: self.kid }),
        }
    }

    /// Verifies with one key: kind, algorithm, signature, and then gives out the very bytes that were signed.
    ///
    /// # Errors
    /// [`TokenError::WrongType`], [`TokenError::UnknownKey`] where key and token have different ids,
    /// [`TokenError::AlgorithmMismatch`], [`TokenError::Base64`], [`TokenError::BadSignature`].
    pub fn verify_with(self, key: &PublicKey, expected: Typ) -> Result<Payload, TokenError> {
        if !expected.admits(self.typ.as_deref()) {
            return Err(TokenError::WrongType { expected });
        }
        if self.kid.is_some() && key.kid().is_some() && self.kid.as_ref() != key.kid() {
            return Err(TokenError::UnknownKey { kid: self.kid });
        }
        if !key.serves(self.algorithm) {
            return Err(TokenError::AlgorithmMismatch);
        }
        let signature = decode(self.signature, Part::Signature)?;
        key.verify(self.algorithm, self.signed.as_bytes(), &signature).map_err(|_| TokenError::BadSignature)?;
        Ok(Payload { bytes: decode(self.payload, Part::Payload)?, typ: expected })
    }
}

/// Splits at dots, looking at no more of them than tell the forms apart.
fn parts(token: &str) -> Result<[&str; 3], TokenError> {
    let mut split = token.splitn(6, '.');
    match [(); 6].map(|()| split.next()) {
        [Some(header), Some(payload), Some(signature), None, ..] => Ok([header, payload, signature]),
        [.., Some(_), None] => Err(TokenError::Encrypted),
        _ => Err(TokenError::NotCompact),
    }
}

fn decode(text: &str, part: Part) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Base64 { part })
}

fn nothing_refused(members: &Map<String, Value>) -> Result<(), TokenError> {
    if members.contains_key("crit") {
        return Err(TokenError::Critical);
    }
    if members.contains_key("enc") {
        return Err(TokenError::Encrypted);
    }
    let refused = ["b64", "zip", "jwk", "jku", "x5c", "x5u"];
    match refused.into_iter().find(|parameter| members.contains_key(*parameter)) {
        Some(parameter) => Err(TokenError::Header { parameter }),
        None => Ok(()),
    }
}

fn parameter<'m>(members: &'m Map<String, Value>, parameter: &'static str) -> Result<Option<&'m str>, TokenError> {
    match members.get(parameter) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(TokenError::Header { parameter }),
    }
}

/// Bytes that a key signed, as a token of the kind that was asked for. Only [`Unverified`] makes it.
#[derive(Debug)]
pub struct Payload {
    bytes: Vec<u8>,
    typ: Typ,
}

impl Payload {
    /// The bytes, exactly as they were signed.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The kind of token under which they were verified.
    pub fn typ(&self) -> Typ {
        self.typ
    }
}

/// Makes a compact token: header `{alg, typ, kid}` of `key` and `typ`, and `payload` as it is.
///
/// # Errors
/// [`SignError::TooLong`] beyond [`MAX_MINTED_BYTES`], [`SignError::Crypto`].
pub fn compact(typ: Typ, payload: &[u8], key: &SigningKey, rng: &dyn SecureRandom) -> Result<String, SignError> {
    let unsigned = unsigned(&header(typ, key)?, payload);
    let signature = key.sign(unsigned.as_bytes(), rng)?;
    signed(unsigned, &signature)
}

/// The first part of a token that `key` signs: `{alg, typ, kid}` in base64url.
///
/// # Errors
/// [`SignError::Crypto`], where it cannot be written as JSON.
pub fn header(typ: Typ, key: &SigningKey) -> Result<String, SignError> {
    #[derive(Serialize)]
    struct Header<'a> {
        alg: Algorithm,
        typ: &'static str,
        kid: &'a Kid,
    }
    let header = Header { alg: key.algorithm(), typ: typ.as_str(), kid: key.kid() };
    serde_json::to_vec(&header).map(|header| URL_SAFE_NO_PAD.encode(header)).map_err(|_| SignError::Crypto)
}

/// What is signed: the first part, which [`header`] made, and the payload (RFC 7515 section 5.1, step 5).
pub fn unsigned(header: &str, payload: &[u8]) -> String {
    let mut text = String::with_capacity(header.len() + 2 + (payload.len() + SIGNATURE_BYTES).div_ceil(3) * 4);
    text.push_str(header);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    text
}

/// How much memory is reserved for a signature: those of ES256 and EdDSA are just as long.
const SIGNATURE_BYTES: usize = 64;

/// The token: what was signed, and the signature over it.
///
/// # Errors
/// [`SignError::TooLong`] beyond [`MAX_MINTED_BYTES`].
pub fn signed(unsigned: String, signature: &[u8]) -> Result<String, SignError> {
    let mut token = unsigned;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut token);
    if token.len() > MAX_MINTED_BYTES { Err(SignError::TooLong { bytes: token.len() }) } else { Ok(token) }
}
