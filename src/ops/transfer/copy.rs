//! Copies rows into a PostgreSQL table with COPY in the binary format.

use diesel::pg::{CopyFormat, CopyTarget, Pg, PgQueryBuilder};
use diesel::query_builder::{AsQuery, AstPass, QueryBuilder, QueryFragment};
use diesel::result::Error as Diesel;
use diesel::sql_types::SqlType;

use super::value::COMPUTED;

/// A function that copies rows in COPY's binary format into a PostgreSQL table.
pub(super) type Copy = fn(&mut diesel::PgConnection, &[u8]) -> diesel::QueryResult<usize>;

/// A table of `schema.rs` with the Diesel traits that COPY needs.
pub(super) trait Schema:
    diesel::Table<AllColumns: QueryFragment<Pg>> + AsQuery<SqlType: SqlType> + Default + 'static
{
}

impl<T> Schema for T where
    T: diesel::Table<AllColumns: QueryFragment<Pg>> + AsQuery<SqlType: SqlType> + Default + 'static
{
}

/// The header of COPY's binary format: its signature, no flags and an empty header extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// The end of COPY's binary format.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Bytes that are passed to libpq in one call. libpq keeps them in memory until the server has received them.
const PART: usize = 64 * 1024;

/// Copies rows in COPY's binary format into a PostgreSQL table.
pub(super) fn copy<T: Schema + 'static>(
    conn: &mut diesel::PgConnection,
    rows: &[u8],
) -> diesel::QueryResult<usize> {
    use diesel::ExecuteCopyFromDsl;

    let send = |out: &mut dyn std::io::Write| -> Result<(), CopyError> {
        out.write_all(HEADER)?;
        rows.chunks(PART).try_for_each(|part| out.write_all(part))?;
        Ok(out.write_all(&TRAILER)?)
    };
    diesel::copy_from(T::default())
        .from_raw_data(Columns::<T>(std::marker::PhantomData), send)
        .with_format(CopyFormat::Binary)
        .execute(conn)
        .map_err(|error| match error {
            CopyError::Io(error) => Diesel::SerializationError(Box::new(error)),
            CopyError::Diesel(error) => error,
        })
}

/// The columns of a table that are copied. Diesel's own COPY targets are all columns of a table or a tuple of columns.
struct Columns<T>(std::marker::PhantomData<T>);

impl<T: Schema> CopyTarget for Columns<T> {
    type Table = T;
    type SqlType = T::SqlType;

    fn walk_target(mut out: AstPass<'_, '_, diesel::pg::Pg>) -> diesel::QueryResult<()> {
        out.push_sql(&copy_target::<T>()?);
        Ok(())
    }
}

/// An error of Diesel or of writing. Diesel requires one error type for both.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Diesel(#[from] Diesel),
}

/// Returns the name of a table and its copied columns, in the syntax of COPY.
pub(super) fn copy_target<T: Schema>() -> diesel::QueryResult<String> {
    let mut sql = PgQueryBuilder::default();
    T::all_columns().to_sql(&mut sql, &Pg)?;
    let printed = sql.finish();
    let mut table = "";
    let columns: Vec<&str> = printed
        .split(", ")
        .filter_map(|column| column.split_once('.'))
        .inspect(|(of, _)| table = of)
        .filter(|(of, column)| !COMPUTED.contains(&(of.trim_matches('"'), column.trim_matches('"'))))
        .map(|(_, column)| column)
        .collect();
    let columns = columns.join(", ");
    Ok(format!("{table} ({columns})"))
}
