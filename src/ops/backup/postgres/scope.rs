//! What of a PostgreSQL database belongs to a backup: all of it, or one viraldb among several.

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

/// The schema whose backups hold the whole database, unless it holds another viraldb.
pub(super) const PUBLIC: &str = "public";

/// What a backup of a database holds.
pub(super) struct Scope {
    /// The schemas of the viraldb that the URL leads to.
    pub(super) place: Namespace,
    /// The schemas of others that the database has.
    others: Vec<String>,
}

/// Returns the schema of a connection's viraldb, or the one that its URL names if that does not exist.
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

    /// What a database that does not exist will hold.
    pub(super) fn of_nothing(url: &str) -> Self {
        let schema = schema::named(url).unwrap_or_else(|| PUBLIC.to_owned());
        Self { place: Namespace::of(&schema), others: Vec::new() }
    }

    /// Returns true if a backup holds the whole database.
    pub(super) fn is_whole(&self) -> bool {
        self.place.tables == PUBLIC && self.others.is_empty()
    }

    /// The schema that a backup holds, if it does not hold the whole database.
    pub(super) fn schema(&self) -> Option<String> {
        (!self.is_whole()).then(|| self.place.tables.clone())
    }

    /// Tells `pg_dump` what to dump.
    pub(super) fn arguments(&self, conn: &mut PgConnection) -> Result<Vec<String>> {
        if self.is_whole() {
            return Ok(Vec::new());
        }
        let Namespace { tables, views, .. } = &self.place;
        // A quoted name is not a pattern.
        if tables != PUBLIC {
            return Ok([tables, views].map(|name| format!("--schema={}", quoted(name))).to_vec());
        }
        // With --schema=public the dump would make a schema that every database has.
        let all = schemas(conn)?;
        let left_out = all.iter().filter(|name| ![tables, views].contains(name));
        Ok(left_out.map(|name| format!("--exclude-schema={}", quoted(name))).collect())
    }

    /// Returns the queries that count the rows of each table in it.
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

    /// Refuses a backup that cannot take the place of what is here: of another schema, or of the whole database where only a
    /// part may be replaced. Without a manifest it is not known yet.
    pub(super) fn require(&self, manifest: Option<&Manifest>, backup: &str) -> Result<()> {
        let Some(manifest) = manifest else { return Ok(()) };
        let here = &self.place.tables;
        match &manifest.namespace {
            Some(schema) if schema == here => Ok(()),
            None if self.is_whole() => Ok(()),
            None if here == PUBLIC => Err(Error::invalid(
                backup,
                format!(
                    "is of a whole database, and this one also has viraldb in the schema {}, which would be lost; restore it \
                     into a database of its own, and copy it with `viraldb transfer --replace`",
                    self.others.join(", ")
                ),
            )),
            of => Err(Error::invalid(
                backup,
                format!(
                    "is of the schema {}{}",
                    of.as_deref().unwrap_or(PUBLIC),
                    other_way(here, of.as_deref())
                ),
            )),
        }
    }

    /// Refuses what was restored into a scratch database if it is more than a viraldb of this schema: without a manifest, or
    /// with a false one.
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
            format!("holds the schemas {}{}", found.join(", "), other_way(tables, of)),
        ))
    }
}

/// How rows of one schema get into another.
fn other_way(here: &str, of: Option<&str>) -> String {
    let database = match of {
        Some(of) if of != PUBLIC => format!("with ?schema={of} in the URL, or into a database of its own"),
        _ => "into a database of its own, without schema in the URL".to_owned(),
    };
    format!(
        ", and the database is viraldb in the schema {here}; restore it {database}, and copy it with `viraldb transfer`"
    )
}

/// The schemas of a database, but for PostgreSQL's own.
pub(super) fn schemas(conn: &mut PgConnection) -> Result<Vec<String>> {
    texts(
        conn,
        "SELECT nspname::pg_catalog.text AS value FROM pg_catalog.pg_namespace \
         WHERE nspname <> 'information_schema' AND nspname::pg_catalog.text !~ '^pg_' ORDER BY value",
    )
}
