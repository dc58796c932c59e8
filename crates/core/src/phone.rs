//! A telephone number in its one canonical form: international, by Recommendation ITU-T E.164. Knows the form, never
//! whether the number is in service or whose it is. It is about a person: it cannot be printed by accident.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A telephone number: `+`, then 7 to 15 digits of which the first is not zero (E.164 section 6).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(Box<str>);

/// The text is no number in international form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a phone number in international form, like +441632960011")]
pub struct BadPhoneNumber;

/// So many numbers that follow one another are one block: who is paid for messages to a range of numbers has them by
/// the thousand.
const BLOCK_DIGITS: usize = 4;

impl PhoneNumber {
    /// The number, as it is stored and shown in tokens.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The block of ten thousand numbers that it lies in: the number without its last four digits.
    pub fn block(&self) -> &str {
        &self.0[..self.0.len() - BLOCK_DIGITS]
    }

    /// What may be shown to somebody who has shown one factor only: its last two digits.
    pub fn hint(&self) -> String {
        format!("***{}", &self.0[self.0.len() - 2..])
    }

    /// Whether it is a number of a country.
    pub fn is_of(&self, country: &CallingCode) -> bool {
        self.0[1..].starts_with(country.as_str())
    }
}

impl FromStr for PhoneNumber {
    type Err = BadPhoneNumber;

    fn from_str(text: &str) -> Result<Self, BadPhoneNumber> {
        let digits = text.strip_prefix('+').ok_or(BadPhoneNumber)?;
        let well_formed = (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        if well_formed && !digits.starts_with('0') { Ok(Self(text.into())) } else { Err(BadPhoneNumber) }
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PhoneNumber(..)")
    }
}

impl Serialize for PhoneNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for PhoneNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The calling code of a country, or the beginning of its numbers: 1 to 4 digits of which the first is not zero (E.164
/// section 6.2.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CallingCode(Box<str>);

/// The text is no calling code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be calling codes like 44 or 49")]
pub struct BadCallingCode;

impl CallingCode {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CallingCode {
    type Err = BadCallingCode;

    fn from_str(text: &str) -> Result<Self, BadCallingCode> {
        let digits = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if digits && !text.starts_with('0') { Ok(Self(text.into())) } else { Err(BadCallingCode) }
    }
}

impl TryFrom<String> for CallingCode {
    type Error = BadCallingCode;

    fn try_from(text: String) -> Result<Self, BadCallingCode> {
        text.parse()
    }
}

impl From<CallingCode> for String {
    fn from(code: CallingCode) -> Self {
        code.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_a_number() {
        let number: PhoneNumber = "+441632960011".parse().unwrap();
        assert_eq!((number.block(), number.hint().as_str()), ("+44163296", "***11"));
        let is_of = |code: &str| number.is_of(&code.parse().unwrap());
        assert!(is_of("44") && is_of("4416") && !is_of("49"));
        for wrong in ["", "0", "044", "+44", "44163", "4 4"] {
            assert_eq!(wrong.parse::<CallingCode>(), Err(BadCallingCode), "{wrong}");
        }
        for wrong in
            ["", "+", "441632960011", "+0441632960", "+44 1632 960011", "+123456", "+1234567890123456", "+44163296001x"]
        {
            assert_eq!(wrong.parse::<PhoneNumber>(), Err(BadPhoneNumber), "{wrong}");
        }
    }

    #[test]
    fn a_number_is_not_printed() {
        assert_eq!(format!("{:?}", "+441632960011".parse::<PhoneNumber>().unwrap()), "PhoneNumber(..)");
    }
}
