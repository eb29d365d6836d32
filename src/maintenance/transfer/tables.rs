//! The tables that are transferred, and the types of their columns, as `schema.rs` has them.

use diesel::expression::QueryMetadata;
use diesel::pg::{Pg, PgMetadataLookup, PgQueryBuilder, PgTypeMetadata};
use diesel::query_builder::{AsQuery, QueryBuilder, QueryFragment};
use diesel::sql_types::SqlType;

use super::value::Kind;
use crate::error::ResultExt;
use crate::schema;
use crate::{Error, Result};

/// Columns that the database computes. They are not copied.
const COMPUTED: [(&str, &str); 1] = [("videos", "status")];

/// Columns of JSON in which other programs write bare text on SQLite, which reads as a JSON string.
const BARE: [(&str, &str); 1] = [("system_configuration", "value")];

/// Copies rows, framed as COPY takes them, into a table of PostgreSQL.
#[cfg(feature = "postgres")]
pub(super) type Copy = fn(&mut diesel::PgConnection, &[u8]) -> diesel::QueryResult<usize>;

/// A table, and the columns of it that are copied.
pub(in crate::maintenance) struct Table {
    pub(in crate::maintenance) name: &'static str,
    pub(in crate::maintenance) columns: Vec<Column>,
    /// Which of the columns is the primary key.
    pub(super) key: usize,
    #[cfg(feature = "postgres")]
    pub(super) copy: Copy,
}

pub(in crate::maintenance) struct Column {
    pub(in crate::maintenance) name: String,
    pub(in crate::maintenance) kind: Kind,
}

/// A table of `schema.rs`, of which all can be asked that is needed here.
pub(super) trait Schema:
    diesel::Table<AllColumns: QueryFragment<Pg>, PrimaryKey: diesel::Column> + AsQuery<SqlType: SqlType> + Default
{
}

impl<T> Schema for T where
    T: diesel::Table<AllColumns: QueryFragment<Pg>, PrimaryKey: diesel::Column>
        + AsQuery<SqlType: SqlType>
        + Default
{
}

impl Table {
    /// All of them, parents before their children.
    pub(in crate::maintenance) fn all() -> Result<Vec<Self>> {
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
            // What viraldb keeps for itself, but for the books of its migrations, which the target has its own of.
            Self::of::<schema::viraldb_config_changes::table>("viraldb_config_changes")?,
            Self::of::<schema::viraldb_keys::table>("viraldb_keys")?,
        ])
    }

    fn of<T: Schema + 'static>(name: &'static str) -> Result<Self>
    where
        Pg: QueryMetadata<T::SqlType>,
    {
        let mut types = Vec::new();
        <Pg as QueryMetadata<T::SqlType>>::row_metadata(&mut NoLookup, &mut types);
        let names = columns::<T>().of(name, "")?;
        let columns = names
            .into_iter()
            .zip(types)
            .filter(|(column, _)| !COMPUTED.contains(&(name, column)))
            .map(|(column, metadata)| {
                let bare = BARE.contains(&(name, &column));
                let oid = metadata.and_then(|metadata| metadata.oid().ok()).unwrap_or_default();
                match Kind::of(oid) {
                    Some(Kind::Json { .. }) => Ok(Column { name: column, kind: Kind::Json { bare } }),
                    Some(kind) => Ok(Column { name: column, kind }),
                    None => Err(Error::invalid(
                        format!("{name}.{column}"),
                        "is of a type that is not transferred",
                    )),
                }
            })
            .collect::<Result<Vec<_>>>()?;
        let primary_key = <T::PrimaryKey as diesel::Column>::NAME;
        let key = columns.iter().position(|column| column.name == primary_key).unwrap_or_default();
        Ok(Self {
            name,
            columns,
            key,
            #[cfg(feature = "postgres")]
            copy: super::write::copy::<T>,
        })
    }

    /// Reads every row in the order of the primary key.
    pub(super) fn select(&self) -> String {
        format!("SELECT {} FROM {} ORDER BY \"{}\"", self.column_list(), self.name, self.key_column())
    }

    /// Inserts into SQLite what behind it is said.
    #[cfg(feature = "sqlite")]
    pub(super) fn insert_into(&self) -> String {
        format!("INSERT INTO {} ({}) VALUES ", self.name, self.column_list())
    }

    /// Whether the database numbers its rows.
    pub(in crate::maintenance) fn counts(&self) -> bool {
        self.columns.get(self.key).is_some_and(|key| key.kind == Kind::Big)
    }

    fn column_list(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
        columns.join(", ")
    }

    pub(in crate::maintenance) fn key_column(&self) -> &str {
        self.columns.get(self.key).map_or("", |key| &key.name)
    }
}

/// The columns of a table as Diesel prints them, without the name of the table before each.
fn columns<T: Schema>() -> diesel::QueryResult<Vec<String>> {
    let mut sql = PgQueryBuilder::default();
    T::all_columns().to_sql(&mut sql, &Pg)?;
    let name = |column: &str| column.rsplit('.').next().unwrap_or_default().trim_matches('"').to_owned();
    Ok(sql.finish().split(", ").map(name).collect())
}

/// A table and those of its columns that are copied, as COPY names them.
#[cfg(feature = "postgres")]
pub(super) fn copy_target<T: Schema>() -> diesel::QueryResult<String> {
    let mut sql = PgQueryBuilder::default();
    T::all_columns().to_sql(&mut sql, &Pg)?;
    let table = sql.finish().split('.').next().unwrap_or_default().to_owned();
    let name = table.trim_matches('"');
    let columns: Vec<String> = columns::<T>()?
        .iter()
        .filter(|column| !COMPUTED.contains(&(name, column)))
        .map(|column| format!("\"{column}\""))
        .collect();
    Ok(format!("{table} ({})", columns.join(", ")))
}

/// The types of our columns are built into PostgreSQL; none has to be asked for.
struct NoLookup;

impl PgMetadataLookup for NoLookup {
    fn lookup_type(&mut self, _: &str, _: Option<&str>) -> PgTypeMetadata {
        PgTypeMetadata::new(0, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_has_the_type_of_the_schema() {
        let tables = Table::all().unwrap();
        let names: Vec<&str> = tables.iter().map(|table| table.name).collect();
        let (contract, own) = names.split_at(22);
        assert!(crate::ingest::tables().eq(contract.iter().copied()));
        assert_eq!(own, ["viraldb_config_changes", "viraldb_keys"]);

        let kinds = |name: &str| {
            let table = tables.iter().find(|table| table.name == name).unwrap();
            let columns = table.columns.iter().map(|column| (&*column.name, column.kind));
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
