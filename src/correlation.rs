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
    struct Restore(Option<CorrelationId>);
    impl Drop for Restore {
        fn drop(&mut self) {
            CURRENT.set(self.0);
        }
    }
    let _outer = Restore(CURRENT.replace(Some(id)));
    info_span!("unit_of_work", unit = name, correlation_id = %id).in_scope(work)
}
