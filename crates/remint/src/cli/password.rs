//! Reads a password from a file, from standard input, or from a person at a terminal. Never from an argument: those
//! are in the list of processes for everybody to see.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use zeroize::Zeroizing;

use super::CliError;

/// How a password reaches the command.
#[derive(Debug, clap::Args)]
pub(super) struct PasswordFrom {
    /// Read the password from the first line of this file (`-`: standard input) [default: ask, or standard input]
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordFrom {
    /// The password.
    pub(super) fn read(&self) -> Result<Zeroizing<String>, CliError> {
        let text = match &self.password_file {
            Some(file) if file != Path::new("-") => return read_file(file).map_err(CliError::usage),
            None if std::io::stdin().is_terminal() => return asked(),
            Some(_) | None => line()?,
        };
        first_line(&text).ok_or_else(|| CliError::usage("the password is empty"))
    }
}

/// The password in the first line of a file.
pub(super) fn read_file(file: &Path) -> Result<Zeroizing<String>, String> {
    let text =
        first_of(file).map_err(|error| format!("the password file {} cannot be read: {error}", file.display()))?;
    first_line(&text).ok_or_else(|| format!("the password in {} is empty", file.display()))
}

fn first_line(text: &str) -> Option<Zeroizing<String>> {
    let first = Zeroizing::new(text.lines().next().unwrap_or_default().to_owned());
    (!first.is_empty()).then_some(first)
}

/// The beginning of a file, however long it is.
fn first_of(file: &Path) -> std::io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(file)?.take(MOST_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Longer than any password that is taken, and its line's end.
const MOST_BYTES: u64 = 2 * remint_core::secret::Password::MAX_BYTES as u64;

fn line() -> Result<Zeroizing<String>, CliError> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().take(MOST_BYTES).read_line(&mut line)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Asks twice, with the terminal's echo off while it can be.
fn asked() -> Result<Zeroizing<String>, CliError> {
    let echo = |mode: &str| Command::new("stty").arg(mode).stdin(Stdio::inherit()).stderr(Stdio::null()).status();
    let silent = echo("-echo").is_ok_and(|status| status.success());
    let answers = prompt("Password: ").and_then(|first| Ok((first, prompt("\nAgain: ")?)));
    if silent {
        let _ = echo("echo"); // the shell restores it too
    }
    let (first, second) = answers?;
    writeln!(std::io::stderr())?;
    match (first.is_empty(), *first == *second) {
        (true, _) => Err(CliError::usage("the password is empty")),
        (false, false) => Err(CliError::usage("the two passwords differ")),
        (false, true) => Ok(first),
    }
}

fn prompt(text: &str) -> Result<Zeroizing<String>, CliError> {
    let mut terminal = std::io::stderr();
    write!(terminal, "{text}")?;
    terminal.flush()?;
    line()
}
