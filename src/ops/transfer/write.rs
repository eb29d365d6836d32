//! Writing batches of rows, each with the note of how far the transfer is in one transaction.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::Receiver;

#[cfg(feature = "sqlite")]
use diesel::query_builder::{QueryFragment, QueryId};

use super::digest::Digest;
use super::read::key;
#[cfg(feature = "sqlite")]
use super::row;
use super::tables::Table;
use super::target;
#[cfg(feature = "sqlite")]
use super::value::Bound;
use crate::db::{Bulk, Manner, on_backend};
use crate::error::ResultExt;
use crate::{Database, DbConnection, Error, Result};

/// Rows of one table, next to each other.
pub(super) struct Batch<'a> {
    pub(super) table: &'a Table,
    rows: Vec<u8>,
    /// Where each row ends.
    ends: Vec<usize>,
    /// What the table holds before these rows, and after them.
    pub(super) before: Digest,
    after: Digest,
}

impl<'a> Batch<'a> {
    /// An empty one, to go behind what the table holds.
    pub(super) fn new(table: &'a Table, before: Digest) -> Self {
        Self { table, rows: Vec::new(), ends: Vec::new(), before, after: before }
    }

    pub(super) fn push(&mut self, row: &[u8]) {
        self.rows.extend(row);
        self.ends.push(self.rows.len());
    }

    pub(super) const fn is_full(&self, rows: usize, bytes: usize) -> bool {
        self.ends.len() >= rows || self.rows.len() >= bytes
    }

    /// The batch, with what the table holds after it.
    pub(super) fn up_to(self, after: Digest) -> Self {
        Self { after, ..self }
    }

    /// The first rows, so many, as bytes.
    #[cfg(feature = "postgres")]
    fn first(&self, count: usize) -> &[u8] {
        let end = count.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or_default();
        self.rows.get(..end).unwrap_or_default()
    }

    /// Each row.
    fn each(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).filter_map(|(start, end)| self.rows.get(*start..*end))
    }
}

/// How many rows a batch has. The writer decides it, the reader obeys.
pub(super) struct Rows {
    next: AtomicUsize,
    most: usize,
}

/// Rows of a batch that is small because other programs write.
const FEW: usize = 100;

impl Rows {
    pub(super) fn new(first: usize, most: usize) -> Self {
        Self { next: AtomicUsize::new(first.min(most)), most }
    }

    pub(super) fn get(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// Decides it anew after a batch of so many rows.
    fn adapt(&self, bulk: &Bulk<'_>, last: usize) {
        let next = bulk.next_rows(last);
        // The last rows of a table say little about how many fit, unless they took too long.
        if next < last || last >= self.get() {
            self.next.store(next.clamp(FEW.min(self.most), self.most), Ordering::Relaxed);
        }
    }
}

/// Writes batches as they come, one transaction each. On SQLite others who write come to their turn in between.
pub(super) fn all(target: &Database, batches: &Receiver<Batch<'_>>, rows: &Rows) -> Result<()> {
    let mut bulk = Bulk::new(target, Manner::Brisk)?;
    batches.iter().try_for_each(|batch| match write(&mut bulk, &batch) {
        Err(error) if error.is_of_row() => Err(first_refused(target, &batch, error)?),
        Err(error) => Err(error.with("what was copied before stays, and --resume goes on with it")),
        Ok(()) => {
            rows.adapt(&bulk, batch.ends.len());
            Ok(())
        }
    })
}

fn write(bulk: &mut Bulk<'_>, batch: &Batch<'_>) -> Result<()> {
    bulk.write(|conn, _| {
        target::advance(conn, batch.table, batch.before, batch.after)?;
        insert(conn, batch, batch.ends.len())
    })
}

/// Writes the first rows of a batch, so many.
fn insert(conn: &mut DbConnection, batch: &Batch<'_>, count: usize) -> Result<()> {
    let table = batch.table;
    on_backend!(
        conn,
        sqlite => |c| {
            let inserter = Inserter::new(table, "");
            batch.each().take(count).try_for_each(|row| inserter.insert(c, row).map(drop))
        },
        postgres => |c| (table.copy)(c, batch.first(count)).of(table.name, "").map(drop),
    )
}

/// Says which row of a batch the database does not take, and why. PostgreSQL does not tell; so parts of the batch are
/// written, and taken back, until it is found.
fn first_refused(target: &Database, batch: &Batch<'_>, error: Error) -> Result<Error> {
    // With so many of the first rows it goes well, with so many it does not.
    let (mut good, mut bad, mut why) = (0, batch.ends.len(), error);
    while good + 1 < bad {
        let middle = good.midpoint(bad);
        let tried: Result<()> = target.write(|conn| {
            insert(conn, batch, middle)?;
            Err(Error::other("taken back"))
        });
        match tried {
            Err(Error::Other(_)) => good = middle,
            Err(error) if error.is_of_row() => (bad, why) = (middle, error),
            Err(error) => return Err(error),
            Ok(()) => good = middle,
        }
    }
    let key = batch.each().nth(good).map(|row| key(batch.table, row)).unwrap_or_default();
    Ok(Error::invalid(
        format!("the row {key} of {}", batch.table.name),
        format!(
            "is refused by the target: {why}; change it in the source, and run the transfer again with --resume"
        ),
    ))
}

/// Inserts rows of a table into SQLite, one by one.
#[cfg(feature = "sqlite")]
pub(in crate::ops) struct Inserter<'a> {
    table: &'a Table,
    start: String,
    end: String,
}

#[cfg(feature = "sqlite")]
impl<'a> Inserter<'a> {
    /// `end` follows the values of each INSERT, such as `ON CONFLICT DO NOTHING`.
    pub(in crate::ops) fn new(table: &'a Table, end: &str) -> Self {
        Self { table, start: table.insert_into(), end: format!(") {end}") }
    }

    /// Inserts a row that was read by [`rows`](super::read::rows), and returns the number of rows that changed.
    pub(in crate::ops) fn insert(&self, conn: &mut diesel::SqliteConnection, row: &[u8]) -> Result<usize> {
        let table = self.table;
        let mut values = Vec::with_capacity(table.columns.len());
        for (column, value) in table.columns.iter().zip(row::fields(row)) {
            let value = Bound::new(column.kind, value);
            values.push(
                value.map_err(|reason| Error::invalid(format!("{}.{}", table.name, column.name), reason))?,
            );
        }
        let insert = Insert { start: &self.start, values: &values, end: &self.end };
        diesel::RunQueryDsl::execute(insert, conn).of(table.name, "")
    }
}

/// The INSERT of one row. Its text is the same for every row of a table, so Diesel prepares it once.
#[cfg(feature = "sqlite")]
struct Insert<'a> {
    start: &'a str,
    values: &'a [Bound<'a>],
    end: &'a str,
}

#[cfg(feature = "sqlite")]
impl QueryId for Insert<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

#[cfg(feature = "sqlite")]
impl diesel::RunQueryDsl<diesel::SqliteConnection> for Insert<'_> {}

#[cfg(feature = "sqlite")]
impl QueryFragment<diesel::sqlite::Sqlite> for Insert<'_> {
    fn walk_ast<'b>(
        &'b self,
        mut out: diesel::query_builder::AstPass<'_, 'b, diesel::sqlite::Sqlite>,
    ) -> diesel::QueryResult<()> {
        use diesel::sql_types::{BigInt, Double, Nullable, Text};

        out.push_sql(self.start);
        for (place, value) in self.values.iter().enumerate() {
            out.push_sql(if place == 0 { "(" } else { ", " });
            match value {
                Bound::Null => out.push_bind_param::<Nullable<BigInt>, Option<i64>>(&None)?,
                Bound::Integer(number) => out.push_bind_param::<BigInt, i64>(number)?,
                Bound::Real(number) => out.push_bind_param::<Double, f64>(number)?,
                Bound::Text(text) => out.push_bind_param::<Text, str>(text)?,
            }
        }
        out.push_sql(self.end);
        Ok(())
    }
}
