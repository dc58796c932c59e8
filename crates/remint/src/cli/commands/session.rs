//! `remint session`.

use http::Method;

use crate::cli::ask::path;
use crate::cli::{CliError, Setup};

/// Sessions.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Session {
    /// List the sessions of a user
    List {
        /// The user's id or an identifier
        #[arg(allow_hyphen_values = true)]
        user: String,
    },
    /// End a session: every api refuses its tokens within a second
    End {
        /// Its sid
        #[arg(allow_hyphen_values = true)]
        sid: String,
    },
    /// End every session of a user
    EndAll {
        /// The user's id or an identifier
        #[arg(allow_hyphen_values = true)]
        user: String,
    },
}

pub(in crate::cli) async fn run(setup: &Setup, command: Session) -> Result<(), CliError> {
    match command {
        Session::List { user } => setup.ask(Method::GET, &path("users", &user, "/sessions"), None).await,
        Session::EndAll { user } => setup.ask(Method::DELETE, &path("users", &user, "/sessions"), None).await,
        Session::End { sid } => setup.ask(Method::DELETE, &path("sessions", &sid, ""), None).await,
    }
}
