//! Files that commands write: backups, and exports of all tables.

use std::collections::BTreeMap;
use std::os::unix::fs::DirEntryExt;
use std::path::Path;

use serde_json::Value;

use crate::lane::{Lane, Work};
use crate::tally::Left;

#[derive(Default)]
pub struct Files {
    /// Backups that were acknowledged and not pruned.
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
        // It removes the oldest.
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

    /// Every backup that has its name is whole, and those that were acknowledged are there; returns how many there are.
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
            lane.expect(backup["state"] == "whole", || {
                format!("a backup has its name and is not whole: {backup}")
            });
        }
        if !found.is_empty() {
            lane.sure("backup verify", &["backup", "verify", "--in", "backups"]);
        }
        let ends_like =
            |file: &String| found.iter().any(|found| found.rsplit('/').next() == file.rsplit('/').next());
        let lost: Vec<_> = self.backups.iter().filter(|file| !ends_like(file)).collect();
        lane.expect(lost.is_empty(), || format!("backups that were acknowledged are gone: {lost:?}"));
        // The names sort by time.
        self.backups = found;
        self.backups.sort();
        self.backups = self.backups.iter().map(|file| lane.text_path(file)).collect();
        self.backups.len()
    }
}

/// Restores the newest backup into a scratch place, and perhaps is killed there; the database is not touched.
fn drill(lane: &mut Lane<'_>) {
    let ran = lane.run("backup drill", &["backup", "drill", "--in", "backups"]);
    lane.after(&ran, Left::Nothing);
}

/// The files of an export, by inode: whether an export exchanged all of them shows even if they are alike.
fn inodes(folder: &Path) -> BTreeMap<String, u64> {
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
    files.map(|file| (file.file_name().to_string_lossy().into_owned(), file.ino())).collect()
}

/// The files of an export become visible together, whenever it is killed.
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
    // An export in the other form stays in the folder.
    let is_new = after.keys().filter(|name| name.ends_with(form)).count() == 22
        && after.iter().all(|(name, inode)| name.ends_with(form) == (before.get(name) != Some(inode)));
    lane.expect(is_new || is_old && !ran.is_done, || {
        format!("an export mixed files: {before:?} became {after:?}")
    });
    for name in after.keys().filter(|name| name.ends_with(".jsonl")) {
        let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
        let is_json = |line: &str| serde_json::from_str::<Value>(line).is_ok();
        let is_whole = text.is_empty() || text.ends_with('\n') && text.lines().all(is_json);
        lane.expect(is_whole, || format!("the exported file {name} is not whole"));
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
    // One that was killed when only the folder itself was left is removed a little later.
    let has_any = |name: &String| !entries(&lane.path(name)).is_empty();
    let rest: Vec<String> = entries(&lane.path(""))
        .into_iter()
        .filter(|name| name.contains("unfinished") && has_any(name))
        .collect();
    lane.expect(rest.is_empty(), || format!("an export left what killed ones had left: {rest:?}"));
    let mut rows = 0;
    for table in ran.json().as_array().into_iter().flatten() {
        let (name, count) =
            (table["table"].as_str().unwrap_or_default(), table["rows"].as_u64().unwrap_or_default());
        rows += count;
        if form == "jsonl" {
            let text = std::fs::read_to_string(folder.join(format!("{name}.jsonl"))).unwrap_or_default();
            let there = text.lines().count() as u64;
            lane.expect(there == count, || {
                format!("{count} rows of {name} were exported, {there} are in the file")
            });
        }
    }
    lane.acknowledged(rows);
}

fn entries(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
