//! Checks of SQLite's storage: version, journal mode, write-ahead log and free pages.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use indicatif::HumanBytes;

use super::Patient;
use super::finding::{Check, Finding};
use crate::db::sqlite::Checkpoint;
use crate::db::{beside, on_backend, sqlite, untouched};
use crate::error::ResultExt;
use crate::{DatabaseUrl, DbConnection, Result};

pub(super) fn version(_: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let what = "this program was built with a SQLite older than 3.51.3";
    let why = "older versions can corrupt the file when they reset the write-ahead log";
    let old = Finding::error(Check::Version, what, why).mend("build viraldb again with its bundled SQLite");
    Ok(if sqlite::is_safe() { Vec::new() } else { vec![old] })
}

fn pragma(conn: &mut DbConnection, name: &str) -> Result<String> {
    on_backend!(conn, sqlite => |c| sqlite::pragma(c, name), postgres => |_c| Ok(String::new()))
        .of("the database", "")
}

pub(super) fn journal_mode(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let mode = patient.read(|conn| pragma(conn, "journal_mode"))?;
    // viraldb opens a file on a read-only mount as immutable, and SQLite then does not report the WAL mode.
    if mode == "wal" || is_logged(&patient.opener.url)? {
        return Ok(Vec::new());
    }
    let why = "without a write-ahead log, readers and writers block each other";
    let what = format!("the journal mode is {mode}, expected wal");
    Ok(vec![
        Finding::warning(Check::JournalMode, what, why)
            .mend("viraldb init, which sets the mode and keeps all rows; no other program may have the file open meanwhile"),
    ])
}

fn is_logged(url: &DatabaseUrl) -> Result<bool> {
    match url {
        DatabaseUrl::File(path) => untouched::is_logged(path),
        _ => Ok(false),
    }
}

/// A log larger than this is large: unless a reader prevents it, SQLite restarts the log after 4 MiB.
const MUCH: u64 = sqlite::LOG_LIMIT;

/// A log larger than its database is large only from this size on, because small databases often have a larger log.
const MUCH_OF_SMALL: u64 = 8 << 20;

/// Time for which a reader may block a checkpoint before it is reported.
const LONG: Duration = Duration::from_secs(1);

pub(super) fn wal(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let DatabaseUrl::File(path) = &patient.opener.url else { return Ok(Vec::new()) };
    let length = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len()); // the file may be missing
    let (size, log) = (length(path), length(&beside(path, "-wal")));
    if log <= MUCH && (log <= size || log <= MUCH_OF_SMALL) || !is_held(&mut patient.conn)? {
        return Ok(Vec::new());
    }
    let what = format!("the write-ahead log has {}, the database has {}", HumanBytes(log), HumanBytes(size));
    let why = "a program reads an old snapshot, so SQLite cannot truncate the log; the log grows and slows down reads";
    let who = match sqlite::holders(path).as_slice() {
        [] => format!("to list the programs: fuser -v {}", path.display()),
        holders => format!("the file is open in {}", holders.join(", ")),
    };
    let mend = format!("end the program that reads, or its transaction; {who}");
    Ok(vec![Finding::warning(Check::Wal, what, why).mend(mend)])
}

/// Returns true if a reader prevents copying the log into the database. Without such a reader, the next write restarts the
/// log, no matter how large it is.
fn is_held(conn: &mut DbConnection) -> Result<bool> {
    let mut checkpoint = || {
        on_backend!(&mut *conn, sqlite => |c| Checkpoint::passive(c).map(Some), postgres => |_c| Ok(None))
            .of("the database", "")
    };
    let Some(first) = checkpoint()? else { return Ok(false) };
    let deadline = Instant::now() + LONG;
    let mut now = first;
    while !now.is_whole() && now.checkpointed == first.checkpointed {
        if Instant::now() >= deadline {
            return Ok(true);
        }
        std::thread::sleep(LONG / 20);
        now = checkpoint()?.unwrap_or(first);
    }
    Ok(false)
}

pub(super) fn free_pages(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    #[derive(QueryableByName)]
    struct Pages {
        #[diesel(sql_type = BigInt)]
        free: i64,
        #[diesel(sql_type = BigInt)]
        pages: i64,
        #[diesel(sql_type = BigInt)]
        size: i64,
    }
    let sql = "SELECT freelist_count AS free, page_count AS pages, page_size AS size \
               FROM pragma_freelist_count, pragma_page_count, pragma_page_size";
    let Pages { free, pages, size } = patient
        .read(|conn| on_backend!(conn, |c| diesel::sql_query(sql).get_result(c)).of("the database", ""))?;
    let bytes = u64::try_from(free * size).unwrap_or_default();
    // Deleted rows leave free pages and new rows reuse them, so less than a quarter needs no action.
    if free * 4 < pages || bytes < 1 << 20 {
        return Ok(Vec::new());
    }
    let what = format!("{} of the file ({}%) are free pages", HumanBytes(bytes), free * 100 / pages.max(1));
    let why = "new rows will reuse them, but until then they waste space on the disk and in every backup";
    let mend = "while nothing writes: viraldb optimize --vacuum";
    let finding = Finding::info(Check::FreePages, what, why).mend(mend);
    let is_most = free * 2 >= pages && bytes >= MUCH;
    Ok(vec![if is_most { finding.with_severity(super::Severity::Warning) } else { finding }])
}
