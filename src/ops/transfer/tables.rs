//! The tables that are transferred and the types of their columns, taken from `schema.rs`.

#[cfg(not(feature = "postgres"))]
use diesel::Table as Schema;

#[cfg(feature = "postgres")]
use super::copy::{Copy, Schema, copy};
use super::value::{COMPUTED, Kind};
use crate::schema;
use crate::{Error, Result};

/// The output of `diesel print-schema`. A table begins with a line such as `clips (id) {`, and a column is a line such as
/// `title -> Nullable<Text>,`.
///
/// The text is parsed because Diesel exposes the types of columns only as PostgreSQL types, and only with its PostgreSQL
/// feature.
const PRINTED: &str = include_str!("../../schema.rs");

/// JSON columns in which other programs write bare text on SQLite. Such text is read as a JSON string.
const BARE: [(&str, &str); 1] = [("system_configuration", "value")];

/// A table and its columns that are copied.
pub(in crate::ops) struct Table {
    pub(in crate::ops) name: &'static str,
    pub(in crate::ops) columns: Vec<Column>,
    /// The index of the primary key in `columns`.
    pub(super) key: usize,
    #[cfg(feature = "postgres")]
    pub(super) copy: Copy,
}

pub(in crate::ops) struct Column {
    pub(in crate::ops) name: &'static str,
    pub(in crate::ops) kind: Kind,
}

impl Table {
    /// Returns all tables, parents before their children.
    pub(in crate::ops) fn all() -> Result<Vec<Self>> {
        Ok(vec![
            Self::of::<schema::discovered_videos::table>("discovered_videos")?,
            Self::of::<schema::pipeline_runs::table>("pipeline_runs")?,
            Self::of::<schema::clips::table>("clips")?,
            Self::of::<schema::scripts::table>("scripts")?,
            Self::of::<schema::tts_audio::table>("tts_audio")?,
            Self::of::<schema::shorts::table>("shorts")?,
            Self::of::<schema::analytics::table>("analytics")?,
            Self::of::<schema::review_log::table>("review_log")?,
            Self::of::<schema::config_overrides::table>("config_overrides")?,
            Self::of::<schema::error_log::table>("error_log")?,
            Self::of::<schema::transformation_presets::table>("transformation_presets")?,
            Self::of::<schema::music::table>("music")?,
            Self::of::<schema::channels::table>("channels")?,
            Self::of::<schema::videos::table>("videos")?,
            Self::of::<schema::video_processing_jobs::table>("video_processing_jobs")?,
            Self::of::<schema::channel_statistics::table>("channel_statistics")?,
            Self::of::<schema::video_statistics::table>("video_statistics")?,
            Self::of::<schema::system_configuration::table>("system_configuration")?,
            Self::of::<schema::jobs::table>("jobs")?,
            Self::of::<schema::trends::table>("trends")?,
            Self::of::<schema::job_scripts::table>("job_scripts")?,
            Self::of::<schema::job_videos::table>("job_videos")?,
            // viraldb's internal tables, except the history of its migrations, because the target has its own, and what its
            // running workers share.
            Self::of::<schema::viraldb_config_changes::table>("viraldb_config_changes")?,
            Self::of::<schema::viraldb_keys::table>("viraldb_keys")?,
            Self::of::<schema::viraldb_job_attempts::table>("viraldb_job_attempts")?,
            Self::of::<schema::viraldb_job_waits::table>("viraldb_job_waits")?,
            Self::of::<schema::viraldb_job_schedules::table>("viraldb_job_schedules")?,
        ])
    }

    #[cfg_attr(not(feature = "postgres"), allow(clippy::extra_unused_type_parameters))] // only COPY needs it
    fn of<T: Schema>(name: &'static str) -> Result<Self> {
        let unknown = |what: &str| Error::invalid(format!("{name}{what}"), "is missing from schema.rs");
        let (primary_key, printed) = printed(name).ok_or_else(|| unknown(""))?;
        let columns = printed
            .filter(|(column, _)| !COMPUTED.contains(&(name, column)))
            .map(|(column, sql_type)| {
                let bare = BARE.contains(&(name, column));
                match Kind::of(sql_type) {
                    Some(Kind::Json { .. }) => Ok(Column { name: column, kind: Kind::Json { bare } }),
                    Some(kind) => Ok(Column { name: column, kind }),
                    None => Err(unknown(&format!(".{column}"))),
                }
            })
            .collect::<Result<Vec<_>>>()?;
        let key = columns
            .iter()
            .position(|column| column.name == primary_key)
            .ok_or_else(|| unknown(&format!(".{primary_key}")))?;
        Ok(Self {
            name,
            columns,
            key,
            #[cfg(feature = "postgres")]
            copy: copy::<T>,
        })
    }

    /// Returns the SQL that reads all rows in the order of the primary key.
    pub(super) fn select(&self) -> String {
        format!("SELECT {} FROM {} ORDER BY \"{}\"", self.column_list(), self.name, self.key_column())
    }

    /// Returns the start of an INSERT into SQLite, up to the values.
    #[cfg(feature = "sqlite")]
    pub(super) fn insert_into(&self) -> String {
        format!("INSERT INTO {} ({}) VALUES ", self.name, self.column_list())
    }

    /// Returns true if the database assigns numeric ids to the rows.
    pub(in crate::ops) fn counts(&self) -> bool {
        self.columns.get(self.key).is_some_and(|key| key.kind == Kind::Big)
    }

    fn column_list(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        columns.join(", ")
    }

    pub(in crate::ops) fn key_column(&self) -> &str {
        self.columns.get(self.key).map_or("", |key| key.name)
    }
}

/// Returns the primary key of a table, and the name and type of each column.
fn printed(table: &str) -> Option<(&'static str, impl Iterator<Item = (&'static str, &'static str)>)> {
    let mut lines = PRINTED.lines().map(str::trim);
    let primary_key =
        lines.find_map(|line| line.strip_prefix(table)?.strip_prefix(" (")?.strip_suffix(") {"))?;
    let columns = lines.take_while(|line| *line != "}").filter(|line| !line.starts_with("///"));
    Some((primary_key, columns.filter_map(|line| line.strip_suffix(',')?.split_once(" -> "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_the_types_of_the_schema() {
        let tables = Table::all().unwrap();
        let names: Vec<&str> = tables.iter().map(|table| table.name).collect();
        let (contract, own) = names.split_at(22);
        assert!(crate::tables::tables().eq(contract.iter().copied()));
        let jobs = ["viraldb_job_attempts", "viraldb_job_waits", "viraldb_job_schedules"];
        assert_eq!(
            own,
            ["viraldb_config_changes", "viraldb_keys"].into_iter().chain(jobs).collect::<Vec<_>>()
        );

        let kinds = |name: &str| {
            let table = tables.iter().find(|table| table.name == name).unwrap();
            let columns = table.columns.iter().map(|column| (column.name, column.kind));
            (table.key_column(), columns.collect::<Vec<_>>())
        };
        use Kind::{Big, Bool, Double, Int, Json, Text, Time, Uuid};
        let analytics = [
            ("id", Big),
            ("youtube_video_id", Text),
            ("measured_at", Time),
            ("view_count", Big),
            ("like_count", Big),
            ("comment_count", Big),
            ("average_view_duration_seconds", Double),
            ("click_through_rate", Double),
            ("subscriber_gain", Int),
            ("estimated_revenue_usd", Double),
        ];
        assert_eq!(kinds("analytics"), ("id", analytics.to_vec()));
        let settings = [
            ("key", Text),
            ("value", Json { bare: true }),
            ("description", Text),
            ("encrypted", Bool),
            ("created_at", Time),
            ("updated_at", Time),
        ];
        assert_eq!(kinds("system_configuration"), ("key", settings.to_vec()));
        let (key, videos) = kinds("videos");
        assert_eq!((key, videos[0], videos.len()), ("id", ("id", Uuid), 34));
        assert!(videos.contains(&("metadata", Json { bare: false })));
        assert!(!videos.iter().any(|(name, _)| *name == "status"));
    }
}
