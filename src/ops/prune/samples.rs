//! Deletes samples that are not the last of their day or week.

use super::{PAGE, Prune, Pruned, Pruning, cascade};
use crate::compilation::Analytics;
use crate::db::Bulk;
use crate::republishing::{ChannelStatistics, VideoStatistics};
use crate::series::{Every, Thinning};
use crate::{Database, DbConnection, Result};

/// A table of samples.
pub(super) struct Samples {
    table: &'static str,
    ids: &'static str,
    /// Returns the ids of the rows to delete in the next step.
    next: fn(&mut DbConnection, &mut Thinning) -> Result<Vec<String>>,
    /// Counts the rows of all steps.
    all: fn(&mut DbConnection, &Thinning) -> Result<i64>,
}

const TABLES: [Samples; 3] = [
    Samples {
        table: "analytics",
        ids: "bigint",
        next: |conn, thinning| Ok(texts(Analytics::superfluous(conn, thinning)?)),
        all: Analytics::count_superfluous,
    },
    Samples {
        table: "channel_statistics",
        ids: "uuid",
        next: |conn, thinning| Ok(texts(ChannelStatistics::superfluous(conn, thinning)?)),
        all: ChannelStatistics::count_superfluous,
    },
    Samples {
        table: "video_statistics",
        ids: "uuid",
        next: |conn, thinning| Ok(texts(VideoStatistics::superfluous(conn, thinning)?)),
        all: VideoStatistics::count_superfluous,
    },
];

fn texts(ids: Vec<impl ToString>) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

impl Samples {
    pub(super) fn delete(
        db: &Database,
        bulk: &mut Bulk<'_>,
        prune: &Prune,
        pruned: &mut Pruned,
        told: &mut dyn FnMut(Pruning<'_>) -> Result<()>,
    ) -> Result<()> {
        for samples in &TABLES {
            pruned.add(samples.table, 0);
            for (before, every) in [(prune.daily_before, Every::Day), (prune.weekly_before, Every::Week)] {
                let mut thinning = Thinning::new(before, every, PAGE)?;
                while !thinning.is_done() {
                    let found = db.read_newest(|conn| (samples.next)(conn, &mut thinning))?;
                    let mut left = &*found;
                    while let Some(gone) = bulk.write_next(&mut left, prune.batch as usize, |conn, ids| {
                        cascade::delete_where(conn, samples.table, "id", samples.ids, ids, None)
                    })? {
                        pruned.add(samples.table, gone);
                        told(Pruning::Rows(pruned.rows()))?;
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn count(conn: &mut DbConnection, prune: &Prune, pruned: &mut Pruned) -> Result<()> {
        for samples in &TABLES {
            let mut count = |before, every| (samples.all)(conn, &Thinning::new(before, every, 1)?);
            // A sample that is not the last of its day is not the last of its week either. Subtract those counted twice.
            let both = prune.daily_before.min(prune.weekly_before);
            let rows = count(prune.daily_before, Every::Day)? + count(prune.weekly_before, Every::Week)?
                - count(both, Every::Day)?;
            pruned.add(samples.table, u64::try_from(rows).unwrap_or_default());
        }
        Ok(())
    }
}
