//! How soon an ended session is refused: from the answer of the revocation to the refusal at every guard that follows
//! the feed of a real server. A guard is asked once, right after its feed was heard: it must refuse. On PostgreSQL the
//! revocation is sent to another node than the one that the guards follow.

use std::time::Duration;

use remint::clock::Stopwatch;
use remint_core::session::EndReason;
use remint_guard::{Feed, Reject, Verifier};
use tokio::task::JoinSet;

use crate::child::{Server, free_port};
use crate::guard::unexpected;
use crate::report::{Figures, line, title};
use crate::seed::{API, CLIENT, Proof, Seeded, api_secret};
use crate::wire::{Connection, refresh};
use crate::{Database, Fallible, Scale};

/// What one guard saw of one revocation: how long after its sending, and after its answer.
struct Refused {
    after_sending: Duration,
    after_answer: Duration,
}

pub(crate) async fn measure(scale: Scale) -> Fallible<()> {
    title(&format!(
        "feed: from revoking to refusing, {} guards, {} revocations, {:?}",
        scale.guards, scale.revocations, scale.database
    ));
    let port = free_port()?;
    let seeded = Seeded::on(scale.revocations, Proof::RefreshToken, scale.database).await?;
    let server = Server::on(&seeded, port, "info").await?;
    let other = match scale.database {
        Database::Sqlite => None,
        Database::Postgres => Some(Server::beside(&seeded, free_port()?, port, "info").await?),
    };
    tokio::time::sleep(Duration::from_secs(2)).await; // until the jobs of the start are done
    let alone = server.resident_kib()?;
    let guards = guards(port, scale.guards).await?;
    let followed = server.resident_kib()?;
    let mut connection = Connection::open(other.as_ref().unwrap_or(&server).address).await?;
    let mut seen = Vec::new();
    for number in 0..scale.revocations {
        let refresh_token = seeded.token(number).ok_or("there is no such session")?;
        seen.append(&mut revoked((&mut connection, port), &guards, &refresh_token, seeded.feed + number + 1).await?);
    }
    let times = |time: fn(&Refused) -> Duration| {
        let times: Vec<Duration> = seen.iter().map(time).collect();
        let figures = Figures::of_times(&times);
        [0.5, 0.99, 1.0].map(|share| format!("{:.2}", figures.quantile(share) / 1e3)).join(" / ")
    };
    line("answer to refusal, p50 / p99 / most, ms", &times(|seen| seen.after_answer));
    let each = followed.saturating_sub(alone) as f64 / scale.guards as f64;
    line(
        "resident memory that each listener adds, KiB",
        &format!("{each:.1}  (to {alone} KiB, of which some is free)"),
    );
    line("request to refusal, p50 / p99 / most, ms", &times(|seen| seen.after_sending));
    Ok(())
}

async fn guards(port: u16, count: usize) -> Fallible<Vec<Verifier>> {
    let issuer = format!("http://127.0.0.1:{port}");
    let guard = |_| {
        let feed = Feed::new(API, api_secret().reveal());
        Verifier::builder(&issuer).audience(API).feed(feed).build()
    };
    let guards = (0..count).map(guard).collect::<Result<Vec<_>, _>>()?;
    for guard in &guards {
        guard.ready().await;
    }
    Ok(guards)
}

/// Ends one session, whose token every guard accepts before; `seq` is the number of the event that will tell.
async fn revoked(
    (connection, issuer_port): (&mut Connection, u16),
    guards: &[Verifier],
    refresh_token: &str,
    seq: u64,
) -> Fallible<Vec<Refused>> {
    let for_account = format!("&resource=http%3A%2F%2F127.0.0.1%3A{issuer_port}");
    let token = connection.exchange(refresh(CLIENT, refresh_token, "").as_bytes()).await?.member("access_token")?;
    let account = refresh(CLIENT, refresh_token, &for_account);
    let account = connection.exchange(account.as_bytes()).await?.member("access_token")?;
    let stopwatch = Stopwatch::start();
    let mut watching = JoinSet::new();
    for guard in guards {
        guard.verify(&token).await.map_err(unexpected)?;
        watching.spawn(refusal(guard.clone(), token.clone(), seq, stopwatch));
    }
    let revocation = format!("DELETE /session HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {account}\r\n\r\n");
    let sent = stopwatch.elapsed();
    let status = connection.exchange(revocation.as_bytes()).await?.status;
    let answered = stopwatch.elapsed();
    if status != 204 {
        return Err(format!("the revocation was answered with {status}").into());
    }
    let mut seen = Vec::with_capacity(guards.len());
    while let Some(refused) = watching.join_next().await {
        let at = refused??;
        seen.push(Refused { after_sending: at.saturating_sub(sent), after_answer: at.saturating_sub(answered) });
    }
    Ok(seen)
}

/// When this guard refused the token, by the stopwatch.
async fn refusal(guard: Verifier, token: String, seq: u64, stopwatch: Stopwatch) -> Fallible<Duration> {
    guard.heard(seq).await;
    match guard.verify(&token).await {
        Err(Reject::Ended { reason: EndReason::Logout }) => Ok(stopwatch.elapsed()),
        other => Err(format!("a guard heard the revocation and said {:?}", other.map(drop)).into()),
    }
}
