//! Reads the file that declares an installation: TOML, every value with the line it stands on. Knows which sections and
//! members there are, and takes no other; asks nobody, and never reads a password.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use remint_core::attribute::Declaration;
use remint_core::client::{Api, Client};
use remint_core::policy::Policy;
use remint_core::sender::SomeLimits;

use crate::config::{duration, shown};

/// What can be declared, in the order in which one thing needs the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Section {
    Attributes,
    Apis,
    Clients,
    Senders,
    Users,
}

/// Members that the server keeps: nobody declares them.
const KEPT: [&str; 4] = ["secret", "pv", "longest_life", "id"];
/// What a user can have: the record, and where the first password is read.
const USER: [&str; 6] = ["identifiers", "external_id", "attributes", "disabled", "password_file", "password_env"];

/// What a sender can have beside its limits: where its secret is read.
const SENDER: [&str; 3] = ["webhook_url", "secret_file", "secret_env"];

const NO_SECRET: &str =
    "a secret never stands in this file: name a file in `secret_file`, or a variable in `secret_env`";
const NO_PASSWORD: &str =
    "a password never stands in this file: name a file in `password_file`, or a variable in `password_env`";

impl Section {
    pub(super) const ALL: [Self; 5] = [Self::Attributes, Self::Apis, Self::Clients, Self::Senders, Self::Users];

    /// Its name in the file, and in the paths of the administrative endpoints.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Attributes => "attributes",
            Self::Apis => "apis",
            Self::Clients => "clients",
            Self::Senders => "senders",
            Self::Users => "users",
        }
    }

    /// One of them.
    pub(super) const fn one(self) -> &'static str {
        match self {
            Self::Attributes => "attribute",
            Self::Apis => "api",
            Self::Clients => "client",
            Self::Senders => "sender",
            Self::Users => "user",
        }
    }

    /// The members that may be declared.
    pub(super) fn members(self) -> Vec<String> {
        let mut members = match self {
            Self::Attributes => fields::<Declaration>(json!({})),
            Self::Apis => fields::<Api>(json!({})),
            Self::Clients => fields::<Client>(json!({})),
            Self::Senders => [fields::<SomeLimits>(json!({})), SENDER.map(str::to_owned).to_vec()].concat(),
            Self::Users => USER.map(str::to_owned).to_vec(),
        };
        members.retain(|name| !KEPT.contains(&name.as_str()) && (self != Self::Attributes || name != "name"));
        if self == Self::Clients {
            members.push("confidential".to_owned());
        }
        members
    }
}

/// The fields that a type of ours reads, by its own word: whatever it gains can be declared.
fn fields<T: DeserializeOwned>(mut sample: Value) -> Vec<String> {
    sample["?"] = Value::Null;
    let refusal = serde_json::from_value::<T>(sample).err().map(|error| error.to_string()).unwrap_or_default();
    let (_, expected) = refusal.split_once("expected").unwrap_or_default();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// One thing that is declared, as it stands in the file.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) section: Section,
    pub(super) name: String,
    pub(super) members: Map<String, Value>,
    line: usize,
    lines: BTreeMap<String, usize>,
}

impl Entry {
    /// Where it, or one of its members, stands, and how it is called: `12: clients.web.life`.
    pub(super) fn at(&self, member: Option<&str>) -> String {
        let line = member.and_then(|name| self.lines.get(name)).unwrap_or(&self.line);
        let member = member.map(|name| format!(".{name}")).unwrap_or_default();
        format!("{line}: {}.{}{member}", self.section.name(), shown(&self.name))
    }
}

/// Everything that a file declares, in the order of need.
///
/// # Errors
/// All that is wrong with it, a text for each, beginning with the line.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, Vec<String>> {
    let mut reading = Reading { text, entries: Vec::new(), wrong: Vec::new() };
    match DeTable::parse(text) {
        Ok(document) => reading.document(document.get_ref()),
        Err(error) => {
            let line = error.span().map_or(1, |span| reading.line(&span));
            reading.wrong.push(format!("{line}: this is not TOML: {}", error.message()));
        }
    }
    reading.entries.sort_by_key(|entry| entry.section);
    if reading.wrong.is_empty() { Ok(reading.entries) } else { Err(reading.wrong) }
}

/// The name of a file, for messages.
pub(super) fn named(path: &Path, wrong: &[String]) -> String {
    wrong.iter().map(|one| format!("{}:{one}", path.display())).collect::<Vec<_>>().join("\n")
}

struct Reading<'a> {
    text: &'a str,
    entries: Vec<Entry>,
    wrong: Vec<String>,
}

impl Reading<'_> {
    fn line(&self, span: &Range<usize>) -> usize {
        self.text.bytes().take(span.start).filter(|byte| *byte == b'\n').count() + 1
    }

    fn document(&mut self, document: &DeTable<'_>) {
        for (key, value) in document {
            let (line, name) = (self.line(&key.span()), key.get_ref().as_ref());
            let known = Section::ALL.into_iter().find(|section| section.name() == name);
            match (known, value.get_ref()) {
                (Some(section), DeValue::Table(entries)) => {
                    entries.iter().for_each(|(name, value)| self.entry(section, name.get_ref(), &name.span(), value));
                }
                (Some(section), _) => {
                    let one = section.one();
                    self.wrong.push(format!("{line}: `{name}` must hold a table for each {one}: [{name}.NAME]"));
                }
                (None, _) => {
                    let all = Section::ALL.map(|section| section.name().to_owned());
                    self.wrong.push(format!("{line}: {}", unknown(name, "a section of such a file", &all)));
                }
            }
        }
    }

    fn entry(&mut self, section: Section, name: &str, span: &Range<usize>, value: &Spanned<DeValue<'_>>) {
        let line = self.line(span);
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong.push(format!("{line}: {}.{} must be a table", section.name(), shown(name)));
            return;
        };
        let known = section.members();
        let mut entry = Entry { section, name: name.to_owned(), members: Map::new(), line, lines: BTreeMap::new() };
        for (key, value) in table {
            let (member, line) = (key.get_ref().as_ref(), self.line(&key.span()));
            entry.lines.insert(member.to_owned(), line);
            if !known.iter().any(|known| known == member) {
                let what = format!("a member of {}", article(section.one()));
                let why = match (section, member) {
                    (_, "password") => NO_PASSWORD.to_owned(),
                    (Section::Senders, "secret") => NO_SECRET.to_owned(),
                    _ => unknown(member, &what, &known),
                };
                self.wrong.push(format!("{line}: {}.{}: {why}", section.name(), shown(name)));
                continue;
            }
            match self.value(value).and_then(|value| sugar(member, value)) {
                Ok(value) => drop(entry.members.insert(member.to_owned(), value)),
                Err(why) => self.wrong.push(format!("{}: {why}", entry.at(Some(member)))),
            }
        }
        self.entries.push(entry);
    }

    fn value(&self, value: &Spanned<DeValue<'_>>) -> Result<Value, String> {
        Ok(match value.get_ref() {
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(flag) => Value::from(*flag),
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
                .map(Value::from)
                .map_err(|_| "is a number too large".to_owned())?,
            DeValue::Float(number) => {
                number.as_str().parse::<f64>().map(Value::from).map_err(|_| "is no number".to_owned())?
            }
            DeValue::Datetime(_) => return Err("is a date, which nothing here takes: write it in quotes".to_owned()),
            DeValue::Array(all) => Value::Array(all.iter().map(|one| self.value(one)).collect::<Result<_, _>>()?),
            DeValue::Table(members) => {
                let member = |(name, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
                    let name: &std::borrow::Cow<'_, str> = name.get_ref();
                    Ok((name.to_string(), self.value(value)?))
                };
                Value::Object(members.iter().map(member).collect::<Result<_, String>>()?)
            }
        })
    }
}

/// What is written shorter than the server reads it: lengths of time, lists of scopes, a policy with its defaults.
fn sugar(member: &str, value: Value) -> Result<Value, String> {
    match (member, value) {
        ("policy", Value::String(kind)) => policy(Map::from_iter([("kind".to_owned(), Value::from(kind))])),
        ("policy", Value::Object(members)) => policy(members),
        ("max_life", value) => length(value),
        ("scopes", Value::Array(all)) => {
            let scopes = all.iter().map(Value::as_str).collect::<Option<Vec<_>>>().ok_or("must be a list of texts")?;
            Ok(Value::from(scopes.join(" ")))
        }
        (_, value) => Ok(value),
    }
}

fn policy(members: Map<String, Value>) -> Result<Value, String> {
    let kind = members.get("kind").cloned().unwrap_or(Value::Null);
    let kind_is_known = serde_json::from_value::<Policy>(json!({ "kind": kind })).is_ok();
    let known = if kind_is_known { fields::<Policy>(json!({ "kind": kind })) } else { Vec::new() };
    let mut policy = Map::new();
    for (name, value) in members {
        if name == "kind" {
            policy.insert(name, value);
        } else if known.is_empty() || known.contains(&name) {
            policy.insert(name.clone(), length(value).map_err(|why| format!("`{name}` {why}"))?);
        } else {
            return Err(unknown(&name, "a setting of this policy", &known));
        }
    }
    let policy = Value::Object(policy);
    serde_json::from_value::<Policy>(policy.clone()).map_err(|error| format!("is no policy: {error}"))?;
    Ok(policy)
}

/// `"5m"`, or a number of seconds.
fn length(value: Value) -> Result<Value, String> {
    match value {
        Value::String(text) => {
            let length = duration(&text).ok_or("must be a length of time like \"30s\", \"5m\", \"12h\" or \"90d\"")?;
            Ok(Value::from(length.as_secs()))
        }
        Value::Number(_) => Ok(value),
        _ => Err("must be a length of time like \"5m\", or seconds".to_owned()),
    }
}

fn unknown(name: &str, what: &str, known: &[String]) -> String {
    let likeness = |known: &&String| strsim::jaro_winkler(name, known);
    let nearest = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|best| likeness(best) > 0.75);
    match nearest {
        Some(nearest) => format!("`{}` is not {what}: did you mean `{nearest}`?", shown(name)),
        None => format!("`{}` is not {what}: there are {}", shown(name), known.join(", ")),
    }
}

fn article(noun: &str) -> String {
    format!("{} {noun}", if noun.starts_with('a') { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(text: &str) -> String {
        read(text).unwrap_err().join("\n")
    }

    #[test]
    fn whatever_the_order_in_the_file_what_is_needed_comes_first() {
        let text = "[users.ada]\n[senders.sms]\n[clients.web]\npolicy = 'refresh'\napis = ['orders']\n[apis.orders]\n[attributes.nick]\n";
        let order: Vec<_> = read(text).unwrap().iter().map(|entry| entry.section).collect();
        assert_eq!(order, Section::ALL);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
        for (text, expected) in [
            ("[client.web]\n", "1: `client` is not a section of such a file: did you mean `clients`?"),
            (
                "\n[clients.web]\norgins = []\n",
                "3: clients.web: `orgins` is not a member of a client: did you mean `origins`?",
            ),
            (
                "[attributes.nick]\nmax_byte = 3\n",
                "2: attributes.nick: `max_byte` is not a member of an attribute: did you mean `max_bytes`?",
            ),
            ("[users.ada]\npassword = 'x'\n", "2: users.ada: a password never stands in this file"),
            ("[senders.sms]\nsecret = 'x'\n", "2: senders.sms: a secret never stands in this file"),
            ("[senders.sms]\nper_dya = 1\n", "did you mean `per_day`?"),
            ("[clients.web.policy]\nkind = 'refresh'\nlive = '5m'\n", "did you mean `life`?"),
            ("[clients.web]\nsecret = 'x'\n", "2: clients.web: `secret` is not a member of a client"),
        ] {
            assert!(wrong(text).contains(expected), "{text}: {}", wrong(text));
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_its_line() {
        let told = wrong("[apis.a]\nmax_life = 'long'\n[apis.b]\nscopes = [1]\n[clients]\nx = 1\n");
        assert_eq!(told.lines().count(), 3, "{told}");
        assert!(told.contains("2: apis.a.max_life: must be a length") && told.contains("4: apis.b.scopes:"), "{told}");
        assert!(wrong("[apis.a\n").starts_with("1: this is not TOML"), "{}", wrong("[apis.a\n"));
        assert!(wrong("[apis.a]\nmax_life = 2026-01-01\n").contains("is a date"));
    }

    #[test]
    fn lengths_scopes_and_policies_are_written_as_people_write_them() {
        let text =
            "[clients.web]\npolicy = { kind = 'refresh', life = '10m', idle = 3600 }\nscopes = ['write', 'read']\n";
        let entry = &read(text).unwrap()[0];
        assert_eq!(entry.members["policy"], json!({"kind": "refresh", "life": 600, "idle": 3600}));
        assert_eq!(entry.members["scopes"], json!("write read"));
        assert_eq!(entry.at(Some("scopes")), "3: clients.web.scopes");
    }

    #[test]
    fn every_member_that_the_server_reads_can_be_declared() {
        for (section, members) in [
            (Section::Attributes, vec!["max_bytes", "recent_login", "type", "writable_by"]),
            (Section::Apis, vec!["algorithm", "audience", "max_life", "scopes"]),
        ] {
            let mut known = section.members();
            known.sort();
            assert_eq!(known, members);
        }
        let clients = Section::Clients.members();
        for member in ["policy", "origins", "mapping", "confidential", "disabled", "first_party"] {
            assert!(clients.iter().any(|known| known == member), "{member}: {clients:?}");
        }
    }
}
