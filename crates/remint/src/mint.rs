//! The mint: the only place that signs. It writes down what it is given and decides nothing. The same claims within
//! one quantum are answered with the same bytes (ECDSA and PSS draw a random number for each signature).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest;
use remint_core::claims::{AccessClaims, Expected};
use remint_core::jwk::{Algorithm, KeyParts, SignError, SigningKey};
use remint_core::jws::{self, TokenError, Typ};
use remint_core::refusal::Refusal;
use remint_core::time::Timestamp;
use remint_core::token::TokenClaims;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::entropy::Entropy;
use crate::keyring::{Keyring, KeyringError};
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

    /// Verifies a token that this installation minted and that came back to it, for any of `audiences`: against the keys
    /// of the keyring, in the profile of RFC 9068, without leeway. A key that is not known is looked for before it is
    /// called unknown. Whether its session lives is not looked at.
    ///
    /// # Errors
    /// [`KeyringError`], where it cannot be said whether the token is good; within, [`TokenError`], where it is not.
    pub async fn verify_own(
        &self,
        token: &str,
        audiences: &[String],
        now: Timestamp,
    ) -> Result<Result<AccessClaims, TokenError>, KeyringError> {
        let Ok(expected) = Expected::new(&self.0.issuer, audiences) else { return Ok(Err(TokenError::WrongAudience)) };
        let accepted = || expected.accept(token, &self.0.keyring.verification_keys(), now);
        match accepted() {
            Err(TokenError::UnknownKey { .. }) if self.0.keyring.look().await? => Ok(accepted()),
            said => Ok(said),
        }
    }

    /// Verifies an account token: one whose audience is the issuer. A token for an api is refused.
    ///
    /// # Errors
    /// As those of [`Self::verify_own`].
    pub async fn verify_account_token(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<Result<AccessClaims, TokenError>, KeyringError> {
        self.verify_own(token, &self.0.account, now).await
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
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear(); // its room stays, as large as it ever was: about as many come again
        }
        self.young.get(of).or_else(|| self.old.get(of)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use remint_core::audit::Doer;
    use remint_core::client::{Api, Client};
    use remint_core::id::UserId;
    use remint_core::key::Purpose;
    use remint_core::policy::{Policy, QUANTUM, Timing};
    use remint_core::rev::Rev;
    use remint_core::secret::SecretHash;
    use remint_core::session::{Continuity, Device, Opening, Session};
    use remint_core::token::{Bounds, Issuing, Target};
    use remint_core::user::User;
    use serde_json::json;

    use crate::clock::Clock;
    use crate::keyring::MasterKey;
    use crate::settings::KeyLives;
    use crate::store::{Store, StoreOptions};

    const ISSUER: &str = "https://id.example";
    const NOW: Timestamp = Timestamp::from_secs(1_000_002);

    struct Scene {
        mint: Mint,
        _folder: tempfile::TempDir,
    }

    impl Scene {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(&folder.path().join("data"), StoreOptions::default(), [0; 16]).unwrap();
            let (clock, entropy) = (Clock::manual(NOW), Entropy::system());
            let master = MasterKey::from_random([1; 32]);
            let (lives, timing) = (KeyLives::default(), Timing::default());
            let keyring = Keyring::open(store, master, clock, entropy.clone(), lives, timing).await.unwrap();
            Self { mint: Mint::new(keyring, entropy, &ISSUER.parse().unwrap()), _folder: folder }
        }

        fn token(&self, claims: &TokenClaims) -> AccessToken {
            self.mint.access_token(claims, Algorithm::Es256).unwrap().token
        }
    }

    fn api() -> Api {
        Api {
            id: "demo-api".parse().unwrap(),
            audience: "demo-api".parse().unwrap(),
            scopes: "read".parse().unwrap(),
            algorithm: Algorithm::Es256,
            max_life: Policy::fixed().life(),
            secret: SecretHash::of(b"secret"),
            rev: Rev::NEW,
        }
    }

    fn claims_of(user: &User, target: Target<'_>, sid: u8, now: Timestamp) -> TokenClaims {
        let policy = Policy::rolling();
        let client = json!({"id": "demo", "policy": policy, "apis": ["demo-api"], "scopes": "read",
                            "mapping": {"nickname": "nickname"}});
        let client: Client = serde_json::from_value(client).unwrap();
        let opening = Opening {
            sid: remint_core::id::SessionId::from_bytes([sid; 16]),
            continuity: Continuity::Rolling,
            scope: "read".parse().unwrap(),
            amr: vec!["pwd".into()],
            device: Device::default(),
        };
        let session = Session::open(user, &client.id, &policy, opening, NOW);
        let by = Issuing { issuer: ISSUER, quantum: QUANTUM, now };
        TokenClaims::of_session(by, user, &client, &session, target, Bounds::default())
    }

    fn user(nickname: &str) -> User {
        let attributes = serde_json::from_value(json!({"nickname": nickname})).unwrap();
        User::new(UserId::from_bytes([1; 16]), attributes, NOW)
    }

    fn claims(sid: u8, now: Timestamp) -> TokenClaims {
        claims_of(&user("ada"), Target::Api(&api()), sid, now)
    }

    fn audience() -> [String; 1] {
        ["demo-api".to_owned()]
    }

    #[tokio::test]
    async fn a_minted_token_verifies_under_the_published_keys_and_is_an_access_token() {
        let scene = Scene::new().await;
        let minted = scene.mint.access_token(&claims(1, NOW), Algorithm::Es256).unwrap();
        let read = scene.mint.verify_own(minted.token.reveal(), &audience(), NOW).await.unwrap().unwrap();
        assert_eq!((read.exp, read.sub.len()), (minted.expires_at.secs(), 22));
        assert_eq!(read.rest["nickname"], "ada");
        let header = minted.token.reveal().split('.').next().unwrap();
        let header = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, header).unwrap();
        let kid = scene.mint.keyring().signer(Algorithm::Es256).unwrap().kid().clone();
        let header: serde_json::Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header, json!({"alg": "ES256", "typ": "at+jwt", "kid": kid.as_str()}));
    }

    #[tokio::test]
    async fn the_same_claims_are_the_same_bytes_within_a_quantum_and_others_in_the_next() {
        let scene = Scene::new().await;
        let first = scene.token(&claims(1, NOW));
        let later = NOW.plus(Duration::from_secs(2));
        assert_eq!(scene.token(&claims(1, later)), first, "two tabs, one token");
        let next = scene.token(&claims(1, NOW.plus(QUANTUM)));
        assert_ne!(next, first);
        assert_eq!(scene.token(&claims(1, NOW)), first, "an answer that was under way across the border");
        assert_ne!(scene.token(&claims(2, NOW)), first, "another session");
        let changed = User { cv: 2, ..user("ada") };
        assert_ne!(scene.token(&claims_of(&changed, Target::Api(&api()), 1, NOW)), first);
    }

    #[tokio::test]
    async fn threads_that_mint_the_same_claims_at_once_give_the_same_bytes() {
        let scene = Scene::new().await;
        for round in 0..50 {
            let claims = claims(round, NOW);
            let gate = std::sync::Barrier::new(4);
            let mint = || {
                gate.wait();
                scene.token(&claims)
            };
            let tokens =
                std::thread::scope(|scope| [0; 4].map(|_| scope.spawn(mint)).map(|thread| thread.join().unwrap()));
            assert!(tokens.iter().all(|token| *token == tokens[0]), "round {round}");
        }
    }

    #[tokio::test]
    async fn a_key_that_was_withdrawn_signs_nothing_more_not_even_what_is_remembered() {
        let scene = Scene::new().await;
        let first = scene.token(&claims(1, NOW));
        let kid = scene.mint.keyring().signer(Algorithm::Es256).unwrap().kid().to_string();
        scene.mint.keyring().withdraw(&kid, &Doer::server()).await.unwrap();
        let refused = scene.mint.verify_own(first.reveal(), &audience(), NOW).await.unwrap();
        assert!(matches!(refused, Err(TokenError::UnknownKey { .. })));
        let second = scene.token(&claims(1, NOW));
        assert_ne!(second, first);
        assert!(scene.mint.verify_own(second.reveal(), &audience(), NOW).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_retired_key_is_still_believed() {
        let scene = Scene::new().await;
        let token = scene.token(&claims(1, NOW));
        scene.mint.keyring().rotate(Purpose::Sign(Algorithm::Es256), true, &Doer::server()).await.unwrap();
        assert!(scene.mint.verify_own(token.reveal(), &audience(), NOW).await.unwrap().is_ok());
        assert_ne!(scene.token(&claims(1, NOW)), token);
    }

    #[tokio::test]
    async fn a_token_for_an_api_is_no_account_token_and_an_expired_one_is_nothing() {
        let scene = Scene::new().await;
        let for_api = scene.token(&claims(1, NOW));
        assert_eq!(
            scene.mint.verify_account_token(for_api.reveal(), NOW).await.unwrap().err(),
            Some(TokenError::WrongAudience)
        );
        let issuer: Issuer = ISSUER.parse().unwrap();
        let account = claims_of(&user("ada"), Target::Issuer(issuer.audience()), 1, NOW);
        let account = scene.token(&account);
        assert!(scene.mint.verify_account_token(account.reveal(), NOW).await.unwrap().is_ok());
        assert_eq!(
            scene.mint.verify_own(account.reveal(), &audience(), NOW).await.unwrap().err(),
            Some(TokenError::WrongAudience)
        );
        let late = NOW.plus(Policy::rolling().life());
        assert_eq!(
            scene.mint.verify_own(for_api.reveal(), &audience(), late).await.unwrap().err(),
            Some(TokenError::Expired)
        );
        assert_eq!(
            scene.mint.verify_own(for_api.reveal(), &[], NOW).await.unwrap().err(),
            Some(TokenError::WrongAudience)
        );
    }

    #[tokio::test]
    async fn claims_that_fit_into_no_header_are_refused_and_the_largest_that_fit_are_minted() {
        let scene = Scene::new().await;
        for algorithm in [Algorithm::Es256, Algorithm::Ps256] {
            scene.mint.keyring().ensure(algorithm).await.unwrap();
            let minted = |size: usize| {
                let claims = claims_of(&user(&"x".repeat(size)), Target::Api(&api()), 1, NOW);
                assert_eq!(
                    scene.mint.fits(&claims, algorithm).is_ok(),
                    scene.mint.access_token(&claims, algorithm).is_ok(),
                    "{size}"
                );
                scene.mint.access_token(&claims, algorithm)
            };
            let largest = (0..3000).rev().find(|size| minted(*size).is_ok()).unwrap();
            let length = minted(largest).unwrap().token.reveal().len();
            assert!((jws::MAX_MINTED_BYTES - 8..=jws::MAX_MINTED_BYTES).contains(&length), "{length}");
            let refused = minted(largest + 1).unwrap_err();
            assert!(matches!(refused, MintError::Refused(Refusal::TokenTooLarge { .. })));
        }
    }

    #[tokio::test]
    async fn without_a_key_for_the_algorithm_nothing_is_minted() {
        let scene = Scene::new().await;
        let minted = scene.mint.access_token(&claims(1, NOW), Algorithm::EdDsa);
        assert_eq!(minted, Err(MintError::NoKey { algorithm: Algorithm::EdDsa }));
    }

    #[tokio::test]
    async fn a_token_cannot_be_printed() {
        let scene = Scene::new().await;
        let minted = scene.mint.access_token(&claims(1, NOW), Algorithm::Es256).unwrap();
        assert!(!format!("{minted:?}").contains("eyJ"));
    }

    #[test]
    fn the_memory_for_signatures_has_a_bound() {
        let signatures = Signatures::default();
        let signature: Arc<[u8]> = vec![0; 64].into();
        for number in 0..3 * u32::try_from(REMEMBERED).unwrap() {
            signatures.keep(Fingerprint::of(&number.to_string()), 5, Arc::clone(&signature));
        }
        let shard = |shard: &Mutex<Generations>| {
            let shard = shard.lock().unwrap();
            (shard.young.len(), shard.old.len())
        };
        assert!(
            signatures
                .0
                .iter()
                .map(shard)
                .all(|(young, old)| young <= SIGNATURES_PER_SHARD && old <= SIGNATURES_PER_SHARD)
        );
        let all: usize = signatures.0.iter().map(shard).map(|(young, old)| young + old).sum();
        assert!(all > REMEMBERED, "and it is used");
    }
}
