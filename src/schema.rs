// @generated automatically by Diesel CLI.

diesel::table! {
    use crate::types::sql::*;

    /// Numbers of a YouTube video at one moment.
    analytics (id) {
        /// Number the database gives it.
        id -> Int8,
        /// YouTube's id of the measured video.
        youtube_video_id -> Text,
        /// When it was measured.
        measured_at -> Timestamptz,
        /// Views so far.
        view_count -> Nullable<Int8>,
        /// Likes so far.
        like_count -> Nullable<Int8>,
        /// Comments so far.
        comment_count -> Nullable<Int8>,
        /// Mean time a viewer stays, in seconds.
        average_view_duration_seconds -> Nullable<Float8>,
        /// Clicks per impression, 0 to 1.
        click_through_rate -> Nullable<Float8>,
        /// Subscribers won, or lost when negative.
        subscriber_gain -> Nullable<Int4>,
        /// Estimated revenue in US dollars.
        estimated_revenue_usd -> Nullable<Float8>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Numbers of a channel at one moment.
    channel_statistics (id) {
        /// Identifier, of version 7 when viraldb makes it.
        id -> Uuid,
        /// Channel that was measured.
        channel_id -> Uuid,
        /// Subscribers.
        subscriber_count -> Int8,
        /// Views of the channel, as YouTube counts them.
        view_count -> Int8,
        /// Videos on the channel, as YouTube counts them.
        video_count -> Int4,
        /// Views of the videos published by us.
        total_views -> Int8,
        /// Videos published by us.
        total_videos -> Int4,
        /// When it was measured.
        timestamp -> Timestamptz,
        /// When the row was made.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Channels that videos are published on.
    channels (id) {
        /// Identifier, of version 7 when viraldb makes it.
        id -> Uuid,
        /// Name of the channel.
        name -> Text,
        /// YouTube's id of the channel.
        youtube_channel_id -> Text,
        /// YouTube's address of the channel.
        youtube_channel_url -> Text,
        /// Whether videos are published on it.
        is_active -> Bool,
        /// Ciphertext of its API credentials, never the credentials.
        api_credentials_encrypted -> Text,
        /// When videos are published.
        posting_schedule -> Jsonb,
        /// Which source videos suit it.
        content_filters -> Jsonb,
        /// How titles, descriptions and tags are made.
        metadata_template -> Jsonb,
        /// Configuration that holds for this channel only.
        settings -> Jsonb,
        /// Preset used for its videos.
        effect_preset_id -> Nullable<Uuid>,
        /// Repository whose workflows do its work.
        github_repo_url -> Nullable<Text>,
        /// Ciphertext of that repository's secret, never the secret.
        github_secret_key_encrypted -> Nullable<Text>,
        /// Whether transformation and publication are switched on.
        phase2_enabled -> Bool,
        /// When the row was made.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
        /// When it last published a video.
        last_publication_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Pieces cut from discovered videos for one run.
    clips (id) {
        /// Number the database gives it.
        id -> Int8,
        /// Run the clip was cut for.
        pipeline_run_id -> Int8,
        /// Video it was cut from.
        discovered_video_id -> Int8,
        /// Place in the run; 1 is the most viral.
        rank_position -> Int4,
        /// Where it starts in the source, in seconds.
        start_time_seconds -> Float8,
        /// Where it ends in the source, in seconds.
        end_time_seconds -> Float8,
        /// Its length in seconds.
        clip_duration_seconds -> Float8,
        /// How it was chosen: most_replayed, transcript, audio_energy, scene_detection.
        extraction_method -> Nullable<Text>,
        /// Path of the cut file.
        clip_file_path -> Nullable<Text>,
        /// Risk of a Content ID claim.
        content_id_risk -> Text,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Settings changed by an operator at run time.
    config_overrides (key) {
        /// Name of the setting.
        key -> Text,
        /// Its value, as text.
        value -> Text,
        /// When it was last changed.
        updated_at -> Timestamptz,
        /// Who changed it.
        updated_by -> Text,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Videos found on a platform, waiting to be cut into a compilation.
    discovered_videos (id) {
        /// Number the database gives it.
        id -> Int8,
        /// The platform's own id of the video.
        video_id -> Text,
        /// Title as the platform showed it.
        title -> Text,
        /// Name of the channel that published it.
        channel_name -> Text,
        /// The platform's id of that channel.
        channel_id -> Text,
        /// Address of the video.
        url -> Text,
        /// The platform's category number; 20 is YouTube's gaming.
        category_id -> Nullable<Int4>,
        /// Length in seconds.
        duration_seconds -> Nullable<Int4>,
        /// Views when last seen.
        view_count -> Nullable<Int8>,
        /// Likes when last seen.
        like_count -> Nullable<Int8>,
        /// Comments when last seen.
        comment_count -> Nullable<Int8>,
        /// Views per hour since publication, measured at discovery.
        view_velocity -> Nullable<Float8>,
        /// Score given by the pipeline; higher is better.
        viral_score -> Nullable<Float8>,
        /// Subject the video belongs to, such as gaming.
        niche -> Text,
        /// Where it was found: youtube_trending, youtube_api, yt_dlp, reddit, …
        discovery_source -> Nullable<Text>,
        /// When it was first seen.
        discovered_at -> Timestamptz,
        /// 0 pending, 1 used, 2 skipped, 3 rejected.
        processed -> Int4,
        /// Risk of a Content ID claim.
        content_id_risk -> Text,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Errors of the pipelines, kept until somebody resolves them.
    error_log (id) {
        /// Number the database gives it.
        id -> Int8,
        /// Run it happened in.
        pipeline_run_id -> Nullable<Int8>,
        /// Part of the program it happened in.
        module -> Text,
        /// Kind of error, such as TimeoutError.
        error_type -> Text,
        /// What went wrong.
        error_message -> Text,
        /// Stack trace, where there is one.
        stack_trace -> Nullable<Text>,
        /// When it happened.
        occurred_at -> Timestamptz,
        /// Whether somebody has dealt with it.
        resolved -> Bool,
        /// Unit of work it happened in; also in the log.
        correlation_id -> Nullable<Uuid>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Scripts a job wrote, with the prompt its video is generated from.
    job_scripts (id) {
        /// Number the database gives it.
        id -> Int8,
        /// Job that wrote it.
        job_id -> Nullable<Int8>,
        /// Prompt for the video model.
        video_prompt -> Text,
        /// The scenes, in order.
        scenes -> Jsonb,
        /// Text shown over the video.
        text_overlays -> Nullable<Jsonb>,
        /// Words spoken over the video.
        voiceover_script -> Nullable<Text>,
        /// Title for publication.
        title -> Nullable<Text>,
        /// Description for publication.
        description -> Nullable<Text>,
        /// Hashtags for publication, an array of strings.
        hashtags -> Nullable<Jsonb>,
        /// When the row was made.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Videos a job generated, and whether a person approved them.
    job_videos (id) {
        /// Number the database gives it.
        id -> Int8,
        /// Job that generated it.
        job_id -> Nullable<Int8>,
        /// Script it was generated from.
        script_id -> Nullable<Int8>,
        /// How far the video is.
        status -> Text,
        /// Path of the file.
        file_path -> Nullable<Text>,
        /// Path of its picture.
        thumbnail_path -> Nullable<Text>,
        /// Its length in seconds.
        duration_seconds -> Nullable<Float8>,
        /// What its generation cost, in US dollars.
        cost_usd -> Nullable<Float8>,
        /// When the row was made.
        created_at -> Timestamptz,
        /// When a person approved or rejected it; the status says which.
        approved_at -> Nullable<Timestamptz>,
        /// When it was published.
        published_at -> Nullable<Timestamptz>,
        /// Where it was published.
        published_url -> Nullable<Text>,
        /// Whatever else is known about it.
        metadata -> Nullable<Jsonb>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Jobs that turn a theme into generated videos.
    jobs (id) {
        /// Number the database gives it.
        id -> Int8,
        /// How far the job is.
        status -> Text,
        /// What it is doing.
        stage -> Nullable<Text>,
        /// What the videos are to be about.
        theme -> Nullable<Text>,
        /// When the row was made.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Nullable<Timestamptz>,
        /// Why it failed.
        error_message -> Nullable<Text>,
        /// Whatever else is known about it.
        metadata -> Nullable<Jsonb>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Tracks that may replace the music of a video.
    music (id) {
        /// Identifier, of version 7 when viraldb makes it.
        id -> Uuid,
        /// Title of the track.
        name -> Text,
        /// Who plays it.
        artist -> Nullable<Text>,
        /// Spotify's id of the track.
        spotify_track_id -> Nullable<Text>,
        /// Spotify's address of the track.
        spotify_track_url -> Nullable<Text>,
        /// Path of the audio file.
        file_path -> Nullable<Text>,
        /// Its size in bytes.
        file_size -> Nullable<Int8>,
        /// Its length in seconds.
        duration -> Nullable<Int4>,
        /// Whatever else is known about it.
        metadata -> Nullable<Jsonb>,
        /// How often it was used.
        usage_count -> Int4,
        /// Whether it may be used.
        is_active -> Bool,
        /// When the row was made.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// One cycle of a niche, from choosing its videos to the upload.
    pipeline_runs (id) {
        /// Number the database gives it.
        id -> Int8,
        /// Subject of the run.
        niche -> Text,
        /// Start of the cycle the run covers.
        cycle_start -> Timestamptz,
        /// End of that cycle; not before its start.
        cycle_end -> Timestamptz,
        /// How far the run is.
        status -> Text,
        /// When work began.
        started_at -> Nullable<Timestamptz>,
        /// When work ended, well or badly.
        completed_at -> Nullable<Timestamptz>,
        /// Path of the finished video.
        video_file_path -> Nullable<Text>,
        /// Its length in seconds.
        video_duration_seconds -> Nullable<Float8>,
        /// Its size in bytes.
        video_file_size_bytes -> Nullable<Int8>,
        /// YouTube's id after the upload.
        youtube_video_id -> Nullable<Text>,
        /// YouTube's address after the upload.
        youtube_url -> Nullable<Text>,
        /// Why the run failed.
        error_message -> Nullable<Text>,
        /// How often the run was tried again.
        retry_count -> Int4,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Reviews asked of a person, and the answers.
    review_log (id) {
        /// Number the database gives it.
        id -> Int8,
        /// Run under review.
        pipeline_run_id -> Int8,
        /// When the review was asked for.
        sent_at -> Timestamptz,
        /// When the person answered.
        responded_at -> Nullable<Timestamptz>,
        /// The answer; none while the review is open.
        action -> Nullable<Text>,
        /// What came with the answer, such as skip 4,7.
        response_detail -> Nullable<Text>,
        /// Whether it was held because nobody answered in time.
        auto_held -> Bool,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Words written by a language model for one run.
    scripts (id) {
        /// Number the database gives it.
        id -> Int8,
        /// Run the script was written for.
        pipeline_run_id -> Int8,
        /// Words before the first clip.
        opening_text -> Nullable<Text>,
        /// Words after the last clip.
        closing_text -> Nullable<Text>,
        /// The whole script, clip by clip.
        full_script_json -> Nullable<Jsonb>,
        /// Length of the script in characters.
        total_char_count -> Nullable<Int4>,
        /// Length when spoken, in seconds.
        estimated_duration_seconds -> Nullable<Float8>,
        /// Model that wrote it.
        llm_model_used -> Nullable<Text>,
        /// When it was written.
        generated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Short videos made from a run, one for a clip.
    shorts (id) {
        /// Number the database gives it.
        id -> Int8,
        /// Run the short belongs to.
        pipeline_run_id -> Int8,
        /// Clip it was made from.
        clip_id -> Nullable<Int8>,
        /// Path of the file.
        file_path -> Nullable<Text>,
        /// Its length in seconds.
        duration_seconds -> Nullable<Float8>,
        /// Title for the upload.
        title -> Nullable<Text>,
        /// Description for the upload.
        description -> Nullable<Text>,
        /// YouTube's id after the upload.
        youtube_video_id -> Nullable<Text>,
        /// YouTube's address after the upload.
        youtube_url -> Nullable<Text>,
        /// How far the short is.
        status -> Text,
        /// When it was uploaded.
        uploaded_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Settings of the whole system.
    system_configuration (key) {
        /// Name of the setting.
        key -> Text,
        /// Its value.
        value -> Jsonb,
        /// What it is for.
        description -> Nullable<Text>,
        /// Whether the value is ciphertext.
        encrypted -> Bool,
        /// When the row was made.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Named sets of parameters for transforming a video.
    transformation_presets (id) {
        /// Identifier, of version 7 when viraldb makes it.
        id -> Uuid,
        /// Name people choose it by.
        name -> Text,
        /// What it does.
        description -> Nullable<Text>,
        /// Parameters of the transformation.
        parameters -> Jsonb,
        /// Whether it is used when none is chosen; at most one is.
        is_default -> Bool,
        /// Whether it may be chosen.
        is_active -> Bool,
        /// When the row was made.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Videos that are trending on a platform.
    trends (id) {
        /// Number the database gives it.
        id -> Int8,
        /// Platform it trends on.
        platform -> Text,
        /// The platform's id of the video.
        external_id -> Text,
        /// Title as the platform showed it.
        title -> Nullable<Text>,
        /// Who made it.
        creator -> Nullable<Text>,
        /// Its hashtags, an array of strings.
        hashtags -> Nullable<Jsonb>,
        /// Views when last seen.
        views -> Nullable<Int8>,
        /// Likes when last seen.
        likes -> Nullable<Int8>,
        /// Comments when last seen.
        comments -> Nullable<Int8>,
        /// Shares when last seen.
        shares -> Nullable<Int8>,
        /// Address of the video.
        video_url -> Nullable<Text>,
        /// Address of its picture.
        thumbnail_url -> Nullable<Text>,
        /// When what it holds was collected.
        collected_at -> Timestamptz,
        /// Whatever else is known about it.
        metadata -> Nullable<Jsonb>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Voice recordings made of a run's script.
    tts_audio (id) {
        /// Number the database gives it.
        id -> Int8,
        /// Run the voice was made for.
        pipeline_run_id -> Int8,
        /// Speech engine that made it.
        engine_used -> Text,
        /// Voice of that engine.
        voice_profile -> Nullable<Text>,
        /// Path of the audio file.
        audio_file_path -> Nullable<Text>,
        /// Its length in seconds.
        duration_seconds -> Nullable<Float8>,
        /// When it was made.
        generated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// The work queue: one row for each step a worker takes on a video.
    video_processing_jobs (id) {
        /// Identifier, of version 7 when viraldb makes it.
        id -> Uuid,
        /// Video to work on.
        video_id -> Uuid,
        /// Channel the video is made for.
        channel_id -> Uuid,
        /// What is to be done.
        job_type -> Text,
        /// How far the job is.
        status -> Text,
        /// Higher goes first.
        priority -> Int4,
        /// How often it was taken.
        attempts -> Int4,
        /// How often it may be taken before it has failed.
        max_attempts -> Int4,
        /// Why it last failed.
        error_message -> Nullable<Text>,
        /// More about that failure.
        error_details -> Nullable<Jsonb>,
        /// When it was put in the queue.
        queued_at -> Timestamptz,
        /// When it was last taken.
        started_at -> Nullable<Timestamptz>,
        /// When it was finished.
        completed_at -> Nullable<Timestamptz>,
        /// How long it took, in seconds.
        duration -> Nullable<Int4>,
        /// GitHub workflow run that works on it.
        github_workflow_run_id -> Nullable<Text>,
        /// Not to be taken before.
        run_at -> Timestamptz,
        /// Token of the present claim.
        lease_token -> Nullable<Uuid>,
        /// Worker that holds the claim.
        leased_by -> Nullable<Text>,
        /// When the claim lapses unless renewed.
        lease_expires_at -> Nullable<Timestamptz>,
        /// At most one unfinished job has this key.
        unique_key -> Nullable<Text>,
        /// When the row was made.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Numbers of a published video at one moment.
    video_statistics (id) {
        /// Identifier, of version 7 when viraldb makes it.
        id -> Uuid,
        /// Video that was measured.
        video_id -> Uuid,
        /// Views.
        view_count -> Int8,
        /// Likes.
        like_count -> Int8,
        /// Comments.
        comment_count -> Int8,
        /// When it was measured.
        timestamp -> Timestamptz,
        /// When the row was made.
        created_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Source videos on their way through download, transformation and publication.
    videos (id) {
        /// Identifier, of version 7 when viraldb makes it.
        id -> Uuid,
        /// Channel it is made for.
        channel_id -> Uuid,
        /// Address of the source.
        source_url -> Text,
        /// Title of the source.
        source_title -> Text,
        /// Who made the source.
        source_creator -> Nullable<Text>,
        /// Platform of the source, such as tiktok.
        source_platform -> Text,
        /// When the source was found.
        scraped_at -> Timestamptz,
        /// How far the download is.
        download_status -> Text,
        /// Where the downloaded file lies.
        download_url -> Nullable<Text>,
        /// Its size in bytes.
        download_size -> Nullable<Int8>,
        /// Its length in seconds.
        download_duration -> Nullable<Int4>,
        /// Its resolution, such as 1080p.
        download_resolution -> Nullable<Text>,
        /// How far the transformation is.
        transformation_status -> Text,
        /// Preset it is transformed with.
        transformation_preset_id -> Nullable<Uuid>,
        /// Parameters it is transformed with.
        transformation_params -> Nullable<Jsonb>,
        /// Where the transformed file lies.
        transformed_url -> Nullable<Text>,
        /// Its size in bytes.
        transformed_size -> Nullable<Int8>,
        /// When the transformation began.
        processing_started_at -> Nullable<Timestamptz>,
        /// When the transformation ended.
        processing_completed_at -> Nullable<Timestamptz>,
        /// How long it took, in seconds.
        processing_duration -> Nullable<Int4>,
        /// How far the publication is.
        publication_status -> Text,
        /// When it is to be published.
        scheduled_publication_at -> Nullable<Timestamptz>,
        /// When it was published.
        published_at -> Nullable<Timestamptz>,
        /// YouTube's id after publication.
        youtube_video_id -> Nullable<Text>,
        /// YouTube's address after publication.
        youtube_video_url -> Nullable<Text>,
        /// Title it is published under.
        final_title -> Nullable<Text>,
        /// Description it is published with.
        final_description -> Nullable<Text>,
        /// Tags it is published with.
        final_tags -> Nullable<Jsonb>,
        /// Whether its music was replaced.
        music_replaced -> Bool,
        /// Track that replaced its music.
        music_track_id -> Nullable<Uuid>,
        /// Whatever else is known about it.
        metadata -> Jsonb,
        /// One entry for each status change: {at, field, from, to}.
        processing_history -> Jsonb,
        /// The furthest stage it has reached, or failed; the database computes it.
        status -> Text,
        /// When the row was made.
        created_at -> Timestamptz,
        /// When the row last changed.
        updated_at -> Timestamptz,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// What became of the settings: one row for each change through viraldb.
    viraldb_config_changes (id) {
        /// Identifier; a later change has a higher one.
        id -> Int8,
        /// When.
        changed_at -> Timestamptz,
        /// Who.
        changed_by -> Text,
        /// Name of the setting.
        key -> Text,
        /// Where it was changed: channel, override or system.
        layer -> Text,
        /// The channel, if it was changed for one; it may be gone by now.
        channel_id -> Nullable<Uuid>,
        /// The value before, as JSON, a secret as its fingerprint; NULL if there was none.
        old_value -> Nullable<Text>,
        /// The value after, as JSON, a secret as its fingerprint; NULL if it was taken away.
        new_value -> Nullable<Text>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// The keys that sealed secrets of this database, by their fingerprints.
    viraldb_keys (id) {
        /// Fingerprint of the key, which does not tell the key.
        id -> Text,
        /// When it first sealed a value here.
        first_used_at -> Timestamptz,
        /// When a rotation had sealed its last value anew under another key; NULL while it is in use.
        retired_at -> Nullable<Timestamptz>,
    }
}

diesel::table! {
    use crate::types::sql::*;

    /// Checksums of the migrations that made this database.
    viraldb_migrations (version) {
        /// Version of the migration, as in Diesel's own table.
        version -> Text,
        /// SHA-256 of its up.sql with line endings as LF, in hexadecimal.
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
    viraldb_keys,
    viraldb_migrations,
);
