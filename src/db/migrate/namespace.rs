//! The PostgreSQL schemas of viraldb: one for the tables, another for ViralForge's views.
//!
//! The text of a migration is frozen and names the schemas `public` and `viralforge`. For any other schema these names are
//! replaced when the migration runs. The checksum is always that of the original text.

use std::borrow::Cow;

use diesel::connection::BoxableConnection;
use diesel::migration::{self, MigrationMetadata, MigrationName};

use super::migration::Migration;
use crate::Result;
use crate::db::identifier::quoted;
use crate::db::{DbConnection, on_backend};

/// The schema of the tables in the text of the migrations.
const PUBLIC: &str = "public";

/// The schema of ViralForge's views if the tables are in `public`.
const VIEWS: &str = "viralforge";

/// The schemas that contain the objects of viraldb's migrations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Namespace {
    /// The schema of the tables.
    pub(crate) tables: String,
    /// The schema of ViralForge's views.
    pub(crate) views: String,
    /// True if triggers notify the channels of `public`.
    shares_channels: bool,
}

impl Namespace {
    /// Returns the schemas of a viraldb whose tables are in `schema`.
    pub(crate) fn of(schema: &str) -> Self {
        let is_public = schema == PUBLIC;
        let views = if is_public { VIEWS.to_owned() } else { format!("{VIEWS}_{schema}") };
        Self { tables: schema.to_owned(), views, shares_channels: is_public }
    }

    /// Returns the schemas of a connection, based on the first schema of its `search_path` that exists. SQLite has no schemas,
    /// and its migrations name none.
    ///
    /// # Errors
    /// Any error of the query.
    pub(crate) fn of_connection(conn: &mut DbConnection) -> Result<Self> {
        let schema: Option<String> = on_backend!(
            conn,
            sqlite => |_c| Ok::<_, crate::Error>(None),
            postgres => |c| crate::db::postgres::current_schema(c)
        )?;
        Ok(Self::of(schema.as_deref().unwrap_or(PUBLIC)))
    }

    /// Returns the schemas based on `schema`, in which the migrations create the same objects as in these schemas.
    #[cfg(feature = "postgres")]
    pub(crate) fn moved_to(&self, schema: &str) -> Self {
        Self { shares_channels: self.shares_channels, ..Self::of(schema) }
    }

    /// Returns the SQL of a migration with the names of these schemas. Comment lines are not changed, because a schema name
    /// may contain any character, including a line break.
    pub(crate) fn adapted<'a>(&self, sql: &'a str) -> Cow<'a, str> {
        if *self == Self::default() {
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

impl Default for Namespace {
    /// Returns the schemas in the text of the migrations.
    fn default() -> Self {
        Self::of(PUBLIC)
    }
}

/// The SQL for the schema of the table whose trigger is running.
const TABLE_OF_TRIGGER: &str = "TG_TABLE_SCHEMA::pg_catalog.text";

/// Returns the SQL for the name of a channel in a schema other than `public`. `schema` is an SQL expression of type text.
///
/// The name contains a hash of the schema name, because a channel name has at most 63 bytes. If a schema is renamed, its
/// channel changes with it.
pub(crate) fn channel_of(channel: &str, schema: &str) -> String {
    format!("pg_catalog.concat('{channel}_', pg_catalog.to_hex(pg_catalog.hashtextextended({schema}, 0)))")
}

/// Replaces all names in one pass, so that replaced text is not searched again.
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

/// A migration adapted to the schemas it runs in.
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
    fn schema_names_in_migrations_are_replaced() {
        let sql = "-- viralforge reads public.jobs\nCREATE SCHEMA viralforge;\nCREATE VIEW viralforge.jobs AS SELECT * FROM \
                   public.jobs;\n    PERFORM pg_notify('viraldb_jobs', '');\n";
        assert!(matches!(Namespace::of("public").adapted(sql), Cow::Borrowed(same) if same == sql));
        // The schema name contains texts that are replaced.
        let place = Namespace::of("viralforge\" public.");
        let adapted = place.adapted(sql);
        let expected = "-- viralforge reads public.jobs\nCREATE SCHEMA \"viralforge_viralforge\"\" public.\";\nCREATE VIEW \
                        \"viralforge_viralforge\"\" public.\".jobs AS SELECT * FROM \"viralforge\"\" public.\".jobs;\n    \
                        PERFORM pg_notify(pg_catalog.concat('viraldb_jobs_', ";
        assert!(adapted.starts_with(expected), "{adapted}");
    }

    /// A temporary schema that is compared with `public` must have the same functions.
    #[cfg(feature = "postgres")]
    #[test]
    fn a_moved_namespace_keeps_the_channels_of_the_original() {
        let sql = "SELECT pg_notify('viraldb_config', '') FROM public.x";
        let text = |home: &str| Namespace::of(home).moved_to("s").adapted(sql).into_owned();
        assert_eq!(text("public"), "SELECT pg_notify('viraldb_config', '') FROM \"s\".x");
        assert!(text("viral").contains("hashtextextended"));
    }

    /// Every schema name and every channel in the migrations is replaced.
    #[cfg(feature = "postgres")]
    #[test]
    fn no_schema_name_in_a_migration_is_left_unreplaced() {
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
