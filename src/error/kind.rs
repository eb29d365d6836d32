//! What kind of error it is, for a program that decides by it.

use super::Error;

/// The kind of an [`Error`]. A program branches on it, and shows the error itself to a person.
///
/// ```
/// use viraldb::compilation::{DiscoveredVideo, DiscoveredVideoId};
/// use viraldb::{Database, ErrorKind};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = Database::open("sqlite::memory:")?;
/// let error = db.read(|c| DiscoveredVideo::find(c, DiscoveredVideoId(7))).unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::NotFound);
/// assert!(!error.is_retryable());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The row does not exist.
    NotFound,
    /// Another row has the same unique key.
    Conflict,
    /// A value, an argument or an input is not accepted, or refers to a row that does not exist.
    Invalid,
    /// This worker has lost the job: its lease expired, or the job was given to another worker.
    LeaseLost,
    /// Another program holds a lock, or the server stopped one of two transactions.
    Busy,
    /// The server cannot be reached, or it ended the connection.
    Disconnected,
    /// The database does not have the schema of this program: it is older, newer, changed, or not there.
    Schema,
    /// The database cannot be opened or written.
    Unusable,
    /// A file cannot be read or written.
    Io,
    /// A secret cannot be sealed or opened.
    Secret,
    /// Anything else that the database reports.
    Database,
    /// An error of the caller's own.
    Other,
}

impl Error {
    /// What kind of error it is.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Invalid { .. } | Self::UnsupportedUrl { .. } | Self::Rejected { .. } => ErrorKind::Invalid,
            Self::LeaseLost { .. } => ErrorKind::LeaseLost,
            Self::Busy { .. } => ErrorKind::Busy,
            Self::Disconnected { .. } => ErrorKind::Disconnected,
            Self::SchemaNewer { .. }
            | Self::SchemaModified(_)
            | Self::SchemaPending(_)
            | Self::NotInitialised(_) => ErrorKind::Schema,
            Self::Unusable { .. } => ErrorKind::Unusable,
            Self::Io { .. } => ErrorKind::Io,
            Self::SecretKeyMissing { .. }
            | Self::SecretDamaged { .. }
            | Self::SecretNotSealed { .. }
            | Self::SecretNotSet { .. } => ErrorKind::Secret,
            Self::Database { .. } => ErrorKind::Database,
            Self::Other(_) => ErrorKind::Other,
        }
    }

    /// Whether the row does not exist.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Whether another row has the same unique key.
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// Whether the same call may succeed a moment later: somebody held a lock, the server stopped one of two transactions,
    /// or the connection was lost.
    ///
    /// A `write` that fails so has changed nothing, except where the connection was lost while it committed: then nobody
    /// knows. A write that is repeated after [`ErrorKind::Disconnected`] should therefore be one that may happen twice.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Disconnected { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_and_lost_connections_are_worth_another_try() {
        let (database, reason) = (String::new(), String::new());
        let busy = Error::Busy { database: database.clone(), reason: reason.clone() };
        assert_eq!((busy.kind(), busy.is_retryable()), (ErrorKind::Busy, true));
        let gone = Error::Disconnected { database: database.clone(), reason: reason.clone() };
        assert_eq!((gone.kind(), gone.is_retryable()), (ErrorKind::Disconnected, true));
        let unusable = Error::Unusable { database, reason };
        assert_eq!((unusable.kind(), unusable.is_retryable()), (ErrorKind::Unusable, false));
        let missing = Error::NotFound { table: "clips", key: "7".to_owned() };
        assert!(missing.is_not_found() && !missing.is_conflict() && !missing.is_retryable());
    }
}
