//! A schema as both engines tell it, and how two differ.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};

use super::{Difference, Object};
use crate::ops::Severity;
use crate::quote::one_line;

/// Tables and what belongs to them.
#[derive(Debug, Default)]
pub(super) struct Schema {
    /// The columns of each table.
    pub(super) tables: BTreeMap<String, BTreeMap<String, Column>>,
    /// Keys, constraints, indexes and triggers by their table and name; functions and views by no table.
    pub(super) parts: BTreeMap<(String, Object, String), Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) kind: String,
    pub(super) nullable: bool,
    /// The default, as it compares.
    pub(super) default: Option<String>,
    /// How the database makes its value: an expression, or an identity.
    pub(super) generated: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Part {
    /// As it compares.
    pub(super) words: String,
    /// As people read it.
    pub(super) shown: String,
    /// The column it is about, if it is one.
    pub(super) column: Option<String>,
    /// The statement that makes it again, if that needs nobody's decision.
    pub(super) made: Option<String>,
}

/// A column as a query tells it.
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

/// A part as a query tells it.
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
    /// Takes in what a query has told.
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

/// Everything in which `live` is not `ours`, of our tables.
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
        // An index that refuses no row is nobody's trouble.
        let severity = match object {
            Object::Strict => continue,
            Object::Index if !part.words.starts_with("unique ") => Severity::Info,
            _ => Severity::Warning,
        };
        let what = format!("{object} {name} on {table} is not ours");
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
            add(name, Severity::Error, format!("{begin} is {}, and should be {}", there.kind, column.kind));
        }
        match (column.nullable, there.nullable) {
            (true, false) => add(name, Severity::Error, format!("{begin} is NOT NULL, and should not be")),
            (false, true) => add(name, Severity::Error, format!("{begin} may be NULL, and should not")),
            _ => {}
        }
        if there.default != column.default {
            let what = match (&there.default, &column.default) {
                (Some(is), Some(ours)) => format!("{begin} has the default {is}, and should have {ours}"),
                (Some(is), None) => format!("{begin} has the default {is}, and should have none"),
                (None, Some(ours)) => format!("{begin} has no default, and should have {ours}"),
                (None, None) => continue,
            };
            add(name, Severity::Error, what);
        }
        if there.generated != column.generated {
            let what = match (&there.generated, &column.generated) {
                (Some(is), Some(ours)) => format!("{begin} is generated as {is}, and should be as {ours}"),
                (Some(is), None) => format!("{begin} is generated as {is}, and should not be"),
                (None, Some(ours)) => format!("{begin} is not generated, and should be as {ours}"),
                (None, None) => continue,
            };
            add(name, Severity::Error, what);
        }
    }
    for (name, column) in live.iter().filter(|(name, _)| !ours.contains_key(*name)) {
        let is_needed = !column.nullable && column.default.is_none() && column.generated.is_none();
        if is_needed {
            let what = format!("column {table}.{name} is not ours, and our rows have no value for it");
            add(name, Severity::Error, what);
        } else {
            add(name, Severity::Warning, format!("column {table}.{name} is not ours"));
        }
    }
}

/// What is told of a part that is there, but not as ours.
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
                        parts.push(format!("{} besides", more.join(", ")));
                    }
                    if !less.is_empty() {
                        parts.push(format!("not {}", less.join(", ")));
                    }
                    format!("{at} allows other words: {}", parts.join("; "))
                }
                _ => format!("{at} says {}, and should say {}", live.shown, ours.shown),
            }
        }
        Object::Trigger | Object::Function | Object::View if table.is_empty() => {
            format!("{object} {name} is not as ours")
        }
        Object::Trigger => format!("trigger {name} on {table} is not as ours"),
        _ => format!("{object} {name} on {table} is {}, and should be {}", live.shown, ours.shown),
    }
}

/// The words that a check lists.
fn words(check: &str) -> Option<BTreeSet<&str>> {
    let list = match (check.split_once("ARRAY["), check.split_once(" IN (")) {
        (Some((_, list)), _) => list.split(']').next()?,
        (_, Some((_, list))) => list.split(')').next()?,
        _ => return None,
    };
    Some(list.split(',').map(|word| word.trim().trim_end_matches("::text").trim_matches('\'')).collect())
}
