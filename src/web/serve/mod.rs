//! The dashboard: the sections of the report as live pages, with lists, details and actions.
//!
//! Every request passes the checks in `guard`. Queries run on blocking threads through a few read-only connections, and pages
//! that many people look at are computed once for all of them.

mod access;
mod actions;
mod answer;
mod api;
mod app;
mod assets;
mod cache;
mod details;
mod doctor;
mod failure;
mod forms;
mod guard;
mod hosts;
mod listen;
mod log_in;
mod options;
mod pages;
mod probes;
mod problem;
mod router;
mod rows;
mod section;
mod session;
mod shell;
mod visitor;

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use crate::queue::Stop;
use crate::{Error, Result};

pub use access::hash_password;
pub use options::ServeOptions;

/// A dashboard that is bound to its address.
pub struct Dashboard {
    listener: TcpListener,
    app: Arc<app::App>,
}

impl Dashboard {
    /// Opens the database at `url` and binds the address. The database must exist and have the current schema.
    ///
    /// ```
    /// use viraldb::queue::Stop;
    /// use viraldb::web::{Dashboard, ServeOptions};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let url = format!("sqlite://{}", folder.path().join("viral.db").display());
    /// viraldb::init_db(&url)?;
    /// let options = ServeOptions { listen: "127.0.0.1:0".parse().unwrap(), ..Default::default() };
    /// let dashboard = Dashboard::bind(&url, &options)?;
    /// println!("http://{}/", dashboard.address());
    ///
    /// let stop = Stop::default();
    /// stop.on_signals()?;
    /// # stop.stop();
    /// dashboard.run(&stop)?; // until SIGINT or SIGTERM
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// - [`Invalid`](crate::Error::Invalid) if the address is not of this machine and there is neither `auth_file` nor
    ///   `token_file`, or if one of these files is invalid or other users of the machine have access to it.
    /// - [`Io`](crate::Error::Io) if a file cannot be read or the address cannot be bound.
    /// - The errors of [`Database::connect`](crate::Database::connect).
    pub fn bind(url: &str, options: &ServeOptions) -> Result<Self> {
        if !options.listen.ip().is_loopback() && options.auth_file.is_none() && options.token_file.is_none() {
            let reason = "can be reached from other machines, so visitors must log in; give --auth-file with users (see \
                `viraldb serve --hash-password`) or --token-file, or listen on 127.0.0.1";
            return Err(Error::invalid(format!("the address {}", options.listen), reason));
        }
        let app = app::App::new(url, options)?;
        let listener = TcpListener::bind(options.listen)
            .and_then(|listener| listener.set_nonblocking(true).map(|()| listener))
            .map_err(|error| Error::io(options.listen.to_string(), error))?;
        Ok(Self { listener, app: Arc::new(app) })
    }

    /// Returns the address that the dashboard listens on.
    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap_or(self.app.options.listen)
    }

    /// Answers requests until `stop` is stopped. Requests that have begun by then are answered within ten seconds.
    ///
    /// # Errors
    /// [`Other`](crate::Error::Other) if the operating system starts no threads.
    pub fn run(self, stop: &Stop) -> Result<()> {
        if !self.app.options.listen.ip().is_loopback() && !self.app.options.behind_proxy {
            tracing::warn!(
                "the dashboard speaks HTTP without encryption, so others on the network can read passwords; put a proxy that \
                 speaks HTTPS before it"
            );
        }
        if self.app.options.behind_proxy && !self.app.needs_log_in() {
            tracing::warn!(
                "everyone whom the proxy lets through can use the dashboard; give --auth-file or --token-file unless the proxy asks \
                 for a password"
            );
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("dashboard")
            .enable_all()
            .build()
            .map_err(Error::other)?;
        let router = router::router(&self.app);
        let result = runtime.block_on(async {
            pages::warm(&self.app);
            listen::run(self.listener, router, stop).await.map_err(Error::other)
        });
        runtime.shutdown_timeout(listen::GRACE);
        result
    }
}

impl std::fmt::Debug for Dashboard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Dashboard").field(&self.address()).finish()
    }
}
