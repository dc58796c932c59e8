//! The administrative commands: each is one request to the administrative endpoints. Never decides anything.

pub(super) mod api;
pub(super) mod attribute;
pub(super) mod audit;
pub(super) mod backup;
pub(super) mod client;
pub(super) mod config;
pub(super) mod key;
pub(super) mod migrate;
pub(super) mod policy;
pub(super) mod sender;
pub(super) mod session;
pub(super) mod user;

use serde_json::{Map, Value};

use super::CliError;
use super::ask::encoded;

/// Which page of a list.
#[derive(Debug, clap::Args)]
pub(super) struct Paging {
    /// Those behind this cursor, the `next` of the page before
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    after: Option<String>,
    /// At most so many [default: 100]
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
}

impl Paging {
    /// As parameters of a query.
    fn parameters(self) -> [(&'static str, Option<String>); 2] {
        [("limit", self.limit.map(|limit| limit.to_string())), ("cursor", self.after)]
    }
}

/// `name=value` pairs as members: a value that is JSON is taken as that, any other as a string.
fn pairs(all: &[String]) -> Result<Map<String, Value>, CliError> {
    let mut members = Map::new();
    for pair in all {
        let (name, value) = split(pair)?;
        if members.contains_key(&name) {
            return Err(CliError::usage(format!("`{name}` is given twice: keep one")));
        }
        members.insert(name, value);
    }
    Ok(members)
}

/// A query of the parameters that were given, percent-encoded.
fn query<'a>(parameters: impl IntoIterator<Item = (&'a str, Option<String>)>) -> String {
    let given = parameters.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", encoded(&value?))));
    given.collect::<Vec<_>>().join("&")
}

fn split(pair: &str) -> Result<(String, Value), CliError> {
    let (name, value) =
        pair.split_once('=').ok_or_else(|| CliError::usage(format!("`{pair}` is not of the form name=value")))?;
    let value = serde_json::from_str(value).unwrap_or_else(|_| Value::from(value));
    Ok((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_holds_what_was_given_and_encodes_it() {
        assert_eq!(
            query([("a", Some("x&y=z ü".to_owned())), ("b", None), ("c", Some("1".to_owned()))]),
            "a=x%26y%3Dz%20%C3%BC&c=1"
        );
    }

    #[test]
    fn a_value_is_json_where_it_is_and_a_string_elsewhere() {
        let all = ["a=1", "b=true", "c=engineer", "d=\"1\"", "e=[\"x\"]", "f=null", "g=x=y", "h="].map(str::to_owned);
        let expected = json!({"a":1,"b":true,"c":"engineer","d":"1","e":["x"],"f":null,"g":"x=y","h":""});
        assert_eq!(Value::Object(pairs(&all).unwrap()), expected);
        assert!(pairs(&["a".to_owned()]).is_err());
        let twice = pairs(&["a=1", "b=1", "a=2"].map(str::to_owned)).unwrap_err().to_string();
        assert_eq!(twice, "`a` is given twice: keep one");
    }
}
