//! What a session costs at rest: bytes of the store, memory of the server, and time until it answers after a start. Each
//! beside the same of a server without sessions. And how many of them are renewed in a second.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use remint::clock::Stopwatch;

use crate::child::{Server, free_port};
use crate::load::press;
use crate::refresh::{rotations, settled};
use crate::report::{Figures, line, title};
use crate::seed::{Proof, Seeded};
use crate::{Fallible, Scale};

/// What was seen of one server.
struct Seen {
    bytes: u64,
    starts: Figures,
    resident_kib: u64,
}

pub(crate) async fn measure(scale: Scale) -> Fallible<()> {
    title(&format!("size: {} sessions, each of a user of its own, {:?}", scale.sessions, scale.database));
    let none = seen(&Seeded::on(0, Proof::RefreshToken, scale.database).await?, scale).await?;
    let seeded = Arc::new(Seeded::on(scale.sessions, Proof::RefreshToken, scale.database).await?);
    let full = seen(&seeded, scale).await?;
    let each = full.bytes.saturating_sub(none.bytes) as f64 / scale.sessions.max(1) as f64;
    line("bytes of the store for each session and its user", &format!("{each:.0}"));
    if let Ok(postgres) = seeded.postgres() {
        for (name, size) in [("pages", "pg_table_size"), ("indexes", "pg_indexes_size")] {
            let of =
                |table| postgres.ask(&format!("SELECT round({size}('{table}')::NUMERIC / {})", scale.sessions.max(1)));
            line(&format!("{name}: bytes of a session, of a user"), &format!("{}, {}", of("sessions")?, of("users")?));
        }
    }
    for (name, seen) in [("without sessions", &none), ("with all sessions", &full)] {
        line(&format!("{name}: start to first connection, ms"), &seen.starts.spread(1));
        line(&format!("{name}: resident memory, MiB"), &format!("{:.1}", seen.resident_kib as f64 / 1024.0));
    }
    renewed(&seeded, scale).await
}

/// What a server renews with all sessions in its store, as [`refresh`](crate::refresh) has it but without its floor.
async fn renewed(seeded: &Arc<Seeded>, scale: Scale) -> Fallible<()> {
    let server = Server::on(seeded, free_port()?, "info").await?;
    settled(seeded).await?;
    let rotations = rotations(seeded, &Arc::new(AtomicU64::new(0)));
    let (mut rates, mut busy) = (Vec::new(), Vec::new());
    for _ in 0..scale.rounds.max(1) {
        let before = server.cpu_seconds()?;
        let limit = Duration::from_secs(scale.seconds);
        let sample = press(server.address, scale.connections, limit, &rotations).await?;
        let done = sample.latencies.len() as f64;
        if sample.latencies.is_empty() {
            return Err("all sessions are spent: fewer rounds, or more sessions".into());
        }
        rates.push(done / sample.seconds);
        busy.push((server.cpu_seconds()? - before) / done * 1e6);
    }
    line("renewals per second", &Figures::of(rates).spread(0));
    line("processor time of the server for each, µs", &Figures::of(busy).spread(0));
    Ok(())
}

async fn seen(seeded: &Seeded, scale: Scale) -> Fallible<Seen> {
    let (mut starts, mut resident_kib) = (Vec::new(), 0);
    for _ in 0..scale.rounds.max(1) {
        let stopwatch = Stopwatch::start();
        let server = Server::on(seeded, free_port()?, "info").await?;
        starts.push(stopwatch.elapsed().as_secs_f64() * 1e3);
        tokio::time::sleep(Duration::from_secs(2)).await; // until the jobs of the start are done
        resident_kib = server.resident_kib()?;
    }
    Ok(Seen { bytes: seeded.bytes()?, starts: Figures::of(starts), resident_kib })
}
