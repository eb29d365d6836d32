//! The SQL of a list: which index it follows, and its statements.
//!
//! PostgreSQL's planner knows how common a value is. SQLite's does not, and it would sort half a million rows that an index
//! finds rather than follow the order of another index for a few thousand rows. So on SQLite, a list with filters counts the
//! rows that each index would find, up to [`FEW`], and then says which index to follow.

use std::time::Duration;

use super::column::{Is, Kind, Table};
use super::indexes::{self, Index};
use super::query::{Bound, Cursor, Filter, Order, Sort, boolean, value};
use super::raw::{Raw, load};
use crate::DbConnection;
use crate::db::Engine;
use crate::error::{Error, Result};
use crate::types::Timestamp;

/// Number of rows that SQLite sorts in a few hundredths of a second.
const FEW: i64 = 10_000;
/// The same for lists with several filters: the rows that meet all of them may be so rare that the order of another index would
/// lead through the whole table.
const MANY: i64 = 50_000;

/// Maximum number of bytes of a value in a filter. SQLite limits the pattern of a LIKE.
const LONGEST: usize = 10_000;

/// A checked condition.
#[derive(Debug)]
struct Condition {
    column: &'static str,
    kind: Kind,
    is: Is,
    bound: Bound,
}

/// What a list reads, without its position.
#[derive(Debug)]
pub(super) struct Select<'t> {
    table: &'t Table,
    sort: Sort<'t>,
    conditions: Vec<Condition>,
    engine: Engine,
    access: Access,
    /// Other indexes that find few rows. A row must be among those of each.
    also: Vec<&'static Index>,
}

/// How SQLite finds the rows.
#[derive(Debug, Clone, Copy)]
enum Access {
    /// As the planner decides.
    Planner,
    /// By an index, in the order of the list.
    Ordered(&'static Index),
    /// By an index. The rows are then sorted.
    Sorted(&'static Index),
    /// In the order of the list.
    Order,
}

/// A part of a list: the rows with a value in the sorted column, or those without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// All rows, because the column is never NULL.
    All,
    WithValue,
    WithoutValue,
}

/// The text of a statement and its parameters.
#[derive(Debug, Default)]
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) bounds: Vec<Bound>,
}

impl Statement {
    /// Adds a parameter and returns its placeholder.
    fn bind(&mut self, bound: Bound) -> String {
        self.bounds.push(bound);
        format!("${}", self.bounds.len())
    }
}

impl<'t> Select<'t> {
    /// Checks the filters and, on SQLite, chooses an index.
    pub(super) fn new(
        conn: &mut DbConnection,
        table: &'t Table,
        filters: &[Filter],
        sort: Sort<'t>,
    ) -> Result<Self> {
        let conditions = filters.iter().map(|filter| condition(table, filter)).collect::<Result<_>>()?;
        let engine = engine(conn);
        let mut select = Self { table, sort, conditions, engine, access: Access::Planner, also: Vec::new() };
        if engine == Engine::Sqlite {
            (select.access, select.also) = select.access(conn)?;
        }
        Ok(select)
    }

    fn access(&self, conn: &mut DbConnection) -> Result<(Access, Vec<&'static Index>)> {
        let is_equal = |column: &str| {
            self.conditions.iter().any(|c| c.column == column && matches!(c.is, Is::Eq | Is::Null))
        };
        let names_one_row = |c: &Condition| {
            c.is == Is::Eq && (c.column == self.table.key || indexes::is_unique(self.table.name, c.column))
        };
        if self.conditions.iter().any(names_one_row) {
            return Ok((Access::Planner, Vec::new()));
        }
        // An index that finds the rows in the order of the list.
        let in_order = indexes::of(self.table.name).find(|index| {
            let equal = index.columns.iter().take_while(|column| is_equal(column)).count();
            let follows = match index.columns.get(equal) {
                Some(next) => *next == self.sort.column.name,
                // The row number of a table is the last column of each of its indexes.
                None => self.sort.is_key && self.sort.column.kind == Kind::Integer,
            };
            equal > 0 && follows && !index.partial
        });
        if let Some(index) = in_order {
            return Ok((Access::Ordered(index), Vec::new()));
        }
        let useful: Vec<&'static Index> = indexes::of(self.table.name)
            .filter(|index| {
                let first = index.columns.first().copied().unwrap_or_default();
                let is_sought = self.conditions.iter().any(|c| {
                    c.column == first && !matches!(c.is, Is::Contains | Is::Starts) && !c.is_not_null()
                });
                is_sought && first != self.sort.column.name && !index.partial
            })
            .collect();
        if useful.is_empty() {
            return Ok((Access::Order, Vec::new()));
        }
        let most = if self.conditions.len() > 1 { MANY } else { FEW };
        let mut count = Statement::default();
        let counts: Vec<String> = useful
            .iter()
            .map(|index| {
                let first = index.columns.first().copied().unwrap_or_default();
                let own: Vec<String> = self
                    .conditions
                    .iter()
                    .filter(|c| c.column == first)
                    .map(|c| c.sql(self.engine, "", &mut count))
                    .collect();
                format!(
                    "(SELECT count(*) FROM (SELECT 1 FROM {} INDEXED BY {} WHERE {} LIMIT {}))",
                    self.table.name,
                    index.name,
                    own.join(" AND "),
                    most + 1
                )
            })
            .collect();
        count.sql = format!("SELECT {}", counts.join(", "));
        let row = load(conn, self.table.name, &count.sql, &count.bounds)?.pop();
        let counts = row.map(|row| row.0).unwrap_or_default();
        let few = useful.into_iter().zip(counts).filter_map(|(index, count)| match count {
            Raw::Integer(count) if count <= most => Some((count, index)),
            _ => None,
        });
        let mut few: Vec<(i64, &'static Index)> = few.collect();
        few.sort_by_key(|(count, _)| *count);
        let mut few = few.into_iter().map(|(_, index)| index);
        Ok(few.next().map_or((Access::Order, Vec::new()), |fewest| (Access::Sorted(fewest), few.collect())))
    }

    /// Returns the parts of the list in its order, those after a position if there is one.
    pub(super) fn parts(&self, cursor: Option<&Cursor>) -> Vec<Part> {
        let back = cursor.is_some_and(|cursor| cursor.back);
        if !self.sort.column.nullable {
            return vec![Part::All];
        }
        match cursor.map(|cursor| cursor.value.is_null()) {
            None => vec![Part::WithValue, Part::WithoutValue],
            Some(false) if back => vec![Part::WithValue],
            Some(false) => vec![Part::WithValue, Part::WithoutValue],
            Some(true) if back => vec![Part::WithoutValue, Part::WithValue],
            Some(true) => vec![Part::WithoutValue],
        }
    }

    /// Returns the column that orders the rows of a part that have the same value.
    ///
    /// On SQLite this is the row number where it can be: each index contains it, so that rows with the same value need not be
    /// sorted. A VACUUM may number the rows of a table with UUIDs again. Then one page may miss rows, if they have the same
    /// value as the last row of the page before.
    pub(super) fn tie(&self, part: Part) -> &'static str {
        let is_uuid = self.table.key_column().is_ok_and(|key| key.kind == Kind::Uuid);
        let by_number = self.engine == Engine::Sqlite && is_uuid && !self.is_by_key(part);
        if by_number { "rowid" } else { self.table.key }
    }

    fn is_by_key(&self, part: Part) -> bool {
        self.sort.is_key || part == Part::WithoutValue
    }

    /// Returns the statement that reads up to `limit` rows of a part. `shown` are the expressions of the columns; after them
    /// come the sorted column and the column of [`tie`](Self::tie), as stored, and the key.
    pub(super) fn statement(
        &self,
        shown: &str,
        part: Part,
        cursor: Option<&Cursor>,
        limit: usize,
    ) -> Result<Statement> {
        let (key, sorted, tie) = (self.table.key, self.sort.column.name, self.tie(part));
        let tie_kind = if tie == key { self.table.key_column()?.kind } else { Kind::Integer };
        let mut statement = Statement::default();
        let by_order = self.order_index(part);
        let (hint, followed): (String, &[&str]) = match self.access {
            Access::Planner => (String::new(), &[]),
            Access::Ordered(index) | Access::Sorted(index) => {
                (format!(" INDEXED BY {}", index.name), index.columns)
            }
            Access::Order => match by_order {
                Some(index) => (format!(" INDEXED BY {}", index.name), index.columns),
                None => (String::new(), std::slice::from_ref(&self.table.key)),
            },
        };
        // SQLite uses no index for a column with a plus sign.
        let sign = |column: &str| match self.access {
            Access::Planner => "",
            _ if followed.contains(&column) || (column == tie && followed.contains(&sorted)) => "",
            _ => "+",
        };
        let mut conditions: Vec<String> =
            self.conditions.iter().map(|c| c.sql(self.engine, sign(c.column), &mut statement)).collect();
        for index in &self.also {
            let first = index.columns.first().copied().unwrap_or_default();
            let own: Vec<String> = self
                .conditions
                .iter()
                .filter(|c| c.column == first)
                .map(|c| c.sql(self.engine, "", &mut statement))
                .collect();
            let (name, own) = (self.table.name, own.join(" AND "));
            conditions
                .push(format!("rowid IN (SELECT rowid FROM {name} INDEXED BY {} WHERE {own})", index.name));
        }
        match part {
            Part::All => {}
            Part::WithValue => conditions.push(format!("{}\"{sorted}\" IS NOT NULL", sign(sorted))),
            Part::WithoutValue => conditions.push(format!("{}\"{sorted}\" IS NULL", sign(sorted))),
        }
        let back = cursor.is_some_and(|cursor| cursor.back);
        let order = if back { self.sort.order.reversed() } else { self.sort.order };
        let by_key = self.is_by_key(part);
        if let Some(cursor) = cursor.filter(|cursor| cursor.value.is_null() == (part == Part::WithoutValue)) {
            let is = if order == Order::Asc { ">" } else { "<" };
            let mut stored = |value, kind| self.stored(value, kind, &mut statement);
            conditions.push(if by_key {
                format!("{}{} {is} {}", sign(key), self.ordered(key, tie_kind), stored(&cursor.key, tie_kind))
            } else {
                let value = stored(&cursor.value, self.sort.column.kind);
                let tied = stored(&cursor.key, tie_kind);
                format!("({}\"{sorted}\", {}\"{tie}\") {is} ({value}, {tied})", sign(sorted), sign(tie))
            });
        }
        let direction = if order == Order::Asc { "ASC" } else { "DESC" };
        let tie_order = format!("{} {direction}", self.ordered(tie, tie_kind));
        let order_by = if by_key { tie_order } else { format!("\"{sorted}\" {direction}, {tie_order}") };
        let filter = match conditions.is_empty() {
            true => String::new(),
            false => format!(" WHERE {}", conditions.join(" AND ")),
        };
        let name = self.table.name;
        let columns = format!("{shown}, \"{sorted}\", \"{tie}\", \"{key}\"");
        let found = format!("FROM {name}{hint}{filter} ORDER BY {order_by} LIMIT {limit}");
        let sql = match self.access {
            // Sort only what the order needs, not whole rows.
            Access::Sorted(_) => {
                format!(
                    "SELECT {columns} FROM {name} WHERE rowid IN (SELECT rowid {found}) ORDER BY {order_by}"
                )
            }
            _ => format!("SELECT {columns} {found}"),
        };
        Ok(Statement { sql, ..statement })
    }

    /// Returns the index with the order of a part, or `None` for the primary key.
    fn order_index(&self, part: Part) -> Option<&'static Index> {
        let sorted = self.sort.column.name;
        if self.sort.is_key || part == Part::WithoutValue {
            return None;
        }
        indexes::of(self.table.name).find(|index| index.columns.first() == Some(&sorted))
    }

    /// Returns a column for a comparison or an order that both engines agree on.
    fn ordered(&self, column: &str, kind: Kind) -> String {
        match (self.engine, kind) {
            (Engine::Postgres, Kind::Text) => format!("\"{column}\" COLLATE pg_catalog.\"C\""),
            _ => format!("\"{column}\""),
        }
    }

    /// Adds a value of a cursor as a parameter.
    fn stored(&self, value: &serde_json::Value, kind: Kind, statement: &mut Statement) -> String {
        let bound = match value {
            serde_json::Value::Number(number) => Bound::Integer(number.as_i64().unwrap_or_default()),
            serde_json::Value::Bool(is) => Bound::Boolean(*is),
            value => Bound::Text(value.as_str().unwrap_or_default().to_owned()),
        };
        let placeholder = statement.bind(bound);
        match (self.engine, kind) {
            (Engine::Postgres, Kind::Uuid) => format!("CAST({placeholder} AS pg_catalog.uuid)"),
            (Engine::Postgres, Kind::Time) => format!("CAST({placeholder} AS pg_catalog.timestamptz)"),
            _ => placeholder,
        }
    }
}

/// Returns the engine of a connection.
pub(super) fn engine(conn: &DbConnection) -> Engine {
    match conn {
        #[cfg(feature = "sqlite")]
        DbConnection::Sqlite(_) => Engine::Sqlite,
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(_) => Engine::Postgres,
    }
}

fn condition(table: &Table, filter: &Filter) -> Result<Condition> {
    let column = table.column(&filter.column)?;
    if !column.filters.contains(&filter.is) {
        let reason = match column.secret {
            true => "cannot be filtered, because it may contain secrets".to_owned(),
            false if column.filters.is_empty() => "cannot be filtered".to_owned(),
            false => {
                let offered: Vec<&str> = column.filters.iter().map(|is| is.as_str()).collect();
                format!(
                    "cannot be filtered by {}; use {}",
                    filter.is.as_str(),
                    crate::types::any_of(&offered)
                )
            }
        };
        return Err(Error::invalid(format!("{}.{}", table.name, column.name), reason));
    }
    if filter.value.len() > LONGEST {
        let reason = format!("is compared with a value of more than {LONGEST} bytes; use a shorter one");
        return Err(Error::invalid(format!("{}.{}", table.name, column.name), reason));
    }
    let bound = match filter.is {
        Is::Null => Bound::Boolean(
            boolean(filter.value.trim())
                .ok_or_else(|| Error::invalid(format!("{}.null", column.name), "must be true or false"))?,
        ),
        Is::Contains | Is::Starts => Bound::Text(filter.value.clone()),
        _ => value(column, &filter.value)?,
    };
    Ok(Condition { column: column.name, kind: column.kind, is: filter.is, bound })
}

impl Condition {
    fn is_not_null(&self) -> bool {
        self.is == Is::Null && self.bound == Bound::Boolean(false)
    }

    /// Returns the condition as SQL. `sign` comes before the column.
    fn sql(&self, engine: Engine, sign: &str, statement: &mut Statement) -> String {
        let column = format!("{sign}\"{}\"", self.column);
        let operator = match self.is {
            Is::Eq => "=",
            Is::Lt => "<",
            Is::Le => "<=",
            Is::Gt => ">",
            Is::Ge => ">=",
            Is::Null if self.is_not_null() => return format!("{column} IS NOT NULL"),
            Is::Null => return format!("{column} IS NULL"),
            Is::Contains | Is::Starts => {
                let Bound::Text(text) = &self.bound else { return "false".to_owned() };
                return matches(engine, &column, text, self.is == Is::Starts, statement);
            }
        };
        match (&self.bound, engine) {
            (Bound::Time(at), Engine::Sqlite) => between(&column, self.is, *at, statement),
            (Bound::Text(_), Engine::Postgres) if self.kind == Kind::Uuid => {
                format!("{column} {operator} CAST({} AS pg_catalog.uuid)", statement.bind(self.bound.clone()))
            }
            _ => format!("{column} {operator} {}", statement.bind(self.bound.clone())),
        }
    }
}

/// Returns the condition that a text contains or starts with another one. Only the letters A to Z match in both cases, because
/// SQLite knows no others.
pub(super) fn matches(
    engine: Engine,
    column: &str,
    text: &str,
    at_start: bool,
    statement: &mut Statement,
) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    if !at_start {
        pattern.push('%');
    }
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c.to_ascii_lowercase());
    }
    pattern.push('%');
    let placeholder = statement.bind(Bound::Text(pattern));
    match engine {
        Engine::Sqlite => format!("{column} LIKE {placeholder} ESCAPE '\\'"),
        Engine::Postgres => {
            format!("pg_catalog.lower({column} COLLATE pg_catalog.\"C\") LIKE {placeholder} ESCAPE '\\'")
        }
    }
}

/// Returns the comparison of a time that SQLite stores as text.
///
/// Other programs write fewer fractional digits, and a shorter text sorts first. All texts of a time are at least its shortest
/// text and less than the shortest text of the next microsecond.
fn between(column: &str, is: Is, at: Timestamp, statement: &mut Statement) -> String {
    let shortest =
        |at: Timestamp| Bound::Text(at.to_sqlite().trim_end_matches('0').trim_end_matches('.').to_owned());
    let next = at + Duration::from_micros(1);
    match is {
        Is::Lt => format!("{column} < {}", statement.bind(shortest(at))),
        Is::Ge => format!("{column} >= {}", statement.bind(shortest(at))),
        Is::Le => format!("{column} < {}", statement.bind(shortest(next))),
        Is::Gt => format!("{column} >= {}", statement.bind(shortest(next))),
        _ => {
            let (from, to) = (statement.bind(shortest(at)), statement.bind(shortest(next)));
            format!("{column} >= {from} AND {column} < {to}")
        }
    }
}
