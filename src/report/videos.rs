//! The most viewed, fastest and most growing videos.

use std::collections::HashMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double, Integer};
use serde::{Deserialize, Serialize};

use super::{Span, sql};
use crate::compilation::Analytics;
use crate::db::DbConnection;
use crate::error::Result;
use crate::types::sql::{Nullable, Text, Timestamptz};
use crate::types::{DiscoveredVideoId, Timestamp, portable};

/// Number of candidates for the largest growth, from each of the two other lists.
const CANDIDATES: i64 = 500;

portable! {
    /// The number by which a list of videos is sorted.
    pub enum TopBy {
        Views = "views",
        Velocity = "velocity",
        Growth = "growth",
    }
}

/// A video in a list of the top videos.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct TopVideo {
    /// Primary key.
    #[diesel(sql_type = BigInt)]
    pub id: DiscoveredVideoId,
    /// YouTube's id of the video.
    #[diesel(sql_type = Text)]
    pub video_id: String,
    /// Title.
    #[diesel(sql_type = Text)]
    pub title: String,
    /// Name of the channel.
    #[diesel(sql_type = Text)]
    pub channel_name: String,
    /// Niche.
    #[diesel(sql_type = Text)]
    pub niche: String,
    /// Number of views.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub view_count: Option<i64>,
    /// Views per hour since publication.
    #[diesel(sql_type = Nullable<Double>)]
    pub view_velocity: Option<f64>,
    /// Viral score.
    #[diesel(sql_type = Nullable<Double>)]
    pub viral_score: Option<f64>,
    /// When viraldb first stored the video.
    #[diesel(sql_type = Timestamptz)]
    pub discovered_at: Timestamp,
    /// By how much the views grew within the span. `None` if the video was not measured, and in other lists than growth.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub growth: Option<i64>,
}

/// Returns the top `limit` videos that were discovered within the span, in all niches or in one.
///
/// Only the newest 100,000 videos of the database are compared, so that the time does not grow with the table. For the growth,
/// only the 500 most viewed and the 500 fastest of them are, by the views of their samples at both ends of the span.
///
/// ```
/// use std::time::Duration;
/// use viraldb::compilation::NewDiscoveredVideo;
/// use viraldb::report::{self, Span, TopBy};
///
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// # db.write(|c| NewDiscoveredVideo { view_count: Some(7), ..NewDiscoveredVideo::new("3C66w5Z0ixs", "gaming") }.insert(c))?;
/// let span = Span::last(Duration::from_secs(30 * 86_400));
/// let videos = db.read(|c| report::top_videos(c, &span, Some("gaming"), TopBy::Views, 10))?;
/// assert_eq!(videos[0].video_id, "3C66w5Z0ixs");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn top_videos(
    conn: &mut DbConnection,
    span: &Span,
    niche: Option<&str>,
    by: TopBy,
    limit: i64,
) -> Result<Vec<TopVideo>> {
    match by {
        TopBy::Views => top(conn, span, niche, VIEWS, limit),
        TopBy::Velocity => top(conn, span, niche, VELOCITY, limit),
        TopBy::Growth => conn.snapshot(|conn| top_growth(conn, span, niche, limit)),
    }
}

const VIEWS: &str = "view_count";
const VELOCITY: &str = "view_velocity";

/// Number of videos that are compared.
const NEWEST: i64 = 100_000;

/// Returns the videos with the largest number in a column.
fn top(
    conn: &mut DbConnection,
    span: &Span,
    niche: Option<&str>,
    column: &str,
    limit: i64,
) -> Result<Vec<TopVideo>> {
    let within = sql::within(conn, span, "video.discovered_at");
    let of_niche = if niche.is_some() { " AND video.niche = $1" } else { "" };
    // Sort only the ids: the other columns are read for the rows of the list alone.
    let top = format!(
        "WITH best (id) AS (SELECT video.id FROM discovered_videos AS video \
            WHERE video.id >= coalesce((SELECT id FROM discovered_videos ORDER BY id DESC LIMIT 1 OFFSET {}), {}) AND {within}{of_niche} \
            AND video.{column} IS NOT NULL ORDER BY video.{column} DESC, video.id LIMIT {}) \
         SELECT video.id, video.video_id, video.title, video.channel_name, video.niche, video.view_count, \
         video.view_velocity, video.viral_score, video.discovered_at, CAST(NULL AS bigint) AS growth \
         FROM best JOIN discovered_videos AS video ON video.id = best.id ORDER BY video.{column} DESC, video.id",
        NEWEST - 1,
        -i64::MAX,
        limit.max(0),
    );
    sql::load(conn, &top, niche, "discovered_videos")
}

/// Returns the videos whose views grew most.
fn top_growth(
    conn: &mut DbConnection,
    span: &Span,
    niche: Option<&str>,
    limit: i64,
) -> Result<Vec<TopVideo>> {
    let mut candidates = top(conn, span, niche, VIEWS, CANDIDATES)?;
    candidates.extend(top(conn, span, niche, VELOCITY, CANDIDATES)?);
    candidates.sort_by_key(|video| video.id);
    candidates.dedup_by_key(|video| video.id);
    let ids: Vec<&str> = candidates.iter().map(|video| video.video_id.as_str()).collect();
    let growth: HashMap<String, i64> = Analytics::growth_of(conn, &ids, span.since, span.until)?
        .into_iter()
        .filter_map(|growth| Some((growth.of(|sample| sample.view_count)?, growth.last.youtube_video_id)))
        .map(|(grown, video)| (video, grown))
        .collect();
    for video in &mut candidates {
        video.growth = growth.get(&video.video_id).copied();
    }
    candidates.retain(|video| video.growth.is_some());
    candidates.sort_by_key(|video| (std::cmp::Reverse(video.growth), video.id));
    candidates.truncate(usize::try_from(limit).unwrap_or_default());
    Ok(candidates)
}

/// The number of videos of one age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VideoAge {
    /// Minimum age in days, counted from the discovery.
    pub from_days: u32,
    /// Maximum age in days (exclusive), or `None` for the oldest.
    pub to_days: Option<u32>,
    /// Number of videos.
    pub videos: i64,
}

/// The limits between the ages, in days.
const AGES: [u32; 6] = [1, 3, 7, 30, 90, 365];

/// Returns the distribution of the ages of all videos, the youngest first: of all niches, or of one.
///
/// The statement reads the index on niche and discovery, and no rows.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn video_ages(conn: &mut DbConnection, niche: Option<&str>) -> Result<Vec<VideoAge>> {
    #[derive(QueryableByName)]
    struct Group {
        #[diesel(sql_type = Integer)]
        place: i32,
        #[diesel(sql_type = BigInt)]
        videos: i64,
    }
    let now = Timestamp::now();
    let places: Vec<String> = AGES
        .iter()
        .enumerate()
        .map(|(place, days)| {
            let edge = sql::edge(conn, now - Duration::from_secs(86_400 * u64::from(*days)));
            format!("WHEN discovered_at >= {edge} THEN {place}")
        })
        .collect();
    let ages = format!(
        "SELECT CASE {} ELSE {} END AS place, count(*) AS videos FROM discovered_videos {}{} GROUP BY 1",
        places.join(" "),
        AGES.len(),
        sql::by_index(conn, "idx_discovered_videos_niche"),
        if niche.is_some() { " WHERE niche = $1" } else { "" },
    );
    let groups: Vec<Group> = sql::load(conn, &ages, niche, "discovered_videos")?;
    let videos_of = |place: usize| {
        groups.iter().find(|group| usize::try_from(group.place) == Ok(place)).map_or(0, |group| group.videos)
    };
    Ok((0..=AGES.len())
        .map(|place| VideoAge {
            from_days: place.checked_sub(1).map_or(0, |before| AGES[before]),
            to_days: AGES.get(place).copied(),
            videos: videos_of(place),
        })
        .collect())
}
