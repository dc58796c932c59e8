//! The administrative commands: each is one request to the administrative endpoints. Never decides anything.

pub(super) mod api;
pub(super) mod client;
pub(super) mod key;
pub(super) mod policy;
pub(super) mod session;
pub(super) mod user;

use serde_json::{Map, Value};

use super::CliError;

/// `name=value` pairs as members: a value that is JSON is taken as that, any other as a string.
fn pairs(all: &[String]) -> Result<Map<String, Value>, CliError> {
    all.iter().map(|pair| split(pair)).collect()
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
    fn a_value_is_json_where_it_is_and_a_string_elsewhere() {
        let all = ["a=1", "b=true", "c=engineer", "d=\"1\"", "e=[\"x\"]", "f=null", "g=x=y", "h="].map(str::to_owned);
        let expected = json!({"a":1,"b":true,"c":"engineer","d":"1","e":["x"],"f":null,"g":"x=y","h":""});
        assert_eq!(Value::Object(pairs(&all).unwrap()), expected);
        assert!(pairs(&["a".to_owned()]).is_err());
    }
}
