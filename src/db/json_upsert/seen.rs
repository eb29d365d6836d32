//! The memory of an ingest for a table whose rows have no key.
//!
//! A row without a key equals an existing row if all columns that it gives have the same values. Without a selective index,
//! each batch must be compared with the whole table, and the time per row grows with the table. So a long ingest reads the
//! table once and remembers a hash of these columns and the id of each row. From then on, a batch is compared only with the
//! rows that have the same hash. Rows that are inserted later have larger ids; they are read before the next batch.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use diesel::connection::DefaultLoadingMode;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::ids::Ids;
use super::{DbConnection, Id, Table, on_backend};
use crate::error::{Result, ResultExt};

/// The number of batches that are compared with the whole table before the table is read. A small file is stored faster
/// without reading it.
const BATCHES_BEFORE: usize = 4;

/// The maximum number of remembered rows, at about 14 bytes each. Beyond this limit the time per row grows with the table.
const MOST_ROWS: usize = 2_000_000;

/// The number of rows that one statement reads.
const PAGE: usize = 50_000;

/// The remembered rows of one table, grouped by the columns that documents give.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    of: HashMap<Vec<String>, Rows>,
    /// Whether the page cache of the writing connection was made smaller.
    is_lean: bool,
}

#[derive(Debug)]
struct Rows {
    table: &'static str,
    /// The SQL expression for the text that is hashed for each row; the row alias is `old`.
    text: String,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The table is not read yet; the number counts the batches that were compared with the whole table.
    Counting(usize),
    Reading(Ids),
    /// The table has too many rows to remember.
    TooMany,
}

#[derive(QueryableByName)]
struct Hashed {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    text: String,
}

impl Seen {
    /// Counts a batch that is compared with the whole table. `text` is the SQL expression for the text to hash for a row `old`.
    pub(super) fn count(&mut self, table: &Table, columns: &[&str], text: String) {
        if table.id != Id::Number {
            return; // new rows are found by their larger ids, which UUIDs and keys do not guarantee
        }
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        match self.of.get_mut(&columns) {
            Some(Rows { state: State::Counting(batches), .. }) => *batches += 1,
            Some(_) => {}
            None => {
                self.of.insert(columns, Rows { table: table.name, text, state: State::Counting(1) });
            }
        }
    }

    /// Returns true if enough batches were compared with the whole table that it should be [`read`](Self::read) now.
    pub(crate) fn is_due(&self) -> bool {
        self.of.values().any(Rows::is_due)
    }

    /// Reads the rows that are due. This takes a while, so the caller should not hold a lock if possible.
    pub(crate) fn read(&mut self, conn: &mut DbConnection) -> Result<()> {
        // The scan needs no page twice, so a large page cache would only take memory.
        let before = set_page_cache(conn, -2_000)?;
        let read = self.read_due(conn);
        set_page_cache(conn, before)?;
        read
    }

    fn read_due(&mut self, conn: &mut DbConnection) -> Result<()> {
        let mut room = self.room();
        for rows in self.of.values_mut().filter(|rows| rows.is_due()) {
            let first = one_id(conn, rows.table, "min(id)")?;
            rows.state = State::Reading(Ids::above(first.saturating_sub(1)));
            rows.catch_up(conn, room)?;
            room -= rows.len().min(room);
        }
        Ok(())
    }

    fn room(&self) -> usize {
        MOST_ROWS.saturating_sub(self.of.values().map(Rows::len).sum())
    }

    /// Returns the ids of the rows that may equal a row of the batch, or `None` if the whole table must be searched. `texts`
    /// returns the text to hash for each row of the batch.
    pub(super) fn ids(
        &mut self,
        conn: &mut DbConnection,
        columns: &[&str],
        texts: impl FnOnce(&mut DbConnection) -> Result<Vec<String>>,
    ) -> Result<Option<Vec<i64>>> {
        let columns: Vec<String> = columns.iter().map(|column| (*column).to_owned()).collect();
        let room = self.room();
        let Some(rows) = self.of.get_mut(&columns) else { return Ok(None) };
        rows.catch_up(conn, room)?;
        let State::Reading(ids) = &rows.state else { return Ok(None) };
        if !std::mem::replace(&mut self.is_lean, true) {
            // The remembered rows take up to 28 MB. Such a table has few indexes, so a smaller page cache is enough.
            set_page_cache(conn, -24_000)?;
        }
        let mut found: Vec<i64> = texts(conn)?.iter().filter_map(|text| ids.get(hash(text))).collect();
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
    }
}

impl Rows {
    fn is_due(&self) -> bool {
        matches!(self.state, State::Counting(BATCHES_BEFORE..))
    }

    fn len(&self) -> usize {
        match &self.state {
            State::Reading(ids) => ids.len(),
            State::Counting(_) | State::TooMany => 0,
        }
    }

    /// Reads the rows that were inserted since the last call. At most `room` more rows are remembered.
    ///
    /// On PostgreSQL, a row of another program may become visible only after rows with larger ids. Such a row is missed, and so
    /// are rows that other programs update during the ingest. The result is the same as if those programs had written after the
    /// ingest.
    fn catch_up(&mut self, conn: &mut DbConnection, room: usize) -> Result<()> {
        let Self { table, text, state } = self;
        let State::Reading(ids) = state else { return Ok(()) };
        let most = ids.len() + room;
        // After a rollback, SQLite assigns the same ids to other rows, so read them again.
        let largest = one_id(conn, table, "max(id)")?;
        ids.last = ids.last.min(largest);
        let new = usize::try_from(largest - ids.last).unwrap_or(room).min(room);
        if new > PAGE {
            ids.reserve(new);
        }
        while ids.last < largest {
            let query = format!(
                "SELECT id, {text} AS text FROM {table} AS old WHERE id > {} ORDER BY id LIMIT {PAGE}",
                ids.last
            );
            let before = ids.last;
            let mut is_full = false;
            each(conn, table, &query, &mut |row| {
                is_full |= !ids.insert(hash(&row.text), row.id);
                ids.last = row.id;
            })?;
            if ids.last == before {
                break; // the row with the largest id was deleted
            }
            if is_full || ids.len() > most {
                *state = State::TooMany;
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Sets the size of SQLite's page cache in kilobytes if negative, in pages otherwise. Returns the former size.
fn set_page_cache(conn: &mut DbConnection, size: i32) -> Result<i32> {
    on_backend!(
        conn,
        sqlite => |c| {
            #[derive(QueryableByName)]
            struct Row {
                #[diesel(sql_type = diesel::sql_types::Integer)]
                cache_size: i32,
            }
            let row: Row = diesel::sql_query("PRAGMA cache_size").get_result(c)?;
            diesel::sql_query(format!("PRAGMA cache_size = {size}")).execute(c)?;
            diesel::sql_query("PRAGMA shrink_memory").execute(c)?;
            Ok(row.cache_size)
        },
        postgres => |_c| Ok(size)
    )
    .of("the page cache", "")
}

/// Returns the smallest or largest id, or 0 if the table is empty. `which` is the SQL aggregate.
fn one_id(conn: &mut DbConnection, table: &'static str, which: &str) -> Result<i64> {
    let query = format!("SELECT coalesce({which}, 0) AS id, '' AS text FROM {table}");
    let mut id = 0;
    each(conn, table, &query, &mut |row| id = row.id)?;
    Ok(id)
}

/// Runs a query and calls `tell` for each row while the rows are loaded.
fn each(
    conn: &mut DbConnection,
    table: &'static str,
    query: &str,
    tell: &mut dyn FnMut(Hashed),
) -> Result<()> {
    on_backend!(conn, |c| diesel::sql_query(query)
        .load_iter::<Hashed, DefaultLoadingMode>(c)?
        .try_for_each(|row| row.map(&mut *tell)))
    .of(table, "")
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use std::sync::{Arc, Mutex};

    use diesel::connection::InstrumentationEvent;
    use serde_json::json;

    use super::super::{Document as _, upsert};
    use super::*;
    use crate::Database;
    use crate::generation::NewJob;

    /// Stores one job and returns the executed statements and whether the job was new.
    fn store(conn: &mut DbConnection, seen: &mut Seen, theme: &str) -> (Vec<String>, bool) {
        let statements = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&statements);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::StartQuery { query, .. } = event {
                log.lock().unwrap().push(query.to_string().split(" -- binds").next().unwrap().to_owned());
            }
        });
        let row = json!({"theme": theme, "metadata": {"share": -0.0, "text": "it's"}});
        let stored = upsert(conn, &NewJob::TABLE, &[row.as_object().unwrap()], seen).unwrap();
        conn.set_instrumentation(|_: InstrumentationEvent<'_>| {});
        let statements = statements.lock().unwrap().clone();
        (statements, stored.new == 1)
    }

    #[test]
    fn after_a_few_batches_the_table_is_no_longer_scanned() {
        let db = Database::open("sqlite::memory:").unwrap();
        let mut seen = Seen::default();
        db.write(|conn| {
            let reads_all = |statements: &[String]| {
                statements
                    .iter()
                    .any(|sql| sql.contains("AS old CROSS JOIN batch AS new WHERE old.\"metadata\""))
            };
            for theme in ["a", "b", "c", "a"] {
                assert!(!seen.is_due());
                let (statements, is_new) = store(conn, &mut seen, theme);
                assert_eq!((reads_all(&statements), is_new), (true, !seen.is_due()), "{statements:?}");
            }
            seen.read(conn)?;
            let (statements, is_new) = store(conn, &mut seen, "b");
            assert!(!reads_all(&statements) && !is_new, "{statements:?}");
            let found: Vec<&String> =
                statements.iter().filter(|sql| sql.contains("old.id IN (2) AND ")).collect();
            assert_eq!(found.len(), 1, "{statements:?}");
            let (statements, is_new) = store(conn, &mut seen, "d");
            assert!(!reads_all(&statements) && is_new, "{statements:?}");
            let (_, is_new) = store(conn, &mut seen, "d");
            assert!(!is_new);

            // After a rollback the rows no longer exist, and their ids are assigned again.
            let undone = conn.transaction(|conn| {
                assert!(store(conn, &mut seen, "e").1);
                assert!(!store(conn, &mut seen, "e").1);
                Err::<(), _>(crate::Error::invalid("the test", "rolls back"))
            });
            assert!(undone.is_err());
            assert!(store(conn, &mut seen, "f").1);
            assert!(store(conn, &mut seen, "e").1);
            assert!(!store(conn, &mut seen, "e").1 && !store(conn, &mut seen, "f").1);
            Ok(())
        })
        .unwrap();
    }
}
