//! `remint client`.

use http::Method;
use remint_core::administration::AdminScope;
use serde_json::{Map, Value, json};

use super::{Paging, pairs, query};
use crate::cli::ask::path;
use crate::cli::{CliError, Setup};
use crate::config::duration;

/// Clients: the applications.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Client {
    /// Make a client; the secret of a confidential one is printed once
    Create {
        /// Its client_id
        id: String,
        /// It can keep a secret, and gets one
        #[arg(long)]
        confidential: bool,
        #[command(flatten)]
        settings: Settings,
    },
    /// Show a client
    Show {
        /// Its client_id
        id: String,
    },
    /// List clients
    List(Paging),
    /// Change settings; what tokens show differently makes the old ones stale
    Update {
        /// Its client_id
        id: String,
        #[command(flatten)]
        settings: Settings,
    },
    /// Give it no more tokens, and end those that it has
    Disable {
        /// Its client_id
        id: String,
    },
    /// Give it tokens again
    Enable {
        /// Its client_id
        id: String,
    },
    /// Make a new secret, printed once; the old one is refused from now on
    RotateSecret {
        /// Its client_id
        id: String,
    },
}

/// The settings of a client. What is not given stays, or takes its default.
#[derive(Debug, Default, clap::Args)]
pub(in crate::cli) struct Settings {
    /// For people to read
    #[arg(long)]
    name: Option<String>,
    /// How its sessions are renewed
    #[arg(long, value_parser = ["rolling", "fixed", "refresh", "cookie"])]
    policy: Option<String>,
    /// Life of an access token: 5m
    #[arg(long, value_parser = seconds, value_name = "TIME")]
    life: Option<u64>,
    /// End of a session that nobody uses: 14d
    #[arg(long, value_parser = seconds, value_name = "TIME")]
    idle: Option<u64>,
    /// End of every session: 90d
    #[arg(long, value_parser = seconds, value_name = "TIME")]
    absolute: Option<u64>,
    /// The longest that it waits for an answer: 10s
    #[arg(long, value_parser = seconds, value_name = "TIME")]
    client_timeout: Option<u64>,
    /// An api that it may call, by its audience; the first is the default
    #[arg(long = "api", value_name = "AUDIENCE")]
    apis: Vec<String>,
    /// A scope that it may be granted
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// An origin of its pages
    #[arg(long = "origin", value_name = "ORIGIN")]
    origins: Vec<String>,
    /// A claim of its tokens and the attribute that it shows
    #[arg(long = "claim", value_name = "CLAIM=ATTRIBUTE")]
    claims: Vec<String>,
    /// Whether it may use the session API: for applications of this installation's own
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    first_party: Option<bool>,
    /// Whether it may use the grant client_credentials
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    client_credentials: Option<bool>,
    /// Whether every refresh answers a refresh token: for one process that cannot do without
    #[arg(long, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    always_return_refresh: Option<bool>,
    /// How its refresh tokens travel: in bodies, or in a cookie that no script can read
    #[arg(long, value_parser = ["body", "cookie"])]
    transport: Option<String>,
    /// A scope of the admin API that it may be granted; with one it may administer
    #[arg(long = "administration", value_name = "SCOPE", value_parser = AdminScope::ALL.map(AdminScope::as_str))]
    administration: Vec<String>,
    /// A client at which it may open sessions, with the scope remint:sessions:open
    #[arg(long = "opens-sessions-at", value_name = "CLIENT_ID", conflicts_with = "no_administration")]
    opens_sessions_at: Vec<String>,
    /// Let it administer nothing any more
    #[arg(long, conflicts_with = "administration")]
    no_administration: bool,
}

pub(super) fn seconds(text: &str) -> Result<u64, &'static str> {
    duration(text).map(|duration| duration.as_secs()).ok_or("a length of time like 30s, 5m, 12h or 90d")
}

impl Settings {
    /// The members that were given.
    fn members(&self) -> Result<Map<String, Value>, CliError> {
        let mut members = Map::new();
        let mut put = |name: &str, value: Option<Value>| value.map(|value| members.insert(name.to_owned(), value));
        put("name", self.name.as_ref().map(|name| json!(name)));
        put("apis", (!self.apis.is_empty()).then(|| json!(self.apis)));
        put("scopes", (!self.scopes.is_empty()).then(|| json!(self.scopes.join(" "))));
        put("origins", (!self.origins.is_empty()).then(|| json!(self.origins)));
        put("mapping", (!self.claims.is_empty()).then(|| pairs(&self.claims)).transpose()?.map(Value::Object));
        put("first_party", self.first_party.map(Value::from));
        put("client_credentials", self.client_credentials.map(Value::from));
        put("always_return_refresh", self.always_return_refresh.map(Value::from));
        put("transport", self.transport.as_ref().map(|transport| json!(transport)));
        Ok(members)
    }

    /// What it may do of administration, over what that is now: each list that is given takes the place of the one before.
    fn administration(&self, now: &Value) -> Option<Value> {
        if self.no_administration {
            return Some(Value::Null);
        }
        if self.administration.is_empty() && self.opens_sessions_at.is_empty() {
            return None;
        }
        let mut administration = if now.is_object() { now.clone() } else { json!({ "scopes": "" }) };
        if !self.administration.is_empty() {
            administration["scopes"] = json!(self.administration.join(" "));
        }
        if !self.opens_sessions_at.is_empty() {
            administration["opens_sessions_at"] = json!(self.opens_sessions_at);
        }
        Some(administration)
    }

    /// The policy, over what it is now.
    fn policy(&self, now: Option<&Value>) -> Option<Value> {
        let lives = [
            ("life", self.life),
            ("idle", self.idle),
            ("absolute", self.absolute),
            ("client_timeout", self.client_timeout),
        ];
        laid_over(self.policy.as_deref(), lives, now)
    }
}

/// A policy with what was given of it laid over what it is now; `None` where nothing was given.
pub(super) fn laid_over(kind: Option<&str>, lives: [(&str, Option<u64>); 4], now: Option<&Value>) -> Option<Value> {
    let mut policy = match (kind, now) {
        (Some(kind), Some(now)) if now["kind"] == json!(kind) => now.clone(),
        (Some(kind), _) => json!({ "kind": kind }),
        (None, Some(now)) if lives.iter().any(|(_, life)| life.is_some()) => now.clone(),
        (None, _) => return None,
    };
    for (name, life) in lives {
        if let Some(life) = life {
            policy[name] = json!(life);
        }
    }
    Some(policy)
}

pub(in crate::cli) async fn run(setup: &Setup, command: Client) -> Result<(), CliError> {
    let (method, path, body) = match command {
        Client::Create { id, confidential, settings } => {
            let policy = settings
                .policy(None)
                .ok_or_else(|| CliError::usage("a client needs --policy: rolling, fixed or refresh"))?;
            let mut body = settings.members()?;
            if !body.contains_key("apis") {
                return Err(CliError::usage("a client needs --api: the first one is the audience of its tokens"));
            }
            body.insert("id".into(), json!(id));
            body.insert("confidential".into(), json!(confidential));
            body.insert("policy".into(), policy);
            body.extend(settings.administration(&Value::Null).map(|given| ("administration".to_owned(), given)));
            (Method::POST, "/admin/api/clients".to_owned(), Some(Value::Object(body)))
        }
        Client::Update { id, settings } => return update(setup, &id, &settings).await,
        Client::Show { id } => (Method::GET, path("clients", &id, ""), None),
        Client::List(page) => (Method::GET, format!("/admin/api/clients?{}", query(page.parameters())), None),
        Client::Disable { id } => (Method::POST, path("clients", &id, "/disable"), None),
        Client::Enable { id } => (Method::POST, path("clients", &id, "/enable"), None),
        Client::RotateSecret { id } => (Method::POST, path("clients", &id, "/secret"), None),
    };
    setup.ask(method, &path, body).await
}

async fn update(setup: &Setup, id: &str, settings: &Settings) -> Result<(), CliError> {
    let (answerer, path) = (setup.answerer().await?, path("clients", id, ""));
    let updated = async {
        let now = answerer.ask(Method::GET, &path, None).await?;
        let mut body = settings.members()?;
        body.extend(settings.policy(Some(&now["policy"])).map(|policy| ("policy".to_owned(), policy)));
        let administration = settings.administration(&now["administration"]);
        body.extend(administration.map(|given| ("administration".to_owned(), given)));
        if body.is_empty() {
            return Err(CliError::usage("nothing to change: give at least one setting"));
        }
        answerer.ask(Method::PATCH, &path, Some(Value::Object(body))).await
    }
    .await;
    answerer.close().await;
    setup.print(&updated?)
}
