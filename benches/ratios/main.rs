//! Compares viraldb with hand-written code on the same engine and prints ratios: `cargo bench`.
//!
//! `cargo bench -- lookup` measures only the lines whose name contains `lookup`. `--rows N` and `--rounds N` change the
//! number of rows and rounds. viraldb and its rival take turns in one process. Both use databases that viraldb's
//! migrations created, with the same settings and the same rows.
//!
//! A ratio is the rival's time divided by viraldb's time. The median over the rounds is reported. docs/src/performance.md lists
//! the targets and results.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]
#![allow(unsafe_code)] // needed to ask SQLite how often it prepared its statements

mod backup;
mod commands;
mod config;
mod doctor;
mod idle;
#[cfg(feature = "postgres")]
mod libpq;
mod measure;
mod memory;
mod mixed;
#[cfg(feature = "postgres")]
mod peers;
#[cfg(feature = "postgres")]
mod postgres;
mod prune;
mod queue;
mod report;
mod rows;
mod serve;
#[cfg(feature = "postgres")]
#[path = "../../tests/it/support/server.rs"]
mod server;
mod sqlite;
mod status;
#[cfg(feature = "postgres")]
mod transfer;
mod worker;

use measure::{Asked, Line};

fn main() {
    let asked = Asked::parse(std::env::args().skip(1)).unwrap_or_else(|reason| {
        eprintln!("error: {reason}");
        std::process::exit(2);
    });
    if let Some(task) = &asked.child {
        return match task.split_once(' ') {
            Some(("mixed", task)) => mixed::child(task),
            Some(("idle", path)) => idle::child(path),
            _ => memory::child(task, &asked),
        };
    }
    let mut lines = sqlite::lines(&asked);
    #[cfg(feature = "postgres")]
    lines.extend(postgres::lines(&asked));
    lines.extend(queue::lines(&asked));
    lines.extend(worker::lines(&asked));
    lines.extend(config::lines(&asked));
    lines.extend(backup::lines(&asked));
    lines.extend(commands::lines(&asked));
    lines.extend(doctor::lines(&asked));
    lines.extend(idle::lines(&asked));
    lines.extend(mixed::lines(&asked));
    #[cfg(feature = "postgres")]
    lines.extend(peers::lines(&asked));
    lines.extend(prune::lines(&asked));
    lines.extend(report::lines(&asked));
    lines.extend(serve::lines(&asked));
    lines.extend(status::lines(&asked));
    #[cfg(feature = "postgres")]
    lines.extend(transfer::lines(&asked));
    lines.retain(|line| asked.wants(line.name));
    if !lines.is_empty() {
        Line::print_header();
    }
    for line in &lines {
        line.print();
    }
    memory::print(&asked);
}
