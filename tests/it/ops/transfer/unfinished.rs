//! The target of an interrupted transfer does not count as a complete database.

use serde_json::Value;
use viraldb::ops::{Check, Examination, Severity, doctor};

use super::*;
use crate::support::both;

fn examine(t: &Scratch, fix: bool) -> viraldb::ops::Report {
    doctor(&t.url, &Examination { fix, ..Default::default() }).unwrap()
}

both! {
    fn unfinished_transfer_is_reported_and_blocks_backups(t) {
        let db = t.db();
        seed(&db);
        insert_many(t, &db, 20);
        execute(&db, "INSERT INTO jobs (status) VALUES ('pending')");
        let there = other_engine(t);
        block(&there.db());
        assert!(run(t, &there, Existing::Refuse).is_err());
        let settings = "SELECT CAST(count(*) AS text) AS v FROM system_configuration";
        let before = make::query(&mut there.plain(), settings);

        let ran = there.run(&["videos", "list"]);
        assert!(ran.code == 0 && ran.err.contains("contains an unfinished transfer, "), "{}", ran.err);
        assert!(ran.err.contains("--resume`, or start over with --replace"), "{}", ran.err);
        let ran = there.run(&["init"]);
        assert!(ran.code == 0 && ran.err.contains("contains an unfinished transfer, "), "{}", ran.err);
        assert_eq!(make::query(&mut there.plain(), settings), before, "init must not insert rows into an unfinished transfer");
        assert!(there.ok(&["status"]).contains("\ntransfer         unfinished, "));
        let status: Value = serde_json::from_str(&there.ok(&["status", "--format", "json"])).unwrap();
        assert!(status["unfinished_transfer"].as_u64().unwrap() > 40, "{status}");

        // Doctor must not fix problems that the rest of the transfer will resolve.
        let report = examine(&there, false);
        let found = report.findings.iter().find(|finding| finding.check == Check::Transfer).unwrap();
        assert!(found.severity == Severity::Error && found.what.contains("has not ended"), "{found:?}");
        // On PostgreSQL, sequences are set at the end of a transfer.
        let is_behind = report.findings.iter().any(|finding| finding.check == Check::Sequences);
        assert_eq!(is_behind, there.is_postgres, "{report:?}");
        let fixed = examine(&there, true);
        assert!(fixed.mended.is_empty(), "{:?}", fixed.mended);
        let of_sequences: Vec<_> = fixed.findings.iter().filter(|finding| finding.check == Check::Sequences).collect();
        assert_eq!(of_sequences.is_empty(), !is_behind, "doctor changed a sequence");
        let later = Some("after the transfer has ended: viraldb doctor --fix");
        assert!(of_sequences.iter().all(|finding| finding.mend.as_deref() == later), "{of_sequences:?}");

        // An incomplete database cannot be backed up or transferred.
        let further = t.another();
        for args in [&["backup", "create"][..], &["transfer", "--from", &there.url, "--to", &further.url]] {
            let ran = there.run(args);
            assert_eq!((ran.code, &*ran.out), (1, ""), "{args:?}");
            assert!(ran.err.contains("contains an unfinished transfer, "), "{args:?}: {}", ran.err);
        }

        unblock(&there.db());
        // Resuming the transfer prints no warning about it.
        let ran = there.run(&["transfer", "--from", &t.url, "--to", &there.url, "--resume"]);
        assert!(ran.code == 0 && !ran.err.contains("unfinished"), "{}", ran.err);
        assert!(!there.ok(&["status"]).contains("transfer"));
        assert_eq!(there.run(&["videos", "list"]).err, "");
        let report = examine(&there, false);
        assert!(report.checks.contains(&Check::Transfer));
        assert!(report.findings.iter().all(|finding| finding.check != Check::Transfer), "{report:?}");
        there.ok(&["backup", "create"]);
    }
}
