//! The async API: runs the same closures on the same connections, on threads that may block.

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tracing::Span;

use super::{Database, DbConnection, Options};
use crate::{Error, Result, correlation};

/// A [`Database`] for programs that run on tokio. Cloning it is cheap, so it can be part of a web server's state.
///
/// Each method takes the same closure as the method of [`Database`]. It runs the closure on one of tokio's blocking threads,
/// in the caller's span and [unit of work](correlation). At most as many closures run concurrently as there are connections.
/// Further calls wait in order, without a thread, for as long as the caller awaits them. Writers on SQLite wait in a separate
/// queue, so that they do not delay readers.
///
/// A future may be dropped at any time. Its closure then either never starts or runs to its end: it commits or rolls back, and
/// its connection returns to the pool. A panic in a closure resumes in the task that awaits it.
///
/// The futures borrow nothing, so they may be spawned. They panic outside a tokio runtime.
///
/// In addition to the errors listed below, each method returns [`Error::Other`] if the runtime shuts down before the closure
/// starts.
///
/// ```
/// use viraldb::AsyncDatabase;
/// use viraldb::compilation::{DiscoveredVideo, Processed};
/// use viraldb::queue;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> viraldb::Result<()> {
/// let db = AsyncDatabase::open("sqlite::memory:").await?;
/// let pending = db.read(|c| DiscoveredVideo::pending(c, "gaming", 15)).await?;
/// for video in pending {
///     db.write(move |c| DiscoveredVideo::mark(c, &video.video_id, Processed::Used)).await?;
/// }
/// db.run(queue::rescue_all).await?; // `run` is for functions that take the whole `Database`
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AsyncDatabase(Database);

impl AsyncDatabase {
    /// The async version of [`Database::open`].
    ///
    /// # Errors
    /// The errors of [`Database::open`].
    pub fn open(url: &str) -> impl Future<Output = Result<Self>> + Send + use<> {
        let url = url.to_owned();
        on_thread(None, move || Database::open(&url).map(Self))
    }

    /// The async version of [`Database::open_with`].
    ///
    /// # Errors
    /// The errors of [`Database::open_with`].
    pub fn open_with(url: &str, options: &Options) -> impl Future<Output = Result<Self>> + Send + use<> {
        let (url, options) = (url.to_owned(), options.clone());
        on_thread(None, move || Database::open_with(&url, &options).map(Self))
    }

    /// The async version of [`Database::connect`].
    ///
    /// # Errors
    /// The errors of [`Database::connect`].
    pub fn connect(url: &str) -> impl Future<Output = Result<Self>> + Send + use<> {
        let url = url.to_owned();
        on_thread(None, move || Database::connect(&url).map(Self))
    }

    /// The async version of [`Database::connect_with`].
    ///
    /// # Errors
    /// The errors of [`Database::connect_with`].
    pub fn connect_with(url: &str, options: &Options) -> impl Future<Output = Result<Self>> + Send + use<> {
        let (url, options) = (url.to_owned(), options.clone());
        on_thread(None, move || Database::connect_with(&url, &options).map(Self))
    }

    /// The async version of [`Database::read`].
    ///
    /// # Errors
    /// The errors of [`Database::read`].
    pub fn read<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut DbConnection) -> Result<T> + Send + 'static,
    {
        let db = self.0.clone();
        on_thread(Some(&self.0.permits().reads), move || db.read(work))
    }

    /// The async version of [`Database::read_newest`].
    ///
    /// # Errors
    /// The errors of [`Database::read_newest`].
    pub fn read_newest<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut DbConnection) -> Result<T> + Send + 'static,
    {
        let db = self.0.clone();
        on_thread(Some(&self.0.permits().reads), move || db.read_newest(work))
    }

    /// The async version of [`Database::write`].
    ///
    /// # Errors
    /// The errors of [`Database::write`].
    pub fn write<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut DbConnection) -> Result<T> + Send + 'static,
    {
        let db = self.0.clone();
        on_thread(Some(&self.0.permits().writes), move || db.write(work))
    }

    /// The async version of [`Database::ping`].
    ///
    /// # Errors
    /// The errors of [`Database::ping`].
    pub fn ping(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        self.run(Database::ping)
    }

    /// The async version of [`Database::close`].
    ///
    /// # Errors
    /// The errors of [`Database::close`].
    pub fn close(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let db = self.0.clone();
        on_thread(None, move || db.close())
    }

    /// Runs `work` with the whole database, for functions that read and write several times or open their own connection.
    /// `work` should use only one connection at a time.
    ///
    /// # Errors
    /// The errors of `work`.
    pub fn run<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Database) -> Result<T> + Send + 'static,
    {
        let db = self.0.clone();
        on_thread(Some(&self.0.permits().runs), move || work(&db))
    }

    /// Returns the blocking [`Database`], for code that may block.
    pub fn database(&self) -> &Database {
        &self.0
    }
}

impl From<Database> for AsyncDatabase {
    /// Wraps a database. All wrappers of the same database share its connections and its limits on concurrent closures.
    fn from(db: Database) -> Self {
        Self(db)
    }
}

/// Runs `work` on a blocking thread as soon as a permit is available. The thread keeps the permit until `work` returns, even
/// if the future is dropped.
fn on_thread<T, F>(
    permits: Option<&Arc<Semaphore>>,
    work: F,
) -> impl Future<Output = Result<T>> + Send + use<T, F>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T> + Send + 'static,
{
    let (span, id) = (Span::current(), correlation::current());
    let permits = permits.cloned();
    async move {
        let permit = match permits {
            Some(permits) => Some(permits.acquire_owned().await.map_err(Error::other)?),
            None => None,
        };
        let task = spawn_blocking(move || {
            let _permit = permit;
            span.in_scope(|| correlation::within(id, work))
        });
        match task.await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // The runtime was shut down before `work` started.
                Err(error) => Err(Error::other(error)),
            },
        }
    }
}
