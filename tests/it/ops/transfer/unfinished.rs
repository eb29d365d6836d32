//! A target whose transfer was interrupted is not taken for a whole database.

use serde_json::Value;
use viraldb::ops::{Check, Examination, Severity, doctor};

use super::*;
use crate::support::both;

fn examined(t: &Scratch, fix: bool) -> viraldb::ops::Report {
    doctor(&t.url, &Examination { fix, ..Default::default() }).unwrap()
}

both! {
    fn everybody_who_opens_the_target_is_told(t) {
        let db = t.db();
        seed(&db);
        many(t, &db, 20);
        execute(&db, "INSERT INTO jobs (status) VALUES ('pending')");
        let there = across(t);
        block(&there.db());
        assert!(run(t, &there, Existing::Refuse).is_err());
        let settings = "SELECT CAST(count(*) AS text) AS v FROM system_configuration";
        let before = make::query(&mut there.plain(), settings);

        let ran = there.run(&["videos", "list"]);
        assert!(ran.code == 0 && ran.err.contains("holds a transfer that has not ended, "), "{}", ran.err);
        assert!(ran.err.contains("--resume goes on with it"), "{}", ran.err);
        let ran = there.run(&["init"]);
        assert!(ran.code == 0 && ran.err.contains("holds a transfer that has not ended, "), "{}", ran.err);
        assert_eq!(make::query(&mut there.plain(), settings), before, "no row of ours comes in between");
        assert!(there.ok(&["status"]).contains("\ntransfer         not ended, "));
        let status: Value = serde_json::from_str(&there.ok(&["status", "--format", "json"])).unwrap();
        assert!(status["unfinished_transfer"].as_u64().unwrap() > 40, "{status}");

        // What would be mended belongs to the transfer.
        let report = examined(&there, false);
        let found = report.findings.iter().find(|finding| finding.check == Check::Transfer).unwrap();
        assert!(found.severity == Severity::Error && found.what.contains("has not ended"), "{found:?}");
        // PostgreSQL's sequences are set at the end.
        let is_behind = report.findings.iter().any(|finding| finding.check == Check::Sequences);
        assert_eq!(is_behind, there.is_postgres, "{report:?}");
        let fixed = examined(&there, true);
        assert!(fixed.mended.is_empty(), "{:?}", fixed.mended);
        let of_sequences: Vec<_> = fixed.findings.iter().filter(|finding| finding.check == Check::Sequences).collect();
        assert_eq!(of_sequences.is_empty(), !is_behind, "none was moved");
        let later = Some("when the transfer has ended: viraldb doctor --fix");
        assert!(of_sequences.iter().all(|finding| finding.mend.as_deref() == later), "{of_sequences:?}");

        // Half a database is neither backed up nor copied on.
        let further = t.another();
        for args in [&["backup", "create"][..], &["transfer", "--from", &there.url, "--to", &further.url]] {
            let ran = there.run(args);
            assert_eq!((ran.code, &*ran.out), (1, ""), "{args:?}");
            assert!(ran.err.contains("holds a transfer that has not ended, "), "{args:?}: {}", ran.err);
        }

        unblock(&there.db());
        // The transfer itself is not told of itself.
        let ran = there.run(&["transfer", "--from", &t.url, "--to", &there.url, "--resume"]);
        assert!(ran.code == 0 && !ran.err.contains("has not ended"), "{}", ran.err);
        assert!(!there.ok(&["status"]).contains("transfer"));
        assert_eq!(there.run(&["videos", "list"]).err, "");
        let report = examined(&there, false);
        assert!(report.checks.contains(&Check::Transfer));
        assert!(report.findings.iter().all(|finding| finding.check != Check::Transfer), "{report:?}");
        there.ok(&["backup", "create"]);
    }
}
