//! Decides by name which files are read, and recognizes YouTube Studio totals by their content.

use std::ffi::OsStr;
use std::io::Read;

use super::{decode, studio};

/// Number of bytes at the start of a file that are read to recognize totals.
pub(super) const HEAD: u64 = 16 * 1024;

/// Extensions of the files that are read, without [`PACKED`].
const READ: [&str; 6] = [".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson"];

/// Extensions of compressed files.
const PACKED: [&str; 2] = [".gz", ".zst"];

/// Extension of archives. An archive inside an archive is not read.
const ARCHIVE: &str = ".zip";

/// Extensions of files that another program is still writing.
const UNFINISHED: [&str; 3] = [".part", ".tmp", ".crdownload"];

/// Returns the reason why a file of an archive is skipped, or `None` if it is read.
pub(super) fn reason_to_skip(name: &str) -> Option<&'static str> {
    let lower = name.to_lowercase();
    let file = lower.rsplit(['/', '\\']).next().unwrap_or_default();
    if lower.starts_with("__macosx/") || file.starts_with('.') {
        Some("it is a hidden file")
    } else if !is_rows(file) {
        Some("it is not a CSV or JSON file")
    } else if file_is_totals(file) {
        Some(studio::TOTALS)
    } else {
        None
    }
}

/// Returns true for a file or folder that a folder search skips: a hidden one, or a lock file or copy that an office
/// program keeps next to a document.
pub(super) fn is_hidden(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b".")
        || name.as_encoded_bytes().starts_with(b"~")
        || name == "__MACOSX"
}

/// Returns true for a file that another program is still writing.
pub(super) fn is_unfinished(name: &OsStr) -> bool {
    let lower = name.to_string_lossy().to_lowercase();
    UNFINISHED.iter().any(|ending| lower.ends_with(ending))
}

/// Returns true for a file that a folder search reads.
pub(super) fn is_read(name: &OsStr) -> bool {
    let lower = name.to_string_lossy().to_lowercase();
    is_rows(&lower) || lower.ends_with(ARCHIVE)
}

/// Lists the extensions that [`is_read`] accepts, for messages.
pub(super) fn endings() -> String {
    let packed = PACKED.join(" or ");
    format!("{} files (optionally with {packed}) and {ARCHIVE} archives", READ.join(", "))
}

/// Returns true for YouTube Studio totals. They are recognized by content, because their name depends on the language of the
/// account.
pub(super) fn is_totals(name: &str, head: &[u8]) -> bool {
    let mut text = Vec::new();
    match decode::plain(name, head) {
        // Ignore the error at the end: the head of a compressed file is always cut off.
        Ok(read) => drop(read.take(HEAD).read_to_end(&mut text).is_ok()),
        Err(_) => return false,
    }
    studio::is_totals(&text)
}

/// Splits a file name before its extensions: `a.b.csv.gz` becomes `a.b` and `.csv.gz`.
pub(super) fn split(name: &str) -> (&str, &str) {
    let lower = name.to_ascii_lowercase(); // ASCII lowercasing keeps the length
    let unpacked = PACKED.iter().find_map(|ending| lower.strip_suffix(ending)).unwrap_or(&lower);
    let stem = unpacked.rfind('.').filter(|at| *at > 0).unwrap_or(unpacked.len());
    name.split_at_checked(stem).unwrap_or((name, ""))
}

/// Returns true for the lowercase name of a file with rows.
fn is_rows(lower: &str) -> bool {
    let unpacked = PACKED.iter().find_map(|ending| lower.strip_suffix(ending)).unwrap_or(lower);
    READ.iter().any(|ending| unpacked.ends_with(ending))
}

/// Returns true for the lowercase English name of YouTube Studio totals.
fn file_is_totals(lower: &str) -> bool {
    PACKED.iter().find_map(|ending| lower.strip_suffix(ending)).unwrap_or(lower) == "totals.csv"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_chosen_by_name() {
        for name in ["a.csv", "A.CSV.GZ", "b.ndjson.zst", "export.zip", "x.txt"] {
            assert!(is_read(name.as_ref()), "{name}");
        }
        for name in ["a.png", "csv", "a.csv.part", "a.zip.gz", "viral.db", "a.csv~"] {
            assert!(!is_read(name.as_ref()), "{name}");
        }
        for name in [".a.csv", "~$a.csv", "__MACOSX"] {
            assert!(is_hidden(name.as_ref()), "{name}");
        }
        for name in ["a.csv.part", "a.TMP", "a.csv.crdownload"] {
            assert!(is_unfinished(name.as_ref()) && !is_hidden(name.as_ref()), "{name}");
        }
    }

    #[test]
    fn names_are_split_before_their_extensions() {
        for (name, parts) in [
            ("a.csv", ("a", ".csv")),
            ("a.b.CSV.gz", ("a.b", ".CSV.gz")),
            ("a", ("a", "")),
            (".csv", (".csv", "")),
            ("é.zip", ("é", ".zip")),
            ("a.gz", ("a", ".gz")),
        ] {
            assert_eq!(split(name), parts, "{name}");
        }
    }
}
