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
