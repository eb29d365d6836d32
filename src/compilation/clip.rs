//! Pieces cut from discovered videos for one run.

use std::borrow::Cow;
use std::collections::HashSet;

use diesel::dsl::max;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{ContentIdRisk, DiscoveredVideo, PipelineRun, Processed, RunStatus};
use crate::config::Current;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, children, insert_many, on_backend};
use crate::error::{Error, Result, ResultExt};
use crate::schema::{clips, discovered_videos};
use crate::types::sql::Int4;
use crate::types::{ChannelId, ClipId, DiscoveredVideoId, PipelineRunId};

/// One row of `clips`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = clips, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(PipelineRun, foreign_key = pipeline_run_id))]
#[diesel(belongs_to(DiscoveredVideo, foreign_key = discovered_video_id))]
#[non_exhaustive]
pub struct Clip {
    /// Number the database gives it.
    pub id: ClipId,
    /// Run the clip was cut for.
    pub pipeline_run_id: PipelineRunId,
    /// Video it was cut from.
    pub discovered_video_id: DiscoveredVideoId,
    /// Place in the run; 1 is the most viral.
    pub rank_position: i32,
    /// Where it starts in the source, in seconds.
    pub start_time_seconds: f64,
    /// Where it ends in the source, in seconds.
    pub end_time_seconds: f64,
    /// Its length in seconds.
    pub clip_duration_seconds: f64,
    /// How it was chosen: most_replayed, transcript, audio_energy, scene_detection.
    pub extraction_method: Option<String>,
    /// Path of the cut file.
    pub clip_file_path: Option<String>,
    /// Risk of a Content ID claim.
    pub content_id_risk: ContentIdRisk,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`Clip`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = clips)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
pub struct NewClip<'a> {
    pub id: Option<ClipId>,
    pub pipeline_run_id: PipelineRunId,
    pub discovered_video_id: DiscoveredVideoId,
    pub rank_position: i32,
    pub start_time_seconds: f64,
    pub end_time_seconds: f64,
    pub clip_duration_seconds: f64,
    pub extraction_method: Option<Cow<'a, str>>,
    pub clip_file_path: Option<Cow<'a, str>>,
    pub content_id_risk: Option<ContentIdRisk>,
}

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`Clip`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = clips)]
#[allow(missing_docs)] // as the row's
pub struct ClipChanges<'a> {
    pub pipeline_run_id: Option<PipelineRunId>,
    pub discovered_video_id: Option<DiscoveredVideoId>,
    pub rank_position: Option<i32>,
    pub start_time_seconds: Option<f64>,
    pub end_time_seconds: Option<f64>,
    pub clip_duration_seconds: Option<f64>,
    pub extraction_method: Option<Option<Cow<'a, str>>>,
    pub clip_file_path: Option<Option<Cow<'a, str>>>,
    pub content_id_risk: Option<ContentIdRisk>,
}

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct ClipFilter {
    pub pipeline_run_id: Option<PipelineRunId>,
    pub discovered_video_id: Option<DiscoveredVideoId>,
}

/// How many videos [`Clip::choose_best`] chooses, and which. Each `None` means the setting.
///
/// A number alone is a maximum, with no minimum: `Clip::choose_best(conn, run, 5)` chooses up to five videos, by the
/// setting `min_viral_score`.
#[derive(Debug, Clone, Default)]
pub struct Choose {
    /// The channel whose settings count. `None`: the settings for all channels.
    pub channel: Option<ChannelId>,
    /// Maximum number of videos to choose, from 0 to 1,000. `None`: as many as bring the run to `max_clips` clips.
    pub limit: Option<i64>,
    /// Minimum number of clips that the run must have afterwards. `None`: the setting `min_clips`, or fewer if `limit`
    /// is given and allows only fewer.
    pub min_clips: Option<i64>,
    /// Minimum viral score of a video. Videos without a score pass, after those with one. `None`: the setting
    /// `min_viral_score`.
    pub min_viral_score: Option<f64>,
}

impl From<i64> for Choose {
    fn from(limit: i64) -> Self {
        Self { limit: Some(limit), min_clips: Some(0), ..Self::default() }
    }
}

impl ClipFilter {
    /// The rows that it asks for.
    fn rows(&self) -> clips::BoxedQuery<'_, MultiBackend> {
        let mut query = clips::table.into_boxed();
        if let Some(pipeline_run_id) = self.pipeline_run_id {
            query = query.filter(clips::pipeline_run_id.eq(pipeline_run_id));
        }
        if let Some(discovered_video_id) = self.discovered_video_id {
            query = query.filter(clips::discovered_video_id.eq(discovered_video_id));
        }
        query
    }
}

impl Clip {
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: ClipId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("clips", id)
    }

    /// Rows, newest first.
    pub fn list(conn: &mut DbConnection, filter: &ClipFilter, page: &Page<ClipId>) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(clips::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(clips::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("clips", "")
    }

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &ClipFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("clips", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &ClipFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("clips", "")?;
        Ok(row.is_some())
    }

    /// The clips of a run by rank, the most viral first.
    pub fn of_run(conn: &mut DbConnection, run: PipelineRunId) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(clips::pipeline_run_id.eq(run))
                .order((clips::rank_position, clips::id))
                .load(c)
        })
        .of("clips", run)
    }

    /// The clips of each of these runs by rank, the most viral first: the first list is that of the first one. One query loads those of 30,000.
    pub fn of_runs(conn: &mut DbConnection, runs: &[PipelineRun]) -> Result<Vec<Vec<Self>>> {
        children(runs, |runs| {
            on_backend!(&mut *conn, |c| Self::belonging_to(runs)
                .select(Self::as_select())
                .order((clips::rank_position, clips::id))
                .load(c))
            .of("clips", "")
        })
    }

    /// Chooses videos for a run, the best first: they become clips, ranked behind those it has, and are used
    /// from then on, so that no other run takes them. A clip is all of its video until it is cut.
    ///
    /// # Errors
    /// `Invalid`, and nothing is chosen, if one of them is not pending any more: read what is pending again; or for
    /// more than 1,000.
    pub fn choose(
        conn: &mut DbConnection,
        run: PipelineRunId,
        videos: &[DiscoveredVideo],
    ) -> Result<Vec<Self>> {
        check_number(i64::try_from(videos.len()).unwrap_or(i64::MAX))?;
        conn.atomically(|conn| {
            let ids: Vec<DiscoveredVideoId> = videos.iter().map(|video| video.id).collect();
            let pending = || {
                discovered_videos::table
                    .filter(discovered_videos::id.eq_any(&ids))
                    .filter(discovered_videos::processed.eq(Processed::Pending))
                    .order(discovered_videos::id)
                    .select(discovered_videos::id)
            };
            let mut free: HashSet<DiscoveredVideoId> = on_backend!(
                &mut *conn,
                sqlite => |c| pending().load(c),
                postgres => |c| pending().for_update().load(c),
            )
            .of("discovered_videos", "")?
            .into_iter()
            .collect();
            // What is taken out here was pending, and is given once.
            let taken: Vec<&str> =
                videos.iter().filter(|video| !free.remove(&video.id)).map(|video| &*video.video_id).collect();
            if !taken.is_empty() {
                return Err(Error::invalid(
                    format!("discovered_videos {}", taken.join(", ")),
                    "are not pending any more, or are given twice; read what is pending and choose again",
                ));
            }
            cut(conn, run, videos)
        })
    }

    /// Chooses the best pending videos of the run's niche, as [`choose`](Self::choose) does. Two runs that choose at
    /// once take different ones. How many, and how good they must be, the settings `min_clips`, `max_clips` and
    /// `min_viral_score` say, unless `how` does.
    ///
    /// ```
    /// use viraldb::compilation::{Choose, Clip, Cycle, PipelineRun};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// # let db = viraldb::Database::open("sqlite::memory:")?;
    /// let run = db.write(|c| PipelineRun::start(c, "gaming", &Cycle::default()))?;
    /// let refused = db.write(|c| Clip::choose_best(c, run.id, Choose::default()));
    /// assert!(refused.is_err()); // no videos are pending, and min_clips is 8
    /// assert!(db.write(|c| Clip::choose_best(c, run.id, 5))?.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `NotFound` if there is no such run or channel. `Invalid`, and nothing is chosen, if the run is neither pending nor
    /// running, if it would have too few clips, for a limit of more than 1,000, or if a setting cannot be read.
    pub fn choose_best(
        conn: &mut DbConnection,
        run: PipelineRunId,
        how: impl Into<Choose>,
    ) -> Result<Vec<Self>> {
        let how = how.into();
        how.limit.map_or(Ok(()), check_number)?;
        conn.atomically(|conn| {
            let niche = lock(conn, run)?.niche;
            let there = count(conn, run)?;
            let bounds = Bounds::of(conn, &how, there)?;
            let best = DiscoveredVideo::take_pending(conn, &niche, bounds.limit, bounds.min_viral_score)?;
            let clips = there + best.len() as i64;
            if clips < bounds.min_clips {
                return Err(bounds.too_few(run, &niche, clips));
            }
            cut(conn, run, &best)
        })
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: ClipId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(clips::table.find(id)).execute(c)).of("clips", id)
    }
}

/// What a choice comes to by the settings.
struct Bounds {
    limit: i64,
    min_clips: i64,
    min_viral_score: f64,
}

impl Bounds {
    /// Reads what is not given from the settings. The run has `there` clips already.
    fn of(conn: &mut DbConnection, how: &Choose, there: i64) -> Result<Self> {
        const KEYS: [&str; 3] = ["max_clips", "min_clips", "min_viral_score"];
        let Choose { channel, limit, min_clips, min_viral_score } = *how;
        if let (Some(limit), Some(min_clips), Some(min_viral_score)) = (limit, min_clips, min_viral_score) {
            return Ok(Self { limit, min_clips, min_viral_score });
        }
        let current = Current::read(conn, channel, &KEYS)?;
        let limit = match limit {
            Some(limit) => limit,
            None => (current.get::<i64>(channel, "max_clips")? - there).max(0),
        };
        let min_clips = match min_clips {
            Some(min_clips) => min_clips,
            None => match (current.get::<i64>(channel, "min_clips")?, how.limit) {
                (setting, Some(limit)) => setting.min(there + limit),
                (setting, None) => setting,
            },
        };
        if how.limit.is_none() && min_clips > there + limit {
            return Err(Error::invalid(
                format!("the minimum of {min_clips} clips"),
                format!(
                    "is above the setting max_clips, {}; change max_clips or min_clips with `viraldb config set`, or give \
                     a limit",
                    current.get::<i64>(channel, "max_clips")?
                ),
            ));
        }
        let min_viral_score = match min_viral_score {
            Some(score) => score,
            None => current.get(channel, "min_viral_score")?,
        };
        Ok(Self { limit, min_clips, min_viral_score })
    }

    fn too_few(&self, run: PipelineRunId, niche: &str, clips: i64) -> Error {
        let Self { min_clips, min_viral_score, .. } = self;
        Error::invalid(
            format!("run {run}"),
            format!(
                "would have {clips} {}, and at least {min_clips} are required; nothing was chosen: discover more videos of \
                 {niche}, lower the setting min_viral_score ({min_viral_score}) or min_clips, or choose again with a lower \
                 minimum (`viraldb runs choose {run} --min-clips {clips}`)",
                if clips == 1 { "clip" } else { "clips" }
            ),
        )
    }
}

fn count(conn: &mut DbConnection, run: PipelineRunId) -> Result<i64> {
    on_backend!(conn, |c| clips::table.filter(clips::pipeline_run_id.eq(run)).count().get_result(c))
        .of("clips", run)
}

/// More than a video of any length shows.
fn check_number(videos: i64) -> Result<()> {
    match videos {
        0..=1_000 => Ok(()),
        _ => Err(Error::invalid(format!("{videos} videos"), "cannot be chosen at a time; 1,000 can")),
    }
}

/// The run, for which nobody else chooses until the transaction ends.
fn lock(conn: &mut DbConnection, run: PipelineRunId) -> Result<PipelineRun> {
    let run = PipelineRun::lock(conn, run)?;
    match run.status {
        RunStatus::Pending | RunStatus::Running => Ok(run),
        status => {
            Err(Error::invalid(format!("run {}", run.id), format!("is {status} and chooses no videos")))
        }
    }
}

/// Makes clips of videos that are ours to take, and marks these as used.
fn cut(conn: &mut DbConnection, run: PipelineRunId, videos: &[DiscoveredVideo]) -> Result<Vec<Clip>> {
    let last: Option<i32> = on_backend!(&mut *conn, |c| clips::table
        .filter(clips::pipeline_run_id.eq(run))
        .select(max(clips::rank_position))
        .first(c))
    .of("clips", run)?;
    let first = last.unwrap_or(0) + 1;
    let rows: Vec<_> = (first..)
        .zip(videos)
        .map(|(rank_position, video)| {
            let length = video.duration_seconds.map_or(0.0, f64::from);
            NewClip {
                pipeline_run_id: run,
                discovered_video_id: video.id,
                rank_position,
                end_time_seconds: length,
                clip_duration_seconds: length,
                content_id_risk: Some(video.content_id_risk),
                ..Default::default()
            }
        })
        .collect();
    NewClip::insert_many(conn, &rows)?;
    DiscoveredVideo::mark_many(conn, rows.iter().map(|row| row.discovered_video_id), Processed::Used)?;
    on_backend!(conn, |c| Clip::query()
        .filter(clips::pipeline_run_id.eq(run).and(clips::rank_position.ge(first)))
        .order(clips::rank_position)
        .load(c))
    .of("clips", run)
}

impl<'a> NewClip<'a> {
    /// A clip of a video from one second to another; its length is what lies between. Every other column is left to its default.
    pub fn new(
        pipeline_run_id: PipelineRunId,
        discovered_video_id: DiscoveredVideoId,
        rank_position: i32,
        start_time_seconds: f64,
        end_time_seconds: f64,
    ) -> Self {
        Self {
            pipeline_run_id,
            discovered_video_id,
            rank_position,
            start_time_seconds,
            end_time_seconds,
            clip_duration_seconds: end_time_seconds - start_time_seconds,
            ..Self::default()
        }
    }
}

impl NewClip<'_> {
    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Clip> {
        on_backend!(conn, |c| diesel::insert_into(clips::table)
            .values(self)
            .returning(Clip::as_returning())
            .get_result(c))
        .of("clips", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, clips::table, "clips", rows)
    }
}

impl Document for NewClip<'static> {
    const TABLE: Table = Table { name: "clips", id: Id::Number, key: &[], keep: &[], json: &[], times: &[] };
}

impl ClipChanges<'_> {
    /// Changes the row with this id and returns it; `NotFound` if there is none.
    pub fn update(&self, conn: &mut DbConnection, id: ClipId) -> Result<Clip> {
        on_backend!(conn, |c| diesel::update(clips::table.find(id))
            .set(self)
            .returning(Clip::as_returning())
            .get_result(c))
        .of("clips", id)
    }
}
