//! The command `viraldb transfer`.

use serde_json::Value;

use super::*;
use crate::support::both;

both! {
    fn transfer_reports_in_every_format(t) {
        seed(&t.db());
        let there = other_engine(t);
        let args = ["transfer", "--from", &t.url, "--to", &there.url];
        let out = t.ok(&args);
        assert!(out.contains("22 rows") && out.contains("all digests equal"), "{out}");
        let with = |more: &[&str]| t.ok(&[&args[..], more].concat());
        let document: Value = serde_json::from_str(&with(&["--replace", "--format", "json"])).unwrap();
        assert_eq!((&document["rows"], document["tables"].as_array().unwrap().len()), (&Value::from(22), 27));
        assert_eq!(document["tables"][0]["table"], "discovered_videos");
        assert_eq!(document["tables"][0]["digest"].as_str().unwrap().len(), 32);
        let lines = with(&["--replace", "--format", "jsonl"]);
        assert_eq!(lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).filter(|row| row["rows"] == 1).count(), 22);
        assert!(with(&["--replace", "--format", "csv"]).starts_with("table,rows,digest,seconds\ndiscovered_videos,1,"));
        assert!(!with(&["--replace", "--quiet"]).contains("copied"));
        assert_eq!(t.run(&[&args[..], &["--replace", "--resume"]].concat()).code, 2);
        let refused = t.run(&args);
        assert_eq!((refused.code, &*refused.out), (1, ""));
        assert!(refused.err.contains("is not empty"), "{}", refused.err);
    }

    fn one_row_is_singular(t) {
        execute(&t.db(), "INSERT INTO jobs (status) VALUES ('pending')");
        let there = other_engine(t);
        let args = ["transfer", "--from", &t.url, "--to", &there.url];
        let out = t.ok(&args);
        assert!(out.contains(": 1 row, "), "{out}");
        let out = t.ok(&[&args[..], &["--resume"]].concat());
        assert!(out.contains(" already: 1 row, "), "{out}");
        let full = t.another();
        seed(&full.db());
        execute(&full.db(), "DELETE FROM job_videos");
        let out = full.ok(&["status"]);
        assert!(out.contains(" none in 1 other table\n"), "{out}");
    }

    fn dry_run_plans_without_changes(t) {
        let db = t.db();
        seed(&db);
        insert_many(t, &db, 20);
        let there = other_engine(t);
        let args = ["transfer", "--from", &t.url, "--to", &there.url, "--dry-run", "--format", "json"];
        let plan = |more: &[&str]| -> Value { serde_json::from_str(&t.ok(&[&args[..], more].concat())).unwrap() };
        let planned = |plan: &Value, table: &str| {
            let row = plan["tables"].as_array().unwrap().iter().find(|row| row["table"] == table).unwrap().clone();
            [row["rows"].as_u64().unwrap(), row["copied"].as_u64().unwrap(), row["deleted"].as_u64().unwrap()]
        };
        let fresh = plan(&[]);
        assert_eq!((planned(&fresh, "analytics"), planned(&fresh, "viraldb_keys")), ([21, 0, 0], [0, 0, 0]));
        if there.is_postgres {
            assert!(there.run(&["migrate", "check"]).code == 3, "a dry run migrated the target");
        } else {
            assert!(!there.path("viral.db").exists());
        }
        let target = there.db();
        execute(&db, "INSERT INTO jobs (status) VALUES ('pending')");
        block(&target);
        assert!(run(t, &there, Existing::Refuse).is_err());
        assert_eq!(planned(&plan(&["--resume"]), "analytics"), [0, 21, 0]);
        assert_eq!(planned(&plan(&["--replace"]), "analytics"), [21, 0, 21]);
        let refused = t.run(&args);
        assert!(refused.code == 1 && refused.err.contains("interrupted"), "{}", refused.err);
        let people = t.ok(&["transfer", "--from", &t.url, "--to", &there.url, "--dry-run", "--resume"]);
        assert!(people.starts_with("would copy "), "{people}");
        let noted = "SELECT CAST(rows AS text) AS v FROM viraldb_transfer WHERE name = 'analytics'";
        assert_eq!(target.read(|c| Ok(make::query(c, noted))).unwrap(), ["21"]);
    }
}
