//! The kinds of errors, for programs that branch on them.

use super::Error;

/// The kind of an [`Error`]. Programs branch on the kind and show the error itself to people.
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
    /// A value, an argument or an input is invalid, or refers to a row that does not exist.
    Invalid,
    /// This worker has lost the job: its lease expired, or another worker claimed the job.
    LeaseLost,
    /// Another program holds a lock, or the server rolled back the transaction because of a conflict with another one.
    Busy,
    /// The server cannot be reached, or it closed the connection.
    Disconnected,
    /// The schema of the database is not the one this program needs: it is older, newer, modified, or missing.
    Schema,
    /// The database cannot be opened or written.
    Unusable,
    /// A file cannot be read or written.
    Io,
    /// A secret cannot be encrypted or decrypted, or is not set.
    Secret,
    /// Any other error of the database.
    Database,
    /// An error of the caller, from a closure given to `read` or `write`.
    Other,
}

impl Error {
    /// Returns the kind of the error.
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

    /// Returns true if the row does not exist.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Returns true if another row has the same unique key.
    pub const fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }

    /// Returns true if the same call may succeed when it is retried: another program held a lock, the server rolled back the
    /// transaction because of a conflict, or the connection was lost.
    ///
    /// A `write` that fails with such an error has changed nothing, with one exception. If the connection was lost during the
    /// commit, it is unknown whether the transaction was committed. Retry a write after [`ErrorKind::Disconnected`] only if
    /// it is safe to apply it twice.
    pub const fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy { .. } | Self::Disconnected { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locks_and_lost_connections_are_retryable() {
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
