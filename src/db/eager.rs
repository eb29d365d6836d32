//! Waits for SQLite's write lock with short pauses, for a thread that has little to write and should write it soon.

use std::cell::Cell;
#[cfg(feature = "sqlite")]
use std::time::Duration;

thread_local! {
    static IS_EAGER: Cell<bool> = const { Cell::new(false) };
}

/// For how long an eager thread tries often. Afterward it waits like any other thread, because the lock is then held for long.
#[cfg(feature = "sqlite")]
const AT_MOST: Duration = Duration::from_millis(40);

/// The pause between two attempts. A commit becomes visible up to a millisecond before its lock is free.
#[cfg(feature = "sqlite")]
const PAUSE: Duration = Duration::from_micros(200);

/// Runs `work`. If another thread or program holds the write lock, tries again after a short pause.
///
/// A lock that moves to another connection after each write makes all of them slower, so this is not for a thread that writes
/// all the time.
pub(crate) fn eagerly<T>(work: impl FnOnce() -> T) -> T {
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            IS_EAGER.set(self.0);
        }
    }
    let before = Before(IS_EAGER.replace(true));
    let done = work();
    drop(before);
    done
}

/// Returns how long this thread sleeps before it tries again, if it is eager. `waited` is how long it has waited already.
#[cfg(feature = "sqlite")]
pub(super) fn pause(waited: Duration) -> Option<Duration> {
    (IS_EAGER.get() && waited < AT_MOST).then_some(PAUSE)
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::*;

    #[test]
    fn only_the_work_is_eager_and_only_at_first() {
        assert_eq!(pause(Duration::ZERO), None);
        let within = eagerly(|| eagerly(|| (pause(Duration::ZERO), pause(AT_MOST))));
        assert_eq!(within, (Some(PAUSE), None));
        assert_eq!(pause(Duration::ZERO), None);
        let _ = std::panic::catch_unwind(|| eagerly(|| panic!("on purpose")));
        assert_eq!(pause(Duration::ZERO), None, "a panic ends it");
    }
}
