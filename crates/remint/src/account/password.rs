//! Passwords: hashed and compared with Argon2id on threads of their own, so many at once and so many waiting, no more.
//! Never logs, returns or keeps a password; never tells by its work whether there is a user.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time;
use remint_core::secret::{Password, PasswordHash};
use tokio::sync::{Semaphore, oneshot};

use crate::account::hashers::{self, Hashers, Job, Memory, Work};
use crate::entropy::Entropy;
use crate::settings::Limits;

/// Memory per hash in KiB, passes, lanes: the second choice of the OWASP Password Storage Cheat Sheet, 19 MiB.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Stored parameters beyond these are not computed: a row must not be able to hold up the server.
const MOST_MEMORY_KIB: u32 = 256 * 1024;
const MOST_PASSES: u32 = 16;
const MOST_LANES: u32 = 16;

/// Why a password was neither hashed nor compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// As many wait as may wait: 503.
    #[error("too many passwords are being checked: try again later")]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The stored hash is no PHC string of Argon2id within bounds: the row was damaged, and nobody can log in with it.
    #[error("the stored password hash is not one of Argon2id that can be computed")]
    Unusable,
    /// The hash could not be computed: memory could not be had, or the pool is gone.
    #[error("the password could not be hashed")]
    Failed,
}

/// What a comparison came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is another password, or there is no user.
    Wrong,
    /// It is the password.
    Right {
        /// The hash was made with other parameters than those of today: hash the password anew while it is at hand.
        outdated: bool,
    },
}

impl Verdict {
    /// Whether it is the password.
    pub const fn is_right(self) -> bool {
        matches!(self, Self::Right { .. })
    }
}

/// Hashes and compares passwords. Clones share the threads, which end with the last of them.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    hashers: Hashers,
    places: Arc<Semaphore>,
    entropy: Entropy,
    dummy: PasswordHash,
    computed: Arc<AtomicU64>,
}

/// How long somebody who is turned away is told to wait. A full queue of the default length is done in half of it.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Passwords {
    /// Starts `limits.hashing_at_once` threads, and hashes a password that nobody knows, to compare with where there is
    /// no user. `deadline` is how long whoever asks can wait: within a fifth of it a hash is computed, or it is known
    /// that other programs leave the threads no processor.
    ///
    /// # Errors
    /// Where the operating system gives no threads or no memory.
    pub fn new(limits: &Limits, deadline: Duration, entropy: Entropy) -> io::Result<Self> {
        let (threads, computed) = (limits.hashing_at_once.max(1), Arc::new(AtomicU64::new(0)));
        let secret = entropy.bytes::<32>();
        let dummy = Hashing::new(entropy.bytes()).and_then(|hashing| hashing.hash(&secret, &mut Memory::new()));
        let dummy = dummy.map_err(io::Error::other)?;
        let hashers = Hashers::start(threads, deadline / 5)?;
        let places = Arc::new(Semaphore::new((threads + limits.hashing_queue).min(Semaphore::MAX_PERMITS)));
        Ok(Self(Arc::new(Inner { hashers, places, entropy, dummy, computed })))
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`PasswordError::Overloaded`], [`PasswordError::Failed`].
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, PasswordError> {
        let hashing = Hashing::new(self.0.entropy.bytes())?;
        let blocks = hashing.argon2.params().block_count();
        self.queued(blocks, move |memory| hashing.hash(password.as_bytes(), memory)).await
    }

    /// Compares a password with the hash of the user's. Where there is no user or no password (`None`), it does the
    /// same work and says [`Verdict::Wrong`].
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn verify(&self, password: Password, stored: Option<PasswordHash>) -> Result<Verdict, PasswordError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.0.dummy.clone());
        let stored = Stored::read(&stored).ok_or(PasswordError::Unusable)?;
        let blocks = stored.argon2.params().block_count();
        let verdict = self.queued(blocks, move |memory| stored.compare(password.as_bytes(), memory)).await?;
        Ok(if known { verdict } else { Verdict::Wrong })
    }

    /// For how many questions Argon2id was computed since the start.
    pub fn computed(&self) -> u64 {
        self.0.computed.load(Ordering::Relaxed)
    }

    /// Does work on one of the threads. Work whose caller has gone before its turn is not done.
    async fn queued<T: Clone + Send + Sync + 'static>(
        &self,
        blocks: usize,
        work: impl Fn(&mut Memory) -> Result<T, PasswordError> + Send + Sync + 'static,
    ) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.0.places).try_acquire_owned();
        let place = place.map_err(|_| PasswordError::Overloaded { retry_after: RETRY_AFTER })?;
        let (answer, answered) = oneshot::channel();
        let counted = Arc::clone(&self.0.computed);
        let work = Asked { work, blocks, result: OnceLock::new(), answer: Mutex::new(Some(answer)), counted };
        self.0.hashers.queue(Job { work: Arc::new(work), place });
        answered.await.unwrap_or(Err(PasswordError::Failed))
    }
}

/// A question to the threads, and who waits for the answer.
struct Asked<F, T> {
    work: F,
    blocks: usize,
    result: OnceLock<Result<T, PasswordError>>,
    answer: Mutex<Option<oneshot::Sender<Result<T, PasswordError>>>>,
    counted: Arc<AtomicU64>,
}

impl<F, T> Asked<F, T> {
    fn take_answer(&self) -> Option<oneshot::Sender<Result<T, PasswordError>>> {
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<F, T> Work for Asked<F, T>
where
    F: Fn(&mut Memory) -> Result<T, PasswordError> + Send + Sync,
    T: Clone + Send + Sync,
{
    fn begin(&self) -> bool {
        let answer = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = answer.as_ref().is_some_and(|answer| !answer.is_closed());
        self.counted.fetch_add(u64::from(wanted), Ordering::Relaxed);
        wanted
    }

    fn blocks(&self) -> usize {
        self.blocks
    }

    fn compute(&self, memory: &mut Memory) {
        let _ = self.result.set((self.work)(memory)); // whoever is second comes to the same
    }

    fn is_done(&self) -> bool {
        self.result.get().is_some()
    }

    fn answer(&self) {
        if let (Some(answer), Some(result)) = (self.take_answer(), self.result.get()) {
            drop(answer.send(result.clone()));
        }
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("computed", &self.computed()).finish_non_exhaustive()
    }
}

/// A new hash: how it is computed today, and its salt.
struct Hashing {
    argon2: Argon2<'static>,
    salt: [u8; 16],
}

impl Hashing {
    fn new(salt: [u8; 16]) -> Result<Self, PasswordError> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordError::Failed)?;
        Ok(Self { argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params), salt })
    }

    fn hash(&self, password: &[u8], memory: &mut Memory) -> Result<PasswordHash, PasswordError> {
        let mut computed = [0; Params::DEFAULT_OUTPUT_LEN];
        fill(&self.argon2, password, &self.salt, &mut computed, memory)?;
        let parts = || {
            Some(phc::PasswordHash {
                algorithm: Algorithm::Argon2id.ident(),
                version: Some(Version::V0x13.into()),
                params: phc::ParamsString::try_from(self.argon2.params()).ok()?,
                salt: Some(phc::Salt::new(&self.salt).ok()?),
                hash: Some(phc::Output::new(&computed).ok()?),
            })
        };
        parts().map(|phc| PasswordHash::from_phc(phc.to_string())).ok_or(PasswordError::Failed)
    }
}

fn fill(
    argon2: &Argon2<'_>,
    password: &[u8],
    salt: &[u8],
    computed: &mut [u8],
    memory: &mut Memory,
) -> Result<(), PasswordError> {
    hashers::ready(memory, argon2.params().block_count());
    argon2.hash_password_into_with_memory(password, salt, computed, memory).map_err(|_| PasswordError::Failed)
}

/// A stored hash, read: what it was computed with and what came out.
struct Stored {
    argon2: Argon2<'static>,
    salt: phc::Salt,
    output: phc::Output,
    outdated: bool,
}

impl Stored {
    fn compare(&self, password: &[u8], memory: &mut Memory) -> Result<Verdict, PasswordError> {
        let mut computed = vec![0; self.output.len()];
        fill(&self.argon2, password, &self.salt, &mut computed, memory)?;
        let right = constant_time::verify_slices_are_equal(&computed, self.output.as_bytes()).is_ok();
        Ok(if right { Verdict::Right { outdated: self.outdated } } else { Verdict::Wrong })
    }

    /// `None` where it is not a hash of Argon2id, or one whose computation is out of bounds.
    fn read(stored: &PasswordHash) -> Option<Self> {
        let hash = phc::PasswordHash::new(stored.as_phc()).ok()?;
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = Version::try_from(hash.version?).ok()?;
        let params = Params::try_from(&hash).ok()?;
        let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
        if algorithm != Algorithm::Argon2id || memory > MOST_MEMORY_KIB || passes > MOST_PASSES || lanes > MOST_LANES {
            return None;
        }
        let outdated = version != Version::V0x13 || (memory, passes, lanes) != (MEMORY_KIB, PASSES, LANES);
        Some(Self { argon2: Argon2::new(algorithm, version, params), salt: hash.salt?, output: hash.hash?, outdated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    use argon2::PasswordHasher as _;
    use futures_util::future::join_all;

    fn limits(at_once: usize, queue: usize) -> Limits {
        Limits { hashing_at_once: at_once, hashing_queue: queue, ..Limits::default() }
    }

    fn passwords() -> Passwords {
        pool(2, 8)
    }

    /// Never is a thread taken to be starved: a test holds them for as long as it takes.
    const NEVER: Duration = Duration::from_secs(3600);

    fn pool(at_once: usize, queue: usize) -> Passwords {
        Passwords::new(&limits(at_once, queue), NEVER, Entropy::system()).unwrap()
    }

    fn password(text: &str) -> Password {
        Password::new(text.to_owned()).unwrap()
    }

    const RIGHT: Verdict = Verdict::Right { outdated: false };

    #[tokio::test]
    async fn a_password_matches_its_own_hash_only_and_no_two_hashes_are_alike() {
        let passwords = passwords();
        let hash = passwords.hash(password("analytical engine")).await.unwrap();
        assert!(hash.as_phc().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.as_phc());
        assert_ne!(passwords.hash(password("analytical engine")).await.unwrap().as_phc(), hash.as_phc());
        assert_eq!(passwords.verify(password("analytical engine"), Some(hash.clone())).await, Ok(RIGHT));
        for wrong in ["analytical engin", "analytical engine ", "Analytical engine"] {
            assert_eq!(passwords.verify(password(wrong), Some(hash.clone())).await, Ok(Verdict::Wrong));
        }
    }

    #[tokio::test]
    async fn an_unknown_user_costs_as_many_computations_as_a_known_one() {
        let passwords = passwords();
        let hash = passwords.hash(password("right")).await.unwrap();
        let mut costs = Vec::new();
        for stored in [Some(hash), None] {
            let before = passwords.computed();
            assert_eq!(passwords.verify(password("wrong"), stored).await, Ok(Verdict::Wrong));
            costs.push(passwords.computed() - before);
        }
        assert_eq!(costs, [1, 1]);
        let dummy = Stored::read(&passwords.0.dummy).unwrap();
        assert!(!dummy.outdated, "and each is of the same size");
    }

    #[tokio::test]
    async fn where_there_is_no_user_no_password_is_right() {
        let passwords = pool(1, 1);
        let known = passwords.hash(password("x")).await.unwrap();
        let with_known_dummy = Inner {
            hashers: Hashers::start(1, NEVER).unwrap(),
            places: Arc::clone(&passwords.0.places),
            entropy: Entropy::system(),
            dummy: known,
            computed: Arc::clone(&passwords.0.computed),
        };
        let passwords = Passwords(Arc::new(with_known_dummy));
        assert_eq!(passwords.verify(password("x"), None).await, Ok(Verdict::Wrong), "even if somebody knew it");
    }

    #[tokio::test]
    async fn a_hash_of_other_parameters_still_verifies_and_says_that_it_is_outdated() {
        let passwords = passwords();
        let old = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let old = old.hash_password_with_salt(b"right", b"sixteen bytes ok").unwrap().to_string();
        let verdict = passwords.verify(password("right"), Some(PasswordHash::from_phc(old))).await;
        assert_eq!(verdict, Ok(Verdict::Right { outdated: true }));
    }

    #[tokio::test]
    async fn a_hash_that_cannot_be_computed_is_an_error_and_not_a_wrong_password() {
        let passwords = passwords();
        let good = passwords.hash(password("x")).await.unwrap().as_phc().to_owned();
        let (parameters, _) = good.rsplit_once('$').unwrap();
        for corrupt in [
            "",
            "x",
            "$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW",
            &good.replace("argon2id", "argon2i"),
            &good.replace("v=19", "v=18"),
            &good.replace("m=19456", "m=4194304"),
            &good.replace("t=2", "t=99999"),
            &good.replace("m=19456", "m=1"),
            &good[..good.len() / 2],
            parameters,
        ] {
            let verdict = passwords.verify(password("x"), Some(PasswordHash::from_phc(corrupt.to_owned()))).await;
            assert_eq!(verdict, Err(PasswordError::Unusable), "{corrupt}");
        }
    }

    /// Holds every thread of the pool at work until the sender is dropped; answers when all are at it.
    async fn occupied(passwords: &Passwords, threads: usize) -> (mpsc::Sender<()>, Vec<tokio::task::JoinHandle<()>>) {
        let (release, held) = mpsc::channel::<()>();
        let held = Arc::new(Mutex::new(held));
        let (busy, mut started) = tokio::sync::mpsc::unbounded_channel();
        let mut jobs = Vec::new();
        for _ in 0..threads {
            let (passwords, held, busy) = (passwords.clone(), Arc::clone(&held), busy.clone());
            let work = move |_: &mut Memory| {
                busy.send(()).unwrap();
                let _released = held.lock().unwrap_or_else(PoisonError::into_inner).recv();
                Ok(())
            };
            jobs.push(tokio::spawn(async move { passwords.queued(0, work).await.unwrap() }));
        }
        for _ in 0..threads {
            started.recv().await.unwrap();
        }
        (release, jobs)
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_more_than_may_work_and_wait_is_turned_away_and_the_others_are_served() {
        let passwords = pool(1, 3);
        let (release, _jobs) = occupied(&passwords, 1).await;
        let mut calls: Vec<_> = (0..10).map(|_| Box::pin(passwords.hash(password("x")))).collect();
        let mut turned_away = 0;
        for call in &mut calls {
            if let Some(answer) = futures_util::FutureExt::now_or_never(call.as_mut()) {
                assert_eq!(answer.err(), Some(PasswordError::Overloaded { retry_after: RETRY_AFTER }));
                turned_away += 1;
            }
        }
        assert_eq!(turned_away, 7, "three wait, seven are told to come back");
        drop(release);
        let waiting = calls.split_off(0).into_iter().take(3);
        assert!(join_all(waiting).await.into_iter().all(|answer| answer.is_ok()));
        assert!(passwords.hash(password("x")).await.is_ok(), "and the places are free again");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_caller_that_goes_away_gives_no_place_free_early_and_its_work_is_not_done() {
        let passwords = pool(1, 1);
        let (release, jobs) = occupied(&passwords, 1).await;
        let before = passwords.computed();
        let mut gone = Box::pin(passwords.hash(password("x")));
        assert!(futures_util::FutureExt::now_or_never(gone.as_mut()).is_none(), "it waits");
        drop(gone);
        let turned_away = passwords.hash(password("x")).await.err();
        assert_eq!(
            turned_away,
            Some(PasswordError::Overloaded { retry_after: RETRY_AFTER }),
            "its place is still taken"
        );
        drop(release);
        join_all(jobs).await;
        // One thread serves in order: when this is answered, the work of the one who went has been passed over.
        while passwords.hash(password("y")).await.is_err() {
            tokio::task::yield_now().await;
        }
        assert_eq!(passwords.computed() - before, 1);
    }

    #[tokio::test]
    async fn nothing_of_a_password_is_printed() {
        let passwords = passwords();
        assert!(!format!("{passwords:?}").contains("argon2"));
    }
}
