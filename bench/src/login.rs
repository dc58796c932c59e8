//! Log-in with a password, against the computation of Argon2id alone; and whether people who are logged in already feel
//! it when as many log in as can.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use remint::account::password::Passwords;
use remint::clock::Stopwatch;
use remint::entropy::Entropy;
use remint::settings::Limits;
use remint_core::policy::SERVER_DEADLINE;
use remint_core::secret::Password;

use crate::child::{Server, free_port, own_cpu_seconds};
use crate::load::{Load, Sample, press};
use crate::refresh::{rotations, settled};
use crate::report::{Figures, line, title};
use crate::seed::{CLIENT, PASSWORD, PEOPLE, Proof, Seeded};
use crate::wire::asking;
use crate::{Fallible, Scale};

/// So many people are kept waiting for a log-in: more than are computed at once.
const LOGGING_IN: usize = 8;
/// So many connections refresh beside them.
const REFRESHING: usize = 4;

pub(crate) async fn measure(scale: Scale) -> Fallible<()> {
    title(&format!("log-in: {LOGGING_IN} at once, and {REFRESHING} connections that refresh, the server on one core"));
    let seeded = Arc::new(Seeded::new(scale.sessions, Proof::RefreshToken).await?);
    let server = Server::remint(seeded.path(), free_port()?, "info").await?;
    settled(&seeded).await?;
    let (visited, people) = (Arc::new(AtomicU64::new(0)), AtomicU64::new(0));
    let refreshes = rotations(&seeded, &visited);
    let logins = Load::of(r#""access_token""#, move || Some(log_in(people.fetch_add(1, Ordering::Relaxed) % PEOPLE)));
    let limit = Duration::from_secs(scale.seconds);
    let (mut ratios, mut idle, mut beside) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..scale.rounds {
        let floor = computed_per_cpu_second(limit).await?;
        let before = server.cpu_seconds()?;
        let alone = press(server.address, LOGGING_IN, limit, &logins).await?;
        let each = (server.cpu_seconds()? - before) / alone.latencies.len() as f64;
        ratios.push(1.0 / each / floor);
        idle.push(p99(&press(server.address, REFRESHING, limit, &refreshes).await?));
        let both =
            (press(server.address, REFRESHING, limit, &refreshes), press(server.address, LOGGING_IN, limit, &logins));
        let (refreshed, _) = tokio::try_join!(both.0, both.1)?;
        beside.push(p99(&refreshed));
    }
    line("log-ins to Argon2id alone, per cpu second", &Figures::of(ratios).spread(3));
    line("refresh beside idle log-ins: p99, ms", &Figures::of(idle.iter().copied()).spread(2));
    line("refresh beside saturated log-ins: p99, ms", &Figures::of(beside.iter().copied()).spread(2));
    let ratio = beside.iter().zip(&idle).map(|(beside, idle)| beside / idle);
    line("the second to the first", &Figures::of(ratio).spread(2));
    Ok(())
}

fn p99(sample: &Sample) -> f64 {
    Figures::of_times(&sample.latencies).quantile(0.99) / 1e3
}

fn log_in(person: u64) -> String {
    let body = format!(r#"{{"client_id":"{CLIENT}","identifier":"person-{person}","password":"{PASSWORD}"}}"#);
    asking("POST", "/session", "", Some(("json", &body)))
}

/// The same computation on the driver's core, one after the other.
async fn computed_per_cpu_second(limit: Duration) -> Fallible<f64> {
    let password = || Password::new(PASSWORD.to_owned()).ok_or("a password that is too long");
    let limits = Limits { hashing_at_once: 1, ..Limits::default() };
    let passwords = Passwords::new(&limits, SERVER_DEADLINE, Entropy::system())?;
    let stored = passwords.hash(password()?).await?;
    let (stopwatch, before, mut computed) = (Stopwatch::start(), own_cpu_seconds()?, 0);
    while stopwatch.elapsed() < limit {
        if !passwords.verify(password()?, Some(stored.clone())).await?.is_right() {
            return Err("the right password was called wrong".into());
        }
        computed += 1;
    }
    Ok(f64::from(computed) / (own_cpu_seconds()? - before))
}
