//! The tables that can be exported, and how their rows are read.

use diesel::deserialize::QueryableByName;
use diesel::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::compilation::{
    Analytics, Clip, ConfigOverride, DiscoveredVideo, ErrorLog, PipelineRun, ReviewLog, Script, Short,
    TtsAudio,
};
use crate::db::{clock, json_upsert, on_backend};
use crate::error::ResultExt;
use crate::generation::{Job, JobScript, JobVideo, Trend};
use crate::republishing::{
    Channel, ChannelStatistics, Music, SystemConfiguration, TransformationPreset, Video, VideoProcessingJob,
    VideoStatistics,
};
use crate::secrets::{Place, is_ciphertext};
use crate::{DbConnection, Error, Result, Timestamp};

/// Receives the rows one by one.
type Take<'a> = dyn FnMut(Map<String, Value>) -> Result<()> + 'a;

/// A table to export.
pub(super) struct Source {
    pub(super) table: &'static str,
    /// Column of the primary key.
    key: &'static str,
    /// SQL expression for the time of the last change or the creation. `None` if not every row has such a time.
    pub(super) time: Option<&'static str>,
    columns: fn() -> &'static [&'static str],
    read: fn(&mut DbConnection, &'static str, &str, &mut Take<'_>) -> Result<()>,
}

/// The 22 tables. Each table comes after the tables that it refers to.
pub(super) static SOURCES: [Source; 22] = [
    Source::of::<DiscoveredVideo>("discovered_videos", "id", Some("discovered_at")),
    Source::of::<PipelineRun>("pipeline_runs", "id", Some("cycle_start")),
    Source::of::<Clip>("clips", "id", None),
    Source::of::<Script>("scripts", "id", Some("generated_at")),
    Source::of::<TtsAudio>("tts_audio", "id", Some("generated_at")),
    Source::of::<Short>("shorts", "id", None),
    Source::of::<Analytics>("analytics", "id", Some("measured_at")),
    Source::of::<ReviewLog>("review_log", "id", Some("sent_at")),
    Source::of::<ConfigOverride>("config_overrides", "key", Some("updated_at")),
    Source::of::<ErrorLog>("error_log", "id", Some("occurred_at")),
    Source::of::<TransformationPreset>("transformation_presets", "id", Some("updated_at")),
    Source::of::<Music>("music", "id", Some("updated_at")),
    Source::of::<Channel>("channels", "id", Some("updated_at")),
    Source::of::<Video>("videos", "id", Some("updated_at")),
    Source::of::<VideoProcessingJob>("video_processing_jobs", "id", Some("updated_at")),
    Source::of::<ChannelStatistics>("channel_statistics", "id", Some("created_at")),
    Source::of::<VideoStatistics>("video_statistics", "id", Some("created_at")),
    Source::of::<SystemConfiguration>("system_configuration", "key", Some("updated_at")),
    Source::of::<Job>("jobs", "id", Some("coalesce(updated_at, created_at)")),
    Source::of::<Trend>("trends", "id", Some("collected_at")),
    Source::of::<JobScript>("job_scripts", "id", Some("created_at")),
    Source::of::<JobVideo>("job_videos", "id", Some("created_at")),
];

impl Source {
    const fn of<R: Row>(table: &'static str, key: &'static str, time: Option<&'static str>) -> Self {
        Self { table, key, time, columns: json_upsert::columns::<R>, read: read::<R> }
    }

    pub(super) fn columns(&self) -> &'static [&'static str] {
        (self.columns)()
    }

    /// Returns a query for the rows of a period, in the order of their key.
    pub(super) fn select(
        &self,
        conn: &DbConnection,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> String {
        let Self { table, key, time, .. } = self;
        let limits = [(">=", since), ("<", until)]
            .into_iter()
            .filter_map(|(is, at)| Some(format!("{} {is} {}", (*time)?, clock::literal(conn, at?))));
        let limits: Vec<String> = limits.collect();
        let within =
            if limits.is_empty() { String::new() } else { format!(" WHERE {}", limits.join(" AND ")) };
        format!("SELECT * FROM {table}{within} ORDER BY {key}")
    }

    /// Reads rows one by one. Only one row is in memory.
    pub(super) fn read(&self, conn: &mut DbConnection, sql: &str, take: &mut Take<'_>) -> Result<()> {
        (self.read)(conn, self.table, sql, take)
    }
}

fn read<R: Row>(conn: &mut DbConnection, table: &'static str, sql: &str, take: &mut Take<'_>) -> Result<()> {
    let mut take = |row: QueryResult<R>| take(row.of(table, "")?.document()?);
    on_backend!(
        conn,
        sqlite => |c| diesel::sql_query(sql).load_iter::<R, _>(c).of(table, "")?.try_for_each(&mut take),
        // Load row by row, because libpq would otherwise keep all rows in memory.
        postgres => |c| diesel::sql_query(sql)
            .load_iter::<R, diesel::pg::PgRowByRowLoadingMode>(c)
            .of(table, "")?
            .try_for_each(&mut take)
    )
}

/// A row of a table.
trait Row: OnSqlite + OnPostgres + Serialize + DeserializeOwned + 'static {
    /// Returns the row as a document with its column names.
    fn document(&self) -> Result<Map<String, Value>> {
        json_upsert::from_row(self)
    }
}

/// Implemented by rows that can be read from SQLite. If SQLite is not compiled in, all types implement it.
#[cfg(feature = "sqlite")]
trait OnSqlite: QueryableByName<diesel::sqlite::Sqlite> {}
#[cfg(feature = "sqlite")]
impl<R: QueryableByName<diesel::sqlite::Sqlite>> OnSqlite for R {}
#[cfg(not(feature = "sqlite"))]
trait OnSqlite {}
#[cfg(not(feature = "sqlite"))]
impl<R> OnSqlite for R {}

/// Implemented by rows that can be read from PostgreSQL. If PostgreSQL is not compiled in, all types implement it.
#[cfg(feature = "postgres")]
trait OnPostgres: QueryableByName<diesel::pg::Pg> {}
#[cfg(feature = "postgres")]
impl<R: QueryableByName<diesel::pg::Pg>> OnPostgres for R {}
#[cfg(not(feature = "postgres"))]
trait OnPostgres {}
#[cfg(not(feature = "postgres"))]
impl<R> OnPostgres for R {}

impl Row for DiscoveredVideo {}
impl Row for PipelineRun {}
impl Row for Clip {}
impl Row for Script {}
impl Row for TtsAudio {}
impl Row for Short {}
impl Row for Analytics {}
impl Row for ReviewLog {}
impl Row for ConfigOverride {}
impl Row for ErrorLog {}
impl Row for TransformationPreset {}
impl Row for Music {}
impl Row for Video {}
impl Row for VideoProcessingJob {}
impl Row for ChannelStatistics {}
impl Row for VideoStatistics {}
impl Row for Job {}
impl Row for Trend {}
impl Row for JobScript {}
impl Row for JobVideo {}

impl Row for Channel {
    fn document(&self) -> Result<Map<String, Value>> {
        let mut row = json_upsert::from_row(self)?;
        let credentials = Some(&self.api_credentials_encrypted);
        let github_key = self.github_secret_key_encrypted.as_ref();
        for (place, sealed) in [
            (Place::ChannelCredentials(self.id), credentials),
            (Place::ChannelGithubKey(self.id), github_key),
        ] {
            if let Some(sealed) = sealed {
                let text = ciphertext(&place, sealed.as_text())?;
                row.insert(place.column().name().to_owned(), text.into());
            }
        }
        Ok(row)
    }
}

impl Row for SystemConfiguration {
    fn document(&self) -> Result<Map<String, Value>> {
        let mut row = json_upsert::from_row(self)?;
        if self.encrypted {
            let sealed = self.value.clone().into_sealed();
            ciphertext(&Place::Setting(self.key.clone()), sealed.as_text())?;
            row.insert("value".to_owned(), self.value.0.clone());
        }
        Ok(row)
    }
}

/// Returns the text of an encrypted column.
///
/// # Errors
/// `SecretNotSealed` if the text is not ciphertext and may be a secret in the clear.
fn ciphertext<'a>(place: &Place, text: &'a str) -> Result<&'a str> {
    if is_ciphertext(text) {
        return Ok(text);
    }
    let reason =
        "it is not exported in the clear; encrypt it with `viraldb secrets set`, or clear it".to_owned();
    Err(Error::SecretNotSealed { at: place.to_string(), reason })
}
