//! The statement that inserts many jobs on PostgreSQL.

use std::borrow::Cow;

use diesel::pg::Pg;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, Query, QueryFragment, QueryId};
use diesel::sql_types::{Array, Untyped};

use crate::republishing::NewVideoProcessingJob;
use crate::types::sql::{Int4, Jsonb, Nullable, Text, Timestamptz, Uuid};
use crate::types::{ChannelId, Json, Timestamp, VideoId, VideoProcessingJobId};

/// Inserts jobs that set only the columns that a new job usually sets, with one array for each column. Jobs whose key is
/// taken are skipped.
///
/// A VALUES list would have a parameter for each value, which takes the server longer to parse than to insert.
pub(super) struct InsertMany<'a> {
    id: Vec<VideoProcessingJobId>,
    video_id: Vec<VideoId>,
    channel_id: Vec<ChannelId>,
    job_type: Vec<&'static str>,
    priority: Vec<Option<i32>>,
    max_attempts: Vec<Option<i32>>,
    run_at: Vec<Option<Timestamp>>,
    unique_key: Vec<Option<&'a str>>,
    payload: Vec<Option<&'a Json>>,
}

impl<'a> InsertMany<'a> {
    /// Returns the statement, or `None` if a job sets another column.
    pub(super) fn new(rows: &[&'a NewVideoProcessingJob<'_>]) -> Option<Self> {
        rows.iter().all(|row| is_usual(row)).then(|| Self {
            id: rows.iter().map(|row| row.id).collect(),
            video_id: rows.iter().map(|row| row.video_id).collect(),
            channel_id: rows.iter().map(|row| row.channel_id).collect(),
            job_type: rows.iter().map(|row| row.job_type.as_str()).collect(),
            priority: rows.iter().map(|row| row.priority).collect(),
            max_attempts: rows.iter().map(|row| row.max_attempts).collect(),
            run_at: rows.iter().map(|row| row.run_at).collect(),
            unique_key: rows.iter().map(|row| row.unique_key.as_deref()).collect(),
            payload: rows.iter().map(|row| row.payload.as_ref()).collect(),
        })
    }
}

/// Returns true if every other column has its default.
fn is_usual(row: &NewVideoProcessingJob<'_>) -> bool {
    // Name every column, so that the compiler reports a new one.
    let NewVideoProcessingJob {
        id: _,
        video_id: _,
        channel_id: _,
        job_type: _,
        priority: _,
        max_attempts: _,
        run_at: _,
        unique_key: _,
        payload: _,
        status,
        attempts,
        error_message,
        error_details,
        queued_at,
        started_at,
        completed_at,
        duration,
        github_workflow_run_id,
        lease_token,
        leased_by,
        lease_expires_at,
        created_at,
        updated_at,
        progress,
        progress_note,
    } = row;
    let texts = [error_message, github_workflow_run_id, leased_by, progress_note];
    let times = [queued_at, created_at, updated_at, started_at, completed_at, lease_expires_at];
    let numbers = [attempts, duration];
    status.is_none()
        && error_details.is_none()
        && lease_token.is_none()
        && progress.is_none()
        && texts.iter().all(|text: &&Option<Cow<'_, str>>| text.is_none())
        && times.iter().all(|time| time.is_none())
        && numbers.iter().all(|number| number.is_none())
}

impl Query for InsertMany<'_> {
    type SqlType = Untyped;
}

impl RunQueryDsl<PgConnection> for InsertMany<'_> {}

/// The text is always the same. The lifetime does not allow a static id, so Diesel finds the statement by its text.
impl QueryId for InsertMany<'_> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}

impl QueryFragment<Pg> for InsertMany<'_> {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // The defaults are those of the columns, which an INSERT of a SELECT cannot name.
        out.push_sql(
            "INSERT INTO video_processing_jobs \
             (id, video_id, channel_id, job_type, priority, max_attempts, run_at, unique_key, payload) \
             SELECT id, video_id, channel_id, job_type, coalesce(priority, 0), coalesce(max_attempts, 3), \
             coalesce(run_at, pg_catalog.now()), unique_key, payload FROM unnest(",
        );
        out.push_bind_param::<Array<Uuid>, _>(&self.id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Uuid>, _>(&self.video_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Uuid>, _>(&self.channel_id)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Text>, _>(&self.job_type)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Int4>>, _>(&self.priority)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Int4>>, _>(&self.max_attempts)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Timestamptz>>, _>(&self.run_at)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Text>>, _>(&self.unique_key)?;
        out.push_sql(", ");
        out.push_bind_param::<Array<Nullable<Jsonb>>, _>(&self.payload)?;
        out.push_sql(
            ") AS job (id, video_id, channel_id, job_type, priority, max_attempts, run_at, unique_key, payload) \
             ON CONFLICT DO NOTHING",
        );
        Ok(())
    }
}
