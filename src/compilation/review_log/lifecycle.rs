//! Sending, answering and holding reviews. An answer moves the run.

use std::time::Duration;

use diesel::prelude::*;

use super::{NewReviewLog, ReviewAction, ReviewLog};
use crate::compilation::{DiscoveredVideo, PipelineRun, Processed, RunStatus, ShortStatus};
use crate::config::Current;
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt};
use crate::quote::quoted;
use crate::schema::{clips, pipeline_runs, review_log, shorts};
use crate::types::{ChannelId, ClipId, DiscoveredVideoId, PipelineRunId, ReviewLogId, Timestamp};

/// Selects the reviews that [`ReviewLog::hold_overdue`] holds. A [`Duration`] alone selects every review that has waited
/// at least that long.
#[derive(Debug, Clone, Default)]
pub struct Overdue<'a> {
    /// The channel whose settings apply. `None`: the settings for all channels.
    pub channel: Option<ChannelId>,
    /// Only reviews of this niche's runs. `None`: all reviews. A run does not name a channel, so to hold the reviews of one
    /// channel by that channel's setting, set its niche here.
    pub niche: Option<&'a str>,
    /// How long a person has to answer. `None`: the setting `review_timeout_hours`.
    pub after: Option<Duration>,
}

impl From<Duration> for Overdue<'_> {
    fn from(after: Duration) -> Self {
        Self { after: Some(after), ..Self::default() }
    }
}

impl ReviewLog {
    /// Requests a review of a run and moves the run from running to review.
    ///
    /// If the run is already under review, an open review is returned unchanged. If its last review was held, a new one is
    /// created.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the run is neither running nor under review;
    /// [`NotFound`](crate::Error::NotFound) if it does not exist.
    pub fn send(conn: &mut DbConnection, run: PipelineRunId) -> Result<Self> {
        conn.atomically(|conn| {
            let open = match PipelineRun::lock(conn, run)?.status {
                RunStatus::Review => Self::newest(conn, run)?.filter(|review| review.action.is_none()),
                _ => PipelineRun::move_to(conn, run, RunStatus::Review).map(|_| None)?,
            };
            let new =
                NewReviewLog { pipeline_run_id: run, sent_at: Some(Timestamp::now()), ..Default::default() };
            open.map_or_else(|| new.insert(conn), Ok)
        })
    }

    /// Returns the newest review of a run.
    fn newest(conn: &mut DbConnection, run: PipelineRunId) -> Result<Option<Self>> {
        on_backend!(conn, |c| Self::query()
            .filter(review_log::pipeline_run_id.eq(run))
            .order(review_log::id.desc())
            .first(c)
            .optional())
        .of("review_log", "")
    }

    /// Records a person's answer and moves the run:
    ///
    /// - `approve` moves it to approved.
    /// - `reject` moves it to failed. `detail` is the reason.
    /// - `hold` leaves it under review. A held review may be answered later.
    /// - `skip` moves it back to running, to be made again without some of its clips. `detail` lists the ranks of those
    ///   clips, such as `4,7`. The clips are deleted, their videos become skipped, and their shorts become failed unless
    ///   they are uploaded.
    /// - `redo_script` moves it back to running. `detail` says what is wrong with the script.
    ///
    /// # Errors
    /// - [`NotFound`](crate::Error::NotFound) if the review does not exist.
    /// - [`Invalid`](crate::Error::Invalid) if the review was already answered or is not the newest review of
    ///   its run.
    /// - `Invalid` if the run is not under review or has no clip with one of the ranks.
    ///
    /// After an error nothing is changed.
    pub fn answer(
        conn: &mut DbConnection,
        id: ReviewLogId,
        action: ReviewAction,
        detail: Option<&str>,
    ) -> Result<Self> {
        conn.atomically(|conn| {
            let (ranks, detail) = match action {
                ReviewAction::Skip => {
                    let ranks = ranks(detail.unwrap_or_default())?;
                    let list: Vec<String> = ranks.iter().map(i32::to_string).collect();
                    (ranks, Some(format!("skip {}", list.join(","))))
                }
                _ => (Vec::new(), detail.map(str::to_owned)),
            };
            let answered = on_backend!(&mut *conn, |c| {
                diesel::update(review_log::table.find(id).filter(is_open().or(is_held())))
                    .set((
                        review_log::action.eq(action),
                        review_log::response_detail.eq(&detail),
                        review_log::responded_at.eq(Some(Timestamp::now())),
                    ))
                    .returning(Self::as_returning())
                    .get_result(c)
                    .optional()
            })
            .of("review_log", id)?;
            let Some(review) = answered else {
                let action = Self::find(conn, id)?.action.map_or("no action recorded", ReviewAction::as_str);
                return Err(Error::invalid(
                    format!("review {id}"),
                    format!("was already answered: {action}"),
                ));
            };
            let run = review.pipeline_run_id;
            // A person who answers an older review has not seen the current state of the run.
            if let Some(newer) = Self::newest(conn, run)?.filter(|newest| newest.id != id) {
                let reason =
                    format!("is not the newest review of run {run}; answer review {} instead", newer.id);
                return Err(Error::invalid(format!("review {id}"), reason));
            }
            match action {
                ReviewAction::Hold => {
                    let status = PipelineRun::find(conn, run)?.status;
                    if status != RunStatus::Review {
                        return Err(Error::invalid(
                            format!("run {run}"),
                            format!("is {status}, not under review"),
                        ));
                    }
                }
                ReviewAction::Approve => drop(PipelineRun::move_to(conn, run, RunStatus::Approved)?),
                ReviewAction::Reject => {
                    let why = detail.filter(|why| !why.trim().is_empty());
                    let why = why
                        .map_or("rejected in review".to_owned(), |why| format!("rejected in review: {why}"));
                    PipelineRun::fail_from(conn, run, &[RunStatus::Review], &why)?;
                }
                ReviewAction::Skip => {
                    PipelineRun::rework(conn, run)?;
                    skip(conn, run, &ranks)?;
                }
                ReviewAction::RedoScript => drop(PipelineRun::rework(conn, run)?),
            }
            Ok(review)
        })
    }

    /// Holds the reviews that no one answered in time, and returns them, oldest first.
    ///
    /// Their runs stay under review, and a person may still answer. The time limit is `overdue.after` or, if `None`, the
    /// setting `review_timeout_hours`.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the setting cannot be read; [`NotFound`](crate::Error::NotFound)
    /// if the channel does not exist.
    pub fn hold_overdue<'a>(conn: &mut DbConnection, overdue: impl Into<Overdue<'a>>) -> Result<Vec<Self>> {
        const KEY: &str = "review_timeout_hours";
        let Overdue { channel, niche, after } = overdue.into();
        let after = match after {
            Some(after) => after,
            None => {
                Duration::from_secs(3600 * Current::read(conn, channel, &[KEY])?.get::<u64>(channel, KEY)?)
            }
        };
        let before = Timestamp::now() - after;
        let overdue = || review_log::table.filter(is_open().and(review_log::sent_at.le(before)));
        let set = (review_log::action.eq(ReviewAction::Hold), review_log::auto_held.eq(true));
        let mut held: Vec<Self> = on_backend!(conn, |c| match niche {
            None => diesel::update(overdue()).set(set).returning(Self::as_returning()).get_results(c),
            Some(niche) => {
                let runs =
                    pipeline_runs::table.filter(pipeline_runs::niche.eq(niche)).select(pipeline_runs::id);
                diesel::update(overdue().filter(review_log::pipeline_run_id.eq_any(runs)))
                    .set(set)
                    .returning(Self::as_returning())
                    .get_results(c)
            }
        })
        .of("review_log", "")?;
        held.sort_by_key(|review| (review.sent_at, review.id.0));
        Ok(held)
    }
}

/// Returns the condition that a review was neither answered nor held.
#[diesel::dsl::auto_type]
pub(super) fn is_open() -> _ {
    review_log::action.is_null().and(review_log::responded_at.is_null())
}

/// Returns the condition that a review is held.
#[diesel::dsl::auto_type]
fn is_held() -> _ {
    let hold: ReviewAction = ReviewAction::Hold;
    review_log::action.is_not_null().and(review_log::action.assume_not_null().eq(hold))
}

/// Parses `4,7` or `skip 4,7` into 1 to 1,000 ranks, sorted and without duplicates.
fn ranks(text: &str) -> Result<Vec<i32>> {
    let list = text.trim().strip_prefix("skip").unwrap_or(text);
    let ranks: Option<Vec<i32>> = list
        .split(|c: char| c == ',' || c.is_whitespace())
        .filter(|word| !word.is_empty())
        .map(|word| word.parse().ok().filter(|rank| *rank > 0))
        .collect();
    match ranks {
        Some(mut ranks) if (1..=1_000).contains(&ranks.len()) => {
            ranks.sort_unstable();
            ranks.dedup();
            Ok(ranks)
        }
        _ => Err(Error::invalid(
            format!("skip {}", quoted(text)),
            "is not a list of 1 to 1,000 clip ranks, such as 4,7",
        )),
    }
}

/// Removes the clips with these ranks from a run.
fn skip(conn: &mut DbConnection, run: PipelineRunId, ranks: &[i32]) -> Result<()> {
    let skipped: Vec<(ClipId, DiscoveredVideoId, i32)> = on_backend!(&mut *conn, |c| clips::table
        .filter(clips::pipeline_run_id.eq(run).and(clips::rank_position.eq_any(ranks)))
        .select((clips::id, clips::discovered_video_id, clips::rank_position))
        .load(c))
    .of("clips", run)?;
    if let Some(rank) = ranks.iter().find(|rank| skipped.iter().all(|clip| clip.2 != **rank)) {
        return Err(Error::invalid(format!("clip rank {rank}"), format!("does not exist in run {run}")));
    }
    let ids: Vec<ClipId> = skipped.iter().map(|clip| clip.0).collect();
    on_backend!(&mut *conn, |c| {
        let of_clips = shorts::clip_id.eq_any(ids.iter().copied().map(Some));
        diesel::update(shorts::table.filter(of_clips).filter(shorts::status.ne(ShortStatus::Uploaded)))
            .set(shorts::status.eq(ShortStatus::Failed))
            .execute(c)?;
        let of_clips = shorts::clip_id.eq_any(ids.iter().copied().map(Some));
        diesel::update(shorts::table.filter(of_clips)).set(shorts::clip_id.eq(None::<ClipId>)).execute(c)?;
        diesel::delete(clips::table.filter(clips::id.eq_any(&ids))).execute(c)
    })
    .of("clips", run)?;
    DiscoveredVideo::mark_many(conn, skipped.iter().map(|clip| clip.1), Processed::Skipped)?;
    Ok(())
}
