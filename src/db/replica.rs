//! Reads from a streaming replica, and checks that it still is one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::opener::Opener;
use super::options::READ_URL;
use super::source::Source;
use super::{DatabaseUrl, DbConnection, on_backend};
use crate::{Error, Result};

/// How often to check that the server is still a replica. After a promotion it keeps its connections and answers as before.
const ASK: Duration = Duration::from_secs(5);

/// A replica of the primary server.
pub(super) struct Replica {
    source: Source,
    asked: Mutex<Asked>,
}

struct Asked {
    at: Instant,
    /// True if the last check failed; then every read checks again.
    is_refused: bool,
}

impl Replica {
    /// Opens the replica named in the options. Returns `None` if the options name none, or on SQLite.
    pub(super) fn of(main: &Source) -> Result<Option<Self>> {
        let (Some(url), DatabaseUrl::Postgres(_)) = (&main.opener().options.read_url, &main.opener().url)
        else {
            return Ok(None);
        };
        let url = parse(url, &main.opener().url)?;
        let source = Source::new(Opener::new(url, &main.opener().options)?);
        let found = source.read(Identity::of)?;
        let standing = found.beside(&main.read(Identity::of)?);
        standing.require(&source.opener().url, &main.opener().url)?;
        if standing == Standing::Primary {
            tracing::info!(database = %source.opener().url, "{READ_URL} names the primary itself");
        }
        Ok(Some(Self { source, asked: Mutex::new(Asked { at: Instant::now(), is_refused: false }) }))
    }

    pub(super) fn read<T>(
        &self,
        main: &Source,
        work: impl FnOnce(&mut DbConnection) -> Result<T>,
    ) -> Result<T> {
        if self.is_due() {
            let asked = self.ask(main);
            self.asked().is_refused = asked.is_err();
            asked?;
        }
        self.source.read(work)
    }

    /// Closes the connections; see [`Pool::close`](super::pool::Pool::close).
    pub(super) fn close(&self, wait: Duration) -> u32 {
        self.source.close(wait)
    }

    /// Returns true if the calling thread should check the replica. Other threads keep reading meanwhile.
    fn is_due(&self) -> bool {
        let mut asked = self.asked();
        let is_due = asked.is_refused || asked.at.elapsed() >= ASK;
        if is_due {
            asked.at = Instant::now();
        }
        is_due
    }

    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rejects a server that was promoted. If the primary does not answer, this cannot be decided, so reads continue on the
    /// replica: there is no other server to read from.
    fn ask(&self, main: &Source) -> Result<()> {
        let found = self.source.read(Identity::of)?;
        if !found.is_standby {
            match main.read(Identity::of) {
                Ok(primary) => {
                    found.beside(&primary).require(&self.source.opener().url, &main.opener().url)?
                }
                Err(error) => tracing::warn!(
                    "cannot tell whether the replica was promoted or is the primary itself: {error}"
                ),
            }
        }
        Ok(())
    }
}

/// Parses the URL of a replica of `main`.
pub(crate) fn parse(url: &str, main: &DatabaseUrl) -> Result<DatabaseUrl> {
    match url.parse()? {
        url @ DatabaseUrl::Postgres(_) => Ok(url),
        url => Err(Error::Unusable {
            database: url.to_string(),
            reason: format!("is not a PostgreSQL server; {READ_URL} must be the URL of a replica of {main}"),
        }),
    }
}

/// The properties of a server that tell whether it is a replica.
#[derive(QueryableByName)]
pub(crate) struct Identity {
    /// Identifies a server together with its replicas, and the database and schema. The schema is included because a URL
    /// without `?schema=` would read a different viraldb in the same database.
    #[diesel(sql_type = Text)]
    origin: String,
    /// The start time, which distinguishes a server from its replicas.
    #[diesel(sql_type = Text)]
    started: String,
    #[diesel(sql_type = Bool)]
    is_standby: bool,
}

impl Identity {
    pub(crate) fn of(conn: &mut DbConnection) -> Result<Self> {
        let asked = "SELECT pg_catalog.concat_ws(' ', system_identifier, current_database(), current_schema()) AS origin, \
             extract(epoch FROM pg_catalog.pg_postmaster_start_time())::text AS started, pg_catalog.pg_is_in_recovery() AS is_standby \
             FROM pg_catalog.pg_control_system()";
        Ok(on_backend!(conn, |c| diesel::sql_query(asked).get_result(c))?)
    }

    /// Compares this server with the primary.
    pub(crate) fn beside(&self, primary: &Self) -> Standing {
        match self {
            _ if self.origin != primary.origin => Standing::Stranger,
            _ if self.started == primary.started => Standing::Primary,
            _ if self.is_standby => Standing::Replica,
            _ if primary.is_standby => Standing::Exchanged,
            _ => Standing::Apart,
        }
    }
}

/// The relation of a server to the primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The server is a replica of the primary.
    Replica,
    /// The server is the primary itself, for example because a URL with several hosts found no replica.
    Primary,
    /// The server was promoted: it has the same rows up to that time, and different rows since.
    Apart,
    /// The server accepts writes, but the supposed primary is a replica.
    Exchanged,
    /// The server has a different origin, or it is a different database or schema.
    Stranger,
}

impl Standing {
    /// Rejects a server whose rows differ from those of the primary.
    pub(crate) fn require(self, url: &DatabaseUrl, primary: &DatabaseUrl) -> Result<()> {
        let reason = match self {
            Self::Replica | Self::Primary => return Ok(()),
            Self::Stranger => {
                format!(
                    "is not a replica of {primary}, or is a different database or schema; correct {READ_URL}"
                )
            }
            Self::Exchanged => {
                format!("accepts writes, but {primary} is a replica; swap the two URLs")
            }
            Self::Apart => format!(
                "is no longer a replica of {primary}: it was promoted, and its rows differ from now on; set {READ_URL} \
                 to another replica, or unset it"
            ),
        };
        Err(Error::Unusable { database: url.to_string(), reason })
    }
}
