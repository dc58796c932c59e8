//! Senders: who carries messages to people's phones, and how many of them. What an administrator declares is a document of
//! the installation; what the configuration sets stands over it. Never sees a secret open, and sends nothing.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::key::Sealed;
use crate::phone::CallingCode;
use crate::rev::Rev;

/// Which sender, by what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SenderName {
    /// Messages to phones.
    Sms,
}

impl SenderName {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Sms];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sms => "sms",
        }
    }
}

impl fmt::Display for SenderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no sender: there is `sms`")]
pub struct UnknownSender;

impl FromStr for SenderName {
    type Err = UnknownSender;

    fn from_str(text: &str) -> Result<Self, UnknownSender> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or(UnknownSender)
    }
}

/// A sender as an administrator declared it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// Which.
    pub name: SenderName,
    /// How many messages.
    pub limits: SomeLimits,
    /// The address and what is signed with, sealed under the master key: an address is often its own password.
    pub sealed: Sealed,
    /// The version of the row.
    pub rev: Rev,
}

/// How many codes are sent, so many to verify numbers, and as many to log in. Who is paid for messages to a range of
/// numbers must not find a machine that sends them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SmsLimits {
    /// Codes to one number in an hour.
    pub per_number: NonZeroU32,
    /// Codes to ten thousand numbers that follow one another, in an hour.
    pub per_block: NonZeroU32,
    /// Codes asked for from one address (IPv6: one /64) in an hour.
    pub per_address: NonZeroU32,
    /// Codes in a day.
    pub per_day: NonZeroU32,
    /// The countries that codes are sent to; empty for all.
    pub countries: Vec<CallingCode>,
}

impl Default for SmsLimits {
    fn default() -> Self {
        fn number(number: u32) -> NonZeroU32 {
            NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN)
        }
        Self {
            per_number: number(5),
            per_block: number(30),
            per_address: number(20),
            per_day: number(10_000),
            countries: Vec::new(),
        }
    }
}

/// Those of the limits that somebody set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SomeLimits {
    /// As in [`SmsLimits`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_number: Option<NonZeroU32>,
    /// As in [`SmsLimits`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_block: Option<NonZeroU32>,
    /// As in [`SmsLimits`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_address: Option<NonZeroU32>,
    /// As in [`SmsLimits`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<NonZeroU32>,
    /// As in [`SmsLimits`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub countries: Option<Vec<CallingCode>>,
}

impl SomeLimits {
    /// These, and where one is not set the one below.
    #[must_use]
    pub fn over(&self, below: SmsLimits) -> SmsLimits {
        SmsLimits {
            per_number: self.per_number.unwrap_or(below.per_number),
            per_block: self.per_block.unwrap_or(below.per_block),
            per_address: self.per_address.unwrap_or(below.per_address),
            per_day: self.per_day.unwrap_or(below.per_day),
            countries: self.countries.clone().unwrap_or(below.countries),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_stands_over_what_is_below() {
        let given = |text: &str| serde_json::from_str::<SomeLimits>(text).unwrap();
        let stored = given(r#"{"per_number": 7, "per_day": 70, "countries": ["44", "49"]}"#);
        let set = given(r#"{"per_day": 3, "countries": []}"#);
        let all = set.over(stored.over(SmsLimits::default()));
        assert_eq!((all.per_number.get(), all.per_block.get(), all.per_day.get()), (7, 30, 3));
        assert!(all.countries.is_empty(), "an empty list is set: all countries");
        for wrong in [r#"{"per_day": 0}"#, r#"{"per_week": 1}"#, r#"{"countries": ["+44"]}"#, r#"{"per_day": -1}"#] {
            assert!(serde_json::from_str::<SomeLimits>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_sender_is_known_by_its_word() {
        for name in SenderName::ALL {
            assert_eq!(name.to_string().parse(), Ok(name));
        }
        assert_eq!("SMS".parse::<SenderName>(), Err(UnknownSender));
    }
}
