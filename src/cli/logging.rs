//! The log on stderr and its level.

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;

use super::output::Messages;
use super::{LogFormat, color};
use viraldb::private::quote::{visible_json, visible_log};

/// Starts the log on stderr. `RUST_LOG` takes precedence over the level.
pub(super) fn start(verbose: u8, quiet: bool, format: LogFormat) {
    let level = match (quiet, verbose) {
        (true, _) => LevelFilter::ERROR,
        (false, 0) => LevelFilter::WARN,
        (false, 1) => LevelFilter::INFO,
        (false, 2) => LevelFilter::DEBUG,
        (false, _) => LevelFilter::TRACE,
    };
    let mut filter = EnvFilter::builder().with_default_directive(level.into()).from_env_lossy();
    // Log who changes something in the dashboard also without -v.
    if !quiet
        && std::env::var_os(EnvFilter::DEFAULT_ENV).is_none()
        && let Ok(actions) = "viraldb::dashboard=info".parse()
    {
        filter = filter.add_directive(actions);
    }
    let has_colors = color::on_stderr();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Log { format, has_colors })
        // Otherwise the logger would print its own errors on stderr, and panic if stderr cannot be written.
        .log_internal_errors(false)
        .with_ansi(has_colors);
    // This fails only if the log was already started, and then it keeps working.
    let _ = match format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    #[cfg(feature = "postgres")]
    viraldb::private::catch_printed();
}

/// The log on stderr, with control characters of data escaped.
struct Log {
    format: LogFormat,
    has_colors: bool,
}

impl Write for Log {
    /// Writes one event, which arrives in one piece.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let shown = match self.format {
            LogFormat::Text => visible_log(&text, self.has_colors).into(),
            LogFormat::Json => visible_json(&text),
        };
        Messages.write_all(shown.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Messages.flush()
    }
}
