//! Keys and tokens for the JOSE tests: real keys, made once per test binary.

use std::sync::LazyLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remint_core::jwk::{Algorithm, PublicKey, SigningKey};
use remint_core::jwks::Jwks;
use remint_core::time::Timestamp;

pub(crate) const ISSUER: &str = "https://id.example";
pub(crate) const AUDIENCE: &str = "https://api.example";

/// Some time in 2026. Dates in these tests are far from it on either side.
pub(crate) const NOW: Timestamp = Timestamp::from_secs(1_790_000_000);

pub(crate) static ES256: LazyLock<SigningKey> = LazyLock::new(|| {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    signing_key(Algorithm::Es256, "es", pair.to_pkcs8v1().unwrap().as_ref())
});

pub(crate) static EDDSA: LazyLock<SigningKey> = LazyLock::new(|| {
    let pair = Ed25519KeyPair::generate().unwrap();
    signing_key(Algorithm::EdDsa, "ed", pair.to_pkcs8v1().unwrap().as_ref())
});

pub(crate) static RS256: LazyLock<SigningKey> = LazyLock::new(|| signing_key(Algorithm::Rs256, "rs", &RSA_DOCUMENT));

pub(crate) static PS256: LazyLock<SigningKey> = LazyLock::new(|| signing_key(Algorithm::Ps256, "ps", &RSA_DOCUMENT));

pub(crate) static RSA_DOCUMENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).unwrap();
    AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap().as_ref().to_vec()
});

/// The public halves of all four.
pub(crate) static JWKS: LazyLock<Jwks> = LazyLock::new(|| Jwks::of(all().map(|key| key.public().clone())).unwrap());

pub(crate) fn all() -> [&'static SigningKey; 4] {
    [&ES256, &EDDSA, &RS256, &PS256]
}

pub(crate) fn signing_key(algorithm: Algorithm, kid: &str, document: &[u8]) -> SigningKey {
    SigningKey::from_pkcs8(algorithm, kid.parse().unwrap(), document).unwrap()
}

pub(crate) fn public(jwk: &str) -> PublicKey {
    PublicKey::from_jwk(&remint_core::jwk::Jwk::parse(jwk.as_bytes()).unwrap()).unwrap()
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

#[expect(clippy::disallowed_methods, reason = "a test makes its own keys and signatures; the library never does")]
pub(crate) fn rng() -> SystemRandom {
    SystemRandom::new()
}

/// A token with exactly this header and payload, however odd, truly signed by `key`.
pub(crate) fn sign(header: &str, payload: impl AsRef<[u8]>, key: &SigningKey) -> String {
    let signed = format!("{}.{}", encode(header), encode(payload));
    let signature = key.sign(signed.as_bytes(), &rng()).unwrap();
    format!("{signed}.{}", encode(signature))
}

/// The ordinary header of a key.
pub(crate) fn header(key: &SigningKey) -> String {
    format!(r#"{{"alg":"{}","typ":"at+jwt","kid":"{}"}}"#, key.algorithm(), key.kid())
}

/// A full claims set; `changes` replace members, and remove them where null.
pub(crate) fn claims(changes: serde_json::Value) -> String {
    let mut claims = serde_json::json!({
        "iss": ISSUER, "sub": "ann", "aud": AUDIENCE, "client_id": "web", "iat": 1_000_000_000,
        "exp": 4_000_000_000_u64, "jti": "j1",
    });
    for (name, value) in changes.as_object().unwrap() {
        match value {
            serde_json::Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims.as_object_mut().unwrap().insert(name.clone(), value.clone()),
        };
    }
    claims.to_string()
}
