//! The rules of Remint. No IO, no clock, no randomness: they are arguments.
//!
//! | room | what it is for | what it never does |
//! |---|---|---|
//! | [`json`] | strict JSON objects | accept a member twice, or nest without bound |
//! | [`jwk`] | keys: parse, check, thumbprint, sign, verify | take the algorithm from a token |
//! | [`jwks`] | key sets of any issuer | fetch anything |
//! | [`jws`] | compact signatures | hand out a payload that was not verified |
//! | [`claims`] | what an access token says | return claims together with an error |
//! | [`time`] | points in time | read a clock |

pub mod claims;
pub mod json;
pub mod jwk;
pub mod jwks;
pub mod jws;
pub mod time;
