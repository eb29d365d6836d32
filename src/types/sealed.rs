//! Sealed text.

use std::fmt;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize, Serializer};

use super::KeyId;

/// A sealed text is `viraldb:1:<id of the key>:<base64>`.
pub(crate) const PREFIX: &str = "viraldb:";
pub(crate) const VERSION: &str = "1";

/// Why a text is not a sealed one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotSealed {
    OtherForm,
    UnknownVersion,
    NoKey,
}

/// Takes a sealed text apart into the key's id and the base64.
pub(crate) fn sealed_parts(text: &str) -> Result<(KeyId, &str), NotSealed> {
    let rest = text.strip_prefix(PREFIX).ok_or(NotSealed::OtherForm)?;
    let (version, rest) = rest.split_once(':').unwrap_or((rest, ""));
    if version != VERSION {
        return Err(NotSealed::UnknownVersion);
    }
    let (id, rest) = rest.split_once(':').unwrap_or((rest, ""));
    Ok((id.parse().map_err(|_| NotSealed::NoKey)?, rest))
}

/// The text of a column whose values [`secrets`](crate::secrets) seals.
///
/// Other programs may have put a secret there as it is, so it never shows the text: it prints and serializes as
/// `sealed with key …` or `not sealed`, and as nothing if it is empty.
///
/// So a row that went through JSON does not have its secret any more: to store it again would replace the secret with these words.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = Text)]
#[serde(transparent)]
pub struct Sealed(String);

impl Sealed {
    /// The text as it stands in the database.
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
            Ok((key, _)) => write!(f, "sealed with key {key}"),
            Err(_) if self.0.is_empty() => Ok(()),
            Err(_) => f.write_str("not sealed"),
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
