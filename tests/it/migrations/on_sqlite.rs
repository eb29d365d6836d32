//! SQLite database files and the settings of their connections.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::*;

#[test]
fn status_and_connect_do_not_change_the_file() {
    let t = Scratch::sqlite();
    let file = t.sqlite_file();
    let files = || {
        let mut names: Vec<_> =
            t.dir.path().read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let status = migrate::status(&t.url).unwrap();
    assert_eq!((status.verdict(), status.is_initialised()), (Verdict::Pending, false));
    match Database::connect(&t.url) {
        Err(Error::NotInitialised(named)) => assert_eq!(Path::new(&named), file),
        other => panic!("{other:?}"),
    }
    assert!(files().is_empty());

    // An empty file counts as an empty database.
    std::fs::write(&file, "").unwrap();
    assert_eq!(migrate::status(&t.url).unwrap().verdict(), Verdict::Pending);
    assert!(matches!(Database::connect(&t.url), Err(Error::NotInitialised(_))));
    assert_eq!((std::fs::read(&file).unwrap().len(), files()), (0, vec!["viral.db".into()]));

    // A database of another program is not changed either, and keeps its journal mode.
    execute(&mut t.plain(), "CREATE TABLE theirs (id integer)").unwrap();
    let before = std::fs::read(&file).unwrap();
    migrate::status(&t.url).unwrap();
    assert!(Database::connect(&t.url).is_err());
    assert_eq!((std::fs::read(&file).unwrap(), files()), (before, vec!["viral.db".into()]));
    std::fs::remove_file(&file).unwrap();

    drop(t.db());
    let before = std::fs::read(&file).unwrap();
    migrate::status(&t.url).unwrap();
    drop(Database::connect(&t.url).unwrap());
    assert_eq!((std::fs::read(&file).unwrap(), files()), (before, vec!["viral.db".into()]));
}

#[test]
fn every_connection_has_the_required_pragmas() {
    let t = Scratch::sqlite();
    let db = t.db();
    let settings = |c: &mut DbConnection| {
        let text = "SELECT concat_ws(' ', foreign_keys, journal_mode, synchronous, query_only) AS v
            FROM pragma_foreign_keys, pragma_journal_mode, pragma_synchronous, pragma_query_only";
        Ok(query(c, text).remove(0))
    };
    assert_eq!(db.read(settings).unwrap(), "1 wal 1 1");
    assert_eq!(db.write(settings).unwrap(), "1 wal 1 0");
    assert_eq!(settings(&mut db.session().unwrap()).unwrap(), "1 wal 1 0");
    // A nested read uses another connection, which must have the same settings.
    db.read(|_| {
        assert_eq!(db.read(settings)?, "1 wal 1 1");
        Ok(())
    })
    .unwrap();
    assert_eq!(t.db().write(settings).unwrap(), "1 wal 1 0");
    assert_eq!(Database::connect(&t.url).unwrap().write(settings).unwrap(), "1 wal 1 0");
    let memory = Database::open("sqlite::memory:").unwrap();
    assert_eq!(memory.read(settings).unwrap(), "1 memory 1 1");
    assert_eq!(memory.write(settings).unwrap(), "1 memory 1 0");
    let orphan = db.write(|c| viraldb::compilation::NewScript::default().insert(c));
    assert!(matches!(orphan, Err(Error::Invalid { .. })), "{orphan:?}");
}

#[test]
fn new_database_file_is_private_to_its_owner() {
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let t = Scratch::sqlite();
    let db = t.db();
    db.write(seed).unwrap();
    for file in ["viral.db", "viral.db-wal", "viral.db-shm"] {
        assert_eq!(mode(&t.path(file)), 0o600, "{file}");
    }
    // An existing file keeps its permissions.
    let t = Scratch::sqlite();
    std::fs::write(t.sqlite_file(), "").unwrap();
    std::fs::set_permissions(t.sqlite_file(), PermissionsExt::from_mode(0o640)).unwrap();
    drop(t.db());
    assert_eq!(mode(&t.sqlite_file()), 0o640);
}
