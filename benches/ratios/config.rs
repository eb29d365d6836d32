//! Compares lookups of settings with a hash map of the same keys, and writes of secrets with writes of plain text.

use std::collections::HashMap;
use std::hint::black_box;

use rusqlite::{TransactionBehavior, params};
use viraldb::Timestamp;
use viraldb::config::{Config, Options};
#[cfg(feature = "postgres")]
use viraldb::diesel::connection::SimpleConnection;
use viraldb::secrets::{self, Key, Keyring, Place, Secret};

use crate::measure::{Asked, Line, time};
use crate::sqlite::{Scratch, in_turns, rival, to_text};

const LOOKUP: &str = "sqlite config lookup";
const OF_CHANNEL: &str = "sqlite config lookup of a channel";
const SEAL: &str = "sqlite seal and write a credential";
#[cfg(feature = "postgres")]
const SEAL_POSTGRES: &str = "postgres seal and write a credential";
const KEYS: [&str; 6] = [
    "max_concurrent_jobs",
    "default_retry_attempts",
    "min_clips",
    "clip_duration_max",
    "target_duration_max",
    "backup_keep",
];

pub fn lines(asked: &Asked) -> Vec<Line> {
    let mut lines = lookups(asked);
    if asked.wants(SEAL) {
        lines.push(seal(asked));
    }
    #[cfg(feature = "postgres")]
    if asked.wants(SEAL_POSTGRES) {
        lines.push(seal_on_postgres(asked));
    }
    lines
}

/// Returns the texts of one round, 500 bytes each.
fn texts(count: u64) -> Vec<String> {
    (0..count).map(|n| format!("{n:0500}")).collect()
}

/// Seals and writes 500 bytes in each transaction. The rival writes plain text.
fn seal(asked: &Asked) -> Line {
    let count = asked.rows(5_000);
    let mut line = Line::new(SEAL, Some(0.7), count);
    let [ours, theirs] = [Scratch::new(), Scratch::new()];
    let (db, other) = (ours.open(), theirs.open());
    let (channel, other) = (crate::queue::video(&db).channel_id, crate::queue::video(&other).channel_id);
    let place = Place::ChannelCredentials(channel);
    let keyring = Keyring::new([Key::generate().unwrap()]);
    let texts = texts(count);
    let mut conn = rival(&theirs.path);
    for round in 0..asked.rounds(9) {
        let ours = |_: &mut rusqlite::Connection| {
            time(|| {
                for text in &texts {
                    let secret = Secret::from(text.clone());
                    db.write(|c| secrets::set(c, &keyring, &place, &secret)).unwrap();
                }
            })
        };
        let hand = |conn: &mut rusqlite::Connection| {
            time(|| {
                for text in &texts {
                    let write = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
                    let sql =
                        "UPDATE channels SET api_credentials_encrypted = ?1, updated_at = ?2 WHERE id = ?3";
                    let values = params![text, to_text(Timestamp::now()), other.to_string()];
                    assert_eq!(write.prepare_cached(sql).unwrap().execute(values).unwrap(), 1);
                    write.commit().unwrap();
                }
            })
        };
        let (ours, hand) = in_turns(round, &mut conn, ours, hand);
        line.add(ours, hand);
    }
    line
}

/// Does the same on PostgreSQL, with one statement for each text, like the rival.
#[cfg(feature = "postgres")]
fn seal_on_postgres(asked: &Asked) -> Line {
    let count = asked.rows(5_000);
    let mut line = Line::new(SEAL_POSTGRES, Some(0.7), count);
    let server = crate::server::Server::new(&["shared_buffers=256MB", "max_wal_size=4GB"]);
    let create = |name: &str| {
        let url = server.create_database(&format!("seal_{name}{}", std::process::id()), "template0");
        (viraldb::Database::open(&url).unwrap(), url)
    };
    let ((db, _), (other, url)) = (create("ours"), create("hand"));
    let (channel, other) = (crate::queue::video(&db).channel_id, crate::queue::video(&other).channel_id);
    let place = Place::ChannelCredentials(channel);
    let keyring = Keyring::new([Key::generate().unwrap()]);
    let texts = texts(count);
    let other = other.to_string();
    let sql = "UPDATE channels SET api_credentials_encrypted = $1, updated_at = now() WHERE id = $2::uuid";
    let mut hand = crate::libpq::Rival::new(&url, &[("write", sql)]);
    let mut session = db.session().unwrap();
    for round in 0..asked.rounds(9) {
        session.batch_execute("VACUUM ANALYZE channels").unwrap();
        session.batch_execute("CHECKPOINT").unwrap();
        let ours = |_: &mut crate::libpq::Rival| {
            time(|| {
                for text in &texts {
                    secrets::set(&mut session, &keyring, &place, &Secret::from(text.clone())).unwrap();
                }
            })
        };
        let by_hand = |conn: &mut crate::libpq::Rival| {
            time(|| {
                for text in &texts {
                    conn.run("write", &[text, &other]);
                }
            })
        };
        let (ours, by_hand) = in_turns(round, &mut hand, ours, by_hand);
        line.add(ours, by_hand);
    }
    line
}

fn lookups(asked: &Asked) -> Vec<Line> {
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
