//! What operators ask of a database and do to it.

mod backup;
mod doctor;
mod drift;
mod export;
mod export_rows;
mod optimize;
mod prune;
mod prune_killed;
mod transfer;

use std::time::Duration;

use viraldb::diesel::connection::SimpleConnection;
use viraldb::{Database, Timestamp};

use crate::make;
use crate::support::both;

fn days_ago(days: u64) -> Timestamp {
    Timestamp::now() - Duration::from_secs(days * 24 * 3600)
}

/// Runs statements as another program would.
fn sql(db: &Database, statements: &str) {
    db.write(|c| Ok(c.batch_execute(statements)?)).unwrap();
}

/// The one column of a query, as text.
fn texts(db: &Database, query: &str) -> Vec<String> {
    db.read(|c| Ok(make::query(c, query))).unwrap()
}

fn number(db: &Database, query: &str) -> i64 {
    texts(db, query)[0].parse().unwrap()
}

both! {
    fn the_commands_of_the_guide_do_what_it_says(t) {
        t.ok(&["init", "--sample"]);
        let guide = include_str!("../../../docs/DATABASE.md");
        let mut ran = 0;
        for section in ["\n## Data out\n", "\n## Growth\n"] {
            let section = guide.split(section).nth(1).unwrap().split("\n## ").next().unwrap();
            let blocks = section.split("```").skip(1).step_by(2);
            for line in blocks.flat_map(|block| block.strip_prefix("sh\n").unwrap().lines()) {
                let words: Vec<&str> = line.split('#').next().unwrap().split_whitespace().collect();
                assert_eq!(words[0], "viraldb", "{line}");
                t.ok(&words[1..]);
                ran += 1;
            }
        }
        assert!(ran >= 9);
        for name in ["analytics.jsonl", "rows/shorts.jsonl", "rows/videos.jsonl", "trends.csv", "files.txt"] {
            assert!(t.path(name).exists(), "{name}");
        }
    }
}
