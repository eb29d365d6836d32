//! JSON documents.

use std::fmt::Debug;

use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Sealed, portable, sql};

/// A JSON document of the type `T`, or of any shape by default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql::Jsonb)]
#[serde(transparent, bound = "")]
pub struct Json<T: Document = serde_json::Value>(pub T);

impl<T: Document> From<T> for Json<T> {
    fn from(document: T) -> Self {
        Self(document)
    }
}

/// A type that a [`Json`] column can hold. Every type that serde can serialize and deserialize implements it.
pub trait Document: Debug + Serialize + DeserializeOwned + Send + Sync + 'static {}
impl<T: Debug + Serialize + DeserializeOwned + Send + Sync + 'static> Document for T {}

/// The value of a setting, as JSON.
///
/// On SQLite, other programs may write bare text into the column. viraldb reads such text as a JSON string.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql::Jsonb)]
#[serde(transparent)]
pub struct ConfigValue(pub serde_json::Value);

impl From<ConfigValue> for serde_json::Value {
    fn from(value: ConfigValue) -> Self {
        value.0
    }
}

impl From<serde_json::Value> for ConfigValue {
    fn from(value: serde_json::Value) -> Self {
        Self(value)
    }
}

impl ConfigValue {
    /// Returns the value in a form that is safe to show: an encrypted value appears without its text.
    pub(crate) fn shown(&self, encrypted: bool) -> serde_json::Value {
        if encrypted { self.clone().into_sealed().to_string().into() } else { self.0.clone() }
    }

    /// Returns the value of an encrypted setting.
    ///
    /// A JSON string becomes its text, null becomes the empty text, and any other value becomes its JSON text.
    pub(crate) fn into_sealed(self) -> Sealed {
        match self.0 {
            serde_json::Value::Null => Sealed::default(),
            serde_json::Value::String(text) => text.into(),
            other => other.to_string().into(),
        }
    }
}

/// Writes a document as `jsonb`: PostgreSQL expects a version byte, always 1 so far, and the text of the document.
#[cfg(feature = "postgres")]
fn write_jsonb(document: &impl Serialize, out: &mut impl std::io::Write) -> diesel::serialize::Result {
    out.write_all(&[1])?;
    serde_json::to_writer(out, document)?;
    Ok(diesel::serialize::IsNull::No)
}

#[cfg(feature = "postgres")]
fn read_jsonb<T: DeserializeOwned>(raw: &[u8]) -> diesel::deserialize::Result<T> {
    match raw {
        [1, document @ ..] => Ok(serde_json::from_slice(document)?),
        _ => Err("unknown jsonb version".into()),
    }
}

portable!(impl Json<T: Document>: Jsonb,
    postgres => |json, out| write_jsonb(&json.0, out),
    |raw| read_jsonb(raw.as_bytes()).map(Self),
    sqlite => |json| serde_json::to_string(&json.0)?,
    |text| Ok(Self(serde_json::from_str(&text)?)));

portable!(impl ConfigValue: Jsonb,
    postgres => |json, out| write_jsonb(&json.0, out),
    |raw| read_jsonb(raw.as_bytes()).map(Self),
    sqlite => |json| json.0.to_string(),
    |text| Ok(Self(serde_json::from_str(&text).unwrap_or(serde_json::Value::String(text)))));
