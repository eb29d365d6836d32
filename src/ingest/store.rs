//! Stores what the rows of a batch become.

use std::collections::HashMap;

use super::found::{Found, Timing};
use super::source::Source;
use super::{Report, youtube_channels};
use crate::compilation::{Analytics, DiscoveredVideo, NewAnalytics, NewDiscoveredVideo};
use crate::generation::{NewTrend, Trend};
use crate::republishing::NewChannelStatistics;
use crate::secrets::{self, Keyring};
use crate::{DbConnection, Result, Timestamp, Upserted};

/// What one batch changed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stored {
    pub(super) rows: Upserted,
    pub(super) snapshots: usize,
    pub(super) trends: Upserted,
}

impl Stored {
    pub(super) fn add_to(self, report: &mut Report) {
        report.new += self.rows.new as u64;
        report.updated += self.rows.updated as u64;
        report.unchanged += self.rows.unchanged as u64;
        report.snapshots += self.snapshots as u64;
        report.trends += (self.trends.new + self.trends.updated) as u64;
    }
}

/// Encrypts what documents have in the clear where encrypted values belong. A document that cannot be stored so is taken
/// out of its row; returns its place, and why.
pub(super) fn seal(
    conn: &mut DbConnection,
    keyring: Option<&Keyring>,
    table: &str,
    rows: &mut [Found],
) -> Result<Vec<(usize, String)>> {
    if !secrets::has_sealed_columns(table) {
        return Ok(Vec::new());
    }
    let none = Keyring::default();
    let documents = rows.iter_mut().enumerate().filter_map(|(at, row)| Some((at, row.document.as_mut()?)));
    let (places, mut documents): (Vec<usize>, Vec<_>) = documents.unzip();
    let refused = secrets::seal_documents(conn, keyring.unwrap_or(&none), table, &mut documents)?;
    let refused = refused.into_iter().filter_map(|(at, reason)| Some((*places.get(at)?, reason)));
    let refused: Vec<_> = refused.collect();
    for (place, _) in &refused {
        if let Some(row) = rows.get_mut(*place) {
            row.document = None;
        }
    }
    Ok(refused)
}

pub(super) fn store(conn: &mut DbConnection, source: &Source, rows: &mut [Found]) -> Result<Stored> {
    if let Source::Jsonl(target) = source {
        let documents: Vec<_> = rows.iter().filter_map(|found| found.document.clone()).collect();
        return Ok(Stored { rows: target.store(conn, &documents)?, ..Stored::default() });
    }
    if let Source::YoutubeAnalytics(_) = source {
        let snapshots: Vec<_> = rows.iter().filter_map(|found| found.snapshot.clone()).collect();
        let rows = NewAnalytics::insert_or_fill_many(conn, &snapshots)?;
        return Ok(Stored { rows, snapshots: rows.new, ..Stored::default() });
    }
    if let Source::YoutubeChannels(_) = source {
        let numbers = youtube_channels::numbers(rows);
        return Ok(Stored {
            rows: NewChannelStatistics::insert_new_many(conn, &numbers)?,
            ..Stored::default()
        });
    }
    let (videos, snapshots) = leave_newer_counts(conn, rows)?;
    let mut stored =
        Stored { rows: NewDiscoveredVideo::insert_or_update_many(conn, &videos)?, ..Stored::default() };
    if !snapshots.is_empty() {
        stored.snapshots = NewAnalytics::insert_new_many(conn, &snapshots)?;
    }
    let trends: Vec<_> = rows.iter().filter_map(|found| found.trend.clone()).collect();
    if !trends.is_empty() {
        stored.trends = NewTrend::insert_or_update_many(conn, &trends)?;
    }
    Ok(stored)
}

/// What is known of the counts of a video.
#[derive(Default)]
struct Known {
    /// When it was first seen; none if it is new.
    discovered: Option<Timestamp>,
    counts: [Option<i64>; 3],
    /// When the newest counts that are known were measured.
    newest: Option<Timestamp>,
}

/// Returns the videos and snapshots of the rows, as they are to be stored.
///
/// Counts are taken out of a video if they were measured before those that the database has, or are known already: an
/// old file adds snapshots, and does not set the video back. The newest counts of a YouTube video are as old as its
/// newest snapshot, and those of a TikTok video as its trend. For videos of other sites no time is kept, so fewer views
/// than there are count as older.
///
/// A row without a time of its own is a snapshot only if it changes the counts of a video, so that reading it again
/// changes nothing. Rows count one after the other, so that it does not matter how they are divided into batches.
pub(super) fn leave_newer_counts(
    conn: &mut DbConnection,
    rows: &[Found],
) -> Result<(Vec<NewDiscoveredVideo<'static>>, Vec<NewAnalytics<'static>>)> {
    let mut known = known_counts(conn, rows)?;
    let (mut videos, mut snapshots) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in rows {
        let mut snapshot = row.snapshot.clone();
        if let Some(mut video) = row.video.clone() {
            let counts = [video.view_count, video.like_count, video.comment_count];
            let known = known.entry(video.video_id.to_string()).or_default();
            if counts.iter().any(Option::is_some) {
                let (is_old, is_snapshot) = judge(row, &video, known);
                if is_old {
                    (video.view_count, video.like_count, video.comment_count) = (None, None, None);
                }
                if !is_snapshot {
                    snapshot = None;
                }
                if !is_old {
                    for (known, new) in known.counts.iter_mut().zip(counts) {
                        *known = new.or(*known);
                    }
                }
            }
            if let Some(at) = snapshot.as_ref().and_then(|snapshot| snapshot.measured_at) {
                known.newest = known.newest.max(Some(at));
            }
            if let Some(trend) = &row.trend {
                known.newest = known.newest.max(trend.collected_at);
            }
            known.discovered = known.discovered.or(video.discovered_at);
            videos.push(video);
        }
        snapshots.extend(snapshot);
    }
    Ok((videos, snapshots))
}

/// Returns whether the counts of a row are older than those that are known, and whether they are a snapshot.
fn judge(row: &Found, video: &NewDiscoveredVideo<'_>, known: &Known) -> (bool, bool) {
    let said = row.timing == Timing::Said;
    let Some(at) = video.discovered_at else { return (false, said) };
    let Some(discovered) = known.discovered else { return (false, said) };
    let is_before = at < discovered || known.newest.is_some_and(|newest| at < newest);
    if row.snapshot.is_some() {
        let is_known = said && known.newest == Some(at);
        let counts = [video.view_count, video.like_count, video.comment_count];
        let differs = counts.iter().zip(known.counts).any(|(new, old)| new.is_some() && *new != old);
        return (is_before || is_known, said || (!is_before && at > discovered && differs));
    }
    let has_fewer_views = video.view_count < known.counts[0] && video.view_count.is_some();
    (is_before || (row.trend.is_none() && row.timing != Timing::Now && has_fewer_views), false)
}

/// What the database knows of the videos of rows with counts.
fn known_counts(conn: &mut DbConnection, rows: &[Found]) -> Result<HashMap<String, Known>> {
    let has_counts = |video: &&NewDiscoveredVideo<'_>| {
        video.view_count.is_some() || video.like_count.is_some() || video.comment_count.is_some()
    };
    let ids =
        rows.iter().filter_map(|row| row.video.as_ref()).filter(has_counts).map(|video| &*video.video_id);
    let ids: Vec<&str> = ids.collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let mut known: HashMap<String, Known> = HashMap::new();
    for (id, discovered, views, likes, comments) in DiscoveredVideo::counts(conn, &ids)? {
        let counts = [views, likes, comments];
        known.insert(id, Known { discovered: Some(discovered), counts, newest: None });
    }
    let is_known = |id: &str| known.contains_key(id);
    let measured = rows.iter().filter_map(|row| Some(&*row.snapshot.as_ref()?.youtube_video_id));
    let measured: Vec<&str> = measured.filter(|id| is_known(id)).collect();
    let collected = rows.iter().filter_map(|row| Some(&*row.trend.as_ref()?.external_id));
    let collected: Vec<&str> = collected.filter(|id| is_known(id)).collect();
    let mut newest = Vec::new();
    if !measured.is_empty() {
        newest = Analytics::newest(conn, &measured)?;
    }
    if !collected.is_empty() {
        newest.extend(Trend::collected(conn, &collected)?);
    }
    for (id, at) in newest {
        if let Some(known) = known.get_mut(&id) {
            known.newest = known.newest.max(Some(at));
        }
    }
    Ok(known)
}
