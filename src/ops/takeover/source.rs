//! Opens the database of another application without changing it, and reads it row by row.

use std::collections::BTreeMap;
use std::path::Path;
#[cfg(feature = "sqlite")]
use std::path::PathBuf;

#[cfg(feature = "sqlite")]
use diesel::connection::DefaultLoadingMode;
#[cfg(feature = "postgres")]
use diesel::connection::SimpleConnection;
use diesel::deserialize::{self, FromSqlRow};
#[cfg(feature = "postgres")]
use diesel::pg::{Pg, PgRowByRowLoadingMode};
use diesel::prelude::*;
use diesel::row::{Field, Row};
use diesel::sql_types::{BigInt, Text, Untyped};
#[cfg(feature = "sqlite")]
use diesel::sqlite::{Sqlite, SqliteType};

use super::value::Value;
use crate::db::on_backend;
use crate::db::opener::Opener;
#[cfg(feature = "sqlite")]
use crate::db::sqlite;
#[cfg(feature = "sqlite")]
use crate::db::untouched::{self, Untouched};
use crate::error::ResultExt;
use crate::{DatabaseUrl, DbConnection, Error, Result};

/// The name of the source in error messages.
const SOURCE: &str = "the source";

/// A database that is opened read-only.
pub(super) struct Source {
    pub(super) url: DatabaseUrl,
    conn: DbConnection,
    #[cfg(feature = "sqlite")]
    file: Option<Untouched>,
}

/// The tables of a database and their columns.
pub(super) type Tables = BTreeMap<String, Vec<Column>>;

/// A column and the engine's name of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    of_type: String,
}

impl Source {
    /// Parses the name of a source: a URL, a URL of SQLAlchemy, or the path of a SQLite file with any name.
    pub(super) fn url(name: &str) -> Result<DatabaseUrl> {
        match plain(name).parse::<DatabaseUrl>() {
            Ok(DatabaseUrl::Memory) => {
                let reason = "is in memory and always empty; specify a file or a server".to_owned();
                Err(Error::Unusable { database: name.to_owned(), reason })
            }
            Err(_) if !name.contains("://") && Path::new(name).exists() => Ok(DatabaseUrl::File(name.into())),
            url => url,
        }
    }

    pub(super) fn open(url: DatabaseUrl) -> Result<Self> {
        #[cfg(feature = "sqlite")]
        if let DatabaseUrl::File(path) = &url {
            return Self::open_file(path.clone());
        }
        let conn = Opener::new(url.clone(), &crate::Options::default())?.reader()?;
        Ok(Self {
            url,
            conn,
            #[cfg(feature = "sqlite")]
            file: None,
        })
    }

    #[cfg(feature = "sqlite")]
    fn open_file(path: PathBuf) -> Result<Self> {
        let url = DatabaseUrl::File(path.clone());
        match sqlite::look_at(&path) {
            Err(Error::NotInitialised(database)) => {
                let reason = "does not exist; specify the database file of the application".to_owned();
                return Err(Error::Unusable { database, reason });
            }
            other => other?,
        }
        let (conn, file) = untouched::establish(&path).map_err(|error| error.in_database(&url))?;
        Ok(Self { url, conn: DbConnection::Sqlite(conn), file: Some(file) })
    }

    /// Returns a function that checks that no program has changed a file that is read without SQLite's locks.
    ///
    /// # Errors
    /// The function returns [`Error::Busy`] if the file has changed: the rows may be a mixture of two states.
    pub(super) fn watch(&self) -> impl Fn() -> Result<()> + use<> {
        #[cfg(feature = "sqlite")]
        let file = self.file.as_ref().and_then(Untouched::look);
        move || {
            #[cfg(feature = "sqlite")]
            if let Some(file) = &file {
                file.check()?;
            }
            Ok(())
        }
    }

    /// Runs `work` on a snapshot of the database.
    pub(super) fn read<T>(&mut self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let url = self.url.clone();
        self.conn
            .snapshot(|conn| {
                on_backend!(
                    &mut *conn,
                    sqlite => |_c| Ok(()),
                    // These settings determine how values are cast to text.
                    postgres => |c| c.batch_execute("SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; \
                                                     SET LOCAL extra_float_digits = 1")
                )
                .of(SOURCE, "")?;
                conn.refuse_hidden_rows()?;
                work(conn)
            })
            .map_err(|error| error.in_database(&url))
    }
}

/// Removes from a URL what only SQLAlchemy uses: the driver, and the third slash before a relative path.
fn plain(name: &str) -> String {
    let Some((scheme, rest)) = name.split_once("://") else { return name.to_owned() };
    let (engine, driver) =
        scheme.split_once('+').map_or((scheme, None), |(engine, driver)| (engine, Some(driver)));
    match (engine, rest.strip_prefix('/')) {
        ("sqlite", Some(path))
            if driver.is_some() || (!Path::new(rest).exists() && Path::new(path).exists()) =>
        {
            format!("sqlite://{path}")
        }
        _ => format!("{engine}://{rest}"),
    }
}

/// Returns the tables that are visible without a schema name, and their columns.
pub(super) fn tables(conn: &mut DbConnection) -> Result<Tables> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        relation: String,
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = Text)]
        of_type: String,
    }
    let found: Vec<Found> = on_backend!(
        conn,
        sqlite => |c| diesel::sql_query(
            "SELECT t.name AS relation, c.name AS name, c.type AS of_type \
             FROM sqlite_schema AS t, pragma_table_info(t.name) AS c \
             WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite#_%' ESCAPE '#' \
             AND t.sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY t.name, c.cid"
        )
        .load(c),
        postgres => |c| diesel::sql_query(
            "SELECT t.relname::text AS relation, c.attname::text AS name, \
             CASE WHEN y.typcategory = 'A' THEN 'array' ELSE y.typname::text END AS of_type \
             FROM pg_class AS t JOIN pg_attribute AS c ON c.attrelid = t.oid AND c.attnum > 0 AND NOT c.attisdropped \
             JOIN pg_type AS y ON y.oid = c.atttypid \
             WHERE t.relkind IN ('r', 'p') AND NOT t.relispartition AND pg_catalog.pg_table_is_visible(t.oid) \
             AND t.relnamespace NOT IN ('pg_catalog'::regnamespace::oid, 'information_schema'::regnamespace::oid) \
             ORDER BY t.relname, c.attnum"
        )
        .load(c),
    )
    .of(SOURCE, "")?;
    let mut tables = Tables::new();
    for Found { relation, name, of_type } in found {
        tables.entry(relation).or_default().push(Column { name, of_type });
    }
    Ok(tables)
}

/// Counts the rows of a table.
pub(super) fn count(conn: &mut DbConnection, table: &str) -> Result<u64> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let sql = format!("SELECT count(*) AS rows FROM {}", quoted(table));
    let count: Count = on_backend!(conn, |c| diesel::sql_query(sql).get_result(c)).of(SOURCE, table)?;
    Ok(u64::try_from(count.rows).unwrap_or_default())
}

/// The values of a row, in the order of the columns.
struct Values(Vec<Value>);

#[cfg(feature = "sqlite")]
impl FromSqlRow<Untyped, Sqlite> for Values {
    fn build_from_row<'a>(fields: &impl Row<'a, Sqlite>) -> deserialize::Result<Self> {
        let fields = (0..fields.field_count()).filter_map(|index| fields.get(index));
        let values = fields.map(|field| {
            let Some(mut value) = field.value() else { return Value::Null };
            match value.value_type() {
                Some(SqliteType::Float | SqliteType::Double) => Value::Real(value.read_double()),
                Some(SqliteType::Text) => {
                    let text = value.read_text().to_owned();
                    // The replacement character may be in the text or may replace bytes that are not UTF-8. Read the bytes
                    // themselves, so that invalid text is found.
                    match field.value().filter(|_| text.contains(char::REPLACEMENT_CHARACTER)) {
                        Some(mut value) => Value::of_text(value.read_blob().to_owned()),
                        None => Value::Text(text),
                    }
                }
                Some(SqliteType::Binary) => Value::Bytes(value.read_blob().to_owned()),
                _ => Value::Integer(value.read_long()),
            }
        });
        Ok(Self(values.collect()))
    }
}

#[cfg(feature = "postgres")]
impl FromSqlRow<Untyped, Pg> for Values {
    fn build_from_row<'a>(fields: &impl Row<'a, Pg>) -> deserialize::Result<Self> {
        let fields = (0..fields.field_count()).filter_map(|index| fields.get(index));
        let values = fields.map(|field| {
            field.value().map_or(Value::Null, |value| Value::of_text(value.as_bytes().to_owned()))
        });
        Ok(Self(values.collect()))
    }
}

/// Reads a table row by row in the order in which the rows were created, as far as that is known. The order matters because
/// only the first of two rows with the same key is taken.
pub(super) fn rows(
    conn: &mut DbConnection,
    table: &str,
    columns: &[Column],
    #[cfg_attr(not(feature = "postgres"), allow(unused_variables))] key: &str,
    mut each: impl FnMut(Vec<Value>) -> Result<()>,
) -> Result<()> {
    let list = |form: &dyn Fn(&Column) -> String| columns.iter().map(form).collect::<Vec<_>>().join(", ");
    let (list, order) = on_backend!(
        &mut *conn,
        // SQLite reads a table in the order of its rowid.
        sqlite => |_c| (list(&|column| quoted(&column.name)), String::new()),
        postgres => |_c| (list(&|column| as_text(column)), order(columns, key)),
    );
    let query = diesel::sql_query(format!("SELECT {list} FROM {}{order}", quoted(table)));
    on_backend!(
        conn,
        sqlite => |c| {
            let rows = query.load_iter::<Values, DefaultLoadingMode>(c).of(SOURCE, table)?;
            rows.into_iter().try_for_each(|row| each(row.of(SOURCE, table)?.0))
        },
        postgres => |c| {
            let rows = query.load_iter::<Values, PgRowByRowLoadingMode>(c).of(SOURCE, table)?;
            rows.into_iter().try_for_each(|row| {
                let mut values = row.of(SOURCE, table)?.0;
                for (_, value) in columns.iter().zip(&mut values).filter(|(column, _)| column.of_type == BYTES) {
                    *value = value.unhexed();
                }
                each(values)
            })
        },
    )
}

/// Returns an ORDER BY clause for the key. If the key is not numeric, the creation time comes first.
#[cfg(feature = "postgres")]
fn order(columns: &[Column], key: &str) -> String {
    let has = |name: &str| columns.iter().any(|column| column.name == name);
    let counts = columns.iter().any(|column| column.name == key && column.of_type.starts_with("int"));
    let by: Vec<String> = [(!counts).then_some("created_at"), Some(key)]
        .into_iter()
        .flatten()
        .filter(|name| has(name))
        .map(quoted)
        .collect();
    if by.is_empty() { String::new() } else { format!(" ORDER BY {}", by.join(", ")) }
}

/// PostgreSQL's name for the type of bytes.
#[cfg(feature = "postgres")]
const BYTES: &str = "bytea";

/// Returns the SQL that reads a column as text: arrays as JSON, bytes as hexadecimal digits.
#[cfg(feature = "postgres")]
fn as_text(column: &Column) -> String {
    let name = quoted(&column.name);
    match &*column.of_type {
        "array" => format!("to_jsonb({name})::text"),
        BYTES => format!("encode({name}, 'hex')"),
        _ => format!("{name}::text"),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
