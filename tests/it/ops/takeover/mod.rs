//! `viraldb takeover` from databases that SQLAlchemy created. The programs that created them are in tests/clients.

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

/// Returns the path of a file in tests/data/takeover.
fn data_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/takeover").join(name)
}

/// Reads tests/data/takeover/expected.json.
fn expected() -> Value {
    serde_json::from_slice(&std::fs::read(data_file("expected.json")).unwrap()).unwrap()
}

/// Runs `viraldb takeover`, requires that it succeeds, and returns its report and the rejected rows.
fn take_over(t: &Scratch, source: &str, more: &[&str]) -> (Value, Vec<Value>) {
    let rejects = t.path("rejects.jsonl");
    let mut args =
        vec!["takeover", source, "--to", &t.url, "--rejects", rejects.to_str().unwrap(), "--format", "json"];
    args.extend(more);
    let report = serde_json::from_str(&t.ok(&args)).unwrap();
    let rejected = std::fs::read_to_string(&rejects).unwrap();
    (report, rejected.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// Returns the part of the report about a table of the source.
fn of_table<'a>(report: &'a Value, table: &str) -> &'a Value {
    report["tables"].as_array().unwrap().iter().find(|each| each["from"] == table).unwrap()
}

/// Returns the rows of a table in the target by their keys.
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
