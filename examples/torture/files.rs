//! Tests commands that write files: backups and exports of all tables.

use std::collections::BTreeMap;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

use serde_json::Value;

use crate::lane::{Lane, Work};
use crate::tally::Left;

#[derive(Default)]
pub struct Files {
    /// Backups that were acknowledged and have not been pruned.
    backups: Vec<String>,
}

impl Work for Files {
    fn set_up(&mut self, lane: &mut Lane<'_>) {
        std::fs::create_dir_all(lane.path("backups")).unwrap();
    }

    fn step(&mut self, lane: &mut Lane<'_>) {
        match lane.rng.u8(..8) {
            0..=2 => self.back_up(lane),
            3 => self.prune(lane),
            4 if !self.backups.is_empty() => drill(lane),
            _ => export(lane),
        }
    }

    fn check(&mut self, lane: &mut Lane<'_>) {
        self.check_backups(lane);
        if !self.backups.is_empty() {
            lane.sure("backup drill", &["backup", "drill", "--in", "backups"]);
        }
    }
}

impl Files {
    fn back_up(&mut self, lane: &mut Lane<'_>) {
        let ran = lane.run("backup create", &["backup", "create", "--to", "backups", "--format", "json"]);
        let document = ran.json();
        let before = self.backups.len();
        if let (true, Some(file)) = (ran.is_done, document["file"].as_str()) {
            self.backups.push(lane.text_path(file));
            lane.sure("backup verify", &["backup", "verify", file]);
            return lane.acknowledged(
                document["manifest"]["rows"]
                    .as_object()
                    .map_or(0, |rows| rows.values().filter_map(Value::as_u64).sum()),
            );
        }
        let found = self.check_backups(lane);
        let is_part = entries(&lane.path("backups")).iter().any(|name| name.contains("unfinished"));
        let left = if found > before {
            Left::Whole
        } else if is_part {
            Left::Part
        } else {
            Left::Nothing
        };
        lane.after(&ran, left);
    }

    fn prune(&mut self, lane: &mut Lane<'_>) {
        let ran = lane
            .run("backup prune", &["backup", "prune", "--keep", "2", "--in", "backups", "--format", "json"]);
        // The prune removes the oldest backups.
        let keep = self.backups.len().saturating_sub(2);
        let is_there = |file: &String| std::path::Path::new(file).exists();
        let gone = self.backups.iter().take_while(|file| !is_there(file)).count();
        lane.expect(self.backups[keep..].iter().all(is_there), || {
            "a prune removed one of the newest backups".to_owned()
        });
        self.backups.retain(is_there);
        if !ran.is_done {
            self.check_backups(lane);
            lane.after(
                &ran,
                match gone {
                    0 => Left::Nothing,
                    gone if gone < keep => Left::Part,
                    _ => Left::Whole,
                },
            );
        }
    }

    /// Checks that every listed backup is complete and that no acknowledged backup is missing. Returns the number of backups.
    fn check_backups(&mut self, lane: &mut Lane<'_>) -> usize {
        let listed =
            lane.sure("backup list", &["backup", "list", "--in", "backups", "--format", "json"]).json();
        let found: Vec<String> = listed
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|backup| Some(backup["file"].as_str()?.to_owned()))
            .collect();
        for backup in listed.as_array().into_iter().flatten() {
            lane.expect(backup["state"] == "intact", || format!("a listed backup is not complete: {backup}"));
        }
        if !found.is_empty() {
            lane.sure("backup verify", &["backup", "verify", "--in", "backups"]);
        }
        let ends_like =
            |file: &String| found.iter().any(|found| found.rsplit('/').next() == file.rsplit('/').next());
        let lost: Vec<_> = self.backups.iter().filter(|file| !ends_like(file)).collect();
        lane.expect(lost.is_empty(), || format!("acknowledged backups are missing: {lost:?}"));
        // Sorting by name also sorts the backups by time.
        self.backups = found;
        self.backups.sort();
        self.backups = self.backups.iter().map(|file| lane.text_path(file)).collect();
        self.backups.len()
    }
}

/// Runs a backup drill, which may be killed. It restores the newest backup into a temporary database only.
fn drill(lane: &mut Lane<'_>) {
    let ran = lane.run("backup drill", &["backup", "drill", "--in", "backups"]);
    lane.after(&ran, Left::Nothing);
}

/// Returns the inode of each file of an export. A replaced file has a new inode, even if its contents are the same.
fn inodes(folder: &Path) -> BTreeMap<String, u64> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.map(|file| (file.file_name().to_string_lossy().into_owned(), file.ino())).collect()
}

/// Checks that all files of an export become visible together, even if it is killed.
fn export(lane: &mut Lane<'_>) {
    let form = if lane.rng.u8(..4) == 0 { "csv" } else { "jsonl" };
    let folder = lane.path("export");
    if lane.rng.u8(..4) == 0 {
        let _ = std::fs::remove_dir_all(&folder);
    }
    let before = inodes(&folder);
    let ran =
        lane.run("export --all", &["export", "--all", "--to", "export", "--as", form, "--format", "json"]);
    let after = inodes(&folder);
    let is_old = after == before;
    // Files of an export in the other format stay in the folder.
    let is_new = after.keys().filter(|name| name.ends_with(form)).count() == 22
        && after.iter().all(|(name, inode)| name.ends_with(form) == (before.get(name) != Some(inode)));
    lane.expect(is_new || is_old && !ran.is_done, || {
        format!("an export replaced only some files: {before:?} became {after:?}")
    });
    for name in after.keys().filter(|name| name.ends_with(".jsonl")) {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
        let is_whole = text.is_empty() || text.ends_with('\n') && text.lines().all(is_json);
        lane.expect(is_whole, || format!("the exported file {name} is not complete"));
    }
    if !ran.is_done {
        let is_part = || entries(&lane.path("")).iter().any(|name| name.contains("unfinished"));
        let left = if is_new {
            Left::Whole
        } else if is_part() {
            Left::Part
        } else {
            Left::Nothing
        };
        return lane.after(&ran, left);
    }
    // An export removes the files that killed exports left. An empty folder may remain for a short time.
    let has_any = |name: &String| !entries(&lane.path(name)).is_empty();
    let rest: Vec<String> = entries(&lane.path(""))
        .into_iter()
        .filter(|name| name.contains("unfinished") && has_any(name))
        .collect();
    lane.expect(rest.is_empty(), || {
        format!("an export did not remove the files of killed exports: {rest:?}")
    });
    let mut rows = 0;
    for table in ran.json().as_array().into_iter().flatten() {
        let (name, count) =
            (table["table"].as_str().unwrap_or_default(), table["rows"].as_u64().unwrap_or_default());
        rows += count;
        if form == "jsonl" {
            let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap_or_default();
            let there = text.lines().count() as u64;
            lane.expect(there == count, || {
                format!("an export reported {count} rows of {name}, but the file has {there}")
            });
        }
    }
    lane.acknowledged(rows);
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
