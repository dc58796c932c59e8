//! The one room that draws randomness, from the operating system's generator by way of aws-lc.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};

/// Draws random bytes.
#[derive(Clone, Debug)]
pub struct Entropy(SystemRandom);

impl Default for Entropy {
    fn default() -> Self {
        Self::system()
    }
}

impl Entropy {
    /// The operating system's generator.
    #[expect(clippy::disallowed_methods, reason = "this is the one room that draws randomness")]
    pub fn system() -> Self {
        Self(SystemRandom::new())
    }

    /// Fresh random bytes.
    ///
    /// # Panics
    /// Where the operating system has no randomness to give: nothing may go on then.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes).expect("the operating system gives random bytes");
        bytes
    }

    /// The generator, for signatures that need one.
    pub const fn rng(&self) -> &dyn SecureRandom {
        &self.0
    }
}
