//! Macros that let a program's tables appear in one query with the tables of viraldb.
//!
//! Diesel's macros of the same names also implement traits for wrappers around both tables. Rust allows that only in a
//! crate that defines both tables, so the macros here implement just the part that the program's crate may implement.

/// Allows your table to appear in one query with tables of viraldb: in a join with an explicit `ON`, in a subquery, or in
/// `EXISTS`.
///
/// The first table is yours; the others belong to viraldb. For two tables of your own, use Diesel's macro of the same name.
/// [`joinable!`](crate::joinable) already includes this macro for its pair of tables.
///
/// ```
/// use viraldb::diesel::prelude::*;
/// use viraldb::schema::{channels, videos};
///
/// diesel::table! {
///     use viraldb::types::sql::*;
///
///     bookmarks (id) {
///         id -> Int8,
///         url -> Text,
///     }
/// }
/// viraldb::allow_tables_to_appear_in_same_query!(bookmarks, channels, videos);
///
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// # db.write(|c| Ok(diesel::sql_query("CREATE TABLE bookmarks (id INTEGER PRIMARY KEY, url TEXT NOT NULL)").execute(c)?))?;
/// let downloaded: Vec<String> = db.read(|c| {
///     let of_bookmark = videos::table.filter(videos::source_url.eq(bookmarks::url));
///     Ok(bookmarks::table.filter(diesel::dsl::exists(of_bookmark)).select(bookmarks::url).load(c)?)
/// })?;
/// # assert!(downloaded.is_empty());
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! allow_tables_to_appear_in_same_query {
    ($own:ident, $($($other:ident)::+),+ $(,)?) => {
        $(
            impl $crate::diesel::query_source::TableNotEqual<$own::table> for $($other)::+::table {}
            impl $crate::diesel::query_source::TableNotEqual<$($other)::+::table> for $own::table {}
            $crate::__allow_with_only!($own, $($other)::+);
        )+
    };
}

/// Implements the traits that PostgreSQL's `ONLY` and `TABLESAMPLE` need next to a table of another crate.
#[cfg(feature = "postgres")]
#[doc(hidden)]
#[macro_export]
macro_rules! __allow_with_only {
    ($own:ident, $($other:ident)::+) => {
        impl $crate::diesel::query_source::TableNotEqual<$own::table>
            for $crate::diesel::query_builder::Only<$($other)::+::table>
        {
        }
        impl $crate::diesel::query_source::TableNotEqual<$crate::diesel::query_builder::Only<$($other)::+::table>>
            for $own::table
        {
        }
        impl<M> $crate::diesel::query_source::TableNotEqual<$own::table>
            for $crate::diesel::query_builder::Tablesample<$($other)::+::table, M>
        where
            M: $crate::diesel::internal::table_macro::TablesampleMethod,
        {
        }
        impl<M>
            $crate::diesel::query_source::TableNotEqual<
                $crate::diesel::query_builder::Tablesample<$($other)::+::table, M>,
            > for $own::table
        where
            M: $crate::diesel::internal::table_macro::TablesampleMethod,
        {
        }
    };
}

/// Does nothing: SQLite has neither `ONLY` nor `TABLESAMPLE`.
#[cfg(not(feature = "postgres"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __allow_with_only {
    ($own:ident, $($other:ident)::+) => {};
}

/// Joins your table to a table of viraldb by a foreign key, so that `inner_join` and `left_join` need no `ON`.
///
/// Combines `diesel::joinable!` and [`allow_tables_to_appear_in_same_query!`]. If two columns of your table refer to the
/// same table, use `allow_tables_to_appear_in_same_query!` instead and write `.on(…)`.
///
/// ```
/// use viraldb::diesel::prelude::*;
/// use viraldb::schema::channels;
///
/// diesel::table! {
///     use viraldb::types::sql::*;
///
///     notes (id) {
///         id -> Int8,
///         channel_id -> Uuid,
///         body -> Text,
///     }
/// }
/// viraldb::joinable!(notes -> channels (channel_id));
///
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// # db.write(|c| Ok(diesel::sql_query("CREATE TABLE notes (id INTEGER PRIMARY KEY, channel_id TEXT NOT NULL, body TEXT NOT NULL)").execute(c)?))?;
/// let notes: Vec<(String, String)> =
///     db.read(|c| Ok(notes::table.inner_join(channels::table).select((channels::name, notes::body)).load(c)?))?;
/// # assert!(notes.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// [`allow_tables_to_appear_in_same_query!`]: crate::allow_tables_to_appear_in_same_query
#[macro_export]
macro_rules! joinable {
    ($own:ident -> $($other:ident)::+ ($key:ident)) => {
        $crate::diesel::joinable!($own -> $($other)::+ ($key));
        $crate::allow_tables_to_appear_in_same_query!($own, $($other)::+);
    };
}
