//! viraldb in a schema of PostgreSQL other than `public`.

mod apart;
mod killed;
mod names;
mod operations;
mod printed;
mod restored;

use std::process::Command;

use serde_json::Value;
use viraldb::Database;
use viraldb::diesel::connection::SimpleConnection;

use crate::make::{self, query};
use crate::support::{Ran, Scratch};

/// viraldb in one schema of a test's database.
struct Home<'a> {
    t: &'a Scratch,
    schema: String,
    url: String,
}

/// Appends a parameter to a URL.
fn with(url: &str, parameter: &str) -> String {
    format!("{url}{}{parameter}", if url.contains('?') { '&' } else { '?' })
}

/// Percent-encodes every byte of a parameter value.
fn percent_encoded(value: &str) -> String {
    value.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

impl<'a> Home<'a> {
    /// Returns a home in the schema that `?schema=` names. The schema need not exist.
    fn by_parameter(t: &'a Scratch, schema: &str) -> Self {
        let url = with(&t.url, &format!("schema={}", percent_encoded(schema)));
        Self { t, schema: schema.to_owned(), url }
    }

    /// Creates a schema and returns a home whose URL has it first in `search_path`.
    fn by_path(t: &'a Scratch, schema: &str) -> Self {
        t.sql(&format!("CREATE SCHEMA {}", quoted(schema)));
        let path = quoted(schema).replace(' ', "\\ ");
        let url = with(&t.url, &format!("options={}", percent_encoded(&format!("-csearch_path={path}"))));
        Self { t, schema: schema.to_owned(), url }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.t.command(args);
        command.env("DATABASE_URL", &self.url);
        command
    }

    fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{} {args:?}: {}{}", self.schema, ran.out, ran.err);
        ran.out
    }

    fn json(&self, args: &[&str]) -> Value {
        let all: Vec<&str> = args.iter().copied().chain(["--format", "json"]).collect();
        serde_json::from_str(&self.ok(&all)).unwrap()
    }

    fn db(&self) -> Database {
        Database::open(&self.url).unwrap()
    }

    /// Returns the name of the schema with ViralForge's views.
    fn views(&self) -> String {
        format!("viralforge_{}", self.schema)
    }

    /// Inserts one row into each of the 22 tables.
    fn seed(&self) {
        self.db().write(|c| make::seed(c).and_then(|()| make::link(c))).unwrap();
    }

    fn count(&self, table: &str) -> usize {
        count(self.t, &format!("{}.{table}", quoted(&self.schema)))
    }
}

impl Scratch {
    /// Runs statements as another program would, with the default search path.
    fn sql(&self, statements: &str) {
        self.plain().batch_execute(statements).unwrap();
    }

    /// Returns the tables and views of a schema.
    fn relations(&self, schema: &str) -> Vec<String> {
        query(
            &mut self.plain(),
            &format!(
                "SELECT relname::text AS v FROM pg_class WHERE relkind IN ('r', 'v') AND relnamespace =
                     (SELECT oid FROM pg_namespace WHERE nspname = '{}') ORDER BY 1",
                schema.replace('\'', "''")
            ),
        )
    }

    /// Returns all schemas except those of PostgreSQL itself.
    fn schemas(&self) -> Vec<String> {
        query(
            &mut self.plain(),
            "SELECT nspname::text AS v FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1",
        )
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Returns the number of rows in a table. `table` includes the schema.
fn count(t: &Scratch, table: &str) -> usize {
    query(&mut t.plain(), &format!("SELECT count(*)::text AS v FROM {table}"))[0].parse().unwrap()
}
