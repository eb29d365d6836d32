-- Republishing: source videos are downloaded, transformed and published on channels.

-- Transformation presets: named sets of parameters for transforming a video.
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
-- At most one preset is the default.
CREATE UNIQUE INDEX transformation_presets_is_default_key ON transformation_presets (is_default) WHERE is_default;
CREATE TRIGGER transformation_presets_updated_at BEFORE UPDATE ON transformation_presets
    FOR EACH ROW EXECUTE FUNCTION viraldb_touch_updated_at();
COMMENT ON TABLE transformation_presets IS 'Transformation presets: named sets of parameters for transforming a video.';
COMMENT ON COLUMN transformation_presets.id IS 'Primary key. viraldb generates version 7 UUIDs.';
COMMENT ON COLUMN transformation_presets.name IS 'Name by which people choose the preset.';
COMMENT ON COLUMN transformation_presets.description IS 'Purpose of the preset.';
COMMENT ON COLUMN transformation_presets.parameters IS 'Parameters of the transformation.';
COMMENT ON COLUMN transformation_presets.is_default IS 'Whether the preset is used when none is chosen. At most one preset is the default.';
COMMENT ON COLUMN transformation_presets.is_active IS 'Whether the preset may be chosen.';
COMMENT ON COLUMN transformation_presets.created_at IS 'When the row was created.';
COMMENT ON COLUMN transformation_presets.updated_at IS 'When the row last changed.';

-- Music tracks that can replace the music of a video.
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
COMMENT ON TABLE music IS 'Music tracks that can replace the music of a video.';
COMMENT ON COLUMN music.id IS 'Primary key. viraldb generates version 7 UUIDs.';
COMMENT ON COLUMN music.name IS 'Title of the track.';
COMMENT ON COLUMN music.artist IS 'Artist of the track.';
COMMENT ON COLUMN music.spotify_track_id IS 'Spotify''s id of the track. Unique.';
COMMENT ON COLUMN music.spotify_track_url IS 'URL of the track on Spotify.';
COMMENT ON COLUMN music.file_path IS 'Path of the audio file.';
COMMENT ON COLUMN music.file_size IS 'File size in bytes.';
COMMENT ON COLUMN music.duration IS 'Duration in seconds.';
COMMENT ON COLUMN music.metadata IS 'Additional data.';
COMMENT ON COLUMN music.usage_count IS 'How many times the track was used.';
COMMENT ON COLUMN music.is_active IS 'Whether the track may be used.';
COMMENT ON COLUMN music.created_at IS 'When the row was created.';
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
COMMENT ON COLUMN channels.id IS 'Primary key. viraldb generates version 7 UUIDs.';
COMMENT ON COLUMN channels.name IS 'Name of the channel.';
COMMENT ON COLUMN channels.youtube_channel_id IS 'YouTube''s id of the channel. Unique.';
COMMENT ON COLUMN channels.youtube_channel_url IS 'URL of the channel on YouTube.';
COMMENT ON COLUMN channels.is_active IS 'Whether videos are published on the channel.';
COMMENT ON COLUMN channels.api_credentials_encrypted IS 'Encrypted API credentials, never the plaintext.';
COMMENT ON COLUMN channels.posting_schedule IS 'When videos are published.';
COMMENT ON COLUMN channels.content_filters IS 'Which source videos are suitable.';
COMMENT ON COLUMN channels.metadata_template IS 'How titles, descriptions and tags are made.';
COMMENT ON COLUMN channels.settings IS 'Settings of this channel only.';
COMMENT ON COLUMN channels.effect_preset_id IS 'Preset for the videos of the channel.';
COMMENT ON COLUMN channels.github_repo_url IS 'URL of the GitHub repository whose workflows process its videos.';
COMMENT ON COLUMN channels.github_secret_key_encrypted IS 'Encrypted secret of the repository, never the plaintext.';
COMMENT ON COLUMN channels.phase2_enabled IS 'Whether transformation and publication are enabled.';
COMMENT ON COLUMN channels.created_at IS 'When the row was created.';
COMMENT ON COLUMN channels.updated_at IS 'When the row last changed.';
COMMENT ON COLUMN channels.last_publication_at IS 'When a video was last published on the channel.';

-- Source videos and the progress of their download, transformation and publication.
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
        -- Written as in a dump of PostgreSQL, because `'failed' IN (…)` is different after a dump is restored.
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
COMMENT ON TABLE videos IS 'Source videos and the progress of their download, transformation and publication.';
COMMENT ON COLUMN videos.id IS 'Primary key. viraldb generates version 7 UUIDs.';
COMMENT ON COLUMN videos.channel_id IS 'Channel that the video is made for.';
COMMENT ON COLUMN videos.source_url IS 'URL of the source.';
COMMENT ON COLUMN videos.source_title IS 'Title of the source.';
COMMENT ON COLUMN videos.source_creator IS 'Creator of the source.';
COMMENT ON COLUMN videos.source_platform IS 'Platform of the source, such as tiktok.';
COMMENT ON COLUMN videos.scraped_at IS 'When the source was found.';
COMMENT ON COLUMN videos.download_status IS 'Status of the download.';
COMMENT ON COLUMN videos.download_url IS 'URL of the downloaded file.';
COMMENT ON COLUMN videos.download_size IS 'File size in bytes.';
COMMENT ON COLUMN videos.download_duration IS 'Duration in seconds.';
COMMENT ON COLUMN videos.download_resolution IS 'Resolution, such as 1080p.';
COMMENT ON COLUMN videos.transformation_status IS 'Status of the transformation.';
COMMENT ON COLUMN videos.transformation_preset_id IS 'Preset for the transformation.';
COMMENT ON COLUMN videos.transformation_params IS 'Parameters of the transformation.';
COMMENT ON COLUMN videos.transformed_url IS 'URL of the transformed file.';
COMMENT ON COLUMN videos.transformed_size IS 'File size in bytes.';
COMMENT ON COLUMN videos.processing_started_at IS 'When the transformation began.';
COMMENT ON COLUMN videos.processing_completed_at IS 'When the transformation ended.';
COMMENT ON COLUMN videos.processing_duration IS 'Duration of the transformation in seconds.';
COMMENT ON COLUMN videos.publication_status IS 'Status of the publication.';
COMMENT ON COLUMN videos.scheduled_publication_at IS 'When the video is scheduled to be published.';
COMMENT ON COLUMN videos.published_at IS 'When the video was published.';
COMMENT ON COLUMN videos.youtube_video_id IS 'YouTube''s id of the published video.';
COMMENT ON COLUMN videos.youtube_video_url IS 'URL of the published video on YouTube.';
COMMENT ON COLUMN videos.final_title IS 'Title for publication.';
COMMENT ON COLUMN videos.final_description IS 'Description for publication.';
COMMENT ON COLUMN videos.final_tags IS 'Tags for publication.';
COMMENT ON COLUMN videos.music_replaced IS 'Whether the music was replaced.';
COMMENT ON COLUMN videos.music_track_id IS 'Track that replaced the music.';
COMMENT ON COLUMN videos.metadata IS 'Additional data.';
COMMENT ON COLUMN videos.processing_history IS 'One entry for each status change: {at, field, from, to}.';
COMMENT ON COLUMN videos.status IS 'The furthest stage that the video has reached, or failed. The database computes this column.';
COMMENT ON COLUMN videos.created_at IS 'When the row was created.';
COMMENT ON COLUMN videos.updated_at IS 'When the row last changed.';

-- The work queue: one row for each step that a worker performs on a video.
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
-- The indexes for claims. For each priority they return the due jobs in order. The second index is for workers of one job
-- type, so that they do not scan jobs of other types.
CREATE INDEX idx_jobs_claim ON video_processing_jobs (priority DESC, run_at, queued_at, job_type) WHERE status IN ('queued', 'retrying');
CREATE INDEX idx_jobs_claim_type ON video_processing_jobs (job_type, priority DESC, run_at, queued_at) WHERE status IN ('queued', 'retrying');
-- At most one unfinished job for each key.
CREATE UNIQUE INDEX video_processing_jobs_unique_key_key ON video_processing_jobs (unique_key) WHERE unique_key IS NOT NULL AND status IN ('queued', 'processing', 'retrying');
CREATE TRIGGER video_processing_jobs_updated_at BEFORE UPDATE ON video_processing_jobs
    FOR EACH ROW EXECUTE FUNCTION viraldb_touch_updated_at();
-- Wakes workers that wait for jobs, whichever program queued a job or released it. PostgreSQL sends one notification for
-- each transaction.
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
COMMENT ON TABLE video_processing_jobs IS 'The work queue: one row for each step that a worker performs on a video.';
COMMENT ON COLUMN video_processing_jobs.id IS 'Primary key. viraldb generates version 7 UUIDs.';
COMMENT ON COLUMN video_processing_jobs.video_id IS 'Video to process.';
COMMENT ON COLUMN video_processing_jobs.channel_id IS 'Channel that the video is made for.';
COMMENT ON COLUMN video_processing_jobs.job_type IS 'Type of the work.';
COMMENT ON COLUMN video_processing_jobs.status IS 'Status of the job.';
COMMENT ON COLUMN video_processing_jobs.priority IS 'Priority; higher is claimed first.';
COMMENT ON COLUMN video_processing_jobs.attempts IS 'How many times the job was claimed.';
COMMENT ON COLUMN video_processing_jobs.max_attempts IS 'Maximum number of claims before the job fails.';
COMMENT ON COLUMN video_processing_jobs.error_message IS 'Why the job last failed.';
COMMENT ON COLUMN video_processing_jobs.error_details IS 'Details of the last failure.';
COMMENT ON COLUMN video_processing_jobs.queued_at IS 'When the job was queued.';
COMMENT ON COLUMN video_processing_jobs.started_at IS 'When the job was last claimed.';
COMMENT ON COLUMN video_processing_jobs.completed_at IS 'When the job was finished.';
COMMENT ON COLUMN video_processing_jobs.duration IS 'How long the work took, in seconds.';
COMMENT ON COLUMN video_processing_jobs.github_workflow_run_id IS 'GitHub workflow run that works on the job.';
COMMENT ON COLUMN video_processing_jobs.run_at IS 'The job must not be claimed before this time.';
COMMENT ON COLUMN video_processing_jobs.lease_token IS 'Lease token of the current claim.';
COMMENT ON COLUMN video_processing_jobs.leased_by IS 'Worker that holds the lease.';
COMMENT ON COLUMN video_processing_jobs.lease_expires_at IS 'When the lease expires unless it is renewed.';
COMMENT ON COLUMN video_processing_jobs.unique_key IS 'At most one unfinished job can have this key.';
COMMENT ON COLUMN video_processing_jobs.created_at IS 'When the row was created.';
COMMENT ON COLUMN video_processing_jobs.updated_at IS 'When the row last changed.';

-- Statistics of a channel at one point in time.
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
-- The samples of a channel in order of time. One index lookup finds the newest sample or the last one before a given time.
CREATE INDEX idx_channel_stats_series ON channel_statistics (channel_id, timestamp, id);
COMMENT ON TABLE channel_statistics IS 'Statistics of a channel at one point in time.';
COMMENT ON COLUMN channel_statistics.id IS 'Primary key. viraldb generates version 7 UUIDs.';
COMMENT ON COLUMN channel_statistics.channel_id IS 'Channel that was measured.';
COMMENT ON COLUMN channel_statistics.subscriber_count IS 'Subscribers.';
COMMENT ON COLUMN channel_statistics.view_count IS 'Views of the channel, as YouTube counts them.';
COMMENT ON COLUMN channel_statistics.video_count IS 'Videos on the channel, as YouTube counts them.';
COMMENT ON COLUMN channel_statistics.total_views IS 'Views of the videos that the pipeline published.';
COMMENT ON COLUMN channel_statistics.total_videos IS 'Videos that the pipeline published.';
COMMENT ON COLUMN channel_statistics.timestamp IS 'When the channel was measured.';
COMMENT ON COLUMN channel_statistics.created_at IS 'When the row was created.';

-- Statistics of a published video at one point in time.
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
-- The samples of a video in order of time, as above.
CREATE INDEX idx_video_stats_series ON video_statistics (video_id, timestamp, id);
COMMENT ON TABLE video_statistics IS 'Statistics of a published video at one point in time.';
COMMENT ON COLUMN video_statistics.id IS 'Primary key. viraldb generates version 7 UUIDs.';
COMMENT ON COLUMN video_statistics.video_id IS 'Video that was measured.';
COMMENT ON COLUMN video_statistics.view_count IS 'Views.';
COMMENT ON COLUMN video_statistics.like_count IS 'Likes.';
COMMENT ON COLUMN video_statistics.comment_count IS 'Comments.';
COMMENT ON COLUMN video_statistics.timestamp IS 'When the video was measured.';
COMMENT ON COLUMN video_statistics.created_at IS 'When the row was created.';

-- System-wide settings.
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
COMMENT ON TABLE system_configuration IS 'System-wide settings.';
COMMENT ON COLUMN system_configuration.key IS 'Name of the setting.';
COMMENT ON COLUMN system_configuration.value IS 'Value of the setting.';
COMMENT ON COLUMN system_configuration.description IS 'Purpose of the setting.';
COMMENT ON COLUMN system_configuration.encrypted IS 'Whether the value is encrypted.';
COMMENT ON COLUMN system_configuration.created_at IS 'When the row was created.';
COMMENT ON COLUMN system_configuration.updated_at IS 'When the row last changed.';
