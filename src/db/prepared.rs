//! Statements that are kept prepared.

use diesel::QueryResult;
use diesel::backend::Backend;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::query_dsl::RunQueryDsl;

/// A statement whose text is always the same, and which is therefore kept prepared.
///
/// Diesel prepares each UPDATE and each INSERT with an upsert or a default anew, because it cannot know how many
/// texts there will be. `Name` is a type that stands for one text, so that Diesel need not build it to find the
/// prepared statement; each place that makes such a statement needs a name of its own.
///
/// An UPDATE has to return something: `load` and `get_result` ask this type whether the statement may be kept,
/// `execute` asks Diesel's.
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
