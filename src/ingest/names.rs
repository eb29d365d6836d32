//! Which files are read, by their names, and the totals of YouTube Studio by what they hold.

use std::ffi::OsStr;
use std::io::Read;

use super::{decode, studio};

/// How much of a file is looked at to tell whether it holds totals, in bytes.
pub(super) const HEAD: u64 = 16 * 1024;

/// How names of files end that are read, without [`PACKED`].
const READ: [&str; 6] = [".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson"];

/// How names of compressed files end.
const PACKED: [&str; 2] = [".gz", ".zst"];

/// How names of archives end. An archive within an archive is not read.
const ARCHIVE: &str = ".zip";

/// How names of files end that another program is still writing.
const UNFINISHED: [&str; 3] = [".part", ".tmp", ".crdownload"];

/// Says why a file of an archive is not read.
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

/// Returns true for a file or folder that a search in a folder leaves out: a hidden one, or a lock or copy that an
/// office program keeps next to a document.
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

/// Returns true for a file that is read when its folder is.
pub(super) fn is_read(name: &OsStr) -> bool {
    let lower = name.to_string_lossy().to_lowercase();
    is_rows(&lower) || lower.ends_with(ARCHIVE)
}

/// The endings that [`is_read`] knows, for messages.
pub(super) fn endings() -> String {
    let packed = PACKED.join(" or ");
    format!("{} and {ARCHIVE} files, also with {packed}", READ.join(", "))
}

/// Returns true for the totals of YouTube Studio, whatever their name is in the language of the account.
pub(super) fn is_totals(name: &str, head: &[u8]) -> bool {
    let mut text = Vec::new();
    match decode::plain(name, head) {
        // The head of a compressed file is cut off.
        Ok(read) => drop(read.take(HEAD).read_to_end(&mut text).is_ok()),
        Err(_) => return false,
    }
    studio::is_totals(&text)
}

/// Splits a name before the endings by which viraldb knows the file: `a.b.csv.gz` is `a.b` and `.csv.gz`.
pub(super) fn split(name: &str) -> (&str, &str) {
    let lower = name.to_ascii_lowercase(); // of the same length as the name
    let unpacked = PACKED.iter().find_map(|ending| lower.strip_suffix(ending)).unwrap_or(&lower);
    let stem = unpacked.rfind('.').filter(|at| *at > 0).unwrap_or(unpacked.len());
    name.split_at_checked(stem).unwrap_or((name, ""))
}

/// Returns true for a name in lower case of a file of rows.
fn is_rows(lower: &str) -> bool {
    let unpacked = PACKED.iter().find_map(|ending| lower.strip_suffix(ending)).unwrap_or(lower);
    READ.iter().any(|ending| unpacked.ends_with(ending))
}

/// Returns true for the name in lower case that YouTube Studio gives the totals in English.
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
    fn names_are_split_before_their_endings() {
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
