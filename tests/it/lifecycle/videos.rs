//! Tests of videos on their way through download, transformation and publication.

use serde_json::Value;
use viraldb::republishing::*;

use super::*;
use crate::support::both;

fn video(db: &Database) -> VideoId {
    db.write(|c| make::video(c).insert(c)).unwrap().id
}

fn history(video: &Video) -> Vec<(String, String, String)> {
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
    video
        .processing_history
        .0
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (text(e, "field"), text(e, "from"), text(e, "to")))
        .collect()
}

both! {
    fn statuses_move_forward_fail_or_return_to_pending(t) {
        let db = t.db();
        let order = DownloadStatus::ALL;
        for (from_place, from) in order.iter().enumerate() {
            for (to_place, to) in order.iter().enumerate() {
                let id = db.write(|c| NewVideo { download_status: Some(*from), ..make::video(c) }.insert(c)).unwrap().id;
                let result = db.write(|c| Video::move_to(c, id, *to));
                let legal = match (*from, *to) {
                    (DownloadStatus::Failed, to) => to == DownloadStatus::Pending,
                    _ => to_place > from_place,
                };
                match result {
                    Ok(video) => {
                        assert!(legal, "{from} to {to}");
                        assert_eq!(history(&video), [("download_status".into(), from.to_string(), to.to_string())]);
                    }
                    error => {
                        assert!(!legal, "{from} to {to}");
                        assert_invalid(error, &[from.as_str(), to.as_str(), "download_status"]);
                        assert_eq!(history(&db.read(|c| Video::find(c, id)).unwrap()), []);
                    }
                }
            }
        }
        assert!(matches!(db.write(|c| Video::move_to(c, VideoId::default(), DownloadStatus::Downloading)), Err(Error::NotFound { .. })));
    }

    fn clock_set_back_never_yields_a_negative_duration(t) {
        let db = t.db();
        let id = video(&db);
        let go = |to: VideoMove| db.write(|c| Video::move_to(c, id, to)).unwrap();
        go(DownloadStatus::Downloaded.into());
        go(TransformationStatus::Processing.into());
        let ahead = VideoChanges { processing_started_at: Some(Some(Timestamp::now() + std::time::Duration::from_secs(3600))), ..Default::default() };
        db.write(|c| ahead.update(c, id)).unwrap();
        assert_eq!(go(TransformationStatus::Transformed.into()).processing_duration, Some(0));
    }

    fn each_move_is_recorded_in_the_history_and_sets_its_times(t) {
        let db = t.db();
        let id = video(&db);
        let before = Timestamp::now();
        let go = |to: VideoMove| db.write(|c| Video::move_to(c, id, to)).unwrap();
        go(DownloadStatus::Downloading.into());
        go(DownloadStatus::Downloaded.into());
        let processing = go(TransformationStatus::Processing.into());
        assert!(processing.processing_started_at >= Some(before) && processing.processing_completed_at.is_none());
        let failed = go(TransformationStatus::Failed.into());
        assert!(failed.processing_completed_at.is_some());
        assert_eq!((failed.processing_duration, failed.status), (Some(0), VideoStatus::Failed));
        let again = db.write(|c| Video::retry(c, id)).unwrap();
        assert_eq!((again.transformation_status, again.processing_started_at, again.processing_completed_at, again.processing_duration), (TransformationStatus::Pending, None, None, None));
        go(TransformationStatus::Processing.into());
        go(TransformationStatus::Transformed.into());
        assert_invalid(db.write(|c| Video::move_to(c, id, PublicationStatus::Scheduled)), &["has no publication time"]);
        let scheduled = db.write(|c| Video::schedule(c, id, at(60))).unwrap();
        assert_eq!((scheduled.publication_status, scheduled.scheduled_publication_at), (PublicationStatus::Scheduled, Some(at(60))));
        let later = db.write(|c| Video::schedule(c, id, at(90))).unwrap();
        assert_eq!((later.scheduled_publication_at, history(&later).len()), (Some(at(90)), history(&scheduled).len()));
        go(PublicationStatus::Publishing.into());
        let published = go(PublicationStatus::Published.into());
        assert!(published.published_at >= Some(before));
        assert_eq!(published.status, VideoStatus::Published);
        assert_invalid(db.write(|c| Video::schedule(c, id, at(99))), &["published", "scheduled"]);
        assert_eq!(db.read(|c| Video::find(c, id)).unwrap(), published, "the video is unchanged");
        let taken_down = db.write(|c| { Video::move_to(c, id, PublicationStatus::Failed)?; Video::move_to(c, id, PublicationStatus::Pending) });
        assert_eq!(taken_down.unwrap().published_at, None);

        let steps: Vec<String> = history(&published).into_iter().map(|(field, from, to)| format!("{field} {from} {to}")).collect();
        assert_eq!(steps, [
            "download_status pending downloading",
            "download_status downloading downloaded",
            "transformation_status pending processing",
            "transformation_status processing failed",
            "transformation_status failed pending",
            "transformation_status pending processing",
            "transformation_status processing transformed",
            "publication_status pending scheduled",
            "publication_status scheduled publishing",
            "publication_status publishing published",
        ]);
        let times: Vec<Timestamp> = published.processing_history.0.as_array().unwrap().iter().map(|entry| entry["at"].as_str().unwrap().parse().unwrap()).collect();
        assert!(times.is_sorted() && times[0] >= before);
        assert!(published.updated_at >= times[9]);
    }

    fn retry_returns_failed_statuses_to_pending(t) {
        let db = t.db();
        let id = video(&db);
        assert_invalid(db.write(|c| Video::retry(c, id)), &["only a failed video can be retried"]);
        db.write(|c| {
            Video::schedule(c, id, at(5))?;
            Video::move_to(c, id, DownloadStatus::Failed)?;
            Video::move_to(c, id, PublicationStatus::Failed)
        })
        .unwrap();
        let again = db.write(|c| Video::retry(c, id)).unwrap();
        assert_eq!((again.download_status, again.publication_status, again.status), (DownloadStatus::Pending, PublicationStatus::Pending, VideoStatus::Pending));
        assert_eq!(history(&again).len(), 5);
        let scheduled = db.write(|c| Video::move_to(c, id, PublicationStatus::Scheduled)).unwrap();
        assert_eq!(scheduled.scheduled_publication_at, Some(at(5)), "the scheduled time is kept");
    }

    fn due_returns_scheduled_videos_in_order_of_time(t) {
        let db = t.db();
        let ids: Vec<VideoId> = [30, 10, 20, 40].into_iter().map(|seconds| {
            let id = video(&db);
            db.write(|c| Video::schedule(c, id, at(seconds))).unwrap();
            id
        }).collect();
        db.write(|c| Video::move_to(c, ids[2], PublicationStatus::Publishing)).unwrap();
        let due: Vec<VideoId> = db.read(|c| Video::due(c, at(30), 9)).unwrap().iter().map(|video| video.id).collect();
        assert_eq!(due, [ids[1], ids[0]]);
        assert_eq!(db.read(|c| Video::due(c, at(30), 1)).unwrap().len(), 1);
        assert_eq!(db.read(|c| Video::due(c, at(9), 9)).unwrap(), []);
    }

    fn concurrent_publishers_let_exactly_one_win(t) {
        let (one, other) = (t.db(), t.db());
        for _ in 0..5 {
            let id = video(&one);
            one.write(|c| Video::schedule(c, id, at(0))).unwrap();
            let took = std::thread::scope(|s| {
                let threads = [&one, &other, &one, &other].map(|db| s.spawn(move || db.write(|c| Video::move_to(c, id, PublicationStatus::Publishing)).is_ok()));
                threads.into_iter().filter_map(|thread| thread.join().unwrap().then_some(())).count()
            });
            assert_eq!(took, 1);
            assert_eq!(history(&one.read(|c| Video::find(c, id)).unwrap()).len(), 2);
        }
    }

    fn history_written_by_another_program_is_kept(t) {
        let db = t.db();
        let id = db.write(|c| NewVideo { processing_history: Some(viraldb::Json(serde_json::json!({"note": 1}))), ..make::video(c) }.insert(c)).unwrap().id;
        let video = db.write(|c| Video::move_to(c, id, DownloadStatus::Downloading)).unwrap();
        let entries = video.processing_history.0.as_array().unwrap();
        assert_eq!((entries.len(), &entries[0]["note"], &entries[1]["to"]), (2, &1.into(), &"downloading".into()));
    }
}
