//! The command `viraldb`.

fn main() -> std::process::ExitCode {
    viraldb::cli::run(viraldb::cli::parse())
}
