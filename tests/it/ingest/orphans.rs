//! Tests of rows that refer to rows which do not exist.

use serde_json::{Value, json};

use super::*;
use crate::make;
use crate::support::Scratch;

/// A UUID that no row has.
const NOBODY: &str = "0190a000-0000-7000-8000-0000000000ff";

fn of(table: &str) -> Options<'_> {
    Options { format: Some(Format::Jsonl), table: Some(table), ..Default::default() }
}

/// Returns the foreign keys of the schema: table, column and the table that the column refers to.
fn foreign_keys(t: &Scratch, db: &Database) -> Vec<[String; 3]> {
    let asked = if t.is_postgres {
        "SELECT c.conrelid::regclass || ' ' || a.attname || ' ' || c.confrelid::regclass AS v FROM pg_constraint c \
         JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1] WHERE c.contype = 'f' \
         AND c.conrelid::regclass::text NOT LIKE 'viraldb_%' ORDER BY v"
    } else {
        "SELECT t.name || ' ' || f.\"from\" || ' ' || f.\"table\" AS v FROM sqlite_schema t, pragma_foreign_key_list(t.name) f \
         WHERE t.name NOT LIKE 'viraldb_%' ORDER BY v"
    };
    let found = db.read(|c| Ok(make::query(c, asked))).unwrap();
    found
        .iter()
        .map(|key| key.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap())
        .collect()
}

both! {
    fn a_row_without_its_parent_is_rejected_with_the_missing_value(t) {
        let db = t.db();
        db.write(make::seed).unwrap();
        let keys = foreign_keys(t, &db);
        assert_eq!(keys.len(), 19, "{keys:?}");
        for [table, column, parent] in &keys {
            let stored = db.read(|c| Ok(make::rows(c, table))).unwrap().remove(0);
            let mut row = stored.clone();
            let is_uuid = stored["id"].is_string();
            let (missing, shown): (Value, _) = if is_uuid { (NOBODY.into(), format!("\"{NOBODY}\"")) } else { (99.into(), "99".to_owned()) };
            row[column] = missing;
            row.as_object_mut().unwrap().remove("id");
            if table == "channels" {
                row["api_credentials_encrypted"] = json!("gAAAAx");
            }
            let (report, rejects) = read(&db, format!("\n\n{row}\n"), &of(table));
            assert_eq!(counts(&report), (1, 0, 0, 1), "{table}.{column}: {rejects:?}");
            assert_eq!(rejects[0].line, 3);
            assert_eq!(rejects[0].reason, format!("{table}.{column} {shown} not found in {parent}; ingest the rows of {parent} first"));
            assert_eq!(rejects[0].row[column], row[column]);
        }
        let strict = Options { strict: true, ..of("tts_audio") };
        let error = ingest(&db, "in", r#"{"pipeline_run_id":99,"engine_used":"x"}"#.as_bytes(), &strict, &mut |_| Ok(())).unwrap_err();
        assert!(error.to_string().contains("in line 1: tts_audio.pipeline_run_id 99 not found in pipeline_runs"), "{error}");
    }

    fn many_rows_without_parents_are_rejected_among_other_bad_and_good_rows(t) {
        let db = t.db();
        db.write(|c| Ok(make::run_id(c))).unwrap();
        let row = |n: usize| {
            let (run, module) = (if n.is_multiple_of(2) { 1 } else { n + 1 }, if n == 7_000 { "m".repeat(5_000) } else { "m".to_owned() });
            format!("{}\n", json!({"pipeline_run_id": run, "module": module, "error_type": "e", "error_message": n.to_string()}))
        };
        let lines: String = (1..=12_000).map(row).collect();
        let (report, rejects) = read(&db, &lines, &of("error_log"));
        assert_eq!((report.new, report.rejected), (5_999, 6_001));
        let (others, orphans): (Vec<&Reject>, Vec<&Reject>) = rejects.iter().partition(|reject| reject.line % 2 == 0);
        assert_eq!(others.iter().map(|reject| reject.line).collect::<Vec<_>>(), [7_000]);
        assert!(others[0].reason.contains("module"), "{}", others[0].reason);
        for orphan in orphans {
            let expected = format!("error_log.pipeline_run_id {} not found in pipeline_runs; ingest the rows of pipeline_runs first", orphan.line + 1);
            assert_eq!(orphan.reason, expected);
        }
    }
}
