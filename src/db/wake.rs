//! Waits for changes of the queue or the settings: by notifications on PostgreSQL, by polling the version of the file on
//! SQLite. A pooler passes on no notifications, so there a change is assumed twice a second.

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
    File { conn: Box<super::DbConnection>, seen: i32, poll: Duration },
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
            Ok(Self::File { conn, seen, poll })
        }
        #[cfg(not(feature = "sqlite"))]
        Err(crate::Error::invalid("the database", "needs an engine that this viraldb was built without"))
    }

    /// Waits for a change, at most for `timeout`. Returns true if there was one.
    pub(crate) fn wait(&mut self, timeout: Duration) -> Result<bool> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::File { conn, seen, poll } => {
                let deadline = std::time::Instant::now() + timeout;
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
