// @generated automatically by Diesel CLI.

diesel::table! {
    use crate::types::sql::*;

    /// Analytics: metrics of a YouTube video at one point in time.
    analytics (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// YouTube's id of the measured video.
        youtube_video_id -> Text,
        /// When the video was measured.
        measured_at -> Timestamptz,
        /// Views so far.
        view_count -> Nullable<Int8>,
        /// Likes so far.
        like_count -> Nullable<Int8>,
        /// Comments so far.
        comment_count -> Nullable<Int8>,
        /// Average view duration in seconds.
        average_view_duration_seconds -> Nullable<Float8>,
        /// Clicks per impression, from 0 to 1.
        click_through_rate -> Nullable<Float8>,
        /// Subscribers gained; negative if more were lost.
        subscriber_gain -> Nullable<Int4>,
        /// Estimated revenue in US dollars.
        estimated_revenue_usd -> Nullable<Float8>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Statistics of a channel at one point in time.
    channel_statistics (id) {
        /// Primary key. viraldb generates version 7 UUIDs.
        id -> Uuid,
        /// Channel that was measured.
        channel_id -> Uuid,
        /// Subscribers.
        subscriber_count -> Int8,
        /// Views of the channel, as YouTube counts them.
        view_count -> Int8,
        /// Videos on the channel, as YouTube counts them.
        video_count -> Int4,
        /// Views of the videos that the pipeline published.
        total_views -> Int8,
        /// Videos that the pipeline published.
        total_videos -> Int4,
        /// When the channel was measured.
        timestamp -> Timestamptz,
        /// When the row was created.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Channels that videos are published on.
    channels (id) {
        /// Primary key. viraldb generates version 7 UUIDs.
        id -> Uuid,
        /// Name of the channel.
        name -> Text,
        /// YouTube's id of the channel. Unique.
        youtube_channel_id -> Text,
        /// URL of the channel on YouTube.
        youtube_channel_url -> Text,
        /// Whether videos are published on the channel.
        is_active -> Bool,
        /// Encrypted API credentials, never the plaintext.
        api_credentials_encrypted -> Text,
        /// When videos are published.
        posting_schedule -> Jsonb,
        /// Which source videos are suitable.
        content_filters -> Jsonb,
        /// How titles, descriptions and tags are made.
        metadata_template -> Jsonb,
        /// Settings of this channel only.
        settings -> Jsonb,
        /// Preset for the videos of the channel.
        effect_preset_id -> Nullable<Uuid>,
        /// URL of the GitHub repository whose workflows process its videos.
        github_repo_url -> Nullable<Text>,
        /// Encrypted secret of the repository, never the plaintext.
        github_secret_key_encrypted -> Nullable<Text>,
        /// Whether transformation and publication are enabled.
        phase2_enabled -> Bool,
        /// When the row was created.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
        /// When a video was last published on the channel.
        last_publication_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Clips: pieces cut from discovered videos for a run.
    clips (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// Run that the clip belongs to.
        pipeline_run_id -> Int8,
        /// Video that the clip was cut from.
        discovered_video_id -> Int8,
        /// Rank in the run; 1 is the most viral.
        rank_position -> Int4,
        /// Start of the clip in the source video, in seconds.
        start_time_seconds -> Float8,
        /// End of the clip in the source video, in seconds.
        end_time_seconds -> Float8,
        /// Duration in seconds.
        clip_duration_seconds -> Float8,
        /// How the piece was chosen: most_replayed, transcript, audio_energy, scene_detection.
        extraction_method -> Nullable<Text>,
        /// Path of the clip file.
        clip_file_path -> Nullable<Text>,
        /// Risk of a Content ID claim.
        content_id_risk -> Text,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Settings that an operator changed at run time.
    config_overrides (key) {
        /// Name of the setting.
        key -> Text,
        /// Value of the setting, as text.
        value -> Text,
        /// When the setting was last changed.
        updated_at -> Timestamptz,
        /// Who last changed the setting.
        updated_by -> Text,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Videos discovered on a platform that can be cut into a compilation.
    discovered_videos (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// The platform's id of the video. Unique.
        video_id -> Text,
        /// Title on the platform.
        title -> Text,
        /// Name of the channel that published the video.
        channel_name -> Text,
        /// The platform's id of that channel.
        channel_id -> Text,
        /// URL of the video.
        url -> Text,
        /// The platform's category number; 20 is gaming on YouTube.
        category_id -> Nullable<Int4>,
        /// Duration in seconds.
        duration_seconds -> Nullable<Int4>,
        /// Views when last seen.
        view_count -> Nullable<Int8>,
        /// Likes when last seen.
        like_count -> Nullable<Int8>,
        /// Comments when last seen.
        comment_count -> Nullable<Int8>,
        /// Views per hour since publication, measured at discovery.
        view_velocity -> Nullable<Float8>,
        /// Score that the pipeline assigned; higher is better.
        viral_score -> Nullable<Float8>,
        /// Subject of the video, such as gaming.
        niche -> Text,
        /// Source of the video: youtube_trending, youtube_api, yt_dlp, reddit, …
        discovery_source -> Nullable<Text>,
        /// When the video was first seen.
        discovered_at -> Timestamptz,
        /// Whether the video was used: 0 pending, 1 used, 2 skipped, 3 rejected.
        processed -> Int4,
        /// Risk of a Content ID claim.
        content_id_risk -> Text,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Pipeline errors, kept until someone resolves them.
    error_log (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// Run in which the error happened.
        pipeline_run_id -> Nullable<Int8>,
        /// Module of the program in which the error happened.
        module -> Text,
        /// Kind of error, such as TimeoutError.
        error_type -> Text,
        /// Error message.
        error_message -> Text,
        /// Stack trace, if available.
        stack_trace -> Nullable<Text>,
        /// When the error happened.
        occurred_at -> Timestamptz,
        /// Whether the error is resolved.
        resolved -> Bool,
        /// Id of the unit of work in which the error happened. The log contains the same id.
        correlation_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Scripts that a job wrote, each with the prompt that its video is generated from.
    job_scripts (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// Job that wrote the script.
        job_id -> Nullable<Int8>,
        /// Prompt for the model that generates the video.
        video_prompt -> Text,
        /// Scenes, in order.
        scenes -> Jsonb,
        /// Text to show over the video.
        text_overlays -> Nullable<Jsonb>,
        /// Text to speak over the video.
        voiceover_script -> Nullable<Text>,
        /// Title for publication.
        title -> Nullable<Text>,
        /// Description for publication.
        description -> Nullable<Text>,
        /// Hashtags for publication: an array of strings.
        hashtags -> Nullable<Jsonb>,
        /// When the row was created.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Videos that a job generated, and whether a person approved them.
    job_videos (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// Job that generated the video.
        job_id -> Nullable<Int8>,
        /// Script that the video was generated from.
        script_id -> Nullable<Int8>,
        /// Status of the video.
        status -> Text,
        /// Path of the video file.
        file_path -> Nullable<Text>,
        /// Path of the thumbnail.
        thumbnail_path -> Nullable<Text>,
        /// Duration in seconds.
        duration_seconds -> Nullable<Float8>,
        /// Cost of the generation in US dollars.
        cost_usd -> Nullable<Float8>,
        /// When the row was created.
        created_at -> Timestamptz,
        /// When a person approved or rejected the video.
        approved_at -> Nullable<Timestamptz>,
        /// When the video was published.
        published_at -> Nullable<Timestamptz>,
        /// URL of the published video.
        published_url -> Nullable<Text>,
        /// Additional data.
        metadata -> Nullable<Jsonb>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Jobs that turn a theme into generated videos.
    jobs (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// Status of the job.
        status -> Text,
        /// Current stage of the work.
        stage -> Nullable<Text>,
        /// Topic of the videos.
        theme -> Nullable<Text>,
        /// When the row was created.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Nullable<Timestamptz>,
        /// Why the job failed.
        error_message -> Nullable<Text>,
        /// Additional data.
        metadata -> Nullable<Jsonb>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Music tracks that can replace the music of a video.
    music (id) {
        /// Primary key. viraldb generates version 7 UUIDs.
        id -> Uuid,
        /// Title of the track.
        name -> Text,
        /// Artist of the track.
        artist -> Nullable<Text>,
        /// Spotify's id of the track. Unique.
        spotify_track_id -> Nullable<Text>,
        /// URL of the track on Spotify.
        spotify_track_url -> Nullable<Text>,
        /// Path of the audio file.
        file_path -> Nullable<Text>,
        /// File size in bytes.
        file_size -> Nullable<Int8>,
        /// Duration in seconds.
        duration -> Nullable<Int4>,
        /// Additional data.
        metadata -> Nullable<Jsonb>,
        /// How many times the track was used.
        usage_count -> Int4,
        /// Whether the track may be used.
        is_active -> Bool,
        /// When the row was created.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Pipeline runs: one cycle of a niche, from choosing videos to the upload.
    pipeline_runs (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// Subject of the run, such as gaming.
        niche -> Text,
        /// Start of the cycle that the run covers.
        cycle_start -> Timestamptz,
        /// End of the cycle; never before its start.
        cycle_end -> Timestamptz,
        /// Status of the run.
        status -> Text,
        /// When work on the run began.
        started_at -> Nullable<Timestamptz>,
        /// When work on the run ended, whether it succeeded or failed.
        completed_at -> Nullable<Timestamptz>,
        /// Path of the finished video.
        video_file_path -> Nullable<Text>,
        /// Duration in seconds.
        video_duration_seconds -> Nullable<Float8>,
        /// File size in bytes.
        video_file_size_bytes -> Nullable<Int8>,
        /// YouTube's id of the uploaded video.
        youtube_video_id -> Nullable<Text>,
        /// URL of the uploaded video on YouTube.
        youtube_url -> Nullable<Text>,
        /// Why the run failed.
        error_message -> Nullable<Text>,
        /// How many times the run was retried.
        retry_count -> Int4,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Reviews that a person is asked for, and the answers.
    review_log (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// Run under review.
        pipeline_run_id -> Int8,
        /// When the review was requested.
        sent_at -> Timestamptz,
        /// When a person answered.
        responded_at -> Nullable<Timestamptz>,
        /// The answer. NULL while the review is open.
        action -> Nullable<Text>,
        /// Details of the answer, such as skip 4,7.
        response_detail -> Nullable<Text>,
        /// Whether the review was held because no one answered in time.
        auto_held -> Bool,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Scripts that a language model wrote for a run.
    scripts (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// Run that the script belongs to.
        pipeline_run_id -> Int8,
        /// Text before the first clip.
        opening_text -> Nullable<Text>,
        /// Text after the last clip.
        closing_text -> Nullable<Text>,
        /// The whole script, clip by clip.
        full_script_json -> Nullable<Jsonb>,
        /// Length of the script in characters.
        total_char_count -> Nullable<Int4>,
        /// Estimated duration when spoken, in seconds.
        estimated_duration_seconds -> Nullable<Float8>,
        /// Language model that wrote the script.
        llm_model_used -> Nullable<Text>,
        /// When the script was written.
        generated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Shorts: short videos made from the clips of a run.
    shorts (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// Run that the short belongs to.
        pipeline_run_id -> Int8,
        /// Clip that the short was made from.
        clip_id -> Nullable<Int8>,
        /// Path of the video file.
        file_path -> Nullable<Text>,
        /// Duration in seconds.
        duration_seconds -> Nullable<Float8>,
        /// Title for the upload.
        title -> Nullable<Text>,
        /// Description for the upload.
        description -> Nullable<Text>,
        /// YouTube's id of the uploaded short.
        youtube_video_id -> Nullable<Text>,
        /// URL of the uploaded short on YouTube.
        youtube_url -> Nullable<Text>,
        /// Status of the short.
        status -> Text,
        /// When the short was uploaded.
        uploaded_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// System-wide settings.
    system_configuration (key) {
        /// Name of the setting.
        key -> Text,
        /// Value of the setting.
        value -> Jsonb,
        /// Purpose of the setting.
        description -> Nullable<Text>,
        /// Whether the value is encrypted.
        encrypted -> Bool,
        /// When the row was created.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Transformation presets: named sets of parameters for transforming a video.
    transformation_presets (id) {
        /// Primary key. viraldb generates version 7 UUIDs.
        id -> Uuid,
        /// Name by which people choose the preset.
        name -> Text,
        /// Purpose of the preset.
        description -> Nullable<Text>,
        /// Parameters of the transformation.
        parameters -> Jsonb,
        /// Whether the preset is used when none is chosen. At most one preset is the default.
        is_default -> Bool,
        /// Whether the preset may be chosen.
        is_active -> Bool,
        /// When the row was created.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Videos that are trending on a platform.
    trends (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// Platform on which the video is trending.
        platform -> Text,
        /// The platform's id of the video. Unique.
        external_id -> Text,
        /// Title on the platform.
        title -> Nullable<Text>,
        /// Creator of the video.
        creator -> Nullable<Text>,
        /// Hashtags: an array of strings.
        hashtags -> Nullable<Jsonb>,
        /// Views when last seen.
        views -> Nullable<Int8>,
        /// Likes when last seen.
        likes -> Nullable<Int8>,
        /// Comments when last seen.
        comments -> Nullable<Int8>,
        /// Shares when last seen.
        shares -> Nullable<Int8>,
        /// URL of the video.
        video_url -> Nullable<Text>,
        /// URL of the thumbnail.
        thumbnail_url -> Nullable<Text>,
        /// When the values of the row were collected.
        collected_at -> Timestamptz,
        /// Additional data.
        metadata -> Nullable<Jsonb>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Voice recordings of a run's script, made by text-to-speech.
    tts_audio (id) {
        /// Primary key, assigned by the database.
        id -> Int8,
        /// Run that the recording belongs to.
        pipeline_run_id -> Int8,
        /// Speech engine that made the recording.
        engine_used -> Text,
        /// Voice profile of the engine.
        voice_profile -> Nullable<Text>,
        /// Path of the audio file.
        audio_file_path -> Nullable<Text>,
        /// Duration in seconds.
        duration_seconds -> Nullable<Float8>,
        /// When the recording was made.
        generated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// The work queue: one row for each step that a worker performs on a video.
    video_processing_jobs (id) {
        /// Primary key. viraldb generates version 7 UUIDs.
        id -> Uuid,
        /// Video to process.
        video_id -> Uuid,
        /// Channel that the video is made for.
        channel_id -> Uuid,
        /// Type of the work.
        job_type -> Text,
        /// Status of the job.
        status -> Text,
        /// Priority; higher is claimed first.
        priority -> Int4,
        /// How many times the job was claimed.
        attempts -> Int4,
        /// Maximum number of claims before the job fails.
        max_attempts -> Int4,
        /// Why the job last failed.
        error_message -> Nullable<Text>,
        /// Details of the last failure.
        error_details -> Nullable<Jsonb>,
        /// When the job was queued.
        queued_at -> Timestamptz,
        /// When the job was last claimed.
        started_at -> Nullable<Timestamptz>,
        /// When the job was finished.
        completed_at -> Nullable<Timestamptz>,
        /// How long the work took, in seconds.
        duration -> Nullable<Int4>,
        /// GitHub workflow run that works on the job.
        github_workflow_run_id -> Nullable<Text>,
        /// The job must not be claimed before this time.
        run_at -> Timestamptz,
        /// Lease token of the current claim.
        lease_token -> Nullable<Uuid>,
        /// Worker that holds the lease.
        leased_by -> Nullable<Text>,
        /// When the lease expires unless it is renewed.
        lease_expires_at -> Nullable<Timestamptz>,
        /// At most one unfinished job can have this key.
        unique_key -> Nullable<Text>,
        /// When the row was created.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
        /// Data for the handler of the job.
        payload -> Nullable<Jsonb>,
        /// How much of the work is done, from 0 to 1, as the worker reported it.
        progress -> Nullable<Float8>,
        /// What the worker is doing, as it reported it.
        progress_note -> Nullable<Text>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Statistics of a published video at one point in time.
    video_statistics (id) {
        /// Primary key. viraldb generates version 7 UUIDs.
        id -> Uuid,
        /// Video that was measured.
        video_id -> Uuid,
        /// Views.
        view_count -> Int8,
        /// Likes.
        like_count -> Int8,
        /// Comments.
        comment_count -> Int8,
        /// When the video was measured.
        timestamp -> Timestamptz,
        /// When the row was created.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Source videos and the progress of their download, transformation and publication.
    videos (id) {
        /// Primary key. viraldb generates version 7 UUIDs.
        id -> Uuid,
        /// Channel that the video is made for.
        channel_id -> Uuid,
        /// URL of the source.
        source_url -> Text,
        /// Title of the source.
        source_title -> Text,
        /// Creator of the source.
        source_creator -> Nullable<Text>,
        /// Platform of the source, such as tiktok.
        source_platform -> Text,
        /// When the source was found.
        scraped_at -> Timestamptz,
        /// Status of the download.
        download_status -> Text,
        /// URL of the downloaded file.
        download_url -> Nullable<Text>,
        /// File size in bytes.
        download_size -> Nullable<Int8>,
        /// Duration in seconds.
        download_duration -> Nullable<Int4>,
        /// Resolution, such as 1080p.
        download_resolution -> Nullable<Text>,
        /// Status of the transformation.
        transformation_status -> Text,
        /// Preset for the transformation.
        transformation_preset_id -> Nullable<Uuid>,
        /// Parameters of the transformation.
        transformation_params -> Nullable<Jsonb>,
        /// URL of the transformed file.
        transformed_url -> Nullable<Text>,
        /// File size in bytes.
        transformed_size -> Nullable<Int8>,
        /// When the transformation began.
        processing_started_at -> Nullable<Timestamptz>,
        /// When the transformation ended.
        processing_completed_at -> Nullable<Timestamptz>,
        /// Duration of the transformation in seconds.
        processing_duration -> Nullable<Int4>,
        /// Status of the publication.
        publication_status -> Text,
        /// When the video is scheduled to be published.
        scheduled_publication_at -> Nullable<Timestamptz>,
        /// When the video was published.
        published_at -> Nullable<Timestamptz>,
        /// YouTube's id of the published video.
        youtube_video_id -> Nullable<Text>,
        /// URL of the published video on YouTube.
        youtube_video_url -> Nullable<Text>,
        /// Title for publication.
        final_title -> Nullable<Text>,
        /// Description for publication.
        final_description -> Nullable<Text>,
        /// Tags for publication.
        final_tags -> Nullable<Jsonb>,
        /// Whether the music was replaced.
        music_replaced -> Bool,
        /// Track that replaced the music.
        music_track_id -> Nullable<Uuid>,
        /// Additional data.
        metadata -> Jsonb,
        /// One entry for each status change: {at, field, from, to}.
        processing_history -> Jsonb,
        /// The furthest stage that the video has reached, or failed. The database computes this column.
        status -> Text,
        /// When the row was created.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// History of settings: one row for each change made through viraldb.
    viraldb_config_changes (id) {
        /// Primary key, assigned by the database. Later changes have higher ids.
        id -> Int8,
        /// When the setting was changed.
        changed_at -> Timestamptz,
        /// Who changed the setting.
        changed_by -> Text,
        /// Name of the setting.
        key -> Text,
        /// Layer of the change: channel, override or system.
        layer -> Text,
        /// Channel, if the setting was changed for one channel. The channel may no longer exist.
        channel_id -> Nullable<Uuid>,
        /// Previous value as JSON; a secret is stored as its fingerprint. NULL if there was none.
        old_value -> Nullable<Text>,
        /// New value as JSON; a secret is stored as its fingerprint. NULL if the setting was removed.
        new_value -> Nullable<Text>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Attempts that did not complete their job.
    viraldb_job_attempts (id) {
        /// Primary key. viraldb generates version 7 UUIDs.
        id -> Uuid,
        /// The job.
        job_id -> Uuid,
        /// Number of the attempt, from 1.
        attempt -> Int4,
        /// How the attempt ended.
        outcome -> Text,
        /// Worker that held the lease.
        worker -> Nullable<Text>,
        /// Why the attempt failed.
        error -> Nullable<Text>,
        /// When the job was claimed.
        started_at -> Nullable<Timestamptz>,
        /// When the attempt ended.
        ended_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Schedules: jobs that are enqueued again and again.
    viraldb_job_schedules (name) {
        /// Primary key: the name of the schedule.
        name -> Text,
        /// Type of the jobs.
        job_type -> Text,
        /// Video of the jobs.
        video_id -> Uuid,
        /// Channel of the jobs.
        channel_id -> Uuid,
        /// When jobs are enqueued, as a cron expression.
        cron -> Text,
        /// Time zone of the cron expression, as in the IANA database.
        time_zone -> Text,
        /// Data for the handler of the jobs.
        payload -> Nullable<Jsonb>,
        /// Priority of the jobs; higher is claimed first.
        priority -> Int4,
        /// Maximum number of attempts of the jobs. NULL means the setting of the channel.
        max_attempts -> Nullable<Int4>,
        /// What happens to ticks that no worker was there for: skip them, enqueue once, or enqueue all.
        missed -> Text,
        /// Whether a job is enqueued while the previous one is not finished.
        overlap -> Bool,
        /// Whether the schedule enqueues nothing.
        paused -> Bool,
        /// The next tick.
        next_at -> Timestamptz,
        /// The last tick that enqueued a job.
        last_at -> Nullable<Timestamptz>,
        /// When the row was created.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// How many jobs of a kind each worker may run, out of a number that all workers share.
    viraldb_job_slots (name, holder) {
        /// What is limited: a job type, or a channel.
        name -> Text,
        /// The running worker.
        holder -> Uuid,
        /// How many jobs the worker may run.
        slots -> Int4,
        /// When others may have the slots, unless the worker renews them.
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// When jobs were claimed whose rate is limited.
    viraldb_job_starts (id) {
        /// Primary key. viraldb generates version 7 UUIDs.
        id -> Uuid,
        /// What is limited.
        name -> Text,
        /// When the job was claimed.
        started_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Jobs that wait until other jobs are completed.
    viraldb_job_waits (id) {
        /// Primary key. viraldb generates version 7 UUIDs.
        id -> Uuid,
        /// The job that waits.
        job_id -> Uuid,
        /// The job that it waits for.
        waits_for -> Uuid,
        /// When the waiting job is due, once it waits for no other.
        run_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Keys that have encrypted secrets in this database, by fingerprint.
    viraldb_keys (id) {
        /// Fingerprint of the key. It does not reveal the key.
        id -> Text,
        /// When the key first encrypted a value in this database.
        first_used_at -> Timestamptz,
        /// When a rotation re-encrypted the last value of this key with another key. NULL while the key is in use.
        retired_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Checksums of the migrations that were applied to this database.
    viraldb_migrations (version) {
        /// Version of the migration, as in Diesel's own table.
        version -> Text,
        /// SHA-256 of its up.sql with LF line endings, in hexadecimal.
        checksum -> Text,
        /// When the checksum was recorded.
        recorded_at -> Timestamptz,
    }
}

diesel::joinable!(channel_statistics -> channels (channel_id));
diesel::joinable!(channels -> transformation_presets (effect_preset_id));
diesel::joinable!(clips -> discovered_videos (discovered_video_id));
diesel::joinable!(clips -> pipeline_runs (pipeline_run_id));
diesel::joinable!(error_log -> pipeline_runs (pipeline_run_id));
diesel::joinable!(job_scripts -> jobs (job_id));
diesel::joinable!(job_videos -> job_scripts (script_id));
diesel::joinable!(job_videos -> jobs (job_id));
diesel::joinable!(review_log -> pipeline_runs (pipeline_run_id));
diesel::joinable!(scripts -> pipeline_runs (pipeline_run_id));
diesel::joinable!(shorts -> clips (clip_id));
diesel::joinable!(shorts -> pipeline_runs (pipeline_run_id));
diesel::joinable!(tts_audio -> pipeline_runs (pipeline_run_id));
diesel::joinable!(video_processing_jobs -> channels (channel_id));
diesel::joinable!(video_processing_jobs -> videos (video_id));
diesel::joinable!(video_statistics -> videos (video_id));
diesel::joinable!(videos -> channels (channel_id));
diesel::joinable!(videos -> music (music_track_id));
diesel::joinable!(videos -> transformation_presets (transformation_preset_id));
diesel::joinable!(viraldb_job_attempts -> video_processing_jobs (job_id));
diesel::joinable!(viraldb_job_schedules -> channels (channel_id));
diesel::joinable!(viraldb_job_schedules -> videos (video_id));

diesel::allow_tables_to_appear_in_same_query!(
    analytics,
    channel_statistics,
    channels,
    clips,
    config_overrides,
    discovered_videos,
    error_log,
    job_scripts,
    job_videos,
    jobs,
    music,
    pipeline_runs,
    review_log,
    scripts,
    shorts,
    system_configuration,
    transformation_presets,
    trends,
    tts_audio,
    video_processing_jobs,
    video_statistics,
    videos,
    viraldb_config_changes,
    viraldb_job_attempts,
    viraldb_job_schedules,
    viraldb_job_slots,
    viraldb_job_starts,
    viraldb_job_waits,
    viraldb_keys,
    viraldb_migrations,
);
