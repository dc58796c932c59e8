//! Strict JSON: the only door through which a header, a claims set or a key set enters.
//!
//! A member that is named twice makes two parsers see two values (RFC 8259 section 4 leaves it open, RFC 7515 section 4
//! and RFC 7519 section 4 allow a parser to refuse it): here it is always refused, at every depth, and also where one
//! of the names is written with `\u` escapes. Depth is bounded. Nothing here ever quotes its input in an error.

use std::cell::Cell;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How deep objects and arrays may nest; the outermost object is at depth 1.
pub const MAX_DEPTH: usize = 32;

/// Why a text is not a strict JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// The bytes are not UTF-8 (RFC 8259 section 8.1).
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// The text breaks the grammar of RFC 8259, or something follows the value.
    #[error("the text is not JSON: error at line {line}, column {column}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// The column in bytes, from 1.
        column: usize,
    },
    /// The text is JSON, but not an object.
    #[error("the text is JSON, but not an object")]
    NotAnObject,
    /// An object has two members of one name, at whatever depth.
    #[error("an object names one member twice")]
    DuplicateMember,
    /// Objects and arrays nest deeper than [`MAX_DEPTH`].
    #[error("objects and arrays nest deeper than {MAX_DEPTH}")]
    TooDeep,
}

/// Parses one JSON object, strictly.
///
/// # Errors
/// Every departure named in [`JsonError`].
///
/// ```
/// use remint_core::json::{JsonError, object};
///
/// assert_eq!(object(br#"{"sub":"ann"}"#).unwrap()["sub"], "ann");
/// assert_eq!(object(br#"{"sub":"ann","\u0073ub":"bob"}"#), Err(JsonError::DuplicateMember));
/// ```
pub fn object(text: &[u8]) -> Result<Map<String, Value>, JsonError> {
    let text = std::str::from_utf8(text).map_err(|_| JsonError::NotUtf8)?;
    let fault = Cell::new(None);
    let mut source = serde_json::Deserializer::from_str(text);
    let value = Strict { depth: MAX_DEPTH, fault: &fault }
        .deserialize(&mut source)
        .and_then(|value| source.end().map(|()| value))
        .map_err(|error| cause(&fault, &error))?;
    match value {
        Value::Object(members) => Ok(members),
        _ => Err(JsonError::NotAnObject),
    }
}

/// A strict object inside a larger document that is read with serde: as [`object`], for a field of a struct.
#[derive(Clone, Debug, PartialEq)]
pub struct Object(pub Map<String, Value>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let fault = Cell::new(None);
        match (Strict { depth: MAX_DEPTH, fault: &fault }).deserialize(source)? {
            Value::Object(members) => Ok(Self(members)),
            _ => Err(de::Error::custom(JsonError::NotAnObject)),
        }
    }
}

/// The fault that the visitor noted, or else the place of the grammar error. The library's own text is never passed on:
/// it may quote the input.
fn cause(fault: &Cell<Option<JsonError>>, error: &serde_json::Error) -> JsonError {
    fault.get().unwrap_or(JsonError::Syntax { line: error.line(), column: error.column() })
}

/// Builds a [`Value`], counting depth down and noting why it stopped.
#[derive(Clone, Copy)]
struct Strict<'f> {
    depth: usize,
    fault: &'f Cell<Option<JsonError>>,
}

impl Strict<'_> {
    fn inner<E: de::Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth, ..self }),
            None => Err(self.stop(JsonError::TooDeep)),
        }
    }

    fn stop<E: de::Error>(self, fault: JsonError) -> E {
        self.fault.set(Some(fault));
        E::custom(fault)
    }
}

impl<'de> DeserializeSeed<'de> for Strict<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut array = Vec::new();
        while let Some(element) = elements.next_element_seed(inner)? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                return Err(self.stop(JsonError::DuplicateMember));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_read_with_every_kind_of_value() {
        let read =
            object(br#" {"a":null,"b":true,"c":-1,"d":18446744073709551615,"e":1.5,"f":"\n","g":[{}]} "#).unwrap();
        let expected = serde_json::json!({"a":null,"b":true,"c":-1,"d":u64::MAX,"e":1.5,"f":"\n","g":[{}]});
        assert_eq!(Value::Object(read), expected);
    }

    #[test]
    fn a_member_named_twice_is_refused_at_every_depth() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":{"b":1,"b":2}}"#, r#"{"a":[[{"b":1,"c":0,"b":2}]]}"#, r#"{"":1,"":2}"#]
        {
            assert_eq!(object(text.as_bytes()), Err(JsonError::DuplicateMember), "{text}");
        }
    }

    #[test]
    fn a_member_named_twice_is_refused_behind_escapes() {
        for text in [r#"{"exp":1,"\u0065xp":2}"#, r#"{"a":{"\u0062":1,"\u0062":2}}"#, r#"{"/":1,"\/":2}"#] {
            assert_eq!(object(text.as_bytes()), Err(JsonError::DuplicateMember), "{text}");
        }
    }

    #[test]
    fn one_name_at_two_depths_is_no_duplicate() {
        assert!(object(br#"{"a":{"a":[{"a":1},{"a":2}]}}"#).is_ok());
    }

    #[test]
    fn depth_is_bounded_exactly() {
        let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
        assert!(object(nested(MAX_DEPTH).as_bytes()).is_ok());
        assert_eq!(object(nested(MAX_DEPTH + 1).as_bytes()), Err(JsonError::TooDeep));
        assert_eq!(object("[".repeat(1_000_000).as_bytes()), Err(JsonError::TooDeep));
    }

    #[test]
    fn only_an_object_in_utf8_and_nothing_after_it_is_accepted() {
        assert_eq!(object(b"[]"), Err(JsonError::NotAnObject));
        assert_eq!(object(b"\"a\""), Err(JsonError::NotAnObject));
        assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(JsonError::NotUtf8));
        for text in [
            "",
            "{",
            "{}x",
            "{}{}",
            "\u{feff}{}",
            "{'a':1}",
            "{\"a\":1,}",
            "{\"a\":NaN}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":01}",
        ] {
            assert!(matches!(object(text.as_bytes()), Err(JsonError::Syntax { .. })), "{text}");
        }
    }

    #[test]
    fn a_strict_object_inside_a_larger_document_is_as_strict() {
        let read = |text: &str| serde_json::from_str::<Vec<Object>>(text).map_err(|error| error.to_string());
        assert_eq!(read(r#"[{"a":{"b":1}}]"#).unwrap()[0].0, object(br#"{"a":{"b":1}}"#).unwrap());
        assert!(read(r#"[{"a":{"b":1,"\u0062":1}}]"#).unwrap_err().contains(&JsonError::DuplicateMember.to_string()));
        assert!(read("[[]]").unwrap_err().contains(&JsonError::NotAnObject.to_string()));
    }

    #[test]
    fn an_error_never_quotes_its_input() {
        let text = object(br#"{"hunter2": hunter2}"#).unwrap_err().to_string();
        assert!(!text.contains("hunter2"), "{text}");
    }
}
