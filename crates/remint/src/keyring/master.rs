//! The master key: what an operator keeps apart from the data, and what seals every private key that is stored with
//! them. Never stored, never printed, never used for anything but sealing and deriving.

use std::fmt::{self, Display};
use std::str::FromStr;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use remint_core::key::Sealed;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The secret of an installation: 32 bytes, as text 64 hexadecimal digits or 43 characters of base64 (either alphabet,
/// with or without the `=`), blanks around it ignored.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

/// The text cannot be a master key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMasterKey {
    /// Not 32 bytes in one of the two forms.
    #[error("the master key must be 32 random bytes as 64 hex digits or 43 base64 characters: `openssl rand -hex 32`")]
    Malformed,
    /// 32 bytes that nobody drew at random.
    #[error("the master key is not random: make one with `openssl rand -hex 32`")]
    Weak,
}

/// Random bytes have 30 different values among 32 on average; fewer than this many happens to nobody.
const LEAST_DIFFERENT_BYTES: usize = 16;

impl MasterKey {
    /// From 32 random bytes.
    pub const fn from_random(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A key for one use, which gives away neither this one nor its siblings.
    pub(crate) fn derived(&self, for_what: &str) -> Zeroizing<[u8; 32]> {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), for_what.as_bytes());
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(tag.as_ref());
        key
    }

    /// Seals the secret of the row `name`; it opens under the same name and purpose only, so that no row can be put in
    /// another's place.
    pub(crate) fn seal(&self, name: &str, purpose: impl Display, secret: &[u8]) -> Option<Sealed> {
        let mut text = secret.to_vec();
        let nonce = self.sealer()?.seal_in_place_append_tag(bound_to(name, purpose), &mut text).ok()?;
        Some(Sealed::from_bytes([&[FORMAT][..], nonce.as_ref(), &text].concat()))
    }

    /// Opens what [`Self::seal`] made; `None` where this is another master key, another row, or not what was sealed.
    pub(crate) fn open(&self, name: &str, purpose: impl Display, sealed: &Sealed) -> Option<Zeroizing<Vec<u8>>> {
        let (&format, rest) = sealed.as_bytes().split_first()?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        if format != FORMAT {
            return None;
        }
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = Zeroizing::new(text.to_vec());
        let length = self.sealer()?.open_in_place(nonce, bound_to(name, purpose), &mut text).ok()?.len();
        text.truncate(length);
        Some(text)
    }

    fn sealer(&self) -> Option<RandomizedNonceKey> {
        RandomizedNonceKey::new(&AES_256_GCM, self.derived("remint keyring").as_slice()).ok()
    }
}

/// The first byte of what is sealed: AES-256-GCM with a random nonce before and the tag behind.
const FORMAT: u8 = 1;

fn bound_to(name: &str, purpose: impl Display) -> Aad<String> {
    Aad::from(format!("{name}|{purpose}"))
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl FromStr for MasterKey {
    type Err = BadMasterKey;

    fn from_str(text: &str) -> Result<Self, BadMasterKey> {
        let text = text.trim();
        let bytes = hexadecimal(text).or_else(|| base64(text)).ok_or(BadMasterKey::Malformed)?;
        let mut seen = [false; 256];
        bytes.iter().for_each(|byte| seen[usize::from(*byte)] = true);
        if seen.into_iter().filter(|seen| *seen).count() < LEAST_DIFFERENT_BYTES {
            return Err(BadMasterKey::Weak);
        }
        Ok(Self(*bytes))
    }
}

fn hexadecimal(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    if text.len() != 64 {
        return None;
    }
    let mut bytes = Zeroizing::new([0; 32]);
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

fn base64(text: &str) -> Option<Zeroizing<[u8; 32]>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let alphabet = if text.contains(['-', '_']) { &alphabet::URL_SAFE } else { &alphabet::STANDARD };
    if !matches!(text.len(), 43 | 44) {
        return None;
    }
    let decoded = Zeroizing::new(GeneralPurpose::new(alphabet, CONFIG).decode(text).ok()?);
    let mut bytes = Zeroizing::new([0; 32]);
    (decoded.len() == 32).then(|| bytes.copy_from_slice(&decoded))?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use remint_core::jwk::Algorithm;
    use remint_core::key::Purpose;

    const HEX: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

    #[test]
    fn the_same_key_is_read_from_hex_and_from_base64() {
        let key: MasterKey = HEX.parse().unwrap();
        for same in [
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "  AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
            &HEX.to_uppercase(),
        ] {
            assert_eq!(same.parse::<MasterKey>().unwrap().0, key.0, "{same}");
        }
        assert_eq!(format!("{key:?}"), "MasterKey(..)");
    }

    #[test]
    fn a_key_that_is_short_empty_or_not_random_is_refused() {
        for short in ["", "x", &HEX[..62], &HEX[..63], &format!("{HEX}00"), "correct horse battery staple", &HEX[..43]]
        {
            assert_eq!(short.parse::<MasterKey>().unwrap_err(), BadMasterKey::Malformed, "{short}");
        }
        for weak in ["00".repeat(32), "deadbeef".repeat(8), "A".repeat(43)] {
            assert_eq!(weak.parse::<MasterKey>().unwrap_err(), BadMasterKey::Weak, "{weak}");
        }
    }

    #[test]
    fn what_is_sealed_opens_under_its_own_id_purpose_and_master_key_only() {
        let (key, other): (MasterKey, _) = (HEX.parse().unwrap(), MasterKey::from_random([7; 32]));
        let sealed = key.seal("1", Purpose::Refresh, b"secret").unwrap();
        assert_eq!(key.open("1", Purpose::Refresh, &sealed).unwrap().as_slice(), b"secret");
        assert!(key.open("2", Purpose::Refresh, &sealed).is_none());
        assert!(key.open("1", Purpose::Sign(Algorithm::Es256), &sealed).is_none());
        assert!(other.open("1", Purpose::Refresh, &sealed).is_none());
        for at in 0..sealed.as_bytes().len() {
            let mut bytes = sealed.as_bytes().to_vec();
            bytes[at] ^= 1;
            assert!(key.open("1", Purpose::Refresh, &Sealed::from_bytes(bytes)).is_none(), "byte {at}");
            let cut = Sealed::from_bytes(sealed.as_bytes()[..at].to_vec());
            assert!(key.open("1", Purpose::Refresh, &cut).is_none(), "cut at {at}");
        }
    }

    #[test]
    fn the_same_secret_is_never_sealed_into_the_same_bytes() {
        let key: MasterKey = HEX.parse().unwrap();
        assert_ne!(key.seal("1", Purpose::Refresh, b"x"), key.seal("1", Purpose::Refresh, b"x"));
    }
}
