//! Damaged backups are rejected with their file name, and nothing is changed.

use viraldb::ops::backup::Manifest;

use super::*;
use crate::support::both;
use crate::support::small_disk::on_small_disk;

/// Requires that `verify` and `restore` reject the file with these words, and that the database is unchanged.
fn require_rejected(t: &Scratch, file: &Path, said: &str) {
    let name = file.to_str().unwrap();
    let verified = t.run(&["backup", "verify", name]);
    assert_eq!(verified.code, 4, "{name}: {}", verified.out);
    let ran = restore(t, file);
    assert_eq!(ran.code, 1, "{name}: {}", ran.out);
    for text in [&verified.out, &ran.err] {
        assert!(text.contains(name) && text.contains(said), "{said:?} is not in {text}");
    }
    assert_eq!(videos(t), 7);
    assert_eq!(unfinished(t.dir.path()), Vec::<String>::new());
}

both! {
    fn every_damage_is_reported(t) {
        with_rows(t, 5);
        let file = back_up(t);
        add(&t.db(), 2);
        let (whole, manifest) = (std::fs::read(&file).unwrap(), Manifest::path_of(&file));
        let original = std::fs::read(&manifest).unwrap();
        let put = |bytes: &[u8]| std::fs::write(&file, bytes).unwrap();
        // With a manifest, viraldb detects damage by length and checksum.
        put(&[]);
        require_rejected(t, &file, "is empty");
        put(&whole[..whole.len() / 2]);
        require_rejected(t, &file, "is cut off");
        put(&[&whole[..], b"x"].concat());
        require_rejected(t, &file, "is longer");
        let flips: Vec<usize> = (0..6).map(|_| fastrand::usize(..whole.len())).chain([0, whole.len() - 1]).collect();
        for at in flips {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << fastrand::u32(..8);
            put(&bytes);
            let ran = restore(t, &file);
            assert!(ran.code == 1 && ran.err.contains(file.to_str().unwrap()), "{at}: {}", ran.err);
            let verified = t.run(&["backup", "verify", file.to_str().unwrap()]);
            assert_eq!(verified.code, 4, "{at}");
        }
        // Without a manifest, viraldb relies on the checksums of zstd.
        std::fs::remove_file(&manifest).unwrap();
        for length in [1, 3, 4, 5, 20, whole.len() - 1] {
            put(&whole[..length]);
            let ran = restore(t, &file);
            assert!(ran.code == 1 && ran.err.contains(file.to_str().unwrap()), "{length}: {}", ran.err);
        }
        put(&whole);
        let ran = t.run(&["backup", "verify", file.to_str().unwrap()]);
        assert!(ran.code == 0 && ran.out.ends_with("  intact, compared with its checksum\n"), "{}", ran.out);
        // The manifest belongs to another backup.
        std::fs::write(&manifest, &original).unwrap();
        let another = back_up(t);
        std::fs::copy(Manifest::path_of(&another), &manifest).unwrap();
        let ran = restore(t, &file);
        assert_eq!(ran.code, 1);
        for text in ["", "{}", "[1]", "{\"format\": 2}", "{\"format\": 1}"] {
            std::fs::write(&manifest, text).unwrap();
            let ran = restore(t, &file);
            assert!(ran.code == 1 && ran.err.contains("manifest.json"), "{text}: {}", ran.err);
        }
        assert!(restore(t, &file).err.contains("is not a valid manifest"));
        // A manifest that is too large is not read in part.
        std::fs::write(&manifest, [&original[..], &vec![b' '; 4 << 20]].concat()).unwrap();
        require_rejected(t, &file, "manifest.json is larger than 4 MiB, the maximum size of a manifest; ");
        let listed: Vec<Value> = serde_json::from_str(&t.ok(&["backup", "list", "--format", "json"])).unwrap();
        let of_file = |backup: &&Value| file.ends_with(Path::new(backup["file"].as_str().unwrap()).file_name().unwrap());
        let state = listed.iter().find(of_file).unwrap()["state"].as_str().unwrap();
        assert!(state.contains("is larger than 4 MiB"), "{state}");
        assert_eq!(videos(t), 7);
        std::fs::write(&manifest, &original).unwrap();
        assert_eq!(restore(t, &file).code, 0);
        assert_eq!(videos(t), 5);
    }

    fn file_that_is_not_a_backup_is_rejected(t) {
        with_rows(t, 7);
        let text = t.file("text.zst", "hello, I am no backup at all");
        require_rejected(t, &text, "is not a backup made by viraldb");
        let empty = t.file("empty.zst", "");
        require_rejected(t, &empty, "is empty");
        let words = t.file("words.zst", zstd::encode_all(&b"words, words, words"[..], 1).unwrap());
        assert!(restore(t, &words).err.contains("it contains no database"));
        let ran = t.run(&["restore", "--yes", t.dir.path().to_str().unwrap()]);
        assert!(ran.code == 1, "{}", ran.err);
        assert!(t.run(&["restore", "--yes", "nope.zst"]).err.contains("nope.zst"));
        assert_eq!(videos(t), 7);
    }

    fn backup_of_a_newer_viraldb_is_rejected(t) {
        let db = t.db();
        add(&db, 1);
        db.write(|c| make::execute(c, "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001');
            INSERT INTO viraldb_migrations (version, checksum) VALUES ('20991231000001', 'x')")).unwrap();
        drop(db);
        let file = back_up(t);
        // The target is a database of this version.
        let t = t.another();
        with_rows(&t, 7);
        let ran = restore(&t, &file);
        assert!(ran.code == 1 && ran.err.contains("2099-12-31-000001"), "{}", ran.err);
        assert_eq!(videos(&t), 7);
    }
}

/// Returns a few kilobytes that decompress to `mib` MiB and begin like a backup of this engine.
fn bomb(t: &Scratch, mib: u64) -> Vec<u8> {
    let begin = if t.is_postgres { &b"PGDMP"[..] } else { b"SQLite format 3\0" };
    let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
    std::io::copy(
        &mut std::io::Read::chain(begin, std::io::Read::take(std::io::repeat(0), mib << 20)),
        &mut packed,
    )
    .unwrap();
    packed.finish().unwrap()
}

both! {
    fn zip_bomb_does_not_fill_the_disk(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let there = disk.scratch(t);
            with_rows(&there, 7);
            let bomb = there.file("bomb.zst", bomb(t, 500));
            assert!(bomb.metadata().unwrap().len() < 1 << 20);
            let ran = restore(&there, &bomb);
            assert!(ran.code == 1 && ran.err.contains("is not complete; make room"), "{}", ran.err);
            assert_eq!(unfinished(there.dir.path()), Vec::<String>::new());
            assert_eq!(videos(&there), 7);
        });
    }

    fn manifest_limits_the_decompressed_size(t) {
        with_rows(t, 7);
        let file = back_up(t);
        let original = std::fs::read_to_string(Manifest::path_of(&file)).unwrap();
        let mut manifest: Value = serde_json::from_str(&original).unwrap();
        let packed = bomb(t, 100);
        std::fs::write(&file, &packed).unwrap();
        manifest["bytes"] = packed.len().into();
        std::fs::write(Manifest::path_of(&file), manifest.to_string()).unwrap();
        require_rejected(t, &file, "is larger than its manifest says");
        manifest["content_bytes"] = u64::MAX.into();
        std::fs::write(Manifest::path_of(&file), manifest.to_string()).unwrap();
        let ran = restore(t, &file);
        assert!(ran.code == 1 && ran.err.contains("may need 16.00 EiB"), "{}", ran.err);
        assert_eq!(videos(t), 7);
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn database_of_another_program_is_rejected() {
    let t = Scratch::sqlite();
    with_rows(&t, 7);
    let raw = rusqlite::Connection::open(t.path("other.db")).unwrap();
    raw.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    drop(raw);
    require_rejected(&t, &t.path("other.db"), "is a bare SQLite database");
    let bytes = std::fs::read(t.path("other.db")).unwrap();
    let packed = t.file("other.zst", zstd::encode_all(&bytes[..], 1).unwrap());
    let ran = restore(&t, &packed);
    assert!(ran.code == 1 && ran.err.contains("it has none of viraldb's tables"), "{}", ran.err);
    assert_eq!(videos(&t), 7);
}

#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[test]
fn backup_of_the_other_engine_is_rejected() {
    let (file, server) = (Scratch::sqlite(), Scratch::postgres());
    for (from, to, said) in [(&file, &server, "a SQLite file"), (&server, &file, "into PostgreSQL")] {
        with_rows(from, 1);
        let backup = back_up(from);
        let ran = restore(to, &backup);
        assert!(
            ran.code == 1 && ran.err.contains(said) && ran.err.contains("viraldb transfer"),
            "{}",
            ran.err
        );
    }
}
