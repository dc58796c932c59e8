//! The keys of an installation, open and parsed, as they stood when they were read: a value that is put in the place
//! of the one before. Never touches the store.

use std::collections::HashMap;
use std::str::FromStr as _;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use remint_core::jwk::{Algorithm, Jwk, Kid, SigningKey};
use remint_core::jwks::Jwks;
use remint_core::key::{Key, KeyState, Purpose};
use remint_core::refresh::MacKeyId;
use remint_core::secret::MacKey;
use zeroize::Zeroizing;

use super::{KeyringError, MasterKey};
use crate::entropy::Entropy;

/// What the rows say, opened.
pub(super) struct Ring {
    /// The rows, all of them.
    pub(super) rows: Vec<Key>,
    signers: HashMap<Algorithm, Arc<SigningKey>>,
    current_refresh: (MacKeyId, MacKey),
    refresh: HashMap<MacKeyId, MacKey>,
    /// Current, next and retired.
    pub(super) verification: Arc<Jwks>,
    /// The document of RFC 7517 section 5.
    pub(super) document: Arc<str>,
}

impl Ring {
    /// Opens the rows. Every one of them must open and be what it says; withdrawn ones are not looked at.
    pub(super) fn open(rows: Vec<Key>, master: &MasterKey) -> Result<Self, KeyringError> {
        let believed: Vec<_> = rows.iter().filter(|key| key.state != KeyState::Withdrawn).collect();
        let mut opened = Vec::with_capacity(believed.len());
        for key in &believed {
            opened.push((*key, master.open(&key.kid, key.purpose, &key.sealed)));
        }
        if !opened.is_empty() && opened.iter().all(|(_, secret)| secret.is_none()) {
            return Err(KeyringError::WrongMasterKey);
        }
        let (mut refresh, mut current_refresh, mut signers, mut public) =
            (HashMap::new(), None, HashMap::new(), vec![]);
        for (key, secret) in opened {
            let damaged = || KeyringError::Damaged { kid: key.kid.clone() };
            let secret = secret.ok_or_else(damaged)?;
            match key.purpose {
                Purpose::Refresh => {
                    let (id, mac) = refresh_key(key, &secret).ok_or_else(damaged)?;
                    if key.state == KeyState::Current {
                        current_refresh = Some((id, mac.clone()));
                    }
                    refresh.insert(id, mac);
                }
                Purpose::Sign(algorithm) => {
                    let signer = signing_key(key, algorithm, &secret).ok_or_else(damaged)?;
                    public.push(signer.public().clone());
                    if key.state == KeyState::Current {
                        signers.insert(algorithm, Arc::new(signer));
                    }
                }
            }
        }
        let verification = Jwks::of(public).map_err(|_| KeyringError::TooMany)?;
        let document = serde_json::to_string(&verification).map_err(|_| KeyringError::TooMany)?;
        let current_refresh = current_refresh.ok_or(KeyringError::NoRefreshKey)?;
        Ok(Self {
            rows,
            signers,
            current_refresh,
            refresh,
            verification: verification.into(),
            document: document.into(),
        })
    }

    pub(super) fn current_refresh(&self) -> (MacKeyId, MacKey) {
        self.current_refresh.clone()
    }

    pub(super) fn refresh_key(&self, id: MacKeyId) -> Option<MacKey> {
        self.refresh.get(&id).cloned()
    }

    pub(super) fn signer(&self, algorithm: Algorithm) -> Option<Arc<SigningKey>> {
        self.signers.get(&algorithm).cloned()
    }
}

fn refresh_key(key: &Key, secret: &[u8]) -> Option<(MacKeyId, MacKey)> {
    Some((key.mac_key_id()?, MacKey::from_bytes(secret.try_into().ok()?)))
}

/// The public half is made of the private one, never taken from the row: what is not sealed proves nothing.
fn signing_key(key: &Key, algorithm: Algorithm, pkcs8: &[u8]) -> Option<SigningKey> {
    let signer = SigningKey::from_pkcs8(algorithm, Kid::from_str(&key.kid).ok()?, pkcs8).ok()?;
    let genuine = signer.public().thumbprint() == key.kid && key.public.as_ref() == Some(signer.public().jwk());
    genuine.then_some(signer)
}

/// A key that was just made: the private half, to be sealed, and the id and public half of a signing key.
pub(super) struct Fresh {
    pub(super) secret: Zeroizing<Vec<u8>>,
    pub(super) public: Option<(Kid, Jwk)>,
}

/// Makes a key. An RSA key takes up to seconds: never call it on a thread that serves.
pub(super) fn fresh(purpose: Purpose, entropy: &Entropy) -> Option<Fresh> {
    let algorithm = match purpose {
        Purpose::Refresh => return Some(Fresh { secret: entropy.bytes::<32>().to_vec().into(), public: None }),
        Purpose::Sign(algorithm) => algorithm,
    };
    let secret = pkcs8(algorithm, entropy)?;
    // The id is the thumbprint (RFC 7638): whoever holds the public key can compute it, and no two keys share one.
    let unnamed = SigningKey::from_pkcs8(algorithm, Kid::from_str("unnamed").ok()?, &secret).ok()?;
    let kid = Kid::from_str(&unnamed.public().thumbprint()).ok()?;
    let public = Jwk { kid: Some(kid.clone()), ..unnamed.public().to_jwk() };
    Some(Fresh { secret, public: Some((kid, public)) })
}

/// RSA keys have 3072 bits, as strong as P-256 (NIST SP 800-57 part 1, table 2): the key that an api takes for the sake
/// of an old verifier must not be the weakest of the installation. RS256 and PS256 have a key each: one key, one scheme
/// (RFC 8017 section 1).
const RSA_SIZE: KeySize = KeySize::Rsa3072;

fn pkcs8(algorithm: Algorithm, entropy: &Entropy) -> Option<Zeroizing<Vec<u8>>> {
    let document = match algorithm {
        Algorithm::Es256 => {
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, entropy.rng()).ok()?.as_ref().to_vec()
        }
        Algorithm::EdDsa => Ed25519KeyPair::generate_pkcs8(entropy.rng()).ok()?.as_ref().to_vec(),
        Algorithm::Rs256 | Algorithm::Ps256 => {
            let document: Pkcs8V1Der<'_> = rsa::KeyPair::generate(RSA_SIZE).ok()?.as_der().ok()?;
            document.as_ref().to_vec()
        }
    };
    Some(document.into())
}
