//! The text of a sealed value.

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

/// What every sealed text begins with.
const NONCE: usize = 24;
const TAG: usize = 16;

/// Longest secret, in bytes. Credentials and keys are a few thousand.
const MOST: usize = 1 << 20;

/// What the texts begin with that are sealed under a key.
pub(super) fn prefix(key: KeyId) -> String {
    format!("{PREFIX}{VERSION}:{key}:")
}

/// The id of the key that a text says it is sealed under; nothing for what is not text of ours.
pub(crate) fn key_id(text: &str) -> Option<KeyId> {
    sealed_parts(text).ok().map(|(id, _)| id)
}

/// Why a text does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    KeyMissing(KeyId),
    Damaged,
    NotSealed(&'static str),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyMissing(id) => write!(f, "is sealed under key {id}, which was not given"),
            Self::Damaged => f.write_str("does not open: it was damaged, or copied from another place"),
            Self::NotSealed(why) => write!(f, "is not sealed: {why}"),
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

/// Takes a text apart into the key's id and the rest in base64.
fn parse(text: &str) -> Result<(KeyId, &str), Trouble> {
    sealed_parts(text).map_err(|why| {
        Trouble::NotSealed(match why {
            NotSealed::OtherForm if super::fernet::is_token(text) => {
                "it is a Fernet token; `viraldb secrets import-fernet` seals it"
            }
            NotSealed::OtherForm => "it is not of viraldb's form; set it anew",
            NotSealed::UnknownVersion => "it says a version that this viraldb does not know; use a newer one",
            NotSealed::NoKey => "it names no key; set it anew",
        })
    })
}

/// What is sealed with a value: each part behind its length, so that no two places read the same.
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

/// Seals a secret for its place.
pub(super) fn seal(key: &Key, place: &Place, secret: &Secret) -> Result<String> {
    let secret = secret.reveal().as_bytes();
    if secret.len() > MOST {
        return Err(Error::invalid(place.to_string(), "is longer than 1 MiB, the most that is sealed"));
    }
    let mut nonce = [0; NONCE];
    getrandom::fill(&mut nonce).map_err(|error| Error::io("the system's randomness", error.into()))?;
    let mut sealed = Vec::with_capacity(NONCE + secret.len() + TAG);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(secret);
    let (_, text) = sealed.split_at_mut(NONCE);
    let tag = cipher(key)
        .encrypt_inout_detached(&XNonce::from(nonce), &associated(key.id(), place), text.into())
        .map_err(|_| Error::invalid(place.to_string(), "is too long to be sealed"))?;
    sealed.extend_from_slice(&tag);
    Ok(prefix(key.id()) + &Base64UrlUnpadded::encode_string(&sealed))
}

/// Opens a sealed text of this place.
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
    /// Tells secrets of one place apart in a history, without telling them: the same secret has the same one as
    /// long as the same key is first, and nobody without that key can try guesses. Reads `KEY ID:16 digits`.
    ///
    /// It is the beginning of an HMAC-SHA256 over the place and the secret, under a key that HMAC-SHA256 derives
    /// from the first one of the keyring.
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

    /// The key that seals, of which there must be one.
    pub(super) fn sealing(&self, at: &impl fmt::Display) -> Result<&Key> {
        self.first().ok_or_else(|| Error::SecretKeyMissing {
            at: at.to_string(),
            needed: vec![],
            given: vec![],
        })
    }
}

fn hmac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key shorter than SHA-256's block counts as filled up with zeros.
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
    fn every_flipped_bit_is_refused() {
        let keyring = Keyring::new([key()]);
        let place = Place::Setting("k".to_owned());
        for length in [0, 1, 2, 3, 40] {
            let text = seal(keyring.first().unwrap(), &place, &secret(&"x".repeat(length))).unwrap();
            assert_eq!(open(&keyring, &place, &text).unwrap().reveal().len(), length);
            for bit in 0..text.len() * 8 {
                let mut bytes = text.clone().into_bytes();
                bytes[bit / 8] ^= 1 << (bit % 8);
                // What is not UTF-8 is not text.
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
    fn a_value_opens_in_its_place_only() {
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
    fn what_does_not_open_says_why() {
        let place = Place::Setting("k".to_owned());
        let (one, other) = (Keyring::new([key()]), Keyring::new([key()]));
        let text = seal(one.first().unwrap(), &place, &secret("s")).unwrap();
        assert_eq!(open(&other, &place, &text), Err(Trouble::KeyMissing(one.first().unwrap().id())));
        let renamed =
            text.replace(&one.first().unwrap().id().to_string(), &other.first().unwrap().id().to_string());
        assert_eq!(open(&other, &place, &renamed), Err(Trouble::Damaged));
        for (text, why) in [
            ("", "not of viraldb's form"),
            ("hunter2", "not of viraldb's form"),
            ("gAAAAABo", "Fernet token"),
            ("viraldb:", "version"),
            ("viraldb:2:0123456789abcdef:AA", "version"),
            ("viraldb:1:0123456789ABCDEF:AA", "names no key"),
        ] {
            let said = open(&one, &place, text).unwrap_err().to_string();
            assert!(said.contains(why) && (text.is_empty() || !said.contains(text)), "{text:?}: {said}");
        }
    }

    #[test]
    fn the_same_is_never_sealed_the_same() {
        let place = Place::Setting("k".to_owned());
        let key = key();
        assert_ne!(seal(&key, &place, &secret("s")).unwrap(), seal(&key, &place, &secret("s")).unwrap());
    }

    /// What databases hold, so that it never changes; tests/data/secrets.py made it.
    #[test]
    fn the_form_stays() {
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
