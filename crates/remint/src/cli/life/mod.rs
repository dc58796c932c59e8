//! The life of a session, told: as a table, as one sentence, as JSON, as bars in the terminal and as a picture. Decides
//! nothing, computes nothing of the session.

use std::time::Duration;

use remint_core::policy::Policy;
use remint_core::simulation::{By, End, Event, Life, Usage, Wall, What};
use serde_json::{Value, json};

use super::show;

pub(super) mod bars;
pub(super) mod svg;

/// So many lines of events are printed one by one; of more, the renewals of a stretch are one line.
const MOST_LINES: usize = 40;

/// What is told.
pub(super) struct Shown<'a> {
    pub(super) policy: &'a Policy,
    pub(super) usage: &'a Usage,
    pub(super) life: &'a Life,
}

impl Shown<'_> {
    /// What happened, a line each.
    pub(super) fn table(&self, all: bool) -> String {
        let events = &self.life.events;
        let mut rows = Vec::new();
        if all || events.len() <= MOST_LINES {
            rows.extend(events.iter().map(|event| self.row(event)));
        } else {
            let together = |a: &Event, b: &Event| renewal(a).is_some() && renewal(a) == renewal(b) && self.joins(a, b);
            rows.extend(events.chunk_by(together).filter_map(|run| self.folded(run)));
        }
        if let Some(end) = &self.life.end {
            rows.push(vec![clock(end.at), format!("ended: {}", self.why(end)), String::new(), String::new()]);
            if let Some(noticed) = end.noticed {
                rows.push(vec![clock(noticed), format!("refused: {}", end.refusal), String::new(), String::new()]);
            }
        }
        show::columns(&["AT", "WHAT", "ACCESS UNTIL", "IDLE LIMIT"], rows)
    }

    fn row(&self, event: &Event) -> Vec<String> {
        vec![clock(event.at), words(event.what), clock(event.access_until), self.idle(event)]
    }

    /// A fixed session has no idle limit of its own, and a rolling one is as old as its newest token.
    fn idle(&self, event: &Event) -> String {
        match self.policy {
            Policy::Fixed { .. } => String::new(),
            Policy::Rolling { .. } | Policy::Refresh { .. } | Policy::Cookie { .. } => clock(event.idle_until),
        }
    }

    fn folded(&self, run: &[Event]) -> Option<Vec<String>> {
        let (first, last) = (run.first()?, run.last()?);
        if run.len() == 1 {
            return Some(self.row(first));
        }
        let what = format!("renewed {} times until {}", run.len(), clock(last.at));
        Some(vec![clock(first.at), what, clock(last.access_until), self.idle(last)])
    }

    /// Whether no pause lies between two events.
    fn joins(&self, a: &Event, b: &Event) -> bool {
        let stretch = |event: &Event| self.life.stretches.partition_point(|(start, _)| *start <= event.at);
        stretch(a) == stretch(b)
    }

    fn why(&self, end: &End) -> String {
        match (end.wall, self.policy) {
            (Wall::Idle, Policy::Rolling { .. }) => "its newest token ran out, and nothing else renews it".to_owned(),
            (Wall::Idle, _) => format!("nobody used it for {}", span(self.policy.idle())),
            (Wall::Absolute, Policy::Fixed { .. }) => "its life was over, and nothing extends it".to_owned(),
            (Wall::Absolute, _) => format!("it was as old as it may become, {}", span(self.policy.absolute())),
        }
    }

    fn renewals(&self) -> usize {
        self.life.events.iter().filter(|event| renewal(event).is_some()).count()
    }

    /// The policy in words.
    pub(super) fn title(&self) -> String {
        let (name, life, absolute) = (self.policy.name(), span(self.policy.life()), span(self.policy.absolute()));
        match self.policy {
            Policy::Fixed { .. } => format!("A session under the policy {name}: life {life}"),
            Policy::Rolling { .. } => format!("A session under the policy {name}: token {life}, absolute {absolute}"),
            Policy::Refresh { idle, .. } | Policy::Cookie { idle, .. } => {
                format!("A session under the policy {name}: token {life}, idle {}, absolute {absolute}", span(*idle))
            }
        }
    }

    /// All of it in a few sentences.
    pub(super) fn summary(&self) -> String {
        let pattern = if self.usage.pause.is_zero() {
            "Used without a pause".to_owned()
        } else {
            format!("Used for {}, then nobody for {}, and so on", span(self.usage.active), span(self.usage.pause))
        };
        let renewed = match self.renewals() {
            0 => "never renewed".to_owned(),
            1 => "renewed once".to_owned(),
            times => format!("renewed {times} times"),
        };
        let end = match &self.life.end {
            None => format!("After {} it is alive.", span(self.usage.until)),
            Some(end) => {
                let noticed = end.noticed.map_or_else(String::new, |at| {
                    format!(" The first to notice has to log in again, at {}.", clock(at))
                });
                format!("It ended at {}: {}.{noticed}", clock(end.at), self.why(end))
            }
        };
        format!("{pattern}, it was {renewed}. {end}")
    }

    /// All of it for programs, in seconds since the log-in.
    pub(super) fn json(&self) -> Value {
        let event = |event: &Event| {
            let mut told = json!({
                "at": event.at.as_secs_f64(),
                "what": name(event.what),
                "access_until": event.access_until.as_secs_f64(),
                "idle_until": event.idle_until.as_secs_f64(),
            });
            if let What::Renewed { by, generation, stale } = event.what {
                told["by"] = json!(if by == By::Timer { "timer" } else { "request" });
                told["stale"] = json!(stale);
                told["refresh_generation"] = json!(generation);
            }
            told
        };
        let end = self.life.end.as_ref().map(|end| {
            json!({
                "at": end.at.as_secs_f64(),
                "limit": if end.wall == Wall::Idle { "idle" } else { "absolute" },
                "why": self.why(end),
                "noticed": end.noticed.map(|at| at.as_secs_f64()),
                "refusal": end.refusal.to_string(),
            })
        });
        json!({
            "policy": self.policy,
            "events": self.life.events.iter().map(event).collect::<Vec<_>>(),
            "renewals": self.renewals(),
            "requests": self.life.requests,
            "absolute": self.life.absolute.as_secs_f64(),
            "end": end,
            "summary": self.summary(),
        })
    }
}

fn renewal(event: &Event) -> Option<By> {
    if let What::Renewed { by, .. } = event.what { Some(by) } else { None }
}

const fn name(what: What) -> &'static str {
    match what {
        What::LoggedIn => "logged-in",
        What::Renewed { .. } => "renewed",
        What::RecordChanged => "record-changed",
    }
}

fn words(what: What) -> String {
    match what {
        What::LoggedIn => "logged in".to_owned(),
        What::RecordChanged => "the record changed: the token is stale".to_owned(),
        What::Renewed { by, generation, stale } => {
            let why = if stale { ", for the record had changed" } else { "" };
            let who = if by == By::Timer { " by timer" } else { "" };
            let refresh = generation.map_or_else(String::new, |n| format!(", refresh token {n}"));
            format!("renewed{who}{why}{refresh}")
        }
    }
}

/// A moment since the log-in: `1d 02:03:04`.
fn clock(at: Duration) -> String {
    let secs = at.as_secs();
    let (days, hours, minutes, seconds) = (secs / 86_400, secs / 3600 % 24, secs / 60 % 60, secs % 60);
    let days = if days == 0 { String::new() } else { format!("{days}d ") };
    format!("{days}{hours:02}:{minutes:02}:{seconds:02}")
}

/// A length as an operator writes it, as far as it is whole: `90m`, `12h`, `14d`.
fn span(length: Duration) -> String {
    let secs = length.as_secs();
    match [(86_400, "d"), (3600, "h"), (60, "m")]
        .into_iter()
        .find(|(unit, _)| secs >= *unit && secs.is_multiple_of(*unit))
    {
        Some((unit, letter)) => format!("{}{letter}", secs / unit),
        None => format!("{}s", length.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use remint_core::client::Client;
    use remint_core::policy::Timing;
    use remint_core::simulation::simulate;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    pub(super) fn told<T>(policy: &Policy, usage: &Usage, tell: impl Fn(&Shown<'_>) -> T) -> T {
        let client: Client =
            serde_json::from_value(json!({ "id": "x", "pv": 1, "apis": ["x"], "policy": policy })).unwrap();
        let life = simulate(&client, &Timing::default(), usage).unwrap();
        tell(&Shown { policy, usage, life: &life })
    }

    pub(super) fn usage() -> Usage {
        Usage {
            active: 120 * MINUTE,
            pause: 30 * MINUTE,
            every: MINUTE,
            timer: false,
            changes: vec![],
            until: 24 * 60 * MINUTE,
        }
    }

    #[test]
    fn the_table_has_every_renewal_the_end_and_the_reason() {
        let table = told(&Policy::rolling(), &usage(), |shown| shown.table(false));
        let renewals = told(&Policy::rolling(), &usage(), |shown| shown.renewals());
        assert_eq!(table.matches("renewed").count(), renewals, "{table}");
        assert!(table.contains("logged in") && table.contains("ended: its newest token ran out"), "{table}");
        assert!(table.contains("02:30:00") && table.contains("refused: the session has expired"), "{table}");
    }

    #[test]
    fn many_renewals_of_one_stretch_are_one_line_unless_all_are_wanted() {
        let long = Usage { until: 3 * 24 * 60 * MINUTE, ..usage() };
        let (folded, all) = told(&Policy::refresh(), &long, |shown| {
            (shown.table(false).lines().count(), shown.table(true).lines().count())
        });
        assert_eq!(folded, 1 + 1 + 29, "a header, the log-in, a line for each stretch");
        assert!(all > 500, "{all}");
    }

    #[test]
    fn the_summary_says_how_it_ended_or_that_it_is_alive() {
        let alive = told(&Policy::refresh(), &usage(), |shown| shown.summary());
        assert!(alive.ends_with("After 1d it is alive."), "{alive}");
        let ended = told(&Policy::fixed(), &Usage { until: 8 * 24 * 60 * MINUTE, ..usage() }, |shown| shown.summary());
        assert!(ended.contains("never renewed. It ended at 7d 00:00:00: its life was over"), "{ended}");
    }

    #[test]
    fn programs_get_seconds() {
        let json = told(&Policy::refresh(), &usage(), |shown| shown.json());
        assert_eq!((&json["events"][0]["at"], &json["events"][0]["access_until"]), (&json!(0.0), &json!(300.0)));
        assert_eq!(json["events"][1]["refresh_generation"], json!(1));
        assert_eq!(json["end"], Value::Null);
    }

    #[test]
    fn lengths_and_moments_are_told_as_they_are_written() {
        let all = [(90, "90s"), (300, "5m"), (43_200, "12h"), (1_209_600, "14d")];
        assert!(all.iter().all(|(secs, text)| span(Duration::from_secs(*secs)) == *text));
        assert_eq!(clock(Duration::from_secs(93_784)), "1d 02:03:04");
    }
}
