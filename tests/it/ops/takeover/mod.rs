//! `viraldb takeover`, of databases that SQLAlchemy made; tests/clients has the programs that did.

#[cfg(feature = "sqlite")]
mod commands;
#[cfg(feature = "sqlite")]
mod interrupted;
mod rows;
#[cfg(feature = "sqlite")]
mod source;

use std::path::PathBuf;

use serde_json::Value;

use crate::support::Scratch;

/// A database of tests/data/takeover.
fn made(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/takeover").join(name)
}

/// What is in a JSON file of tests/data/takeover.
fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(made("expected.json")).unwrap()).unwrap()
}

/// Runs `viraldb takeover`, which must succeed, and returns its report and the rejected rows.
fn taken(t: &Scratch, source: &str, more: &[&str]) -> (Value, Vec<Value>) {
    let rejects = t.path("rejects.jsonl");
    let mut args =
        vec!["takeover", source, "--to", &t.url, "--rejects", rejects.to_str().unwrap(), "--format", "json"];
    args.extend(more);
    let report = serde_json::from_str(&t.ok(&args)).unwrap();
    let rejected = std::fs::read_to_string(&rejects).unwrap();
    (report, rejected.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// What the report says of a table of the source.
fn of_table<'a>(report: &'a Value, table: &str) -> &'a Value {
    report["tables"].as_array().unwrap().iter().find(|each| each["from"] == table).unwrap()
}

/// The rows of a table of ours, by their keys.
fn rows(t: &Scratch, table: &str) -> std::collections::HashMap<String, Value> {
    t.ok(&["export", table])
        .lines()
        .map(|line| {
            let row: Value = serde_json::from_str(line).unwrap();
            let key = row.get("id").unwrap_or(&row["key"]);
            (text(key), row)
        })
        .collect()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
