//! Lookups of settings against a hash map of the same keys.

use std::collections::HashMap;
use std::hint::black_box;

use viraldb::config::{Config, Options};

use crate::measure::{Asked, Line, time};
use crate::sqlite::{Scratch, in_turns};

const LOOKUP: &str = "sqlite config lookup";
const OF_CHANNEL: &str = "sqlite config lookup of a channel";
const KEYS: [&str; 6] = [
    "max_concurrent_jobs",
    "default_retry_attempts",
    "min_clips",
    "clip_duration_max",
    "target_duration_max",
    "backup_keep",
];

pub fn lines(asked: &Asked) -> Vec<Line> {
    if !asked.wants_any(&[LOOKUP, OF_CHANNEL]) {
        return Vec::new();
    }
    let scratch = Scratch::new();
    let db = scratch.open();
    let channel = crate::queue::video(&db).channel_id;
    db.write(viraldb::config::set_default_configs).unwrap();
    let file = scratch.path.with_extension("toml");
    std::fs::write(&file, "").unwrap();
    let config = Config::open_with(&db, Options { file: Some(file), ..Options::default() }).unwrap();
    let map: HashMap<String, u32> =
        KEYS.iter().map(|key| ((*key).to_owned(), config.get(key).unwrap())).collect();
    let count = asked.rows(2_000_000);
    let sum = |look: &dyn Fn(&str) -> u32| {
        time(|| (0..count).map(|n| u64::from(look(black_box(KEYS[n as usize % KEYS.len()])))).sum::<u64>())
    };
    [LOOKUP, OF_CHANNEL]
        .into_iter()
        .map(|name| {
            let mut line = Line::new(name, Some(0.1), count);
            for round in 0..asked.rounds(9) {
                let ours = |_: &mut ()| match name {
                    LOOKUP => sum(&|key| config.get(key).unwrap()),
                    _ => sum(&|key| config.get_for(channel, key).unwrap()),
                };
                let (ours, theirs) = in_turns(round, &mut (), ours, |_| sum(&|key| map[key]));
                line.add(ours, theirs);
            }
            line
        })
        .collect()
}
