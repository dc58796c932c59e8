//! Measures the guard on this machine: one raw signature check, a full verification, a cached repeat with a ledger of a
//! million entries, and the ledger's memory. `cargo run --release -p remint-guard --example measure --features testing`
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use remint_guard::core::event::Event;
use remint_guard::core::id::{SessionId, UserId};
use remint_guard::core::jwks::Jwks;
use remint_guard::core::jws::{Typ, Unverified};
use remint_guard::core::ledger::Ledger;
use remint_guard::core::session::EndReason;
use remint_guard::core::time::Timestamp;
use remint_guard::testing::Issuer;

const ENTRIES: u128 = 1_000_000;

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
fn nanos_each(times: u32, mut work: impl FnMut()) -> f64 {
    let started = Instant::now();
    (0..times).for_each(|_| work());
    started.elapsed().as_nanos() as f64 / f64::from(times)
}

fn event(n: u128) -> Event {
    let spread = (n * 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes();
    let (reason, forget_after) = (EndReason::Logout, Timestamp::MAX);
    match n % 2 {
        0 => Event::SessionEnded { sid: SessionId::from_bytes(spread), reason, forget_after },
        _ => Event::UserEnded { sub: UserId::from_bytes(spread), cv: 9, reason, forget_after },
    }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let before = resident_kib();
    let mut ledger = Ledger::new();
    (0..ENTRIES).try_for_each(|n| ledger.apply(&event(n), Duration::ZERO))?;
    println!("ledger of {ENTRIES} entries: {} MiB", (resident_kib() - before) / 1024);
    drop(ledger);

    let issuer = Issuer::start().await;
    for n in 0..ENTRIES {
        issuer.publish(&event(n));
    }
    let verifier = issuer.verifier().leeway(Duration::from_secs(5)).build()?;
    verifier.ready().await;
    let user = UserId::from_bytes([7; 16]);
    let token = || issuer.token("ada").user(user).claim("role", "engineer").lives(Duration::from_secs(3600)).mint();
    let one = token();
    println!("token of {} bytes, ES256", one.len());

    let keys = published_keys(&issuer).await?;
    let key = keys.keys().first().ok_or("the issuer has a key")?;
    let (signed, signature) = one.rsplit_once('.').ok_or("a compact token")?;
    let signature = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, signature)?;
    let algorithm = Unverified::parse(&one)?.algorithm();
    let fresh: Vec<String> = (0..4000).map(|_| token()).collect();
    let (mut raw, mut full) = (Vec::new(), Vec::new());
    for token in &fresh {
        raw.push(nanos_each(1, || {
            key.verify(algorithm, black_box(signed.as_bytes()), &signature).expect("it is good")
        }));
        #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
        let started = Instant::now();
        black_box(verifier.verify(token).await?);
        full.push(started.elapsed().as_nanos() as f64);
    }
    let (raw, full) = (median(raw), median(full));
    println!("raw verification {raw:.0} ns, full {full:.0} ns, ratio {:.3}", full / raw);
    assert!(Unverified::parse(&one)?.verify(&keys, Typ::AccessToken).is_ok());

    verifier.verify(&one).await?;
    let hot = nanos_each(1_000_000, || drop(black_box(verifier.verify_remembered(&one))));
    let mut next = (0..4000).cycle();
    let spread = nanos_each(1_000_000, || {
        let token = &fresh[next.next().unwrap_or(0)];
        drop(black_box(verifier.verify_remembered(token)));
    });
    println!("cached repeat with {ENTRIES} entries: one token {hot:.0} ns, 4000 tokens in turn {spread:.0} ns");
    Ok(())
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

async fn published_keys(issuer: &Issuer) -> Result<Jwks, Box<dyn std::error::Error>> {
    let answer = reqwest::get(format!("{}/oauth2/jwks", issuer.url())).await?;
    Ok(Jwks::parse(&answer.bytes().await?)?)
}
