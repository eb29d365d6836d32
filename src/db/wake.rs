//! Waits for changes of the queue or the settings: by notifications on PostgreSQL, by the version of the file on SQLite, which
//! is checked when the write-ahead log is written, and regularly. A pooler passes on no notifications, so there a change is assumed twice a second.

use std::time::Duration;
#[cfg(feature = "postgres")]
use std::time::Instant;

use super::Database;
use crate::Result;
#[cfg(feature = "postgres")]
use crate::error::SERVER_IS_READ_ONLY;

/// The changes to wait for on PostgreSQL, where triggers notify one channel for each topic and schema. On SQLite any change
/// wakes the waiter.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Topic {
    Jobs,
    Config,
}

#[cfg(feature = "postgres")]
impl Topic {
    const fn channel(self) -> &'static str {
        match self {
            Self::Jobs => "viraldb_jobs",
            Self::Config => "viraldb_config",
        }
    }
}

/// Waits for changes. A change between two waits wakes the second one.
pub(crate) enum Waker {
    /// SQLite's `data_version` changes after any write of another connection.
    #[cfg(feature = "sqlite")]
    File {
        conn: Box<super::DbConnection>,
        seen: i32,
        poll: Duration,
        /// Tells when the write-ahead log is written. `None` for a database in memory, or if the kernel refuses.
        #[cfg(target_os = "linux")]
        events: Option<super::file_events::FileEvents>,
    },
    #[cfg(feature = "postgres")]
    Server(super::listen::Listener),
    /// A pooler passes on no notifications, and a LISTEN would stay in a session that the pooler then gives to other clients.
    #[cfg(feature = "postgres")]
    Pooler { next: Instant },
}

/// How often a change is assumed if changes cannot be detected.
#[cfg(feature = "postgres")]
const UNTOLD: Duration = Duration::from_millis(500);

impl Waker {
    /// Starts to watch for changes. On SQLite the file is checked every `poll`.
    pub(crate) fn new(
        db: &Database,
        #[allow(unused)] topic: Topic,
        #[allow(unused)] poll: Duration,
    ) -> Result<Self> {
        #[cfg(feature = "postgres")]
        if let super::DatabaseUrl::Postgres(url) = db.url() {
            if super::url::is_pooled(url) {
                return Ok(Self::Pooler { next: Instant::now() + UNTOLD });
            }
            return match super::listen::Listener::open(url, topic.channel()) {
                // A replica does not support LISTEN either.
                Err(crate::Error::Unusable { reason, .. }) if reason == SERVER_IS_READ_ONLY => {
                    Ok(Self::Pooler { next: Instant::now() + UNTOLD })
                }
                opened => opened.map(Self::Server).map_err(|error| error.in_database(db.url())),
            };
        }
        #[cfg(feature = "sqlite")]
        {
            let mut conn = Box::new(db.reader()?);
            let seen = version(&mut conn)?;
            Ok(Self::File {
                conn,
                seen,
                poll,
                // The log exists, because reading the version has opened it.
                #[cfg(target_os = "linux")]
                events: match db.url() {
                    super::DatabaseUrl::File(path) => {
                        super::file_events::FileEvents::of(&super::beside(path, "-wal"))
                    }
                    _ => None,
                },
            })
        }
        #[cfg(not(feature = "sqlite"))]
        Err(crate::Error::invalid("the database", "needs an engine that this viraldb was built without"))
    }

    /// Returns true if any write wakes the waiter, not only one that concerns it.
    pub(crate) fn tells_every_change(&self) -> bool {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File { .. } => true,
            #[cfg(feature = "postgres")]
            Self::Server(_) | Self::Pooler { .. } => false,
        }
    }

    /// Waits for a change, at most for `timeout`. Returns true if there was one.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<bool> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File {
                conn,
                seen,
                poll,
                #[cfg(target_os = "linux")]
                events,
            } => {
                let deadline = std::time::Instant::now() + timeout;
                // How long to wait for the commit that follows a write to the log.
                #[cfg(target_os = "linux")]
                let mut commit = LONGEST_COMMIT;
                loop {
                    let now = version(conn)?;
                    if now != *seen {
                        *seen = now;
                        return Ok(true);
                    }
                    let left = deadline.saturating_duration_since(std::time::Instant::now());
                    if left.is_zero() {
                        return Ok(false);
                    }
                    #[cfg(target_os = "linux")]
                    if let Some(events) = events {
                        // SQLite writes to the log first and makes the transaction visible afterward, without an event.
                        if commit < LONGEST_COMMIT {
                            std::thread::sleep(commit);
                            commit *= 2;
                        } else if events.wait(left.min(*poll)) {
                            commit = SHORTEST_COMMIT;
                        }
                        continue;
                    }
                    std::thread::sleep(left.min(*poll));
                }
            }
            #[cfg(feature = "postgres")]
            Self::Server(listener) => listener.wait(timeout),
            #[cfg(feature = "postgres")]
            Self::Pooler { next } => {
                let left = next.saturating_duration_since(Instant::now());
                std::thread::sleep(left.min(timeout));
                if left > timeout {
                    return Ok(false);
                }
                *next = Instant::now() + UNTOLD;
                Ok(true)
            }
        }
    }
}

/// The first and the last pause between checks of the version after a write to the log. A commit usually becomes visible
/// within the first.
#[cfg(all(feature = "sqlite", target_os = "linux"))]
const SHORTEST_COMMIT: Duration = Duration::from_micros(50);
#[cfg(all(feature = "sqlite", target_os = "linux"))]
const LONGEST_COMMIT: Duration = Duration::from_millis(3);

/// Returns SQLite's `data_version`, which changes when another connection has written.
#[cfg(feature = "sqlite")]
pub(super) fn version(conn: &mut super::DbConnection) -> Result<i32> {
    use diesel::prelude::*;

    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Integer)]
        data_version: i32,
    }
    let row: Row = super::on_backend!(conn, |c| diesel::sql_query("PRAGMA data_version").get_result(c))?;
    Ok(row.data_version)
}
