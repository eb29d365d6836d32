//! One search over ids, titles, names and errors.

use serde::Serialize;

use super::column::Kind;
use super::query::{Bound, Query};
use super::raw::{Raw, load};
use super::sql::{Statement, engine, matches};
use crate::DbConnection;
use crate::compilation::niches;
use crate::db::{Engine, time_limit};
use crate::error::{Error, Result};

/// Maximum number of hits in a group.
const MOST: usize = 10;
/// Number of characters of a title that are shown.
const SHOWN: usize = 200;
/// How many of the newest rows of a table are searched for a text. No index finds a part of a text.
const RECENT: u32 = 10_000;
/// How many ids are compared with a prefix, beginning with the first that is not less.
const IDS: u32 = 200;
/// How many niches are searched.
const NICHES: i64 = 1_000;
/// Minimum and maximum number of characters of a search.
const LENGTH: std::ops::RangeInclusive<usize> = 2..=200;

/// A row that was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Hit {
    /// Table of the row.
    pub table: &'static str,
    /// The column whose value tells which row it is: the primary key, `video_id` of a discovered video, or `niche` for all
    /// videos of a niche.
    pub column: &'static str,
    /// The value of that column.
    pub key: String,
    /// Title or name.
    pub title: String,
    /// What else tells it apart, such as its status.
    pub detail: String,
}

/// The hits of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Group {
    /// What was searched, such as `Channels`.
    pub name: &'static str,
    /// Which rows were searched.
    pub scope: String,
    /// Up to 10 hits.
    pub hits: Vec<Hit>,
    /// Whether there are more hits.
    pub more: bool,
}

/// What was found for a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Found {
    /// The text.
    pub text: String,
    /// The groups with hits.
    pub groups: Vec<Group>,
}

/// Finds rows by a text: ids, or the beginning of one; parts of titles, channel names, niches and error messages. Upper and lower
/// case of the letters A to Z are the same, except in ids.
///
/// Of large tables, the newest 10,000 rows are searched for texts. A search takes up to 15 statements.
///
/// # Errors
/// `Invalid` if the text has less than 2 or more than 200 characters, or if the search takes longer than two seconds.
///
/// ```
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// let found = db.read(|c| viraldb::browse::search(c, "cats"))?;
/// assert!(found.groups.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn search(conn: &mut DbConnection, text: &str) -> Result<Found> {
    let text = text.trim();
    if !LENGTH.contains(&text.chars().count()) && text.parse::<i64>().is_err() {
        let reason = format!("must have {} to {} characters", LENGTH.start(), LENGTH.end());
        return Err(Error::invalid("the text to search for", reason));
    }
    let to_do = "search for a whole id, or filter a list instead";
    let groups = time_limit::within(conn, Query::TIME_LIMIT, "the search", to_do, |conn| {
        let mut groups = Vec::new();
        if let Ok(id) = text.parse::<i64>() {
            groups.push(by_number(conn, id)?);
        }
        if let Some(range) = uuids(text) {
            groups.push(by_uuid(conn, &range)?);
        }
        groups.push(by_platform_id(conn, text)?);
        groups.push(of_niches(conn, text)?);
        for source in &SOURCES {
            groups.push(source.search(conn, text)?);
        }
        Ok(groups)
    })?;
    Ok(Found {
        text: text.to_owned(),
        groups: groups.into_iter().filter(|group| !group.hits.is_empty()).collect(),
    })
}

/// A table that is searched for a text: its newest rows.
struct Source {
    name: &'static str,
    table: &'static str,
    /// The key that a hit gets.
    key: &'static str,
    title: &'static str,
    detail: &'static str,
    /// The columns that may contain the text.
    texts: &'static [&'static str],
}

static SOURCES: [Source; 6] = [
    Source {
        name: "Channels",
        table: "channels",
        key: "id",
        title: "name",
        detail: "youtube_channel_id",
        texts: &["name", "youtube_channel_id"],
    },
    Source {
        name: "Discovered videos",
        table: "discovered_videos",
        key: "video_id",
        title: "title",
        detail: "channel_name",
        texts: &["title", "channel_name"],
    },
    Source {
        name: "Source videos",
        table: "videos",
        key: "id",
        title: "source_title",
        detail: "status",
        texts: &["source_title", "final_title", "source_creator", "youtube_video_id"],
    },
    Source {
        name: "Trends",
        table: "trends",
        key: "id",
        title: "title",
        detail: "platform",
        texts: &["title", "creator", "external_id"],
    },
    Source {
        name: "Errors",
        table: "error_log",
        key: "id",
        title: "error_message",
        detail: "module",
        texts: &["error_message", "error_type", "module"],
    },
    Source {
        name: "Errors of jobs",
        table: "video_processing_jobs",
        key: "id",
        title: "error_message",
        detail: "job_type",
        texts: &["error_message"],
    },
];

/// Returns the expression for the first characters of a text.
fn start(engine: Engine, column: &str, characters: usize) -> String {
    let schema = if engine == Engine::Postgres { "pg_catalog." } else { "" };
    format!("{schema}substr({column}, 1, {characters})")
}

impl Source {
    fn search(&self, conn: &mut DbConnection, text: &str) -> Result<Group> {
        let Self { name, table, key, title, detail, texts } = *self;
        let engine = engine(conn);
        let mut statement = Statement::default();
        let contains: Vec<String> = texts
            .iter()
            .map(|column| matches(engine, &format!("recent.{column}"), text, false, &mut statement))
            .collect();
        let mut columns = vec!["id", key, title, detail];
        columns.extend(texts);
        columns.sort_unstable();
        columns.dedup();
        statement.sql = format!(
            "SELECT recent.{key}, {}, recent.{detail} FROM (SELECT {} FROM {table} ORDER BY id DESC LIMIT {RECENT}) AS recent \
             WHERE {} ORDER BY recent.id DESC LIMIT {}",
            start(engine, &format!("recent.{title}"), SHOWN),
            columns.join(", "),
            contains.join(" OR "),
            MOST + 1
        );
        group(conn, name, (table, key), format!("the newest {RECENT} rows of {table}"), &statement)
    }
}

/// Runs a statement that selects key, title and detail.
fn group(
    conn: &mut DbConnection,
    name: &'static str,
    (table, column): (&'static str, &'static str),
    scope: String,
    statement: &Statement,
) -> Result<Group> {
    let rows = load(conn, table, &statement.sql, &statement.bounds)?;
    let mut hits: Vec<Hit> = rows
        .into_iter()
        .map(|row| {
            let mut values = row.0.into_iter().map(shown);
            let mut next = || values.next().unwrap_or_default();
            Hit { table, column, key: next(), title: next(), detail: next() }
        })
        .collect();
    let more = hits.len() > MOST;
    hits.truncate(MOST);
    Ok(Group { name, scope, hits, more })
}

fn shown(value: Raw) -> String {
    match value.into_json(Kind::Text) {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// Appends the groups of several statements to one.
fn merged(name: &'static str, scope: &str, groups: Vec<Group>) -> Group {
    let more = groups.iter().any(|group| group.more);
    let hits: Vec<Hit> = groups.into_iter().flat_map(|group| group.hits).collect();
    Group { name, scope: scope.to_owned(), hits, more }
}

/// Finds the rows with a numeric id.
fn by_number(conn: &mut DbConnection, id: i64) -> Result<Group> {
    let found = [
        ("pipeline_runs", "id", "niche", "status"),
        ("discovered_videos", "video_id", "title", "channel_name"),
        ("clips", "id", "extraction_method", "clip_file_path"),
        ("error_log", "id", "error_message", "module"),
        ("jobs", "id", "theme", "status"),
    ]
    .into_iter()
    .map(|(table, key, title, detail)| {
        let [title, detail] = [title, detail].map(|column| start(engine(conn), column, SHOWN));
        let sql = format!("SELECT {key}, {title}, {detail} FROM {table} WHERE id = $1");
        let statement = Statement { sql, bounds: vec![Bound::Integer(id)] };
        group(conn, "", (table, key), String::new(), &statement)
    })
    .collect::<Result<Vec<_>>>()?;
    Ok(merged("Rows with this id", "runs, discovered videos, clips, errors and generation jobs", found))
}

/// Returns the smallest and the largest UUID that begin with a text of at least four hexadecimal digits.
fn uuids(text: &str) -> Option<[String; 2]> {
    let digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
    if !(4..=32).contains(&digits.len()) || !digits.chars().all(|c| c.is_ascii_hexdigit()) {
        return None;
    }
    let filled = |digit: char| {
        let text: String = digits.chars().chain(std::iter::repeat(digit)).take(32).collect();
        uuid::Uuid::parse_str(&text).ok().map(|uuid| uuid.to_string())
    };
    Some([filled('0')?, filled('f')?])
}

fn by_uuid(conn: &mut DbConnection, [from, to]: &[String; 2]) -> Result<Group> {
    let engine = engine(conn);
    let cast = match engine {
        Engine::Sqlite => ["$1", "$2"],
        Engine::Postgres => ["CAST($1 AS pg_catalog.uuid)", "CAST($2 AS pg_catalog.uuid)"],
    };
    let found = [
        ("video_processing_jobs", "job_type", "status"),
        ("videos", "source_title", "status"),
        ("channels", "name", "youtube_channel_id"),
        ("transformation_presets", "name", "description"),
        ("music", "name", "artist"),
    ]
    .into_iter()
    .map(|(table, title, detail)| {
        let sql = format!(
            "SELECT id, {}, {} FROM {table} WHERE id >= {} AND id <= {} ORDER BY id DESC LIMIT {}",
            start(engine, title, SHOWN),
            start(engine, detail, SHOWN),
            cast[0],
            cast[1],
            MOST + 1
        );
        let statement = Statement { sql, bounds: vec![Bound::Text(from.clone()), Bound::Text(to.clone())] };
        group(conn, "", (table, "id"), String::new(), &statement)
    })
    .collect::<Result<Vec<_>>>()?;
    Ok(merged("Rows whose id begins with this", "jobs, source videos, channels, presets and music", found))
}

/// Finds discovered videos whose platform's id begins with a text.
fn by_platform_id(conn: &mut DbConnection, text: &str) -> Result<Group> {
    let engine = engine(conn);
    // In the order of most languages, the ids that begin with the text follow it closely, but not at once.
    let sql = format!(
        "SELECT near.video_id, {}, near.channel_name FROM (SELECT video_id, title, channel_name FROM discovered_videos \
         WHERE video_id >= $1 ORDER BY video_id LIMIT {IDS}) AS near \
         WHERE {} = $2 ORDER BY near.video_id LIMIT {}",
        start(engine, "near.title", SHOWN),
        start(engine, "near.video_id", text.chars().count()),
        MOST + 1
    );
    let statement =
        Statement { sql, bounds: vec![Bound::Text(text.to_owned()), Bound::Text(text.to_owned())] };
    group(
        conn,
        "Discovered videos whose id begins with this",
        ("discovered_videos", "video_id"),
        "all videos".to_owned(),
        &statement,
    )
}

fn of_niches(conn: &mut DbConnection, text: &str) -> Result<Group> {
    let text = text.to_ascii_lowercase();
    let found = niches(conn, NICHES)?.into_iter().filter(|niche| niche.to_ascii_lowercase().contains(&text));
    let mut hits: Vec<Hit> = found
        .map(|niche| Hit {
            table: "discovered_videos",
            column: "niche",
            key: niche.clone(),
            title: niche,
            detail: String::new(),
        })
        .collect();
    let more = hits.len() > MOST;
    hits.truncate(MOST);
    Ok(Group { name: "Niches", scope: "the niches of discovered videos".to_owned(), hits, more })
}
