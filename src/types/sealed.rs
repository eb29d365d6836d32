//! Encrypted text as it is stored.

use std::fmt;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize, Serializer};

use super::KeyId;

/// The prefix of an encrypted text, which has the form `viraldb:1:<key id>:<base64>`.
pub(crate) const PREFIX: &str = "viraldb:";
pub(crate) const VERSION: &str = "1";

/// Why text is not a value that viraldb encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSealed {
    OtherForm,
    UnknownVersion,
    NoKey,
}

/// Splits an encrypted text into the key id and the base64.
pub(crate) fn sealed_parts(text: &str) -> Result<(KeyId, &str), NotSealed> {
    let rest = text.strip_prefix(PREFIX).ok_or(NotSealed::OtherForm)?;
    let (version, rest) = rest.split_once(':').unwrap_or((rest, ""));
    if version != VERSION {
        return Err(NotSealed::UnknownVersion);
    }
    let (id, rest) = rest.split_once(':').unwrap_or((rest, ""));
    Ok((id.parse().map_err(|_| NotSealed::NoKey)?, rest))
}

/// The stored text of a column whose values [`secrets`](crate::secrets) encrypts.
///
/// Another program may have stored a plain secret there, so this type never shows the text. It prints and serializes as
/// `encrypted with key …` or `not encrypted`, and as nothing if it is empty.
///
/// A row that was serialized to JSON has therefore lost its secret. Storing that row again would replace the stored
/// secret with these words.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// Returns the text as the database stores it.
    pub fn as_text(&self) -> &str {
        &self.0
    }
}

impl<T: Into<String>> From<T> for Sealed {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match sealed_parts(&self.0) {
            Ok((key, _)) => write!(f, "encrypted with key {key}"),
            Err(_) if self.0.is_empty() => Ok(()),
            Err(_) => f.write_str("not encrypted"),
        }
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for Sealed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<DB: Backend> ToSql<Text, DB> for Sealed
where
    str: ToSql<Text, DB>,
{
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, DB>) -> serialize::Result {
        self.0.as_str().to_sql(out)
    }
}

impl<DB: Backend> FromSql<Text, DB> for Sealed
where
    String: FromSql<Text, DB>,
{
    fn from_sql(raw: DB::RawValue<'_>) -> deserialize::Result<Self> {
        String::from_sql(raw).map(Self)
    }
}
