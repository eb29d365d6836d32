//! The CHECK constraints that SQLite has where PostgreSQL has types.

use super::*;
use crate::support::Scratch;

const INVALID_TIMES: [&str; 12] = [
    "2020-01-01T00:00:00Z",
    "2020-02-31 00:00:00",
    "now",
    "",
    "2020-01-01 00:00",
    "2020-01-01 00:00:00.",
    "2020-01-01 00:00:00+01:00",
    "2020-1-1 00:00:00",
    "2020-01-01",
    "2020-01-01 24:00:00",
    "2458849.5",
    " 2020-01-01 00:00:00",
];
const VALID_TIMES: [&str; 5] = [
    "2020-01-01 00:00:00.1234567890123",
    "2020-01-01 00:00:00",
    "2020-01-01 00:00:00.5",
    "2020-01-01 00:00:00.123456",
    "2020-02-29 23:59:59.999",
];

/// Returns the columns of the 22 tables whose CHECK contains `part`.
fn checked_with(db: &Database, part: &str) -> Vec<(String, String)> {
    let constraints = db.read(|c| Ok(constraints(c))).unwrap();
    constraints
        .into_iter()
        .filter(|((table, _), says)| says.contains(part) && !table.starts_with("viraldb_"))
        .map(|((table, name), _)| {
            let column = name.strip_prefix(&format!("{table}_")).unwrap().strip_suffix("_check").unwrap();
            (table.clone(), column.to_owned())
        })
        .collect()
}

/// Returns the columns that have type `kind` in the PostgreSQL migrations.
fn typed(kind: &str) -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for folder in std::fs::read_dir("migrations/postgres").unwrap() {
        let text = std::fs::read_to_string(folder.unwrap().path().join("up.sql")).unwrap();
        let mut table = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                rest.trim_end_matches(" (").clone_into(&mut table);
            } else if let ["ALTER", "TABLE", table, "ADD", "COLUMN", column, word] =
                *line.split_whitespace().collect::<Vec<_>>()
            {
                if word.trim_end_matches(';') == kind {
                    found.insert((table.to_owned(), column.to_owned()));
                }
            } else if let [column, word, ..] = *line.split_whitespace().collect::<Vec<_>>()
                && line.starts_with("    ")
                && word.trim_end_matches(',') == kind
            {
                found.insert((table.clone(), column.to_owned()));
            }
        }
    }
    found.retain(|(table, _)| !table.starts_with("viraldb_"));
    found
}

fn accepts(db: &Database, (table, column): &(String, String), value: &str) -> bool {
    !refuses(db, &format!("UPDATE {table} SET {column} = {value}"))
}

#[test]
fn every_typed_postgres_column_has_a_check() {
    let (_t, db) = seeded();
    for (kind, part) in [
        ("timestamptz", "strftime"),
        ("jsonb", "json_valid"),
        ("uuid", "LIKE '________-"),
        ("boolean", "IN (0, 1))"),
        ("integer", "2147483647"),
    ] {
        let mut expected = typed(kind);
        assert!(!expected.is_empty());
        // Other programs store plain text in this column, so it has no JSON check.
        expected.remove(&("system_configuration".to_owned(), "value".to_owned()));
        // This column has a list of values.
        expected.remove(&("discovered_videos".to_owned(), "processed".to_owned()));
        let keys = foreign_keys_of(&db);
        expected.retain(|column| !keys.contains(column));
        assert_eq!(checked_with(&db, part).into_iter().collect::<BTreeSet<_>>(), expected, "{kind}");
    }
}

/// Returns the foreign key columns. They need no check because their parent has one.
fn foreign_keys_of(db: &Database) -> BTreeSet<(String, String)> {
    let keys = db.read(|c| Ok(foreign_keys(c))).unwrap();
    keys.iter()
        .map(|key| {
            let mut parts = key.split('|').map(str::to_owned);
            (parts.next().unwrap(), parts.next().unwrap())
        })
        .collect()
}

#[test]
fn timestamps_have_one_format() {
    let (_t, db) = seeded();
    for column in checked_with(&db, "strftime") {
        // Set both columns, because a cycle must not end before it starts.
        let both = |time: &str| match &*column.1 {
            "cycle_start" | "cycle_end" => format!(
                "'{time}', {} = '{time}'",
                if column.1 == "cycle_end" { "cycle_start" } else { "cycle_end" }
            ),
            _ => format!("'{time}'"),
        };
        for time in VALID_TIMES {
            assert!(accepts(&db, &column, &both(time)), "{column:?} {time:?}");
            assert!(time.parse::<viraldb::Timestamp>().is_ok(), "{time:?} cannot be parsed");
        }
        for time in INVALID_TIMES {
            assert!(!accepts(&db, &column, &both(time)), "{column:?} {time:?}");
        }
    }
}

#[test]
fn uuids_have_one_format() {
    let (_t, db) = seeded();
    for column in checked_with(&db, "LIKE '________-") {
        // A key that other rows refer to cannot be changed to any value, so look only for errors of the CHECK.
        let accepted = |value: &str| {
            let result = db.write(|c| {
                c.batch_execute(&format!("UPDATE {} SET {} = {value}", column.0, column.1))?;
                Err::<(), _>(viraldb::Error::invalid("nothing", "stays"))
            });
            !result.unwrap_err().to_string().contains("CHECK constraint failed")
        };
        assert!(accepted("'0190a000-0000-7000-8000-0000000000ff'"), "{column:?}");
        for value in [
            "'0190A000-0000-7000-8000-0000000000FF'",
            "'0190a000000070008000000000000000'",
            "'{0190a000-0000-7000-8000-000000000000}'",
            "'0190a000-0000-7000-8000-00000000000g'",
            "'0190a000-0000-7000-8000-00000000000'",
            "'0190a000-0000-7000-8000-0000000000000'",
            "'0190a00-00000-7000-8000-000000000000'",
            "''",
        ] {
            assert!(!accepted(value), "{column:?} {value}");
        }
    }
}

#[test]
fn json_must_be_valid_and_booleans_0_or_1() {
    let (_t, db) = seeded();
    for column in checked_with(&db, "json_valid") {
        for json in ["'{}'", "'[1]'", "'null'", "'\"a\"'", "'1.5'"] {
            assert!(accepts(&db, &column, json), "{column:?} {json}");
        }
        for other in ["'{'", "''", "'words'", "'{a: 1}'"] {
            assert!(!accepts(&db, &column, other), "{column:?} {other}");
        }
    }
    for column in checked_with(&db, "IN (0, 1))") {
        assert!(accepts(&db, &column, "1") && accepts(&db, &column, "0"), "{column:?}");
        for other in ["2", "-1", "'true'", "NULL", "0.5"] {
            assert!(!accepts(&db, &column, other), "{column:?} {other}");
        }
    }
}

#[test]
fn tables_are_strict() {
    let (_t, db) = seeded();
    let strict = db.read(|c| {
        Ok(query(
            c,
            "SELECT name AS v FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT strict",
        ))
    });
    let strict: Vec<String> = strict.unwrap();
    let ours = |name: &&String| !name.starts_with("sqlite_") && *name != "__diesel_schema_migrations";
    assert_eq!(strict.iter().filter(ours).count(), 0, "{strict:?}");
    assert!(refuses(&db, "UPDATE discovered_videos SET view_count = 'many'"));
}

fn seeded() -> (Scratch, Database) {
    let t = Scratch::sqlite();
    let db = t.db();
    db.write(seed).unwrap();
    (t, db)
}
