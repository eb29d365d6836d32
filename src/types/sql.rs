//! The SQL types that `schema.rs` uses.
//!
//! `diesel print-schema` prints PostgreSQL's type names. Most of Diesel's types work on both engines, but it supports
//! [`Uuid`], [`Jsonb`] and [`Timestamptz`] on PostgreSQL only. viraldb therefore defines these three: they are the native
//! types on PostgreSQL and text on SQLite.

use diesel::query_builder::QueryId;
use diesel::sql_types::{HasSqlType, SqlOrd, SqlType, ops};

pub use diesel::sql_types::{Bool, Float8, Int4, Int8, Nullable, Text};

use crate::db::MultiBackend;

/// A UUID: `uuid` on PostgreSQL, 36 lowercase characters on SQLite.
#[derive(SqlType, QueryId, Debug, Clone, Copy, Default)]
#[diesel(postgres_type(oid = 2950, array_oid = 2951), sqlite_type(name = "Text"))]
pub struct Uuid;

/// A JSON document: `jsonb` on PostgreSQL, text on SQLite.
#[derive(SqlType, QueryId, Debug, Clone, Copy, Default)]
#[diesel(postgres_type(oid = 3802, array_oid = 3807), sqlite_type(name = "Text"))]
pub struct Jsonb;

/// A timestamp: `timestamptz` on PostgreSQL, `YYYY-MM-DD HH:MM:SS.ffffff` in UTC on SQLite.
///
/// On SQLite the text sorts in chronological order.
#[derive(SqlType, QueryId, Debug, Clone, Copy, Default)]
#[diesel(postgres_type(oid = 1184, array_oid = 1185), sqlite_type(name = "Text"))]
pub struct Timestamptz;

impl SqlOrd for Uuid {}
impl SqlOrd for Timestamptz {}

// Diesel's `table!` generates `+` and `-` for columns whose type has this name, so the type needs both operators.
impl ops::Add for Timestamptz {
    type Rhs = diesel::sql_types::Interval;
    type Output = Timestamptz;
}
impl ops::Sub for Timestamptz {
    type Rhs = diesel::sql_types::Interval;
    type Output = Timestamptz;
}

impl HasSqlType<Uuid> for MultiBackend {
    fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
        MultiBackend::lookup_sql_type::<Uuid>(lookup)
    }
}
impl HasSqlType<Jsonb> for MultiBackend {
    fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
        MultiBackend::lookup_sql_type::<Jsonb>(lookup)
    }
}
impl HasSqlType<Timestamptz> for MultiBackend {
    fn metadata(lookup: &mut Self::MetadataLookup) -> Self::TypeMetadata {
        MultiBackend::lookup_sql_type::<Timestamptz>(lookup)
    }
}
