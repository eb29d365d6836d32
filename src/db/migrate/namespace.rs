//! Where the objects of our migrations are on PostgreSQL: the tables in one schema, ViralForge's views in another.
//!
//! The text of a migration is frozen and names `public` and `viralforge`. In any other schema these names are replaced when
//! the migration runs, and its checksum stays that of the original text.

use std::borrow::Cow;

use diesel::connection::BoxableConnection;
use diesel::migration::{self, MigrationMetadata, MigrationName};

use super::migration::Migration;
use crate::Result;
use crate::db::identifier::quoted;
use crate::db::{DbConnection, on_backend};

/// The schema whose names our migrations have.
const PUBLIC: &str = "public";

/// The schema of ViralForge's views where the tables are in `public`.
const VIEWS: &str = "viralforge";

/// The schemas in which the objects of our migrations are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// The schema of the tables.
    pub(crate) tables: String,
    /// The schema of ViralForge's views.
    pub(crate) views: String,
    /// Whether notifications go to the channels of `public`.
    shares_channels: bool,
}

impl Namespace {
    /// Returns the schemas of a viraldb whose tables are in `schema`.
    pub(crate) fn of(schema: &str) -> Self {
        let is_public = schema == PUBLIC;
        let views = if is_public { VIEWS.to_owned() } else { format!("{VIEWS}_{schema}") };
        Self { tables: schema.to_owned(), views, shares_channels: is_public }
    }

    /// Returns the schemas of the viraldb of a connection: the first schema of its `search_path` that exists. SQLite has
    /// none, and its migrations name none.
    ///
    /// # Errors
    /// Those of the database.
    pub(crate) fn of_connection(conn: &mut DbConnection) -> Result<Self> {
        let schema: Option<String> = on_backend!(
            conn,
            sqlite => |_c| Ok::<_, crate::Error>(None),
            postgres => |c| crate::db::postgres::current_schema(c)
        )?;
        Ok(Self::of(schema.as_deref().unwrap_or(PUBLIC)))
    }

    /// Returns other schemas, in which the migrations make the same objects as here.
    #[cfg(feature = "postgres")]
    pub(crate) fn moved_to(&self, schema: &str) -> Self {
        Self { shares_channels: self.shares_channels, ..Self::of(schema) }
    }

    /// Returns the SQL of a migration with the names of these schemas. No comment is changed: a name may contain
    /// anything.
    pub(crate) fn adapted<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        if *self == Self::of(PUBLIC) {
            return sql.into();
        }
        let mut names = vec![
            ("public.".to_owned(), format!("{}.", quoted(&self.tables))),
            (VIEWS.to_owned(), quoted(&self.views)),
        ];
        if !self.shares_channels {
            names.extend(["viraldb_jobs", "viraldb_config"].map(|channel| {
                (
                    format!("pg_notify('{channel}', "),
                    format!("pg_notify({}, ", channel_of(channel, TABLE_OF_TRIGGER)),
                )
            }));
        }
        let lines = sql.split_inclusive('\n').map(|line| match line.trim_start().starts_with("--") {
            true => Cow::from(line),
            false => replaced(line, &names).into(),
        });
        lines.collect::<String>().into()
    }
}

/// The schema of the table whose trigger runs.
const TABLE_OF_TRIGGER: &str = "TG_TABLE_SCHEMA::pg_catalog.text";

/// Returns the SQL for the channel of a schema other than `public`, whose name is an SQL expression of type text. A hash,
/// because a channel has at most 63 bytes. It follows the name of the schema, so a schema that is renamed has its own
/// channel again.
pub(crate) fn channel_of(channel: &str, schema: &str) -> String {
    format!("pg_catalog.concat('{channel}_', pg_catalog.to_hex(pg_catalog.hashtextextended({schema}, 0)))")
}

/// Replaces in one pass, so that no name is looked for within another.
fn replaced(text: &str, names: &[(String, String)]) -> String {
    let (mut done, mut rest) = (String::new(), text);
    loop {
        let found = names.iter().filter_map(|(from, to)| Some((rest.find(from.as_str())?, from, to)));
        let Some((at, from, to)) = found.min_by_key(|(at, ..)| *at) else {
            done.push_str(rest);
            return done;
        };
        done.push_str(rest.get(..at).unwrap_or_default());
        done.push_str(to);
        rest = rest.get(at + from.len()..).unwrap_or_default();
    }
}

/// A migration as it runs in a place.
pub(super) struct Adapted<'a> {
    pub(super) migration: &'a Migration,
    pub(super) place: &'a Namespace,
}

impl<DB: diesel::backend::Backend> migration::Migration<DB> for Adapted<'_> {
    fn run(&self, conn: &mut dyn BoxableConnection<DB>) -> migration::Result<()> {
        Ok(conn.batch_execute(&self.place.adapted(self.migration.up))?)
    }

    fn revert(&self, conn: &mut dyn BoxableConnection<DB>) -> migration::Result<()> {
        Ok(conn.batch_execute(&self.place.adapted(self.migration.down))?)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self.migration
    }

    fn name(&self) -> &dyn MigrationName {
        self.migration
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_migrations_follow_the_schema() {
        let sql = "-- viralforge reads public.jobs\nCREATE SCHEMA viralforge;\nCREATE VIEW viralforge.jobs AS SELECT * FROM \
                   public.jobs;\n    PERFORM pg_notify('viraldb_jobs', '');\n";
        assert!(matches!(Namespace::of("public").adapted(sql), Cow::Borrowed(same) if same == sql));
        // A name that contains what is replaced.
        let place = Namespace::of("viralforge\" public.");
        let adapted = place.adapted(sql);
        let expected = "-- viralforge reads public.jobs\nCREATE SCHEMA \"viralforge_viralforge\"\" public.\";\nCREATE VIEW \
                        \"viralforge_viralforge\"\" public.\".jobs AS SELECT * FROM \"viralforge\"\" public.\".jobs;\n    \
                        PERFORM pg_notify(pg_catalog.concat('viraldb_jobs_', ";
        assert!(adapted.starts_with(expected), "{adapted}");
    }

    /// A schema that stands for `public` for a moment has its functions, too.
    #[cfg(feature = "postgres")]
    #[test]
    fn functions_are_those_of_the_place_that_is_compared() {
        let sql = "SELECT pg_notify('viraldb_config', '') FROM public.x";
        let text = |home: &str| Namespace::of(home).moved_to("s").adapted(sql).into_owned();
        assert_eq!(text("public"), "SELECT pg_notify('viraldb_config', '') FROM \"s\".x");
        assert!(text("viral").contains("hashtextextended"));
    }

    /// Every name of a schema and every channel in our migrations is one that is replaced.
    #[cfg(feature = "postgres")]
    #[test]
    fn no_migration_names_a_schema_that_stays() {
        for migration in crate::db::migrate::embedded::POSTGRES {
            for sql in [migration.up, migration.down] {
                let adapted = Namespace::of("s").adapted(sql);
                let statements = adapted.lines().filter(|line| !line.trim_start().starts_with("--"));
                for line in statements.filter(|line| !line.starts_with("COMMENT ON ")) {
                    let stays = ["public.", "viralforge.", "SCHEMA viralforge", "pg_notify('"];
                    assert!(!stays.iter().any(|name| line.contains(name)), "{migration}: {line}");
                }
            }
        }
    }
}
