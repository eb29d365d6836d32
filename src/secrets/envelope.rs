//! Encryption and decryption of a value, and the format of the encrypted text.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use chacha20poly1305::aead::{AeadInOut, KeyInit};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::secret::into_secret;
use super::{Key, KeyId, Keyring, Place, Secret};
use crate::types::{NotSealed, PREFIX, VERSION, sealed_parts};
use crate::{Error, Result};

/// Length in bytes of the nonce, which comes first in the decoded text.
const NONCE: usize = 24;
/// Length in bytes of the authentication tag, which comes last.
const TAG: usize = 16;

/// Maximum length of a secret in bytes. Credentials and keys have a few thousand.
const MOST: usize = 1 << 20;

/// Returns the prefix of all values that are encrypted with a key.
pub(super) fn prefix(key: KeyId) -> String {
    format!("{PREFIX}{VERSION}:{key}:")
}

/// Returns the key id in an encrypted text, or `None` if viraldb did not encrypt the text.
pub(crate) fn key_id(text: &str) -> Option<KeyId> {
    sealed_parts(text).ok().map(|(id, _)| id)
}

/// Why a value cannot be decrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    KeyMissing(KeyId),
    Damaged,
    NotSealed(&'static str),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyMissing(id) => write!(f, "is encrypted with key {id}, which was not given"),
            Self::Damaged => {
                f.write_str("cannot be decrypted: it is damaged or was copied from another row or column")
            }
            Self::NotSealed(why) => write!(f, "is not encrypted: {why}"),
        }
    }
}

impl Trouble {
    pub(super) fn at(self, place: &Place, keyring: &Keyring) -> Error {
        let at = place.to_string();
        match self {
            Self::KeyMissing(id) => {
                Error::SecretKeyMissing { at, needed: vec![id.to_string()], given: keyring.shown_ids() }
            }
            Self::Damaged => Error::SecretDamaged { at },
            Self::NotSealed(why) => Error::SecretNotSealed { at, reason: why.to_owned() },
        }
    }
}

/// Splits an encrypted value into its key id and its base64 part.
fn parse(text: &str) -> Result<(KeyId, &str), Trouble> {
    sealed_parts(text).map_err(|why| {
        Trouble::NotSealed(match why {
            NotSealed::OtherForm if super::fernet::is_token(text) => {
                "it is a Fernet token; run `viraldb secrets import-fernet` to encrypt it with your key"
            }
            NotSealed::OtherForm => "it does not have viraldb's format; set it again",
            NotSealed::UnknownVersion => "its format version is unknown; use a newer viraldb",
            NotSealed::NoKey => "it contains no valid key id; set it again",
        })
    })
}

/// Returns the associated data of a value. Each part follows its length, so that two places never have the same data.
fn associated(key: KeyId, place: &Place) -> Vec<u8> {
    let (id, column, row) = (key.to_string(), place.column(), place.row_key());
    let mut data = Vec::with_capacity(160);
    for part in [VERSION, &id, column.table(), column.name(), &row] {
        data.extend_from_slice(&(part.len() as u64).to_le_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    data
}

fn cipher(key: &Key) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.bytes().into())
}

/// Encrypts a secret for its place.
pub(super) fn seal(key: &Key, place: &Place, secret: &Secret) -> Result<String> {
    let secret = secret.reveal().as_bytes();
    if secret.len() > MOST {
        return Err(Error::invalid(
            place.to_string(),
            "is longer than 1 MiB, the maximum length of a secret",
        ));
    }
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce)
        .map_err(|error| Error::io("the system's random number generator", error.into()))?;
    let mut sealed = Vec::with_capacity(NONCE + secret.len() + TAG);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(secret);
    let (_, text) = sealed.split_at_mut(NONCE);
    let tag = cipher(key)
        .encrypt_inout_detached(&XNonce::from(nonce), &associated(key.id(), place), text.into())
        .map_err(|_| Error::invalid(place.to_string(), "is too long to encrypt"))?;
    sealed.extend_from_slice(&tag);
    Ok(prefix(key.id()) + &Base64UrlUnpadded::encode_string(&sealed))
}

/// Decrypts the text of a place.
pub(super) fn open(keyring: &Keyring, place: &Place, text: &str) -> Result<Secret, Trouble> {
    let (id, rest) = parse(text)?;
    let damaged = || Trouble::Damaged;
    let sealed = Base64UrlUnpadded::decode_vec(rest).map_err(|_| damaged())?;
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>().ok_or_else(damaged)?;
    let (text, tag) = sealed.split_last_chunk::<TAG>().ok_or_else(damaged)?;
    let key = keyring.get(id).ok_or(Trouble::KeyMissing(id))?;
    let mut text = Zeroizing::new(text.to_vec());
    cipher(key)
        .decrypt_inout_detached(
            &XNonce::from(*nonce),
            &associated(id, place),
            text.as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .map_err(|_| damaged())?;
    into_secret(text).ok_or_else(damaged)
}

impl Keyring {
    /// Returns a fingerprint that distinguishes the secrets of one place in a history without revealing them.
    ///
    /// The same secret has the same fingerprint as long as the first key of the keyring stays the same. Without that key,
    /// the fingerprint cannot be used to test guesses. Its format is `KEY ID:16 digits`.
    ///
    /// The digits are the beginning of an HMAC-SHA256 over the place and the secret. Its key is derived with HMAC-SHA256
    /// from the first key of the keyring.
    ///
    /// # Errors
    /// [`Error::SecretKeyMissing`] if the keyring is empty.
    pub fn fingerprint(&self, place: &Place, secret: &Secret) -> Result<String> {
        let key = self.sealing(place)?;
        let derived = Zeroizing::new(hmac(key.bytes(), &[b"viraldb fingerprint 1"]));
        let code = hmac(&derived, &[&associated(key.id(), place), secret.reveal().as_bytes()]);
        let code = code.iter().take(8).fold(0, |code, byte| code << 8 | u64::from(*byte));
        Ok(format!("{}:{code:016x}", key.id()))
    }

    /// Returns the key that encrypts, or an error if the keyring is empty. `at` names the value in the error.
    pub(super) fn sealing(&self, at: &impl fmt::Display) -> Result<&Key> {
        self.first().ok_or_else(|| Error::SecretKeyMissing {
            at: at.to_string(),
            needed: vec![],
            given: vec![],
        })
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC pads a key that is shorter than SHA-256's block with zeros.
    let mut block = Zeroizing::new([0; 64]);
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ChannelId;

    fn key() -> Key {
        Key::generate().unwrap()
    }

    fn secret(text: &str) -> Secret {
        text.to_owned().into()
    }

    #[test]
    fn every_flipped_bit_is_detected() {
        let keyring = Keyring::new([key()]);
        let place = Place::Setting("k".to_owned());
        for length in [0, 1, 2, 3, 40] {
            let text = seal(keyring.first().unwrap(), &place, &secret(&"x".repeat(length))).unwrap();
            assert_eq!(open(&keyring, &place, &text).unwrap().reveal().len(), length);
            for bit in 0..text.len() * 8 {
                let mut bytes = text.clone().into_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                // The database stores text, so only UTF-8 can occur.
                let Ok(flipped) = String::from_utf8(bytes) else { continue };
                assert!(open(&keyring, &place, &flipped).is_err(), "bit {bit} of {text}");
            }
            for end in 0..text.len() {
                assert!(open(&keyring, &place, &text[..end]).is_err(), "{end} bytes of {text}");
            }
            assert!(open(&keyring, &place, &format!("{text}A")).is_err());
            assert!(open(&keyring, &place, &format!("{text}=")).is_err());
        }
    }

    #[test]
    fn a_value_can_be_decrypted_only_in_its_place() {
        let keyring = Keyring::new([key()]);
        let id = ChannelId::default();
        let places = [
            Place::ChannelCredentials(id),
            Place::ChannelGithubKey(id),
            Place::ChannelCredentials(ChannelId::default()),
            Place::Setting(id.to_string()),
            Place::Setting("a".to_owned()),
            Place::Setting(String::new()),
        ];
        for from in &places {
            let text = seal(keyring.first().unwrap(), from, &secret("s")).unwrap();
            for to in &places {
                let opened = open(&keyring, to, &text);
                assert_eq!(
                    opened,
                    if from == to { Ok(secret("s")) } else { Err(Trouble::Damaged) },
                    "{from}, {to}"
                );
            }
        }
    }

    #[test]
    fn failed_decryption_reports_the_reason() {
        let place = Place::Setting("k".to_owned());
        let (one, other) = (Keyring::new([key()]), Keyring::new([key()]));
        let text = seal(one.first().unwrap(), &place, &secret("s")).unwrap();
        assert_eq!(open(&other, &place, &text), Err(Trouble::KeyMissing(one.first().unwrap().id())));
        let renamed =
            text.replace(&one.first().unwrap().id().to_string(), &other.first().unwrap().id().to_string());
        assert_eq!(open(&other, &place, &renamed), Err(Trouble::Damaged));
        for (text, why) in [
            ("", "does not have viraldb's format"),
            ("hunter2", "does not have viraldb's format"),
            ("gAAAAABo", "Fernet token"),
            ("viraldb:", "version"),
            ("viraldb:2:0123456789abcdef:AA", "version"),
            ("viraldb:1:0123456789ABCDEF:AA", "no valid key id"),
        ] {
            let said = open(&one, &place, text).unwrap_err().to_string();
            assert!(said.contains(why) && (text.is_empty() || !said.contains(text)), "{text:?}: {said}");
        }
    }

    #[test]
    fn encrypting_the_same_secret_twice_gives_different_texts() {
        let place = Place::Setting("k".to_owned());
        let key = key();
        assert_ne!(seal(&key, &place, &secret("s")).unwrap(), seal(&key, &place, &secret("s")).unwrap());
    }

    /// Existing databases contain this format, so it must never change. `tests/data/secrets.py` created the data.
    #[test]
    fn the_format_is_stable() {
        let made: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/data/secrets.json")).unwrap();
        let given = |name: &str| made["envelope"][name].as_str().unwrap();
        let keyring = Keyring::new([given("key").parse().unwrap()]);
        assert_eq!(keyring.ids()[0].to_string(), given("key_id"));
        let place = Place::ChannelGithubKey(given("channel").parse().unwrap());
        assert_eq!(open(&keyring, &place, given("sealed")).unwrap().reveal(), given("secret"));
        let print = |place| keyring.fingerprint(place, &secret(given("secret"))).unwrap();
        assert_eq!(print(&place), given("fingerprint"));
        assert_ne!(print(&Place::Setting("k".to_owned())), print(&place));
    }
}
