//! Iterates over all encrypted values and re-encrypts them.

use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

use super::envelope::{self, Trouble};
use super::{Column, Keyring, Place, Secret, store};
use crate::db::{Bulk, Database, DbConnection, Manner, on_backend};
use crate::error::{Error, Result, ResultExt};
use crate::quote::quoted;

/// Default number of values to read and re-encrypt in one transaction.
pub const BATCH: u32 = 1_000;

/// Maximum size of a page in bytes. The text that reaches the limit is still read completely.
const BYTES: u32 = 4 << 20;

/// Maximum number of passes over all values, if other programs keep writing values that need re-encryption.
const PASSES: u32 = 10;

/// Maximum number of failures that a report lists.
const TOLD: usize = 20;

/// A value that cannot be decrypted. As a document it has the fields `table`, `column`, `row` and `reason`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "FailureRow", try_from = "FailureRow")]
#[non_exhaustive]
pub struct Failure {
    /// The column and the row of the value.
    pub place: Place,
    /// Why the value cannot be decrypted.
    pub reason: String,
}

impl Failure {
    pub(super) fn new(place: &Place, reason: &str) -> Self {
        Self { place: place.clone(), reason: reason.to_owned() }
    }
}

/// A [`Failure`] as a document.
#[derive(Serialize, Deserialize)]
struct FailureRow {
    table: String,
    column: String,
    row: String,
    reason: String,
}

impl From<Failure> for FailureRow {
    fn from(Failure { place, reason }: Failure) -> Self {
        let column = place.column();
        let (table, name) = (column.table().to_owned(), column.name().to_owned());
        Self { table, column: name, row: place.row_key(), reason }
    }
}

impl TryFrom<FailureRow> for Failure {
    type Error = Error;

    fn try_from(row: FailureRow) -> Result<Self> {
        let FailureRow { table, column: name, row, reason } = row;
        let known = |column: &Column| column.table() == table && column.name() == name;
        let Some(column) = Column::ALL.into_iter().find(known) else {
            let what = quoted(&format!("{table}.{name}"));
            return Err(Error::invalid(what, "is not a column with encrypted values"));
        };
        Ok(Self { place: column.of_row(row)?, reason })
    }
}

/// Progress of a pass over the values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Values that were processed.
    pub done: u64,
    /// Values that are left, based on the count at the start.
    pub left: u64,
}

/// The result of re-encrypting values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Resealed {
    /// Values that are now encrypted with the first key. In a dry run, values that would be.
    pub resealed: u64,
    /// Values that cannot be decrypted and were left unchanged.
    pub failed: u64,
    /// The first of the values that cannot be decrypted, at most 20.
    pub failures: Vec<Failure>,
    /// Values that still need re-encryption, because other programs kept writing during all passes.
    pub left: u64,
}

/// A stored text and its place.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) text: String,
}

/// Which texts to read: an SQL condition in which `{}` stands for the text of the column.
#[derive(Clone, Copy)]
pub(super) struct Pick<'a>(pub(super) &'a str);

impl Pick<'_> {
    /// Selects every text.
    pub(super) const ALL: Self = Pick("true");

    fn on(self, text: &str) -> String {
        self.0.replace("{}", text)
    }
}

/// The SQL fragments that differ between the columns and between the engines.
pub(super) struct Shape {
    table: &'static str,
    column: &'static str,
    /// The key column of the table.
    key: &'static str,
    /// The type of the key column on PostgreSQL.
    key_type: &'static str,
    /// The condition for rows that can have an encrypted value.
    has: &'static str,
    /// The expression for the text in the column. For a setting it is the text of the JSON string.
    pub(super) text: String,
    /// The expression for the new text in the type of the column.
    written: &'static str,
    now: &'static str,
    /// The cast from the key to text.
    as_text: &'static str,
    is_sqlite: bool,
}

impl Shape {
    pub(super) fn new(conn: &DbConnection, column: Column) -> Self {
        let is_sqlite = match conn {
            #[cfg(feature = "sqlite")]
            DbConnection::Sqlite(_) => true,
            #[cfg(feature = "postgres")]
            DbConnection::Postgres(_) => false,
        };
        let is_setting = column == Column::Setting;
        let (table, name) = (column.table(), column.name());
        Self {
            table,
            column: name,
            key: if is_setting { "key" } else { "id" },
            key_type: if is_setting { "text" } else { "uuid" },
            has: if is_setting { "encrypted" } else { "true" },
            text: match (is_setting, is_sqlite) {
                (false, _) => format!("{table}.{name}"),
                (true, false) => format!("({table}.{name} #>> '{{}}'::text[])"),
                // Other programs write bare text there. CASE evaluates each branch only if it is needed.
                (true, true) => format!(
                    "(CASE json_valid({table}.{name}) WHEN 1 THEN CASE json_type({table}.{name}) \
                     WHEN 'text' THEN {table}.{name} ->> '$' WHEN 'null' THEN NULL ELSE {table}.{name} END \
                     ELSE {table}.{name} END)"
                ),
            },
            written: match (is_setting, is_sqlite) {
                (false, _) => "given.new",
                (true, false) => "pg_catalog.to_jsonb(given.new)",
                (true, true) => "json_quote(given.new)",
            },
            now: if is_sqlite {
                "strftime('%Y-%m-%d %H:%M:%f', 'now') || '000'"
            } else {
                "clock_timestamp()"
            },
            as_text: if is_sqlite { "" } else { "::text" },
            is_sqlite,
        }
    }

    /// Returns the FROM and WHERE clauses for the rows that have an encrypted value or any other text in the column.
    pub(super) fn rows_with_text(&self, pick: Pick<'_>) -> String {
        let Self { table, has, text, .. } = self;
        format!("FROM {table} WHERE {has} AND {text} <> '' AND {}", pick.on(text))
    }

    /// Returns the FROM and WHERE clauses for all rows that can have a value, including empty ones.
    pub(super) fn rows(&self) -> String {
        format!("FROM {} WHERE {}", self.table, self.has)
    }

    /// Returns the query for the next `limit` rows in key order, or fewer if [`BYTES`] of text are reached first.
    fn page(&self, pick: Pick<'_>, is_first: bool, limit: u32) -> String {
        let Self { table, key, text, as_text, key_type, is_sqlite, .. } = self;
        let after = match (is_first, is_sqlite) {
            (true, _) => String::new(),
            (false, true) => format!(" AND {key} > ?1"),
            (false, false) => format!(" AND {key} > $1::{key_type}"),
        };
        let rows = self.rows_with_text(pick);
        format!(
            "SELECT {table}.{key}{as_text} AS name, {text} AS text FROM \
             (SELECT name, sum(bytes) OVER (ORDER BY name) - bytes AS before FROM \
             (SELECT {key} AS name, octet_length({text}) AS bytes {rows}{after} ORDER BY {key} LIMIT {limit}) AS next) \
             AS page JOIN {table} ON {table}.{key} = page.name WHERE page.before < {BYTES} ORDER BY page.name"
        )
    }

    /// Returns the statement that replaces old texts with new ones.
    ///
    /// It changes only rows that still have the old text, so that it does not overwrite values written in the meantime.
    fn exchange(&self) -> String {
        let Self { table, column, key, key_type, has, text, written, now, is_sqlite, .. } = self;
        let (given, name) = if *is_sqlite {
            (
                "(SELECT value ->> 0 AS name, value ->> 1 AS old, value ->> 2 AS new FROM json_each(?1))",
                "given.name".to_owned(),
            )
        } else {
            ("unnest($1, $2, $3)", format!("given.name::{key_type}"))
        };
        let columns = if *is_sqlite { "" } else { " (name, old, new)" };
        format!(
            "UPDATE {table} SET {column} = {written}, updated_at = {now} FROM {given} AS given{columns} \
             WHERE {table}.{key} = {name} AND {has} AND {text} = given.old"
        )
    }
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    text: String,
}

/// Reads the texts of a column page by page, in key order.
pub(super) struct Pages<'a> {
    column: Column,
    pick: Pick<'a>,
    limit: u32,
    after: Option<String>,
}

impl<'a> Pages<'a> {
    pub(super) fn new(column: Column, pick: Pick<'a>, limit: u32) -> Self {
        Self { column, pick, limit: limit.max(1), after: None }
    }

    /// Returns the next page. An empty page marks the end.
    pub(super) fn next(&mut self, conn: &mut DbConnection) -> Result<Vec<Found>> {
        let sql = Shape::new(conn, self.column).page(self.pick, self.after.is_none(), self.limit);
        let rows: Vec<Row> = on_backend!(conn, |c| match &self.after {
            None => diesel::sql_query(sql).load(c),
            Some(after) => diesel::sql_query(sql).bind::<Text, _>(after).load(c),
        })
        .of(self.column.table(), "")?;
        self.after = rows.last().map(|row| row.name.clone());
        rows.into_iter()
            .map(|row| Ok(Found { place: self.column.of_row(row.name)?, text: row.text }))
            .collect()
    }
}

/// Counts the texts in all columns.
pub(super) fn count(conn: &mut DbConnection, pick: Pick<'_>) -> Result<u64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = diesel::sql_types::BigInt)]
        count: i64,
    }
    let mut all = 0;
    for column in Column::ALL {
        let sql = format!("SELECT count(*) AS count {}", Shape::new(conn, column).rows_with_text(pick));
        let row: Count =
            on_backend!(&mut *conn, |c| diesel::sql_query(sql).get_result(c)).of(column.table(), "")?;
        all += u64::try_from(row.count).unwrap_or_default();
    }
    Ok(all)
}

/// Which values to re-encrypt, and how to decrypt them.
pub(super) struct Work<'a> {
    pub(super) pick: Pick<'a>,
    pub(super) open: &'a dyn Fn(&Found) -> Result<Secret, Trouble>,
    pub(super) batch: u32,
    pub(super) dry_run: bool,
}

/// Re-encrypts values with the first key.
///
/// If other programs write values in the meantime that need re-encryption, it makes further passes until none is left, at
/// most [`PASSES`].
pub(super) fn reseal(
    db: &Database,
    keyring: &Keyring,
    work: &Work<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Resealed> {
    let mut left = db.read_newest(|conn| {
        keyring.check(conn)?;
        keyring.sealing(&"the database")?;
        count(conn, work.pick)
    })?;
    let (mut resealed, mut done) = (0, 0);
    let mut passes = PASSES;
    let mut bulk = if work.dry_run { None } else { Some(Bulk::new(db, Manner::Brisk)?) };
    loop {
        let mut pass = Pass::default();
        for column in Column::ALL {
            let mut pages = Pages::new(column, work.pick, work.batch);
            loop {
                progress(Progress { done, left });
                let page = db.read_newest(|conn| pages.next(conn))?;
                if page.is_empty() {
                    break;
                }
                let read = page.len() as u64;
                pass.work_on(bulk.as_mut(), keyring, column, work, page)?;
                done += read;
                left = left.saturating_sub(read);
            }
        }
        resealed += pass.report.resealed;
        passes -= 1;
        if work.dry_run || (pass.report.resealed == 0 && pass.lost == 0) {
            progress(Progress { done, left: 0 });
            return Ok(Resealed { resealed, ..pass.report });
        }
        if passes == 0 {
            let left = db.read_newest(|conn| count(conn, work.pick))?.saturating_sub(pass.report.failed);
            return Ok(Resealed { resealed, left, ..pass.report });
        }
        done = done.saturating_sub(pass.report.failed); // the next pass reads them again
    }
}

/// One pass over all values.
#[derive(Default)]
struct Pass {
    report: Resealed,
    /// Values that were not written because another program had changed them.
    lost: u64,
}

impl Pass {
    fn work_on(
        &mut self,
        bulk: Option<&mut Bulk<'_>>,
        keyring: &Keyring,
        column: Column,
        work: &Work<'_>,
        page: Vec<Found>,
    ) -> Result<()> {
        let mut exchanges = Vec::with_capacity(page.len());
        for found in page {
            let key = keyring.sealing(&found.place)?;
            let sealed = (work.open)(&found).map_err(|trouble| trouble.to_string()).and_then(|secret| {
                envelope::seal(key, &found.place, &secret).map_err(|error| error.to_string())
            });
            match sealed {
                Ok(new) => exchanges.push(Exchange { row: found.place.row_key(), old: found.text, new }),
                Err(reason) => {
                    self.report.failed += 1;
                    if self.report.failures.len() < TOLD {
                        self.report.failures.push(Failure::new(&found.place, &reason));
                    }
                }
            }
        }
        let Some(bulk) = bulk else {
            self.report.resealed += exchanges.len() as u64;
            return Ok(());
        };
        let mut left = &*exchanges;
        while let Some((given, written)) = bulk.write_next(&mut left, work.batch as usize, |conn, next| {
            Ok((next.len() as u64, exchange(conn, keyring, column, next)?))
        })? {
            self.report.resealed += written;
            self.lost += given - written;
        }
        Ok(())
    }
}

struct Exchange {
    row: String,
    old: String,
    new: String,
}

/// Replaces texts in one statement. Returns how many rows still had the old text and were changed.
fn exchange(conn: &mut DbConnection, keyring: &Keyring, column: Column, rows: &[Exchange]) -> Result<u64> {
    // Without the lock, two concurrent runs could deadlock on each other's rows.
    on_backend!(
        &mut *conn,
        sqlite => |_c| Ok(()),
        postgres => |c| crate::db::postgres::lock_name(c, store::LOCK)
    )
    .of("viraldb_keys", "")?;
    store::take_into_use(conn, keyring, &column)?;
    let sql = Shape::new(conn, column).exchange();
    let written = on_backend!(
        conn,
        sqlite => |c| {
            let rows: Vec<[&str; 3]> = rows.iter().map(|row| [&*row.row, &row.old, &row.new]).collect();
            let rows = serde_json::to_string(&rows).map_err(crate::Error::other)?;
            diesel::sql_query(sql).bind::<Text, _>(rows).execute(c)
        },
        postgres => |c| {
            use diesel::sql_types::Array;
            let column = |part: fn(&Exchange) -> &str| rows.iter().map(part).collect::<Vec<_>>();
            diesel::sql_query(sql)
                .bind::<Array<Text>, _>(column(|row| &row.row))
                .bind::<Array<Text>, _>(column(|row| &row.old))
                .bind::<Array<Text>, _>(column(|row| &row.new))
                .execute(c)
        },
    )
    .of(column.table(), "")?;
    Ok(written as u64)
}
