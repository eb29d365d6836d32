//! Backups and restores that are killed at any time.

use std::time::{Duration, Instant};

use viraldb::ops::backup;

use super::*;
use crate::support::both;
use crate::support::kills::{at_any_time, kill_often};

const KILLS: usize = 100;

both! {
    fn killed_backup_never_appears_under_its_final_name(t) {
        with_rows(t, 200);
        let folder = t.path("backups");
        let mut partly = 0;
        kill_often(KILLS, &|| t.command(&["backup", "create"]), at_any_time, || {
            partly += usize::from(!unfinished(&folder).is_empty());
            for found in backup::list(&folder).unwrap() {
                assert_eq!(found.state, backup::State::Intact, "{found:?}");
                backup::verify(&found.file, None, &mut |_| ()).unwrap();
            }
            for name in names(&folder).into_iter().filter(|name| !name.contains("unfinished")) {
                std::fs::remove_file(folder.join(name)).unwrap();
            }
        });
        assert!(partly > 10, "only {partly} of {KILLS} kills hit a backup in progress");
        let file = back_up(t);
        assert_eq!(unfinished(&folder), Vec::<String>::new(), "the next backup must remove what killed ones left");
        backup::verify(&file, None, &mut |_| ()).unwrap();
        assert_eq!(videos(t), 200);
    }

    fn killed_restore_happens_completely_or_not_at_all(t) {
        with_rows(t, 20);
        let file = back_up(t);
        add(&t.db(), 1);
        let command = || t.command(&["restore", "--yes", file.to_str().unwrap()]);
        let (mut old, mut new) = (0, 0);
        kill_often(KILLS, &command, at_any_time, || {
            // A server may notice that its client is gone only after it has finished the current statement.
            let deadline = Instant::now() + Duration::from_secs(20);
            let found = loop {
                match Database::connect(&t.url) {
                    Ok(db) => break count(&db, "discovered_videos"),
                    Err(error) => assert!(Instant::now() < deadline, "{error}"),
                }
            };
            #[cfg(feature = "sqlite")]
            if !t.is_postgres {
                require_write_during_a_read(t);
            }
            match found {
                20 => {
                    new += 1;
                    assert_eq!(kept(t), Some(21), "the replaced database must be kept");
                    add(&t.db(), 1);
                }
                21 => old += 1,
                other => panic!("{other} videos"),
            }
            drop_kept(t);
        });
        assert!(old > 10, "only {old} kills kept the old database, {new} have the new one");
        assert_eq!(restore(t, &file).code, 0);
        assert_eq!(videos(t), 20);
        assert_eq!(unfinished(t.dir.path()), Vec::<String>::new());
        drop_kept(t);
    }
}

/// Requires that the restored database is in WAL mode, so that a write succeeds during a read.
#[cfg(feature = "sqlite")]
fn require_write_during_a_read(t: &Scratch) {
    let db = Database::connect(&t.url).unwrap();
    assert_eq!(
        db.write(|c| Ok(make::query(c, "SELECT journal_mode AS v FROM pragma_journal_mode"))).unwrap(),
        ["wal"]
    );
    let reader = rusqlite::Connection::open(t.path("viral.db")).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM discovered_videos").unwrap();
    db.write(|c| make::execute(c, "UPDATE discovered_videos SET title = 'written'")).unwrap();
}

/// Returns the number of videos in the newest database that a restore kept.
fn kept(t: &Scratch) -> Option<usize> {
    let mut kept: Vec<String> = names(t.dir.path())
        .into_iter()
        .filter(|name| name.contains(".replaced-") && !name.ends_with("-wal") && !name.ends_with("-shm"))
        .map(|name| format!("sqlite://{}", t.path(&name).display()))
        .collect();
    #[cfg(feature = "postgres")]
    if t.is_postgres {
        let name = t.url.rsplit_once('/').unwrap().1.split('?').next().unwrap();
        let url = t.url.replace(name, "postgres");
        let mut server =
            viraldb::DbConnection::Postgres(viraldb::diesel::Connection::establish(&url).unwrap());
        let prefix = format!("{}_replaced_", name.chars().take(16).collect::<String>());
        let sql =
            format!("SELECT datname AS v FROM pg_database WHERE starts_with(datname, '{prefix}') ORDER BY 1");
        kept = make::query(&mut server, &sql).iter().map(|kept| t.url.replace(name, kept)).collect();
    }
    kept.pop().map(|url| count(&Database::open(&url).unwrap(), "discovered_videos"))
}

/// Removes the databases that restores kept.
fn drop_kept(t: &Scratch) {
    for name in names(t.dir.path()).into_iter().filter(|name| name.contains(".replaced-")) {
        std::fs::remove_file(t.path(&name)).unwrap();
    }
    #[cfg(feature = "postgres")]
    if t.is_postgres {
        use viraldb::diesel::connection::{Connection, SimpleConnection};
        let name = t.url.rsplit_once('/').unwrap().1.split('?').next().unwrap();
        let url = t.url.replace(name, "postgres");
        let mut server =
            viraldb::DbConnection::Postgres(viraldb::diesel::pg::PgConnection::establish(&url).unwrap());
        let kept = format!("{}_replaced_", name.chars().take(16).collect::<String>());
        let sql = format!("SELECT datname AS v FROM pg_database WHERE starts_with(datname, '{kept}')");
        for kept in make::query(&mut server, &sql) {
            server.batch_execute(&format!("DROP DATABASE \"{kept}\" WITH (FORCE)")).unwrap();
        }
    }
}
