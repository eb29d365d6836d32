//! Stores the converted rows of a batch.

use serde_json::{Map, Value};

use super::found::Found;
use super::judge::{Judged, judge};
use super::source::Source;
use super::{Report, youtube_channels};
use crate::compilation::{Analytics, DiscoveredVideo, KnownVideos, NewAnalytics, NewDiscoveredVideo, Newest};
use crate::db::json_upsert::Seen;
use crate::generation::{NewTrend, Trend};
use crate::republishing::NewChannelStatistics;
use crate::secrets::{self, Keyring};
use crate::tables::Target;
use crate::{DbConnection, Result, Upserted};

/// Counts of the rows that a batch changed.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Stored {
    pub(super) rows: Upserted,
    pub(super) snapshots: usize,
    pub(super) trends: Upserted,
}

impl std::ops::AddAssign for Stored {
    fn add_assign(&mut self, other: Self) {
        self.rows += other.rows;
        self.snapshots += other.snapshots;
        self.trends += other.trends;
    }
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

/// Encrypts secrets that documents contain in the clear. A document that cannot be encrypted is removed from its row.
/// Returns the index of each such row and the reason.
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
    let (places, mut documents) = documents(rows);
    let refused = secrets::seal_documents(conn, keyring.unwrap_or(&none), table, &mut documents)?;
    Ok(remove(rows, &places, refused))
}

/// Finds the documents whose `id` belongs to another row, and removes them from their rows. Returns the index of each such row
/// and the reason.
pub(super) fn identify(
    conn: &mut DbConnection,
    target: &Target,
    rows: &mut [Found],
) -> Result<Vec<(usize, String)>> {
    let (places, mut documents) = documents(rows);
    let clashes = target.identify(conn, &mut documents)?;
    Ok(remove(rows, &places, clashes.refused))
}

/// Finds the documents that refer to rows which do not exist, and removes them from their rows. Returns the index of each such
/// row and the reason.
pub(super) fn remove_orphans(
    conn: &mut DbConnection,
    target: &Target,
    rows: &mut [Found],
) -> Result<Vec<(usize, String)>> {
    let (places, documents) = documents(rows);
    let documents: Vec<&Map<String, Value>> = documents.iter().map(|document| &**document).collect();
    let orphans = target.orphans(conn, &documents)?;
    Ok(remove(rows, &places, orphans.into_iter().map(|orphan| (orphan.place, orphan.reason)).collect()))
}

/// Returns the documents of the rows, and the index of the row of each document.
fn documents(rows: &mut [Found]) -> (Vec<usize>, Vec<&mut Map<String, Value>>) {
    rows.iter_mut().enumerate().filter_map(|(at, row)| Some((at, row.document.as_mut()?))).unzip()
}

/// Removes refused documents from their rows. Returns the refused documents by the index of their row.
fn remove(rows: &mut [Found], places: &[usize], refused: Vec<(usize, String)>) -> Vec<(usize, String)> {
    let refused = refused.into_iter().filter_map(|(at, reason)| Some((*places.get(at)?, reason)));
    let refused: Vec<_> = refused.collect();
    for (place, _) in &refused {
        if let Some(row) = rows.get_mut(*place) {
            row.document = None;
        }
    }
    refused
}

/// Stores rows in the open transaction. The caller must roll back the transaction if this fails. Videos with an id above
/// `largest_id` were inserted by this ingest.
pub(super) fn store(
    conn: &mut DbConnection,
    source: &Source,
    rows: &[Found],
    largest_id: i64,
    seen: &mut Seen,
) -> Result<Stored> {
    if let Some(target) = source.target() {
        let documents: Vec<_> = rows.iter().filter_map(|found| found.document.as_ref()).collect();
        return Ok(Stored { rows: target.store(conn, &documents, seen)?, ..Stored::default() });
    }
    match source {
        Source::YoutubeAnalytics(_) | Source::YoutubeStudio(_) => {
            let snapshots: Vec<_> = rows.iter().filter_map(|found| found.snapshot.as_ref()).collect();
            let rows = NewAnalytics::insert_or_fill_many(conn, &snapshots)?;
            Ok(Stored { rows, snapshots: rows.new, ..Stored::default() })
        }
        Source::YoutubeChannels(_) => {
            let numbers = youtube_channels::numbers(rows);
            Ok(Stored { rows: NewChannelStatistics::insert_new_many(conn, &numbers)?, ..Stored::default() })
        }
        _ => store_videos(conn, rows, largest_id),
    }
}

fn store_videos(conn: &mut DbConnection, rows: &[Found], largest_id: i64) -> Result<Stored> {
    let known = known(conn, rows)?;
    let newest = newest(conn, rows, &known)?;
    let collected = collected(conn, rows, &known)?;
    let judged: Vec<Judged> = judge(rows, &known, &newest, &collected);

    let each = || rows.iter().zip(&judged);
    let old = each().filter(|(_, judged)| judged.is_old).filter_map(|(found, _)| found.video.as_ref());
    let old: Vec<NewDiscoveredVideo<'_>> = old.map(without_counts).collect();
    let mut old = old.iter();
    let videos = each().filter_map(|(found, judged)| {
        let video = found.video.as_ref()?;
        if judged.is_old { old.next() } else { Some(video) }
    });
    // Videos that this ingest inserted earlier were counted then, so do not count them again.
    let is_counted =
        |video: &&NewDiscoveredVideo<'_>| known.get(&*video.video_id).is_some_and(|v| v.id() > largest_id);
    let (counted, videos): (Vec<_>, Vec<_>) = videos.partition(is_counted);
    let mut stored = Stored::default();
    if !videos.is_empty() {
        stored.rows = NewDiscoveredVideo::put_many(conn, videos.into_iter(), Some(&known))?;
    }
    if !counted.is_empty() {
        NewDiscoveredVideo::put_many(conn, counted.into_iter(), Some(&known))?;
    }
    let snapshots = each().filter(|(_, judged)| judged.is_snapshot);
    let snapshots: Vec<_> = snapshots.filter_map(|(found, _)| found.snapshot.as_ref()).collect();
    if !snapshots.is_empty() {
        stored.snapshots = NewAnalytics::put_new_many(conn, snapshots.into_iter(), &newest)?;
    }
    let trends: Vec<_> = rows.iter().filter_map(|found| found.trend.as_deref()).collect();
    if !trends.is_empty() {
        stored.trends = NewTrend::put_many(conn, trends.into_iter())?;
    }
    Ok(stored)
}

/// Returns the stored data of the videos.
fn known(conn: &mut DbConnection, rows: &[Found]) -> Result<KnownVideos> {
    let ids: Vec<&str> = rows.iter().filter_map(|found| Some(&*found.video.as_ref()?.video_id)).collect();
    DiscoveredVideo::known(conn, &ids)
}

/// Returns the time of the newest snapshot of each video for which a snapshot may be stored.
fn newest(conn: &mut DbConnection, rows: &[Found], known: &KnownVideos) -> Result<Newest> {
    let snapshots =
        rows.iter().filter_map(|found| Some((found, &*found.snapshot.as_ref()?.youtube_video_id)));
    let ids = snapshots.filter(|(found, id)| found.says_when() || known.contains_key(*id)).map(|(_, id)| id);
    let ids: Vec<&str> = ids.collect();
    if ids.is_empty() { Ok(Newest::new()) } else { Analytics::newest_of(conn, &ids) }
}

/// Returns when the trends of known videos were last collected.
fn collected(conn: &mut DbConnection, rows: &[Found], known: &KnownVideos) -> Result<Newest> {
    let ids = rows.iter().filter_map(|found| Some(&*found.trend.as_ref()?.external_id));
    let ids: Vec<&str> = ids.filter(|id| known.contains_key(*id)).collect();
    if ids.is_empty() {
        return Ok(Newest::new());
    }
    Ok(Trend::collected(conn, &ids)?.into_iter().collect())
}

fn without_counts<'a>(video: &'a NewDiscoveredVideo<'_>) -> NewDiscoveredVideo<'a> {
    NewDiscoveredVideo { view_count: None, like_count: None, comment_count: None, ..video.clone() }
}
