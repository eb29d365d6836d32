//! The applications whose databases can be taken over, their tables, and the constraints of our tables.

use std::str::FromStr;

use crate::compilation::{ContentIdRisk, ReviewAction, RunStatus, ShortStatus};
use crate::generation::{JobStatus as GenerationStatus, JobVideoStatus, Platform};
use crate::quote::short;
use crate::republishing::{DownloadStatus, JobStatus, JobType, PublicationStatus, TransformationStatus};
use crate::types::portable;
use crate::{Error, Result};

portable! {
    /// The Python applications whose databases can be taken over.
    pub enum Application {
        ViralChannel = "viral_channel",
        ChannelManager = "channel-manager",
        ViralForge = "viralforge",
    }
}

/// A table of an application.
pub(super) struct Table {
    /// Its name in the application.
    pub(super) from: &'static str,
    /// Its name in our schema.
    pub(super) to: &'static str,
    pub(super) references: &'static [Reference],
    /// Columns other than the primary key that have a unique constraint.
    pub(super) unique: &'static [&'static str],
    pub(super) words: &'static [(&'static str, IsWord)],
    /// True if rows replace those with the same key that exist already, such as the settings that `viraldb init` writes.
    pub(super) replaces: bool,
}

/// A column that refers to a row of another table in our schema.
pub(super) struct Reference {
    pub(super) column: &'static str,
    pub(super) table: &'static str,
    /// True if the schema sets the column to NULL when that row is deleted. Otherwise a row cannot exist without it.
    pub(super) is_emptied: bool,
}

/// Checks that a text is a valid word for a column. The error lists the valid words.
pub(super) type IsWord = fn(&str) -> Result<()>;

fn word<W: FromStr<Err = Error>>(text: &str) -> Result<()> {
    text.parse::<W>().map(drop)
}

const fn to(column: &'static str, table: &'static str) -> Reference {
    Reference { column, table, is_emptied: false }
}

const fn emptied(column: &'static str, table: &'static str) -> Reference {
    Reference { column, table, is_emptied: true }
}

impl Table {
    const fn new(name: &'static str) -> Self {
        Self { from: name, to: name, references: &[], unique: &[], words: &[], replaces: false }
    }
}

/// Parents before their children.
const VIRAL_CHANNEL: &[Table] = &[
    Table {
        unique: &["video_id"],
        words: &[("content_id_risk", word::<ContentIdRisk>)],
        ..Table::new("discovered_videos")
    },
    Table { words: &[("status", word::<RunStatus>)], ..Table::new("pipeline_runs") },
    Table {
        references: &[to("pipeline_run_id", "pipeline_runs"), to("discovered_video_id", "discovered_videos")],
        words: &[("content_id_risk", word::<ContentIdRisk>)],
        ..Table::new("clips")
    },
    Table { references: &[to("pipeline_run_id", "pipeline_runs")], ..Table::new("scripts") },
    Table { references: &[to("pipeline_run_id", "pipeline_runs")], ..Table::new("tts_audio") },
    Table {
        references: &[to("pipeline_run_id", "pipeline_runs"), to("clip_id", "clips")],
        words: &[("status", word::<ShortStatus>)],
        ..Table::new("shorts")
    },
    Table::new("analytics"),
    Table {
        references: &[to("pipeline_run_id", "pipeline_runs")],
        words: &[("action", word::<ReviewAction>)],
        ..Table::new("review_log")
    },
    Table::new("config_overrides"),
    Table { references: &[to("pipeline_run_id", "pipeline_runs")], ..Table::new("error_log") },
];

const CHANNEL_MANAGER: &[Table] = &[
    Table::new("transformation_presets"),
    Table { unique: &["spotify_track_id"], ..Table::new("music") },
    Table {
        references: &[emptied("effect_preset_id", "transformation_presets")],
        unique: &["youtube_channel_id"],
        ..Table::new("channels")
    },
    Table {
        references: &[
            to("channel_id", "channels"),
            emptied("transformation_preset_id", "transformation_presets"),
            emptied("music_track_id", "music"),
        ],
        words: &[
            ("download_status", word::<DownloadStatus>),
            ("transformation_status", word::<TransformationStatus>),
            ("publication_status", word::<PublicationStatus>),
        ],
        ..Table::new("videos")
    },
    Table {
        references: &[to("video_id", "videos"), to("channel_id", "channels")],
        words: &[("job_type", word::<JobType>), ("status", word::<JobStatus>)],
        ..Table::new("video_processing_jobs")
    },
    Table { references: &[to("channel_id", "channels")], ..Table::new("channel_statistics") },
    Table { references: &[to("video_id", "videos")], ..Table::new("video_statistics") },
    Table { replaces: true, ..Table::new("system_configuration") },
];

const VIRALFORGE: &[Table] = &[
    Table { words: &[("status", word::<GenerationStatus>)], ..Table::new("jobs") },
    Table { unique: &["external_id"], words: &[("platform", word::<Platform>)], ..Table::new("trends") },
    Table { to: "job_scripts", references: &[to("job_id", "jobs")], ..Table::new("scripts") },
    Table {
        to: "job_videos",
        references: &[to("job_id", "jobs"), to("script_id", "job_scripts")],
        words: &[("status", word::<JobVideoStatus>)],
        ..Table::new("videos")
    },
];

impl Application {
    /// Returns the tables of the application, parents before their children.
    pub(super) const fn tables(self) -> &'static [Table] {
        match self {
            Self::ViralChannel => VIRAL_CHANNEL,
            Self::ChannelManager => CHANNEL_MANAGER,
            Self::ViralForge => VIRALFORGE,
        }
    }

    /// Returns true if a database has tables that are typical of this application. Some tables may be missing.
    fn is_known_by(self, has: impl Fn(&str) -> bool) -> bool {
        let any = |names: &[&str]| names.iter().any(|name| has(name));
        match self {
            Self::ViralChannel => any(&["discovered_videos", "pipeline_runs"]),
            Self::ChannelManager => {
                any(&[
                    "video_processing_jobs",
                    "transformation_presets",
                    "channel_statistics",
                    "video_statistics",
                ]) || has("channels") && has("videos")
            }
            Self::ViralForge => has("trends") || has("jobs") && any(&["scripts", "videos"]),
        }
    }

    /// Recognizes the application that created a database by its tables.
    ///
    /// # Errors
    /// The reason if the tables belong to no application or to more than one.
    pub(super) fn recognise(tables: &[&str]) -> Result<Self, String> {
        let has = |name: &str| tables.contains(&name);
        if has("viraldb_migrations") {
            return Err("is a viraldb database; copy it with `viraldb transfer --from … --to …`".to_owned());
        }
        let known: Vec<Self> = Self::ALL.iter().copied().filter(|each| each.is_known_by(has)).collect();
        match *known.as_slice() {
            [one] => Ok(one),
            [] => Err(format!(
                "has no tables of {}; it has {}",
                list(Self::ALL.iter().map(|each| each.as_str()), " or "),
                if tables.is_empty() {
                    NOTHING.to_owned()
                } else {
                    list(tables.iter().map(|table| short(table)), ", ")
                }
            )),
            _ => Err(format!(
                "has tables of {}; choose one of them with --application",
                list(known.iter().map(|each| each.as_str()), " and ")
            )),
        }
    }
}

const NOTHING: &str = "no tables at all (on PostgreSQL, specify their schema with ?schema=NAME in the URL)";

fn list(names: impl Iterator<Item = impl Into<String>>, glue: &str) -> String {
    names.map(Into::into).collect::<Vec<String>>().join(glue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_schema_is_the_target_of_one_application_table() {
        let all = Application::ALL.iter().flat_map(|each| each.tables()).map(|table| table.to);
        assert!(all.eq(crate::tables::tables()));
    }

    #[test]
    fn applications_are_recognized_by_their_tables() {
        let known = |tables: &[&str]| Application::recognise(tables);
        assert_eq!(known(&["discovered_videos", "clips", "scripts"]), Ok(Application::ViralChannel));
        assert_eq!(known(&["alembic_version", "channels", "videos"]), Ok(Application::ChannelManager));
        assert_eq!(known(&["jobs", "trends", "scripts", "videos"]), Ok(Application::ViralForge));
        assert!(known(&["trends", "pipeline_runs"]).unwrap_err().contains("viral_channel and viralforge"));
        assert!(known(&["users"]).unwrap_err().ends_with("it has users"));
        assert!(known(&[]).unwrap_err().contains("it has no tables at all"));
        assert!(known(&["videos"]).is_err());
        assert!(known(&["clips", "viraldb_migrations"]).unwrap_err().contains("viraldb transfer"));
    }
}
