//! `remint policy`: plays a session through under a policy. Decides nothing: the rules are the server's own
//! ([`remint_core::simulation`]).

use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use remint_core::client::Client;
use remint_core::policy::Timing;
use remint_core::simulation::{Usage, simulate};
use serde_json::{Value, json};

use super::client::{laid_over, seconds};
use crate::cli::ask::path;
use crate::cli::life::{Shown, bars, svg};
use crate::cli::{CliError, Setup, show, write};
use crate::config::duration;

/// Policies: how sessions are renewed and when they end.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Policy {
    /// Play a session through: each renewal, the limits, its end and why
    Simulate(Simulate),
}

/// A policy and how it is used. Lengths of time are written 30s, 5m, 12h or 90d.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Simulate {
    /// The policy; what is not given below has its default
    #[arg(long, value_parser = ["rolling", "fixed", "refresh", "cookie"], required_unless_present = "client")]
    policy: Option<String>,
    /// Take the policy of this client; what is given below goes over it
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// Life of an access token
    #[arg(long, value_parser = seconds, value_name = "TIME")]
    life: Option<u64>,
    /// End of a session that nobody uses
    #[arg(long, value_parser = seconds, value_name = "TIME")]
    idle: Option<u64>,
    /// End of every session
    #[arg(long, value_parser = seconds, value_name = "TIME")]
    absolute: Option<u64>,
    /// The longest that the client waits for an answer
    #[arg(long, value_parser = seconds, value_name = "TIME")]
    client_timeout: Option<u64>,
    /// How long the person is at work
    #[arg(long, value_parser = length, value_name = "TIME", default_value = "2h")]
    active: Duration,
    /// How long nobody is there before the next stretch of work; 0 for no pause
    #[arg(long, value_parser = length, value_name = "TIME", default_value = "30m")]
    pause: Duration,
    /// At work, one request so often
    #[arg(long, value_parser = length, value_name = "TIME", default_value = "1m")]
    every: Duration,
    /// An open page renews by timer, also while nobody is there
    #[arg(long)]
    timer: bool,
    /// The record changes then; may be repeated
    #[arg(long = "change", value_parser = length, value_name = "TIME")]
    changes: Vec<Duration>,
    /// How long is looked at
    #[arg(long, value_parser = length, value_name = "TIME", default_value = "24h")]
    until: Duration,
    /// Draw it into this file too, as SVG
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print every renewal, however many there are
    #[arg(long)]
    all: bool,
}

fn length(text: &str) -> Result<Duration, &'static str> {
    let none = text == "0";
    none.then_some(Duration::ZERO).or_else(|| duration(text)).ok_or("a length of time like 30s, 5m, 12h or 90d")
}

pub(in crate::cli) async fn run(setup: &Setup, command: Policy) -> Result<(), CliError> {
    let Policy::Simulate(asked) = command;
    let lives = [
        ("life", asked.life),
        ("idle", asked.idle),
        ("absolute", asked.absolute),
        ("client_timeout", asked.client_timeout),
    ];
    let before = match &asked.client {
        Some(id) => Some(of_client(setup, id).await?),
        None => None,
    };
    let policy = laid_over(asked.policy.as_deref(), lives, before.as_ref()).or(before);
    let client = with_policy(policy.unwrap_or_default())?;
    let timing = if asked.client.is_some() { setup.timing()? } else { Timing::default() };
    client.policy.check(&timing, []).map_err(CliError::usage)?;
    let usage = Usage {
        active: asked.active,
        pause: asked.pause,
        every: asked.every,
        timer: asked.timer,
        changes: asked.changes,
        until: asked.until,
    };
    let life = simulate(&client, &timing, &usage).map_err(CliError::usage)?;
    let shown = Shown { policy: &client.policy, usage: &usage, life: &life };
    if let Some(file) = &asked.svg {
        std::fs::write(file, svg::drawing(&shown))
            .map_err(|error| CliError::failed(format!("{} cannot be written: {error}", file.display())))?;
    }
    if setup.json {
        return write(&format!("{:#}", shown.json()));
    }
    write(&[shown.table(asked.all), bars::drawing(&shown, show::width().unwrap_or(80)), shown.summary()].join("\n\n"))
}

async fn of_client(setup: &Setup, id: &str) -> Result<Value, CliError> {
    let answerer = setup.answerer().await?;
    let client = answerer.ask(Method::GET, &path("clients", id, ""), None).await;
    answerer.close().await;
    Ok(client?["policy"].take())
}

/// A client that has this policy and nothing else of note.
fn with_policy(policy: Value) -> Result<Client, CliError> {
    let client = json!({ "id": "simulated", "pv": 1, "apis": ["simulated"], "policy": policy });
    serde_json::from_value(client).map_err(|error| CliError::usage(format!("that is no policy: {error}")))
}
