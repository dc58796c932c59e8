//! Keys: JSON Web Keys in and out, signatures made and checked.
//!
//! The algorithm belongs to the key and is never taken from a token (RFC 8725 section 3.1). There are four algorithms;
//! there is no `none`, no HMAC and no encryption, so neither can be chosen by mistake or by an attacker. Every private
//! and public key operation is AWS-LC's. Nothing here prints a private key, and no public form can hold one.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use aws_lc_rs::rand::SecureRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::Error as _;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::json::{self, JsonError};

/// A signature algorithm of RFC 7518 section 3.1 or RFC 8037 section 3.1. Nothing else exists here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256, the signature as 64 bytes r‖s (RFC 7518 section 3.4).
    #[serde(rename = "ES256")]
    Es256,
    /// Ed25519 (RFC 8037 section 3.1).
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 section 3.3).
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PSS with SHA-256, MGF1 with SHA-256 and a salt of 32 bytes (RFC 7518 section 3.5).
    #[serde(rename = "PS256")]
    Ps256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Es256, Self::EdDsa, Self::Rs256, Self::Ps256];

    /// The name in `alg`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name is not one of the four in [`Algorithm`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the algorithm is none of ES256, EdDSA, RS256, PS256")]
pub struct UnknownAlgorithm;

impl FromStr for Algorithm {
    type Err = UnknownAlgorithm;

    /// Names are compared exactly, case included (RFC 7515 section 4.1.1).
    fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name).ok_or(UnknownAlgorithm)
    }
}

/// The longest accepted key id, in bytes.
pub const MAX_KID_BYTES: usize = 256;

/// A key id (RFC 7517 section 4.5): 1 to [`MAX_KID_BYTES`] visible ASCII characters other than `"` and `\`.
///
/// That is what the issuers in use write (hexadecimal, base64 with `+/=`, URIs, thumbprints). It is only ever a map
/// key: it names no file, no row and no address, and it can be logged as it stands.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Kid(String);

impl Kid {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Kid {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for Kid {
    type Err = JwkError;

    fn from_str(text: &str) -> Result<Self, JwkError> {
        let visible = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
        if text.is_empty() || text.len() > MAX_KID_BYTES || !text.bytes().all(visible) {
            return Err(JwkError::Kid);
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Kid {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?.parse().map_err(D::Error::custom)
    }
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// The text is not a strict JSON object.
    #[error("the key is not a strict JSON object: {0}")]
    Json(#[from] JsonError),
    /// The id is empty, too long or has a character that is not visible ASCII.
    #[error("`kid` must be 1 to {MAX_KID_BYTES} visible ASCII characters other than `\"` and `\\`")]
    Kid,
    /// `kty`, `crv` or `alg` names something that does not exist here (`oct` among it).
    #[error("`{member}` names a kind of key that is not supported: only EC P-256, OKP Ed25519 and RSA verify here")]
    Unsupported {
        /// The member.
        member: &'static str,
    },
    /// `alg` does not belong to `kty`.
    #[error("`alg` does not fit the kind of key")]
    AlgorithmMismatch,
    /// `use` or `key_ops` says that the key is not for verifying signatures.
    #[error("the key is not for signatures (`use` is not \"sig\", or `key_ops` lacks \"verify\")")]
    NotForSignatures,
    /// A member that this kind of key needs is absent.
    #[error("`{member}` is missing")]
    Missing {
        /// The member.
        member: &'static str,
    },
    /// A member is of the wrong JSON type, not strict base64url or of the wrong length.
    #[error("`{member}` is malformed")]
    Malformed {
        /// The member.
        member: &'static str,
    },
    /// The key carries a private or symmetric member: whoever publishes it has lost it.
    #[error("the key carries the private member `{member}`: it must not be trusted, nor published")]
    Private {
        /// The member.
        member: &'static str,
    },
    /// The numbers are not a sound key: a point off the curve, a modulus or an exponent out of range.
    #[error("the key is not sound: {0}")]
    Unsound(&'static str),
    /// The private key could not be read from PKCS#8, or is of another kind than the algorithm asks.
    #[error("the PKCS#8 document holds no private key for this algorithm")]
    Pkcs8,
}

/// The members that make a public key, and no others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyParts {
    /// A point on P-256 (RFC 7518 section 6.2.1): 32 bytes each, however many zeros lead.
    P256 {
        /// The x coordinate.
        x: [u8; 32],
        /// The y coordinate.
        y: [u8; 32],
    },
    /// An Ed25519 public key (RFC 8037 section 2).
    Ed25519 {
        /// The encoded point.
        x: [u8; 32],
    },
    /// An RSA public key (RFC 7518 section 6.3.1): big-endian, no leading zero.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The public exponent.
        e: Vec<u8>,
    },
}

/// A public JSON Web Key (RFC 7517). It has no place for a private member.
///
/// Members that are not understood are ignored, as RFC 7517 section 4 asks, and are not kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Jwk {
    /// The key id.
    pub kid: Option<Kid>,
    /// The algorithm to which the key is bound.
    pub alg: Option<Algorithm>,
    /// The key itself.
    pub parts: KeyParts,
}

/// Private or symmetric members, of all kinds of key (RFC 7518 sections 6.2.2, 6.3.2, 6.4.1).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl Jwk {
    /// Parses one key.
    ///
    /// # Errors
    /// [`JwkError`], for all that cannot be used to verify a signature here.
    pub fn parse(text: &[u8]) -> Result<Self, JwkError> {
        Self::from_members(&json::object(text)?)
    }

    /// Reads a key from the members of an object that was parsed strictly.
    ///
    /// # Errors
    /// As [`Jwk::parse`].
    pub fn from_members(members: &Map<String, Value>) -> Result<Self, JwkError> {
        let kty = required(members, "kty")?;
        if kty == "oct" {
            return Err(JwkError::Unsupported { member: "kty" });
        }
        if let Some(member) = PRIVATE_MEMBERS.into_iter().find(|member| members.contains_key(*member)) {
            return Err(JwkError::Private { member });
        }
        for_signatures(members)?;
        let kid = text(members, "kid")?.map(Kid::from_str).transpose()?;
        let alg = text(members, "alg")?.map(Algorithm::from_str).transpose();
        let alg = alg.map_err(|UnknownAlgorithm| JwkError::Unsupported { member: "alg" })?;
        let parts = KeyParts::from_members(kty, members)?;
        match alg {
            Some(alg) if !parts.algorithms().contains(&alg) => Err(JwkError::AlgorithmMismatch),
            alg => Ok(Self { kid, alg, parts }),
        }
    }

    /// The JWK thumbprint with SHA-256, as unpadded base64url (RFC 7638 section 3).
    pub fn thumbprint(&self) -> String {
        let canonical = match &self.parts {
            KeyParts::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, encode(x), encode(y))
            }
            KeyParts::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, encode(x)),
            KeyParts::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, encode(e), encode(n)),
        };
        encode(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
    }
}

impl KeyParts {
    fn from_members(kty: &str, members: &Map<String, Value>) -> Result<Self, JwkError> {
        match kty {
            "EC" => {
                curve(members, "P-256")?;
                Ok(Self::P256 { x: coordinate(members, "x")?, y: coordinate(members, "y")? })
            }
            "OKP" => {
                curve(members, "Ed25519")?;
                Ok(Self::Ed25519 { x: coordinate(members, "x")? })
            }
            "RSA" => Ok(Self::Rsa { n: bytes(members, "n")?, e: bytes(members, "e")? }),
            _ => Err(JwkError::Unsupported { member: "kty" }),
        }
    }

    /// The algorithms that this kind of key can serve.
    const fn algorithms(&self) -> &'static [Algorithm] {
        match self {
            Self::P256 { .. } => &[Algorithm::Es256],
            Self::Ed25519 { .. } => &[Algorithm::EdDsa],
            Self::Rsa { .. } => &[Algorithm::Rs256, Algorithm::Ps256],
        }
    }
}

fn for_signatures(members: &Map<String, Value>) -> Result<(), JwkError> {
    if text(members, "use")?.is_some_and(|usage| usage != "sig") {
        return Err(JwkError::NotForSignatures);
    }
    match members.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().any(|operation| operation == "verify") => Ok(()),
        Some(Value::Array(_)) => Err(JwkError::NotForSignatures),
        Some(_) => Err(JwkError::Malformed { member: "key_ops" }),
    }
}

fn curve(members: &Map<String, Value>, expected: &str) -> Result<(), JwkError> {
    if required(members, "crv")? == expected { Ok(()) } else { Err(JwkError::Unsupported { member: "crv" }) }
}

fn text<'m>(members: &'m Map<String, Value>, member: &'static str) -> Result<Option<&'m str>, JwkError> {
    match members.get(member) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(JwkError::Malformed { member }),
    }
}

fn required<'m>(members: &'m Map<String, Value>, member: &'static str) -> Result<&'m str, JwkError> {
    text(members, member)?.ok_or(JwkError::Missing { member })
}

fn bytes(members: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, JwkError> {
    URL_SAFE_NO_PAD.decode(required(members, member)?).map_err(|_| JwkError::Malformed { member })
}

fn coordinate(members: &Map<String, Value>, member: &'static str) -> Result<[u8; 32], JwkError> {
    bytes(members, member)?.try_into().map_err(|_| JwkError::Malformed { member })
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Serialize for Jwk {
    fn serialize<S: Serializer>(&self, sink: S) -> Result<S::Ok, S::Error> {
        let mut object = sink.serialize_map(None)?;
        match &self.parts {
            KeyParts::P256 { x, y } => {
                object.serialize_entry("kty", "EC")?;
                object.serialize_entry("crv", "P-256")?;
                object.serialize_entry("x", &encode(x))?;
                object.serialize_entry("y", &encode(y))?;
            }
            KeyParts::Ed25519 { x } => {
                object.serialize_entry("kty", "OKP")?;
                object.serialize_entry("crv", "Ed25519")?;
                object.serialize_entry("x", &encode(x))?;
            }
            KeyParts::Rsa { n, e } => {
                object.serialize_entry("kty", "RSA")?;
                object.serialize_entry("n", &encode(n))?;
                object.serialize_entry("e", &encode(e))?;
            }
        }
        object.serialize_entry("use", "sig")?;
        if let Some(alg) = &self.alg {
            object.serialize_entry("alg", alg)?;
        }
        if let Some(kid) = &self.kid {
            object.serialize_entry("kid", kid)?;
        }
        object.end()
    }
}

impl<'de> Deserialize<'de> for Jwk {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let json::Object(members) = json::Object::deserialize(source)?;
        Self::from_members(&members).map_err(D::Error::custom)
    }
}

/// The signature does not belong to the message and the key. There is never more to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// A public key, parsed once and kept parsed: verifying never parses it again.
///
/// A key serves the algorithm of its `alg`, or without `alg` those of its kind. For EC and OKP that is one. An RSA key
/// without `alg` serves RS256 and PS256, because several large issuers leave `alg` out of their key sets and nothing
/// else says which of the two they sign with. The two encodings are disjoint: a signature made under one never
/// verifies under the other, and only the holder of the private key can make either.
#[derive(Clone)]
pub struct PublicKey {
    jwk: Jwk,
    verifiers: Vec<(Algorithm, ParsedPublicKey)>,
}

impl PublicKey {
    /// Checks the key and keeps it parsed: the point must lie on the curve, the modulus have 2048 to 8192 bits and be
    /// odd, the exponent be odd, at least 65537 and at most 33 bits.
    ///
    /// 8192 is what AWS-LC verifies at most, and where other TLS stacks draw the line as well: the key comes from an
    /// issuer that was chosen, not from the sender of a token, so its cost is the issuer's own choice.
    ///
    /// # Errors
    /// [`JwkError::Unsound`], [`JwkError::Malformed`] or [`JwkError::AlgorithmMismatch`].
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, JwkError> {
        let offered = jwk.parts.algorithms();
        let bound = jwk.alg.as_ref().map_or(offered, std::slice::from_ref);
        let parse = |&algorithm: &Algorithm| Ok((algorithm, parsed(&jwk.parts, algorithm)?));
        Ok(Self { jwk: jwk.clone(), verifiers: bound.iter().map(parse).collect::<Result<_, JwkError>>()? })
    }

    /// The public form, as it is published.
    pub fn to_jwk(&self) -> Jwk {
        self.jwk.clone()
    }

    /// The public form, borrowed.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// The key id, if the key has one.
    pub fn kid(&self) -> Option<&Kid> {
        self.jwk.kid.as_ref()
    }

    /// The algorithms that this key serves: one, or for an RSA key without `alg` two.
    pub fn algorithms(&self) -> impl Iterator<Item = Algorithm> {
        self.verifiers.iter().map(|(algorithm, _)| *algorithm)
    }

    /// Whether the key serves `algorithm`.
    pub fn serves(&self, algorithm: Algorithm) -> bool {
        self.algorithms().any(|served| served == algorithm)
    }

    /// The JWK thumbprint with SHA-256 (RFC 7638).
    pub fn thumbprint(&self) -> String {
        self.jwk.thumbprint()
    }

    /// Verifies `signature` over `message` under `algorithm`, which the key must serve.
    ///
    /// For ES256 the signature is exactly 64 bytes, r and s in [1, n-1]; for EdDSA S is below the group order. Of an
    /// ECDSA signature (r, s) the twin (r, n-s) verifies too, by design: a token's bytes never identify it.
    ///
    /// # Errors
    /// [`BadSignature`], also where the key does not serve the algorithm.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let (_, key) = self.verifiers.iter().find(|(served, _)| *served == algorithm).ok_or(BadSignature)?;
        key.verify_sig(message, signature).map_err(|_| BadSignature)
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PublicKey").field(&self.jwk).finish()
    }
}

/// Parses the numbers for one algorithm.
fn parsed(parts: &KeyParts, algorithm: Algorithm) -> Result<ParsedPublicKey, JwkError> {
    match (parts, algorithm) {
        (KeyParts::P256 { x, y }, Algorithm::Es256) => {
            let point = [&[4][..], x, y].concat(); // uncompressed, SEC 1 section 2.3.3
            ParsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                .map_err(|_| JwkError::Unsound("the point is not on P-256"))
        }
        (KeyParts::Ed25519 { x }, Algorithm::EdDsa) => ParsedPublicKey::new(&signature::ED25519, x)
            .map_err(|_| JwkError::Unsound("the point is not an Ed25519 key")),
        (KeyParts::Rsa { n, e }, Algorithm::Rs256) => parsed_rsa(n, e, &signature::RSA_PKCS1_2048_8192_SHA256),
        (KeyParts::Rsa { n, e }, Algorithm::Ps256) => parsed_rsa(n, e, &signature::RSA_PSS_2048_8192_SHA256),
        _ => Err(JwkError::AlgorithmMismatch),
    }
}

fn parsed_rsa(n: &[u8], e: &[u8], form: &'static signature::RsaParameters) -> Result<ParsedPublicKey, JwkError> {
    sound_modulus(n)?;
    sound_exponent(e)?;
    signature::RsaPublicKeyComponents { n, e }
        .to_parsed_public_key(form)
        .map_err(|_| JwkError::Unsound("the modulus and exponent are no RSA key"))
}

/// RFC 7518 section 3.3: at least 2048 bits; section 6.3.1.1: no leading zero octet.
fn sound_modulus(n: &[u8]) -> Result<(), JwkError> {
    let (Some(first), Some(last)) = (n.first(), n.last()) else {
        return Err(JwkError::Malformed { member: "n" });
    };
    if *first == 0 {
        return Err(JwkError::Malformed { member: "n" });
    }
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    match bits {
        0..2048 => Err(JwkError::Unsound("the modulus has less than 2048 bits")),
        2048..=8192 if last % 2 == 1 => Ok(()),
        2048..=8192 => Err(JwkError::Unsound("the modulus is even")),
        _ => Err(JwkError::Unsound("the modulus has more than 8192 bits")),
    }
}

/// Small exponents have broken too many verifiers, and none of the issuers in use has one.
fn sound_exponent(e: &[u8]) -> Result<(), JwkError> {
    if e.first().is_none_or(|first| *first == 0) {
        return Err(JwkError::Malformed { member: "e" });
    }
    if e.len() > 5 {
        return Err(JwkError::Unsound("the exponent has more than 33 bits"));
    }
    let value = e.iter().fold(0u64, |value, byte| value << 8 | u64::from(*byte));
    match value {
        65_537..=0x1_ffff_ffff if value % 2 == 1 => Ok(()),
        0..65_537 => Err(JwkError::Unsound("the exponent is less than 65537")),
        65_537..=0x1_ffff_ffff => Err(JwkError::Unsound("the exponent is even")),
        _ => Err(JwkError::Unsound("the exponent has more than 33 bits")),
    }
}

/// Signing failed: inside AWS-LC, or because the result would be too long to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The library could not sign.
    #[error("the signature could not be made")]
    Crypto,
    /// The token would be longer than [`MAX_MINTED_BYTES`](crate::jws::MAX_MINTED_BYTES).
    #[error("the token would have {bytes} bytes; headers of common servers hold {max}", max = crate::jws::MAX_MINTED_BYTES)]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// A private key with its public half. It is read from PKCS#8 and cannot be printed or written out again.
pub struct SigningKey {
    pair: Pair,
    algorithm: Algorithm,
    kid: Kid,
    public: PublicKey,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(rsa::KeyPair),
}

impl SigningKey {
    /// Reads a private key from an unencrypted PKCS#8 document (RFC 5958) and binds it to one algorithm and one id.
    ///
    /// # Errors
    /// [`JwkError::Pkcs8`] where the document holds no key for that algorithm, [`JwkError::Unsound`] where the key is
    /// one that [`PublicKey::from_jwk`] would refuse.
    pub fn from_pkcs8(algorithm: Algorithm, kid: Kid, document: &[u8]) -> Result<Self, JwkError> {
        let pair = Pair::from_pkcs8(algorithm, document).ok_or(JwkError::Pkcs8)?;
        let jwk = Jwk { kid: Some(kid.clone()), alg: Some(algorithm), parts: pair.public_parts()? };
        Ok(Self { pair, algorithm, kid, public: PublicKey::from_jwk(&jwk)? })
    }

    /// Signs `message`.
    ///
    /// `rng` is there for the interface: AWS-LC draws the nonce of ECDSA and the salt of PSS from its own generator.
    ///
    /// # Errors
    /// [`SignError::Crypto`].
    pub fn sign(&self, message: &[u8], rng: &dyn SecureRandom) -> Result<Vec<u8>, SignError> {
        let signed = match &self.pair {
            Pair::P256(pair) => pair.sign(rng, message).map(|signature| signature.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.try_sign(message).map(|signature| signature.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let padding = match self.algorithm {
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(padding, rng, message, &mut signature).map(|()| signature)
            }
        };
        signed.map_err(|_| SignError::Crypto)
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The key id.
    pub fn kid(&self) -> &Kid {
        &self.kid
    }

    /// The one algorithm that this key signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

impl Pair {
    fn from_pkcs8(algorithm: Algorithm, document: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, document).ok().map(Self::P256)
            }
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(document).ok().map(Self::Ed25519),
            Algorithm::Rs256 | Algorithm::Ps256 => rsa::KeyPair::from_pkcs8(document).ok().map(Self::Rsa),
        }
    }

    fn public_parts(&self) -> Result<KeyParts, JwkError> {
        match self {
            Self::P256(pair) => {
                let point: &[u8; 65] = pair.public_key().as_ref().try_into().map_err(|_| JwkError::Pkcs8)?;
                let (mut x, mut y) = ([0; 32], [0; 32]);
                x.copy_from_slice(&point[1..33]);
                y.copy_from_slice(&point[33..]);
                Ok(KeyParts::P256 { x, y })
            }
            Self::Ed25519(pair) => {
                let x = pair.public_key().as_ref().try_into().map_err(|_| JwkError::Pkcs8)?;
                Ok(KeyParts::Ed25519 { x })
            }
            Self::Rsa(pair) => {
                let (n, e) = rsa_numbers(pair.public_key().as_ref()).ok_or(JwkError::Pkcs8)?;
                Ok(KeyParts::Rsa { n, e })
            }
        }
    }
}

/// The two numbers of a DER `RSAPublicKey` (RFC 8017 appendix A.1.1), without the octet that keeps them positive.
fn rsa_numbers(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    const SEQUENCE: u8 = 0x30;
    const INTEGER: u8 = 0x02;
    let (numbers, _) = der_value(SEQUENCE, der)?;
    let (n, rest) = der_value(INTEGER, numbers)?;
    let (e, _) = der_value(INTEGER, rest)?;
    let unsigned = |number: &[u8]| number.strip_prefix(&[0]).unwrap_or(number).to_vec();
    Some((unsigned(n), unsigned(e)))
}

/// One DER value with that tag, and what follows it.
fn der_value(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&[found, length], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match length {
        0..=0x7f => (usize::from(length), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(length - 0x80))?;
            (octets.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)), rest)
        }
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}
