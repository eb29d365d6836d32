//! What all requests share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::access::{Access, Names};
use super::assets::Assets;
use super::cache::Cache;
use super::doctor::Doctor;
use super::failure::Failure;
use super::forms::Forms;
use super::hosts::Hosts;
use super::options::ServeOptions;
use super::session::Sessions;
use crate::ops::backup;
use crate::{Database, Options, Result};

/// Number of connections to the database, and of queries that run at the same time.
const CONNECTIONS: u32 = 4;
/// How long a request waits until one of them is free.
const WAIT: Duration = Duration::from_secs(5);
/// How long a request waits for its query.
const LONGEST: Duration = Duration::from_secs(20);

/// What all requests share.
pub(super) struct App {
    pub db: Database,
    pub url: String,
    /// The database, without its password.
    pub name: String,
    pub options: ServeOptions,
    pub access: Access,
    pub sessions: Sessions,
    pub forms: Forms,
    pub hosts: Hosts,
    pub assets: Assets,
    pub cache: Cache,
    pub doctor: Arc<Doctor>,
    /// Held while a password is checked.
    pub log_ins: Arc<Semaphore>,
    permits: Arc<Semaphore>,
}

impl App {
    pub fn new(url: &str, options: &ServeOptions) -> Result<Self> {
        let access = Access::new(options.auth_file.as_deref(), options.token_file.as_deref())?;
        let of_database = Options { connections: CONNECTIONS, ..Options::from_environment()? };
        let db = Database::connect_with(url, &of_database)?;
        Ok(Self {
            name: super::super::sections::short(&db.url().to_string(), 200),
            db,
            url: url.to_owned(),
            access,
            sessions: Sessions::new(),
            forms: Forms::new()?,
            hosts: Hosts::new(options.listen.ip(), &options.hosts),
            assets: Assets::new(),
            cache: Cache::default(),
            doctor: Arc::default(),
            log_ins: Arc::new(Semaphore::new(2)),
            permits: Arc::new(Semaphore::new(CONNECTIONS as usize)),
            options: options.clone(),
        })
    }

    /// Returns the folder of the backups.
    pub fn backups(&self) -> PathBuf {
        self.options.backups.clone().unwrap_or_else(|| backup::default_folder(self.db.url()))
    }

    /// Runs work that uses the database on a thread that may block.
    ///
    /// If it takes too long, the visitor gets an answer, but the work keeps its permit until it ends. So slow queries cannot
    /// pile up.
    pub async fn blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let permit = timeout(WAIT, Arc::clone(&self.permits).acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(Failure::busy("too many queries are running"));
        };
        let app = Arc::clone(self);
        let task = tokio::task::spawn_blocking(move || {
            let result = work(&app);
            drop(permit);
            result
        });
        match timeout(LONGEST, task).await {
            Ok(Ok(result)) => Ok(result?),
            Ok(Err(panicked)) => {
                tracing::error!("a request failed: {panicked}");
                Err(Failure::broken("the program panicked; its log says where"))
            }
            Err(_) => Err(Failure::busy(format!("the query took longer than {} seconds", LONGEST.as_secs()))),
        }
    }

    /// Returns true if visitors must log in.
    pub fn needs_log_in(&self) -> bool {
        !matches!(self.access.names(), Names::Nobody)
    }
}
