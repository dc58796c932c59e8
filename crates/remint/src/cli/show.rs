//! Answers for people: a list as a table, one thing as lines. Times are shown as dates of UTC. Never decides what is in
//! an answer.

use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Map, Value};

/// The text for an answer.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Object(members) => match list(members) {
            Some((name, [])) => format!("no {name}"),
            Some((_, rows)) => table(rows),
            None => lines(members),
        },
        other => scalar("", other),
    }
}

/// The one list of an answer that is one.
fn list(members: &Map<String, Value>) -> Option<(&str, &[Value])> {
    let is_rows = |value: &&Value| value.as_array().is_some_and(|all| all.iter().all(Value::is_object));
    let named = ["users", "clients", "apis", "attributes", "sessions", "keys", "checks"];
    let name = named.into_iter().find(|name| members.get(*name).is_some_and(|value| is_rows(&value)))?;
    Some((name, members[name].as_array()?))
}

fn table(rows: &[Value]) -> String {
    let mut columns: Vec<&str> = Vec::new();
    for name in rows.iter().filter_map(Value::as_object).flat_map(Map::keys) {
        if !columns.contains(&name.as_str()) {
            columns.push(name);
        }
    }
    let empty = |name: &&str| rows.iter().all(|row| scalar(name, &row[*name]).is_empty());
    columns.retain(|name| !empty(name));
    let mut table = Table::new();
    table.load_preset(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(columns.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(columns.iter().map(|name| scalar(name, &row[*name])));
    }
    table.trim_fmt()
}

fn lines(members: &Map<String, Value>) -> String {
    let width = members.keys().map(String::len).max().unwrap_or_default();
    let line =
        |(name, value): (&String, &Value)| format!("{name:width$}  {}", scalar(name, value)).trim_end().to_owned();
    members.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// One value. What is named `..._at`, `since` or `last_seen` is a time.
fn scalar(name: &str, value: &Value) -> String {
    let is_time = name.ends_with("_at") || matches!(name, "since" | "last_seen");
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.chars().filter(|c| !c.is_control()).collect(),
        Value::Number(number) if is_time => number.as_i64().map_or_else(|| number.to_string(), utc),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(all) if all.iter().all(|one| one.is_string()) => {
            all.iter().map(|one| scalar("", one)).collect::<Vec<_>>().join(", ")
        }
        Value::Array(_) => value.to_string(),
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
        assert_eq!(text(&json!({ "id": "x", "scopes": ["a", "b"] })), "id      x\nscopes  a, b");
    }

    #[test]
    fn what_a_user_wrote_cannot_steer_the_terminal() {
        assert_eq!(text(&json!({ "user_agent": "a\u{1b}[2Jb\n" })), "user_agent  a[2Jb");
    }
}
