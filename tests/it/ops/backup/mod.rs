//! Backups and restores.

mod before_migration;
mod damaged;
mod killed;
mod made;
#[cfg(all(unix, feature = "sqlite"))]
mod replaced;
mod restored;
mod sealed;

use std::path::{Path, PathBuf};

use serde_json::Value;
use viraldb::Database;

use crate::make;
use crate::support::{Ran, Scratch};

/// Creates a database with discovered videos and closes it, so that it can be replaced.
fn with_rows(t: &Scratch, videos: usize) {
    let db = t.db();
    add(&db, videos);
}

fn add(db: &Database, videos: usize) {
    db.write(|c| {
        for _ in 0..videos {
            make::discovered_video().insert(c)?;
        }
        Ok(())
    })
    .unwrap();
}

fn videos(t: &Scratch) -> usize {
    let db = t.db();
    count(&db, "discovered_videos")
}

fn count(db: &Database, table: &str) -> usize {
    let asked = format!("SELECT CAST(count(*) AS text) AS v FROM {table}");
    db.read(|c| Ok(make::query(c, &asked))).unwrap()[0].parse().unwrap()
}

/// Creates a backup in the default folder and returns its file.
fn back_up(t: &Scratch) -> PathBuf {
    let out: Value = serde_json::from_str(&t.ok(&["backup", "create", "--format", "json"])).unwrap();
    t.path(out["file"].as_str().unwrap())
}

fn restore(t: &Scratch, file: &Path) -> Ran {
    t.run(&["restore", "--yes", file.to_str().unwrap()])
}

/// Returns the names in a folder, sorted. A missing folder has none.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

/// Returns the unfinished folders that runs left. Folders without a lock file do not count, because they are removed only
/// later.
fn unfinished(folder: &Path) -> Vec<String> {
    let has_begun = |name: &String| name.contains("unfinished") && folder.join(name).join("lock").exists();
    names(folder).into_iter().filter(has_begun).collect()
}
