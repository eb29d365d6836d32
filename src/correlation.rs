//! One id for everything that a command run or a unit of work leaves in the log and in `error_log`.
//!
//! In the log the id is a field of the span, in `error_log` it is the column `correlation_id`.

use std::cell::Cell;

use tracing::info_span;

use crate::types::CorrelationId;

thread_local! { static CURRENT: Cell<Option<CorrelationId>> = const { Cell::new(None) }; }

/// Returns the id of the current unit of work on this thread, if there is one.
pub fn current() -> Option<CorrelationId> {
    CURRENT.get()
}

/// Runs `work` as a unit of work with this id, in a span that carries the id.
///
/// Units may be nested. While an inner unit runs, its id is the current one.
///
/// ```
/// use viraldb::{CorrelationId, correlation};
///
/// let id = CorrelationId::default();
/// assert_eq!(correlation::unit_of_work("cut clips", id, correlation::current), Some(id));
/// assert_eq!(correlation::current(), None);
/// ```
pub fn unit_of_work<T>(name: &str, id: CorrelationId, work: impl FnOnce() -> T) -> T {
    in_span(&span(name, id), id, work)
}

/// Runs `work` as a unit of work with this id, in a span of the caller.
pub(crate) fn in_span<T>(span: &tracing::Span, id: CorrelationId, work: impl FnOnce() -> T) -> T {
    span.in_scope(|| within(Some(id), work))
}

/// Runs a future as a unit of work, like [`unit_of_work`].
///
/// The id and the span are set whenever the future is polled, on any thread. They also apply to the closures that the
/// future passes to an [`AsyncDatabase`](crate::AsyncDatabase).
///
/// ```
/// use viraldb::{AsyncDatabase, CorrelationId, correlation};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> viraldb::Result<()> {
/// let db = AsyncDatabase::open("sqlite::memory:").await?;
/// let id = CorrelationId::default();
/// let seen = correlation::async_unit_of_work("cut clips", id, async {
///     db.read(|_| Ok(correlation::current())).await
/// });
/// assert_eq!(seen.await?, Some(id));
/// # Ok(())
/// # }
/// ```
#[cfg(feature = "async")]
pub async fn async_unit_of_work<F: Future>(name: &str, id: CorrelationId, work: F) -> F::Output {
    async_in_span(&span(name, id), id, work).await
}

/// Runs a future as a unit of work with this id, in a span of the caller.
#[cfg(feature = "async")]
pub(crate) async fn async_in_span<F: Future>(span: &tracing::Span, id: CorrelationId, work: F) -> F::Output {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| in_span(span, id, || work.as_mut().poll(cx))).await
}

fn span(name: &str, id: CorrelationId) -> tracing::Span {
    info_span!("unit_of_work", unit = name, correlation_id = %id)
}

/// Runs `work` with `id` as the current id.
pub(crate) fn within<T>(id: Option<CorrelationId>, work: impl FnOnce() -> T) -> T {
    struct Restore(Option<CorrelationId>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _outer = Restore(CURRENT.replace(id));
    work()
}
