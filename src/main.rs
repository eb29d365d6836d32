//! The command `viraldb`.

mod cli;

fn main() -> std::process::ExitCode {
    cli::run(cli::parse())
}
