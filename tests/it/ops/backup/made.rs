//! Creating, listing, verifying, pruning and drilling backups.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use viraldb::ops::backup::{self, Create, Keep, Manifest, Prune};
use viraldb::republishing::NewChannel;
use viraldb::secrets::{self, Key, Keyring, Place};

use super::*;
use crate::support::both;

#[cfg(unix)]
both! {
    fn dangling_symlink_as_target_is_rejected_without_leftovers(t) {
        use std::os::unix::fs::symlink;
        with_rows(t, 2);
        for (link, to) in [("x.zst", "x.zst"), ("y.zst.manifest.json", "y.zst"), ("folder", "folder"), ("gone", "gone/x.zst")] {
            let folder = t.path("out");
            std::fs::create_dir(&folder).unwrap();
            symlink("nowhere", folder.join(link)).unwrap();
            let ran = t.run(&["backup", "create", "--to", folder.join(to).to_str().unwrap()]);
            assert!(ran.code == 1 && ran.err.contains("is a symbolic link to nowhere, which does not exist"), "{link}: {}", ran.err);
            assert_eq!(names(&folder), [link]);
            std::fs::remove_dir_all(&folder).unwrap();
        }
        // A link to an existing folder is followed.
        std::fs::create_dir(t.path("real")).unwrap();
        symlink("real", t.path("link")).unwrap();
        t.ok(&["backup", "create", "--to", "link"]);
        assert_eq!(names(&t.path("real")).len(), 2);
    }
}

both! {
    fn manifest_describes_the_backup(t) {
        let db = t.db();
        db.write(make::seed).unwrap();
        let (first, used) = (Key::generate().unwrap(), Key::generate().unwrap());
        let id = used.id();
        let place = Place::Setting("api".to_owned());
        let again = |key: &Key| key.to_text().reveal().parse().unwrap();
        db.write(|c| secrets::set(c, &Keyring::new([again(&first)]), &place, &"planted".to_owned().into())).unwrap();
        secrets::rotate(&db, &Keyring::new([used, first]), 10, &mut |_| ()).unwrap();
        let file = back_up(t);
        let name = file.file_name().unwrap().to_str().unwrap();
        assert_eq!(file.parent().unwrap(), t.path("backups"));
        assert!(name.ends_with(if t.is_postgres { ".dump.zst" } else { ".db.zst" }), "{name}");
        assert_eq!(names(&t.path("backups")), [name.to_owned(), format!("{name}.manifest.json")]);
        let manifest = Manifest::read(&file).unwrap().unwrap();
        let rows = |table: &str| manifest.rows[&if t.is_postgres { format!("public.{table}") } else { table.to_owned() }];
        for table in make::contract() {
            assert_eq!(rows(table.table), count(&db, table.table) as u64, "{}", table.table);
        }
        assert_eq!(manifest.keys, [id.to_string()]);
        assert_eq!(manifest.schema, db.history().unwrap().newest_applied().unwrap());
        assert_eq!((manifest.sealed, manifest.orphans, manifest.bytes), (false, 0, std::fs::metadata(&file).unwrap().len()));
        assert_eq!(manifest.viraldb, env!("CARGO_PKG_VERSION"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            for path in [&file, &Manifest::path_of(&file)] {
                assert_eq!(std::fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600);
            }
        }

        let listed: Vec<Value> = serde_json::from_str(&t.ok(&["backup", "list", "--format", "json"])).unwrap();
        assert_eq!((listed.len(), &listed[0]["state"], &listed[0]["sealed"]), (1, &"intact".into(), &false.into()));
        assert!(t.ok(&["backup", "verify"]).ends_with("  intact, compared with its manifest\n"));
        let drilled: Value = serde_json::from_str(&t.ok(&["backup", "drill", "--format", "json"])).unwrap();
        assert_eq!(drilled["rows"], manifest.rows.values().sum::<u64>());
        assert!(drilled["seconds"].as_f64().unwrap() > 0.0);
        assert_eq!(names(&t.path("backups")).len(), 2, "a drill must leave no files");
    }

    fn backup_is_one_snapshot_while_others_write(t) {
        let db = t.db();
        let (stop, written) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|s| {
            s.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    // Two tables always have the same number of rows.
                    let done = db.write(|c| {
                        make::discovered_video().insert(c)?;
                        NewChannel::new("Clips", make::unique("UC")).insert(c)
                    });
                    done.unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
            let mut before = 0;
            for _ in 0..6 {
                while written.load(Ordering::Relaxed) < before + 20 {
                    std::thread::yield_now();
                }
                let file = back_up(t);
                let rows = Manifest::read(&file).unwrap().unwrap().rows;
                let of = |table: &str| rows.iter().find(|(name, _)| name.ends_with(table)).unwrap();
                assert_eq!(of("discovered_videos").1, of("channels").1);
                assert!(*of("channels").1 as usize >= before);
                before = *of("channels").1 as usize;
            }
            stop.store(true, Ordering::Relaxed);
        });
        assert!(t.ok(&["backup", "verify"]).lines().all(|line| line.ends_with("  intact, compared with its manifest")));
        assert_eq!(t.ok(&["backup", "verify"]).lines().count(), 6);
    }

    fn backup_is_written_to_the_given_path(t) {
        with_rows(t, 1);
        t.ok(&["backup", "create", "--output", "a/b"]);
        assert_eq!(names(&t.path("a/b")).len(), 2);
        t.ok(&["backup", "create", "-o", "c.zst"]);
        assert!(t.path("c.zst").is_file() && t.path("c.zst.manifest.json").is_file());
        for (to, said) in [("c.zst", "c.zst already exists"), ("c.age", "must end in .zst"), ("c.zst/d", "c.zst"), (".c.zst", "begins with a dot")] {
            let ran = t.run(&["backup", "create", "--to", to]);
            assert!(ran.code == 1 && ran.err.contains(said), "{to}: {}", ran.err);
        }
        t.ok(&["backup", "verify", "--in", "a/b"]);
        t.ok(&["backup", "drill", "--in", "a/b"]);
        let none = t.run(&["backup", "verify"]);
        assert!(none.code == 1 && none.err.contains("found no backups; make one with `viraldb backup create`"), "{}", none.err);
        for args in [&["backup", "list"][..], &["backup", "verify"], &["backup", "prune", "--keep", "1"], &["backup", "drill"]] {
            let ran = t.run(&[args, &["--in", "nowhere"]].concat());
            assert!(ran.code == 1 && ran.err.contains("nowhere is not a folder"), "{}", ran.err);
        }
        let none = t.run(&["backup", "drill"]);
        assert!(none.code == 1 && none.err.contains("create one with `viraldb backup create`"), "{}", none.err);
        let missing = t.run(&["backup", "verify", "nope.zst"]);
        assert!(missing.code == 4 && missing.out.contains("nope.zst"), "{}{}", missing.out, missing.err);
    }

    fn missing_database_is_not_backed_up(t) {
        let ran = t.run(&["backup", "create"]);
        assert!(ran.code == 1 && ran.err.contains("viraldb init"), "{}", ran.err);
        assert_eq!(names(&t.path("backups")), Vec::<String>::new());
        let url = if t.is_postgres { "postgres://nobody@%2Fnowhere/x" } else { "sqlite::memory:" };
        assert_eq!(t.run(&["backup", "create", "--database-url", url]).code, 1);
    }

    fn prune_always_keeps_the_newest_intact_backup(t) {
        with_rows(t, 3);
        let files: Vec<_> = (0..4).map(|_| back_up(t)).collect();
        let dry = t.ok(&["backup", "prune", "--keep", "1", "--dry-run"]);
        assert_eq!(dry.lines().count(), 3);
        assert_eq!(names(&t.path("backups")).len(), 8);
        // Damage the newest two backups. One of them keeps its length.
        let mut bytes = std::fs::read(&files[3]).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&files[3], &bytes).unwrap();
        std::fs::write(&files[2], &bytes[..middle]).unwrap();
        t.ok(&["backup", "prune", "--keep", "1"]);
        let left: Vec<_> = names(&t.path("backups")).into_iter().filter(|name| name.ends_with(".zst")).collect();
        // A truncated backup does not count as kept, and is not deleted.
        assert_eq!(left, [&files[1], &files[2], &files[3]].map(|file| file.file_name().unwrap().to_str().unwrap()));
        // If no backup is intact, none is deleted.
        bytes = std::fs::read(&files[1]).unwrap();
        bytes[middle] ^= 1;
        std::fs::write(&files[1], &bytes).unwrap();
        assert_eq!(t.ok(&["backup", "prune", "--keep", "1"]), "nothing to remove\n");
        let refused = t.run(&["backup", "prune", "--keep", "0"]);
        assert!(refused.code == 1 && refused.err.contains("would keep nothing"), "{}", refused.err);
        // Without `--keep`, the setting backup_keep applies, which is 7 by default.
        for _ in 0..8 {
            back_up(t);
        }
        t.ok(&["config", "set", "backup_keep", "3", "--override", "--by", "me"]);
        t.ok(&["backup", "prune"]);
        let left = backup::list(&t.path("backups")).unwrap();
        assert_eq!(left.iter().filter(|backup| backup.state == backup::State::Intact).count(), 3);
        let quiet = t.run(&["backup", "verify", "-q"]);
        assert!(quiet.code == 4 && quiet.out.lines().count() == 1 && quiet.out.contains("is cut off"), "{}", quiet.out);
        // Files that are not backups are never deleted.
        t.file("backups/notes.zst", "x");
        let keep = Keep { newest: 1, ..Default::default() };
        backup::prune(&t.path("backups"), &Prune { keep, dry_run: false }).unwrap();
        assert!(t.path("backups/notes.zst").exists());
    }

    /// The clock was wrong when the backup was created, so another backup may be newer.
    fn backup_dated_in_the_future_does_not_displace_others(t) {
        with_rows(t, 3);
        let files: Vec<_> = (0..3).map(|_| back_up(t)).collect();
        let manifest = Manifest::path_of(&files[0]);
        let text = std::fs::read_to_string(&manifest).unwrap();
        let mut document: Value = serde_json::from_str(&text).unwrap();
        document["created_at"] = "2040-01-01T00:00:00Z".into();
        std::fs::write(&manifest, document.to_string()).unwrap();
        let name = |file: &Path| file.file_name().unwrap().to_str().unwrap().to_owned();

        let drilled: Value = serde_json::from_str(&t.ok(&["backup", "drill", "--format", "json"])).unwrap();
        assert!(drilled["file"].as_str().unwrap().ends_with(&name(&files[2])), "{drilled}");
        let doctor = t.run(&["doctor", "--only", "backups"]);
        assert_eq!(doctor.code, 3, "{}", doctor.out);
        assert!(doctor.out.contains("is dated 2040-01-01T00:00:00Z, later than now"), "{}", doctor.out);
        let ran = t.run(&["backup", "prune", "--keep", "1"]);
        assert!(ran.code == 0 && ran.err.contains("is dated 2040-01-01T00:00:00Z, later than now"), "{}", ran.err);
        let left: Vec<_> = names(&t.path("backups")).into_iter().filter(|name| name.ends_with(".zst")).collect();
        assert_eq!(left, [name(&files[0]), name(&files[2])]);
        // If it is the only backup, it is used.
        for file in [&files[2], &Manifest::path_of(&files[2])] {
            std::fs::remove_file(file).unwrap();
        }
        let ran = t.run(&["backup", "drill"]);
        assert!(ran.code == 0 && ran.err.contains("is dated later than now; using it, because it is the only one"), "{}", ran.err);
        assert!(t.run(&["doctor", "--only", "backups"]).out.contains("later than now"));
    }

    fn file_size_limit_leaves_no_partial_backup(t) {
        let db = t.db();
        add(&db, 300);
        let limited = |limit: &str, args: &[&str]| -> Ran {
            // Limit the size of files that the command can write, in kilobytes.
            let command = t.command(args);
            let mut shell = std::process::Command::new("bash");
            shell.args(["-c", &format!("trap '' XFSZ; ulimit -f {limit}; exec \"$@\""), "-"]).arg(command.get_program());
            shell.args(command.get_args()).current_dir(t.dir.path());
            for (name, value) in command.get_envs() {
                match value { Some(value) => shell.env(name, value), None => shell.env_remove(name) };
            }
            shell.output().unwrap().into()
        };
        for limit in ["1", "10", "40"] {
            let ran = limited(limit, &["backup", "create"]);
            assert_eq!(ran.code, 1, "{limit}: {}", ran.out);
            assert!(ran.err.starts_with("error: "), "{}", ran.err);
            assert_eq!(names(&t.path("backups")), Vec::<String>::new(), "{}", ran.err);
        }
        let file = back_up(t);
        drop(db);
        for limit in ["1", "10", "100"] {
            let ran = limited(limit, &["restore", "--yes", file.to_str().unwrap()]);
            // The limit does not apply to files that the server writes.
            let fits = t.is_postgres && limit == "100";
            assert!(ran.code == 1 || fits, "{limit}: {}", ran.out);
            assert_eq!(videos(t), 300);
            assert_eq!(unfinished(t.dir.path()), Vec::<String>::new());
        }
    }

    fn progress_is_reported_to_the_caller(t) {
        with_rows(t, 50);
        let mut reported = Vec::new();
        let to = Some(t.path("heard"));
        let (file, manifest) = backup::create(&t.url, &Create { to, ..Default::default() }, &mut |at| reported.push(at)).unwrap();
        for step in [backup::Step::Copying, backup::Step::Compressing, backup::Step::Verifying] {
            let last = reported.iter().rfind(|at| at.step == step).unwrap_or_else(|| panic!("{step:?}"));
            assert!(last.done <= last.total && last.total > 0, "{last:?}");
        }
        let verified = backup::verify(&file, None, &mut |_| ()).unwrap();
        assert_eq!((verified.bytes, verified.content_bytes), (manifest.bytes, manifest.content_bytes));
    }
}

both! {
    fn databases_with_the_same_name_are_distinguished(t) {
        let other = t.another();
        let all = t.path("all");
        let all = all.to_str().unwrap();
        for (n, t) in [t, &other].into_iter().enumerate() {
            with_rows(t, n + 1);
            t.ok(&["backup", "create", "--to", all]);
        }
        // On a server two databases have different names, but two SQLite files may have the same name.
        assert_eq!(t.ok(&["backup", "prune", "--in", all, "--keep", "1"]), "nothing to remove\n");
        for (n, t) in [t, &other].into_iter().enumerate() {
            let drilled: Value = serde_json::from_str(&t.ok(&["backup", "drill", "--in", all, "--format", "json"])).unwrap();
            let listed = backup::list(std::path::Path::new(all)).unwrap();
            let rows = listed.iter().find(|backup| backup.file.to_str() == drilled["file"].as_str()).unwrap().rows;
            assert_eq!(drilled["rows"], rows.unwrap(), "{n}");
        }
    }

    fn concurrent_backups_to_one_file_let_exactly_one_win(t) {
        with_rows(t, 100);
        let ran: Vec<Ran> = std::thread::scope(|s| {
            let runs: Vec<_> = (0..3).map(|_| s.spawn(|| t.run(&["backup", "create", "--to", "one.zst"]))).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert_eq!(ran.iter().filter(|ran| ran.code == 0).count(), 1, "{ran:?}");
        assert!(ran.iter().all(|ran| ran.code == 0 || ran.err.contains("already exists")), "{ran:?}");
        t.ok(&["backup", "verify", "one.zst"]);
    }
}

#[cfg(feature = "postgres")]
#[test]
fn missing_pg_dump_is_named() {
    let t = Scratch::postgres();
    with_rows(&t, 1);
    let ran = t.run(&["backup", "create", "--pg-bin", "."]);
    assert!(ran.code == 1 && ran.err.contains("pg_dump: not found in ."), "{}", ran.err);
}

#[cfg(feature = "postgres")]
#[test]
fn pg_dump_and_pg_restore_do_not_inherit_keys_and_urls() {
    use std::os::unix::fs::PermissionsExt;
    let t = Scratch::postgres();
    with_rows(&t, 1);
    let (programs, seen) = (t.path("programs"), t.path("seen"));
    std::fs::create_dir(&programs).unwrap();
    for name in ["pg_dump", "pg_restore"] {
        let real = crate::support::server::bin().join(name);
        let script = format!("#!/bin/sh\nenv >> '{}'\nexec '{}' \"$@\"\n", seen.display(), real.display());
        std::fs::write(programs.join(name), script).unwrap();
        std::fs::set_permissions(programs.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let programs = programs.display().to_string();
    let key = Key::generate().unwrap().to_text();
    let run = |args: &[&str]| {
        let ran: Ran = t
            .command(args)
            .args(["--pg-bin", &programs])
            .env("VIRALDB_KEY", key.reveal())
            .env("VIRALDB_KEY_FILE", "/nowhere")
            .env("VIRALDB_READ_URL", &t.url)
            .env("VIRALDB_YOUTUBE_API_KEY", "a-secret-setting")
            .output()
            .unwrap()
            .into();
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
    };
    run(&["backup", "create", "--to", "one.dump.zst"]);
    run(&["restore", "one.dump.zst", "--yes"]);
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.matches("PGDATABASE=").count() >= 2, "pg_dump and pg_restore must both run: {seen}");
    for word in ["VIRALDB_", "DATABASE_URL=", "a-secret-setting", key.reveal()] {
        assert!(!seen.contains(word), "{word} in {seen}");
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn damaged_database_is_not_backed_up() {
    let t = Scratch::sqlite();
    with_rows(&t, 300);
    let path = t.path("viral.db");
    let mut bytes = std::fs::read(&path).unwrap();
    let pages = bytes.len() / 4096;
    for page in pages / 2..pages / 2 + 12 {
        bytes[page * 4096..page * 4096 + 200].fill(0xa5);
    }
    std::fs::write(&path, &bytes).unwrap();
    let ran = t.run(&["backup", "create"]);
    assert!(ran.code == 1 && ran.err.contains("damaged"), "{}{}", ran.out, ran.err);
    assert_eq!(names(&t.path("backups")), Vec::<String>::new());
}

#[cfg(feature = "sqlite")]
#[test]
fn orphans_are_counted_in_the_manifest() {
    let t = Scratch::sqlite();
    with_rows(&t, 1);
    let raw = rusqlite::Connection::open(t.path("viral.db")).unwrap();
    raw.execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO scripts (pipeline_run_id) VALUES (99), (98)")
        .unwrap();
    drop(raw);
    let said = t.ok(&["backup", "create"]);
    assert!(said.contains("rows with missing parents, in the database and in the backup: 2;"), "{said}");
    let file = backup::list(&t.path("backups")).unwrap().remove(0).file;
    assert_eq!(Manifest::read(&file).unwrap().unwrap().orphans, 2);
    let ran = restore(&t, &file);
    assert_eq!(ran.code, 0, "{}", ran.err);
}
