//! Finds existing rows that equal a row of a batch, for rows without a key.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::given::{Filled, Given};
use super::seen::Seen;
use super::{DbConnection, Table, on_backend};
#[cfg(feature = "sqlite")]
use super::{count_rows, given::is_long};
use crate::error::{Result, ResultExt};

/// A batch of documents that give the same columns.
pub(super) struct Batch<'b> {
    pub(super) table: &'b Table,
    /// The columns that the documents give.
    pub(super) columns: &'b [&'b str],
    /// The same columns, and `id` if viraldb generates the ids.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // PostgreSQL knows the types
    pub(super) filled: &'b [&'b str],
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // PostgreSQL's planner chooses the index
    pub(super) rows: &'b [Filled<'b>],
    pub(super) given: &'b Given<'b>,
    /// The subquery that selects the rows.
    pub(super) source: &'b str,
    /// Returns the SQL for a column of the row alias `new`.
    pub(super) new: &'b dyn Fn(&str) -> String,
}

/// The way to find equal rows.
pub(super) struct Lookup {
    /// The columns to select from the batch.
    pub(super) batch: String,
    among: Among,
}

/// Where to search for equal rows.
enum Among {
    /// In an index, separately for each row of the batch.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // PostgreSQL's planner chooses the index
    Indexed,
    /// In the whole table, for all rows of the batch at once.
    All,
    /// In the rows with these ids.
    Some(Vec<i64>),
}

impl Lookup {
    /// Returns an SQL condition that is true for a row `new` of the batch if no row of the table equals it. `same` compares
    /// `new` with a row `old`.
    pub(super) fn is_new(&self, table: &str, same: &str) -> String {
        let among = |rows: &str| {
            format!(
                "new.\"#\" NOT IN (SELECT new.\"#\" FROM {table} AS old CROSS JOIN batch AS new WHERE {rows}{same})"
            )
        };
        match &self.among {
            Among::Indexed => format!("NOT EXISTS (SELECT 1 FROM {table} AS old WHERE {same})"),
            Among::All => among(""),
            Among::Some(ids) if ids.is_empty() => "true".to_owned(),
            Among::Some(ids) => {
                let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
                among(&format!("old.id IN ({}) AND ", ids.join(", ")))
            }
        }
    }
}

impl Batch<'_> {
    /// Chooses the fastest way to find equal rows.
    pub(super) fn lookup(&self, conn: &mut DbConnection, seen: &mut Seen) -> Result<Lookup> {
        let batch = self.selected(conn)?;
        if let Some(ids) = seen.ids(conn, self.columns, |conn| self.texts(conn, &batch))? {
            return Ok(Lookup { batch, among: Among::Some(ids) });
        }
        #[cfg(feature = "sqlite")]
        if self.has_good_index(conn)? {
            return Ok(Lookup { batch: "*".to_owned(), among: Among::Indexed });
        }
        if self.can_hash(conn)? {
            seen.count(self.table, self.columns, self.text(conn, &|column| format!("old.\"{column}\""))?);
        }
        Ok(Lookup { batch, among: Among::All })
    }

    /// Returns the columns to select from the batch, cast to the types of the table's columns. Without the casts SQLite does
    /// not create an index over the batch.
    fn selected(&self, conn: &mut DbConnection) -> Result<String> {
        on_backend!(
            conn,
            sqlite => |c| {
                let columns = super::super::sqlite::columns(c, self.table.name).of(self.table.name, "")?;
                let columns = columns.iter().filter(|column| self.filled.contains(&&*column.name));
                let cast = columns.map(|c| format!("CAST(\"{0}\" AS {1}) AS \"{0}\", ", c.name, c.kind));
                Ok(cast.collect::<String>() + "\"#\"")
            },
            postgres => |_c| Ok("*".to_owned())
        )
    }

    /// Returns true if rows can be hashed: on SQLite always, on PostgreSQL since version 14.
    fn can_hash(&self, conn: &mut DbConnection) -> Result<bool> {
        on_backend!(
            conn,
            sqlite => |_c| Ok(true),
            postgres => |c| {
                let is_there = "pg_catalog.to_regproc('pg_catalog.hash_record_extended') IS NOT NULL";
                diesel::select(diesel::dsl::sql::<diesel::sql_types::Bool>(is_there)).get_result(c)
            }
        )
        .of(self.table.name, "")
    }

    /// Returns an SQL expression for a text that is equal for rows with equal values in the given columns.
    fn text(&self, conn: &mut DbConnection, column: &dyn Fn(&str) -> String) -> Result<String> {
        on_backend!(
            conn,
            sqlite => |c| {
                let types = super::super::sqlite::columns(c, self.table.name).of(self.table.name, "")?;
                let is_real = |name: &str| types.iter().any(|column| column.name == name && column.kind == "REAL");
                // Adding 0.0 turns -0.0 into 0.0, because the two are equal.
                let quoted = |name: &&str| format!("quote({}{})", column(name), if is_real(name) { " + 0.0" } else { "" });
                Ok(self.columns.iter().map(quoted).collect::<Vec<_>>().join(" || ',' || "))
            },
            postgres => |_c| {
                let row = self.columns.iter().map(|name| column(name)).collect::<Vec<_>>().join(", ");
                Ok(format!("CAST(pg_catalog.hash_record_extended(ROW({row}), 0) AS text)"))
            }
        )
    }

    /// Returns that text for each row of the batch.
    fn texts(&self, conn: &mut DbConnection, batch: &str) -> Result<Vec<String>> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            text: String,
        }
        let text = self.text(conn, self.new)?;
        let query = format!(
            "WITH batch AS MATERIALIZED (SELECT {batch} FROM {} AS rows) SELECT {text} AS text FROM batch AS new",
            self.source
        );
        let rows: Vec<Row> = on_backend!(
            conn,
            sqlite => |c| self.given.bound_to(&query).load(c),
            postgres => |c| diesel::sql_query(query).bind::<Text, _>(self.given.documents()).load(c)
        )
        .of(self.table.name, "")?;
        Ok(rows.into_iter().map(|row| row.text).collect())
    }
}

#[cfg(feature = "sqlite")]
impl Batch<'_> {
    /// Returns true if an index finds equal rows faster than a scan of the whole table.
    fn has_good_index(&self, conn: &mut DbConnection) -> Result<bool> {
        #[allow(irrefutable_let_patterns)] // without PostgreSQL
        let DbConnection::Sqlite(c) = conn else { return Ok(false) }; // PostgreSQL's planner decides by itself
        let indexes = super::super::sqlite::indexes(c, self.table.name).of(self.table.name, "")?;
        let leading =
            |index: &Vec<String>| index.iter().take_while(|c| self.columns.contains(&&***c)).count();
        let best = indexes.iter().map(|index| (leading(index), index)).max_by_key(|(count, _)| *count);
        let Some((count @ 1.., index)) = best else { return Ok(false) };
        let leading: Vec<&str> = index.iter().take(count).map(|column| &**column).collect();
        finds_few(conn, self.table, &leading, self.filled, self.rows)
    }
}

/// Returns true if the index columns select few enough rows that checking them is faster than reading the whole table. The
/// first three documents are tried. As a counterexample, an index over the modules of errors selects a large part of the table
/// for each document.
#[cfg(feature = "sqlite")]
fn finds_few(
    conn: &mut DbConnection,
    table: &Table,
    columns: &[&str],
    filled: &[&str],
    rows: &[Filled<'_>],
) -> Result<bool> {
    let name = table.name;
    let sample = rows.get(..rows.len().min(3)).unwrap_or(rows);
    if sample.iter().any(|row| is_long(row.row)) {
        return Ok(true); // a long document is stored in its own batch
    }
    let given = Given::new(conn, table, filled, sample)?;
    let same: Vec<String> = columns.iter().map(|c| format!("old.\"{c}\" = new.\"{c}\"")).collect();
    let found = count_rows(
        conn,
        table,
        &format!(
            "SELECT max((SELECT count(*) FROM (SELECT 1 FROM {name} AS old WHERE {} LIMIT 1000))) AS count FROM {} AS new",
            same.join(" AND "),
            given.source(table, filled)
        ),
        &given,
    )?;
    let all = format!("SELECT coalesce(max(rowid), 0) AS count FROM {name} WHERE ?1 IS NOT NULL");
    Ok(found * rows.len() <= 4 * count_rows(conn, table, &all, &given)?.max(1))
}
