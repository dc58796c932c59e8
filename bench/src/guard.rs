//! What a request to an API pays: a full verification against one raw verification of the same bytes, and a repeat that
//! the guard remembers, with a large ledger. The issuer, its keys, its feed and the guard are the real ones.

use std::time::Duration;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remint::clock::{Clock, Stopwatch};
use remint_core::event::Event;
use remint_core::id::SessionId;
use remint_core::jwk::{Algorithm, KeyParts};
use remint_core::jwks::Jwks;
use remint_core::session::EndReason;
use remint_guard::testing::{Issuer, Settings};
use remint_guard::{Reject, Verifier};

use crate::report::{Figures, line, title};
use crate::wire::Connection;
use crate::{Fallible, Scale};

/// Short turns, and many: a neighbour on the machine spoils a few of them, not the median.
const TURNS: usize = 40;
/// Tokens that are verified once each, in a turn.
const FRESH: usize = 100;
/// Tokens that are asked for again and again, and how often in a turn.
const REPEATED: usize = 1000;
const REPEATS: usize = 10;

pub(crate) async fn measure(scale: Scale) -> Fallible<()> {
    title(&format!("guard: verification in an API, {} events in the ledger", scale.ledger));
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
        one(scale, algorithm).await?;
    }
    Ok(())
}

async fn one(scale: Scale, algorithm: Algorithm) -> Fallible<()> {
    let settings = Settings { algorithm, heartbeat: Duration::from_secs(1), ..Settings::default() };
    let issuer = Issuer::start_with(settings).await;
    fill_feed(&issuer, scale.ledger);
    let verifier = issuer.verifier().build()?;
    verifier.ready().await;
    let repeated = tokens(&issuer, REPEATED);
    full(&verifier, &repeated).await?;
    let raw_key = raw_key(issuer.url()).await?;
    let (mut ratios, mut fulls, mut raws, mut repeats) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds * TURNS {
        let fresh = tokens(&issuer, FRESH);
        let signed = signed_parts(&fresh)?;
        let (full, raw) = (full(&verifier, &fresh).await?, raw(&raw_key, &signed)?);
        ratios.push(full / raw);
        fulls.push(full);
        raws.push(raw);
        repeats.push(remembered(&verifier, &repeated)?);
    }
    let line = |name: &str, figures, decimals| {
        line(&format!("{}: {name}", algorithm.as_str()), &Figures::of(figures).spread(decimals));
    };
    line("ratio of full to raw verification", ratios, 3);
    line("full verification, microseconds", fulls, 2);
    line("raw verification, microseconds", raws, 2);
    line("remembered repeat, microseconds", repeats, 3);
    Ok(())
}

/// So many sessions have ended, none of them measured.
fn fill_feed(issuer: &Issuer, events: u64) {
    let forget_after = Clock::system().now().plus(Duration::from_secs(24 * 3600));
    for number in 0..events {
        let sid = SessionId::from_bytes((u128::MAX - u128::from(number)).to_be_bytes());
        issuer.publish(&Event::SessionEnded { sid, reason: EndReason::Logout, forget_after });
    }
}

/// Tokens of users and sessions of their own.
fn tokens(issuer: &Issuer, count: usize) -> Vec<String> {
    let draft = |_| issuer.token("0123456789abcdef").scope("read write").claim("nickname", "ada").claim("role", "x");
    (0..count).map(|number| draft(number).mint()).collect()
}

/// Microseconds for each full verification of tokens that were never seen.
async fn full(verifier: &Verifier, tokens: &[String]) -> Fallible<f64> {
    let stopwatch = Stopwatch::start();
    for token in tokens {
        verifier.verify(token).await.map_err(unexpected)?;
    }
    Ok(each(stopwatch, tokens.len()))
}

/// Microseconds for each question about a token that was verified before.
fn remembered(verifier: &Verifier, tokens: &[String]) -> Fallible<f64> {
    let stopwatch = Stopwatch::start();
    for _ in 0..REPEATS {
        for token in tokens {
            verifier.verify_remembered(token).ok_or("a token was forgotten")?.map_err(unexpected)?;
        }
    }
    Ok(each(stopwatch, REPEATS * tokens.len()))
}

/// The issuer's one key, as the library underneath takes it.
async fn raw_key(issuer: &str) -> Fallible<ParsedPublicKey> {
    let address = issuer.strip_prefix("http://").ok_or("not the issuer of a test")?.parse()?;
    let mut connection = Connection::open(address).await?;
    let jwks = Jwks::parse(connection.exchange(b"GET /oauth2/jwks HTTP/1.1\r\nhost: a\r\n\r\n").await?.body)?;
    let key = jwks.keys().first().ok_or("the issuer has no key")?;
    let parsed = match &key.jwk().parts {
        KeyParts::P256 { x, y } => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, [&[4][..], x, y].concat()),
        KeyParts::Ed25519 { x } => ParsedPublicKey::new(&ED25519, x),
        KeyParts::Rsa { .. } => return Err("the guard is measured with ES256 and EdDSA".into()),
    };
    Ok(parsed?)
}

/// Microseconds for each signature, with the key parsed and the signature decoded beforehand.
fn raw(key: &ParsedPublicKey, signed: &[(&[u8], Vec<u8>)]) -> Fallible<f64> {
    let stopwatch = Stopwatch::start();
    for (message, signature) in signed {
        key.verify_sig(message, signature).map_err(|_| "a raw verification failed")?;
    }
    Ok(each(stopwatch, signed.len()))
}

/// A refusal of a token that is good.
pub(crate) fn unexpected(reject: Reject) -> String {
    format!("a good token was refused: {reject:?}")
}

fn each(stopwatch: Stopwatch, count: usize) -> f64 {
    stopwatch.elapsed().as_secs_f64() * 1e6 / count as f64
}

/// What was signed, and the signature.
fn signed_parts(tokens: &[String]) -> Fallible<Vec<(&[u8], Vec<u8>)>> {
    let parts = |token: &'_ String| -> Fallible<(usize, Vec<u8>)> {
        let (signed, signature) = token.rsplit_once('.').ok_or("not a token")?;
        Ok((signed.len(), URL_SAFE_NO_PAD.decode(signature)?))
    };
    tokens.iter().map(|token| parts(token).map(|(end, signature)| (&token.as_bytes()[..end], signature))).collect()
}
