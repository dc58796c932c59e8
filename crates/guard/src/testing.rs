//! An issuer in the test process: real keys, real tokens, a key set, metadata, renewals and a feed, over HTTP on a free
//! port of the loopback. What it does can be scripted, and what was asked of it counted. Not for production: it gives
//! a token to whoever asks for one.
//!
//! ```
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! use remint_guard::testing::Issuer;
//!
//! let issuer = Issuer::start().await;
//! let verifier = issuer.verifier().build().unwrap();
//! verifier.ready().await;
//! let token = issuer.token("ada").claim("role", "admin").mint();
//! assert_eq!(verifier.verify(&token).await.unwrap().claims().rest["role"], "admin");
//! # });
//! ```

mod clock;
mod server;
mod token;

pub use clock::ManualClock;
pub use server::{AUDIENCE, CLIENT_ID, Issuer, Renewal, SECRET, Settings};
pub use token::Draft;
