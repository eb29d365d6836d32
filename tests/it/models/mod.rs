//! Tests of the typed models of the 22 tables.

mod children;
mod compilation;
mod constructors;
mod generation;
mod indexed;
#[cfg(feature = "postgres")]
mod on_diesel_async;
mod republishing;
mod types;

use std::fmt::{Debug, Display};

use serde::Serialize;
use serde_json::Value;
use viraldb::{Database, DbConnection, Error, Page, Result};

use crate::make;
use crate::support::newly_prepared;

/// The common interface of all tables.
pub trait Model: Sized + Debug + Clone + PartialEq + Serialize {
    type Key: Clone + Display + Debug + PartialEq;
    type New: Clone + Serialize;
    type Filter: Default;
    /// The sort key of lists, in descending order.
    type Place: Ord;
    const TABLE: &'static str;

    fn key(&self) -> Self::Key;
    fn place(&self) -> Self::Place;
    fn with_key(new: Self::New, key: Self::Key) -> Self::New;
    fn insert(new: &Self::New, c: &mut DbConnection) -> Result<Self>;
    fn insert_many(c: &mut DbConnection, new: &[Self::New]) -> Result<usize>;
    fn find(c: &mut DbConnection, key: &Self::Key) -> Result<Self>;
    fn list(c: &mut DbConnection, filter: &Self::Filter, page: &Page<Self::Key>) -> Result<Vec<Self>>;
    fn count(c: &mut DbConnection, filter: &Self::Filter) -> Result<i64>;
    fn exists(c: &mut DbConnection, filter: &Self::Filter) -> Result<bool>;
    /// Updates one column.
    fn touch(c: &mut DbConnection, key: &Self::Key) -> Result<Self>;
    fn delete(c: &mut DbConnection, key: &Self::Key) -> Result<usize>;
}

/// Implements [`Model`] for a table: with a number or UUID as key, or with a text key.
macro_rules! model {
    ($table:literal, $row:ident, $new:ty, $filter:ty, $id:ident $key:ty, $changes:ident { $column:ident: $value:expr }) => {
        model!($table, $row, $new, $filter, $id $key, ($key,) |row| (row.id,), $changes { $column: $value });
    };
    ($table:literal, $row:ident, $new:ty, $filter:ty, $id:ident $key:ty, by $time:ident, $changes:ident { $column:ident: $value:expr }) => {
        model!($table, $row, $new, $filter, $id $key, (viraldb::Timestamp, $key) |row| (row.$time, row.id), $changes { $column: $value });
    };
    ($table:literal, $row:ident, $new:ty, $filter:ty, $id:ident $key:ty, $place:ty |$self:ident| $order:expr, $changes:ident { $column:ident: $value:expr }) => {
        impl Model for $row {
            type Key = $key;
            type New = $new;
            type Filter = $filter;
            type Place = $place;
            const TABLE: &'static str = $table;

            fn key(&self) -> $key {
                self.id
            }
            fn place(&self) -> Self::Place {
                let $self = self;
                $order
            }
            fn with_key(mut new: $new, key: $key) -> $new {
                new.id = model!(@$id key);
                new
            }
            fn find(c: &mut DbConnection, key: &$key) -> viraldb::Result<Self> {
                $row::find(c, *key)
            }
            fn list(c: &mut DbConnection, filter: &$filter, page: &Page<$key>) -> viraldb::Result<Vec<Self>> {
                $row::list(c, filter, page)
            }
            model!(@counts $row $filter);
            fn touch(c: &mut DbConnection, key: &$key) -> viraldb::Result<Self> {
                $changes { $column: Some($value), ..Default::default() }.update(c, *key)
            }
            fn delete(c: &mut DbConnection, key: &$key) -> viraldb::Result<usize> {
                $row::delete(c, *key)
            }
            model!(@inserts $new);
        }
    };
    ($table:literal, $row:ident, $new:ty, $filter:ty, $changes:ident { $column:ident: $value:expr }) => {
        impl Model for $row {
            type Key = String;
            type New = $new;
            type Filter = $filter;
            type Place = std::cmp::Reverse<String>;
            const TABLE: &'static str = $table;

            fn key(&self) -> String {
                self.key.clone()
            }
            fn place(&self) -> Self::Place {
                std::cmp::Reverse(self.key.clone())
            }
            fn with_key(mut new: $new, key: String) -> $new {
                new.key = key.into();
                new
            }
            fn find(c: &mut DbConnection, key: &String) -> viraldb::Result<Self> {
                $row::find(c, key)
            }
            fn list(c: &mut DbConnection, filter: &$filter, page: &Page<String>) -> viraldb::Result<Vec<Self>> {
                $row::list(c, filter, page)
            }
            model!(@counts $row $filter);
            fn touch(c: &mut DbConnection, key: &String) -> viraldb::Result<Self> {
                $changes { $column: Some($value), ..Default::default() }.update(c, key)
            }
            fn delete(c: &mut DbConnection, key: &String) -> viraldb::Result<usize> {
                $row::delete(c, key)
            }
            model!(@inserts $new);
        }
    };
    (@counts $row:ident $filter:ty) => {
        fn count(c: &mut DbConnection, filter: &$filter) -> viraldb::Result<i64> {
            $row::count(c, filter)
        }
        fn exists(c: &mut DbConnection, filter: &$filter) -> viraldb::Result<bool> {
            $row::exists(c, filter)
        }
    };
    (@inserts $new:ty) => {
        fn insert(new: &$new, c: &mut DbConnection) -> viraldb::Result<Self> {
            new.insert(c)
        }
        fn insert_many(c: &mut DbConnection, new: &[$new]) -> viraldb::Result<usize> {
            <$new>::insert_many(c, new)
        }
    };
    (@number $key:ident) => { Some($key) };
    (@uuid $key:ident) => { $key };
}
use model;

/// Checks insert, find, paged lists, updates of missing rows, and delete. `fits` makes rows that match the
/// filter, each with a different sort position. `other` makes a row that does not match.
fn check_all_operations<M: Model>(
    db: &Database,
    missing: M::Key,
    filter: &M::Filter,
    fits: impl Fn(&mut DbConnection, i64) -> M::New,
    other: impl Fn(&mut DbConnection) -> M::New,
) {
    let mut rows: Vec<M> = Vec::new();
    assert!(!db.read(|c| M::exists(c, filter)).unwrap());
    // Insert the rows in a different order than lists return them, unless lists are ordered by key.
    for place in [3, 1, 4, 0, 2] {
        let new = db.write(|c| Ok(fits(c, place))).unwrap();
        let row = db.write(|c| M::insert(&new, c)).unwrap();
        holds(M::TABLE, &row, &new);
        assert_eq!(db.read(|c| M::find(c, &row.key())).unwrap(), row);
        rows.push(row);
    }
    let new = db.write(|c| Ok(other(c))).unwrap();
    let other = db.write(|c| M::insert(&new, c)).unwrap();

    rows.sort_by_key(|row| std::cmp::Reverse(row.place()));
    let list = |filter: &M::Filter, page: &Page<M::Key>| db.read(|c| M::list(c, filter, page)).unwrap();
    let mut seen: Vec<M> = Vec::new();
    let mut sizes = Vec::new();
    let mut page = Page::first(2);
    while let rows @ [.., last] = &*list(filter, &page) {
        sizes.push(rows.len());
        page = Page::after(last.key(), 2);
        seen.extend_from_slice(rows);
        assert!(seen.len() < 9, "the pages never end");
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(seen, rows);
    let of = |filter: &M::Filter| db.read(|c| Ok((M::count(c, filter)?, M::exists(c, filter)?))).unwrap();
    assert_eq!((of(filter), of(&M::Filter::default())), ((5, true), (6, true)));
    let ask = |c: &mut DbConnection| {
        M::list(c, filter, &page)?;
        M::count(c, filter)?;
        M::exists(c, filter)
    };
    let mut session = db.session().unwrap();
    ask(&mut session).unwrap();
    assert!(newly_prepared(&mut session, ask).is_empty(), "statements stay prepared");
    drop(session);
    let all = list(&M::Filter::default(), &Page::first(100));
    assert_eq!(all.len(), 6);
    assert!(all.contains(&other) && list(&M::Filter::default(), &Page::first(0)).is_empty());
    assert!(list(&M::Filter::default(), &Page::first(-1)).is_empty());

    let two = db.write(|c| Ok([fits(c, 5), fits(c, 6)])).unwrap();
    assert_eq!(db.write(|c| M::insert_many(c, &two)).unwrap(), 2);
    assert_eq!(db.write(|c| M::insert_many(c, &[])).unwrap(), 0);
    assert_eq!(list(&M::Filter::default(), &Page::first(100)).len(), 8);

    // A conflicting row also undoes the row before it, even if `insert_many` opens the transaction itself.
    let bad = db.write(|c| Ok([fits(c, 7), M::with_key(fits(c, 8), other.key())])).unwrap();
    let mut session = db.session().unwrap();
    conflict(M::insert_many(&mut session, &bad), M::TABLE, &format!("{}_pkey", M::TABLE));
    conflict(M::insert(&bad[1], &mut session), M::TABLE, &format!("{}_pkey", M::TABLE));
    assert_eq!(list(&M::Filter::default(), &Page::first(100)).len(), 8);

    not_found(db.read(|c| M::find(c, &missing)), M::TABLE, &missing.to_string());
    not_found(db.write(|c| M::touch(c, &missing)), M::TABLE, &missing.to_string());
    assert_eq!(db.write(|c| M::delete(c, &missing)).unwrap(), 0);
    assert_eq!(db.write(|c| M::delete(c, &other.key())).unwrap(), 1);
    assert_eq!(db.write(|c| M::delete(c, &other.key())).unwrap(), 0);
    not_found(db.read(|c| M::find(c, &other.key())), M::TABLE, &other.key().to_string());
    assert_eq!(list(&M::Filter::default(), &Page::first(100)).len(), 7);
}

/// Asserts that the row has the values of the new row, and the documented default in every other column.
fn holds(table: &str, row: &impl Serialize, new: &impl Serialize) {
    let (row, new) = (serde_json::to_value(row).unwrap(), serde_json::to_value(new).unwrap());
    let contract = make::contract().into_iter().find(|contract| contract.table == table).unwrap();
    for (column, value) in row.as_object().unwrap() {
        match (&new[column], contract.defaults.get(column)) {
            (Value::Null, Some(now)) if now == "now" => assert!(make::is_now(value), "{column}"),
            // The database assigns the number.
            (Value::Null, Some(_)) if column == "id" => assert!(value.as_i64().unwrap() > 0),
            // The database computes the value.
            (Value::Null, _) if column == "status" && new.get(column).is_none() => {}
            (Value::Null, Some(default)) => assert_eq!(value, default, "{column}"),
            (given, _) => assert_eq!(value, given, "{column}"),
        }
    }
}

/// Asserts that every column has a value, so that every column is tested.
fn is_full(new: &impl Serialize) {
    for (column, value) in serde_json::to_value(new).unwrap().as_object().unwrap() {
        assert_ne!(*value, Value::Null, "{column}");
    }
}

fn not_found<T: Debug>(result: Result<T>, at: &str, by: &str) {
    match result {
        Err(Error::NotFound { table, key }) => assert_eq!((table, &*key), (at, by)),
        other => panic!("{other:?}"),
    }
}

fn conflict<T: Debug>(result: Result<T>, at: &str, by: &str) {
    match result {
        Err(Error::Conflict { table, constraint, .. }) => assert_eq!((table, &*constraint), (at, by)),
        other => panic!("{other:?}"),
    }
}

fn invalid<T: Debug>(result: Result<T>, at: &str, why: &str) {
    match result {
        Err(Error::Invalid { what, reason }) => {
            assert!(what.starts_with(at), "{what:?} does not name {at}");
            assert!(reason.starts_with(why), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

/// Asserts that a row is rejected because it refers to a row that does not exist.
fn orphan<M: Model>(db: &Database, new: impl FnOnce(&mut DbConnection) -> M::New) {
    invalid(db.write(|c| M::insert(&new(c), c)), M::TABLE, "refers to a row that does not exist");
}

/// Checks that each change alone sets its column to the given value and changes no other column. Columns in
/// `set` get a value; columns in `null` get a value and then NULL. A column after `moves` is later after each
/// change; a column after `follows` is computed. The macro compiles only if every changeable column is named.
/// The first row has a value in every column.
macro_rules! each_change {
    ($db:expr, full |$c:pat_param| $full:expr, $row:ident by |$found:ident| $key:expr, $changes:ident,
     $(moves $moved:ident,)? $(follows $followed:ident,)?
     set { $($column:ident: $value:expr),* $(,)? } null { $($nullable:ident: $other:expr),* $(,)? }) => {{
        let db = &$db;
        let full = db.write(|$c| Ok($full)).unwrap();
        let mut before = db.write(|c| full.insert(c)).unwrap();
        crate::models::is_full(&full);
        crate::models::holds(<$row as crate::models::Model>::TABLE, &before, &full);
        let $changes { $($column: _,)* $($nullable: _,)* } = $changes::default();
        let mut step = |change: $changes, name: &str, set: &dyn Fn(&mut $row)| {
            let after = db.write(|c| change.update(c, { let $found = &before; $key })).unwrap();
            let mut expected = before.clone();
            $(
                assert!(after.$moved > before.$moved, "{name}");
                expected.$moved = after.$moved;
            )?
            $(expected.$followed = after.$followed;)?
            assert_ne!(after, expected, "the test changes nothing in {name}");
            set(&mut expected);
            assert_eq!(after, expected, "{name}");
            before = after;
        };
        $(
            let change = $changes { $column: Some($value.into()), ..Default::default() };
            step(change, stringify!($column), &|row| row.$column = $value.into());
        )*
        $(
            let change = $changes { $nullable: Some(Some($other.into())), ..Default::default() };
            step(change, stringify!($nullable), &|row| row.$nullable = Some($other.into()));
            let change = $changes { $nullable: Some(None), ..Default::default() };
            step(change, stringify!($nullable), &|row| row.$nullable = None);
        )*
        let found = db.read(|c| $row::find(c, { let $found = &before; $key })).unwrap();
        assert_eq!(found, before);
    }};
}
use each_change;
