//! Fuzzers of every parser, on stable Rust: `cargo test --test fuzz`.
//!
//! Each test feeds one parser with inputs that it makes up and checks more than that nothing panics: what is printed
//! reads back, input in small pieces gives the same result, errors are short and show no secret. Without variables a
//! test tries a few inputs, always the same. `VIRALDB_FUZZ_SECONDS` says how long each test runs, and
//! `VIRALDB_FUZZ_SEED` chooses other inputs. docs/RELIABILITY.md has the details.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

#[cfg(feature = "sqlite")]
mod command;
mod config;
#[path = "../src/cli/duration.rs"]
mod duration;
#[cfg(feature = "sqlite")]
mod ingest;
mod mutate;
mod runner;
mod secrets;
mod text;
