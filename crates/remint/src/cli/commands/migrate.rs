//! `remint migrate`: an installation from one store into another, told as it goes. A password is not taken from the command
//! line, and no URL is shown.

use std::io::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::cli::{CliError, Exit, Setup};
use crate::config::Config;
use crate::serve::make_private;
use crate::store::{MoveError, Moved, Progress, Whereabouts, relocate};

/// How many rows of a table go by between two words about it.
const TOLD_EVERY: u64 = 100_000;

/// What `remint migrate` is told.
#[derive(Debug, clap::Args)]
#[command(after_help = "One of the two may be left away: then it is the database that `serve` is told \
                        (`database`, REMINT_DATABASE, REMINT_DATABASE_FILE). A URL with a password belongs there.")]
pub(in crate::cli) struct Migrate {
    /// Where the installation is: sqlite:DATA/remint.db or postgres://USER@HOST/DATABASE
    #[arg(long, value_name = "STORE", required_unless_present = "to")]
    from: Option<String>,
    /// Where it is to be: an empty database, or a file that is not there
    #[arg(long, value_name = "STORE")]
    to: Option<String>,
}

/// Moves an installation.
pub(in crate::cli) async fn run(setup: &Setup, command: Migrate) -> Result<(), CliError> {
    let (database, ca_file) = Config::database(&setup.flags, &setup.environment)?;
    let side = |flag: &str, given: Option<String>| match (given, &database) {
        (Some(text), _) => named(flag, &text),
        (None, Some(database)) => Ok(Whereabouts::Postgres(database.clone())),
        (None, None) => Err(CliError::usage(format!("{flag} is not given, and `database` is not set: give one"))),
    };
    let (from, to) = (side("--from", command.from)?, side("--to", command.to)?);
    if from == to {
        return Err(CliError::usage(format!("{from} is where the installation is: name another place for it")));
    }
    if let Whereabouts::Sqlite(path) = &to {
        make_private(path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))?;
    }
    let (names, mut teller) = ((from.to_string(), to.to_string()), Teller { json: setup.json, told: 0 });
    let moving = move || relocate(&from, &to, ca_file.as_deref(), &mut |progress| teller.hear(progress));
    let moved = tokio::task::spawn_blocking(moving).await.map_err(CliError::failed)??;
    setup.print(&view(&moved, &names))
}

/// Tells on standard error how far it is.
struct Teller {
    json: bool,
    /// How many rows of this table were told.
    told: u64,
}

impl Teller {
    fn hear(&mut self, progress: Progress<'_>) {
        match progress {
            Progress::Copied { table, rows } if rows >= self.told + TOLD_EVERY => {
                self.told = rows;
                self.say(table, rows, false);
            }
            Progress::Copied { .. } => {}
            Progress::Arrived(moved) => {
                self.told = 0;
                self.say(&moved.table, moved.tally.rows, true);
            }
        }
    }

    fn say(&self, table: &str, rows: u64, verified: bool) {
        let line = match (self.json, verified) {
            (true, _) => json!({ "table": table, "rows": rows, "verified": verified }).to_string(),
            (false, true) => format!("{table}: {rows} rows, read back and the same"),
            (false, false) => format!("{table}: {rows} rows so far"),
        };
        let _ = writeln!(std::io::stderr(), "{line}"); // where nobody listens, there is nobody to tell
    }
}

/// What was moved, and what the operator does next.
fn view(moved: &[Moved], (from, to): &(String, String)) -> Value {
    let table =
        |moved: &Moved| json!({ "table": moved.table, "rows": moved.tally.rows, "digest": moved.tally.digest() });
    json!({
        "from": from,
        "to": to,
        "tables": moved.iter().map(table).collect::<Vec<_>>(),
        "what_next": format!(
            "start the server with its data in {to}. Never start one again with {from}: there, what is ended from now on \
             would go on"
        ),
    })
}

/// A store that is named on the command line, where others can read it.
fn named(flag: &str, text: &str) -> Result<Whereabouts, CliError> {
    let store: Whereabouts = text.parse().map_err(|bad| CliError::usage(format!("{flag}: {bad}")))?;
    if store.holds_password() {
        return Err(CliError::usage(format!(
            "{flag}: a password does not belong on the command line. Put the URL into REMINT_DATABASE, or into a file \
             that REMINT_DATABASE_FILE names, and leave {flag} away"
        )));
    }
    Ok(store)
}

impl From<MoveError> for CliError {
    fn from(error: MoveError) -> Self {
        match error {
            MoveError::NothingThere(_) => Self::new(Exit::NotFound, error),
            MoveError::NotEmpty(_) => Self::usage(error),
            MoveError::Open(_)
            | MoveError::UnderWay(_)
            | MoveError::Unlike { .. }
            | MoveError::Failed { .. }
            | MoveError::Differs { .. }
            | MoveError::Unknown(_) => Self::failed(error),
        }
    }
}
