//! `remint session`.

use http::Method;

use super::{Paging, query};
use crate::cli::ask::path;
use crate::cli::{CliError, Setup};

/// Sessions.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Session {
    /// List sessions: those of a user, the one last seen first; all, or a page of them, in the order of their ids
    List {
        /// The user's id or an identifier
        #[arg(allow_hyphen_values = true)]
        user: Option<String>,
        /// Those at this client only
        #[arg(long, value_name = "ID")]
        client: Option<String>,
        #[command(flatten)]
        page: Paging,
    },
    /// Show a session
    Show {
        /// Its sid
        #[arg(allow_hyphen_values = true)]
        sid: String,
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
        Session::List { user: Some(user), client: None, page: Paging { after: None, limit: None } } => {
            setup.ask(Method::GET, &path("users", &user, "/sessions"), None).await
        }
        Session::List { user, client, page } => {
            let query = query([("user", user), ("client_id", client)].into_iter().chain(page.parameters()));
            setup.ask(Method::GET, &format!("/admin/api/sessions?{query}"), None).await
        }
        Session::Show { sid } => setup.ask(Method::GET, &path("sessions", &sid, ""), None).await,
        Session::EndAll { user } => setup.ask(Method::DELETE, &path("users", &user, "/sessions"), None).await,
        Session::End { sid } => setup.ask(Method::DELETE, &path("sessions", &sid, ""), None).await,
    }
}
