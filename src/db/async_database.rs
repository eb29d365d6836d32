//! The async face: the same closures over the same connections, on threads that may block.

use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tracing::Span;

use super::{Database, DbConnection, Options};
use crate::{Error, Result, correlation};

/// A [`Database`] for programs that run on tokio; cloning it is cheap, so it is at home in a web server's
/// state.
///
/// Each method takes the closure that [`Database`] takes, and runs it on one of tokio's blocking threads,
/// in the caller's span and [unit of work](correlation). No more of them run at a time than there are
/// connections; the others wait their turn without a thread, in the order they came, for as long as the
/// caller waits. Writers on SQLite wait apart, so that readers go on.
///
/// A future may be dropped at any time. Its closure then either never starts, or runs to its end: it
/// commits or rolls back, and its connection goes back to the others. A closure's panic goes on in the
/// task that awaits it.
///
/// The futures borrow nothing, so they may be spawned. They panic outside a tokio runtime.
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
/// db.run(queue::rescue_all).await?; // what takes the whole `Database`
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct AsyncDatabase(Database);

impl AsyncDatabase {
    /// [`Database::open`].
    pub fn open(url: &str) -> impl Future<Output = Result<Self>> + Send + use<> {
        let url = url.to_owned();
        on_thread(None, move || Database::open(&url).map(Self))
    }

    /// [`Database::open_with`].
    pub fn open_with(url: &str, options: &Options) -> impl Future<Output = Result<Self>> + Send + use<> {
        let (url, options) = (url.to_owned(), options.clone());
        on_thread(None, move || Database::open_with(&url, &options).map(Self))
    }

    /// [`Database::connect`].
    pub fn connect(url: &str) -> impl Future<Output = Result<Self>> + Send + use<> {
        let url = url.to_owned();
        on_thread(None, move || Database::connect(&url).map(Self))
    }

    /// [`Database::connect_with`].
    pub fn connect_with(url: &str, options: &Options) -> impl Future<Output = Result<Self>> + Send + use<> {
        let (url, options) = (url.to_owned(), options.clone());
        on_thread(None, move || Database::connect_with(&url, &options).map(Self))
    }

    /// [`Database::read`].
    pub fn read<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut DbConnection) -> Result<T> + Send + 'static,
    {
        let db = self.0.clone();
        on_thread(Some(&self.0.permits().reads), move || db.read(work))
    }

    /// [`Database::read_newest`].
    pub fn read_newest<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut DbConnection) -> Result<T> + Send + 'static,
    {
        let db = self.0.clone();
        on_thread(Some(&self.0.permits().reads), move || db.read_newest(work))
    }

    /// [`Database::write`].
    pub fn write<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&mut DbConnection) -> Result<T> + Send + 'static,
    {
        let db = self.0.clone();
        on_thread(Some(&self.0.permits().writes), move || db.write(work))
    }

    /// [`Database::ping`].
    pub fn ping(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        self.run(Database::ping)
    }

    /// [`Database::close`].
    pub fn close(&self) -> impl Future<Output = Result<()>> + Send + use<> {
        let db = self.0.clone();
        on_thread(None, move || db.close())
    }

    /// Gives `work` the whole database, for functions that read and write several times or open a
    /// connection of their own. It should hold one connection at a time.
    pub fn run<T, F>(&self, work: F) -> impl Future<Output = Result<T>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce(&Database) -> Result<T> + Send + 'static,
    {
        let db = self.0.clone();
        on_thread(Some(&self.0.permits().runs), move || work(&db))
    }

    /// The database itself, for code that may block.
    pub fn database(&self) -> &Database {
        &self.0
    }
}

impl From<Database> for AsyncDatabase {
    /// All that are made from one database share its connections and take turns.
    fn from(db: Database) -> Self {
        Self(db)
    }
}

/// Runs `work` on a thread that may block, as soon as there is a permit. The thread keeps the permit until
/// the work is over, whatever becomes of the future.
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
                // The runtime was shut down before the work began.
                Err(error) => Err(Error::other(error)),
            },
        }
    }
}
