//! The options of the dashboard.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The options of the dashboard. `ServeOptions::default()` shows the pages to everyone on this machine, and changes nothing.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// The address and port to listen on. Port 0 chooses a free port. The default is `127.0.0.1:8480`.
    pub listen: SocketAddr,
    /// More names under which browsers reach the dashboard, such as the name of a proxy. Requests for other names are refused.
    pub hosts: Vec<String>,
    /// A file with the users and the hashes of their passwords, see [`hash_password`](crate::web::hash_password).
    pub auth_file: Option<PathBuf>,
    /// A file with a token of at least 20 characters, for programs that read metrics and the API.
    pub token_file: Option<PathBuf>,
    /// Whether visitors may change something: retry jobs, answer reviews, resolve errors and pause the queue.
    pub allow_actions: bool,
    /// Whether all requests come through a proxy that speaks HTTPS. Cookies are then sent over HTTPS only, and the address of a
    /// visitor is the last one in `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// Folder of the backups. The default is the default folder of `viraldb backup create`.
    pub backups: Option<PathBuf>,
    /// The configuration file, as in `viraldb --config`.
    pub config: Option<PathBuf>,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8480),
            hosts: Vec::new(),
            auth_file: None,
            token_file: None,
            allow_actions: false,
            behind_proxy: false,
            backups: None,
            config: None,
        }
    }
}
