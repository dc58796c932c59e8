//! The command line. Parses, asks, prints; what it asks is answered by a running server over its control socket, or by
//! the same endpoints in this process. A password or a secret is never an argument.
//!
//! Exit codes: 0 done; 1 it failed; 2 the command or the configuration is wrong; 3 not found, or nobody to ask.

use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use remint_core::audit::Reason;
use serde_json::{Value, json};

mod apply;
mod ask;
mod commands;
mod doctor;
mod health;
mod inspect;
mod life;
mod pages;
mod password;
mod remote;
mod show;

use crate::config::{BadConfig, Config, Environment, Flags, Key, Reloader};
use crate::dev::DevError;
use crate::serve::ServeError;
use crate::{dev, serve};

/// Sessions and tokens: renewed, kept up to date with the user record, and ended everywhere within a second.
#[derive(Debug, Parser)]
#[command(name = "remint", version, disable_help_subcommand = true, max_term_width = 100)]
#[command(after_help = "Exit codes: 0 done, 1 failed, 2 wrong command or configuration, 3 not found or nobody to ask.")]
struct Cli {
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    /// The data directory [default: what the configuration says; else ./remint-dev]
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file [default: ./remint.toml if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    remote: remote::Flags,
    /// Why, for the audit log: of a command that changes something
    #[arg(long, global = true, value_name = "TEXT")]
    reason: Option<Reason>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start with no configuration, to try things out: one user, five clients, one api
    Dev(dev::Options),
    /// Start the server
    Serve(ServeFlags),
    /// Users and their attributes
    #[command(subcommand)]
    User(commands::user::User),
    /// Attributes: what a user record may hold
    #[command(subcommand)]
    Attribute(commands::attribute::Attribute),
    /// Clients: the applications
    #[command(subcommand)]
    Client(commands::client::Client),
    /// Apis: the resource servers
    #[command(subcommand)]
    Api(commands::api::Api),
    /// Sessions
    #[command(subcommand)]
    Session(commands::session::Session),
    /// Keys
    #[command(subcommand)]
    Key(commands::key::Key),
    /// Senders: who carries messages to phones
    #[command(subcommand)]
    Sender(commands::sender::Sender),
    /// The audit log: who did what to whom
    #[command(subcommand)]
    Audit(commands::audit::Audit),
    /// Policies: how sessions are renewed and when they end
    #[command(subcommand)]
    Policy(commands::policy::Policy),
    /// Tokens
    #[command(subcommand)]
    Token(inspect::Token),
    /// Make an installation as a file declares it: attributes, apis, clients, senders, users
    Apply(apply::Apply),
    /// Check this installation, or with --url one elsewhere, and say what to do
    Doctor,
    /// Ask the running server whether it is ready
    Health,
    /// The configuration
    #[command(subcommand)]
    Config(commands::config::Configuration),
    /// Copy all data into one file, while the server runs
    Backup {
        /// The file, which must not be there
        file: PathBuf,
    },
    /// Put a backup in the place of lost data, and say what may have revived
    Restore(commands::backup::Restore),
    /// Move an installation whose server is stopped: from a data file into a database, or back
    Migrate(commands::migrate::Migrate),
    /// Print the completion script of a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual: a page for each command into a directory, or all of it as text for `man -l -`
    Man {
        /// The directory, made if it is not there
        directory: Option<PathBuf>,
    },
    /// Print the version
    Version,
}

impl Command {
    /// Whether it is about this machine, or asks nobody at all. `url_is_given`: the command line itself names a server.
    const fn is_local(&self, url_is_given: bool) -> bool {
        match self {
            Self::Dev(_) | Self::Serve(_) | Self::Health | Self::Config(_) => true,
            Self::Backup { .. } | Self::Restore(_) | Self::Migrate(_) => true,
            Self::Token(_) | Self::Completion { .. } | Self::Man { .. } | Self::Version => true,
            Self::User(_) | Self::Attribute(_) | Self::Client(_) | Self::Api(_) | Self::Session(_) => false,
            Self::Key(_) | Self::Sender(_) | Self::Audit(_) | Self::Policy(_) | Self::Apply(_) => false,
            Self::Doctor => !url_is_given, // most of what it looks at, only the machine of the server knows
        }
    }

    /// Whether nothing of it can be in the audit log. Of the others each request says it for itself.
    const fn is_never_told(&self) -> bool {
        match self {
            Self::Dev(_) | Self::Serve(_) | Self::Doctor | Self::Health | Self::Policy(_) | Self::Token(_) => true,
            Self::Completion { .. } | Self::Man { .. } | Self::Version | Self::Migrate(_) => true,
            Self::Config(command) => matches!(command, commands::config::Configuration::Show { .. }),
            Self::User(_) | Self::Attribute(_) | Self::Client(_) | Self::Api(_) | Self::Session(_) => false,
            Self::Key(_) | Self::Sender(_) | Self::Audit(_) | Self::Apply(_) => false,
            Self::Backup { .. } | Self::Restore(_) => false,
        }
    }
}

/// The settings that are also flags. All others stand in the file or the environment.
#[derive(Debug, clap::Args)]
struct ServeFlags {
    /// The URL at which the world reaches this server: https://id.example.com
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The file of the master key, outside the data directory, mode 0600
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<String>,
    /// Where to answer; TLS is the proxy's in front [default: 127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Where to answer /livez, /readyz and /metrics [default: 127.0.0.1:7071]
    #[arg(long, value_name = "ADDRESS")]
    operations_listen: Option<String>,
    /// A proxy or a range of them whose X-Forwarded-For counts; may be repeated
    #[arg(long, value_name = "RANGE", value_delimiter = ',')]
    trusted_proxies: Vec<String>,
    /// What to log [default: info]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// text or json [default: text]
    #[arg(long, value_name = "FORM")]
    log_format: Option<String>,
}

/// How a command ended badly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It was tried, and failed.
    Failed,
    /// The command or the configuration is wrong.
    Usage,
    /// What was asked for is not there, or nobody could be asked.
    NotFound,
}

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
        }
    }
}

/// Why a command ended badly, and what to do.
#[derive(Debug)]
pub struct CliError {
    exit: Exit,
    message: String,
}

impl CliError {
    fn new(exit: Exit, message: impl ToString) -> Self {
        Self { exit, message: message.to_string() }
    }

    fn failed(message: impl ToString) -> Self {
        Self::new(Exit::Failed, message)
    }

    fn usage(message: impl ToString) -> Self {
        Self::new(Exit::Usage, message)
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<BadConfig> for CliError {
    fn from(bad: BadConfig) -> Self {
        Self::usage(bad)
    }
}

impl From<ServeError> for CliError {
    fn from(error: ServeError) -> Self {
        Self::failed(error)
    }
}

impl From<DevError> for CliError {
    fn from(error: DevError) -> Self {
        match error {
            DevError::PortTaken { .. } | DevError::NotDev(_) | DevError::TooFast { .. } => Self::usage(error),
            DevError::Serve(_) | DevError::Listen(_) | DevError::Folder { .. } | DevError::Damaged(_) => {
                Self::failed(error)
            }
        }
    }
}

impl From<std::io::Error> for CliError {
    fn from(error: std::io::Error) -> Self {
        Self::failed(error)
    }
}

/// What every command needs to know of the command line.
struct Setup {
    json: bool,
    flags: Flags,
    environment: Environment,
    remote: Option<remote::Address>,
    reason: Option<Reason>,
}

/// Runs a command line, and says how it went.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return misread(&arguments, &error),
    };
    let json = cli.json;
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return report(json, &CliError::failed(format!("no threads could be started: {error}"))),
    };
    let outcome = runtime.block_on(run(cli));
    runtime.shutdown_background(); // a name that still resolves keeps nobody waiting
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report(json, &error),
    }
}

/// A command line that cannot be read, or that asks for help. With `--json` the error is JSON, as every other.
fn misread(arguments: &[OsString], error: &clap::Error) -> ExitCode {
    if error.use_stderr() && arguments.iter().any(|argument| argument == "--json") {
        let text = error.render().to_string();
        return report(true, &CliError::usage(text.strip_prefix("error: ").unwrap_or(&text).trim_end()));
    }
    let _ = error.print(); // nothing can be done where even that fails
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2))
}

fn report(json: bool, error: &CliError) -> ExitCode {
    // An answer of a server can stand in it: it does not steer the terminal.
    let message: String = error.message.chars().filter(|c| !c.is_control() || *c == '\n').collect();
    let text = if json { json!({ "error": message }).to_string() } else { format!("remint: {message}") };
    let _ = writeln!(std::io::stderr(), "{text}"); // nothing can be done where even that fails
    ExitCode::from(error.exit.code())
}

async fn run(cli: Cli) -> Result<(), CliError> {
    let mut flags = Flags { file: cli.config, ..Flags::default() };
    if let Some(data) = &cli.data {
        flags.values.insert(Key::Data, vec![data.display().to_string()]);
    }
    let environment = Environment::of_process();
    let is_local = cli.command.is_local(cli.remote.url_is_given());
    let remote = cli.remote.address(&environment, is_local, cli.data.is_some())?;
    if cli.reason.is_some() && cli.command.is_never_told() {
        return Err(CliError::usage(ask::NOTHING_TO_TELL));
    }
    let mut setup = Setup { json: cli.json, flags, environment, remote, reason: cli.reason };
    match cli.command {
        Command::Dev(options) => Ok(dev::dev(cli.data, options).await?),
        Command::Serve(serving) => {
            serving.into_flags(&mut setup.flags);
            let reloader = Reloader::new(&setup.flags, &setup.environment)?;
            Ok(serve::serve(Config::load(&setup.flags, &setup.environment)?, Some(reloader)).await?)
        }
        Command::User(command) => commands::user::run(&setup, command).await,
        Command::Attribute(command) => commands::attribute::run(&setup, command).await,
        Command::Audit(command) => commands::audit::run(&setup, command).await,
        Command::Client(command) => commands::client::run(&setup, command).await,
        Command::Api(command) => commands::api::run(&setup, command).await,
        Command::Session(command) => commands::session::run(&setup, command).await,
        Command::Key(command) => commands::key::run(&setup, command).await,
        Command::Sender(command) => commands::sender::run(&setup, command).await,
        Command::Policy(command) => commands::policy::run(&setup, command).await,
        Command::Token(command) => inspect::run(setup.json, command),
        Command::Apply(command) => apply::run(&setup, command).await,
        Command::Completion { shell } => write_bytes(&pages::completion(shell)),
        Command::Man { directory } => pages::manual(directory.as_deref()),
        Command::Doctor => doctor::run(&setup).await,
        Command::Health => health::run(&setup).await,
        Command::Config(command) => commands::config::run(&setup, command).await,
        Command::Backup { file } => commands::backup::backup(&setup, &file).await,
        Command::Restore(command) => commands::backup::run(&setup, command).await,
        Command::Migrate(command) => commands::migrate::run(&setup, command).await,
        Command::Version => {
            let version = json!({ "version": env!("CARGO_PKG_VERSION"), "schema": crate::store::LATEST_SCHEMA });
            setup.print(&version)
        }
    }
}

impl Setup {
    fn print(&self, value: &Value) -> Result<(), CliError> {
        let text = if self.json { format!("{value:#}") } else { show::text(value) };
        write(&text)
    }
}

/// To standard output.
fn write(text: &str) -> Result<(), CliError> {
    write_bytes(format!("{text}\n").as_bytes())
}

/// Where nobody reads it any more, there is nobody to tell.
fn write_bytes(bytes: &[u8]) -> Result<(), CliError> {
    match std::io::stdout().lock().write_all(bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

impl ServeFlags {
    fn into_flags(self, flags: &mut Flags) {
        let single = [
            (Key::PublicUrl, self.public_url),
            (Key::MasterKeyFile, self.master_key_file),
            (Key::Listen, self.listen),
            (Key::OperationsListen, self.operations_listen),
            (Key::Log, self.log),
            (Key::LogFormat, self.log_format),
        ];
        flags.values.extend(single.into_iter().filter_map(|(key, value)| Some((key, vec![value?]))));
        if !self.trusted_proxies.is_empty() {
            flags.values.insert(Key::TrustedProxies, self.trusted_proxies);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn a_wrong_command_is_a_usage_error() {
        for wrong in
            [&["remint", "sever"][..], &["remint", "user", "create"], &["remint", "key", "rotate", "--now", "x"]]
        {
            let error = Cli::try_parse_from(wrong).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn an_id_that_begins_with_a_hyphen_is_an_id() {
        const ID: &str = "-WpPHVBVhDf421amoJKWag"; // one of 64 in base64url
        for before in [
            &["session", "end"][..],
            &["session", "list"],
            &["session", "end-all"],
            &["user", "show"],
            &["user", "disable"],
            &["user", "list", "--after"],
            &["audit", "list", "--after"],
        ] {
            let line = [&["remint"], before, &[ID, "--json"]].concat();
            let cli = Cli::try_parse_from(&line).unwrap();
            assert!(cli.json && format!("{:?}", cli.command).contains(ID), "{line:?}");
            let line = [&["remint", "--json"], before, &["-hPHVBVhDf421amoJKWag"]].concat();
            assert!(Cli::try_parse_from(&line).is_ok(), "{line:?}");
        }
        assert!(Cli::try_parse_from(["remint", "key", "withdraw", ID, "--yes"]).is_ok());
        assert!(Cli::try_parse_from(["remint", "session", "end", "--help"]).is_err_and(|error| !error.use_stderr()));
    }

    #[test]
    fn every_setting_of_serve_that_is_a_flag_reaches_the_configuration() {
        let cli = Cli::try_parse_from([
            "remint",
            "serve",
            "--public-url",
            "u",
            "--master-key-file",
            "m",
            "--listen",
            "l",
            "--operations-listen",
            "o",
            "--trusted-proxies",
            "10.0.0.0/8,::1",
            "--log",
            "warn",
            "--log-format",
            "json",
        ]);
        let Command::Serve(serving) = cli.unwrap().command else { panic!("not serve") };
        let mut flags = Flags::default();
        serving.into_flags(&mut flags);
        assert_eq!(flags.values.len(), 7);
        assert_eq!(flags.values[&Key::TrustedProxies], ["10.0.0.0/8", "::1"]);
    }
}
