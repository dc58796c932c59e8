//! What verifying a token costs above the one signature operation that it cannot avoid.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use remint_core::claims::Expected;
use remint_core::jwk::KeyParts;

use crate::keys::{AUDIENCE, ES256, ISSUER, JWKS, NOW, claims, decode, header, sign};

#[expect(clippy::disallowed_methods, reason = "this measures time")]
fn fastest(rounds: u32, mut work: impl FnMut()) -> Duration {
    let once = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..100).for_each(|_| work());
        start.elapsed()
    };
    (0..rounds).map(|_| once(&mut work)).min().unwrap_or_default()
}

#[test]
#[ignore = "measures time: run it alone, on a quiet machine, in release"]
fn an_es256_token_costs_at_most_a_quarter_more_than_its_signature() {
    let token =
        sign(&header(&ES256), claims(serde_json::json!({"sid": "s", "cv": 1, "pv": 1, "scope": "a b"})), &ES256);
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = decode(signature);
    let KeyParts::P256 { x, y } = &ES256.public().jwk().parts else { panic!("a P-256 key") };
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4][..], x, y].concat()).unwrap();
    let audience = [AUDIENCE.to_owned()];
    let expected = Expected::new(ISSUER, &audience).unwrap();

    let raw = fastest(50, || key.verify_sig(black_box(signed.as_bytes()), &signature).unwrap());
    let full = fastest(50, || _ = black_box(expected.accept(black_box(&token), &JWKS, NOW).unwrap()));
    let ratio = full.as_secs_f64() / raw.as_secs_f64();
    println!("raw {raw:?}, full {full:?} for 100: {ratio:.3}");
    assert!(ratio <= 1.25, "{ratio:.3}");
}
