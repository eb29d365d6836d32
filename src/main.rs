//! The command `viraldb`.

use clap::Parser;

fn main() -> std::process::ExitCode {
    viraldb::cli::run(viraldb::cli::Cli::parse())
}
