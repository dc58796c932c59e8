//! Measures what Remint promises about speed, as ratios to a floor that runs in the same minutes on the same cores. It
//! prints and judges nothing: no time is ever asserted, but one wrong answer ends the run.
#![forbid(unsafe_code)]
#![expect(clippy::print_stdout, reason = "what it prints is all that a benchmark makes")]

mod calls;
mod child;
mod enumeration;
mod feed;
mod floor;
mod guard;
mod load;
mod login;
mod postgres;
mod refresh;
mod report;
mod seed;
mod size;
mod turns;
mod wire;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// The server's own allocator, on both sides of every comparison.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A result, or what went wrong, for a person to read.
type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Measures Remint against a floor, both in one run.
#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    scale: Scale,
}

/// Which store is measured.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Database {
    Sqlite,
    /// PostgreSQL 15, started by the benchmark
    Postgres,
}

/// How much is measured.
#[derive(Args, Clone, Copy)]
struct Scale {
    /// The store of `refresh`, `size` and `feed`; the others know SQLite only
    #[arg(long, global = true, value_enum, default_value_t = Database::Sqlite)]
    database: Database,
    /// Sessions in the store
    #[arg(long, global = true, default_value_t = 1_000_000)]
    sessions: u64,
    /// Rounds, each of both sides
    #[arg(long, global = true, default_value_t = 6)]
    rounds: usize,
    /// Seconds of each side of a round of `refresh`
    #[arg(long, global = true, default_value_t = 5)]
    seconds: u64,
    /// Connections that are kept alive
    #[arg(long, global = true, default_value_t = 32)]
    connections: usize,
    /// Events in the guard's ledger
    #[arg(long, global = true, default_value_t = 1_000_000)]
    ledger: u64,
    /// Guards on the feed
    #[arg(long, global = true, default_value_t = 100)]
    guards: usize,
    /// Revocations that the guards are watched for
    #[arg(long, global = true, default_value_t = 30)]
    revocations: u64,
}

#[derive(Subcommand)]
enum What {
    /// The refresh grant that rotates, against an axum handler that signs once; on PostgreSQL, against pgbench
    Refresh {
        /// What the server logs (a filter); its default is that of `remint serve`
        #[arg(long, default_value = "info")]
        log: String,
    },
    /// Verification in an API, against one raw verification of the same bytes
    Guard,
    /// Introspection, the check by cookie, a client's own token and the keys, against handlers that answer as much
    Calls,
    /// Log-in against Argon2id alone, and refreshes beside it
    Login,
    /// Failed log-ins: whether their time tells which accounts there are
    Enumeration,
    /// Bytes, memory and start-up, with all sessions and without; renewals with all
    Size,
    /// From the answer of a revocation to the refusal at every guard
    Feed,
    /// All of them, one after the other
    All,
    /// The measured server: started by the others
    #[command(hide = true)]
    Serve { data: PathBuf, port: u16, issuer_port: u16, log: String, url: Option<String> },
    /// The floor: started by the others
    #[command(hide = true)]
    Floor { port: u16, claims: String, text: String },
}

fn main() -> ExitCode {
    let Command { what, scale } = Command::parse();
    match start(what.unwrap_or(What::All), scale) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start(what: What, scale: Scale) -> Fallible<()> {
    let shared = matches!(scale.database, Database::Postgres);
    if !shared && !matches!(what, What::Serve { .. } | What::Floor { .. }) {
        child::keep_off()?; // before there are threads
    }
    // As `remint serve` makes it: a thread for each core that the process may use.
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(what, scale))
}

async fn run(what: What, scale: Scale) -> Fallible<()> {
    match what {
        What::Refresh { log } => refresh::measure(scale, &log).await,
        What::Guard => guard::measure(scale).await,
        What::Feed => feed::measure(scale).await,
        What::All => {
            refresh::measure(scale, "info").await?;
            guard::measure(scale).await?;
            feed::measure(scale).await?;
            calls::measure(scale).await?;
            login::measure(scale).await?;
            enumeration::measure(scale).await?;
            size::measure(scale).await
        }
        What::Calls => calls::measure(scale).await,
        What::Login => login::measure(scale).await,
        What::Enumeration => enumeration::measure(scale).await,
        What::Size => size::measure(scale).await,
        What::Serve { data, port, issuer_port, log, url } => child::serve(data, [port, issuer_port], log, url).await,
        What::Floor { port, claims, text } => floor::serve(port, claims, text).await,
    }
}
