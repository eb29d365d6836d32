//! Stores what the rows of a batch become.

use super::Report;
use super::found::Found;
use super::source::Source;
use crate::compilation::{Analytics, DiscoveredVideo, KnownVideos, NewAnalytics, NewDiscoveredVideo, Newest};
use crate::generation::NewTrend;
use crate::secrets::{self, Keyring};
use crate::{DbConnection, Result, Upserted};

/// What one batch changed.
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

/// Stores rows within the transaction that is open, which has to be rolled back if this fails.
pub(super) fn store(conn: &mut DbConnection, source: &Source, rows: &[Found]) -> Result<Stored> {
    if let Source::Jsonl(target) = source {
        let documents: Vec<_> = rows.iter().filter_map(|found| found.document.as_ref()).collect();
        return Ok(Stored { rows: target.store(conn, &documents)?, ..Stored::default() });
    }
    let mut stored = Stored::default();
    let newest = newest(conn, rows)?;
    let known = known(conn, rows)?;
    let is_old = |found: &&Found| known.as_ref().is_some_and(|known| is_older(found, known, &newest));
    let old: Vec<NewDiscoveredVideo<'_>> =
        rows.iter().filter(is_old).filter_map(|found| found.video.as_ref()).map(without_counts).collect();
    let mut old = old.iter();
    let videos: Vec<&NewDiscoveredVideo<'_>> = rows
        .iter()
        .filter_map(|found| {
            let video = found.video.as_ref()?;
            if is_old(&found) { old.next() } else { Some(video) }
        })
        .collect();
    if !videos.is_empty() {
        stored.rows = NewDiscoveredVideo::put_many(conn, videos.into_iter(), known.as_ref())?;
    }
    let snapshots: Vec<_> = rows.iter().filter_map(|found| found.snapshot.as_ref()).collect();
    if !snapshots.is_empty() {
        stored.snapshots = NewAnalytics::put_new_many(conn, snapshots.into_iter(), &newest)?;
    }
    let trends: Vec<_> = rows.iter().filter_map(|found| found.trend.as_deref()).collect();
    if !trends.is_empty() {
        stored.trends = NewTrend::put_many(conn, trends.into_iter())?;
    }
    Ok(stored)
}

/// When the videos of the snapshots were last measured.
fn newest(conn: &mut DbConnection, rows: &[Found]) -> Result<Newest> {
    let ids = rows.iter().filter_map(|found| Some(&*found.snapshot.as_ref()?.youtube_video_id));
    Analytics::newest_of(conn, &ids.collect::<Vec<_>>())
}

/// What is known of the videos, if there is a snapshot of one.
fn known(conn: &mut DbConnection, rows: &[Found]) -> Result<Option<KnownVideos>> {
    if rows.iter().all(|found| found.snapshot.is_none()) {
        return Ok(None);
    }
    let ids = rows.iter().filter_map(|found| Some(&*found.video.as_ref()?.video_id));
    DiscoveredVideo::known(conn, &ids.collect::<Vec<_>>()).map(Some)
}

/// Whether the counts of a row were measured before what the database knows of its video, or are known already: an old
/// file adds snapshots, it does not set the video back.
fn is_older(found: &Found, known: &KnownVideos, newest: &Newest) -> bool {
    let (Some(video), Some(snapshot)) = (&found.video, &found.snapshot) else { return false };
    let at = snapshot.measured_at;
    known.get(&*video.video_id).is_some_and(|known| at < Some(known.discovered_at))
        || newest.get(&*video.video_id).is_some_and(|newest| at <= Some(*newest))
}

fn without_counts<'a>(video: &'a NewDiscoveredVideo<'_>) -> NewDiscoveredVideo<'a> {
    NewDiscoveredVideo { view_count: None, like_count: None, comment_count: None, ..video.clone() }
}
