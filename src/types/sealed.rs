//! Sealed text.

use std::fmt;

use diesel::backend::Backend;
use diesel::deserialize::{self, FromSql, FromSqlRow};
use diesel::expression::AsExpression;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize, Serializer};

/// The text of a column whose values [`secrets`](crate::secrets) seals.
///
/// Other programs may have put a secret there as it is, so it never shows the text: it prints and serializes as
/// `sealed with key …` or `not sealed`, and as nothing if it is empty.
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
        match crate::secrets::key_id(&self.0) {
            Some(key) => write!(f, "sealed with key {key}"),
            None if self.0.is_empty() => Ok(()),
            None => f.write_str("not sealed"),
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
