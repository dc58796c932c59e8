//! The ways to a token, one file each. All pass the gate; none signs (that is `mint`'s) and none speaks HTTP.

pub mod backend;
pub mod client_credentials;
pub mod cookie;
pub mod desk;
pub mod factor;
pub mod gate;
pub mod issue;
pub mod login;
pub mod refresh;
pub mod refused;
pub mod renew;
pub mod revoke;

/// How often a decision is made anew because others were first.
pub const MAX_CONFLICTS: usize = 8;
