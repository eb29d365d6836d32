//! What a table and its columns offer: kinds of values, filters, sorting.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::indexes;
use crate::compilation::{ContentIdRisk, ReviewAction, RunStatus, ShortStatus};
use crate::error::{Error, Result};
use crate::generation::{JobStatus as GenerationStatus, JobVideoStatus, Platform};
use crate::ops::{self, Domain};
use crate::quote::quoted;
use crate::republishing::{
    DownloadStatus, JobStatus, JobType, PublicationStatus, TransformationStatus, VideoStatus,
};
use crate::types::any_of;

/// The output of `diesel print-schema`. A table begins with a line such as `clips (id) {`, and a column is a line such as
/// `title -> Nullable<Text>,`.
const PRINTED: &str = include_str!("../schema.rs");

/// Columns that may contain a secret. Some of their values are masked, and they cannot be filtered: a filter would tell what
/// the secret is. The token of a lease is a secret because it lets a program finish the job.
const SECRET: [(&str, &str); 5] = [
    ("channels", "api_credentials_encrypted"),
    ("channels", "github_secret_key_encrypted"),
    ("config_overrides", "value"),
    ("system_configuration", "value"),
    ("video_processing_jobs", "lease_token"),
];

/// The foreign keys: a column of a table, and the table whose primary key it holds.
const REFERENCES: [(&str, &str, &str); 19] = [
    ("clips", "pipeline_run_id", "pipeline_runs"),
    ("clips", "discovered_video_id", "discovered_videos"),
    ("scripts", "pipeline_run_id", "pipeline_runs"),
    ("tts_audio", "pipeline_run_id", "pipeline_runs"),
    ("shorts", "pipeline_run_id", "pipeline_runs"),
    ("shorts", "clip_id", "clips"),
    ("review_log", "pipeline_run_id", "pipeline_runs"),
    ("error_log", "pipeline_run_id", "pipeline_runs"),
    ("channels", "effect_preset_id", "transformation_presets"),
    ("videos", "channel_id", "channels"),
    ("videos", "transformation_preset_id", "transformation_presets"),
    ("videos", "music_track_id", "music"),
    ("video_processing_jobs", "video_id", "videos"),
    ("video_processing_jobs", "channel_id", "channels"),
    ("channel_statistics", "channel_id", "channels"),
    ("video_statistics", "video_id", "videos"),
    ("job_scripts", "job_id", "jobs"),
    ("job_videos", "job_id", "jobs"),
    ("job_videos", "script_id", "job_scripts"),
];

/// The kind of value that a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// Text.
    Text,
    /// A whole number of up to 64 bits.
    Integer,
    /// A number with a fraction.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A timestamp in UTC.
    Time,
    /// A UUID.
    Uuid,
    /// A JSON document.
    Json,
}

/// A comparison of a column with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Is {
    /// Equal to the value.
    Eq,
    /// Less than the value, or before the time.
    Lt,
    /// At most the value.
    Le,
    /// Greater than the value, or after the time.
    Gt,
    /// At least the value.
    Ge,
    /// The text contains the value. Upper and lower case of the letters A to Z are the same.
    Contains,
    /// The text starts with the value. Upper and lower case of the letters A to Z are the same.
    Starts,
    /// NULL if the value is `true`, not NULL if it is `false`.
    Null,
}

impl Is {
    /// Every comparison.
    pub const ALL: [Self; 8] =
        [Self::Eq, Self::Lt, Self::Le, Self::Gt, Self::Ge, Self::Contains, Self::Starts, Self::Null];

    /// Returns the name of the comparison in an address, such as `ge` in `view_count.ge=1000`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "eq",
            Self::Lt => "lt",
            Self::Le => "le",
            Self::Gt => "gt",
            Self::Ge => "ge",
            Self::Contains => "contains",
            Self::Starts => "starts",
            Self::Null => "null",
        }
    }
}

impl std::str::FromStr for Is {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|is| is.as_str() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::as_str);
            Error::invalid("", format!("unknown comparison {}; expected {}", quoted(text), any_of(&names)))
        })
    }
}

/// A column of a table, and what a list offers for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Column {
    /// Name of the column.
    pub name: &'static str,
    /// The kind of its values.
    pub kind: Kind,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Whether it may contain a secret. A secret is never shown and cannot be filtered.
    pub secret: bool,
    /// The comparisons that a filter offers.
    pub filters: Vec<Is>,
    /// Whether the table can be sorted by the column.
    pub sort: bool,
    /// The column without whose `eq` filter the table cannot be sorted by this column.
    pub sort_with: Option<&'static str>,
    /// The words that the column can hold; empty if it can hold any text.
    pub words: Vec<&'static str>,
    /// The table whose primary key the column holds.
    pub references: Option<&'static str>,
    /// What the column holds.
    pub comment: Option<&'static str>,
}

/// A table and its columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Table {
    /// Name of the table.
    pub name: &'static str,
    /// Domain that the table belongs to.
    pub domain: Domain,
    /// What a row is.
    pub comment: Option<&'static str>,
    /// Column of the primary key.
    pub key: &'static str,
    /// The columns, in the order of the table.
    pub columns: Vec<Column>,
}

impl Table {
    /// Returns the column with this name.
    ///
    /// # Errors
    /// `Invalid` if the table has no such column.
    pub fn column(&self, name: &str) -> Result<&Column> {
        self.columns.iter().find(|column| column.name == name).ok_or_else(|| {
            let names: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
            let reason = format!("unknown column {}; expected {}", quoted(name), any_of(&names));
            Error::invalid(format!("{}:", self.name), reason)
        })
    }

    /// Returns the column of the primary key.
    pub(super) fn key_column(&self) -> Result<&Column> {
        self.column(self.key)
    }
}

static TABLES: LazyLock<Vec<Table>> = LazyLock::new(|| crate::tables::tables().filter_map(read).collect());

/// Returns the 22 tables with their columns, domain by domain.
///
/// ```
/// let tables = viraldb::browse::tables();
/// let clips = tables.iter().find(|table| table.name == "clips").unwrap();
/// assert_eq!(clips.columns[1].references, Some("pipeline_runs"));
/// ```
pub fn tables() -> &'static [Table] {
    &TABLES
}

/// Returns the table with this name.
///
/// # Errors
/// `Invalid` if there is no such table.
pub fn table(name: &str) -> Result<&'static Table> {
    crate::tables::check_table(name)?;
    TABLES
        .iter()
        .find(|table| table.name == name)
        .ok_or_else(|| Error::invalid(name, "is missing from the schema"))
}

/// Reads a table from `schema.rs`.
fn read(name: &'static str) -> Option<Table> {
    let mut lines = PRINTED.lines().map(str::trim);
    let key = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(" (")?.strip_suffix(") {"))?;
    let columns = lines
        .take_while(|line| *line != "}")
        .filter(|line| !line.starts_with("///"))
        .filter_map(|line| line.strip_suffix(',')?.split_once(" -> "));
    Some(Table {
        name,
        domain: Domain::of(name),
        comment: ops::table_comment(name),
        key,
        columns: columns.filter_map(|(column, sql_type)| read_column(name, key, column, sql_type)).collect(),
    })
}

fn read_column(
    table: &'static str,
    key: &'static str,
    name: &'static str,
    sql_type: &'static str,
) -> Option<Column> {
    let inner = sql_type.strip_prefix("Nullable<").and_then(|inner| inner.strip_suffix('>'));
    let kind = match inner.unwrap_or(sql_type) {
        "Text" => Kind::Text,
        "Int4" | "Int8" => Kind::Integer,
        "Float8" => Kind::Number,
        "Bool" => Kind::Boolean,
        "Timestamptz" => Kind::Time,
        "Uuid" => Kind::Uuid,
        "Jsonb" => Kind::Json,
        _ => return None,
    };
    let secret = SECRET.contains(&(table, name));
    let words = words(table, name);
    let nullable = inner.is_some();
    let mut filters: Vec<Is> = match kind {
        _ if secret => Vec::new(),
        Kind::Text if words.is_empty() => vec![Is::Eq, Is::Contains, Is::Starts],
        Kind::Text | Kind::Boolean | Kind::Uuid => vec![Is::Eq],
        Kind::Integer | Kind::Number | Kind::Time => vec![Is::Eq, Is::Ge, Is::Gt, Is::Le, Is::Lt],
        Kind::Json => Vec::new(),
    };
    if nullable && !secret {
        filters.push(Is::Null);
    }
    let (sort, sort_with) = match indexes::sorting(table, name) {
        _ if name == key => (true, None),
        sorting => sorting.map_or((false, None), |with| (true, with)),
    };
    Some(Column {
        name,
        kind,
        nullable,
        secret,
        filters,
        sort,
        sort_with,
        words,
        references: REFERENCES
            .iter()
            .find(|(of, column, _)| (*of, *column) == (table, name))
            .map(|(_, _, to)| *to),
        comment: ops::column_comment(table, name),
    })
}

/// Returns the words that a column can hold.
fn words(table: &str, column: &str) -> Vec<&'static str> {
    macro_rules! all {
        ($words:ty) => {
            <$words>::ALL.iter().map(|word| word.as_str()).collect()
        };
    }
    match (table, column) {
        (_, "content_id_risk") => all!(ContentIdRisk),
        ("pipeline_runs", "status") => all!(RunStatus),
        ("shorts", "status") => all!(ShortStatus),
        ("review_log", "action") => all!(ReviewAction),
        ("videos", "download_status") => all!(DownloadStatus),
        ("videos", "transformation_status") => all!(TransformationStatus),
        ("videos", "publication_status") => all!(PublicationStatus),
        ("videos", "status") => all!(VideoStatus),
        ("video_processing_jobs", "job_type") => all!(JobType),
        ("video_processing_jobs", "status") => all!(JobStatus),
        ("jobs", "status") => all!(GenerationStatus),
        ("job_videos", "status") => all!(JobVideoStatus),
        ("trends", "platform") => all!(Platform),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_and_every_named_column_is_in_the_schema() {
        assert_eq!(tables().len(), 22);
        for table in tables() {
            assert!(table.key_column().unwrap().sort && table.comment.is_some(), "{}", table.name);
            assert!(table.columns.iter().all(|column| column.comment.is_some()));
        }
        let columns: usize = tables().iter().map(|table| table.columns.len()).sum();
        assert!(columns > 200, "{columns}");
        for (name, column) in SECRET {
            assert!(table(name).unwrap().column(column).unwrap().filters.is_empty());
        }
        for (name, column, to) in REFERENCES {
            assert_eq!(table(name).unwrap().column(column).unwrap().references, Some(to));
        }
        for index in indexes::INDEXES {
            for column in index.columns {
                assert!(table(index.table).unwrap().column(column).is_ok(), "{}", index.name);
            }
        }
    }
}
