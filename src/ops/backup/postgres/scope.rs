//! The part of a PostgreSQL database that a backup covers: the whole database, or one of several viraldb schemas.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Array, Bool, Text};

use super::super::manifest::Manifest;
use super::{Value, texts};
use crate::db::identifier::quoted;
use crate::db::migrate::Namespace;
use crate::db::{postgres, schema};
use crate::error::ResultExt;
use crate::{Error, Result};

/// A backup of this schema contains the whole database, unless another schema holds a viraldb as well.
pub(super) const PUBLIC: &str = "public";

/// The part of a database that a backup covers.
pub(super) struct Scope {
    /// The schemas of the viraldb that the URL leads to.
    pub(super) place: Namespace,
    /// Other schemas in the database that hold a viraldb.
    others: Vec<String>,
}

/// Returns the current schema of a connection. If it does not exist yet, returns the schema that the URL names.
pub(super) fn home(conn: &mut PgConnection, url: &str) -> Result<String> {
    let there = postgres::current_schema(conn)?;
    Ok(there.or_else(|| schema::named(url)).unwrap_or_else(|| PUBLIC.to_owned()))
}

impl Scope {
    pub(super) fn of(conn: &mut PgConnection, url: &str) -> Result<Self> {
        let place = Namespace::of(&home(conn, url)?);
        let others = diesel::sql_query(
            "SELECT nspname::pg_catalog.text AS value FROM pg_catalog.pg_class \
             JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace \
             WHERE relname = 'viraldb_migrations' AND relkind = 'r' AND nspname::pg_catalog.text <> $1 ORDER BY value",
        )
        .bind::<Text, _>(&place.tables)
        .load::<Value>(conn)
        .of("pg_namespace", "")?;
        Ok(Self { place, others: others.into_iter().map(|other| other.value).collect() })
    }

    /// Returns the scope for a database that does not exist yet.
    pub(super) fn of_nothing(url: &str) -> Self {
        let schema = schema::named(url).unwrap_or_else(|| PUBLIC.to_owned());
        Self { place: Namespace::of(&schema), others: Vec::new() }
    }

    /// Returns true if a backup covers the whole database.
    pub(super) fn is_whole(&self) -> bool {
        self.place.tables == PUBLIC && self.others.is_empty()
    }

    /// Returns the schema that a backup covers; `None` if it covers the whole database.
    pub(super) fn schema(&self) -> Option<String> {
        (!self.is_whole()).then(|| self.place.tables.clone())
    }

    /// Returns the arguments that limit `pg_dump` to this scope.
    pub(super) fn arguments(&self, conn: &mut PgConnection) -> Result<Vec<String>> {
        if self.is_whole() {
            return Ok(Vec::new());
        }
        let Namespace { tables, views, .. } = &self.place;
        // Quote the name, because pg_dump would take an unquoted one as a pattern.
        if tables != PUBLIC {
            return Ok([tables, views].map(|name| format!("--schema={}", quoted(name))).to_vec());
        }
        // With --schema=public the dump would create the schema `public`, which every new database already has.
        let all = schemas(conn)?;
        let left_out = all.iter().filter(|name| ![tables, views].contains(name));
        Ok(left_out.map(|name| format!("--exclude-schema={}", quoted(name))).collect())
    }

    /// Returns a query for each table in this scope that counts its rows.
    pub(super) fn counts(&self, conn: &mut PgConnection) -> Result<Vec<String>> {
        let counts = diesel::sql_query(
            "SELECT pg_catalog.format('SELECT %L AS name, (SELECT count(*) FROM ONLY %I.%I) AS rows', nspname::text || '.' || relname::text, nspname, relname) AS value \
             FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace \
             WHERE relkind = 'r' AND relpersistence <> 't' AND nspname <> 'information_schema' AND nspname::text !~ '^pg_' \
                 AND ($1 OR nspname::pg_catalog.text = ANY ($2))",
        )
        .bind::<Bool, _>(self.is_whole())
        .bind::<Array<Text>, _>(vec![&self.place.tables, &self.place.views])
        .load::<Value>(conn)
        .of("pg_class", "")?;
        Ok(counts.into_iter().map(|count| count.value).collect())
    }

    /// Rejects a backup of another schema, or of a whole database where only one schema may be replaced.
    ///
    /// Without a manifest, the contents are not known yet; see [`require_alone`](Self::require_alone).
    pub(super) fn require(&self, manifest: Option<&Manifest>, backup: &str) -> Result<()> {
        let Some(manifest) = manifest else { return Ok(()) };
        let here = &self.place.tables;
        match &manifest.namespace {
            Some(schema) if schema == here => Ok(()),
            None if self.is_whole() => Ok(()),
            None if here == PUBLIC => Err(Error::invalid(
                backup,
                format!(
                    "is a backup of a whole database, but this database also has viraldb in the schema {}, which would be \
                     lost; restore it into a separate database, and copy it with `viraldb transfer --replace`",
                    self.others.join(", ")
                ),
            )),
            of => Err(Error::invalid(
                backup,
                format!(
                    "is a backup of the schema {}{}",
                    of.as_deref().unwrap_or(PUBLIC),
                    other_way(here, of.as_deref())
                ),
            )),
        }
    }

    /// Rejects a scratch database that holds anything but a viraldb in this schema.
    ///
    /// This finds backups without a manifest, or with a wrong one.
    pub(super) fn require_alone(&self, scratch: &mut PgConnection, backup: &str) -> Result<()> {
        let Namespace { tables, views, .. } = &self.place;
        let found = texts(
            scratch,
            "SELECT nspname::pg_catalog.text AS value FROM pg_catalog.pg_namespace \
             WHERE nspname <> 'information_schema' AND nspname::pg_catalog.text !~ '^pg_' AND ( \
                 nspname <> 'public' OR EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = pg_namespace.oid) \
                 OR EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace = pg_namespace.oid)) ORDER BY value",
        )?;
        let others: Vec<&str> =
            found.iter().filter(|name| ![tables, views].contains(name)).map(String::as_str).collect();
        if found.contains(tables) && others.is_empty() {
            return Ok(());
        }
        let of = others.iter().find(|name| !name.starts_with("viralforge")).copied();
        Err(Error::invalid(
            backup,
            format!("contains the schemas {}{}", found.join(", "), other_way(tables, of)),
        ))
    }
}

/// Explains how to get the rows of a backup into another schema.
fn other_way(here: &str, of: Option<&str>) -> String {
    let database = match of {
        Some(of) if of != PUBLIC => format!("with ?schema={of} in the URL, or into a separate database"),
        _ => "into a separate database, without a schema in the URL".to_owned(),
    };
    format!(
        ", but the target is the schema {here}; restore it {database}, and copy it with `viraldb transfer`"
    )
}

/// Lists the schemas of a database, without PostgreSQL's own.
pub(super) fn schemas(conn: &mut PgConnection) -> Result<Vec<String>> {
    texts(
        conn,
        "SELECT nspname::pg_catalog.text AS value FROM pg_catalog.pg_namespace \
         WHERE nspname <> 'information_schema' AND nspname::pg_catalog.text !~ '^pg_' ORDER BY value",
    )
}
