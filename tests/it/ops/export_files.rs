//! All files of an export appear at once, and other files are kept.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use viraldb::compilation::{NewAnalytics, NewErrorLog};

use crate::make;
use crate::support::{Scratch, both};

const KILLS: usize = 60;

/// Adds the same number of rows to both exported tables.
fn add(t: &Scratch, rows: usize) {
    t.db()
        .write(|c| {
            NewAnalytics::insert_many(c, &vec![make::analytics(); rows])?;
            NewErrorLog::insert_many(c, &vec![make::error(); rows])
        })
        .unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("viral.db"))
        .collect();
    names.sort();
    names
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).unwrap().lines().count()
}

/// Returns the number of folders that killed runs left. Folders without a lock file do not count, because they are
/// removed only later.
fn unfinished_folders(t: &Scratch) -> usize {
    let has_begun = |name: &&String| name.starts_with(".viraldb-") && t.path(name).join("lock").exists();
    names(t.dir.path()).iter().filter(has_begun).count()
}

both! {
    fn killed_export_replaces_all_files_or_none(t) {
        add(t, 300);
        let export = |to: &str| t.command(&["export", "analytics", "error_log", "--to", to]).stdout(Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        assert!(export("rows").wait().unwrap().success());
        let whole = begin.elapsed();
        let (mut old, mut new, mut partly) = (0, 0, 0);
        while old + new < KILLS {
            let before = lines(&t.path("rows/analytics.jsonl"));
            add(t, 1);
            let mut child = export("rows");
            std::thread::sleep(whole.mul_f64(fastrand::f64() * 1.2));
            child.kill().unwrap();
            child.wait().unwrap();
            partly += usize::from(unfinished_folders(t) > 0);
            assert_eq!(names(&t.path("rows")), ["analytics.jsonl", "error_log.jsonl"]);
            let found = ["analytics", "error_log"].map(|table| lines(&t.path(&format!("rows/{table}.jsonl"))));
            assert_eq!(found[0], found[1], "both files must come from the same export");
            if found[0] == before { old += 1 } else { new += 1 }
        }
        assert!(old > 5 && partly > 5, "{old} kills kept the old files, {new} have the new ones, {partly} left unfinished files");
        // A new folder appears with all files or not at all.
        for _ in 0..20 {
            let mut child = export("fresh");
            std::thread::sleep(whole.mul_f64(fastrand::f64()));
            child.kill().unwrap();
            child.wait().unwrap();
            if t.path("fresh").exists() {
                assert_eq!(names(&t.path("fresh")), ["analytics.jsonl", "error_log.jsonl"]);
                fs::remove_dir_all(t.path("fresh")).unwrap();
            }
        }
        assert!(export("rows").wait().unwrap().success());
        assert_eq!(unfinished_folders(t), 0, "{:?}", names(t.dir.path()));
    }

    fn next_export_removes_leftovers_of_a_killed_one(t) {
        add(t, 300);
        let export = || t.command(&["export", "analytics", "--to", "rows.jsonl"]).stdout(Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        assert!(export().wait().unwrap().success());
        let whole = begin.elapsed();
        let mut partly = 0;
        for _ in 0..40 {
            let mut child = export();
            std::thread::sleep(whole.mul_f64(fastrand::f64()));
            child.kill().unwrap();
            child.wait().unwrap();
            partly += usize::from(unfinished_folders(t) > 0);
        }
        assert!(partly > 3, "{partly}");
        assert!(export().wait().unwrap().success());
        assert_eq!(unfinished_folders(t), 0, "{:?}", names(t.dir.path()));
    }

    fn export_keeps_unfinished_files_of_running_processes(t) {
        add(t, 1);
        for name in [".viraldb-unfinished-living", ".viraldb-unfinished-dead"] {
            fs::create_dir_all(t.path(name).join("rows")).unwrap();
            File::create(t.path(name).join("lock")).unwrap();
        }
        let lock = File::open(t.path(".viraldb-unfinished-living/lock")).unwrap();
        lock.lock().unwrap();
        t.ok(&["export", "--all", "--to", "rows"]);
        assert_eq!(names(t.dir.path()), [".viraldb-unfinished-living", "rows"]);
        drop(lock);
        t.ok(&["export", "analytics", "--to", "one.jsonl"]);
        assert_eq!(names(t.dir.path()), ["one.jsonl", "rows"]);
    }

    fn export_never_removes_files_it_did_not_write(t) {
        add(t, 2);
        let two = ["export", "analytics", "error_log", "--to", "rows"];
        t.ok(&two);
        // Files of other tables and formats are kept, and so are the permissions.
        t.ok(&["export", "clips", "shorts", "--to", "rows", "--as", "csv"]);
        t.ok(&["export", "trends", "--to", "rows"]);
        let all = ["analytics.jsonl", "clips.csv", "error_log.jsonl", "shorts.csv", "trends.jsonl"];
        assert_eq!(names(&t.path("rows")), all);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(t.path("rows"), fs::Permissions::from_mode(0o750)).unwrap();
            std::os::unix::fs::symlink("rows", t.path("link")).unwrap();
            add(t, 1);
            t.ok(&["export", "analytics", "error_log", "--to", "link"]);
            assert!(t.path("link").symlink_metadata().unwrap().is_symlink());
            assert_eq!(fs::metadata(t.path("rows")).unwrap().permissions().mode() & 0o777, 0o750);
            assert_eq!(fs::metadata(t.path("rows/analytics.jsonl")).unwrap().permissions().mode() & 0o777, 0o600);
            assert_eq!(lines(&t.path("rows/analytics.jsonl")), 3);
            fs::remove_file(t.path("link")).unwrap();
            std::os::unix::fs::symlink("nowhere", t.path("link")).unwrap();
            let ran = t.run(&["export", "--all", "--to", "link"]);
            assert!(ran.code == 1 && ran.err.contains("a link to a folder that does not exist"), "{}", ran.err);
            fs::remove_file(t.path("link")).unwrap();
        }
        assert_eq!(names(&t.path("rows")), all);
        // If the folder contains a file that no export wrote, the export fails and changes nothing.
        fs::write(t.path("rows/notes.txt"), "mine").unwrap();
        let before = fs::read(t.path("rows/analytics.jsonl")).unwrap();
        add(t, 1);
        let ran = t.run(&two);
        assert!(ran.code == 1 && ran.err.contains("contains \"notes.txt\", which no export wrote"), "{}", ran.err);
        assert_eq!(fs::read_to_string(t.path("rows/notes.txt")).unwrap(), "mine");
        assert_eq!(fs::read(t.path("rows/analytics.jsonl")).unwrap(), before);
        // The export of one table replaces only its own file, so other files do not matter.
        t.ok(&["export", "analytics", "--to", "rows"]);
        assert_eq!(lines(&t.path("rows/analytics.jsonl")), 4);
        for (name, why) in [("analytics.jsonl/below", "analytics.jsonl"), ("sub/below", "sub")] {
            fs::create_dir_all(t.path("other").join(name)).unwrap();
            let ran = t.run(&["export", "--all", "--to", "other"]);
            assert!(ran.code == 1 && ran.err.contains(why), "{}", ran.err);
            assert!(t.path("other").join(name).is_dir());
            fs::remove_dir_all(t.path("other")).unwrap();
        }
        fs::create_dir(t.path("here")).unwrap();
        let ran = t.command(&["export", "--all", "--to", "."]).current_dir(t.path("here")).output().unwrap();
        let said = String::from_utf8(ran.stderr).unwrap();
        assert!(said.contains("is the current folder"), "{said}");
        let ran = t.run(&["export", "--all", "--to", "rows/notes.txt"]);
        assert!(ran.code == 1 && ran.err.contains("is not a folder"), "{}", ran.err);
        assert_eq!(unfinished_folders(t), 0, "{:?}", names(t.dir.path()));
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn export_into_the_folder_of_the_database_is_rejected() {
    let t = Scratch::sqlite();
    fs::create_dir(t.path("rows")).unwrap();
    let url = format!("sqlite://{}", t.path("rows/clips.csv").display());
    drop(viraldb::Database::open(&url).unwrap());
    let ran = t.run(&["--database-url", &url, "export", "--all", "--to", "rows"]);
    assert!(ran.code == 1 && ran.err.contains("contains the database itself"), "{}", ran.err);
    assert_eq!(names(&t.path("rows")), ["clips.csv"]);
}
