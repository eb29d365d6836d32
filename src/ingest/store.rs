//! Stores what the rows of a batch become.

use std::collections::HashMap;

use super::Report;
use super::found::Found;
use super::source::Source;
use crate::compilation::{Analytics, DiscoveredVideo, NewAnalytics, NewDiscoveredVideo};
use crate::generation::NewTrend;
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
    if let Some(target) = source.target() {
        let documents: Vec<_> = rows.iter().filter_map(|found| found.document.clone()).collect();
        return Ok(Stored { rows: target.store(conn, &documents)?, ..Stored::default() });
    }
    if source.table() == "analytics" {
        let snapshots: Vec<_> = rows.iter().filter_map(|found| found.snapshot.clone()).collect();
        let new = NewAnalytics::insert_new_many(conn, &snapshots)?;
        let rows = Upserted { new, updated: 0, unchanged: snapshots.len() - new };
        return Ok(Stored { rows, snapshots: new, ..Stored::default() });
    }
    leave_newer_counts(conn, rows)?;
    let mut stored = Stored::default();
    let videos: Vec<_> = rows.iter_mut().filter_map(|found| found.video.clone()).collect();
    stored.rows = NewDiscoveredVideo::insert_or_update_many(conn, &videos)?;
    let snapshots: Vec<_> = rows.iter().filter_map(|found| found.snapshot.clone()).collect();
    if !snapshots.is_empty() {
        stored.snapshots = NewAnalytics::insert_new_many(conn, &snapshots)?;
    }
    let trends: Vec<_> = rows.iter().filter_map(|found| found.trend.clone()).collect();
    if !trends.is_empty() {
        stored.trends = NewTrend::insert_or_update_many(conn, &trends)?;
    }
    Ok(stored)
}

/// Takes the counts out of rows that were measured before what the database knows of their video, or are
/// known already: an old file adds snapshots, it does not set the video back.
pub(super) fn leave_newer_counts(conn: &mut DbConnection, rows: &mut [Found]) -> Result<()> {
    let ids: Vec<&str> =
        rows.iter().filter_map(|found| found.snapshot.as_ref().map(|s| &*s.youtube_video_id)).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let discovered: HashMap<String, Timestamp> =
        DiscoveredVideo::discovered(conn, &ids)?.into_iter().collect();
    let measured: HashMap<String, Timestamp> = Analytics::newest(conn, &ids)?.into_iter().collect();
    for found in rows {
        let (Some(video), Some(snapshot)) = (&mut found.video, &found.snapshot) else { continue };
        let at = snapshot.measured_at;
        if discovered.get(&*video.video_id).is_some_and(|seen| at < Some(*seen))
            || measured.get(&*video.video_id).is_some_and(|newest| at <= Some(*newest))
        {
            (video.view_count, video.like_count, video.comment_count) = (None, None, None);
        }
    }
    Ok(())
}
