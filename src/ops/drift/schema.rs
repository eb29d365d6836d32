//! A database schema in a form common to both engines, and the comparison of two schemas.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::{Difference, Object};
use crate::ops::Severity;
use crate::quote::one_line;

/// Tables and their columns, constraints, indexes and triggers, with functions and views.
#[derive(Debug, Default)]
pub(super) struct Schema {
    /// The columns of each table.
    pub(super) tables: BTreeMap<String, BTreeMap<String, Column>>,
    /// Keys, constraints, indexes and triggers by table, kind and name. Functions and views have an empty table name.
    pub(super) parts: BTreeMap<(String, Object, String), Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) kind: String,
    pub(super) nullable: bool,
    /// The default, normalized for comparison.
    pub(super) default: Option<String>,
    /// How the database generates the value: an expression or an identity.
    pub(super) generated: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Part {
    /// The definition, normalized for comparison.
    pub(super) words: String,
    /// The definition, for display.
    pub(super) shown: String,
    /// The column that the part belongs to, if it is exactly one.
    pub(super) column: Option<String>,
    /// The statement that creates the part again, if that is safe without asking.
    pub(super) made: Option<String>,
}

/// A column, as a query returns it.
#[derive(QueryableByName)]
pub(super) struct ColumnRow {
    #[diesel(sql_type = Text)]
    pub(super) table: String,
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    #[diesel(sql_type = Text)]
    pub(super) kind: String,
    #[diesel(sql_type = Text)]
    pub(super) nullable: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) default: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) generated: Option<String>,
}

/// A part, as a query returns it.
#[derive(QueryableByName)]
pub(super) struct PartRow {
    #[diesel(sql_type = Text)]
    pub(super) table: String,
    #[diesel(sql_type = Text)]
    pub(super) object: String,
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    #[diesel(sql_type = Text)]
    pub(super) says: String,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) column: Option<String>,
}

impl Schema {
    /// Adds the rows of a query.
    pub(super) fn add(&mut self, rows: Vec<PartRow>) {
        for row in rows {
            if let Some(object) = Object::named(&row.object) {
                let part = Part {
                    words: row.says.clone(),
                    shown: one_line(&row.says),
                    column: row.column,
                    made: None,
                };
                self.parts.insert((row.table, object, row.name), part);
            }
        }
    }
}

/// Returns every difference of `live` from `ours`, limited to our tables.
pub(super) fn compare(ours: &Schema, live: &Schema) -> Vec<Difference> {
    let mut found = Vec::new();
    for (table, columns) in &ours.tables {
        match live.tables.get(table) {
            Some(there) => compare_columns(table, columns, there, &mut found),
            None => found.push(Difference::new(
                table,
                Object::Table,
                table,
                Severity::Error,
                format!("table {table} is missing"),
            )),
        }
    }
    for ((table, object, name), part) in &ours.parts {
        if !table.is_empty() && !live.tables.contains_key(table) {
            continue;
        }
        let key = (table.clone(), *object, name.clone());
        match live.parts.get(&key) {
            None => {
                let what = match object {
                    Object::Strict => format!("table {table} is not STRICT"),
                    _ if table.is_empty() => format!("{object} {name} is missing"),
                    _ => format!("{object} {name} is missing on {table}"),
                };
                let missing = Difference::new(table, *object, name, Severity::Error, what);
                found.push(Difference { made: part.made.clone(), ..missing });
            }
            Some(there) if there.words != part.words => {
                let what = changed(table, *object, name, part, there);
                found.push(Difference::new(table, *object, name, Severity::Error, what));
            }
            Some(_) => {}
        }
    }
    for ((table, object, name), part) in &live.parts {
        let is_ours = ours.parts.contains_key(&(table.clone(), *object, name.clone()));
        if is_ours || !ours.tables.contains_key(table) {
            continue;
        }
        // An index that is not unique rejects no rows, so it cannot break anything.
        let severity = match object {
            Object::Strict => continue,
            Object::Index if !part.words.starts_with("unique ") => Severity::Info,
            _ => Severity::Warning,
        };
        let what = format!("{object} {name} on {table} is not part of viraldb's schema");
        found.push(Difference::new(table, *object, name, severity, what));
    }
    found.sort_by(|a, b| (b.severity, &a.table).cmp(&(a.severity, &b.table)));
    found
}

fn compare_columns(
    table: &str,
    ours: &BTreeMap<String, Column>,
    live: &BTreeMap<String, Column>,
    found: &mut Vec<Difference>,
) {
    let mut add = |name: &str, severity, what: String| {
        found.push(Difference::new(table, Object::Column, name, severity, what));
    };
    for (name, column) in ours {
        let Some(there) = live.get(name) else {
            add(name, Severity::Error, format!("column {table}.{name} is missing"));
            continue;
        };
        let begin = format!("column {table}.{name}");
        if there.kind != column.kind {
            add(name, Severity::Error, format!("{begin} has type {}, expected {}", there.kind, column.kind));
        }
        match (column.nullable, there.nullable) {
            (true, false) => {
                add(name, Severity::Error, format!("{begin} is NOT NULL but should be nullable"))
            }
            (false, true) => {
                add(name, Severity::Error, format!("{begin} is nullable but should be NOT NULL"))
            }
            _ => {}
        }
        if there.default != column.default {
            let what = match (&there.default, &column.default) {
                (Some(is), Some(ours)) => format!("{begin} has the default {is}, expected {ours}"),
                (Some(is), None) => format!("{begin} has the default {is} but should have no default"),
                (None, Some(ours)) => format!("{begin} has no default, expected {ours}"),
                (None, None) => continue,
            };
            add(name, Severity::Error, what);
        }
        if there.generated != column.generated {
            let what = match (&there.generated, &column.generated) {
                (Some(is), Some(ours)) => format!("{begin} is generated as {is}, expected {ours}"),
                (Some(is), None) => format!("{begin} is generated as {is} but should not be generated"),
                (None, Some(ours)) => format!("{begin} is not generated but should be generated as {ours}"),
                (None, None) => continue,
            };
            add(name, Severity::Error, what);
        }
    }
    for (name, column) in live.iter().filter(|(name, _)| !ours.contains_key(*name)) {
        let is_needed = !column.nullable && column.default.is_none() && column.generated.is_none();
        if is_needed {
            let what = format!(
                "column {table}.{name} is not part of viraldb's schema and has no default, so inserts by viraldb fail"
            );
            add(name, Severity::Error, what);
        } else {
            add(name, Severity::Warning, format!("column {table}.{name} is not part of viraldb's schema"));
        }
    }
}

/// Describes a part that exists but differs from ours.
fn changed(table: &str, object: Object, name: &str, ours: &Part, live: &Part) -> String {
    match object {
        Object::Check => {
            let at = match &ours.column {
                Some(column) => format!("the check on {table}.{column}"),
                None => format!("the check {name} on {table}"),
            };
            match (words(&ours.shown), words(&live.shown)) {
                (Some(ours), Some(live)) if ours != live => {
                    let more: Vec<&str> = live.difference(&ours).copied().collect();
                    let less: Vec<&str> = ours.difference(&live).copied().collect();
                    let mut parts = Vec::new();
                    if !more.is_empty() {
                        parts.push(format!("added {}", more.join(", ")));
                    }
                    if !less.is_empty() {
                        parts.push(format!("missing {}", less.join(", ")));
                    }
                    format!("{at} allows different values: {}", parts.join("; "))
                }
                _ => format!("{at} is {}, expected {}", live.shown, ours.shown),
            }
        }
        Object::Trigger | Object::Function | Object::View if table.is_empty() => {
            format!("{object} {name} differs from the one in viraldb's migrations")
        }
        Object::Trigger => format!("trigger {name} on {table} differs from the one in viraldb's migrations"),
        _ => format!("{object} {name} on {table} is {}, expected {}", live.shown, ours.shown),
    }
}

/// Returns the values that a check lists, if it lists any.
fn words(check: &str) -> Option<BTreeSet<&str>> {
    let list = match (check.split_once("ARRAY["), check.split_once(" IN (")) {
        (Some((_, list)), _) => list.split(']').next()?,
        (_, Some((_, list))) => list.split(')').next()?,
        _ => return None,
    };
    Some(list.split(',').map(|word| word.trim().trim_end_matches("::text").trim_matches('\'')).collect())
}
