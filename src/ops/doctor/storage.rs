//! How a SQLite file is kept: its journal, its write-ahead log, its free pages.

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
    let why = "a reset of the write-ahead log could corrupt the file before that version";
    let old = Finding::error(Check::Version, what, why)
        .mend("build viraldb anew, with the SQLite that comes with it");
    Ok(if sqlite::is_safe() { Vec::new() } else { vec![old] })
}

fn pragma(conn: &mut DbConnection, name: &str) -> Result<String> {
    on_backend!(conn, sqlite => |c| sqlite::pragma(c, name), postgres => |_c| Ok(String::new()))
        .of("the database", "")
}

pub(super) fn journal_mode(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let mode = patient.read(|conn| pragma(conn, "journal_mode"))?;
    // A file on a read-only mount is read as one that never changes, and SQLite says that it has no log then.
    if mode == "wal" || is_logged(&patient.opener.url)? {
        return Ok(Vec::new());
    }
    let why = "readers and the writer wait for each other, which a write-ahead log spares them";
    let what = format!("the journal mode is {mode}, and should be wal");
    Ok(vec![
        Finding::warning(Check::JournalMode, what, why)
            .mend("viraldb init, which sets it and keeps every row; it needs a moment in which no other program has the file open"),
    ])
}

fn is_logged(url: &DatabaseUrl) -> Result<bool> {
    match url {
        DatabaseUrl::File(path) => untouched::is_logged(path),
        _ => Ok(false),
    }
}

/// More than this is much: SQLite begins the log anew after 4 MiB, if nobody reads on.
const MUCH: u64 = sqlite::LOG_LIMIT;

/// A log larger than its database is much only from here on; a small database is soon smaller than its log.
const MUCH_OF_SMALL: u64 = 8 << 20;

/// How long a reader may keep the log as it is without being called a reader that never ends.
const LONG: Duration = Duration::from_secs(1);

pub(super) fn wal(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let DatabaseUrl::File(path) = &patient.opener.url else { return Ok(Vec::new()) };
    let length = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |file| file.len()); // it need not be there
    let (size, log) = (length(path), length(&beside(path, "-wal")));
    if log <= MUCH && (log <= size || log <= MUCH_OF_SMALL) || !is_held(&mut patient.conn)? {
        return Ok(Vec::new());
    }
    let what = format!("the write-ahead log has {}, the database {}", HumanBytes(log), HumanBytes(size));
    let why = "somebody reads an old state and keeps the log from being emptied; it grows, and every read looks into it";
    let who = match sqlite::holders(path).as_slice() {
        [] => format!("`fuser -v {}` names who has it open", path.display()),
        holders => format!("it is open in {}", holders.join(", ")),
    };
    let mend = format!("end the program that reads, or its transaction: {who}");
    Ok(vec![Finding::warning(Check::Wal, what, why).mend(mend)])
}

/// Whether a reader keeps the log from being copied into the database. Without one, the log begins anew with the next
/// write, however large it has become.
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
    // Deleted rows leave them, and new rows take them; a quarter is no reason to do anything.
    if free * 4 < pages || bytes < 1 << 20 {
        return Ok(Vec::new());
    }
    let what = format!("{} of the file, {} %, are free pages", HumanBytes(bytes), free * 100 / pages.max(1));
    let why = "new rows fill them, but until then they take room on the disk and in every backup";
    let mend = "when nothing writes: viraldb optimize --vacuum";
    let finding = Finding::info(Check::FreePages, what, why).mend(mend);
    let is_most = free * 2 >= pages && bytes >= MUCH;
    Ok(vec![if is_most { finding.with_severity(super::Severity::Warning) } else { finding }])
}
