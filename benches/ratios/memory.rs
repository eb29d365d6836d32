//! Measures how much the memory of a process grows while it ingests rows in chunks.

use std::fs;
use std::process::Command;

use viraldb::Database;
use viraldb::compilation::NewDiscoveredVideo;

use crate::measure::{Asked, verdict};
use crate::rows;
use crate::sqlite::CHUNK;

const WHOLE: &str = "sqlite memory, one write";
const CHUNKS: &str = "sqlite memory, one write per chunk";
/// Maximum growth in KiB.
const MOST: u64 = 64 * 1024;

/// Measures in child processes, where nothing else has used memory before.
pub fn print(asked: &Asked) {
    for name in [WHOLE, CHUNKS] {
        if !asked.wants(name) {
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let count = asked.rows(1_000_000);
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--child",
                dir.path().join("viral.db").to_str().unwrap(),
                "--rows",
                &count.to_string(),
                name,
            ])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let grown: u64 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
        println!(
            "{name}: grew by {:.1} MiB for {count} rows, target {} MiB {}",
            grown as f64 / 1024.0,
            MOST / 1024,
            verdict(grown <= MOST)
        );
    }
}

/// Runs in the child process: ingests rows and prints the peak growth of its memory in KiB.
pub fn child(url: &str, asked: &Asked) {
    let db = Database::open(url).unwrap();
    let count = asked.rows(1_000_000);
    let chunks = (0..count).step_by(CHUNK).map(|start| {
        (start..(start + CHUNK as u64).min(count)).map(rows::row).collect::<Vec<NewDiscoveredVideo<'_>>>()
    });
    // Writing 5 resets the peak to the current memory use.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = kib("VmRSS:");
    if asked.wants(WHOLE) {
        db.write(|c| {
            for chunk in chunks {
                NewDiscoveredVideo::insert_or_update_many(c, &chunk)?;
            }
            Ok(())
        })
        .unwrap();
    } else {
        for chunk in chunks {
            db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &chunk)).unwrap();
        }
    }
    println!("{}", kib("VmHWM:") - before);
}

fn kib(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
