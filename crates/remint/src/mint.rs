//! The mint: the only place that signs. It writes down what it is given and decides nothing. The same claims within
//! one quantum are answered with the same bytes (ECDSA and PSS draw a random number for each signature).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
use remint_core::claims::{AccessClaims, Expected, NothingExpected};
use remint_core::jwk::{Algorithm, KeyParts, SignError, SigningKey};
use remint_core::jws::{self, TokenError, Typ};
use remint_core::refusal::Refusal;
use remint_core::time::Timestamp;
use remint_core::token::TokenClaims;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::entropy::Entropy;
use crate::keyring::Keyring;
use crate::settings::Issuer;

/// Why no token was minted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MintError {
    /// The claims cannot be a token: the caller is told ([`Refusal::TokenTooLarge`]).
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no key for the algorithm: [`Keyring::ensure`] was not called for the api.
    #[error("there is no key for {algorithm}")]
    NoKey {
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// The cryptography library failed.
    #[error("the token could not be signed")]
    NotSigned,
}

impl From<SignError> for MintError {
    fn from(error: SignError) -> Self {
        match error {
            SignError::TooLong { .. } => Self::Refused(Refusal::TokenTooLarge { limit: jws::MAX_MINTED_BYTES }),
            SignError::Crypto => Self::NotSigned,
        }
    }
}

/// An access token, to be handed to its holder: a bearer credential, so nothing prints it.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct AccessToken(String);

impl AccessToken {
    /// The text, for the answer.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(..)")
    }
}

/// A token that was minted, and what its answer says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minted {
    /// The token.
    pub token: AccessToken,
    /// When it expires.
    pub expires_at: Timestamp,
}

/// Signs access tokens, and reads those that come back to the server itself. Clones are the same mint.
#[derive(Clone)]
pub struct Mint(Arc<Inner>);

struct Inner {
    keyring: Keyring,
    entropy: Entropy,
    issuer: String,
    account: [String; 1],
    signatures: Signatures,
}

impl Mint {
    /// The mint of an issuer.
    pub fn new(keyring: Keyring, entropy: Entropy, issuer: &Issuer) -> Self {
        let account = [issuer.audience().as_str().to_owned()];
        let issuer = issuer.as_str().to_owned();
        Self(Arc::new(Inner { keyring, entropy, issuer, account, signatures: Signatures::default() }))
    }

    /// The keys that it signs with.
    pub fn keyring(&self) -> &Keyring {
        &self.0.keyring
    }

    /// Signs the claims (RFC 9068 section 2.1: `typ` is `at+jwt`). The same claims are answered with the same bytes as
    /// long as the mint remembers having signed them: for their quantum and the next one, unless more than
    /// [`REMEMBERED`] others came in between.
    ///
    /// # Errors
    /// [`MintError`].
    pub fn access_token(&self, claims: &TokenClaims, algorithm: Algorithm) -> Result<Minted, MintError> {
        let key = self.0.keyring.signer(algorithm).ok_or(MintError::NoKey { algorithm })?;
        let header = jws::header(Typ::AccessToken, &key)?;
        let payload = claims.payload(header.len() + "..".len() + signature_chars(&key))?;
        let unsigned = jws::unsigned(&header, &payload);
        let of = Fingerprint::of(&unsigned);
        let signature = match self.0.signatures.known(&of, claims.iat()) {
            Some(signature) => signature,
            None => {
                let signature = key.sign(unsigned.as_bytes(), self.0.entropy.rng())?;
                self.0.signatures.keep(of, claims.iat(), signature.into())
            }
        };
        let token = AccessToken(jws::signed(unsigned, &signature)?);
        Ok(Minted { token, expires_at: Timestamp::from_secs(claims.exp()) })
    }

    /// Whether the claims fit into a token, without signing one.
    ///
    /// # Errors
    /// [`MintError`], as [`Self::access_token`] would fail.
    pub fn fits(&self, claims: &TokenClaims, algorithm: Algorithm) -> Result<(), MintError> {
        let key = self.0.keyring.signer(algorithm).ok_or(MintError::NoKey { algorithm })?;
        let header = jws::header(Typ::AccessToken, &key)?;
        claims.payload(header.len() + "..".len() + signature_chars(&key))?;
        Ok(())
    }

    /// Verifies a token that this server minted and that came back to it, for any of `audiences`: against the keys of
    /// the keyring, in the profile of RFC 9068, without leeway. Whether its session lives is not looked at.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify_own(&self, token: &str, audiences: &[String], now: Timestamp) -> Result<AccessClaims, TokenError> {
        let expected = Expected::new(&self.0.issuer, audiences).map_err(|NothingExpected| TokenError::WrongAudience)?;
        expected.accept(token, &self.0.keyring.verification_keys(), now)
    }

    /// Verifies an account token: one whose audience is the issuer. A token for an api is refused.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn verify_account_token(&self, token: &str, now: Timestamp) -> Result<AccessClaims, TokenError> {
        self.verify_own(token, &self.0.account, now)
    }
}

/// The length of a signature in base64url.
fn signature_chars(key: &SigningKey) -> usize {
    let bytes = match &key.public().jwk().parts {
        KeyParts::P256 { .. } | KeyParts::Ed25519 { .. } => 64,
        KeyParts::Rsa { n, .. } => n.len(),
    };
    bytes.div_ceil(3) * 4
}

/// The first half of SHA-256 over everything that is signed: header, `kid` and claims.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Fingerprint([u8; 16]);

impl Fingerprint {
    fn of(unsigned: &str) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest::digest(&digest::SHA256, unsigned.as_bytes()).as_ref()[..16]);
        Self(bytes)
    }
}

/// So many signatures are remembered of one quantum: some five seconds of a busy server, about 15 MB.
pub const REMEMBERED: usize = SHARDS * SIGNATURES_PER_SHARD;

const SHARDS: usize = 16;
const SIGNATURES_PER_SHARD: usize = 8192;

/// The signatures of the last two quanta. In shards, so that threads seldom wait for each other.
#[derive(Default)]
struct Signatures([Mutex<Generations>; SHARDS]);

/// Two generations, by the `iat` of the tokens: a third one takes the place of the first.
#[derive(Default)]
struct Generations {
    iat: i64,
    young: HashMap<Fingerprint, Arc<[u8]>>,
    old: HashMap<Fingerprint, Arc<[u8]>>,
}

impl Signatures {
    fn shard(&self, of: &Fingerprint) -> std::sync::MutexGuard<'_, Generations> {
        self.0[usize::from(of.0[0]) % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, of: &Fingerprint, iat: i64) -> Option<Arc<[u8]>> {
        self.shard(of).known(of, iat)
    }

    /// Keeps a signature; where another thread was first, answers that one's.
    fn keep(&self, of: Fingerprint, iat: i64, signature: Arc<[u8]>) -> Arc<[u8]> {
        let mut shard = self.shard(&of);
        if let Some(first) = shard.known(&of, iat) {
            return first;
        }
        shard.young.insert(of, Arc::clone(&signature));
        signature
    }
}

impl Generations {
    /// Looks in both generations, after making room: a new quantum, or a full one, begins a generation.
    fn known(&mut self, of: &Fingerprint, iat: i64) -> Option<Arc<[u8]>> {
        if iat > self.iat || self.young.len() >= SIGNATURES_PER_SHARD {
            self.iat = self.iat.max(iat);
            self.old = std::mem::take(&mut self.young);
        }
        self.young.get(of).or_else(|| self.old.get(of)).cloned()
    }
}
