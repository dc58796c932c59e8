//! `remint sender`: who carries messages to phones.

use std::path::{Path, PathBuf};

use http::Method;
use serde_json::{Value, json};

use crate::cli::ask::path;
use crate::cli::{CliError, Setup};
use crate::config::{checked_secret, read_secret};

/// Senders: who carries messages to phones.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Sender {
    /// List the senders, that of the configuration too, and which is in use
    List,
    /// Declare a sender, in use at once; what is not given takes its default, but for the secret, which stays
    Set(Box<Declaration>),
    /// Remove a declared sender: without one no codes are sent, and nobody with a phone number can log in
    Remove {
        /// Its name
        #[arg(value_parser = ["sms"])]
        name: String,
        /// Say that it is meant
        #[arg(long, required = true)]
        yes: bool,
    },
}

/// A declaration.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Declaration {
    /// Its name
    #[arg(value_parser = ["sms"])]
    name: String,
    /// Where messages are posted: https (or http on the machine of the server)
    #[arg(long, value_name = "URL")]
    webhook_url: String,
    /// The file of the secret that posts are signed with, at least 32 bytes (`-`: standard input)
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Codes to one number in an hour
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_number: Option<u32>,
    /// Codes to ten thousand neighbouring numbers in an hour
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_block: Option<u32>,
    /// Codes asked for from one address in an hour
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_address: Option<u32>,
    /// Codes in a day
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    per_day: Option<u32>,
    /// The calling code of a country that codes are sent to [default: all]
    #[arg(long = "country", value_name = "CODE")]
    countries: Vec<String>,
}

impl Declaration {
    fn body(&self) -> Result<Value, CliError> {
        let secret = match &self.secret_file {
            None => None,
            Some(file) if file == Path::new("-") => {
                let text = zeroize::Zeroizing::new(std::io::read_to_string(std::io::stdin())?);
                Some(checked_secret(text.trim()))
            }
            Some(file) => Some(read_secret(file)),
        };
        let secret = secret.transpose().map_err(CliError::usage)?;
        let all = json!({
            "webhook_url": self.webhook_url,
            "secret": secret.as_ref().map(|secret| secret.reveal()),
            "per_number": self.per_number,
            "per_block": self.per_block,
            "per_address": self.per_address,
            "per_day": self.per_day,
            "countries": (!self.countries.is_empty()).then_some(&self.countries),
        });
        Ok(all)
    }
}

pub(in crate::cli) async fn run(setup: &Setup, command: Sender) -> Result<(), CliError> {
    match command {
        Sender::List => setup.ask(Method::GET, "/admin/api/senders", None).await,
        Sender::Set(declaration) => {
            let body = declaration.body()?;
            setup.ask(Method::PUT, &path("senders", &declaration.name, ""), Some(body)).await
        }
        Sender::Remove { name, .. } => setup.ask(Method::DELETE, &path("senders", &name, ""), None).await,
    }
}
