//! Passwords: hashed and compared with Argon2id on threads of their own, so many at once and so many waiting, no more.
//! Never logs, returns or keeps a password; never tells by its work whether there is a user.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use argon2::password_hash::phc;
use argon2::{Algorithm, Argon2, Params, PasswordHasher as _, Version};
use aws_lc_rs::constant_time;
use remint_core::secret::{Password, PasswordHash};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

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
    jobs: Sender<Job>,
    places: Arc<Semaphore>,
    entropy: Entropy,
    dummy: PasswordHash,
    computed: Arc<AtomicU64>,
}

/// A piece of work, with its place: the place is free again when the work is done, not when its caller goes away.
struct Job {
    work: Box<dyn FnOnce() + Send>,
    place: OwnedSemaphorePermit,
}

/// How long somebody who is turned away is told to wait. A full queue of the default length is done in half of it.
const RETRY_AFTER: Duration = Duration::from_secs(1);

impl Passwords {
    /// Starts `limits.hashing_at_once` threads, and hashes a password that nobody knows, to compare with where there is
    /// no user.
    ///
    /// # Errors
    /// Where the operating system gives no threads or no memory.
    pub fn new(limits: &Limits, entropy: Entropy) -> io::Result<Self> {
        let (threads, computed) = (limits.hashing_at_once.max(1), Arc::new(AtomicU64::new(0)));
        let secret = entropy.bytes::<32>();
        let dummy = hashed(&secret, &entropy.bytes()).map_err(io::Error::other)?;
        let (jobs, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            thread::Builder::new().name(format!("passwords-{number}")).spawn(move || serve(&queue))?;
        }
        let places = Arc::new(Semaphore::new((threads + limits.hashing_queue).min(Semaphore::MAX_PERMITS)));
        Ok(Self(Arc::new(Inner { jobs, places, entropy, dummy, computed })))
    }

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`PasswordError::Overloaded`], [`PasswordError::Failed`].
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, PasswordError> {
        let salt = self.0.entropy.bytes();
        self.queued(move || hashed(password.as_bytes(), &salt)).await
    }

    /// Compares a password with the hash of the user's. Where there is no user or no password (`None`), it does the
    /// same work and says [`Verdict::Wrong`].
    ///
    /// # Errors
    /// [`PasswordError`].
    pub async fn verify(&self, password: Password, stored: Option<PasswordHash>) -> Result<Verdict, PasswordError> {
        let known = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.0.dummy.clone());
        let verdict = self.queued(move || compared(password.as_bytes(), &stored)).await?;
        Ok(if known { verdict } else { Verdict::Wrong })
    }

    /// How many times Argon2id was computed since the start.
    pub fn computed(&self) -> u64 {
        self.0.computed.load(Ordering::Relaxed)
    }

    /// Does work on one of the threads. Work whose caller has gone before its turn is not done.
    async fn queued<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let place = Arc::clone(&self.0.places).try_acquire_owned();
        let place = place.map_err(|_| PasswordError::Overloaded { retry_after: RETRY_AFTER })?;
        let (answer, answered) = oneshot::channel();
        let computed = Arc::clone(&self.0.computed);
        let work = Box::new(move || {
            if !answer.is_closed() {
                computed.fetch_add(1, Ordering::Relaxed);
                drop(answer.send(work()));
            }
        });
        self.0.jobs.send(Job { work, place }).map_err(|_| PasswordError::Failed)?;
        answered.await.unwrap_or(Err(PasswordError::Failed))
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passwords").field("computed", &self.computed()).finish_non_exhaustive()
    }
}

/// What each thread does until nobody can send work any more.
fn serve(queue: &Mutex<Receiver<Job>>) {
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Job { work, place }) = job else { return };
        work();
        drop(place);
    }
}

fn today() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|_| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn hashed(password: &[u8], salt: &[u8; 16]) -> Result<PasswordHash, PasswordError> {
    let phc = today()?.hash_password_with_salt(password, salt).map_err(|_| PasswordError::Failed)?;
    Ok(PasswordHash::from_phc(phc.to_string()))
}

fn compared(password: &[u8], stored: &PasswordHash) -> Result<Verdict, PasswordError> {
    let Stored { argon2, salt, output, outdated } = Stored::read(stored).ok_or(PasswordError::Unusable)?;
    let mut computed = vec![0; output.len()];
    argon2.hash_password_into(password, &salt, &mut computed).map_err(|_| PasswordError::Failed)?;
    let right = constant_time::verify_slices_are_equal(&computed, output.as_bytes()).is_ok();
    Ok(if right { Verdict::Right { outdated } } else { Verdict::Wrong })
}

/// A stored hash, read: what it was computed with and what came out.
struct Stored {
    argon2: Argon2<'static>,
    salt: phc::Salt,
    output: phc::Output,
    outdated: bool,
}

impl Stored {
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
