//! Tokens as a fuzzer makes them, judged by Remint and by `jsonwebtoken`.
//!
//! The first byte chooses: a string as it is, or a header and a payload (parted by the first zero byte) that one of the
//! four keys truly signs. Where the two verdicts differ, one of the strictnesses in `oracle.rs` must explain it.
//!
//! Dates within a second of the clock are outside the comparison: RFC 7519 section 4.1.4 refuses a token *on* its
//! `exp`, and the oracle still accepts it in that second.

#![no_main]

use std::time::{SystemTime, UNIX_EPOCH};

use libfuzzer_sys::fuzz_target;
use remint_core::time::Timestamp;

#[expect(dead_code, reason = "shared with the tests, which use all of it")]
#[path = "../../crates/core/tests/jose/keys.rs"]
mod keys;
#[expect(dead_code, reason = "shared with the tests, which also count the explanations")]
#[path = "../../crates/core/tests/jose/oracle.rs"]
mod oracle;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else {
        return;
    };
    let token = match keys::all().get(usize::from(choice % 5)) {
        Some(key) => {
            let mut halves = rest.splitn(2, |byte| *byte == 0);
            let header = String::from_utf8_lossy(halves.next().unwrap_or_default());
            keys::sign(&header, halves.next().unwrap_or_default(), key)
        }
        None => String::from_utf8_lossy(rest).into_owned(),
    };
    oracle::compare(&token, now());
});

/// The oracle reads the clock itself, so both must read the same one.
#[expect(clippy::disallowed_methods, reason = "the oracle takes no clock as an argument")]
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_secs(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
