//! Decides which counts are newer than the stored ones.

use std::collections::HashMap;

use super::found::{Found, Timing};
use crate::Timestamp;
use crate::compilation::{KnownVideos, NewDiscoveredVideo, Newest};

/// How to store the counts of a row.
#[derive(Clone, Copy)]
pub(super) struct Judged {
    /// True if the counts are older than the stored ones, or are stored already.
    pub(super) is_old: bool,
    /// True if the counts are stored as a snapshot.
    pub(super) is_snapshot: bool,
}

/// The known counts of a video.
#[derive(Default)]
struct State {
    /// When the video was discovered. `None` for a new video.
    discovered: Option<Timestamp>,
    counts: [Option<i64>; 3],
    /// Measurement time of the newest known counts.
    newest: Option<Timestamp>,
}

impl State {
    fn of(video_id: &str, known: &KnownVideos, newest: &Newest, collected: &Newest) -> Self {
        let Some(video) = known.get(video_id) else { return Self::default() };
        Self {
            discovered: Some(video.discovered_at),
            counts: video.counts(),
            newest: newest.get(video_id).max(collected.get(video_id)).copied(),
        }
    }
}

/// Decides how to store the counts of rows.
///
/// Counts that were measured before the stored ones, or that are stored already, do not update a video. An old file therefore
/// adds snapshots but does not revert the video. The counts of a YouTube video have the time of its newest snapshot, and
/// those of a TikTok video have the time of its trend. viraldb stores no measurement time for videos from other sites, so
/// counts with fewer views than the stored ones are treated as older.
///
/// A row without its own time becomes a snapshot only if it changes the counts of a video, so that reading it again changes
/// nothing. Each row updates the known state for the rows after it, so the division into batches does not matter.
pub(super) fn judge(rows: &[Found], known: &KnownVideos, newest: &Newest, collected: &Newest) -> Vec<Judged> {
    let mut states: HashMap<&str, State> = HashMap::with_capacity(rows.len());
    let judge = |row| judge_row(row, &mut states, |id| State::of(id, known, newest, collected));
    rows.iter().map(judge).collect()
}

fn judge_row<'r>(
    row: &'r Found,
    states: &mut HashMap<&'r str, State>,
    state_of: impl FnOnce(&str) -> State,
) -> Judged {
    let Some(video) = &row.video else {
        return Judged { is_old: false, is_snapshot: row.snapshot.is_some() };
    };
    let state = states.entry(&*video.video_id).or_insert_with(|| state_of(&video.video_id));
    let counts = [video.view_count, video.like_count, video.comment_count];
    let mut judged = Judged { is_old: false, is_snapshot: row.snapshot.is_some() };
    if counts.iter().any(Option::is_some) {
        judged = judge_counts(row, video, counts, state);
        if !judged.is_old {
            for (known, new) in state.counts.iter_mut().zip(counts) {
                *known = new.or(*known);
            }
        }
    }
    if let Some(snapshot) = row.snapshot.as_ref().filter(|_| judged.is_snapshot) {
        state.newest = state.newest.max(snapshot.measured_at);
    }
    if let Some(trend) = &row.trend {
        state.newest = state.newest.max(trend.collected_at);
    }
    state.discovered = state.discovered.or(video.discovered_at);
    judged
}

fn judge_counts(
    row: &Found,
    video: &NewDiscoveredVideo<'_>,
    counts: [Option<i64>; 3],
    known: &State,
) -> Judged {
    let (Some(at), Some(discovered)) = (video.discovered_at, known.discovered) else {
        return Judged { is_old: false, is_snapshot: row.says_when() };
    };
    let is_before = at < discovered || known.newest.is_some_and(|newest| at < newest);
    if row.snapshot.is_some() {
        let is_known = row.says_when() && known.newest == Some(at);
        let differs = counts.iter().zip(known.counts).any(|(new, old)| new.is_some() && *new != old);
        let is_news = !is_before && at > discovered && differs;
        return Judged { is_old: is_before || is_known, is_snapshot: row.says_when() || is_news };
    }
    let has_fewer_views = video.view_count.is_some() && video.view_count < known.counts[0];
    let is_fewer = row.trend.is_none() && row.timing != Timing::Now && has_fewer_views;
    Judged { is_old: is_before || is_fewer, is_snapshot: false }
}
