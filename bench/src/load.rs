//! Many connections that ask without a pause, each waiting for its answer. Counts nothing but right answers.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use remint::clock::Stopwatch;
use tokio::task::JoinSet;

use crate::Fallible;
use crate::wire::Connection;

/// Where requests come from, and what must be in each answer, which must be 200. Clones share the source.
#[derive(Clone)]
pub(crate) struct Load {
    requests: Arc<dyn Fn() -> Option<String> + Send + Sync>,
    expects: &'static str,
}

impl Load {
    /// `requests` answers none when there are no more.
    pub(crate) fn of(expects: &'static str, requests: impl Fn() -> Option<String> + Send + Sync + 'static) -> Self {
        Self { requests: Arc::new(requests), expects }
    }

    /// What is in every answer.
    pub(crate) const fn expects(&self) -> &'static str {
        self.expects
    }

    /// The next request.
    pub(crate) fn next(&self) -> Option<String> {
        (self.requests)()
    }
}

/// What one side of a round gave.
pub(crate) struct Sample {
    pub(crate) seconds: f64,
    /// Of each request, from its first byte written to the last byte of its answer.
    pub(crate) latencies: Vec<Duration>,
}

impl Sample {
    pub(crate) fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.seconds
    }
}

/// Asks on so many connections for so long.
pub(crate) async fn press(address: SocketAddr, connections: usize, limit: Duration, load: &Load) -> Fallible<Sample> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(address).await?);
    }
    let stopwatch = Stopwatch::start();
    let mut asking: JoinSet<_> =
        open.into_iter().map(|connection| ask(connection, stopwatch, limit, load.clone())).collect();
    let mut latencies = Vec::new();
    while let Some(asked) = asking.join_next().await {
        latencies.append(&mut asked??);
    }
    Ok(Sample { seconds: stopwatch.elapsed().as_secs_f64(), latencies })
}

async fn ask(mut connection: Connection, stopwatch: Stopwatch, limit: Duration, load: Load) -> Fallible<Vec<Duration>> {
    let mut latencies = Vec::with_capacity(16 * 1024);
    while stopwatch.elapsed() < limit {
        let Some(request) = load.next() else { break };
        let began = stopwatch.elapsed();
        let answer = connection.exchange(request.as_bytes()).await?;
        latencies.push(stopwatch.elapsed() - began);
        if answer.status != 200 || !contains(answer.body, load.expects.as_bytes()) {
            return Err(format!("{} {}", answer.status, String::from_utf8_lossy(answer.body)).into());
        }
    }
    Ok(latencies)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
