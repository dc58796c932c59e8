//! `remint apply FILE`: an installation as its file says. Reads the file, asks what is there, and does the difference by
//! the same requests as every other command; once more, there is nothing to do. Nothing is deleted: what the file does
//! not name stays as it is.

use std::path::{Path, PathBuf};

use http::Method;
use remint_core::policy::Timing;
use serde_json::{Map, Value, json};

use super::ask::{Answerer, encoded, path};
use super::{CliError, Exit, Setup, write};

mod file;
mod plan;
mod secrets;
mod senders;

use file::{Entry, Section};
use plan::{Beside, Change, Current, Step};
use secrets::Secrets;

/// A file that declares an installation.
#[derive(Debug, clap::Args)]
pub(super) struct Apply {
    /// The file, TOML: [attributes.NAME], [apis.ID], [clients.ID], [senders.sms], [users."IDENTIFIER"]
    file: PathBuf,
    /// Say what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Where the secrets of new apis and clients are written, mode 0600 [default: they are printed once]
    #[arg(long, value_name = "FILE")]
    secrets: Option<PathBuf>,
}

pub(super) async fn run(setup: &Setup, apply: Apply) -> Result<(), CliError> {
    let text = std::fs::read_to_string(&apply.file)
        .map_err(|error| CliError::usage(format!("{} cannot be read: {error}", apply.file.display())))?;
    let wrong = |all: Vec<String>| CliError::usage(file::named(&apply.file, &all));
    let entries = file::read(&text).map_err(wrong)?;
    let timing = setup.timing()?;
    let answerer = setup.answerer().await?;
    let outcome = async {
        let folder = apply.file.parent().unwrap_or(Path::new(""));
        let beside = Beside { folder, environment: &setup.environment };
        let current = current(&answerer, &entries, &beside).await?;
        let plan = plan::plan(&entries, &current, &timing, &beside).map_err(wrong)?;
        let notes = [notes(&current), plan.notes].concat();
        let report = Report { setup, steps: &plan.steps, notes, dry_run: apply.dry_run, done: 0 };
        done(report, &answerer, &apply).await
    }
    .await;
    answerer.close().await;
    outcome
}

/// What is there of what the file may name.
async fn current(answerer: &Answerer, entries: &[Entry], beside: &Beside<'_>) -> Result<Current, CliError> {
    let mut lists = [Section::Attributes, Section::Apis, Section::Clients].map(|section| (section, Vec::new()));
    for (section, list) in &mut lists {
        let mut path = format!("/admin/api/{}", section.name());
        loop {
            let page = answerer.ask(Method::GET, &path, None).await?;
            list.extend(page[section.name()].as_array().into_iter().flatten().filter_map(Value::as_object).cloned());
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/admin/api/{}?cursor={}", section.name(), encoded(next));
        }
    }
    let [(_, attributes), (_, apis), (_, clients)] = lists;
    let mut users = std::collections::BTreeMap::new();
    for name in entries.iter().flat_map(plan::names_of_user) {
        if let Some(Value::Object(user)) = answerer.find(&path("users", &name, "")).await? {
            users.insert(name, user);
        }
    }
    let senders = senders::compared(answerer, entries, beside).await?;
    Ok(Current { attributes, apis, clients, users, senders })
}

/// What a reader of the file must know beside the difference.
fn notes(current: &Current) -> Vec<String> {
    let note = |(name, compared): (&String, &Result<senders::Compared, String>)| {
        let overridden = &compared.as_ref().ok()?.overridden;
        let wins = || {
            let all = overridden.join(", ");
            format!("senders.{name}: the configuration of the server sets {all}, and wins over this file")
        };
        (!overridden.is_empty()).then(wins)
    };
    current.senders.iter().filter_map(note).collect()
}

/// Takes the steps, unless it is a rehearsal, and tells them.
async fn done(mut report: Report<'_>, answerer: &Answerer, apply: &Apply) -> Result<(), CliError> {
    let steps = report.steps;
    if apply.dry_run {
        return report.print(&Secrets::Printed(Default::default()));
    }
    let expected: Vec<&str> = steps.iter().filter(|step| step.makes_secret).map(|step| step.name.as_str()).collect();
    let mut secrets = Secrets::open(apply.secrets.as_deref(), &expected)?;
    let mut outcome = Ok(());
    for step in steps {
        outcome = taken(answerer, step, &mut secrets).await;
        if outcome.is_err() {
            break;
        }
        report.done += 1;
    }
    report.print(&secrets)?; // what was made must be told, whatever came after
    outcome.map_err(|error| {
        let rest = steps.len() - report.done;
        let message =
            format!("{}:{error} ({rest} of {} left: mend it and run this again)", apply.file.display(), steps.len());
        CliError::new(if error.exit == Exit::Usage { Exit::Usage } else { Exit::Failed }, message)
    })
}

async fn taken(answerer: &Answerer, step: &Step, secrets: &mut Secrets) -> Result<(), CliError> {
    let answer = answerer.ask(step.method.clone(), &step.path, step.body.clone()).await;
    let answer = answer.map_err(|error| CliError::new(error.exit, format!("{}: {error}", step.at)))?;
    match answer["client_secret"].as_str() {
        Some(secret) if step.makes_secret => secrets.keep(&step.name, secret),
        Some(_) | None => Ok(()),
    }
}

/// What is told of a run.
struct Report<'a> {
    setup: &'a Setup,
    steps: &'a [Step],
    notes: Vec<String>,
    dry_run: bool,
    done: usize,
}

impl Report<'_> {
    fn print(&self, secrets: &Secrets) -> Result<(), CliError> {
        let shown = if self.dry_run { self.steps } else { &self.steps[..self.done] };
        if self.setup.json {
            return write(&format!("{:#}", self.json(shown, secrets)));
        }
        let mut lines: Vec<String> = shown.iter().flat_map(told).collect();
        lines.extend(self.notes.iter().cloned());
        let new = shown.iter().filter(|step| step.is_new).count();
        let changed = shown.len() - new;
        lines.push(match (self.steps.is_empty(), self.dry_run) {
            (true, _) => "Nothing to change.".to_owned(),
            (false, true) => format!("{new} to make, {changed} to change. Nothing was done (--dry-run)."),
            (false, false) => format!("{new} made, {changed} changed."),
        });
        let all: Vec<String> = secrets.printed().map(|(id, secret)| format!("  {id}  {secret}")).collect();
        if !all.is_empty() {
            lines.push("\nSecrets, shown this once (with --secrets FILE they go into a file):".to_owned());
            lines.extend(all);
        }
        write(&lines.join("\n"))
    }

    fn json(&self, shown: &[Step], secrets: &Secrets) -> Value {
        let step = |step: &Step| {
            let member = |(name, before, after): &Change| (name.clone(), json!({ "before": before, "after": after }));
            json!({
                "what": step.section.one(),
                "name": step.name,
                "action": if step.is_new { "make" } else { "change" },
                "members": step.changes.iter().map(member).collect::<Map<_, _>>(),
            })
        };
        let secrets: Map<_, _> = secrets.printed().map(|(id, secret)| (id.clone(), json!(secret))).collect();
        let mut told = json!({ "changes": shown.iter().map(step).collect::<Vec<_>>(), "dry_run": self.dry_run });
        if !self.notes.is_empty() {
            told["notes"] = json!(self.notes);
        }
        if !secrets.is_empty() {
            told["secrets"] = Value::Object(secrets);
        }
        told
    }
}

/// A step as lines of a difference: `+` is made, `~` is changed.
fn told(step: &Step) -> Vec<String> {
    let sign = if step.is_new { '+' } else { '~' };
    let member = |(name, before, after): &Change| {
        let text =
            if step.is_new { format!("    {name} = {after}") } else { format!("    {name}: {before} -> {after}") };
        text.chars().filter(|c| !c.is_control()).collect()
    };
    let name = step.name.chars().filter(|c| !c.is_control());
    let head = format!("{sign} {} {}", step.section.one(), name.collect::<String>());
    std::iter::once(head).chain(step.changes.iter().map(member)).collect()
}

impl Setup {
    /// The timing of the installation: that of every server, but for `remint dev` with a speed of its own.
    pub(super) fn timing(&self) -> Result<Timing, CliError> {
        if self.remote.is_some() {
            return Ok(Timing::default());
        }
        let data = self.data()?;
        if data.join(crate::config::DEV_MARKER).exists() {
            return Ok(crate::dev::settings_of(&data)?.0.timing);
        }
        Ok(Timing::default())
    }
}
