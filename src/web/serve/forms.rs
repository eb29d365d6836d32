//! Proof that a form comes from a page of the dashboard.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::failure::Failure;
use super::visitor::Visitor;

/// Makes and checks the tokens that forms carry, so that a page of another site cannot send a form in the name of a visitor.
pub(super) struct Forms([u8; 64]);

impl Forms {
    /// Creates a random key. Tokens of an earlier process are not valid.
    ///
    /// # Errors
    /// [`Other`](crate::Error::Other) if the operating system has no random numbers.
    pub fn new() -> crate::Result<Self> {
        let mut key = [0; 64];
        getrandom::fill(&mut key).map_err(crate::Error::other)?;
        Ok(Self(key))
    }

    /// Returns the token for the visitor with this cookie.
    pub fn token(&self, cookie: &str) -> String {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        mac.update(cookie.as_bytes());
        mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Fails unless the token belongs to the visitor.
    pub fn check(&self, visitor: &Visitor, token: &str) -> Result<(), Failure> {
        let is_right = |cookie: &String| self.token(cookie).as_bytes().ct_eq(token.as_bytes()).into();
        if visitor.cookie.as_ref().is_some_and(is_right) {
            return Ok(());
        }
        Err(Failure::refused(
            "The form has expired, or does not come from the dashboard. Open the page again and repeat the action.",
        ))
    }
}
