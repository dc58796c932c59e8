//! Answers for people: a list as a table, one thing as lines. Times are shown as dates of UTC. Never decides what is in
//! an answer.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Map, Value};

/// The lists that there are, each with the columns that fit on a screen, in their order; `--json` shows all.
const LISTS: [(&str, &[&str]); 11] = [
    ("users", &["id", "identifiers", "status", "cv", "attributes"]),
    ("clients", &["id", "policy", "apis", "scopes", "first_party", "confidential", "disabled"]),
    ("apis", &["id", "audience", "algorithm", "scopes"]),
    ("attributes", &["name", "type", "writable_by", "max_bytes", "recent_login"]),
    ("sessions", &["sid", "client_id", "created_at", "last_seen", "ends_at", "over", "address", "user_agent"]),
    ("keys", &["kid", "purpose", "state", "since", "signs_at"]),
    (
        "senders",
        &[
            "name",
            "source",
            "in_use",
            "webhook",
            "per_number",
            "per_block",
            "per_address",
            "per_day",
            "countries",
            "overridden",
        ],
    ),
    ("entries", &["at", "actor", "act", "target", "reason", "address", "from", "names"]),
    ("checks", &["grade", "check", "found"]),
    ("settings", &["setting", "value", "source"]),
    ("tables", &["table", "rows", "digest"]),
];

/// The text for an answer.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Object(members) => match list(members) {
            Some((name, _, [])) => format!("no {name}"),
            Some((_, columns, rows)) => match members.get("next").and_then(Value::as_str) {
                Some(next) => format!("{}\nmore: --after {}", table(columns, rows), scalar("", &Value::from(next))),
                None => [Some(table(columns, rows)), members.get("what_next").map(|next| scalar("", next))]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join("\n"),
            },
            None => lines(members),
        },
        other => scalar("", other),
    }
}

/// The one list of an answer that is one. A thing can have a member of the same name: that is no list of things.
fn list(members: &Map<String, Value>) -> Option<(&'static str, &'static [&'static str], &[Value])> {
    LISTS.into_iter().find_map(|(name, columns)| {
        let rows = members.get(name)?.as_array()?;
        rows.iter().all(Value::is_object).then_some((name, columns, rows.as_slice()))
    })
}

fn table(columns: &[&str], rows: &[Value]) -> String {
    let shown = |name: &&&str| rows.iter().any(|row| !scalar(name, &row[**name]).is_empty());
    let columns: Vec<&str> = columns.iter().filter(shown).copied().collect();
    let header: Vec<String> = columns.iter().map(|name| name.to_uppercase()).collect();
    let cells = |row: &Value| columns.iter().map(|name| scalar(name, &row[*name])).collect();
    aligned(&header, rows.iter().map(cells).collect(), width())
}

/// Rows under a header, in columns.
pub(super) fn columns(header: &[&str], rows: Vec<Vec<String>>) -> String {
    let header: Vec<String> = header.iter().map(|name| (*name).to_owned()).collect();
    aligned(&header, rows, width())
}

/// How wide the terminal is; none where the output goes elsewhere, which is never wrapped.
pub(super) fn width() -> Option<usize> {
    terminal_size::terminal_size_of(std::io::stdout()).map(|(width, _)| usize::from(width.0))
}

/// Where the columns are wider than the screen, the widest are broken into lines.
fn aligned(header: &[String], rows: Vec<Vec<String>>, screen: Option<usize>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if let Some(screen) = screen {
        let screen = u16::try_from(screen).unwrap_or(u16::MAX).max(LEAST_WIDTH);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(screen);
    }
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table.trim_fmt()
}

/// Narrower than this nothing can be read.
const LEAST_WIDTH: u16 = 40;

fn lines(members: &Map<String, Value>) -> String {
    let width = members.keys().map(String::len).max().unwrap_or_default();
    let line =
        |(name, value): (&String, &Value)| format!("{name:width$}  {}", scalar(name, value)).trim_end().to_owned();
    members.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// One value. What is named `at`, `..._at`, `since` or `last_seen` is a time.
fn scalar(name: &str, value: &Value) -> String {
    let is_time = name.ends_with("_at") || matches!(name, "at" | "since" | "last_seen");
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.chars().filter(|c| !c.is_control()).collect(),
        Value::Number(number) if is_time => number.as_i64().map_or_else(|| number.to_string(), utc),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(all) if all.iter().all(|one| one.is_string()) => {
            all.iter().map(|one| scalar("", one)).collect::<Vec<_>>().join(", ")
        }
        Value::Array(_) => value.to_string(),
        // A policy by its name and the life of its tokens.
        Value::Object(_) if name == "policy" => {
            format!("{} {} s", scalar("", &value["kind"]), scalar("", &value["life"]))
        }
        // A mapping: each claim, and where it comes from.
        Value::Object(members) if name == "mapping" => {
            let pair = |(claim, source): (&String, &Value)| match source["from"].as_str() {
                Some(from) => format!("{claim}={from} or null"),
                None => format!("{claim}={}", scalar("", source)),
            };
            members.iter().map(pair).collect::<Vec<_>>().join(", ")
        }
        Value::Object(members) => {
            let pair = |(name, value): (&String, &Value)| format!("{name}={}", scalar("", value));
            members.iter().map(pair).collect::<Vec<_>>().join(" ")
        }
    }
}

/// Seconds since the epoch as `2026-01-31 12:00:00Z`, by the days-to-civil rule of the proleptic Gregorian calendar.
pub(super) fn utc(secs: i64) -> String {
    let (days, rest) = (secs.div_euclid(86_400), secs.rem_euclid(86_400));
    let shifted = days.saturating_add(719_468); // days since 0000-03-01
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_time_is_shown_as_a_date() {
        for (secs, date) in [
            (0, "1970-01-01 00:00:00Z"),
            (951_782_400, "2000-02-29 00:00:00Z"),
            (1_767_225_599, "2025-12-31 23:59:59Z"),
            (-1, "1969-12-31 23:59:59Z"),
        ] {
            assert_eq!(utc(secs), date);
        }
    }

    #[test]
    fn a_list_is_a_table_without_empty_columns_and_a_thing_is_lines() {
        let list =
            json!({ "keys": [{"kid": "a", "since": 0, "signs_at": null}, {"kid": "b", "since": 1}], "next": null });
        let shown = text(&list);
        assert!(
            shown.contains("KID") && shown.contains("1970-01-01 00:00:01Z") && !shown.contains("SIGNS_AT"),
            "{shown}"
        );
        assert_eq!(text(&json!({ "keys": [] })), "no keys");
        let mapping = json!({ "mapping": { "nickname": { "from": "nickname", "absent": "null" }, "rank": "role" } });
        assert_eq!(text(&mapping), "mapping  nickname=nickname or null, rank=role");
        assert_eq!(text(&json!({ "id": "x", "scopes": ["a", "b"] })), "id      x\nscopes  a, b");
    }

    #[test]
    fn a_table_is_no_wider_than_the_terminal_and_is_never_broken_elsewhere() {
        let rows = vec![vec!["id".repeat(20), "a long list of words that goes on and on ".repeat(5)]];
        let header = ["ID".to_owned(), "WORDS".to_owned()];
        let fits = aligned(&header, rows.clone(), Some(80));
        assert!(fits.lines().all(|line| line.chars().count() <= 80) && fits.lines().count() > 3, "{fits}");
        assert_eq!(aligned(&header, rows, None).lines().count(), 2);
    }

    #[test]
    fn what_a_user_wrote_cannot_steer_the_terminal() {
        assert_eq!(text(&json!({ "user_agent": "a\u{1b}[2Jb\n" })), "user_agent  a[2Jb");
    }
}
