//! Creates databases on a PostgreSQL server, terminates its sessions, and kills the server itself.

#[cfg(not(feature = "postgres"))]
pub use without::Postgres;

#[cfg(feature = "postgres")]
use std::time::{Duration, Instant};

#[cfg(feature = "postgres")]
use viraldb::diesel::connection::SimpleConnection;
#[cfg(feature = "postgres")]
use viraldb::diesel::pg::PgConnection;
#[cfg(feature = "postgres")]
use viraldb::diesel::prelude::*;
#[cfg(feature = "postgres")]
use viraldb::diesel::sql_query;
#[cfg(feature = "postgres")]
use viraldb::diesel::sql_types::Text;

#[cfg(feature = "postgres")]
use crate::server::Server;

/// How long the server may take to notice a dead client, and to recover after a kill.
#[cfg(feature = "postgres")]
const PATIENCE: Duration = Duration::from_secs(90);

#[cfg(feature = "postgres")]
pub struct Postgres {
    /// A private server, which may be killed.
    own: Option<Server>,
    /// The part of the URL before the name of the database.
    before: String,
    /// The part of the URL after the name of the database.
    after: String,
}

#[cfg(feature = "postgres")]
impl Postgres {
    pub fn new(url: Option<&str>) -> Result<Self, String> {
        if let Some(url) = url {
            let (before, rest) =
                url.rsplit_once('/').ok_or("--postgres must have the form postgres://…/NAME")?;
            let after = rest.find('?').map_or("", |at| &rest[at..]);
            return Ok(Self { own: None, before: format!("{before}/"), after: after.to_owned() });
        }
        // Committed transactions must survive `pg_ctl stop -m immediate`, so fsync must stay on.
        let own = Server::own(&["fsync=on", "max_connections=300", "shared_buffers=64MB"]);
        let url = own.url("postgres");
        let before = url.strip_suffix("postgres").unwrap_or(&url).to_owned();
        Ok(Self { own: Some(own), before, after: String::new() })
    }

    pub fn url(&self, database: &str) -> String {
        format!("{}{database}{}", self.before, self.after)
    }

    /// Creates an empty database and returns its URL.
    pub fn create(&self, name: &str) -> String {
        self.execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE template0"));
        self.url(name)
    }

    /// Drops all databases whose names begin with `prefix`.
    pub fn drop_like(&self, prefix: &str) {
        let sql =
            format!("SELECT datname::text AS v FROM pg_database WHERE starts_with(datname, '{prefix}')");
        for name in self.texts(&sql) {
            self.execute(&format!("DROP DATABASE IF EXISTS \"{name}\" WITH (FORCE)"));
        }
    }

    /// Returns the URL with an application name for its sessions.
    pub fn named(url: &str, name: &str) -> String {
        let mark = if url.contains('?') { '&' } else { '?' };
        format!("{url}{mark}application_name={name}")
    }

    /// Waits until the server has ended all sessions with this application name. A session may continue after its client was
    /// killed.
    pub fn settle(&self, name: &str) -> Result<(), String> {
        let sql = format!(
            "SELECT CAST(count(*) AS text) AS v FROM pg_stat_activity WHERE application_name = '{name}'"
        );
        let deadline = Instant::now() + PATIENCE;
        while self.texts(&sql) != ["0"] {
            if Instant::now() > deadline {
                return Err(format!("sessions of a killed client are still running: {name}"));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Terminates the session of one command and returns the number of terminated sessions.
    pub fn terminate(&self, pick: usize) -> u64 {
        let sql = "SELECT CAST(pid AS text) AS v FROM pg_stat_activity WHERE starts_with(application_name, 'torture') ORDER BY pid";
        let pids = self.texts(sql);
        let Some(pid) = pids.get(pick % pids.len().max(1)) else { return 0 };
        self.texts(&format!("SELECT CAST(pg_terminate_backend({pid}) AS text) AS v"));
        1
    }

    /// Kills and restarts a private server, and returns the number of restarted servers.
    pub fn restart(&self) -> u64 {
        self.own.as_ref().map_or(0, |server| {
            server.restart();
            1
        })
    }

    pub fn kept(&self) -> String {
        match &self.own {
            Some(_) => "the private PostgreSQL server was deleted; run the seed again with --postgres URL to keep its databases".to_owned(),
            None => format!("the databases on {} are kept", self.url("…")),
        }
    }

    fn execute(&self, sql: &str) {
        self.attempt(|c| c.batch_execute(sql).map_err(|error| error.to_string()));
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text)]
            v: String,
        }
        let lines: Vec<Line> = self.attempt(|c| sql_query(sql).load(c).map_err(|error| error.to_string()));
        lines.into_iter().map(|line| line.v).collect()
    }

    /// Runs `work` on a new connection, and retries while the server is unavailable.
    fn attempt<T>(&self, work: impl Fn(&mut PgConnection) -> Result<T, String>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let done = PgConnection::establish(&self.url("postgres"))
                .map_err(|error| error.to_string())
                .and_then(|mut c| work(&mut c));
            match done {
                Ok(done) => return done,
                Err(error) => {
                    assert!(Instant::now() < deadline, "the PostgreSQL server does not answer: {error}")
                }
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[cfg(not(feature = "postgres"))]
mod without {
    /// Has no values in a build without PostgreSQL.
    pub enum Postgres {}

    impl Postgres {
        pub fn new(_: Option<&str>) -> Result<Self, String> {
            Err("this build does not support PostgreSQL; run cargo with `--features postgres`".to_owned())
        }

        pub fn create(&self, _: &str) -> String {
            match *self {}
        }

        pub fn drop_like(&self, _: &str) {
            match *self {}
        }

        pub fn named(url: &str, _: &str) -> String {
            url.to_owned()
        }

        pub fn settle(&self, _: &str) -> Result<(), String> {
            match *self {}
        }

        pub fn terminate(&self, _: usize) -> u64 {
            match *self {}
        }

        pub fn restart(&self) -> u64 {
            match *self {}
        }

        pub fn kept(&self) -> String {
            match *self {}
        }
    }
}
