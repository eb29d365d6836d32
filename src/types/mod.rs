//! The types of the schema: SQL types that exist on both engines, and the Rust types of their values.

mod id;
mod json;
mod key_id;
mod sealed;
pub mod sql;
mod text_enum;
mod timestamp;

pub use id::*;
pub use json::{ConfigValue, Document, Json};
pub use key_id::KeyId;
pub use sealed::Sealed;
pub(crate) use sealed::{NotSealed, PREFIX, VERSION, sealed_parts};
pub(crate) use text_enum::{any_of, unknown_key, unknown_word};
pub use timestamp::Timestamp;

/// Implements the traits that let a column hold a type, on SQLite, on PostgreSQL and through [`DbConnection`].
///
/// - `struct Name(i64)` and `struct Name(Uuid)` define a separate key type for each table.
/// - `enum Name { Variant = "word" }` defines a column of words, stored as text and checked by the schema.
/// - `impl Name: SqlType` makes a type the value of one of our portable SQL types: PostgreSQL stores the value as its
///   native type, SQLite as text.
///
/// [`DbConnection`]: crate::db::DbConnection
macro_rules! portable {
    ($(#[$doc:meta])* pub struct $name:ident(i64);) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
            diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl<DB: diesel::backend::Backend> diesel::serialize::ToSql<diesel::sql_types::BigInt, DB> for $name
        where
            i64: diesel::serialize::ToSql<diesel::sql_types::BigInt, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut diesel::serialize::Output<'b, '_, DB>) -> diesel::serialize::Result {
                self.0.to_sql(out)
            }
        }

        impl<DB: diesel::backend::Backend> diesel::deserialize::FromSql<diesel::sql_types::BigInt, DB> for $name
        where
            i64: diesel::deserialize::FromSql<diesel::sql_types::BigInt, DB>,
        {
            fn from_sql(raw: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
                i64::from_sql(raw).map(Self)
            }
        }

        $crate::types::portable!(@text $name, "a whole number such as 17");
        $crate::types::portable!(@from $name, i64);
    };

    ($(#[$doc:meta])* pub struct $name:ident(Uuid);) => {
        $(#[$doc])*
        ///
        /// `default()` returns a new UUID of version 7. Newer keys sort after older ones, which keeps indexes compact.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
            diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = $crate::types::sql::Uuid)]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl Default for $name {
            fn default() -> Self {
                Self(uuid::Uuid::now_v7())
            }
        }

        $crate::types::portable!(impl $name: Uuid,
            postgres => |id, out| diesel::serialize::ToSql::<diesel::sql_types::Uuid, diesel::pg::Pg>::to_sql(&id.0, out),
            |raw| diesel::deserialize::FromSql::<diesel::sql_types::Uuid, diesel::pg::Pg>::from_sql(raw).map(Self),
            sqlite => |id| id.0.to_string(),
            |text| Ok(Self(uuid::Uuid::parse_str(&text)?)));
        $crate::types::portable!(@text $name, "a UUID such as 019a2f3c-7b1e-7000-8000-0123456789ab");
        $crate::types::portable!(@from $name, uuid::Uuid);
    };

    (@from $name:ident, $value:ty) => {
        impl From<$value> for $name {
            fn from(value: $value) -> Self {
                Self(value)
            }
        }

        impl From<$name> for $value {
            fn from(key: $name) -> Self {
                key.0
            }
        }
    };

    (@text $name:ident, $form:literal) => {
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;

            /// Parses the key from its text.
            ///
            /// # Errors
            /// `Invalid` if the text is not a key of this form.
            fn from_str(text: &str) -> $crate::Result<Self> {
                text.parse().map(Self).map_err(|_| $crate::types::unknown_key(text, $form))
            }
        }
    };

    ($(#[$doc:meta])* pub enum $name:ident { $($variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
            diesel::expression::AsExpression, diesel::deserialize::FromSqlRow,
        )]
        #[diesel(sql_type = diesel::sql_types::Text)]
        pub enum $name {
            $(
                #[doc = concat!("`", $word, "`")]
                #[serde(rename = $word)]
                $variant,
            )+
        }

        impl $name {
            /// All words, in the order of the schema's CHECK constraint.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Returns the word as the database stores it.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::Error;

            /// Parses the word as the database stores it.
            ///
            /// # Errors
            /// `Invalid` if the word is unknown; the message lists the known ones.
            fn from_str(text: &str) -> $crate::Result<Self> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::types::unknown_word(text, &[$($word),+])),
                }
            }
        }

        impl<DB: diesel::backend::Backend> diesel::serialize::ToSql<diesel::sql_types::Text, DB> for $name
        where
            str: diesel::serialize::ToSql<diesel::sql_types::Text, DB>,
        {
            fn to_sql<'b>(&'b self, out: &mut diesel::serialize::Output<'b, '_, DB>) -> diesel::serialize::Result {
                self.as_str().to_sql(out)
            }
        }

        impl<DB: diesel::backend::Backend> diesel::deserialize::FromSql<diesel::sql_types::Text, DB> for $name
        where
            String: diesel::deserialize::FromSql<diesel::sql_types::Text, DB>,
        {
            fn from_sql(raw: DB::RawValue<'_>) -> diesel::deserialize::Result<Self> {
                Ok(String::from_sql(raw)?.parse()?)
            }
        }
    };

    (impl $name:ident $(<$param:ident: $bound:path>)?: $sql:ident,
        postgres => |$native:ident, $out:ident| $pg_write:expr, |$raw:ident| $pg_read:expr,
        sqlite => |$value:ident| $write:expr, |$text:ident| $read:expr) => {
        #[cfg(feature = "postgres")]
        impl $(<$param: $bound>)? diesel::serialize::ToSql<$crate::types::sql::$sql, diesel::pg::Pg> for $name $(<$param>)? {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>,
            ) -> diesel::serialize::Result {
                let ($native, $out) = (self, out);
                $pg_write
            }
        }

        #[cfg(feature = "postgres")]
        impl $(<$param: $bound>)? diesel::deserialize::FromSql<$crate::types::sql::$sql, diesel::pg::Pg> for $name $(<$param>)? {
            fn from_sql($raw: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                $pg_read
            }
        }

        #[cfg(feature = "sqlite")]
        impl $(<$param: $bound>)? diesel::serialize::ToSql<$crate::types::sql::$sql, diesel::sqlite::Sqlite> for $name $(<$param>)? {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, diesel::sqlite::Sqlite>,
            ) -> diesel::serialize::Result {
                let $value = self;
                out.set_value($write);
                Ok(diesel::serialize::IsNull::No)
            }
        }

        #[cfg(feature = "sqlite")]
        impl $(<$param: $bound>)? diesel::deserialize::FromSql<$crate::types::sql::$sql, diesel::sqlite::Sqlite> for $name $(<$param>)? {
            fn from_sql(
                raw: <diesel::sqlite::Sqlite as diesel::backend::Backend>::RawValue<'_>,
            ) -> diesel::deserialize::Result<Self> {
                let $text: String =
                    diesel::deserialize::FromSql::<diesel::sql_types::Text, diesel::sqlite::Sqlite>::from_sql(raw)?;
                $read
            }
        }

        impl $(<$param: $bound>)? diesel::serialize::ToSql<$crate::types::sql::$sql, $crate::db::MultiBackend> for $name $(<$param>)? {
            fn to_sql<'b>(
                &'b self,
                out: &mut diesel::serialize::Output<'b, '_, $crate::db::MultiBackend>,
            ) -> diesel::serialize::Result {
                out.set_value(($crate::types::sql::$sql, self));
                Ok(diesel::serialize::IsNull::No)
            }
        }

        impl $(<$param: $bound>)? diesel::deserialize::FromSql<$crate::types::sql::$sql, $crate::db::MultiBackend> for $name $(<$param>)? {
            fn from_sql(raw: $crate::db::MultiRawValue<'_>) -> diesel::deserialize::Result<Self> {
                raw.from_sql::<Self, $crate::types::sql::$sql>()
            }
        }
    };
}
pub(crate) use portable;
