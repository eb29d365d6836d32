//! Kills viraldb at random and checks that nothing it acknowledged is lost:
//! `cargo run --release --example torture -- --minutes 10`.
//!
//! Each round creates a new database and lets several lanes work on it concurrently. A lane runs the real command with
//! random arguments and kills about half of its processes with `kill -9`. It knows from exit codes and output what was
//! acknowledged. After each kill it opens the database and compares. On PostgreSQL, sessions are also terminated and
//! the server is restarted without a shutdown. docs/src/reliability.md lists what is checked.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod checks;
mod edits;
mod files;
mod jobs;
mod lane;
mod pipeline;
mod postgres;
mod round;
mod rows;
#[cfg(feature = "postgres")]
#[path = "../../tests/it/support/server.rs"]
mod server;
mod settings;
mod tally;
mod upkeep;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use fastrand::Rng;

use postgres::Postgres;
use round::Plan;
use tally::Tally;

/// Kill viraldb at random and check that nothing it acknowledged is lost
#[derive(Debug, Parser)]
struct Args {
    /// How long to run, in minutes
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    minutes: f64,
    /// Seed of all random choices [default: a random one, which is printed]
    #[arg(long, value_name = "SEED")]
    seed: Option<u64>,
    /// Engine to test; `both` alternates between rounds
    #[arg(long, value_enum, default_value_t)]
    engine: Engine,
    /// PostgreSQL server to create databases on, as postgres://…/NAME [default: a private server, which is also killed]
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    /// Command to test [default: viraldb in the target folder of this example]
    #[arg(long, value_name = "PATH")]
    viraldb: Option<PathBuf>,
    /// Length of a round, in seconds
    #[arg(long, value_name = "N", default_value_t = 20)]
    round: u64,
    /// Lanes to run, separated by commas [default: a random choice in each round]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    lanes: Vec<String>,
    /// Keep the databases and logs of all rounds, not only of a round with a violation
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Engine {
    #[default]
    Sqlite,
    Postgres,
    Both,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Runs all rounds. Returns false if there was a violation.
fn run(args: &Args) -> Result<bool, String> {
    let viraldb = viraldb(args)?;
    let server = match args.engine {
        Engine::Sqlite => None,
        _ => Some(Postgres::new(args.postgres.as_deref())?),
    };
    let seed = args.seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed}  command {}", viraldb.display());

    let folder =
        tempfile::Builder::new().prefix("viraldb-torture").tempdir().map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let end = begun + Duration::from_secs_f64(args.minutes * 60.0);
    let tally = Tally::default();
    let mut number = 0;
    while Instant::now() < end && tally.is_good() {
        number += 1;
        // Each round has its own seed, so that the length of a round does not change the choices of the next round.
        let mut rng = Rng::with_seed(seed.wrapping_add(number));
        let is_postgres = match args.engine {
            Engine::Sqlite => false,
            Engine::Postgres => true,
            Engine::Both => number % 2 == 0,
        };
        let plan = Plan {
            number,
            is_postgres,
            dir: folder.path().join(format!("round{number}")),
            length: Duration::from_secs(args.round),
            end,
            lanes: &args.lanes,
            viraldb: &viraldb,
            server: server.as_ref(),
            tally: &tally,
        };
        let dir = plan.dir.clone();
        let lanes = round::run(plan, &mut rng)?;
        println!(
            "round {number} on {}: {lanes}; {}",
            if is_postgres { "PostgreSQL" } else { "SQLite" },
            tally.line()
        );
        if !args.keep && tally.is_good() {
            std::fs::remove_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        }
    }
    println!("\n{}", tally.summary(begun.elapsed(), seed));
    if args.keep || !tally.is_good() {
        println!("kept: {}", folder.keep().display());
        if let Some(server) = server.filter(|_| !tally.is_good()) {
            println!("{}", server.kept());
        }
    }
    Ok(tally.is_good())
}

/// Returns the path of the command to test: the one that the caller specified, or the one of this build.
fn viraldb(args: &Args) -> Result<PathBuf, String> {
    let path = match &args.viraldb {
        Some(path) => path.clone(),
        None => {
            let own = std::env::current_exe().map_err(|error| error.to_string())?;
            own.ancestors().nth(2).unwrap_or(&own).join("viraldb")
        }
    };
    let path = path.canonicalize().map_err(|error| {
        let profile = if cfg!(debug_assertions) { "" } else { " --release" };
        let features = if cfg!(feature = "postgres") { " --features postgres" } else { "" };
        format!(
            "cannot find the command {}: {error}; build it with `cargo build{profile}{features}` or specify it with --viraldb",
            path.display()
        )
    })?;
    let version = std::process::Command::new(&path).arg("--version").output();
    if !version.as_ref().is_ok_and(|done| done.status.success()) {
        return Err(format!("{} --version failed: {version:?}", path.display()));
    }
    Ok(path)
}
