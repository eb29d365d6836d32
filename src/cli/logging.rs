//! Where the log goes and how much of it.

use std::io::IsTerminal;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::LogFormat;
use super::output::Messages;

/// Starts the log on stderr. `RUST_LOG` has the last word on how much.
pub(super) fn start(verbose: u8, quiet: bool, format: LogFormat) {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| Messages)
        // It would report them on stderr, and panic where stderr cannot be written.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    // Only a second start fails, and then the first one serves.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
