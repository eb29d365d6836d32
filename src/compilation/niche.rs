//! The niches of the discovered videos.

use diesel::prelude::*;
use diesel::sql_types::BigInt;

use crate::db::on_backend;
use crate::error::ResultExt;
use crate::types::sql::Text;
use crate::{DbConnection, Result};

#[derive(QueryableByName)]
struct Niche {
    #[diesel(sql_type = Text)]
    niche: String,
}

/// Returns up to `limit` niches that have discovered videos, ordered by name.
///
/// The query reads one index entry for each niche, however many videos there are.
///
/// # Errors
/// Only [errors of the database](crate::Error#errors-of-the-database).
///
/// ```
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// assert!(db.read(|c| viraldb::compilation::niches(c, 20))?.is_empty());
/// # Ok::<(), viraldb::Error>(())
/// ```
pub fn niches(conn: &mut DbConnection, limit: i64) -> Result<Vec<String>> {
    const FIRST: &str = "SELECT niche FROM discovered_videos ORDER BY niche LIMIT 1";
    const NEXT: &str = "SELECT video.niche FROM discovered_videos AS video WHERE video.niche > known.niche ORDER BY video.niche LIMIT 1";
    let sql = |limit: &str| {
        format!(
            "WITH RECURSIVE known (niche) AS (SELECT ({FIRST}) UNION ALL \
                 SELECT ({NEXT}) FROM known WHERE known.niche IS NOT NULL) \
             SELECT niche FROM known WHERE niche IS NOT NULL LIMIT {limit}"
        )
    };
    let found: Vec<Niche> = on_backend!(conn,
        sqlite => |c| diesel::sql_query(sql("?")).bind::<BigInt, _>(limit).load(c),
        postgres => |c| diesel::sql_query(sql("$1")).bind::<BigInt, _>(limit).load(c))
    .of("discovered_videos", "")?;
    Ok(found.into_iter().map(|found| found.niche).collect())
}
