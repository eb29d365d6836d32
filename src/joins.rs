//! Tables of a program's own in one query with ours.
//!
//! Diesel's macros of the same names implement traits for wrappers of both tables, which Rust allows only in the crate
//! that has both tables. These implement what one of the two crates may.

/// Allows a table of your own in one query with tables of viraldb: in a join with an explicit `ON`, in a subquery, in
/// `EXISTS`.
///
/// The first table is yours, those after it are viraldb's. For two tables of your own use Diesel's macro of the same name.
/// With [`joinable!`](crate::joinable) the pair is allowed already.
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

/// What PostgreSQL's `ONLY` and `TABLESAMPLE` need beside a table of another crate.
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

/// SQLite has neither.
#[cfg(not(feature = "postgres"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __allow_with_only {
    ($own:ident, $($other:ident)::+) => {};
}

/// Joins a table of your own to a table of viraldb by a foreign key, so that `inner_join` and `left_join` need no `ON`.
///
/// Says what `diesel::joinable!` and [`allow_tables_to_appear_in_same_query!`] say together. Where two columns refer to
/// the same table, use the latter and write `.on(…)`.
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
