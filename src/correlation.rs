//! One id for all that one command run or unit of work leaves behind: in the log as a field of its
//! span, in `error_log` as `correlation_id`.

use std::cell::Cell;

use tracing::info_span;

use crate::types::CorrelationId;

thread_local! { static CURRENT: Cell<Option<CorrelationId>> = const { Cell::new(None) }; }

/// The id of the unit of work under way on this thread, if one is.
pub fn current() -> Option<CorrelationId> {
    CURRENT.get()
}

/// Runs `work` as a unit of work with this id, in a span that carries it. Units may be nested; the inner
/// one's id holds while it runs.
///
/// ```
/// use viraldb::{CorrelationId, correlation};
///
/// let id = CorrelationId::default();
/// assert_eq!(correlation::unit_of_work("cut clips", id, correlation::current), Some(id));
/// assert_eq!(correlation::current(), None);
/// ```
pub fn unit_of_work<T>(name: &str, id: CorrelationId, work: impl FnOnce() -> T) -> T {
    span(name, id).in_scope(|| within(Some(id), work))
}

/// [`unit_of_work`] for a future: the id and the span are there whenever it is polled, on whatever thread,
/// and follow what it does through an [`AsyncDatabase`](crate::AsyncDatabase).
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
    let span = span(name, id);
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| span.in_scope(|| within(Some(id), || work.as_mut().poll(cx)))).await
}

fn span(name: &str, id: CorrelationId) -> tracing::Span {
    info_span!("unit_of_work", unit = name, correlation_id = %id)
}

/// Runs `work` with this id as the current one.
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
