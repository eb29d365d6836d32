//! Statements that Diesel caches as prepared statements.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::RunQueryDsl;

/// A statement whose text is always the same, so that Diesel may cache it.
///
/// By default Diesel prepares each UPDATE again, and each INSERT with an upsert or a default, because it cannot know how many
/// different texts there are. `Name` is a type that identifies the text, so that Diesel finds the prepared statement without
/// building the SQL. Each statement in the code needs a distinct `Name`.
///
/// An UPDATE must have a RETURNING clause: `load` and `get_result` ask this type whether the statement may be cached, but
/// `execute` asks Diesel's type.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Prepared<Name, Statement>(pub(crate) Name, pub(crate) Statement);

impl<Name: 'static, Statement> QueryId for Prepared<Name, Statement> {
    type QueryId = Prepared<Name, ()>;
    const HAS_STATIC_QUERY_ID: bool = true;
}

impl<Name, Statement: Query> Query for Prepared<Name, Statement> {
    type SqlType = Statement::SqlType;
}

impl<Name, Statement, Conn> RunQueryDsl<Conn> for Prepared<Name, Statement> {}

impl<Name, Statement, DB: Backend> QueryFragment<DB> for Prepared<Name, Statement>
where
    Statement: QueryFragment<DB>,
{
    fn walk_ast<'b>(&'b self, out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        self.1.walk_ast(out)
    }

    fn is_safe_to_cache_prepared(&self, _: &DB) -> QueryResult<bool> {
        Ok(true)
    }
}
