//! How the rows that are the same as one of a batch are found, for rows that nothing names.

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
    /// These, and the id if we number the rows.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // PostgreSQL knows the types
    pub(super) filled: &'b [&'b str],
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // PostgreSQL chooses
    pub(super) rows: &'b [Filled<'b>],
    pub(super) given: &'b Given<'b>,
    /// What selects them.
    pub(super) source: &'b str,
    /// The SQL of a column of a row that is called `new`.
    pub(super) new: &'b dyn Fn(&str) -> String,
}

/// How they are found.
pub(super) struct Lookup {
    /// What to select of the batch.
    pub(super) batch: String,
    among: Among,
}

/// Where the same rows are looked for.
enum Among {
    /// In an index, for each row of the batch by itself.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // PostgreSQL chooses
    Indexed,
    /// In the whole table, for all rows of the batch at once.
    All,
    /// In the rows with these ids.
    Some(Vec<i64>),
}

impl Lookup {
    /// The SQL that is true for a row `new` of the batch if no row of the table is the same. `same` compares it with a row
    /// `old`.
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
    /// Finds out which way is the shortest.
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

    /// What to select of the batch, so that its columns have the types of the table's. SQLite makes an index over the batch
    /// only then.
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

    /// Returns true if the database has a hash of rows: PostgreSQL since version 14.
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

    /// The SQL of a text that is the same for rows with the same values in the given columns.
    fn text(&self, conn: &mut DbConnection, column: &dyn Fn(&str) -> String) -> Result<String> {
        on_backend!(
            conn,
            sqlite => |c| {
                let types = super::super::sqlite::columns(c, self.table.name).of(self.table.name, "")?;
                let is_real = |name: &str| types.iter().any(|column| column.name == name && column.kind == "REAL");
                // -0.0 is the same as 0.0.
                let quoted = |name: &&str| format!("quote({}{})", column(name), if is_real(name) { " + 0.0" } else { "" });
                Ok(self.columns.iter().map(quoted).collect::<Vec<_>>().join(" || ',' || "))
            },
            postgres => |_c| {
                let row = self.columns.iter().map(|name| column(name)).collect::<Vec<_>>().join(", ");
                Ok(format!("CAST(pg_catalog.hash_record_extended(ROW({row}), 0) AS text)"))
            }
        )
    }

    /// That text of each row of the batch.
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
    /// Returns true if an index finds the same rows in less time than it takes to read the table.
    fn has_good_index(&self, conn: &mut DbConnection) -> Result<bool> {
        #[allow(irrefutable_let_patterns)] // without PostgreSQL
        let DbConnection::Sqlite(c) = conn else { return Ok(false) }; // PostgreSQL finds out by itself
        let indexes = super::super::sqlite::indexes(c, self.table.name).of(self.table.name, "")?;
        let leading =
            |index: &Vec<String>| index.iter().take_while(|c| self.columns.contains(&&***c)).count();
        let best = indexes.iter().map(|index| (leading(index), index)).max_by_key(|(count, _)| *count);
        let Some((count @ 1.., index)) = best else { return Ok(false) };
        let leading: Vec<&str> = index.iter().take(count).map(|column| &**column).collect();
        finds_few(conn, self.table, &leading, self.filled, self.rows)
    }
}

/// Returns true if the rows with the same values in these columns of an index are so few that to look at them takes less
/// time than to read the table. The first three documents are tried. An index over the modules of errors, for example,
/// finds a large part of the table for each of them.
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
        return Ok(true); // a long document is a batch by itself
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
