//! Writes batches of rows. Each batch and the record of its progress are one transaction.

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

/// Consecutive rows of one table.
pub(super) struct Batch<'a> {
    pub(super) table: &'a Table,
    rows: Vec<u8>,
    /// The end of each row in `rows`.
    ends: Vec<usize>,
    /// The digests of the table before and after these rows are written.
    pub(super) before: Digest,
    after: Digest,
}

impl<'a> Batch<'a> {
    /// Creates an empty batch that follows the rows with the digest `before`.
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

    /// Sets the digest of the table after this batch.
    pub(super) fn up_to(self, after: Digest) -> Self {
        Self { after, ..self }
    }

    /// Returns the bytes of the first `count` rows.
    #[cfg(feature = "postgres")]
    fn first(&self, count: usize) -> &[u8] {
        let end = count.checked_sub(1).and_then(|last| self.ends.get(last)).copied().unwrap_or_default();
        self.rows.get(..end).unwrap_or_default()
    }

    /// Iterates over the rows.
    fn each(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts.zip(&self.ends).filter_map(|(start, end)| self.rows.get(*start..*end))
    }
}

/// The number of rows of a batch. The writer sets it, and the reader fills batches accordingly.
pub(super) struct Rows {
    next: AtomicUsize,
    most: usize,
}

/// The minimum number of rows of a batch, used while other programs write to the target.
const FEW: usize = 100;

impl Rows {
    pub(super) fn new(first: usize, most: usize) -> Self {
        Self { next: AtomicUsize::new(first.min(most)), most }
    }

    pub(super) fn get(&self) -> usize {
        self.next.load(Ordering::Relaxed)
    }

    /// Adapts the number of rows after a batch of `last` rows was written.
    fn adapt(&self, bulk: &Bulk<'_>, last: usize) {
        let next = bulk.next_rows(last);
        // The last batch of a table is often smaller than allowed, so it may only reduce the number of rows.
        if next < last || last >= self.get() {
            self.next.store(next.clamp(FEW.min(self.most), self.most), Ordering::Relaxed);
        }
    }
}

/// Writes batches as they arrive, each in one transaction. On SQLite, other programs can write between the transactions.
pub(super) fn all(target: &Database, batches: &Receiver<Batch<'_>>, rows: &Rows) -> Result<()> {
    let mut bulk = Bulk::new(target, Manner::Brisk)?;
    batches.iter().try_for_each(|batch| match write(&mut bulk, &batch) {
        Err(error) if error.is_of_row() => Err(first_refused(target, &batch, error)?),
        Err(error) => Err(error.with("the rows copied so far are kept; continue with --resume")),
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

/// Writes the first `count` rows of a batch.
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

/// Finds the first row of a batch that the target rejects and returns the error for it.
///
/// PostgreSQL does not report the row. So parts of the batch are written and rolled back until the row is found.
fn first_refused(target: &Database, batch: &Batch<'_>, error: Error) -> Result<Error> {
    // Binary search: the target accepts the first `good` rows and rejects the first `bad` rows.
    let (mut good, mut bad, mut why) = (0, batch.ends.len(), error);
    while good + 1 < bad {
        let middle = good.midpoint(bad);
        let tried: Result<()> = target.write(|conn| {
            insert(conn, batch, middle)?;
            Err(Error::other("rolled back"))
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
        format!("row {key} of {}", batch.table.name),
        format!(
            "was rejected by the target: {why}; fix it in the source and run the transfer again with --resume"
        ),
    ))
}

/// Inserts rows into a SQLite table one by one.
#[cfg(feature = "sqlite")]
pub(in crate::ops) struct Inserter<'a> {
    table: &'a Table,
    start: String,
    end: String,
}

#[cfg(feature = "sqlite")]
impl<'a> Inserter<'a> {
    /// Creates an inserter. `end` is appended to each INSERT after the values, such as `ON CONFLICT DO NOTHING`.
    pub(in crate::ops) fn new(table: &'a Table, end: &str) -> Self {
        Self { table, start: table.insert_into(), end: format!(") {end}") }
    }

    /// Inserts a row that [`rows`](super::read::rows) has read, and returns the number of rows that changed.
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

/// The INSERT of one row. Its SQL text is the same for every row of a table, so Diesel prepares it only once.
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
