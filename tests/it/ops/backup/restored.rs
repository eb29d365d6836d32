//! Restoring a backup over a database.

use viraldb::db::migrate;
use viraldb::ops::backup::{self, Restore};

use super::*;
use crate::support::both;

both! {
    fn restore_does_not_fire_triggers_and_reports_the_final_rows(t) {
        let db = t.db();
        add(&db, 6);
        viraldb::db::migrate::revert(&t.url, 1).unwrap();
        let mut c = db.session().unwrap();
        if t.is_postgres {
            make::execute(&mut c, "
                CREATE TABLE fired (what text);
                CREATE FUNCTION public.spoil() RETURNS trigger LANGUAGE plpgsql AS
                    $$BEGIN INSERT INTO public.fired VALUES (TG_NAME); DELETE FROM public.discovered_videos; RETURN NULL; END$$;
                CREATE FUNCTION public.spoil_too() RETURNS event_trigger LANGUAGE plpgsql AS
                    $$BEGIN INSERT INTO public.fired VALUES (TG_EVENT); END$$;
                CREATE TRIGGER spoil AFTER INSERT ON viraldb_migrations FOR EACH ROW EXECUTE FUNCTION public.spoil();
                CREATE TRIGGER \"Spoil it\" AFTER INSERT ON __diesel_schema_migrations FOR EACH STATEMENT EXECUTE FUNCTION public.spoil();
                ALTER TABLE __diesel_schema_migrations ENABLE ALWAYS TRIGGER \"Spoil it\";
                CREATE TRIGGER off AFTER INSERT ON viraldb_migrations FOR EACH ROW EXECUTE FUNCTION public.spoil();
                ALTER TABLE viraldb_migrations DISABLE TRIGGER off;
                CREATE EVENT TRIGGER spoil_too ON ddl_command_end EXECUTE FUNCTION public.spoil_too()").unwrap();
        } else {
            make::execute(&mut c, "
                CREATE TABLE fired (what text);
                CREATE TRIGGER spoil AFTER INSERT ON viraldb_migrations
                    BEGIN INSERT INTO fired VALUES ('a'); DELETE FROM discovered_videos; END;
                CREATE TRIGGER \"Spoil \"\"it\" BEFORE INSERT ON __diesel_schema_migrations
                    BEGIN INSERT INTO fired VALUES ('b'); DELETE FROM discovered_videos; END").unwrap();
        }
        let triggers = |c: &mut viraldb::DbConnection| make::query(c, if t.is_postgres {
            "SELECT tgname || ' ' || tgenabled::text AS v FROM pg_trigger WHERE NOT tgisinternal
             UNION ALL SELECT evtname || ' ' || evtenabled::text FROM pg_event_trigger ORDER BY 1"
        } else {
            "SELECT name || ' ' || sql AS v FROM sqlite_schema WHERE type = 'trigger' ORDER BY 1"
        });
        let before = triggers(&mut c);
        assert!(before.iter().any(|name| name.starts_with("Spoil")) && before.len() > 8, "{before:?}");
        drop((c, db));
        let file = back_up(t);
        let restored: Value = serde_json::from_str(&t.ok(&["restore", "--yes", file.to_str().unwrap(), "--format", "json"])).unwrap();
        assert_eq!(restored["applied"].as_array().unwrap().len(), 1);
        let rows = |table: &str| restored["rows"][if t.is_postgres { format!("public.{table}") } else { table.to_owned() }].as_u64().unwrap();
        let db = Database::connect(&t.url).unwrap();
        for table in ["discovered_videos", "fired", "viraldb_migrations", "__diesel_schema_migrations"] {
            assert_eq!(rows(table), count(&db, table) as u64, "{table}");
        }
        let migrations = crate::support::migration_names().len() as u64;
        assert_eq!((rows("discovered_videos"), rows("fired"), rows("viraldb_migrations")), (6, 0, migrations));
        // After the restore the triggers exist again and fire.
        let after = db.read(|c| Ok(triggers(c))).unwrap();
        assert_eq!(after, before);
        db.write(|c| make::execute(c, "INSERT INTO __diesel_schema_migrations (version) VALUES ('0')")).unwrap();
        assert_eq!(count(&db, "discovered_videos"), 0);
        assert_eq!(count(&db, "fired"), 1);
    }
}

both! {
    fn restore_brings_back_all_rows_and_keeps_the_replaced_database(t) {
        let db = t.db();
        db.write(make::seed).unwrap();
        db.write(make::link).unwrap();
        let all = |db: &Database| -> Vec<Vec<Value>> {
            make::contract().iter().map(|table| db.read(|c| Ok(make::rows(c, table.table))).unwrap()).collect()
        };
        let before = all(&db);
        assert!(before.iter().all(|rows| rows.len() == 1));
        drop(db);
        let file = back_up(t);
        add(&t.db(), 3);
        let restored: Value = serde_json::from_str(&t.ok(&["restore", "--yes", file.to_str().unwrap(), "--format", "json"])).unwrap();
        assert_eq!(all(&t.db()), before);
        let kept = restored["kept"].as_str().unwrap();
        let url = if t.is_postgres { t.url.replace(t.url.rsplit_once('/').unwrap().1.split('?').next().unwrap(), kept) } else { format!("sqlite://{kept}") };
        assert_eq!(count(&Database::open(&url).unwrap(), "discovered_videos"), 4);
        // The restored database can be written and backed up again.
        add(&t.db(), 1);
        back_up(t);
        if t.is_postgres {
            let db = t.db();
            let ids = db.read(|c| Ok(make::query(c, "SELECT CAST(max(id) AS text) AS v FROM discovered_videos"))).unwrap();
            assert_eq!(ids, ["2"], "the sequences must continue");
            drop(db);
            drop_database(t, kept);
        }
    }

    /// Tables of other programs are counted as well.
    fn plan_counts_both_databases_the_same_way(t) {
        with_rows(t, 2);
        make::execute(&mut t.plain(), "CREATE TABLE theirs (id integer); INSERT INTO theirs VALUES (1), (2)").unwrap();
        let file = back_up(t);
        let planned = backup::plan(&t.url, &file).unwrap();
        assert!(planned.replaced_rows.is_some());
        assert_eq!(planned.replaced_rows, planned.backup.rows);
    }

    fn database_in_use_is_not_replaced(t) {
        with_rows(t, 2);
        let file = back_up(t);
        let db = t.db();
        let held = db.session().unwrap();
        let ran = restore(t, &file);
        assert!(ran.code == 1 && ran.err.contains("is locked: open in") && ran.err.contains("would be lost"), "{}", ran.err);
        let refused = backup::restore(&t.url, &Restore { file: file.clone(), ..Default::default() }, &mut |_| ());
        assert!(refused.unwrap_err().to_string().contains("stop it first"));
        add(&db, 1);
        drop((held, db));
        assert_eq!(videos(t), 3);
        assert_eq!(restore(t, &file).code, 0);
        assert_eq!(videos(t), 2);
    }

    fn restore_asks_for_confirmation(t) {
        with_rows(t, 2);
        let file = back_up(t);
        let ran = t.run(&["restore", file.to_str().unwrap()]);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("replaces  ") && ran.err.contains("rows, ") && ran.err.contains("confirm with --yes"), "{}", ran.err);
        assert_eq!(videos(t), 2);
    }

    fn older_backup_is_migrated(t) {
        with_rows(t, 2);
        let reverted = migrate::revert(&t.url, 1).unwrap();
        let file = back_up(t);
        migrate::run(&t.url).unwrap();
        add(&t.db(), 1);
        let said = t.ok(&["restore", "--yes", file.to_str().unwrap()]);
        assert!(said.contains(&format!("applied {}", reverted[0])), "{said}");
        assert_eq!(videos(t), 2);
        t.ok(&["migrate", "check"]);
    }

    fn backup_without_a_manifest_can_be_restored(t) {
        with_rows(t, 2);
        let file = back_up(t);
        std::fs::remove_file(backup::Manifest::path_of(&file)).unwrap();
        add(&t.db(), 1);
        assert_eq!(restore(t, &file).code, 0);
        assert_eq!(videos(t), 2);
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use super::*;

    #[test]
    fn restore_creates_a_missing_database() {
        let t = Scratch::sqlite();
        with_rows(&t, 2);
        let file = back_up(&t);
        let t = t.another();
        let said = t.ok(&["restore", "--yes", file.to_str().unwrap()]);
        assert!(said.starts_with("restored ") && !said.contains("kept"), "{said}");
        assert_eq!(videos(&t), 2);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(t.path("viral.db")).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn restore_works_on_unusual_file_names() {
        let t = Scratch::sqlite();
        with_rows(&t, 2);
        let file = back_up(&t);
        // The name of a kept database, and names that must be escaped in a URL.
        for name in ["viral.db.replaced-20260101", "a?b.db", "it's 50% #1.db"] {
            std::fs::copy(t.path("viral.db"), t.path(name)).unwrap();
            let bad = t.file("bad.zst", "junk");
            let into = |file: &Path| {
                let options = viraldb::ops::backup::Restore { file: file.to_owned(), ..Default::default() };
                let url = t.path(name).display().to_string();
                let url = if name.ends_with(".db") { url } else { format!("sqlite://{url}") };
                backup::restore(&url, &options, &mut |_| ())
            };
            assert!(into(&bad).unwrap_err().to_string().contains("is not a backup"));
            assert!(t.path(name).is_file(), "{name}");
            let restored = into(&file).unwrap();
            assert!(std::path::Path::new(&restored.kept.unwrap()).is_file());
        }
    }

    #[test]
    fn opening_for_writing_restores_wal_mode_when_possible() {
        let t = Scratch::sqlite();
        with_rows(&t, 2);
        let mode = |db: &viraldb::Database| {
            let asked = "SELECT journal_mode AS v FROM pragma_journal_mode";
            db.read(|c| Ok(make::query(c, asked))).unwrap().remove(0)
        };
        let other = rusqlite::Connection::open(t.path("viral.db")).unwrap();
        let set = |mode: &str| {
            other.pragma_update_and_check(None, "journal_mode", mode, |row| row.get::<_, String>(0)).unwrap()
        };
        assert_eq!(set("delete"), "delete");

        // While another connection reads, the mode cannot change, but opening must still succeed.
        other.execute_batch("BEGIN; SELECT count(*) FROM discovered_videos").unwrap();
        let begin = std::time::Instant::now();
        let db = viraldb::Database::connect(&t.url).unwrap();
        assert!(begin.elapsed() < std::time::Duration::from_secs(3), "{:?}", begin.elapsed());
        assert_eq!(mode(&db), "delete");
        assert_eq!(count(&db, "discovered_videos"), 2);
        drop(db);
        other.execute_batch("COMMIT").unwrap();

        // A library call and a command both set it.
        assert_eq!(mode(&viraldb::Database::connect(&t.url).unwrap()), "wal");
        assert_eq!(set("delete"), "delete");
        t.ok(&["videos", "list"]);
        other.execute_batch("SELECT count(*) FROM discovered_videos").unwrap(); // This reads the file header again.
        let found: String = other.query_row("PRAGMA journal_mode", [], |row| row.get(0)).unwrap();
        assert_eq!(found, "wal");

        // A session also opens the database for writing.
        let db = t.db();
        drop(db.session().unwrap());
        assert_eq!(mode(&db), "wal");
    }

    #[cfg(unix)]
    #[test]
    fn restore_keeps_permissions_and_wal_mode() {
        use std::os::unix::fs::PermissionsExt;
        let t = Scratch::sqlite();
        with_rows(&t, 2);
        let file = back_up(&t);
        let journal = || {
            let conn = rusqlite::Connection::open(t.path("viral.db")).unwrap();
            conn.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)).unwrap()
        };
        std::fs::set_permissions(t.path("viral.db"), std::fs::Permissions::from_mode(0o660)).unwrap();
        let bad = t.file("bad.zst", "junk");
        assert_eq!(restore(&t, &bad).code, 1);
        assert_eq!(journal(), "wal", "a rejected restore must change nothing");
        assert_eq!(restore(&t, &file).code, 0);
        assert_eq!(std::fs::metadata(t.path("viral.db")).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(journal(), "wal");
    }

    #[test]
    fn concurrent_restores_keep_the_replaced_databases() {
        let t = Scratch::sqlite();
        with_rows(&t, 200);
        let file = back_up(&t);
        add(&t.db(), 1);
        let ran: Vec<Ran> = std::thread::scope(|s| {
            let runs: Vec<_> = (0..3).map(|_| s.spawn(|| restore(&t, &file))).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        let done: Vec<&Ran> = ran.iter().filter(|ran| ran.code == 0).collect();
        assert!(!done.is_empty(), "{ran:?}");
        assert_eq!(videos(&t), 200);
        // Every restore that reports a kept database must have kept it.
        for ran in done {
            let kept = ran.out.split("is kept as ").nth(1).unwrap().split(';').next().unwrap();
            assert!(Path::new(kept).is_file(), "{kept}");
        }
    }

    /// An old WAL file next to a restored database would bring back old rows, and no check would notice. It is kept, because
    /// its rows may be nowhere else.
    #[test]
    fn leftover_wal_is_not_applied_to_the_restored_database() {
        for is_there in [true, false] {
            let t = Scratch::sqlite();
            with_rows(&t, 2);
            let file = back_up(&t);
            // Simulate a killed program: everything that it wrote is in the WAL file.
            let db = t.db();
            add(&db, 40);
            for ending in ["", "-wal", "-shm"] {
                std::fs::copy(t.path(&format!("viral.db{ending}")), t.path(&format!("left.db{ending}")))
                    .unwrap();
            }
            drop(db);
            assert!(std::fs::metadata(t.path("left.db-wal")).unwrap().len() > 4096);
            if !is_there {
                std::fs::remove_file(t.path("left.db")).unwrap();
            }
            let url = format!("sqlite://{}", t.path("left.db").display());
            let wal = std::fs::read(t.path("left.db-wal")).unwrap();
            let ran = t.run(&["restore", "--yes", file.to_str().unwrap(), "--database-url", &url]);
            assert_eq!(ran.code, 0, "{}", ran.err);
            assert_eq!(count(&Database::open(&url).unwrap(), "discovered_videos"), 2);
            let mut kept: Vec<String> =
                names(t.dir.path()).into_iter().filter(|name| name.contains("replaced")).collect();
            kept.sort_unstable();
            if is_there {
                let kept = Database::open(&format!("sqlite://{}", t.path(&kept[0]).display())).unwrap();
                assert_eq!(
                    count(&kept, "discovered_videos"),
                    42,
                    "the kept database must include the rows of its WAL"
                );
            } else {
                assert!(kept.len() == 1 && kept[0].ends_with("-wal"), "{kept:?}");
                assert!(
                    std::fs::read(t.path(&kept[0])).unwrap() == wal,
                    "the log of the missing database has changed"
                );
                assert!(
                    ran.err.contains(&format!("is kept as {}", t.path(&kept[0]).display())),
                    "{}",
                    ran.err
                );
            }
        }
    }

    #[test]
    fn damaged_database_is_replaced_and_kept() {
        let t = Scratch::sqlite();
        with_rows(&t, 2);
        let file = back_up(&t);
        std::fs::write(t.path("viral.db"), "this was a database").unwrap();
        std::fs::write(t.path("viral.db-wal"), "and this its log").unwrap();
        t.ok(&["restore", "--yes", file.to_str().unwrap()]);
        assert!(!t.path("viral.db-wal").exists());
        assert_eq!(videos(&t), 2);
        let kept: Vec<String> =
            names(t.dir.path()).into_iter().filter(|name| name.contains("replaced")).collect();
        assert_eq!(std::fs::read(t.path(&kept[0])).unwrap(), b"this was a database");
    }

    /// Simulates a restore that was killed after it moved the WAL file away and before it put the backup in place.
    #[test]
    fn wal_of_a_damaged_database_is_kept() {
        let t = Scratch::sqlite();
        with_rows(&t, 2);
        let file = back_up(&t);
        std::fs::write(t.path("viral.db"), "this was a database").unwrap();
        std::fs::hard_link(t.path("viral.db"), t.path("viral.db.replaced-1")).unwrap();
        std::fs::write(t.path("viral.db.replaced-1-wal"), "and this its log").unwrap();
        t.ok(&["restore", "--yes", file.to_str().unwrap()]);
        assert_eq!(videos(&t), 2);
        for (name, content) in [("", "this was a database"), ("-wal", "and this its log")] {
            let kept = std::fs::read_to_string(t.path(&format!("viral.db.replaced-1{name}"))).unwrap();
            assert_eq!(kept, content);
        }
    }

    #[cfg(unix)]
    #[test]
    fn restore_follows_a_symlink() {
        let t = Scratch::sqlite();
        with_rows(&t, 2);
        let file = back_up(&t);
        std::fs::create_dir(t.path("real")).unwrap();
        std::fs::rename(t.path("viral.db"), t.path("real/it.db")).unwrap();
        std::os::unix::fs::symlink(t.path("real/it.db"), t.path("viral.db")).unwrap();
        add(&t.db(), 1);
        t.ok(&["restore", "--yes", file.to_str().unwrap()]);
        assert!(std::fs::symlink_metadata(t.path("viral.db")).unwrap().is_symlink());
        assert_eq!(names(&t.path("real")).len(), 2, "{:?}", names(&t.path("real")));
        assert_eq!(videos(&t), 2);
    }
}

/// Drops a database on the server of the test.
#[cfg_attr(not(feature = "postgres"), allow(unused_variables))]
fn drop_database(t: &Scratch, name: &str) {
    #[cfg(feature = "postgres")]
    {
        use viraldb::diesel::connection::{Connection, SimpleConnection};
        let own = t.url.rsplit_once('/').unwrap().1.split('?').next().unwrap();
        let url = t.url.replace(own, "postgres");
        let mut server = viraldb::diesel::pg::PgConnection::establish(&url).unwrap();
        server.batch_execute(&format!("DROP DATABASE \"{name}\"")).unwrap();
    }
}

#[cfg(feature = "postgres")]
#[test]
fn restore_creates_a_missing_postgres_database() {
    let t = Scratch::postgres();
    with_rows(&t, 2);
    let file = back_up(&t);
    let name = t.url.rsplit_once('/').unwrap().1.split('?').next().unwrap();
    drop_database(&t, name);
    let said = t.ok(&["restore", "--yes", file.to_str().unwrap()]);
    assert!(said.starts_with("restored ") && !said.contains("kept"), "{said}");
    assert_eq!(videos(&t), 2);
}

/// A dump does not contain the privileges and settings of the database itself.
#[cfg(feature = "postgres")]
#[test]
fn restore_keeps_privileges_and_settings_of_the_database() {
    use viraldb::diesel::connection::{Connection, SimpleConnection};
    let t = Scratch::postgres();
    with_rows(&t, 2);
    let name = t.url.rsplit_once('/').unwrap().1.split('?').next().unwrap();
    let mut server = viraldb::DbConnection::Postgres(
        viraldb::diesel::pg::PgConnection::establish(&t.url.replace(name, "postgres")).unwrap(),
    );
    server
        .batch_execute(&format!(
            "REVOKE ALL ON DATABASE {name} FROM PUBLIC;
             GRANT CONNECT, TEMPORARY ON DATABASE {name} TO pg_monitor WITH GRANT OPTION;
             ALTER DATABASE {name} CONNECTION LIMIT 77;
             ALTER DATABASE {name} SET search_path = '';
             ALTER DATABASE {name} SET DateStyle = 'ISO, DMY';
             ALTER DATABASE {name} SET my.secret = 'it''s \"planted\"';
             ALTER DATABASE {name} SET default_transaction_read_only = off;
             ALTER ROLE CURRENT_USER IN DATABASE {name} SET search_path = public, \"$user\", \"A b\""
        ))
        .unwrap();
    let mut described = || {
        let of = |sql: &str| format!("SELECT ({sql}) AS v FROM pg_database AS db WHERE datname = '{name}'");
        [
            "SELECT string_agg(concat_ws(' ', grantee, privilege_type, is_grantable), ', ' ORDER BY 1) FROM aclexplode(datacl) AS a (grantor, grantee, privilege_type, is_grantable)",
            "SELECT string_agg(concat_ws(' ', setrole, setting), ', ' ORDER BY setrole, setting) FROM pg_db_role_setting, unnest(setconfig) AS setting WHERE setdatabase = oid",
            "SELECT concat_ws(' ', datconnlimit, datdba, dattablespace)",
        ]
        .map(|sql| make::query(&mut server, &of(sql)).remove(0))
    };
    let before = described();
    let file = back_up(&t);
    let said = restore(&t, &file);
    assert!(said.code == 0 && said.out.contains("_replaced_"), "{}{}", said.out, said.err);
    assert_eq!(described(), before);
    assert_eq!(videos(&t), 2);
}

/// A dump does not contain the collation and the comment of the database either.
#[cfg(feature = "postgres")]
#[test]
fn restore_keeps_the_collation() {
    use viraldb::diesel::connection::{Connection, SimpleConnection};
    let t = Scratch::postgres();
    let own = t.url.rsplit_once('/').unwrap().1.split('?').next().unwrap();
    let name = format!("{own}_icu");
    let mut server = viraldb::DbConnection::Postgres(
        viraldb::diesel::pg::PgConnection::establish(&t.url.replace(own, "postgres")).unwrap(),
    );
    // German phone book collation sorts "ä" like "ae".
    let make = format!(
        "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'de-u-co-phonebk'"
    );
    server.batch_execute(&make).unwrap();
    server.batch_execute(&format!("COMMENT ON DATABASE {name} IS 'the channel''s \\ own'")).unwrap();
    let url = t.url.replace(own, &name);
    let on = |args: &[&str]| {
        let ran: Ran = t.command(args).env("DATABASE_URL", &url).output().unwrap().into();
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        ran.out
    };
    on(&["init"]);
    let mut described = || {
        let all = "SELECT concat_ws(' ', encoding, datcollate, datctype, datlocprovider, daticulocale, \
                   shobj_description(oid, 'pg_database')) AS v FROM pg_database";
        make::query(&mut server, &format!("{all} WHERE datname = '{name}'")).remove(0)
    };
    let before = described();
    assert!(before.ends_with("C C i de-u-co-phonebk the channel's \\ own"), "{before}");
    on(&["backup", "create", "--to", "of.dump.zst"]);
    on(&["restore", "--yes", "of.dump.zst"]);
    assert_eq!(described(), before);
    // On a server without the database, the restore takes the collation from the manifest.
    drop_database(&t, &name);
    on(&["restore", "--yes", "of.dump.zst"]);
    assert_eq!(described(), before);
    // An existing database keeps its collation. Its encoding must be able to store every text.
    drop_database(&t, &name);
    server
        .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C' LOCALE_PROVIDER libc"))
        .unwrap();
    let restore = || -> Ran {
        t.command(&["restore", "--yes", "of.dump.zst"]).env("DATABASE_URL", &url).output().unwrap().into()
    };
    let ran = restore();
    assert!(
        ran.code == 0
            && ran.err.contains(
                "text is sorted by libc C, as in the database being replaced, not by \
        icu de-u-co-phonebk, as in the backup"
            ),
        "{}",
        ran.err
    );
    drop_database(&t, &name);
    server
        .batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0 LOCALE 'C' ENCODING 'SQL_ASCII'"))
        .unwrap();
    let ran = restore();
    assert!(
        ran.code == 1 && ran.err.contains("has the encoding SQL_ASCII") && ran.err.contains("dropdb"),
        "{}",
        ran.err
    );
    // Without the locale of the backup, the restore still succeeds.
    drop_database(&t, &name);
    let manifest = t.path("of.dump.zst.manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, text.replace("\"collate\": \"C\"", "\"collate\": \"xx_XX\"")).unwrap();
    let ran = restore();
    assert!(
        ran.code == 0 && ran.err.contains("this server does not have the backup's locale"),
        "{}",
        ran.err
    );
    let left = "SELECT datname::text AS v FROM pg_database WHERE datname LIKE '{}_%'".replace("{}", &name);
    for kept in make::query(&mut server, &left).into_iter().chain([name]) {
        server.batch_execute(&format!("DROP DATABASE \"{kept}\"")).unwrap();
    }
}

/// A libpq service names the server and the database, and the URL names neither.
#[cfg(feature = "postgres")]
#[test]
fn libpq_service_can_name_the_database() {
    let t = Scratch::postgres();
    with_rows(&t, 2);
    let (before, rest) = t.url.rsplit_once('/').unwrap();
    let name = rest.split('?').next().unwrap();
    let host = before.rsplit_once('@').unwrap().1.replace("%2F", "/").replace("%2f", "/");
    let services = t.file("services", format!("[shop]\nhost={host}\nuser=postgres\ndbname={name}\n"));
    let on = |args: &[&str]| {
        let mut command = t.command(args);
        command.env("DATABASE_URL", "postgres://?service=shop").env("PGSERVICEFILE", &services);
        let ran: Ran = command.output().unwrap().into();
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        ran.out
    };
    on(&["backup", "create"]);
    let listed = backup::list(&t.path("backups")).unwrap();
    assert_eq!(listed[0].database.as_deref(), Some(name));
    assert!(
        listed[0].file.file_name().unwrap().to_str().unwrap().starts_with(&format!("{name}-")),
        "{listed:?}"
    );
    on(&["backup", "drill"]);
    on(&["restore", "--yes", listed[0].file.to_str().unwrap()]);
    assert_eq!(videos(&t), 2);
}
