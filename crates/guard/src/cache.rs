//! Tokens that were verified before, so that the next request need not verify them again. Bounded; keyed by the whole
//! token; void when keys or history change. What it gives out was verified once and must still be held against the
//! clock and the ledger: it never decides that a token is good.

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use moka::sync::Cache;

use crate::verifier::Token;

/// A moment between two voidings: what was verified in an earlier era does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Era(u64);

/// The cache of one verifier, shared with those who void it. Its settings never change, so they are no part of the key.
#[derive(Clone, Debug)]
pub(crate) struct TokenCache {
    tokens: Cache<Box<str>, (Era, Arc<Token>), TailState>,
    era: Arc<AtomicU64>,
}

impl TokenCache {
    pub(crate) fn new(tokens: u64) -> Self {
        let tokens = Cache::builder().max_capacity(tokens).build_with_hasher(TailState);
        Self { tokens, era: Arc::default() }
    }

    /// To be read before the keys are, and given to [`TokenCache::keep`]: what changes in between voids the token.
    pub(crate) fn era(&self) -> Era {
        Era(self.era.load(Ordering::Acquire))
    }

    pub(crate) fn find(&self, token: &str) -> Option<Arc<Token>> {
        let (era, found) = self.tokens.get(token)?;
        (era == self.era()).then_some(found)
    }

    pub(crate) fn keep(&self, token: &str, era: Era, verified: Arc<Token>) {
        self.tokens.insert(token.into(), (era, verified));
    }

    pub(crate) fn drop_one(&self, token: &str) {
        self.tokens.invalidate(token);
    }

    /// From now on every token is verified anew.
    pub(crate) fn void(&self) {
        self.era.fetch_add(1, Ordering::AcqRel);
        self.tokens.invalidate_all();
    }
}

/// Hashes the end of a token, which is the end of its signature: as good as random, and out of the sender's hands for
/// every token that gets into the cache, because only verified ones do. Equality still compares every byte.
#[derive(Clone, Copy, Debug)]
struct TailState;

#[derive(Debug)]
struct TailHasher(u64);

impl BuildHasher for TailState {
    type Hasher = TailHasher;

    fn build_hasher(&self) -> TailHasher {
        TailHasher(0)
    }
}

impl Hasher for TailHasher {
    fn write(&mut self, bytes: &[u8]) {
        const TAIL: usize = 24;
        let tail = &bytes[bytes.len().saturating_sub(TAIL)..];
        for chunk in tail.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
    }

    fn write_u8(&mut self, _: u8) {} // the mark that ends a string

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
