-- Republishing: source videos taken through download, transformation and publication on channels.

-- Named sets of parameters for transforming a video.
CREATE TABLE transformation_presets (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    description text,
    parameters jsonb NOT NULL,
    is_default boolean NOT NULL DEFAULT false,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
-- At most one default.
CREATE UNIQUE INDEX transformation_presets_is_default_key ON transformation_presets (is_default) WHERE is_default;
CREATE TRIGGER transformation_presets_updated_at BEFORE UPDATE ON transformation_presets
    FOR EACH ROW EXECUTE FUNCTION viraldb_touch_updated_at();
COMMENT ON TABLE transformation_presets IS 'Named sets of parameters for transforming a video.';
COMMENT ON COLUMN transformation_presets.id IS 'Identifier, of version 7 when viraldb makes it.';
COMMENT ON COLUMN transformation_presets.name IS 'Name people choose it by.';
COMMENT ON COLUMN transformation_presets.description IS 'What it does.';
COMMENT ON COLUMN transformation_presets.parameters IS 'Parameters of the transformation.';
COMMENT ON COLUMN transformation_presets.is_default IS 'Whether it is used when none is chosen; at most one is.';
COMMENT ON COLUMN transformation_presets.is_active IS 'Whether it may be chosen.';
COMMENT ON COLUMN transformation_presets.created_at IS 'When the row was made.';
COMMENT ON COLUMN transformation_presets.updated_at IS 'When the row last changed.';

-- Tracks that may replace the music of a video.
CREATE TABLE music (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    artist text,
    spotify_track_id text
        CONSTRAINT music_spotify_track_id_key UNIQUE,
    spotify_track_url text,
    file_path text,
    file_size bigint,
    duration integer,
    metadata jsonb,
    usage_count integer NOT NULL DEFAULT 0,
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER music_updated_at BEFORE UPDATE ON music
    FOR EACH ROW EXECUTE FUNCTION viraldb_touch_updated_at();
COMMENT ON TABLE music IS 'Tracks that may replace the music of a video.';
COMMENT ON COLUMN music.id IS 'Identifier, of version 7 when viraldb makes it.';
COMMENT ON COLUMN music.name IS 'Title of the track.';
COMMENT ON COLUMN music.artist IS 'Who plays it.';
COMMENT ON COLUMN music.spotify_track_id IS 'Spotify''s id of the track.';
COMMENT ON COLUMN music.spotify_track_url IS 'Spotify''s address of the track.';
COMMENT ON COLUMN music.file_path IS 'Path of the audio file.';
COMMENT ON COLUMN music.file_size IS 'Its size in bytes.';
COMMENT ON COLUMN music.duration IS 'Its length in seconds.';
COMMENT ON COLUMN music.metadata IS 'Whatever else is known about it.';
COMMENT ON COLUMN music.usage_count IS 'How often it was used.';
COMMENT ON COLUMN music.is_active IS 'Whether it may be used.';
COMMENT ON COLUMN music.created_at IS 'When the row was made.';
COMMENT ON COLUMN music.updated_at IS 'When the row last changed.';

-- Channels that videos are published on.
CREATE TABLE channels (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    youtube_channel_id text NOT NULL
        CONSTRAINT channels_youtube_channel_id_key UNIQUE,
    youtube_channel_url text NOT NULL,
    is_active boolean NOT NULL DEFAULT false,
    api_credentials_encrypted text NOT NULL,
    posting_schedule jsonb NOT NULL,
    content_filters jsonb NOT NULL,
    metadata_template jsonb NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    effect_preset_id uuid
        CONSTRAINT channels_effect_preset_id_fkey REFERENCES transformation_presets (id) ON DELETE SET NULL,
    github_repo_url text,
    github_secret_key_encrypted text,
    phase2_enabled boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    last_publication_at timestamptz
);
CREATE INDEX idx_channels_is_active ON channels (is_active);
CREATE INDEX idx_channels_effect_preset_id ON channels (effect_preset_id);
CREATE INDEX idx_channels_created_at ON channels (created_at);
CREATE TRIGGER channels_updated_at BEFORE UPDATE ON channels
    FOR EACH ROW EXECUTE FUNCTION viraldb_touch_updated_at();
CREATE TRIGGER channels_config AFTER INSERT OR UPDATE OF settings OR DELETE OR TRUNCATE ON channels
    FOR EACH STATEMENT EXECUTE FUNCTION viraldb_notify_config();
COMMENT ON TABLE channels IS 'Channels that videos are published on.';
COMMENT ON COLUMN channels.id IS 'Identifier, of version 7 when viraldb makes it.';
COMMENT ON COLUMN channels.name IS 'Name of the channel.';
COMMENT ON COLUMN channels.youtube_channel_id IS 'YouTube''s id of the channel.';
COMMENT ON COLUMN channels.youtube_channel_url IS 'YouTube''s address of the channel.';
COMMENT ON COLUMN channels.is_active IS 'Whether videos are published on it.';
COMMENT ON COLUMN channels.api_credentials_encrypted IS 'Ciphertext of its API credentials, never the credentials.';
COMMENT ON COLUMN channels.posting_schedule IS 'When videos are published.';
COMMENT ON COLUMN channels.content_filters IS 'Which source videos suit it.';
COMMENT ON COLUMN channels.metadata_template IS 'How titles, descriptions and tags are made.';
COMMENT ON COLUMN channels.settings IS 'Configuration that holds for this channel only.';
COMMENT ON COLUMN channels.effect_preset_id IS 'Preset used for its videos.';
COMMENT ON COLUMN channels.github_repo_url IS 'Repository whose workflows do its work.';
COMMENT ON COLUMN channels.github_secret_key_encrypted IS 'Ciphertext of that repository''s secret, never the secret.';
COMMENT ON COLUMN channels.phase2_enabled IS 'Whether transformation and publication are switched on.';
COMMENT ON COLUMN channels.created_at IS 'When the row was made.';
COMMENT ON COLUMN channels.updated_at IS 'When the row last changed.';
COMMENT ON COLUMN channels.last_publication_at IS 'When it last published a video.';

-- Source videos on their way through download, transformation and publication.
CREATE TABLE videos (
    id uuid PRIMARY KEY,
    channel_id uuid NOT NULL
        CONSTRAINT videos_channel_id_fkey REFERENCES channels (id) ON DELETE CASCADE,
    source_url text NOT NULL,
    source_title text NOT NULL,
    source_creator text,
    source_platform text NOT NULL,
    scraped_at timestamptz NOT NULL DEFAULT now(),
    download_status text NOT NULL DEFAULT 'pending'
        CONSTRAINT videos_download_status_check CHECK (download_status IN ('pending', 'downloading', 'downloaded', 'failed')),
    download_url text,
    download_size bigint,
    download_duration integer,
    download_resolution text,
    transformation_status text NOT NULL DEFAULT 'pending'
        CONSTRAINT videos_transformation_status_check CHECK (transformation_status IN ('pending', 'processing', 'transformed', 'failed')),
    transformation_preset_id uuid
        CONSTRAINT videos_transformation_preset_id_fkey REFERENCES transformation_presets (id) ON DELETE SET NULL,
    transformation_params jsonb,
    transformed_url text,
    transformed_size bigint,
    processing_started_at timestamptz,
    processing_completed_at timestamptz,
    processing_duration integer,
    publication_status text NOT NULL DEFAULT 'pending'
        CONSTRAINT videos_publication_status_check CHECK (publication_status IN ('pending', 'scheduled', 'publishing', 'published', 'failed')),
    scheduled_publication_at timestamptz,
    published_at timestamptz,
    youtube_video_id text,
    youtube_video_url text,
    final_title text,
    final_description text,
    final_tags jsonb,
    music_replaced boolean NOT NULL DEFAULT false,
    music_track_id uuid
        CONSTRAINT videos_music_track_id_fkey REFERENCES music (id) ON DELETE SET NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    processing_history jsonb NOT NULL DEFAULT '[]',
    status text NOT NULL GENERATED ALWAYS AS (CASE
        -- As PostgreSQL writes it in a dump: `'failed' IN (…)` is not the same after it is restored.
        WHEN download_status = 'failed' OR transformation_status = 'failed' OR publication_status = 'failed' THEN 'failed'
        WHEN publication_status <> 'pending' THEN publication_status
        WHEN transformation_status <> 'pending' THEN transformation_status
        ELSE download_status
    END) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_videos_channel_id ON videos (channel_id);
CREATE INDEX idx_videos_publication_status ON videos (publication_status);
CREATE INDEX idx_videos_download_status ON videos (download_status);
CREATE INDEX idx_videos_transformation_status ON videos (transformation_status);
CREATE INDEX idx_videos_youtube_video_id ON videos (youtube_video_id);
CREATE INDEX idx_videos_created_at ON videos (created_at);
CREATE INDEX idx_videos_transformation_preset_id ON videos (transformation_preset_id);
CREATE INDEX idx_videos_music_track_id ON videos (music_track_id);
CREATE TRIGGER videos_updated_at BEFORE UPDATE ON videos
    FOR EACH ROW EXECUTE FUNCTION viraldb_touch_updated_at();
COMMENT ON TABLE videos IS 'Source videos on their way through download, transformation and publication.';
COMMENT ON COLUMN videos.id IS 'Identifier, of version 7 when viraldb makes it.';
COMMENT ON COLUMN videos.channel_id IS 'Channel it is made for.';
COMMENT ON COLUMN videos.source_url IS 'Address of the source.';
COMMENT ON COLUMN videos.source_title IS 'Title of the source.';
COMMENT ON COLUMN videos.source_creator IS 'Who made the source.';
COMMENT ON COLUMN videos.source_platform IS 'Platform of the source, such as tiktok.';
COMMENT ON COLUMN videos.scraped_at IS 'When the source was found.';
COMMENT ON COLUMN videos.download_status IS 'How far the download is.';
COMMENT ON COLUMN videos.download_url IS 'Where the downloaded file lies.';
COMMENT ON COLUMN videos.download_size IS 'Its size in bytes.';
COMMENT ON COLUMN videos.download_duration IS 'Its length in seconds.';
COMMENT ON COLUMN videos.download_resolution IS 'Its resolution, such as 1080p.';
COMMENT ON COLUMN videos.transformation_status IS 'How far the transformation is.';
COMMENT ON COLUMN videos.transformation_preset_id IS 'Preset it is transformed with.';
COMMENT ON COLUMN videos.transformation_params IS 'Parameters it is transformed with.';
COMMENT ON COLUMN videos.transformed_url IS 'Where the transformed file lies.';
COMMENT ON COLUMN videos.transformed_size IS 'Its size in bytes.';
COMMENT ON COLUMN videos.processing_started_at IS 'When the transformation began.';
COMMENT ON COLUMN videos.processing_completed_at IS 'When the transformation ended.';
COMMENT ON COLUMN videos.processing_duration IS 'How long it took, in seconds.';
COMMENT ON COLUMN videos.publication_status IS 'How far the publication is.';
COMMENT ON COLUMN videos.scheduled_publication_at IS 'When it is to be published.';
COMMENT ON COLUMN videos.published_at IS 'When it was published.';
COMMENT ON COLUMN videos.youtube_video_id IS 'YouTube''s id after publication.';
COMMENT ON COLUMN videos.youtube_video_url IS 'YouTube''s address after publication.';
COMMENT ON COLUMN videos.final_title IS 'Title it is published under.';
COMMENT ON COLUMN videos.final_description IS 'Description it is published with.';
COMMENT ON COLUMN videos.final_tags IS 'Tags it is published with.';
COMMENT ON COLUMN videos.music_replaced IS 'Whether its music was replaced.';
COMMENT ON COLUMN videos.music_track_id IS 'Track that replaced its music.';
COMMENT ON COLUMN videos.metadata IS 'Whatever else is known about it.';
COMMENT ON COLUMN videos.processing_history IS 'One entry for each status change: {at, field, from, to}.';
COMMENT ON COLUMN videos.status IS 'The furthest stage it has reached, or failed; the database computes it.';
COMMENT ON COLUMN videos.created_at IS 'When the row was made.';
COMMENT ON COLUMN videos.updated_at IS 'When the row last changed.';

-- The work queue: one row for each step a worker takes on a video.
CREATE TABLE video_processing_jobs (
    id uuid PRIMARY KEY,
    video_id uuid NOT NULL
        CONSTRAINT video_processing_jobs_video_id_fkey REFERENCES videos (id) ON DELETE CASCADE,
    channel_id uuid NOT NULL
        CONSTRAINT video_processing_jobs_channel_id_fkey REFERENCES channels (id) ON DELETE CASCADE,
    job_type text NOT NULL
        CONSTRAINT video_processing_jobs_job_type_check CHECK (job_type IN ('scrape', 'download', 'transform', 'publish', 'music_replace')),
    status text NOT NULL DEFAULT 'queued'
        CONSTRAINT video_processing_jobs_status_check CHECK (status IN ('queued', 'processing', 'completed', 'failed', 'retrying')),
    priority integer NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0
        CONSTRAINT video_processing_jobs_attempts_check CHECK (attempts >= 0),
    max_attempts integer NOT NULL DEFAULT 3
        CONSTRAINT video_processing_jobs_max_attempts_check CHECK (max_attempts > 0),
    error_message text,
    error_details jsonb,
    queued_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    completed_at timestamptz,
    duration integer,
    github_workflow_run_id text,
    run_at timestamptz NOT NULL DEFAULT now(),
    lease_token uuid,
    leased_by text,
    lease_expires_at timestamptz,
    unique_key text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_jobs_video_id ON video_processing_jobs (video_id);
CREATE INDEX idx_jobs_channel_id ON video_processing_jobs (channel_id);
CREATE INDEX idx_jobs_status ON video_processing_jobs (status);
CREATE INDEX idx_jobs_job_type ON video_processing_jobs (job_type);
CREATE INDEX idx_jobs_priority_status ON video_processing_jobs (priority, status, queued_at);
CREATE INDEX idx_jobs_queued_at ON video_processing_jobs (queued_at);
-- What a claim walks along: within one priority they give the jobs that are due in their order. The second is
-- for a worker of one type, which need not walk past what waits for others.
CREATE INDEX idx_jobs_claim ON video_processing_jobs (priority DESC, run_at, queued_at, job_type) WHERE status IN ('queued', 'retrying');
CREATE INDEX idx_jobs_claim_type ON video_processing_jobs (job_type, priority DESC, run_at, queued_at) WHERE status IN ('queued', 'retrying');
-- At most one unfinished job for a key.
CREATE UNIQUE INDEX video_processing_jobs_unique_key_key ON video_processing_jobs (unique_key) WHERE unique_key IS NOT NULL AND status IN ('queued', 'processing', 'retrying');
CREATE TRIGGER video_processing_jobs_updated_at BEFORE UPDATE ON video_processing_jobs
    FOR EACH ROW EXECUTE FUNCTION viraldb_touch_updated_at();
-- Wakes the workers that wait for jobs, whoever put them in or back. Many in one transaction are one
-- notification.
CREATE FUNCTION viraldb_notify_jobs() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('viraldb_jobs', '');
    RETURN NULL;
END
$$;
CREATE TRIGGER video_processing_jobs_inserted AFTER INSERT ON video_processing_jobs
    FOR EACH STATEMENT EXECUTE FUNCTION viraldb_notify_jobs();
CREATE TRIGGER video_processing_jobs_back AFTER UPDATE OF status, run_at, priority ON video_processing_jobs
    FOR EACH ROW WHEN (NEW.status IN ('queued', 'retrying')) EXECUTE FUNCTION viraldb_notify_jobs();
COMMENT ON TABLE video_processing_jobs IS 'The work queue: one row for each step a worker takes on a video.';
COMMENT ON COLUMN video_processing_jobs.id IS 'Identifier, of version 7 when viraldb makes it.';
COMMENT ON COLUMN video_processing_jobs.video_id IS 'Video to work on.';
COMMENT ON COLUMN video_processing_jobs.channel_id IS 'Channel the video is made for.';
COMMENT ON COLUMN video_processing_jobs.job_type IS 'What is to be done.';
COMMENT ON COLUMN video_processing_jobs.status IS 'How far the job is.';
COMMENT ON COLUMN video_processing_jobs.priority IS 'Higher goes first.';
COMMENT ON COLUMN video_processing_jobs.attempts IS 'How often it was taken.';
COMMENT ON COLUMN video_processing_jobs.max_attempts IS 'How often it may be taken before it has failed.';
COMMENT ON COLUMN video_processing_jobs.error_message IS 'Why it last failed.';
COMMENT ON COLUMN video_processing_jobs.error_details IS 'More about that failure.';
COMMENT ON COLUMN video_processing_jobs.queued_at IS 'When it was put in the queue.';
COMMENT ON COLUMN video_processing_jobs.started_at IS 'When it was last taken.';
COMMENT ON COLUMN video_processing_jobs.completed_at IS 'When it was finished.';
COMMENT ON COLUMN video_processing_jobs.duration IS 'How long it took, in seconds.';
COMMENT ON COLUMN video_processing_jobs.github_workflow_run_id IS 'GitHub workflow run that works on it.';
COMMENT ON COLUMN video_processing_jobs.run_at IS 'Not to be taken before.';
COMMENT ON COLUMN video_processing_jobs.lease_token IS 'Token of the present claim.';
COMMENT ON COLUMN video_processing_jobs.leased_by IS 'Worker that holds the claim.';
COMMENT ON COLUMN video_processing_jobs.lease_expires_at IS 'When the claim lapses unless renewed.';
COMMENT ON COLUMN video_processing_jobs.unique_key IS 'At most one unfinished job has this key.';
COMMENT ON COLUMN video_processing_jobs.created_at IS 'When the row was made.';
COMMENT ON COLUMN video_processing_jobs.updated_at IS 'When the row last changed.';

-- Numbers of a channel at one moment.
CREATE TABLE channel_statistics (
    id uuid PRIMARY KEY,
    channel_id uuid NOT NULL
        CONSTRAINT channel_statistics_channel_id_fkey REFERENCES channels (id) ON DELETE CASCADE,
    subscriber_count bigint NOT NULL DEFAULT 0,
    view_count bigint NOT NULL DEFAULT 0,
    video_count integer NOT NULL DEFAULT 0,
    total_views bigint NOT NULL DEFAULT 0,
    total_videos integer NOT NULL DEFAULT 0,
    timestamp timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_channel_stats_channel_id ON channel_statistics (channel_id);
CREATE INDEX idx_channel_stats_timestamp ON channel_statistics (timestamp);
-- The samples of a channel in the order of time: the newest, or the last before a moment, is one step down it.
CREATE INDEX idx_channel_stats_series ON channel_statistics (channel_id, timestamp, id);
COMMENT ON TABLE channel_statistics IS 'Numbers of a channel at one moment.';
COMMENT ON COLUMN channel_statistics.id IS 'Identifier, of version 7 when viraldb makes it.';
COMMENT ON COLUMN channel_statistics.channel_id IS 'Channel that was measured.';
COMMENT ON COLUMN channel_statistics.subscriber_count IS 'Subscribers.';
COMMENT ON COLUMN channel_statistics.view_count IS 'Views of the channel, as YouTube counts them.';
COMMENT ON COLUMN channel_statistics.video_count IS 'Videos on the channel, as YouTube counts them.';
COMMENT ON COLUMN channel_statistics.total_views IS 'Views of the videos published by us.';
COMMENT ON COLUMN channel_statistics.total_videos IS 'Videos published by us.';
COMMENT ON COLUMN channel_statistics.timestamp IS 'When it was measured.';
COMMENT ON COLUMN channel_statistics.created_at IS 'When the row was made.';

-- Numbers of a published video at one moment.
CREATE TABLE video_statistics (
    id uuid PRIMARY KEY,
    video_id uuid NOT NULL
        CONSTRAINT video_statistics_video_id_fkey REFERENCES videos (id) ON DELETE CASCADE,
    view_count bigint NOT NULL DEFAULT 0,
    like_count bigint NOT NULL DEFAULT 0,
    comment_count bigint NOT NULL DEFAULT 0,
    timestamp timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_video_stats_video_id ON video_statistics (video_id);
CREATE INDEX idx_video_stats_timestamp ON video_statistics (timestamp);
-- The samples of a video in the order of time, as above.
CREATE INDEX idx_video_stats_series ON video_statistics (video_id, timestamp, id);
COMMENT ON TABLE video_statistics IS 'Numbers of a published video at one moment.';
COMMENT ON COLUMN video_statistics.id IS 'Identifier, of version 7 when viraldb makes it.';
COMMENT ON COLUMN video_statistics.video_id IS 'Video that was measured.';
COMMENT ON COLUMN video_statistics.view_count IS 'Views.';
COMMENT ON COLUMN video_statistics.like_count IS 'Likes.';
COMMENT ON COLUMN video_statistics.comment_count IS 'Comments.';
COMMENT ON COLUMN video_statistics.timestamp IS 'When it was measured.';
COMMENT ON COLUMN video_statistics.created_at IS 'When the row was made.';

-- Settings of the whole system.
CREATE TABLE system_configuration (
    key text PRIMARY KEY,
    value jsonb NOT NULL,
    description text,
    encrypted boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER system_configuration_updated_at BEFORE UPDATE ON system_configuration
    FOR EACH ROW EXECUTE FUNCTION viraldb_touch_updated_at();
CREATE TRIGGER system_configuration_config AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON system_configuration
    FOR EACH STATEMENT EXECUTE FUNCTION viraldb_notify_config();
COMMENT ON TABLE system_configuration IS 'Settings of the whole system.';
COMMENT ON COLUMN system_configuration.key IS 'Name of the setting.';
COMMENT ON COLUMN system_configuration.value IS 'Its value.';
COMMENT ON COLUMN system_configuration.description IS 'What it is for.';
COMMENT ON COLUMN system_configuration.encrypted IS 'Whether the value is ciphertext.';
COMMENT ON COLUMN system_configuration.created_at IS 'When the row was made.';
COMMENT ON COLUMN system_configuration.updated_at IS 'When the row last changed.';
