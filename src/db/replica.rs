//! Reading on a streaming replica, as long as it is one.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};

use super::opener::Opener;
use super::options::READ_URL;
use super::source::Source;
use super::{DatabaseUrl, DbConnection, on_backend};
use crate::{Error, Result};

/// How often it is asked whether it is one still: one that was promoted answers as before, and keeps its connections.
const ASK: Duration = Duration::from_secs(5);

/// A replica of the server that is written to.
pub(super) struct Replica {
    source: Source,
    asked: Mutex<Asked>,
}

struct Asked {
    at: Instant,
    /// Whether it was none then; it is asked each time from then on.
    is_refused: bool,
}

impl Replica {
    /// The one that the options name, if they name one. Of SQLite there is none.
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

    /// [`Pool::close`](super::pool::Pool::close).
    pub(super) fn close(&self, wait: Duration) -> u32 {
        self.source.close(wait)
    }

    /// Whether it is to be asked. While one thread does, the others read.
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

    /// Refuses one that has gone its own way. While the primary does not answer, nobody can tell, and there is no other
    /// way to go.
    fn ask(&self, main: &Source) -> Result<()> {
        let found = self.source.read(Identity::of)?;
        if !found.is_standby {
            match main.read(Identity::of) {
                Ok(primary) => {
                    found.beside(&primary).require(&self.source.opener().url, &main.opener().url)?
                }
                Err(error) => tracing::warn!("the replica was promoted, or is the primary: {error}"),
            }
        }
        Ok(())
    }
}

/// The URL of a replica of `main`.
pub(crate) fn parse(url: &str, main: &DatabaseUrl) -> Result<DatabaseUrl> {
    match url.parse()? {
        url @ DatabaseUrl::Postgres(_) => Ok(url),
        url => Err(Error::Unusable {
            database: url.to_string(),
            reason: format!("{READ_URL} has to name a replica of {main}"),
        }),
    }
}

/// What a server says of itself.
#[derive(QueryableByName)]
pub(crate) struct Identity {
    /// What a server and its replicas have in common, and no other has. With the schema: a URL without `?schema=` would
    /// read another viraldb of the same database.
    #[diesel(sql_type = Text)]
    origin: String,
    /// What is of this server only.
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

    /// What it is to a primary.
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

/// What a server is to a primary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It follows.
    Replica,
    /// It is the primary itself, as where a URL of several hosts finds no other.
    Primary,
    /// It has the rows up to some moment, and its own from there on.
    Apart,
    /// It takes writes, and the other one takes none.
    Exchanged,
    /// It has another origin, or it is another database.
    Stranger,
}

impl Standing {
    /// Refuses what has other rows than the primary.
    pub(crate) fn require(self, url: &DatabaseUrl, primary: &DatabaseUrl) -> Result<()> {
        let reason = match self {
            Self::Replica | Self::Primary => return Ok(()),
            Self::Stranger => {
                format!(
                    "is not a replica of {primary}, as {READ_URL} says, or names another database or schema of it"
                )
            }
            Self::Exchanged => {
                format!("takes writes, and {primary} follows another server: exchange the two URLs")
            }
            Self::Apart => format!(
                "is no longer a replica of {primary}, as {READ_URL} says: it was promoted, and its rows go their own \
                 way; name another, or take {READ_URL} away"
            ),
        };
        Err(Error::Unusable { database: url.to_string(), reason })
    }
}
