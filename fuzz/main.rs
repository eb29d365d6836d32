//! Fuzzers for every parser, on stable Rust: `cargo test --test fuzz`.
//!
//! Each test generates inputs for one parser. It checks that nothing panics, and also that printed values can be read back,
//! that input in small pieces gives the same result, and that errors are short and show no secret.
//!
//! By default a test tries a few inputs, always the same ones. `VIRALDB_FUZZ_SECONDS` sets how long each property runs, and
//! `VIRALDB_FUZZ_SEED` selects other inputs. docs/src/reliability.md has the details.

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
