//! Measures job queues in Rust.
//!
//! ```text
//! queue-peers URL work|enqueue-many|enqueue-one|latency N HANDS --variant apalis-postgres|apalis-sqlite|graphile_worker
//! ```
//!
//! Prints one line of JSON. The settings of each rival are in its file.

mod apalis_postgres_peer;
mod apalis_sqlite_peer;
mod graphile_peer;
mod measure;

use measure::{Asked, Result, measure};

#[tokio::main]
async fn main() -> Result<()> {
    let asked = Asked::parse(std::env::args().skip(1)).unwrap_or_else(|reason| {
        eprintln!("error: {reason}");
        std::process::exit(2);
    });
    let (result, settings) = match asked.variant.as_str() {
        "apalis-postgres" => {
            let mut rival = apalis_postgres_peer::Peer::open(&asked).await?;
            (measure(&asked, &mut rival).await?, apalis_postgres_peer::SETTINGS)
        }
        "apalis-sqlite" => {
            let mut rival = apalis_sqlite_peer::Peer::open(&asked).await?;
            (measure(&asked, &mut rival).await?, apalis_sqlite_peer::SETTINGS)
        }
        "graphile_worker" => {
            let mut rival = graphile_peer::Peer::open(&asked).await?;
            (measure(&asked, &mut rival).await?, graphile_peer::SETTINGS)
        }
        other => {
            eprintln!(
                "error: unknown variant \"{other}\"; expected apalis-postgres, apalis-sqlite or graphile_worker"
            );
            std::process::exit(2);
        }
    };
    let mut line = serde_json::json!({
        "rival": format!("{} {}", asked.variant, version(&asked.variant)),
        "settings": settings,
        "what": asked.what,
        "variant": "rust",
        "count": asked.count,
        "hands": asked.hands,
    });
    if let (Some(line), serde_json::Value::Object(result)) = (line.as_object_mut(), result) {
        line.extend(result);
    }
    println!("{line}");
    Ok(())
}

/// Returns the version of a package in Cargo.lock.
fn version(package: &str) -> &'static str {
    include_str!("../Cargo.lock")
        .split_once(&format!("name = \"{package}\"\nversion = \""))
        .and_then(|(_, rest)| rest.split_once('"'))
        .map_or("unknown", |(version, _)| version)
}
