//! What a person types to say who they are, in the one canonical form in which it is stored and looked up, whatever
//! path it came by. Never looks anybody up.

use std::fmt;
use std::str::FromStr;

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};
use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::Profile as _;

/// An identifier in canonical form: a user name or an e-mail address.
///
/// - Blanks around it are cut off.
/// - A user name is in the profile UsernameCaseMapped of PRECIS (RFC 8265 section 3.3): full-width forms mapped, lower
///   case, NFC.
/// - What contains an `@` is one e-mail address: a dot-atom (RFC 5322 section 3.2.3, internationalised by RFC 6531) in
///   the same profile, and a domain name in its ASCII form (UTS #46, non-transitional, STD 3). No comment, no quoted
///   part, no address literal, and never two addresses.
///
/// Canonical text is its own canonical form.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct CanonicalIdentifier(String);

/// The text is no identifier. What exactly is wrong is not said: nobody can log in with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a user name of 1 to 254 bytes without blanks, nor one e-mail address")]
pub struct BadIdentifier;

/// The longest canonical form, in bytes: that of an e-mail address (RFC 5321 section 4.5.3.1.3, without the brackets).
pub const MAX_BYTES: usize = 254;

/// The longest part before the `@`, in bytes (RFC 5321 section 4.5.3.1.1).
const MAX_LOCAL_BYTES: usize = 64;

/// No canonical form needs a longer text: full-width letters have three bytes for one.
const MAX_TYPED_BYTES: usize = 4 * MAX_BYTES;

impl CanonicalIdentifier {
    /// The canonical text, as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CanonicalIdentifier {
    type Err = BadIdentifier;

    fn from_str(text: &str) -> Result<Self, BadIdentifier> {
        if text.len() > MAX_TYPED_BYTES {
            return Err(BadIdentifier);
        }
        let canonical = canonical(text.trim())?;
        // Mapping can make what would be mapped again (RFC 8264 section 7): such a text names nobody for sure.
        if canonical.len() > MAX_BYTES || self::canonical(&canonical)? != canonical {
            return Err(BadIdentifier);
        }
        Ok(Self(canonical))
    }
}

impl fmt::Debug for CanonicalIdentifier {
    /// It is about a person: logs name users by their id.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CanonicalIdentifier(..)")
    }
}

/// The `@`, also as an input method for East Asian scripts writes it: PRECIS maps one to the other.
const AT: [char; 2] = ['@', '＠'];

fn canonical(text: &str) -> Result<String, BadIdentifier> {
    match text.split_once(AT) {
        None => name(text),
        Some((local, domain)) => Ok(format!("{}@{}", local_part(local)?, domain_name(domain)?)),
    }
}

fn name(text: &str) -> Result<String, BadIdentifier> {
    let name = UsernameCaseMapped::new().enforce(text).map_err(|_| BadIdentifier)?;
    if name.contains('@') { Err(BadIdentifier) } else { Ok(name.into_owned()) }
}

/// RFC 5322 section 3.2.3: atoms between single dots.
fn local_part(text: &str) -> Result<String, BadIdentifier> {
    let atext = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || !c.is_ascii();
    let local = name(text)?;
    let dot_atom = local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(atext));
    if dot_atom && local.len() <= MAX_LOCAL_BYTES { Ok(local) } else { Err(BadIdentifier) }
}

fn domain_name(text: &str) -> Result<String, BadIdentifier> {
    let ascii = Uts46::new().to_ascii(text.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify);
    Ok(ascii.map_err(|_| BadIdentifier)?.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Option<String> {
        text.parse().ok().map(|CanonicalIdentifier(text)| text)
    }

    #[test]
    fn all_ways_to_type_one_identifier_come_to_one() {
        for (typed, canonical) in [
            ("Ada", "ada"),
            ("  ada\n", "ada"),
            ("ＡＤＡ", "ada"),
            ("Ada.Lovelace+News@Example.TEST", "ada.lovelace+news@example.test"),
            ("ada＠example.test", "ada@example.test"),
            ("Ada@BÜCHER.example", "ada@xn--bcher-kva.example"),
            ("ada@xn--bcher-kva.example", "ada@xn--bcher-kva.example"),
            ("ada@example。test", "ada@example.test"),
            ("Jose\u{301}", "josé"),
            ("ÅSA", "åsa"),
            ("a\u{30a}sa", "åsa"),
            ("ada@straße.example", "ada@xn--strae-oqa.example"), // non-transitional: not strasse.example
            ("דוד@example.test", "דוד@example.test"),
        ] {
            assert_eq!(read(typed).as_deref(), Some(canonical), "{typed}");
        }
    }

    #[test]
    fn what_is_not_one_name_or_one_address_is_nothing() {
        let long_local = format!("{}@example.test", "a".repeat(65));
        let long_domain = format!("a@{}.test", "b".repeat(64));
        let long = format!("{}@{}.test", "a".repeat(64), ["b".repeat(63), "c".repeat(63), "d".repeat(63)].join("."));
        for wrong in [
            "",
            "   ",
            "ada lovelace",
            "a@x.test,b@y.test",
            "a@x.test;b@y.test",
            "a@x.test b@y.test",
            "a@b@c.test",
            "a＠b@c.test",
            "@example.test",
            "ada@",
            "ada@.test",
            "ada@example..test",
            ".ada@example.test",
            "ada.@example.test",
            "a..b@example.test",
            "\"ada\"@example.test",
            "Ada <ada@example.test>",
            "ada(comment)@example.test",
            "ada@[127.0.0.1]",
            "ada@exa_mple.test",
            "ada@-example.test",
            "ada@example.test/",
            "ada@example.test\r\nBcc: x@y.test",
            "ada\0",
            "a\u{202e}da",
            "a\u{200b}da",
            &long_local,
            &long_domain,
            &long,
            &"a".repeat(255),
            &"ａ".repeat(4000),
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
        assert!(read(&"a".repeat(254)).is_some());
    }

    #[test]
    fn letters_that_only_look_alike_are_different_people() {
        assert_ne!(read("раypal"), read("paypal")); // the first two are Cyrillic
    }

    #[test]
    fn an_identifier_is_not_printed() {
        assert_eq!(format!("{:?}", "ada".parse::<CanonicalIdentifier>().unwrap()), "CanonicalIdentifier(..)");
    }

    proptest! {
        #[test]
        fn canonical_text_is_its_own_canonical_form(
            text in prop_oneof!["\\PC{0,12}", "[a-zA-Z@.ＡＢäÄßſİıǅΣς+_-]{1,16}", "\\PC{1,5}@\\PC{1,8}\\.test"],
        ) {
            if let Some(canonical) = read(&text) {
                prop_assert_eq!(read(&canonical), Some(canonical.clone()));
                prop_assert_eq!(read(&format!(" {text}\t")), Some(canonical.clone()));
                prop_assert!(canonical.len() <= MAX_BYTES && canonical.matches('@').count() <= 1);
            }
        }
    }
}
