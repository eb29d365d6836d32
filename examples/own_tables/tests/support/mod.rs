//! Provides an empty database on each engine that the program is built for.

#[cfg(feature = "postgres")]
#[path = "../../../../tests/it/support/server.rs"]
mod server;

/// Calls `check` with the URL of an empty database on each engine.
pub fn on_each_engine(check: impl Fn(&str)) {
    #[cfg(feature = "sqlite")]
    {
        let folder = tempfile::tempdir().unwrap();
        check(&format!("sqlite://{}", folder.path().join("viral.db").display()));
    }
    #[cfg(feature = "postgres")]
    {
        let server = server::Server::new(&[]);
        let url = server.create_database("own_tables", "template0");
        check(&url);
        server.drop_database(&url);
    }
}
