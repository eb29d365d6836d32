//! Walking through all sealed values, and sealing them anew.

use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};

use super::envelope::{self, Trouble};
use super::{Column, Keyring, Place, Secret, store};
use crate::db::{Bulk, Database, DbConnection, Manner, on_backend};
use crate::error::{Result, ResultExt};

/// How many values are read, and sealed anew in one transaction, unless told otherwise.
pub const BATCH: u32 = 1_000;

/// Bytes of texts that are read at a time, and the last of them whole.
const BYTES: u32 = 4 << 20;

/// How often to go through all values, if others keep writing ones that are to be sealed anew.
const PASSES: u32 = 10;

/// Values that do not open of which a report tells the places.
const TOLD: usize = 20;

/// A value that does not open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// Its table.
    pub table: String,
    /// Its column.
    pub column: String,
    /// What names its row: a channel's id, or a setting's key.
    pub row: String,
    /// Why.
    pub reason: String,
}

impl Failure {
    pub(super) fn new(place: &Place, reason: &str) -> Self {
        let column = place.column();
        let (table, name) = (column.table().to_owned(), column.name().to_owned());
        Self { table, column: name, row: place.row_key(), reason: reason.to_owned() }
    }
}

/// How far a walk is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Values that are done with.
    pub done: u64,
    /// Values that are left, as counted at the start.
    pub left: u64,
}

/// What became of values that were to be sealed anew.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Resealed {
    /// Values that are sealed under the first key now, or in a dry run would be.
    pub resealed: u64,
    /// Values that do not open, and were left as they are.
    pub failed: u64,
    /// The first of these.
    pub failures: Vec<Failure>,
    /// Values that somebody else wrote meanwhile, so often that they are still to be sealed anew.
    pub left: u64,
}

/// A text in its place.
pub(super) struct Found {
    pub(super) place: Place,
    pub(super) text: String,
}

/// Which texts to look at: a condition on the column's text, which SQL calls `{}`.
#[derive(Clone, Copy)]
pub(super) struct Pick<'a>(pub(super) &'a str);

impl Pick<'_> {
    /// Every text there is.
    pub(super) const ALL: Self = Pick("true");

    fn on(self, text: &str) -> String {
        self.0.replace("{}", text)
    }
}

/// How SQL says what the columns have not in common.
pub(super) struct Shape {
    table: &'static str,
    column: &'static str,
    /// Column of the key, its type on PostgreSQL, and which rows have sealed values.
    key: &'static str,
    key_type: &'static str,
    has: &'static str,
    /// The text in the column: of a setting, what its JSON string says.
    pub(super) text: String,
    /// The new text as the column takes it.
    written: &'static str,
    now: &'static str,
    /// The cast that makes text of a key.
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
                // Other programs write bare text there. CASE looks at nothing before it must.
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

    /// Rows that have a sealed value, or any other text, in the column.
    pub(super) fn rows_with_text(&self, pick: Pick<'_>) -> String {
        let Self { table, has, text, .. } = self;
        format!("FROM {table} WHERE {has} AND {text} <> '' AND {}", pick.on(text))
    }

    /// Rows of the table, whether they have a value or not.
    pub(super) fn rows(&self) -> String {
        format!("FROM {} WHERE {}", self.table, self.has)
    }

    /// So many rows in order, or fewer: as many as come before [`BYTES`] of text are full.
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

    /// Writes new texts where the old ones still stand, so that what somebody else wrote meanwhile stays.
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

/// Reads the texts of a column, page by page in the order of their rows.
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

    /// The next page; an empty one is the end.
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

/// How many texts there are in all columns.
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

/// What is to be sealed anew, and how it opens.
pub(super) struct Work<'a> {
    pub(super) pick: Pick<'a>,
    pub(super) open: &'a dyn Fn(&Found) -> Result<Secret, Trouble>,
    pub(super) batch: u32,
    pub(super) dry_run: bool,
}

/// Seals values anew under the first key. Those that others write meanwhile, so that they are to be sealed anew
/// again, are looked for until none is left.
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
        done = done.saturating_sub(pass.report.failed); // they are looked at again
    }
}

/// One time through all values.
#[derive(Default)]
struct Pass {
    report: Resealed,
    /// Values that somebody else had changed before they were written.
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

/// Writes new texts in one statement, and returns how many old ones still stood there.
fn exchange(conn: &mut DbConnection, keyring: &Keyring, column: Column, rows: &[Exchange]) -> Result<u64> {
    // Two who do this at once would wait for each other's rows.
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
