//! Tests of settings: layer precedence, caching and change history.

mod changes;
mod commands;
#[cfg(all(unix, feature = "sqlite"))]
mod dotenv;
mod effects;
mod kept;
mod layers;
mod limits;
mod owner;
mod readers;
mod secrets;

use serde_json::{Value, json};
use viraldb::Database;
use viraldb::config::{Config, Options, Scope};
use viraldb::republishing::ChannelId;

use crate::make;
use crate::support::Scratch;

/// Opens a configuration with an empty file, so that no file on the machine is read.
fn config(t: &Scratch, db: &Database) -> Config {
    with_file(t, db, "").unwrap()
}

fn with_file(t: &Scratch, db: &Database, text: &str) -> viraldb::Result<Config> {
    let file = Some(t.file("test.toml", text));
    Config::open_with(db, Options { file, ..Default::default() })
}

/// Inserts a channel with these settings and returns its id.
fn channel(db: &Database, settings: Value) -> ChannelId {
    db.write(|c| {
        let new = make::channel();
        viraldb::republishing::NewChannel { settings: Some(viraldb::Json(settings)), ..new }.insert(c)
    })
    .unwrap()
    .id
}
