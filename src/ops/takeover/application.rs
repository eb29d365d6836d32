//! The applications whose databases are taken over: their tables, and what ours want of them.

use std::str::FromStr;

use crate::compilation::{ContentIdRisk, ReviewAction, RunStatus, ShortStatus};
use crate::generation::{JobStatus as GenerationStatus, JobVideoStatus, Platform};
use crate::quote::short;
use crate::republishing::{DownloadStatus, JobStatus, JobType, PublicationStatus, TransformationStatus};
use crate::types::portable;
use crate::{Error, Result};

portable! {
    /// The Python applications whose databases are known.
    pub enum Application {
        ViralChannel = "viral_channel",
        ChannelManager = "channel-manager",
        ViralForge = "viralforge",
    }
}

/// A table of an application's.
pub(super) struct Table {
    /// Its name there.
    pub(super) from: &'static str,
    /// Its name here.
    pub(super) to: &'static str,
    pub(super) references: &'static [Reference],
    /// Columns beside the primary key of which no two rows have the same.
    pub(super) unique: &'static [&'static str],
    pub(super) words: &'static [(&'static str, IsWord)],
    /// Whether rows that are in ours already, such as the settings that `viraldb init` writes, give way.
    pub(super) replaces: bool,
}

/// A column that names a row of another table of ours.
pub(super) struct Reference {
    pub(super) column: &'static str,
    pub(super) table: &'static str,
    /// Whether the schema empties it when that row is deleted. Else a row without it cannot be.
    pub(super) is_emptied: bool,
}

/// Whether a text is a word of a column; if not, which words are.
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
    /// Its tables, parents before their children.
    pub(super) const fn tables(self) -> &'static [Table] {
        match self {
            Self::ViralChannel => VIRAL_CHANNEL,
            Self::ChannelManager => CHANNEL_MANAGER,
            Self::ViralForge => VIRALFORGE,
        }
    }

    /// Whether a database holds the tables by which this application is known, though some may be missing.
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

    /// The application that made a database, by its tables.
    ///
    /// # Errors
    /// Why it is none, or which it may be.
    pub(super) fn recognise(tables: &[&str]) -> Result<Self, String> {
        let has = |name: &str| tables.contains(&name);
        if has("viraldb_migrations") {
            return Err("is viraldb's own; copy it with `viraldb transfer --from … --to …`".to_owned());
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
                "has tables of {}; say which to take with --application",
                list(known.iter().map(|each| each.as_str()), " and ")
            )),
        }
    }
}

const NOTHING: &str = "none at all (on PostgreSQL ?schema=NAME in its URL names the schema that they are in)";

fn list(names: impl Iterator<Item = impl Into<String>>, glue: &str) -> String {
    names.map(Into::into).collect::<Vec<String>>().join(glue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_contract_has_its_place_once() {
        let all = Application::ALL.iter().flat_map(|each| each.tables()).map(|table| table.to);
        assert!(all.eq(crate::tables::tables()));
    }

    #[test]
    fn an_application_is_known_by_its_tables() {
        let known = |tables: &[&str]| Application::recognise(tables);
        assert_eq!(known(&["discovered_videos", "clips", "scripts"]), Ok(Application::ViralChannel));
        assert_eq!(known(&["alembic_version", "channels", "videos"]), Ok(Application::ChannelManager));
        assert_eq!(known(&["jobs", "trends", "scripts", "videos"]), Ok(Application::ViralForge));
        assert!(known(&["trends", "pipeline_runs"]).unwrap_err().contains("viral_channel and viralforge"));
        assert!(known(&["users"]).unwrap_err().ends_with("it has users"));
        assert!(known(&[]).unwrap_err().contains("it has none at all"));
        assert!(known(&["videos"]).is_err());
        assert!(known(&["clips", "viraldb_migrations"]).unwrap_err().contains("viraldb transfer"));
    }
}
