//! The refresh grant that rotates, durable, against the floor: the same load on the same core, in turns. On PostgreSQL the
//! floor is what `pgbench` reaches with the same change of one row, and all of it shares all cores.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remint_core::policy::{CLIENT_TIMEOUT, Policy};

use crate::child::{Server, free_port};
use crate::load::{Load, Sample, press};
use crate::postgres::Postgres;
use crate::report::{Figures, line, title};
use crate::seed::{CLIENT, Proof, Seeded};
use crate::turns::turns;
use crate::wire::{Connection, refresh};
use crate::{Database, Fallible, Scale};

pub(crate) async fn measure(scale: Scale, log: &str) -> Fallible<()> {
    match scale.database {
        Database::Sqlite => against_a_handler(scale, log).await,
        Database::Postgres => against_pgbench(scale, log).await,
    }
}

async fn against_a_handler(scale: Scale, log: &str) -> Fallible<()> {
    title(&format!(
        "refresh: the grant that rotates, durable, {} sessions, {} connections, the server on one core (log: {log})",
        scale.sessions, scale.connections
    ));
    let seeded = Arc::new(Seeded::new(scale.sessions, Proof::RefreshToken).await?);
    let server = Server::remint(seeded.path(), free_port()?, log).await?;
    settled(&seeded).await?;
    let visited = Arc::new(AtomicU64::new(0));
    let rotations = rotations(&seeded, &visited);
    let floor = Server::floor(seeded.path(), &claims_of_one(&server, &rotations).await?, "").await?;
    let plain = Load::of(REFRESHED, move || Some(refresh(CLIENT, &seeded.token(0)?, "")));
    turns((&server, &rotations), (&floor, &plain), scale).await?.print();
    Ok(())
}

async fn against_pgbench(scale: Scale, log: &str) -> Fallible<()> {
    title(&format!(
        "refresh on PostgreSQL: the grant that rotates, durable, HTTP and signature included, {} sessions, {} connections; \
         against the same change of a row by pgbench, {} connections; all cores shared by all (log: {log})",
        scale.sessions, scale.connections, scale.connections
    ));
    let seeded = Arc::new(Seeded::on(scale.sessions, Proof::RefreshToken, scale.database).await?);
    let postgres = seeded.postgres()?;
    let script = twin(postgres, scale.sessions)?;
    let server = Server::on(&seeded, free_port()?, log).await?;
    settled(&seeded).await?;
    let rotations = rotations(&seeded, &Arc::new(AtomicU64::new(0)));
    let limit = Duration::from_secs(scale.seconds);
    let (mut ours, mut theirs, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let (mut busy, mut logged) = (Vec::new(), [Vec::new(), Vec::new()]);
    for round in 0..scale.rounds {
        for turn in [round % 2, (round + 1) % 2] {
            let before = (server.cpu_seconds()?, postgres.logged_bytes()?);
            let done = if turn == 0 {
                let Sample { seconds, mut latencies } =
                    press(server.address, scale.connections, limit, &rotations).await?;
                let done = latencies.len() as f64;
                if latencies.is_empty() {
                    return Err("all sessions are spent: fewer rounds, or more sessions".into());
                }
                busy.push((server.cpu_seconds()? - before.0) / done * 1e6);
                ours.push(done / seconds);
                times.append(&mut latencies);
                done
            } else {
                let (done, per_second) = postgres.pgbench(&script, scale.connections, limit)?;
                theirs.push(per_second);
                done
            };
            logged[turn].push((postgres.logged_bytes()? - before.1) / done);
        }
    }
    let ratios: Vec<f64> = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    let each: Vec<String> = ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
    line("ratio to pgbench, requests per second", &Figures::of(ratios).spread(3));
    line("the same, round by round", &each.join(" "));
    line("remint: requests per second", &Figures::of(ours).spread(0));
    line("pgbench: transactions per second", &Figures::of(theirs).spread(0));
    line("remint: processor time of the node a request, µs", &Figures::of(busy).spread(0));
    for (name, bytes) in ["remint", "pgbench"].iter().zip(logged) {
        line(&format!("{name}: bytes of the write-ahead log a request"), &Figures::of(bytes).spread(0));
    }
    let times = Figures::of_times(&times);
    let quantiles = [0.5, 0.99, 0.999].map(|share| format!("{:.2}", times.quantile(share) / 1e3));
    line("remint: latency p50 / p99 / p99.9, ms", &quantiles.join(" / "));
    drop(server); // what its connections did is counted when they end
    tokio::time::sleep(Duration::from_secs(2)).await;
    line("share of heap-only updates: remint, pgbench", &postgres.ask(HEAP_ONLY)?.replace('\n', ", "));
    Ok(())
}

const HEAP_ONLY: &str = "SELECT round(n_tup_hot_upd::NUMERIC / GREATEST(n_tup_upd, 1), 4) FROM pg_stat_user_tables \
                         WHERE relname IN ('sessions', 'twin') ORDER BY relname";

/// Makes a table like that of sessions, with as many rows of the same width, numbered from zero. The script that makes of one of
/// them what a renewal makes of a session.
fn twin(postgres: &Postgres, sessions: u64) -> Fallible<String> {
    let columns = "SELECT string_agg(column_name, ', ' ORDER BY ordinal_position) FROM information_schema.columns \
                   WHERE table_name = 'sessions' AND column_name <> 'slot'";
    let columns = postgres.ask(columns)?;
    postgres.ask("CREATE TABLE twin (LIKE sessions INCLUDING ALL) WITH (fillfactor = 80)")?;
    postgres
        .ask(&format!("INSERT INTO twin (slot, {columns}) SELECT row_number() OVER () - 1, {columns} FROM sessions"))?;
    for sql in ["VACUUM (ANALYZE) twin", "VACUUM (ANALYZE) sessions", "VACUUM (ANALYZE) users", "CHECKPOINT"] {
        postgres.ask(sql)?;
    }
    Ok(format!(
        "\\set n random(0, {})\n\\set now random(1800000000000000, 1900000000000000)\n\
         UPDATE twin SET rev = rev + 1, generation = generation + 1, branch = 0, parent_branch = 0, kid = 1, \
         delivered_at = :now, acked_at = NULL, last_seen = :now, idle_at = :now WHERE slot = :n;\n",
        sessions.saturating_sub(1)
    ))
}

/// What is in every answer.
const REFRESHED: &str = r#""refresh_token":""#;

/// Presents the refresh token of one session after the other, each once.
pub(crate) fn rotations(seeded: &Arc<Seeded>, visited: &Arc<AtomicU64>) -> Load {
    let (seeded, visited) = (Arc::clone(seeded), Arc::clone(visited));
    Load::of(REFRESHED, move || Some(refresh(CLIENT, &seeded.token(visited.fetch_add(1, Ordering::Relaxed))?, "")))
}

/// After a start on older data no head is rotated for the window W: commits could be missing.
pub(crate) async fn settled(seeded: &Seeded) -> Fallible<()> {
    let windows = Policy::refresh().windows(&seeded.settings(1)?.timing);
    debug_assert!(windows.parent > CLIENT_TIMEOUT);
    tokio::time::sleep(windows.parent + Duration::from_secs(1)).await;
    Ok(())
}

/// The claims of a token of the server: what the floor signs, so that both sign and send the same number of bytes.
async fn claims_of_one(server: &Server, rotations: &Load) -> Fallible<String> {
    let mut connection = Connection::open(server.address).await?;
    let request = rotations.next().ok_or("there are no sessions")?;
    let answer = connection.exchange(request.as_bytes()).await?;
    let (token, _) = (answer.member("access_token")?, answer.member("refresh_token")?);
    let payload = token.split('.').nth(1).ok_or("not a token")?;
    Ok(String::from_utf8(URL_SAFE_NO_PAD.decode(payload)?)?)
}
