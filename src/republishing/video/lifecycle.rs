//! The rules for changing a video's three statuses, and the history of the changes.

use diesel::prelude::*;
use serde_json::{Value, json};

use super::{DownloadStatus, PublicationStatus, TransformationStatus, Video, VideoChanges};
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt};
use crate::schema::videos;
use crate::types::{Json, Timestamp, VideoId};

/// A change of one of a video's three statuses. Each status type converts into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum VideoMove {
    Download(DownloadStatus),
    Transformation(TransformationStatus),
    Publication(PublicationStatus),
}

impl From<DownloadStatus> for VideoMove {
    fn from(to: DownloadStatus) -> Self {
        Self::Download(to)
    }
}

impl From<TransformationStatus> for VideoMove {
    fn from(to: TransformationStatus) -> Self {
        Self::Transformation(to)
    }
}

impl From<PublicationStatus> for VideoMove {
    fn from(to: PublicationStatus) -> Self {
        Self::Publication(to)
    }
}

impl Video {
    /// Changes one status, appends the change to `processing_history`, and returns the video.
    ///
    /// A status may change:
    ///
    /// - forward in its order, and may skip steps;
    /// - from any status except `failed` to `failed`;
    /// - from `failed` to `pending`, for a retry.
    ///
    /// `processing` and `transformed` set the times of the transformation; `published` sets `published_at`. `scheduled`
    /// requires a publication time: set it with [`schedule`](Self::schedule). A retried publication keeps its time.
    ///
    /// If two callers make the same change concurrently, one of them succeeds.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid), which names both statuses, for any other change;
    /// [`NotFound`](crate::Error::NotFound) if the video does not exist.
    ///
    /// ```
    /// # use viraldb::republishing::*;
    /// # fn f(db: &viraldb::Database, id: VideoId) -> viraldb::Result<()> {
    /// db.write(|c| Video::move_to(c, id, DownloadStatus::Downloading))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn move_to(conn: &mut DbConnection, id: VideoId, to: impl Into<VideoMove>) -> Result<Self> {
        conn.atomically(|conn| {
            let video = lock(conn, id)?;
            step(conn, video, to.into())
        })
    }

    /// Schedules the publication of a video or changes its time.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the publication is in progress, is finished or has failed;
    /// [`NotFound`](crate::Error::NotFound) if the video does not exist.
    pub fn schedule(conn: &mut DbConnection, id: VideoId, at: Timestamp) -> Result<Self> {
        conn.atomically(|conn| {
            let changes = VideoChanges { scheduled_publication_at: Some(Some(at)), ..Default::default() };
            let is_scheduled = lock(conn, id)?.publication_status == PublicationStatus::Scheduled;
            let video = changes.update(conn, id)?;
            if is_scheduled { Ok(video) } else { step(conn, video, PublicationStatus::Scheduled.into()) }
        })
    }

    /// Moves every failed status of a video back to pending, so that it is retried.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if no status is failed; [`NotFound`](crate::Error::NotFound) if the
    /// video does not exist.
    pub fn retry(conn: &mut DbConnection, id: VideoId) -> Result<Self> {
        conn.atomically(|conn| {
            let mut video = lock(conn, id)?;
            let failed: Vec<VideoMove> = [
                (video.download_status == DownloadStatus::Failed).then_some(DownloadStatus::Pending.into()),
                (video.transformation_status == TransformationStatus::Failed)
                    .then_some(TransformationStatus::Pending.into()),
                (video.publication_status == PublicationStatus::Failed)
                    .then_some(PublicationStatus::Pending.into()),
            ]
            .into_iter()
            .flatten()
            .collect();
            if failed.is_empty() {
                return Err(Error::invalid(
                    format!("video {id}"),
                    format!("is {}; only a failed video can be retried", video.status),
                ));
            }
            for to in failed {
                video = step(conn, video, to)?;
            }
            Ok(video)
        })
    }

    /// Returns the videos that are scheduled for `now` or earlier, the longest overdue first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    ///
    /// ```
    /// use viraldb::Timestamp;
    /// use viraldb::republishing::{NewChannel, NewVideo, Video};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// # let db = viraldb::Database::open("sqlite::memory:")?;
    /// let channel = db.write(|c| NewChannel::new("Cats", "UC1").insert(c))?;
    /// let new = NewVideo::new(channel.id, "https://x/1", "One", "tiktok");
    /// let video = db.write(|c| new.insert(c))?;
    /// let at: Timestamp = "2026-11-21T08:30:00Z".parse()?;
    /// db.write(|c| Video::schedule(c, video.id, at))?;
    /// let due = db.read(|c| Video::due(c, at, 10))?;
    /// assert_eq!((due.len(), due[0].id), (1, video.id));
    /// # Ok(())
    /// # }
    /// ```
    pub fn due(conn: &mut DbConnection, now: Timestamp, limit: i64) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            Self::query()
                .filter(videos::publication_status.eq(PublicationStatus::Scheduled))
                .filter(videos::scheduled_publication_at.le(now))
                .order((videos::scheduled_publication_at, videos::id))
                .limit(limit.max(0))
                .load(c)
        })
        .of("videos", "")
    }
}

/// Returns the video and locks it until the transaction ends.
fn lock(conn: &mut DbConnection, id: VideoId) -> Result<Video> {
    on_backend!(
        conn,
        sqlite => |c| Video::query().find(id).first(c), // SQLite allows only one writer
        postgres => |c| Video::query().find(id).for_update().first(c),
    )
    .of("videos", id)
}

/// Returns true if a status may change to `to`. `all` lists the statuses in order, with `failed` last.
fn may_become<T: PartialEq>(all: &[T], from: &T, to: &T) -> bool {
    let place = |word| all.iter().position(|known| known == word);
    match place(to) {
        Some(0) => all.last() == Some(from),
        to => place(from) < to && all.last() != Some(from),
    }
}

/// Makes one status change of a locked video.
fn step(conn: &mut DbConnection, video: Video, to: VideoMove) -> Result<Video> {
    let now = Timestamp::now();
    let mut changes = VideoChanges::default();
    let (field, from, word, is_legal) = match to {
        VideoMove::Download(to) => {
            let from = video.download_status;
            changes.download_status = Some(to);
            ("download_status", from.as_str(), to.as_str(), may_become(DownloadStatus::ALL, &from, &to))
        }
        VideoMove::Transformation(to) => {
            let from = video.transformation_status;
            changes.transformation_status = Some(to);
            let (started, completed) = match to {
                TransformationStatus::Pending => (None, None),
                TransformationStatus::Processing => (Some(now), None),
                // A transformation that fails later, for example because its file is lost, keeps its times.
                _ => (video.processing_started_at, video.processing_completed_at.or(Some(now))),
            };
            let taken = started
                .zip(completed)
                .map(|(started, ended)| (ended.to_utc() - started.to_utc()).num_seconds());
            changes.processing_started_at = Some(started);
            changes.processing_completed_at = Some(completed);
            // Avoid a negative duration if the clock was set back.
            changes.processing_duration =
                Some(taken.map(|seconds| i32::try_from(seconds.max(0)).unwrap_or(i32::MAX)));
            (
                "transformation_status",
                from.as_str(),
                to.as_str(),
                may_become(TransformationStatus::ALL, &from, &to),
            )
        }
        VideoMove::Publication(to) => {
            let from = video.publication_status;
            changes.publication_status = Some(to);
            match to {
                PublicationStatus::Scheduled if video.scheduled_publication_at.is_none() => {
                    return Err(Error::invalid(
                        format!("video {}", video.id),
                        "has no publication time; call `Video::schedule` with one",
                    ));
                }
                PublicationStatus::Published => changes.published_at = Some(Some(now)),
                PublicationStatus::Pending => changes.published_at = Some(None),
                _ => {}
            }
            ("publication_status", from.as_str(), to.as_str(), may_become(PublicationStatus::ALL, &from, &to))
        }
    };
    if !is_legal {
        let what = format!("{field} of video {}", video.id);
        return Err(Error::invalid(what, format!("is {from} and cannot become {word}")));
    }
    let mut history = match video.processing_history.0 {
        Value::Array(entries) => entries,
        other => vec![other], // another program's format; keep it
    };
    history.push(json!({ "at": now, "field": field, "from": from, "to": word }));
    changes.processing_history = Some(Json(history.into()));
    changes.update(conn, video.id)
}
