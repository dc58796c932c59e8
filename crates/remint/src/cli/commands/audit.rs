//! `remint audit`: who did what to whom, when, from where and why. Reads only.

use http::Method;
use remint_core::time::Timestamp;

use super::query;
use crate::cli::{CliError, Setup};
use crate::clock::Clock;
use crate::config::duration;

/// The audit log.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Audit {
    /// List entries, the newest first
    List(Wanted),
}

/// Which entries.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Wanted {
    /// Of this actor, as the list shows it
    #[arg(long)]
    actor: Option<String>,
    /// About this target, as the list shows it
    #[arg(long)]
    target: Option<String>,
    /// Of this act: user.disabled
    #[arg(long)]
    act: Option<String>,
    /// Not older than so long ago (24h), or seconds since 1970
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Older than so long ago (1h), or seconds since 1970
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// Those behind this cursor, the `next` of the page before
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    after: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
}

pub(in crate::cli) async fn run(setup: &Setup, command: Audit) -> Result<(), CliError> {
    let Audit::List(wanted) = command;
    setup.ask(Method::GET, &wanted.path(Clock::system().now())?, None).await
}

impl Wanted {
    fn path(self, now: Timestamp) -> Result<String, CliError> {
        let since = self.since.map(|text| moment("--since", &text, now)).transpose()?;
        let until = self.until.map(|text| moment("--until", &text, now)).transpose()?;
        let parameters = [
            ("actor", self.actor),
            ("target", self.target),
            ("act", self.act),
            ("since", since),
            ("until", until),
            ("cursor", self.after),
            ("limit", Some(self.limit.to_string())),
        ];
        Ok(format!("/admin/api/audit?{}", query(parameters)))
    }
}

/// Seconds since the epoch, given as such or as a length of time ago.
fn moment(flag: &str, text: &str, now: Timestamp) -> Result<String, CliError> {
    let absolute = text.parse::<i64>().ok();
    let ago = duration(text).map(|ago| now.minus(ago).secs());
    let found = absolute.or(ago).map(|secs| secs.to_string());
    found.ok_or_else(|| CliError::usage(format!("{flag} must be a length of time like 24h, or seconds since 1970")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filters_reach_the_query_and_a_length_of_time_is_so_long_ago() {
        let wanted = Wanted {
            actor: Some("client:ops".into()),
            target: None,
            act: Some("user.disabled".into()),
            since: Some("1h".into()),
            until: Some("9000".into()),
            after: Some("c=".into()),
            limit: 5,
        };
        assert_eq!(
            wanted.path(Timestamp::from_secs(10_000)).unwrap(),
            "/admin/api/audit?actor=client%3Aops&act=user.disabled&since=6400&until=9000&cursor=c%3D&limit=5"
        );
        assert!(moment("--since", "yesterday", Timestamp::default()).is_err());
    }
}
