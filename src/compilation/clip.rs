//! Clips: pieces cut from discovered videos for a run.

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
    /// Primary key, assigned by the database.
    pub id: ClipId,
    /// Run that the clip belongs to.
    pub pipeline_run_id: PipelineRunId,
    /// Video that the clip was cut from.
    pub discovered_video_id: DiscoveredVideoId,
    /// Rank in the run; 1 is the most viral.
    pub rank_position: i32,
    /// Start of the clip in the source video, in seconds.
    pub start_time_seconds: f64,
    /// End of the clip in the source video, in seconds.
    pub end_time_seconds: f64,
    /// Duration in seconds.
    pub clip_duration_seconds: f64,
    /// How the piece was chosen: most_replayed, transcript, audio_energy, scene_detection.
    pub extraction_method: Option<String>,
    /// Path of the clip file.
    pub clip_file_path: Option<String>,
    /// Risk of a Content ID claim.
    pub content_id_risk: ContentIdRisk,
}

/// A row to insert: `None` means the column's default. See [`Clip`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = clips)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
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

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`Clip`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = clips)]
#[allow(missing_docs)] // documented on the row
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

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct ClipFilter {
    pub pipeline_run_id: Option<PipelineRunId>,
    pub discovered_video_id: Option<DiscoveredVideoId>,
}

/// How many videos [`Clip::choose_best`] chooses, and which ones. A setting supplies each value that is `None`.
///
/// A number alone is a maximum without a minimum: `Clip::choose_best(conn, run, 5)` chooses up to five videos that reach
/// the setting `min_viral_score`.
#[derive(Debug, Clone, Default)]
pub struct Choose {
    /// The channel whose settings apply. `None`: the settings for all channels.
    pub channel: Option<ChannelId>,
    /// Maximum number of videos to choose, from 0 to 1,000. `None`: as many as bring the run to `max_clips` (a setting).
    pub limit: Option<i64>,
    /// Minimum number of clips that the run must have afterward. `None`: the setting `min_clips`, or fewer if `limit`
    /// allows only fewer.
    pub min_clips: Option<i64>,
    /// Minimum viral score of a video. `None`: the setting `min_viral_score`. Videos without a score are also chosen, after
    /// the others.
    pub min_viral_score: Option<f64>,
}

impl From<i64> for Choose {
    fn from(limit: i64) -> Self {
        Self { limit: Some(limit), min_clips: Some(0), ..Self::default() }
    }
}

impl ClipFilter {
    /// Returns the query for the matching rows.
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
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no clip has this id.
    pub fn find(conn: &mut DbConnection, id: ClipId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("clips", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
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

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &ClipFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("clips", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &ClipFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("clips", "")?;
        Ok(row.is_some())
    }

    /// Returns the clips of a run by rank, the most viral first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A run that does not
    /// exist has no clips.
    pub fn of_run(conn: &mut DbConnection, run: PipelineRunId) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(clips::pipeline_run_id.eq(run))
                .order((clips::rank_position, clips::id))
                .load(c)
        })
        .of("clips", run)
    }

    /// Returns a list of clips for each of these runs, by rank. The lists are in the order of `runs`.
    ///
    /// One query loads the clips of up to 30,000 runs.
    ///
    /// # Errors
    /// The errors of [`of_run`](Self::of_run).
    pub fn of_runs(conn: &mut DbConnection, runs: &[PipelineRun]) -> Result<Vec<Vec<Self>>> {
        children(runs, |runs| {
            on_backend!(&mut *conn, |c| Self::belonging_to(runs)
                .select(Self::as_select())
                .order((clips::rank_position, clips::id))
                .load(c))
            .of("clips", "")
        })
    }

    /// Chooses videos for a run. Pass the best video first.
    ///
    /// Each video becomes a clip, ranked after the clips that the run has, and is marked as used, so that no other run
    /// chooses it. A clip covers its whole video until it is cut.
    ///
    /// # Errors
    /// - [`NotFound`](crate::Error::NotFound) if the run does not exist.
    /// - [`Invalid`](crate::Error::Invalid) if the run is neither pending nor running, for more than 1,000
    ///   videos, and if a video is no longer pending or was given twice. Then nothing is chosen; read the
    ///   pending videos again.
    pub fn choose(
        conn: &mut DbConnection,
        run: PipelineRunId,
        videos: &[DiscoveredVideo],
    ) -> Result<Vec<Self>> {
        check_number(i64::try_from(videos.len()).unwrap_or(i64::MAX))?;
        conn.atomically(|conn| {
            // Two concurrent calls for one run would otherwise give the same rank to two clips on PostgreSQL.
            lock(conn, run)?;
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
            // `remove` succeeds only for a pending video, and only for its first occurrence.
            let taken: Vec<&str> =
                videos.iter().filter(|video| !free.remove(&video.id)).map(|video| &*video.video_id).collect();
            if !taken.is_empty() {
                return Err(Error::invalid(
                    format!("discovered_videos {}", taken.join(", ")),
                    "are no longer pending or were given twice; read the pending videos and choose again",
                ));
            }
            cut(conn, run, videos)
        })
    }

    /// Chooses the best pending videos of the run's niche; see [`choose`](Self::choose) for the effect.
    ///
    /// The settings `min_clips`, `max_clips` and `min_viral_score` determine how many videos are chosen and how high their
    /// score must be, unless `how` specifies it. Two runs that choose concurrently get different videos.
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
    /// - [`NotFound`](crate::Error::NotFound) if the run or the channel does not exist.
    /// - [`Invalid`](crate::Error::Invalid) if the run is neither pending nor running, if it would have too
    ///   few clips, if the limit is not from 0 to 1,000, or if a setting cannot be read.
    ///
    /// After an error nothing is chosen.
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

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if a short refers to the clip.
    pub fn delete(conn: &mut DbConnection, id: ClipId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(clips::table.find(id)).execute(c)).of("clips", id)
    }
}

/// The limits of a choice, with the settings filled in.
struct Bounds {
    limit: i64,
    min_clips: i64,
    min_viral_score: f64,
}

impl Bounds {
    /// Reads the values that `how` does not give from the settings. The run already has `there` clips.
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
                    "is above the setting max_clips, {}; change max_clips or min_clips with `viraldb config set`, or pass \
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
                "would have {clips} {}, but at least {min_clips} are required; nothing was chosen: discover more videos of \
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

/// Rejects a number of videos outside 0 to 1,000. No compilation needs more.
fn check_number(videos: i64) -> Result<()> {
    match videos {
        0..=1_000 => Ok(()),
        _ => Err(Error::invalid("number of videos", format!("must be from 0 to 1,000, got {videos}"))),
    }
}

/// Returns the run and locks it, so that no other transaction chooses videos for it. Rejects a run that is neither pending
/// nor running.
fn lock(conn: &mut DbConnection, run: PipelineRunId) -> Result<PipelineRun> {
    let run = PipelineRun::lock(conn, run)?;
    match run.status {
        RunStatus::Pending | RunStatus::Running => Ok(run),
        status => Err(Error::invalid(
            format!("run {}", run.id),
            format!("is {status}; only a pending or running run can choose videos"),
        )),
    }
}

/// Turns pending videos into clips of a run and marks the videos as used. The caller has locked the videos.
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
    /// Creates a clip of a video from its start and end in seconds, and computes the duration. Every other column gets its
    /// default.
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
    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the run or the video does not exist, or if a time is
    /// NaN on SQLite; [`Conflict`](crate::Error::Conflict) if `id` is given and already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Clip> {
        on_backend!(conn, |c| diesel::insert_into(clips::table)
            .values(self)
            .returning(Clip::as_returning())
            .get_result(c))
        .of("clips", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, clips::table, "clips", rows)
    }
}

impl Document for NewClip<'static> {
    const TABLE: Table = Table {
        name: "clips",
        id: Id::Number,
        key: &[],
        origin: &["pipeline_run_id", "discovered_video_id"],
        parents: &[("pipeline_run_id", "pipeline_runs"), ("discovered_video_id", "discovered_videos")],
        keep: &[],
        json: &[],
        times: &[],
    };
}

impl ClipChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no clip has this id;
    /// [`Invalid`](crate::Error::Invalid) if the new run or video does not exist or `self` has no
    /// changes.
    pub fn update(&self, conn: &mut DbConnection, id: ClipId) -> Result<Clip> {
        on_backend!(conn, |c| diesel::update(clips::table.find(id))
            .set(self)
            .returning(Clip::as_returning())
            .get_result(c))
        .of("clips", id)
    }
}
