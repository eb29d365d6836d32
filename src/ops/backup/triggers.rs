//! Turns off foreign triggers while a restored database is migrated to the newest schema version.
//!
//! A foreign trigger is one that viraldb did not create. A backup may have an older schema and come from anywhere. Its
//! foreign triggers would fire when migrations change rows or record themselves, and would change rows before anyone has
//! reviewed the restored data. viraldb's own triggers stay on, because migrations may rely on them. The database is still
//! a private copy at this point, so no other program misses the triggers.

use crate::{DatabaseUrl, Result};

/// Runs `work` on a private copy of a database while only viraldb's triggers fire. If `work` fails, the others stay off.
pub(super) fn without_others<T>(url: &DatabaseUrl, work: impl FnOnce() -> Result<T>) -> Result<T> {
    match url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::File(path) => {
            let dropped = sqlite::drop_others(path)?;
            let done = work()?;
            sqlite::make_again(path, &dropped)?;
            Ok(done)
        }
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(url) => {
            let enable = postgres::disable_others(url)?;
            let done = work()?;
            postgres::run(url, &enable)?;
            Ok(done)
        }
        _ => work(),
    }
}

/// SQLite can only turn off all triggers of a connection, so foreign triggers are dropped and created again.
#[cfg(feature = "sqlite")]
mod sqlite {
    use std::path::Path;

    use rusqlite::Connection;

    use crate::Result;
    use crate::db::migrate::embedded::SQLITE;
    use crate::ops::backup::sqlite_error::failed;

    /// Drops foreign triggers, and returns the statements that create them again.
    pub(super) fn drop_others(path: &Path) -> Result<Vec<String>> {
        let dropped = || {
            let mut conn = Connection::open(path)?;
            let all: Vec<(String, String)> = conn
                .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY rowid")?
                .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<rusqlite::Result<_>>()?;
            let transaction = conn.transaction()?;
            let mut others = Vec::new();
            for (name, sql) in all {
                if !SQLITE.iter().any(|migration| migration.up.contains(&sql)) {
                    transaction.execute_batch(&format!("DROP TRIGGER \"{}\"", name.replace('"', "\"\"")))?;
                    others.push(sql);
                }
            }
            transaction.commit()?;
            Ok(others)
        };
        dropped().map_err(|error| failed(path, error))
    }

    /// Creates triggers again, and warns about each failure. A trigger fails if a migration dropped its table, in which
    /// case SQLite would have dropped the trigger, too.
    pub(super) fn make_again(path: &Path, triggers: &[String]) -> Result<()> {
        if triggers.is_empty() {
            return Ok(());
        }
        let conn = Connection::open(path).map_err(|error| failed(path, error))?;
        for sql in triggers {
            if let Err(error) = conn.execute_batch(sql) {
                let begin = sql.lines().next().unwrap_or_default();
                tracing::warn!("cannot recreate a trigger in the restored database, `{begin}`: {error}");
            }
        }
        Ok(())
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use diesel::connection::SimpleConnection;
    use diesel::prelude::*;
    use diesel::sql_types::Text;

    use crate::Result;
    use crate::db::migrate::embedded::POSTGRES;
    use crate::db::postgres::establish;
    use crate::error::ResultExt;

    #[derive(QueryableByName)]
    struct Trigger {
        /// The table; empty for an event trigger.
        #[diesel(sql_type = Text)]
        of: String,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        disable: String,
        #[diesel(sql_type = Text)]
        enable: String,
    }

    /// Event triggers are disabled first and enabled last, because changing other triggers would fire them.
    const TRIGGERS: &str = "\
        SELECT '' AS of, evtname::text AS name, \
               pg_catalog.format('ALTER EVENT TRIGGER %I DISABLE', evtname) AS disable, \
               pg_catalog.format('ALTER EVENT TRIGGER %I %s', evtname, CASE evtenabled \
                   WHEN 'R'::\"char\" THEN 'ENABLE REPLICA' WHEN 'A'::\"char\" THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END) AS enable, \
               1 AS place \
        FROM pg_catalog.pg_event_trigger WHERE evtenabled <> 'D'::\"char\" \
        UNION ALL \
        SELECT relname::text, tgname::text, \
               pg_catalog.format('ALTER TABLE %I.%I DISABLE TRIGGER %I', nspname, relname, tgname), \
               pg_catalog.format('ALTER TABLE %I.%I %s TRIGGER %I', nspname, relname, CASE tgenabled \
                   WHEN 'R'::\"char\" THEN 'ENABLE REPLICA' WHEN 'A'::\"char\" THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END, tgname), \
               2 \
        FROM pg_catalog.pg_trigger \
        JOIN pg_catalog.pg_class ON pg_class.oid = tgrelid \
        JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace \
        WHERE NOT tgisinternal AND tgenabled <> 'D'::\"char\" AND relkind = ANY (ARRAY['r'::\"char\", 'p'::\"char\"]) \
        ORDER BY place, name";

    /// Disables foreign triggers, and returns the statements that enable them again.
    pub(super) fn disable_others(url: &str) -> Result<Vec<String>> {
        let triggers: Vec<Trigger> =
            diesel::sql_query(TRIGGERS).load(&mut establish(url)?).of("pg_trigger", "")?;
        let others: Vec<Trigger> = triggers.into_iter().filter(|trigger| !is_ours(trigger)).collect();
        run(url, &others.iter().map(|trigger| trigger.disable.clone()).collect::<Vec<_>>())?;
        Ok(others.into_iter().rev().map(|trigger| trigger.enable).collect())
    }

    fn is_ours(Trigger { of, name, .. }: &Trigger) -> bool {
        let begin = format!("CREATE TRIGGER {name} ");
        let end = format!(" ON {of}");
        let lines = || POSTGRES.iter().flat_map(|migration| migration.up.lines());
        lines().any(|line| line.starts_with(&begin) && line.ends_with(&end))
    }

    /// Runs statements one after the other, each in its own transaction.
    pub(super) fn run(url: &str, statements: &[String]) -> Result<()> {
        if statements.is_empty() {
            return Ok(());
        }
        let mut conn = establish(url)?;
        statements.iter().try_for_each(|statement| conn.batch_execute(statement).of("pg_trigger", ""))
    }
}
