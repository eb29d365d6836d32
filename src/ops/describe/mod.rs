//! What the tables of a database look like: columns, keys, indexes and comments, as the live database has them.

mod comments;
#[cfg(feature = "postgres")]
mod postgres;
mod render;
#[cfg(feature = "sqlite")]
mod sqlite;

use diesel::prelude::*;
use diesel::sql_types::{Bool, Nullable, Text};
use serde::{Deserialize, Serialize};

use super::sizes::OWN;
use crate::db::on_backend;
use crate::quote::quoted;
use crate::tables::tables;
use crate::types::portable;
use crate::{Database, Error, Result};
pub(crate) use comments::{of_column as column_comment, of_table as table_comment};
pub use render::{dot, markdown, mermaid};

portable! {
    /// A group of tables.
    pub enum Domain {
        Compilation = "compilation",
        Republishing = "republishing",
        Generation = "generation",
        Internal = "internal",
        Other = "other",
    }
}

impl Domain {
    /// Returns the domain of a table: one of the three domains of the 22 tables, `internal` for the tables that viraldb and
    /// Diesel keep for themselves, or `other` for tables of another program.
    pub fn of(table: &str) -> Self {
        match tables().position(|name| name == table) {
            Some(0..10) => Self::Compilation,
            Some(10..18) => Self::Republishing,
            Some(_) => Self::Generation,
            None if OWN.contains(&table) || table == "__diesel_schema_migrations" => Self::Internal,
            None => Self::Other,
        }
    }
}

/// A table of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableDescription {
    /// Name of the table.
    pub name: String,
    /// Group that the table belongs to.
    pub domain: Domain,
    /// What a row is.
    pub comment: Option<String>,
    /// The columns, in the order of the table.
    pub columns: Vec<ColumnDescription>,
    /// The foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// The indexes, including those of unique constraints but not the primary key's.
    pub indexes: Vec<IndexDescription>,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ColumnDescription {
    /// Name of the column.
    pub name: String,
    /// The type, as the database names it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Whether the column may be NULL.
    pub nullable: bool,
    /// The SQL of the default, or of the expression that computes the column.
    pub default: Option<String>,
    /// Whether the database computes the value, so that it cannot be written.
    pub generated: bool,
    /// Whether the column is part of the primary key.
    pub primary_key: bool,
    /// What the column holds.
    pub comment: Option<String>,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ForeignKey {
    /// Columns of this table.
    pub columns: Vec<String>,
    /// Table that they refer to.
    pub references: String,
    /// Columns of that table; empty for its primary key.
    pub referenced_columns: Vec<String>,
    /// What happens to this row when the other one is deleted.
    pub on_delete: OnDelete,
}

portable! {
    /// What happens to a row when the row that it refers to is deleted.
    pub enum OnDelete {
        NoAction = "NO ACTION",
        Restrict = "RESTRICT",
        Cascade = "CASCADE",
        SetNull = "SET NULL",
        SetDefault = "SET DEFAULT",
    }
}

/// An index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct IndexDescription {
    /// Name of the index.
    pub name: String,
    /// The indexed columns or expressions, such as `created_at DESC`.
    pub columns: Vec<String>,
    /// Whether no two rows can have the same values.
    pub unique: bool,
    /// Whether the index holds only some rows.
    pub partial: bool,
}

/// A column as a query returns it.
#[derive(QueryableByName)]
struct ColumnRow {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Bool)]
    nullable: bool,
    #[diesel(sql_type = Nullable<Text>)]
    default: Option<String>,
    #[diesel(sql_type = Bool)]
    generated: bool,
    #[diesel(sql_type = Bool)]
    primary_key: bool,
    #[diesel(sql_type = Nullable<Text>)]
    comment: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    table_comment: Option<String>,
}

/// A column of a foreign key as a query returns it; `key` tells the foreign keys of a table apart.
#[derive(QueryableByName)]
struct KeyRow {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    key: String,
    #[diesel(sql_type = Text)]
    column: String,
    #[diesel(sql_type = Text)]
    references: String,
    #[diesel(sql_type = Nullable<Text>)]
    referenced_column: Option<String>,
    #[diesel(sql_type = Text)]
    on_delete: OnDelete,
}

/// A column of an index as a query returns it.
#[derive(QueryableByName)]
struct IndexRow {
    #[diesel(sql_type = Text)]
    table: String,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    column: String,
    #[diesel(sql_type = Bool)]
    unique: bool,
    #[diesel(sql_type = Bool)]
    partial: bool,
}

/// What the queries of an engine return, each in the order of tables and columns.
type Rows = (Vec<ColumnRow>, Vec<KeyRow>, Vec<IndexRow>);

/// Describes the tables of a database in three statements, ordered by domain and name. On PostgreSQL these are the tables of
/// the schema that viraldb uses. Without names, all tables are described.
///
/// Comments come from the database. SQLite has no comments, so viraldb supplies its own for the 22 tables.
///
/// # Errors
/// [`Invalid`](crate::Error::Invalid) if the database does not have one of the named tables.
///
/// ```
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let tables = viraldb::ops::describe(&db, &["clips".to_owned()])?;
/// assert_eq!(tables[0].columns[0].name, "id");
/// println!("{}", viraldb::ops::mermaid(&tables));
/// # Ok(())
/// # }
/// ```
pub fn describe(db: &Database, names: &[String]) -> Result<Vec<TableDescription>> {
    let (columns, keys, indexes): Rows = db.read(|conn| {
        on_backend!(
            conn,
            sqlite => |c| sqlite::read(c),
            postgres => |c| postgres::read(c)
        )
    })?;
    let mut described = Vec::new();
    for row in columns {
        let table = table_of(&mut described, row.table);
        let comment = row.comment.or_else(|| comments::of_column(&table.name, &row.name).map(str::to_owned));
        if table.comment.is_none() {
            table.comment = row.table_comment.or_else(|| comments::of_table(&table.name).map(str::to_owned));
        }
        table.columns.push(ColumnDescription {
            name: row.name,
            kind: row.kind,
            nullable: row.nullable,
            default: row.default,
            generated: row.generated,
            primary_key: row.primary_key,
            comment,
        });
    }
    let mut last = None;
    for row in keys {
        let key = (row.table.clone(), row.key);
        let table = table_of(&mut described, row.table);
        if last.as_ref() != Some(&key) {
            let (references, on_delete) = (row.references, row.on_delete);
            table.foreign_keys.push(ForeignKey {
                columns: Vec::new(),
                references,
                referenced_columns: Vec::new(),
                on_delete,
            });
            last = Some(key);
        }
        if let Some(key) = table.foreign_keys.last_mut() {
            key.columns.push(row.column);
            key.referenced_columns.extend(row.referenced_column);
        }
    }
    for row in indexes {
        let table = table_of(&mut described, row.table);
        match table.indexes.last_mut().filter(|index| index.name == row.name) {
            Some(index) => index.columns.push(row.column),
            None => {
                let IndexRow { name, column, unique, partial, .. } = row;
                table.indexes.push(IndexDescription { name, columns: vec![column], unique, partial });
            }
        }
    }
    if let Some(name) = names.iter().find(|name| described.iter().all(|table| table.name != **name)) {
        let known: Vec<&str> = described.iter().map(|table| table.name.as_str()).collect();
        return Err(Error::invalid(
            format!("unknown table {};", quoted(name)),
            format!("the database has {}", known.join(", ")),
        ));
    }
    if !names.is_empty() {
        described.retain(|table| names.contains(&table.name));
    }
    let place = |table: &TableDescription| {
        let number = tables().position(|name| name == table.name);
        (Domain::ALL.iter().position(|domain| *domain == table.domain), number.unwrap_or(usize::MAX))
    };
    described.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| a.name.cmp(&b.name)));
    Ok(described)
}

/// Returns the table of this name, which is added if it is new.
fn table_of(described: &mut Vec<TableDescription>, name: String) -> &mut TableDescription {
    let at = described.iter().position(|table| table.name == name).unwrap_or_else(|| {
        described.push(TableDescription {
            domain: Domain::of(&name),
            name,
            comment: None,
            columns: Vec::new(),
            foreign_keys: Vec::new(),
            indexes: Vec::new(),
        });
        described.len() - 1
    });
    &mut described[at]
}
