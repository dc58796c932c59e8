//! The refresh grant that rotates, durable, against the floor: the same load on the same core, in turns.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use remint_core::policy::{CLIENT_TIMEOUT, Policy, Timing};

use crate::child::{Server, free_port, own_cpu_seconds};
use crate::load::{Requests, Sample, press};
use crate::report::{Figures, line, title};
use crate::seed::{CLIENT, Seeded};
use crate::wire::{Connection, refresh};
use crate::{Fallible, Scale};

/// One side of one round.
struct Side {
    sample: Sample,
    server_cpu: f64,
    driver_cpu: f64,
}

impl Side {
    /// Requests in a second of the server's processor time: what neighbours on the machine disturb least.
    fn per_cpu_second(&self) -> f64 {
        self.sample.latencies.len() as f64 / self.server_cpu
    }

    fn server_busy(&self) -> f64 {
        100.0 * self.server_cpu / self.sample.seconds
    }

    fn driver_busy(&self) -> f64 {
        100.0 * self.driver_cpu / self.sample.seconds
    }
}

pub(crate) async fn measure(scale: Scale, log: &str) -> Fallible<()> {
    title(&format!(
        "refresh: the grant that rotates, durable, {} sessions, {} connections, the server on one core (log: {log})",
        scale.sessions, scale.connections
    ));
    let seeded = Arc::new(Seeded::new(scale.sessions).await?);
    let server = Server::remint(seeded.path(), free_port()?, log).await?;
    settled().await;
    let visited = Arc::new(AtomicU64::new(0));
    let rotations: Requests = {
        let (seeded, visited) = (Arc::clone(&seeded), Arc::clone(&visited));
        Arc::new(move || Some(refresh(CLIENT, &seeded.token(visited.fetch_add(1, Ordering::Relaxed))?, "")))
    };
    let floor = Server::floor(seeded.path(), &claims_of_one(&server, &rotations).await?).await?;
    let plain: Requests = Arc::new(move || Some(refresh(CLIENT, &seeded.token(0)?, "")));
    let (mut remint, mut least) = (Vec::new(), Vec::new());
    for round in 0..scale.rounds {
        // Who begins changes from round to round.
        for turn in [round % 2, (round + 1) % 2] {
            if turn == 0 {
                remint.push(side(&server, scale, &rotations).await?);
            } else {
                least.push(side(&floor, scale, &plain).await?);
            }
        }
    }
    print(&remint, &least);
    Ok(())
}

/// After a start on older data no head is rotated for the window W: commits could be missing.
async fn settled() {
    let windows = Policy::refresh().windows(&Timing::default());
    debug_assert!(windows.parent > CLIENT_TIMEOUT);
    tokio::time::sleep(windows.parent + Duration::from_secs(1)).await;
}

/// The claims of a token of the server: what the floor signs, so that both sign and send the same number of bytes.
async fn claims_of_one(server: &Server, rotations: &Requests) -> Fallible<String> {
    let mut connection = Connection::open(server.address).await?;
    let request = rotations().ok_or("there are no sessions")?;
    let answer = connection.exchange(request.as_bytes()).await?;
    let (token, _) = (answer.member("access_token")?, answer.member("refresh_token")?);
    let payload = token.split('.').nth(1).ok_or("not a token")?;
    Ok(String::from_utf8(URL_SAFE_NO_PAD.decode(payload)?)?)
}

async fn side(server: &Server, scale: Scale, requests: &Requests) -> Fallible<Side> {
    let before = (server.cpu_seconds()?, own_cpu_seconds()?);
    let limit = Duration::from_secs(scale.seconds);
    let sample = press(server.address, scale.connections, limit, requests).await?;
    let after = (server.cpu_seconds()?, own_cpu_seconds()?);
    if sample.latencies.is_empty() {
        return Err("all sessions are spent: fewer rounds, or more sessions".into());
    }
    Ok(Side { sample, server_cpu: after.0 - before.0, driver_cpu: after.1 - before.1 })
}

fn print(remint: &[Side], floor: &[Side]) {
    let ratio = |figure: fn(&Side) -> f64| {
        Figures::of(remint.iter().zip(floor).map(|(remint, floor)| figure(remint) / figure(floor))).spread(3)
    };
    line("ratio to the floor, requests per second", &ratio(|side| side.sample.per_second()));
    line("ratio to the floor, per processor second", &ratio(Side::per_cpu_second));
    for (name, sides) in [("remint", remint), ("floor", floor)] {
        let figures = |figure: fn(&Side) -> f64| Figures::of(sides.iter().map(figure));
        let times = Figures::of_times(sides.iter().flat_map(|side| &side.sample.latencies));
        let quantiles = [0.5, 0.99, 0.999].map(|share| times.quantile(share) / 1e3);
        line(&format!("{name}: requests per second"), &figures(|side| side.sample.per_second()).spread(0));
        line(&format!("{name}: requests per processor second"), &figures(Side::per_cpu_second).spread(0));
        line(&format!("{name}: latency p50 / p99 / p99.9, ms"), &quantiles.map(|ms| format!("{ms:.2}")).join(" / "));
        line(&format!("{name}: its core in use, %"), &figures(Side::server_busy).spread(0));
        line(&format!("{name}: the load's core in use, %"), &figures(Side::driver_busy).spread(0));
    }
}
