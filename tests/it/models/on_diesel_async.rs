//! Tests of the models on diesel-async's own connection, which knows nothing of viraldb.

use diesel_async::{AsyncConnection, AsyncPgConnection, RunQueryDsl};
use serde_json::json;
use viraldb::Json;
use viraldb::diesel::{self, ExpressionMethods, HasQuery, QueryDsl, SelectableHelper};
use viraldb::generation::{NewTrend, Platform, Trend};
use viraldb::republishing::{Channel, JobStatus, Video, VideoProcessingJob};
use viraldb::schema::{channels, trends, video_processing_jobs, videos};

use crate::make;
use crate::support::Scratch;

#[tokio::test]
async fn models_load_and_insert_on_a_diesel_async_connection() {
    let t = Scratch::postgres();
    let (channel, video, job) = t
        .db()
        .write(|c| {
            let job = make::video_job(c).insert(c)?;
            Ok((Channel::find(c, job.channel_id)?, Video::find(c, job.video_id)?, job))
        })
        .unwrap();

    let mut conn = AsyncPgConnection::establish(&t.url).await.unwrap();
    // Columns with UUIDs, JSONB, timestamps, booleans and enum words, and conditions on them.
    let loaded: Vec<Channel> =
        Channel::query().filter(channels::created_at.ge(channel.created_at)).load(&mut conn).await.unwrap();
    assert_eq!(loaded, std::slice::from_ref(&channel));
    let loaded = Video::query().filter(videos::channel_id.eq(channel.id)).first(&mut conn).await.unwrap();
    assert_eq!(loaded, video);
    let queued = video_processing_jobs::status.eq(JobStatus::Queued);
    let loaded: Vec<VideoProcessingJob> =
        VideoProcessingJob::query().filter(queued).load(&mut conn).await.unwrap();
    assert_eq!(loaded, [job]);

    let new = NewTrend {
        hashtags: Some(Json(json!(["a", "b"]))),
        views: Some(7),
        ..NewTrend::new(Platform::Tiktok, "t1")
    };
    let trend: Trend = diesel::insert_into(trends::table)
        .values(&new)
        .returning(Trend::as_returning())
        .get_result(&mut conn)
        .await
        .unwrap();
    assert_eq!((trend.platform, trend.hashtags.clone()), (Platform::Tiktok, Some(Json(json!(["a", "b"])))));
    let new = make::channel();
    let inserted: Channel = diesel::insert_into(channels::table)
        .values(&new)
        .returning(Channel::as_returning())
        .get_result(&mut conn)
        .await
        .unwrap();
    assert_eq!((inserted.id, &inserted.posting_schedule), (new.id, &new.posting_schedule));
    // viraldb reads the rows that this connection wrote.
    let found =
        t.db().read(|c| Ok((Trend::find_by_external_id(c, "t1")?, Channel::find(c, new.id)?))).unwrap();
    assert_eq!(found, (trend, inserted));
}
