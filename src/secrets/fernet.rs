//! Fernet tokens, with which the Python applications encrypt secrets: <https://github.com/fernet/spec>.

use std::fmt;
use std::str::FromStr;

use aes::Aes128;
use aes::cipher::block_padding::Pkcs7;
use aes::cipher::{BlockModeDecrypt, KeyIvInit};
use base64ct::{Base64, Base64Url, Encoding};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::Secret;
use super::secret::into_secret;
use crate::{Error, Result};

/// The beginning of every token: the version and the high bytes of a timestamp before the year 2106.
pub(super) const BEGIN: &str = "gAAAA";

/// Number of PBKDF2 rounds and key bytes that the Python applications use.
const ROUNDS: u32 = 100_000;
const TAKEN: usize = 32;

/// Returns true if a text looks like a token.
pub(super) fn is_token(text: &str) -> bool {
    text.starts_with(BEGIN)
}

/// A Fernet key. It is wiped from memory when dropped.
pub struct FernetKey {
    signing: Zeroizing<[u8; 16]>,
    encryption: Zeroizing<[u8; 16]>,
}

impl FernetKey {
    /// Derives the Fernet key from the key of a Python application.
    ///
    /// Like the Python applications, it uses PBKDF2 with HMAC-SHA256 and 100,000 rounds over the first 32 bytes.
    pub fn derive(key: &Secret, salt: &[u8]) -> Self {
        let key = key.reveal().as_bytes();
        let mut bytes = Zeroizing::new([0; 32]);
        pbkdf2::pbkdf2_hmac::<Sha256>(key.get(..TAKEN).unwrap_or(key), salt, ROUNDS, &mut *bytes);
        Self::of(&bytes)
    }

    fn of(bytes: &[u8; 32]) -> Self {
        let mut key = Self { signing: Zeroizing::default(), encryption: Zeroizing::default() };
        let (signing, encryption) = bytes.split_at(16);
        key.signing.copy_from_slice(signing);
        key.encryption.copy_from_slice(encryption);
        key
    }

    /// Decrypts a token of any age. Returns `None` if the token is invalid or has another key.
    ///
    /// A token consists of the version 0x80, 8 bytes of time, 16 bytes of IV, the AES-128-CBC ciphertext with PKCS #7
    /// padding, and an HMAC-SHA256 over all of these.
    pub fn open(&self, token: &str) -> Option<Secret> {
        let mut token = Zeroizing::new(Base64Url::decode_vec(token).ok()?);
        let (signed, code) = token.split_last_chunk::<32>()?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&*self.signing).ok()?;
        mac.update(signed);
        mac.verify(code.into()).ok()?;
        let end = signed.len();
        let (head, text) = token.get_mut(..end)?.split_at_mut_checked(25)?;
        let iv: [u8; 16] = head.get(9..)?.try_into().ok()?;
        if head.first() != Some(&0x80) {
            return None;
        }
        let text = cbc::Decryptor::<Aes128>::new((&*self.encryption).into(), &iv.into())
            .decrypt_padded::<Pkcs7>(text);
        into_secret(Zeroizing::new(text.ok()?.to_vec()))
    }
}

impl FromStr for FernetKey {
    type Err = Error;

    /// Parses a key in Fernet's format, 32 bytes in base64url.
    ///
    /// # Errors
    /// `Invalid` if the text has another format.
    fn from_str(text: &str) -> Result<Self> {
        let mut bytes = Zeroizing::new([0; 32]);
        match Base64Url::decode(text, &mut *bytes) {
            Ok(decoded) if decoded.len() == 32 => Ok(Self::of(&bytes)),
            _ => Err(Error::invalid("a Fernet key", "must be 44 characters of base64url")),
        }
    }
}

impl fmt::Debug for FernetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FernetKey(***)")
    }
}

/// Parses a salt: plain text, or bytes after the prefix `hex:` or `base64:`.
///
/// # Errors
/// `Invalid` if the text after a prefix is not valid hexadecimal or base64.
pub fn fernet_salt(text: &str) -> Result<Vec<u8>> {
    let wrong = |form: &str| {
        Error::invalid(format!("salt {}", crate::quote::quoted(text)), format!("is not valid {form}"))
    };
    if let Some(digits) = text.strip_prefix("hex:") {
        let pairs = digits.as_bytes().chunks(2).map(|pair| {
            let pair =
                std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2 && !pair.starts_with('+'));
            pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).ok_or_else(|| wrong("hexadecimal"))
        });
        return pairs.collect();
    }
    match text.strip_prefix("base64:") {
        Some(text) => Base64::decode_vec(text).map_err(|_| wrong("base64")),
        None => Ok(text.as_bytes().to_vec()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Tests `verify.json` and `invalid.json` of the specification. viraldb does not check the age of a token.
    #[test]
    fn tokens_of_the_specification_are_handled_correctly() {
        let key: FernetKey = "cw_0x689RpI-jtRR7oE8h_eQsKImvJapLeSbXpwF4e4=".parse().unwrap();
        let token = "gAAAAAAdwJ6wAAECAwQFBgcICQoLDA0ODy021cpGVWKZ_eEwCGM4BLLF_5CV9dOPmrhuVUPgJobwOz7JcbmrR64jVmpU4IwqDA==";
        assert_eq!(key.open(token).unwrap().reveal(), "hello");
        for (why, token) in [
            (
                "incorrect mac",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykQUFBQUFBQUFBQQ==",
            ),
            ("too short", "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPA=="),
            (
                "invalid base64",
                "%%%%%%%%%%%%%AECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAl1-szkFVzXTuGb4hR8AKtwcaX1YdykRtfsH-p1YsUD2Q==",
            ),
            (
                "payload size not multiple of block size",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPOm73QeoCk9uGib28Xe5vz6oxq5nmxbx_v7mrfyudzUm",
            ),
            (
                "payload padding error",
                "gAAAAAAdwJ6xAAECAwQFBgcICQoLDA0ODz4LEpdELGQAad7aNEHbf-JkLPIpuiYRLQ3RtXatOYREu2FWke6CnJNYIbkuKNqOhw==",
            ),
            (
                "incorrect IV (causes padding error)",
                "gAAAAAAdwJ6xBQECAwQFBgcICQoLDA0OD3HkMATM5lFqGaerZ-fWPAkLhFLHpGtDBRLRTZeUfWgHSv49TF2AUEZ1TIvcZjK1zQ==",
            ),
        ] {
            assert!(key.open(token).is_none(), "{why}");
        }
    }

    #[test]
    fn a_salt_is_parsed_from_text_hex_or_base64() {
        assert_eq!(fernet_salt("salt").unwrap(), b"salt");
        assert_eq!(fernet_salt("hex:00fF").unwrap(), [0, 255]);
        assert_eq!(fernet_salt("base64:AP8=").unwrap(), [0, 255]);
        for wrong in ["hex:0", "hex:0x", "hex:+1", "hex:é", "base64:A"] {
            assert!(fernet_salt(wrong).is_err(), "{wrong}");
        }
    }
}
