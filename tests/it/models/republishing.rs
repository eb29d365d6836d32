//! Tests of the models of the republishing domain.

use serde_json::json;
use viraldb::republishing::*;
use viraldb::{ConfigValue, DbConnection, Json, Page, Timestamp};

use super::{Model, check_all_operations, conflict, each_change, invalid, model, not_found, orphan};
use crate::make::{self, at};
use crate::support::both;
use viraldb::types::LeaseToken;

model!("transformation_presets", TransformationPreset, NewTransformationPreset<'static>,
    TransformationPresetFilter, uuid TransformationPresetId, by created_at,
    TransformationPresetChanges { is_active: true });
model!("music", Music, NewMusic<'static>, MusicFilter, uuid MusicId, by created_at,
    MusicChanges { is_active: true });
model!("channels", Channel, NewChannel<'static>, ChannelFilter, uuid ChannelId, by created_at,
    ChannelChanges { is_active: true });
model!("videos", Video, NewVideo<'static>, VideoFilter, uuid VideoId, by created_at,
    VideoChanges { music_replaced: true });
model!("video_processing_jobs", VideoProcessingJob, NewVideoProcessingJob<'static>,
    VideoProcessingJobFilter, uuid VideoProcessingJobId, by queued_at,
    VideoProcessingJobChanges { priority: 1 });
model!("channel_statistics", ChannelStatistics, NewChannelStatistics, ChannelStatisticsFilter,
    uuid ChannelStatisticsId, by timestamp, ChannelStatisticsChanges { view_count: 1 });
model!("video_statistics", VideoStatistics, NewVideoStatistics, VideoStatisticsFilter,
    uuid VideoStatisticsId, by timestamp, VideoStatisticsChanges { view_count: 1 });
model!(
    "system_configuration",
    SystemConfiguration,
    NewSystemConfiguration<'static>,
    SystemConfigurationFilter,
    SystemConfigurationChanges { encrypted: true }
);

/// Gives pairs of sort positions the same timestamp, so that the key has to break the tie.
fn tied(place: i64) -> Option<Timestamp> {
    Some(at(place / 2))
}

both! {
    fn transformation_presets_support_all_operations(t) {
        let db = t.db();
        let filter = TransformationPresetFilter { is_active: Some(false) };
        let fits = |_: &mut DbConnection, place| NewTransformationPreset {
            is_active: Some(false), created_at: tied(place), ..make::preset()
        };
        let missing = TransformationPresetId::default();
        check_all_operations::<TransformationPreset>(&db, missing, &filter, fits, |_| make::preset());

        assert_eq!(db.read(TransformationPreset::default_preset).unwrap(), None);
        assert!(db.read(TransformationPreset::active).unwrap().is_empty());
        let named = |name| NewTransformationPreset { name, ..make::preset() };
        let rows = [named("b".into()), named("a".into()), named("c".into()), named("a".into())];
        db.write(|c| NewTransformationPreset::insert_many(c, &rows)).unwrap();
        let active = db.read(TransformationPreset::active).unwrap();
        let ids: Vec<_> = active.iter().map(|preset| preset.id).collect();
        assert_eq!(ids, [rows[1].id, rows[3].id, rows[0].id, rows[2].id]);

        let default = NewTransformationPreset { is_default: Some(true), ..make::preset() };
        let default = db.write(|c| default.insert(c)).unwrap();
        assert_eq!(db.read(TransformationPreset::default_preset).unwrap(), Some(default.clone()));
        let second = NewTransformationPreset { is_default: Some(true), ..make::preset() };
        let by = "transformation_presets_is_default_key";
        conflict(db.write(|c| second.insert(c)), "transformation_presets", by);
        let chosen = TransformationPresetChanges { is_default: Some(true), ..Default::default() };
        conflict(db.write(|c| chosen.update(c, ids[0])), "transformation_presets", by);
        db.write(|c| {
            TransformationPresetChanges { is_default: Some(false), ..Default::default() }.update(c, default.id)?;
            chosen.update(c, ids[0])
        })
        .unwrap();
        assert_eq!(db.read(TransformationPreset::default_preset).unwrap().unwrap().id, ids[0]);
        let chosen = db.write(|c| TransformationPreset::set_default(c, default.id)).unwrap();
        assert!(chosen.is_default && chosen.updated_at > default.updated_at);
        assert!(!db.read(|c| TransformationPreset::find(c, ids[0])).unwrap().is_default);
        assert_eq!(db.write(|c| TransformationPreset::set_default(c, default.id)).unwrap().id, default.id);
        let result = db.session().map(|mut c| TransformationPreset::set_default(&mut c, missing)).unwrap();
        assert!(matches!(result, Err(viraldb::Error::NotFound { .. })));
        assert_eq!(db.read(TransformationPreset::default_preset).unwrap().map(|preset| preset.id), Some(default.id));
    }

    fn transformation_preset_changes_update_one_column_each(t) {
        each_change!(t.db(),
            full |_| NewTransformationPreset {
                description: Some("d".into()), is_default: Some(true), is_active: Some(false), created_at: Some(at(1)),
                updated_at: Some(at(2)), ..make::preset()
            },
            TransformationPreset by |row| row.id, TransformationPresetChanges, moves updated_at,
            set { name: "n", parameters: Json(json!({"speed": 2})), is_default: false, is_active: true }
            null { description: "e" }
        );
    }

    fn music_supports_all_operations(t) {
        let db = t.db();
        let filter = MusicFilter { is_active: Some(false) };
        let fits = |_: &mut DbConnection, place| NewMusic {
            is_active: Some(false), created_at: tied(place), ..make::music()
        };
        check_all_operations::<Music>(&db, MusicId::default(), &filter, fits, |_| make::music());

        assert!(db.read(Music::active).unwrap().is_empty());
        let track = |name, usage_count| NewMusic { name, usage_count, ..make::music() };
        let rows = [
            track("often".into(), Some(9)), track("b".into(), None), track("a".into(), None), track("once".into(), Some(1)),
        ];
        db.write(|c| NewMusic::insert_many(c, &rows)).unwrap();
        let active: Vec<_> = db.read(Music::active).unwrap().into_iter().map(|track| track.name).collect();
        assert_eq!(active, ["a", "b", "once", "often"]);

        let known = NewMusic { spotify_track_id: Some("s".into()), ..make::music() };
        db.write(|c| known.insert(c)).unwrap();
        let again = NewMusic { spotify_track_id: Some("s".into()), ..make::music() };
        conflict(db.write(|c| again.insert(c)), "music", "music_spotify_track_id_key");
    }

    fn music_changes_update_one_column_each(t) {
        each_change!(t.db(),
            full |_| NewMusic {
                artist: Some("a".into()), spotify_track_id: Some("s".into()), spotify_track_url: Some("u".into()),
                file_path: Some("f.mp3".into()), file_size: Some(3_000_000_000), duration: Some(180),
                metadata: Some(Json(json!({"bpm": 120}))), usage_count: Some(3), is_active: Some(false),
                created_at: Some(at(1)), updated_at: Some(at(2)), ..make::music()
            },
            Music by |row| row.id, MusicChanges, moves updated_at,
            set { name: "n", usage_count: 4, is_active: true }
            null {
                artist: "b", spotify_track_id: "t", spotify_track_url: "v", file_path: "g.mp3",
                file_size: 4_000_000_000_i64, duration: 1, metadata: Json(json!([])),
            }
        );
    }

    fn music_is_updated_by_its_spotify_track_id(t) {
        let db = t.db();
        let new = NewMusic { spotify_track_id: Some("s".into()), artist: Some("a".into()), duration: Some(9), ..make::music() };
        let before = db.write(|c| new.insert_or_update(c)).unwrap();
        let again = NewMusic { name: "New".into(), spotify_track_id: Some("s".into()), duration: Some(8), ..make::music() };
        assert_ne!(again.id, new.id);
        let after = db.write(|c| again.insert_or_update(c)).unwrap();
        assert!(after.updated_at > before.updated_at);
        assert_eq!(after, make::changed(&before, |row| { row.name = "New".into(); row.duration = Some(8); row.updated_at = after.updated_at; }));
        // Without a Spotify track id, each call inserts a new row.
        db.write(|c| make::music().insert_or_update(c)).unwrap();
        db.write(|c| make::music().insert_or_update(c)).unwrap();
        assert_eq!(db.read(|c| Music::list(c, &MusicFilter::default(), &Page::first(9))).unwrap().len(), 3);
    }

    fn channels_support_all_operations(t) {
        let db = t.db();
        let filter = ChannelFilter { is_active: Some(true) };
        let fits = |_: &mut DbConnection, place| NewChannel {
            is_active: Some(true), created_at: tied(place), ..make::channel()
        };
        check_all_operations::<Channel>(&db, ChannelId::default(), &filter, fits, |_| make::channel());

        let new = make::channel();
        let row = db.write(|c| new.insert(c)).unwrap();
        let found = db.read(|c| Channel::find_by_youtube_channel_id(c, &new.youtube_channel_id));
        assert_eq!(found.unwrap(), row);
        not_found(db.read(|c| Channel::find_by_youtube_channel_id(c, "no")), "channels", "no");
        let again = NewChannel { id: ChannelId::default(), ..new };
        conflict(db.write(|c| again.insert(c)), "channels", "channels_youtube_channel_id_key");
        let lost = Some(TransformationPresetId::default());
        orphan::<Channel>(&db, |_| NewChannel { effect_preset_id: lost, ..make::channel() });
    }

    fn channel_changes_update_one_column_each(t) {
        let db = t.db();
        let other_preset = db.write(|c| Ok(make::preset_id(c))).unwrap();
        each_change!(db,
            full |c| NewChannel {
                is_active: Some(true), settings: Some(Json(json!({"niche": "x"}))),
                effect_preset_id: Some(make::preset_id(c)), github_repo_url: Some("g".into()),
                github_secret_key_encrypted: Some("gAAAA".into()), phase2_enabled: Some(true),
                created_at: Some(at(1)), updated_at: Some(at(2)), last_publication_at: Some(at(3)), ..make::channel()
            },
            Channel by |row| row.id, ChannelChanges, moves updated_at,
            set {
                name: "n", youtube_channel_id: "y", youtube_channel_url: "u", is_active: false,
                api_credentials_encrypted: "gBBBB", posting_schedule: Json(json!([8])),
                content_filters: Json(json!({"min": 1})), metadata_template: Json(json!("t")),
                settings: Json(json!({})), phase2_enabled: false,
            }
            null {
                effect_preset_id: other_preset, github_repo_url: "h", github_secret_key_encrypted: "gBBBB",
                last_publication_at: at(9),
            }
        );
    }

    fn channels_are_updated_by_their_youtube_channel_id(t) {
        let db = t.db();
        let new = NewChannel { is_active: Some(true), github_repo_url: Some("g".into()), ..make::channel() };
        let before = db.write(|c| new.insert_or_update(c)).unwrap();
        let again = NewChannel {
            name: "New".into(), youtube_channel_id: new.youtube_channel_id.clone(), phase2_enabled: Some(true),
            ..make::channel()
        };
        assert_ne!(again.id, new.id);
        let after = db.write(|c| again.insert_or_update(c)).unwrap();
        assert!(after.updated_at > before.updated_at);
        let changed = make::changed(&before, |row| { row.name = "New".into(); row.phase2_enabled = true; row.updated_at = after.updated_at; });
        assert_eq!(after, changed);
    }

    fn videos_support_all_operations(t) {
        let db = t.db();
        let filter = VideoFilter {
            channel_id: Some(db.write(|c| Ok(make::channel_id(c))).unwrap()),
            download_status: Some(DownloadStatus::Downloaded),
            transformation_status: Some(TransformationStatus::Transformed),
            publication_status: Some(PublicationStatus::Scheduled),
            status: Some(VideoStatus::Scheduled),
        };
        let fits = |c: &mut DbConnection, place| NewVideo {
            channel_id: filter.channel_id.unwrap(),
            download_status: Some(DownloadStatus::Downloaded),
            transformation_status: Some(TransformationStatus::Transformed),
            publication_status: Some(PublicationStatus::Scheduled),
            created_at: tied(place),
            ..make::video(c)
        };
        check_all_operations::<Video>(&db, VideoId::default(), &filter, fits, make::video);
        let half = db
            .write(|c| {
                Ok([
                    NewVideo { channel_id: make::channel_id(c), ..fits(c, 0) },
                    NewVideo { download_status: Some(DownloadStatus::Downloading), ..fits(c, 0) },
                    NewVideo { transformation_status: Some(TransformationStatus::Processing), ..fits(c, 0) },
                    NewVideo { publication_status: Some(PublicationStatus::Publishing), ..fits(c, 0) },
                ])
            })
            .unwrap();
        db.write(|c| NewVideo::insert_many(c, &half)).unwrap();
        let count = |filter: &VideoFilter| db.read(|c| Video::list(c, filter, &Page::first(100))).unwrap().len();
        assert_eq!(count(&filter), 7);
        assert_eq!(count(&VideoFilter { status: Some(VideoStatus::Publishing), ..Default::default() }), 1);
        assert_eq!(count(&VideoFilter { status: Some(VideoStatus::Scheduled), ..Default::default() }), 10);

        orphan::<Video>(&db, |c| NewVideo { channel_id: ChannelId::default(), ..make::video(c) });
        orphan::<Video>(&db, |c| NewVideo { transformation_preset_id: Some(TransformationPresetId::default()), ..make::video(c) });
        orphan::<Video>(&db, |c| NewVideo { music_track_id: Some(MusicId::default()), ..make::video(c) });
    }

    fn video_changes_update_one_column_each(t) {
        let db = t.db();
        let other_channel = db.write(|c| Ok(make::channel_id(c))).unwrap();
        let other_preset = db.write(|c| Ok(make::preset_id(c))).unwrap();
        let other_music = db.write(|c| Ok(make::music_id(c))).unwrap();
        each_change!(db,
            full |c| NewVideo {
                source_creator: Some("c".into()), scraped_at: Some(at(1)),
                download_status: Some(DownloadStatus::Downloading), download_url: Some("d".into()),
                download_size: Some(3_000_000_000), download_duration: Some(60), download_resolution: Some("1080p".into()),
                transformation_status: Some(TransformationStatus::Processing),
                transformation_preset_id: Some(make::preset_id(c)), transformation_params: Some(Json(json!({"a": 1}))),
                transformed_url: Some("t".into()), transformed_size: Some(3_000_000_001),
                processing_started_at: Some(at(2)), processing_completed_at: Some(at(3)), processing_duration: Some(1),
                // At this stage no change below affects another column, so each one changes a single column.
                publication_status: Some(PublicationStatus::Publishing), scheduled_publication_at: Some(at(4)),
                published_at: Some(at(5)), youtube_video_id: Some("y".into()), youtube_video_url: Some("u".into()),
                final_title: Some("f".into()), final_description: Some("g".into()), final_tags: Some(Json(json!(["a"]))),
                music_replaced: Some(true), music_track_id: Some(make::music_id(c)), metadata: Some(Json(json!({"m": 1}))),
                processing_history: Some(Json(json!([1]))), created_at: Some(at(6)), updated_at: Some(at(7)),
                ..make::video(c)
            },
            Video by |row| row.id, VideoChanges, moves updated_at, follows status,
            set {
                channel_id: other_channel, source_url: "v", source_title: "w", source_platform: "youtube",
                scraped_at: at(8), download_status: DownloadStatus::Downloaded,
                transformation_status: TransformationStatus::Transformed,
                publication_status: PublicationStatus::Published, music_replaced: false,
                metadata: Json(json!({})), processing_history: Json(json!([])),
            }
            null {
                source_creator: "d", download_url: "e", download_size: 1, download_duration: 2,
                download_resolution: "720p", transformation_preset_id: other_preset,
                transformation_params: Json(json!([])), transformed_url: "t2", transformed_size: 2,
                processing_started_at: at(9), processing_completed_at: at(9), processing_duration: 2,
                scheduled_publication_at: at(9), published_at: at(9), youtube_video_id: "z", youtube_video_url: "v",
                final_title: "h", final_description: "i", final_tags: Json(json!({})), music_track_id: other_music,
            }
        );
    }

    fn video_processing_jobs_support_all_operations(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        let filter = VideoProcessingJobFilter {
            video_id: Some(video.id), channel_id: Some(video.channel_id), job_type: Some(JobType::Publish),
            status: Some(JobStatus::Retrying), since: Some(at(0)), until: Some(at(100)),
            error: None,
        };
        let fits = |c: &mut DbConnection, place| NewVideoProcessingJob {
            video_id: video.id, channel_id: video.channel_id, job_type: JobType::Publish,
            status: Some(JobStatus::Retrying), queued_at: tied(place), ..make::video_job(c)
        };
        check_all_operations::<VideoProcessingJob>(&db, VideoProcessingJobId::default(), &filter, fits, make::video_job);
        let half = db
            .write(|c| {
                Ok([
                    NewVideoProcessingJob { video_id: make::video_id(c), ..fits(c, 0) },
                    NewVideoProcessingJob { channel_id: make::channel_id(c), ..fits(c, 0) },
                    NewVideoProcessingJob { job_type: JobType::Scrape, ..fits(c, 0) },
                    NewVideoProcessingJob { status: Some(JobStatus::Queued), ..fits(c, 0) },
                    NewVideoProcessingJob { queued_at: Some(at(-1)), ..fits(c, 0) },
                    NewVideoProcessingJob { queued_at: Some(at(100)), ..fits(c, 0) },
                ])
            })
            .unwrap();
        db.write(|c| NewVideoProcessingJob::insert_many(c, &half)).unwrap();
        assert_eq!(db.read(|c| VideoProcessingJob::list(c, &filter, &Page::first(100))).unwrap().len(), 7);
        orphan::<VideoProcessingJob>(&db, |c| NewVideoProcessingJob { video_id: VideoId::default(), ..make::video_job(c) });
        orphan::<VideoProcessingJob>(&db, |c| NewVideoProcessingJob { channel_id: ChannelId::default(), ..make::video_job(c) });
        for bad in [
            NewVideoProcessingJob { attempts: Some(-1), ..half[0].clone() },
            NewVideoProcessingJob { max_attempts: Some(0), ..half[0].clone() },
        ] {
            let bad = NewVideoProcessingJob { id: VideoProcessingJobId::default(), ..bad };
            invalid(db.write(|c| bad.insert(c)), "video_processing_jobs", "is invalid");
        }
    }

    fn video_processing_job_changes_update_one_column_each(t) {
        let db = t.db();
        let other_video = db.write(|c| Ok(make::video_id(c))).unwrap();
        let other_channel = db.write(|c| Ok(make::channel_id(c))).unwrap();
        let other_token = LeaseToken::default();
        each_change!(db,
            full |c| NewVideoProcessingJob {
                status: Some(JobStatus::Processing), priority: Some(5), attempts: Some(1), max_attempts: Some(4),
                error_message: Some("e".into()), error_details: Some(Json(json!({"code": 1}))), queued_at: Some(at(1)),
                started_at: Some(at(2)), completed_at: Some(at(3)), duration: Some(1),
                github_workflow_run_id: Some("g".into()), run_at: Some(at(4)), lease_token: Some(LeaseToken::default()),
                leased_by: Some("w".into()), lease_expires_at: Some(at(5)), unique_key: Some("k".into()),
                payload: Some(Json(json!({"quality": "1080p"}))), progress: Some(0.5), progress_note: Some("half".into()),
                created_at: Some(at(6)), updated_at: Some(at(7)), ..make::video_job(c)
            },
            VideoProcessingJob by |row| row.id, VideoProcessingJobChanges, moves updated_at,
            set {
                video_id: other_video, channel_id: other_channel, job_type: JobType::MusicReplace,
                status: JobStatus::Failed, priority: -5, attempts: 0, max_attempts: 1, queued_at: at(8), run_at: at(9),
            }
            null {
                error_message: "f", error_details: Json(json!([])), started_at: at(9), completed_at: at(9), duration: 2,
                github_workflow_run_id: "h", lease_token: other_token, leased_by: "x", lease_expires_at: at(9),
                unique_key: "l", payload: Json(json!([1])), progress: 1.0, progress_note: "done",
            }
        );
    }

    fn queued_jobs_come_by_priority_then_age(t) {
        let db = t.db();
        let rows = db
            .write(|c| {
                let mut job = |priority, queued| NewVideoProcessingJob {
                    priority: Some(priority), queued_at: Some(at(queued)), ..make::video_job(c)
                };
                let rows = [job(0, 1), job(9, 3), job(9, 2), job(0, 0), job(-1, 0), job(9, 2), job(99, 0), job(99, 0)];
                let [a, b, c, d, e, f, other_type, other_status] = rows;
                let other_type = NewVideoProcessingJob { job_type: JobType::Publish, ..other_type };
                let other_status = NewVideoProcessingJob { status: Some(JobStatus::Retrying), ..other_status };
                Ok([a, b, c, d, e, f, other_type, other_status])
            })
            .unwrap();
        db.write(|c| NewVideoProcessingJob::insert_many(c, &rows)).unwrap();
        let queued = |limit| {
            let jobs = db.read(|c| VideoProcessingJob::queued(c, JobType::Download, limit)).unwrap();
            jobs.into_iter().map(|job| job.id).collect::<Vec<_>>()
        };
        assert_eq!(queued(100), [2, 5, 1, 3, 0, 4].map(|n: usize| rows[n].id));
        assert_eq!(queued(2), [rows[2].id, rows[5].id]);
    }

    fn unique_key_allows_one_unfinished_job(t) {
        let db = t.db();
        let insert = |status: JobStatus| {
            db.write(|c| {
                NewVideoProcessingJob { unique_key: Some("k".into()), status: Some(status), ..make::video_job(c) }.insert(c)
            })
        };
        let by = "video_processing_jobs_unique_key_key";
        insert(JobStatus::Completed).unwrap();
        insert(JobStatus::Failed).unwrap();
        insert(JobStatus::Failed).unwrap();
        for unfinished in [JobStatus::Queued, JobStatus::Processing, JobStatus::Retrying] {
            let first = insert(unfinished).unwrap();
            for second in [JobStatus::Queued, JobStatus::Processing, JobStatus::Retrying] {
                conflict(insert(second), "video_processing_jobs", by);
            }
            let finished = insert(JobStatus::Completed).unwrap();
            let again = VideoProcessingJobChanges { status: Some(JobStatus::Queued), ..Default::default() };
            conflict(db.write(|c| again.update(c, finished.id)), "video_processing_jobs", by);
            let done = VideoProcessingJobChanges { status: Some(JobStatus::Failed), ..Default::default() };
            db.write(|c| done.update(c, first.id)).unwrap();
        }
        // Jobs without a key never conflict.
        db.write(|c| make::video_job(c).insert(c)).unwrap();
        db.write(|c| make::video_job(c).insert(c)).unwrap();
    }

    fn channel_statistics_support_all_operations(t) {
        let db = t.db();
        let channel = db.write(|c| Ok(make::channel_id(c))).unwrap();
        let filter = ChannelStatisticsFilter { channel_id: Some(channel) };
        let fits = |c: &mut DbConnection, place| NewChannelStatistics {
            channel_id: channel, timestamp: tied(place), ..make::channel_statistics(c)
        };
        check_all_operations::<ChannelStatistics>(&db, ChannelStatisticsId::default(), &filter, fits, make::channel_statistics);
        let latest = db.read(|c| ChannelStatistics::latest(c, channel)).unwrap().unwrap();
        let newest = db.read(|c| ChannelStatistics::list(c, &filter, &Page::first(1))).unwrap();
        assert_eq!((&latest.timestamp, &latest), (&at(3), &newest[0]));
        assert_eq!(db.read(|c| ChannelStatistics::latest(c, ChannelId::default())).unwrap(), None);
        orphan::<ChannelStatistics>(&db, |c| NewChannelStatistics { channel_id: ChannelId::default(), ..make::channel_statistics(c) });
    }

    fn channel_statistics_changes_update_one_column_each(t) {
        let db = t.db();
        let other_channel = db.write(|c| Ok(make::channel_id(c))).unwrap();
        each_change!(db,
            full |c| NewChannelStatistics {
                subscriber_count: Some(3_000_000_000), view_count: Some(3_000_000_001), video_count: Some(1),
                total_views: Some(3_000_000_002), total_videos: Some(2), timestamp: Some(at(1)), created_at: Some(at(2)),
                ..make::channel_statistics(c)
            },
            ChannelStatistics by |row| row.id, ChannelStatisticsChanges,
            set {
                channel_id: other_channel, subscriber_count: 1, view_count: 2, video_count: 3, total_views: 4,
                total_videos: 5, timestamp: at(9),
            }
            null {}
        );
    }

    fn video_statistics_support_all_operations(t) {
        let db = t.db();
        let video = db.write(|c| Ok(make::video_id(c))).unwrap();
        let filter = VideoStatisticsFilter { video_id: Some(video) };
        let fits = |c: &mut DbConnection, place| NewVideoStatistics {
            video_id: video, timestamp: tied(place), ..make::video_statistics(c)
        };
        check_all_operations::<VideoStatistics>(&db, VideoStatisticsId::default(), &filter, fits, make::video_statistics);
        let latest = db.read(|c| VideoStatistics::latest(c, video)).unwrap().unwrap();
        let newest = db.read(|c| VideoStatistics::list(c, &filter, &Page::first(1))).unwrap();
        assert_eq!((&latest.timestamp, &latest), (&at(3), &newest[0]));
        assert_eq!(db.read(|c| VideoStatistics::latest(c, VideoId::default())).unwrap(), None);
        orphan::<VideoStatistics>(&db, |c| NewVideoStatistics { video_id: VideoId::default(), ..make::video_statistics(c) });
    }

    fn video_statistics_changes_update_one_column_each(t) {
        let db = t.db();
        let other_video = db.write(|c| Ok(make::video_id(c))).unwrap();
        each_change!(db,
            full |c| NewVideoStatistics {
                view_count: Some(3_000_000_000), like_count: Some(3_000_000_001), comment_count: Some(3_000_000_002),
                timestamp: Some(at(1)), created_at: Some(at(2)), ..make::video_statistics(c)
            },
            VideoStatistics by |row| row.id, VideoStatisticsChanges,
            set { video_id: other_video, view_count: 1, like_count: 2, comment_count: 3, timestamp: at(9) }
            null {}
        );
    }

    fn system_configuration_supports_all_operations(t) {
        let db = t.db();
        let make = |_: &mut DbConnection, place| NewSystemConfiguration {
            key: format!("key {place}").into(), value: ConfigValue(json!({"n": place})), ..make::setting()
        };
        let filter = SystemConfigurationFilter { encrypted: Some(false) };
        check_all_operations::<SystemConfiguration>(&db, "no".into(), &filter, make, |c| NewSystemConfiguration { encrypted: Some(true), ..make(c, 9) });
    }

    fn system_configuration_changes_update_one_column_each(t) {
        each_change!(t.db(),
            full |_| NewSystemConfiguration {
                key: "k".into(), value: ConfigValue(json!(1)), description: Some("d".into()), encrypted: Some(false),
                created_at: Some(at(1)), updated_at: Some(at(2)),
            },
            SystemConfiguration by |row| &row.key, SystemConfigurationChanges, moves updated_at,
            set { value: ConfigValue(json!({"a": [1]})), encrypted: true }
            null { description: "e" }
        );
    }

    fn settings_are_inserted_or_updated(t) {
        let db = t.db();
        let new = NewSystemConfiguration { value: ConfigValue(json!(1)), description: Some("d".into()), ..make::setting() };
        let before = db.write(|c| new.insert_or_update(c)).unwrap();
        let again = NewSystemConfiguration { value: ConfigValue(json!("two")), description: None, encrypted: Some(true), ..new };
        let after = db.write(|c| again.insert_or_update(c)).unwrap();
        assert!(after.updated_at > before.updated_at);
        let changed = make::changed(&before, |row| { row.value = ConfigValue(json!("two")); row.encrypted = true; row.updated_at = after.updated_at; });
        assert_eq!(after, changed);
    }
}
