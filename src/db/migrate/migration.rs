//! A migration embedded in the program.

use std::fmt::{self, Write as _};

use diesel::connection::BoxableConnection;
use diesel::migration::{self, MigrationMetadata, MigrationName, MigrationVersion};
use sha2::{Digest, Sha256};

/// A migration for one engine, embedded in the program.
pub struct Migration {
    /// The name of the migration's folder, such as `2026-11-21-000002_compilation`.
    pub name: &'static str,
    /// The SQL that applies the migration. On PostgreSQL it is written for the schema `public`; [`sql`](super::sql) returns it
    /// for other schemas.
    pub up: &'static str,
    /// The SQL that reverts the migration, written for the same schema as `up`.
    pub down: &'static str,
    /// The checksum of the migration before only its comments were reworded. Databases that earlier builds of 0.1.0 made
    /// have recorded it.
    pub(super) reworded_from: Option<&'static str>,
}

/// Whether to apply or to revert migrations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Apply them.
    Up,
    /// Revert them.
    Down,
}

impl Migration {
    /// Returns the SQL for a direction, as it is written for the schema `public`.
    pub const fn text(&self, direction: Direction) -> &'static str {
        match direction {
            Direction::Up => self.up,
            Direction::Down => self.down,
        }
    }

    /// Returns the version in readable form: `2026-11-21-000002`.
    pub fn version(&self) -> &'static str {
        self.name.split_once('_').map_or(self.name, |(version, _)| version)
    }

    /// Returns the version in Diesel's form: `20261121000002`.
    pub(super) fn key(&self) -> String {
        self.version().replace('-', "")
    }

    /// Returns the SHA-256 of `up.sql` with CRLF line endings converted to LF.
    pub(super) fn checksum(&self) -> String {
        let digest = Sha256::digest(self.up.replace("\r\n", "\n"));
        digest.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
            hex
        })
    }
}

impl Migration {
    /// Returns true if a database recorded this checksum for the same SQL. Comments may have been reworded since.
    pub(super) fn has_checksum(&self, recorded: &str) -> bool {
        self.reworded_from == Some(recorded) || self.checksum() == recorded
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Prints only the name, because the SQL would fill the screen wherever a [`History`](super::History) is printed.
impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl MigrationName for Migration {
    fn version(&self) -> MigrationVersion<'_> {
        self.key().into()
    }
}

impl MigrationMetadata for Migration {}

impl<DB: diesel::backend::Backend> migration::Migration<DB> for Migration {
    fn run(&self, conn: &mut dyn BoxableConnection<DB>) -> migration::Result<()> {
        Ok(conn.batch_execute(self.up)?)
    }

    fn revert(&self, conn: &mut dyn BoxableConnection<DB>) -> migration::Result<()> {
        Ok(conn.batch_execute(self.down)?)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

/// Returns a query for the newest applied version of viraldb's migrations, without those of other programs. The query returns
/// an empty string if there is none. `has_books` must be true if the table viraldb_migrations exists.
pub(crate) fn newest_query(migrations: &[Migration], has_books: bool) -> String {
    let known: Vec<String> = migrations.iter().map(|migration| format!("'{}'", migration.key())).collect();
    let recorded = if has_books { " OR version IN (SELECT version FROM viraldb_migrations)" } else { "" };
    format!(
        "SELECT coalesce(max(version), '') AS value FROM __diesel_schema_migrations WHERE version IN ({}){recorded}",
        known.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::db::migrate::history;

    fn checksum(up: &'static str) -> String {
        Migration { name: "2026-11-21-000001_x", up, down: "", reworded_from: None }.checksum()
    }

    #[test]
    fn checksums_do_not_depend_on_line_endings() {
        let unix = checksum("CREATE TABLE x (\n    id int\n);\n");
        assert_eq!(checksum("CREATE TABLE x (\r\n    id int\r\n);\r\n"), unix);
        assert_eq!(unix.len(), 64);
        for other in [
            "CREATE TABLE x (\n    id int\n);",
            "CREATE TABLE x (\r    id int\r);\r",
            "CREATE TABLE x (\n   id int\n);\n",
        ] {
            assert_ne!(checksum(other), unix, "{other:?}");
        }
    }

    #[test]
    fn later_migrations_record_themselves() {
        let all: [&[Migration]; 2] = [
            #[cfg(feature = "sqlite")]
            crate::db::migrate::embedded::SQLITE,
            #[cfg(not(feature = "sqlite"))]
            &[],
            #[cfg(feature = "postgres")]
            crate::db::migrate::embedded::POSTGRES,
            #[cfg(not(feature = "postgres"))]
            &[],
        ];
        for migration in all.into_iter().flatten().filter(|m| m.version() > "2026-11-27-000005") {
            assert_eq!(lacks_of(migration), [""; 0], "{migration}");
        }
        let up = "CREATE TABLE x (y integer);
            INSERT INTO viraldb_migrations (version, checksum) VALUES ('20270115000001', '');\n";
        let down = "DELETE FROM viraldb_migrations WHERE version = '20270115000001';\nDROP TABLE x;\n";
        let lacks = |name, up, down| lacks_of(&Migration { name, up, down, reworded_from: None });
        assert_eq!(lacks("2027-01-15-000001_x", up, down), [""; 0]);
        assert_eq!(lacks("2027-01-15-000002_x", up, down).len(), 2);
        assert_eq!(lacks("2027-01-15-000001_x", "CREATE TABLE x (y integer);", down).len(), 1);
    }

    /// Returns the statements that a migration lacks: the one that records the migration, and the one that deletes the record.
    fn lacks_of(migration: &Migration) -> Vec<String> {
        let key = migration.key();
        let checksum = history::SELF_RECORDED;
        let insert =
            format!("INSERT INTO viraldb_migrations (version, checksum) VALUES ('{key}', '{checksum}');");
        let delete = format!("DELETE FROM viraldb_migrations WHERE version = '{key}';");
        let has = [migration.up.trim_end().ends_with(&insert), migration.down.contains(&delete)];
        [insert, delete].into_iter().zip(has).filter(|(_, has)| !has).map(|(lacking, _)| lacking).collect()
    }

    #[test]
    fn versions_match_the_names_of_their_folders() {
        let migration =
            Migration { name: "2026-11-21-000002_compilation", up: "", down: "", reworded_from: None };
        assert_eq!((migration.version(), &*migration.key()), ("2026-11-21-000002", "20261121000002"));
        assert_eq!(history::dashed(&migration.key()), migration.version());
        for odd in ["", "1", "20261121", "äöü"] {
            assert_eq!(history::dashed(odd), odd);
        }
    }
}
