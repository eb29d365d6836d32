-- Republishing: source videos are downloaded, transformed and published on channels.

-- Transformation presets: named sets of parameters for transforming a video.
CREATE TABLE transformation_presets (
    id TEXT PRIMARY KEY NOT NULL
        CONSTRAINT transformation_presets_id_check CHECK (id LIKE '________-____-____-____-____________' AND length(replace(id, '-', '')) = 32 AND id NOT GLOB '*[^0-9a-f-]*'),
    name TEXT NOT NULL,
    description TEXT,
    parameters TEXT NOT NULL
        CONSTRAINT transformation_presets_parameters_check CHECK (json_valid(parameters)),
    is_default INTEGER NOT NULL DEFAULT 0
        CONSTRAINT transformation_presets_is_default_check CHECK (is_default IN (0, 1)),
    is_active INTEGER NOT NULL DEFAULT 1
        CONSTRAINT transformation_presets_is_active_check CHECK (is_active IN (0, 1)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT transformation_presets_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.')),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT transformation_presets_updated_at_check CHECK (updated_at IS strftime('%Y-%m-%d %H:%M:%S', iif(updated_at GLOB '[0-9]*', substr(updated_at, 1, 19), ''), '+0 days') || substr(updated_at, 20) AND (length(updated_at) = 19 OR substr(updated_at, 20) GLOB '.[0-9]*' AND rtrim(substr(updated_at, 20), '0123456789') = '.'))
) STRICT;
-- At most one preset is the default.
CREATE UNIQUE INDEX transformation_presets_is_default_key ON transformation_presets (is_default) WHERE is_default;
CREATE TRIGGER transformation_presets_updated_at AFTER UPDATE ON transformation_presets
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE transformation_presets SET updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000' WHERE id = NEW.id;
END;

-- Music tracks that can replace the music of a video.
CREATE TABLE music (
    id TEXT PRIMARY KEY NOT NULL
        CONSTRAINT music_id_check CHECK (id LIKE '________-____-____-____-____________' AND length(replace(id, '-', '')) = 32 AND id NOT GLOB '*[^0-9a-f-]*'),
    name TEXT NOT NULL,
    artist TEXT,
    spotify_track_id TEXT
        CONSTRAINT music_spotify_track_id_key UNIQUE,
    spotify_track_url TEXT,
    file_path TEXT,
    file_size INTEGER,
    duration INTEGER
        CONSTRAINT music_duration_check CHECK (duration BETWEEN -2147483648 AND 2147483647),
    metadata TEXT
        CONSTRAINT music_metadata_check CHECK (metadata IS NULL OR json_valid(metadata)),
    usage_count INTEGER NOT NULL DEFAULT 0
        CONSTRAINT music_usage_count_check CHECK (usage_count BETWEEN -2147483648 AND 2147483647),
    is_active INTEGER NOT NULL DEFAULT 1
        CONSTRAINT music_is_active_check CHECK (is_active IN (0, 1)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT music_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.')),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT music_updated_at_check CHECK (updated_at IS strftime('%Y-%m-%d %H:%M:%S', iif(updated_at GLOB '[0-9]*', substr(updated_at, 1, 19), ''), '+0 days') || substr(updated_at, 20) AND (length(updated_at) = 19 OR substr(updated_at, 20) GLOB '.[0-9]*' AND rtrim(substr(updated_at, 20), '0123456789') = '.'))
) STRICT;
CREATE TRIGGER music_updated_at AFTER UPDATE ON music
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE music SET updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000' WHERE id = NEW.id;
END;

-- Channels that videos are published on.
CREATE TABLE channels (
    id TEXT PRIMARY KEY NOT NULL
        CONSTRAINT channels_id_check CHECK (id LIKE '________-____-____-____-____________' AND length(replace(id, '-', '')) = 32 AND id NOT GLOB '*[^0-9a-f-]*'),
    name TEXT NOT NULL,
    youtube_channel_id TEXT NOT NULL
        CONSTRAINT channels_youtube_channel_id_key UNIQUE,
    youtube_channel_url TEXT NOT NULL,
    is_active INTEGER NOT NULL DEFAULT 0
        CONSTRAINT channels_is_active_check CHECK (is_active IN (0, 1)),
    api_credentials_encrypted TEXT NOT NULL,
    posting_schedule TEXT NOT NULL
        CONSTRAINT channels_posting_schedule_check CHECK (json_valid(posting_schedule)),
    content_filters TEXT NOT NULL
        CONSTRAINT channels_content_filters_check CHECK (json_valid(content_filters)),
    metadata_template TEXT NOT NULL
        CONSTRAINT channels_metadata_template_check CHECK (json_valid(metadata_template)),
    settings TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT channels_settings_check CHECK (json_valid(settings)),
    effect_preset_id TEXT
        CONSTRAINT channels_effect_preset_id_fkey REFERENCES transformation_presets (id) ON DELETE SET NULL,
    github_repo_url TEXT,
    github_secret_key_encrypted TEXT,
    phase2_enabled INTEGER NOT NULL DEFAULT 0
        CONSTRAINT channels_phase2_enabled_check CHECK (phase2_enabled IN (0, 1)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT channels_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.')),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT channels_updated_at_check CHECK (updated_at IS strftime('%Y-%m-%d %H:%M:%S', iif(updated_at GLOB '[0-9]*', substr(updated_at, 1, 19), ''), '+0 days') || substr(updated_at, 20) AND (length(updated_at) = 19 OR substr(updated_at, 20) GLOB '.[0-9]*' AND rtrim(substr(updated_at, 20), '0123456789') = '.')),
    last_publication_at TEXT
        CONSTRAINT channels_last_publication_at_check CHECK (last_publication_at IS strftime('%Y-%m-%d %H:%M:%S', iif(last_publication_at GLOB '[0-9]*', substr(last_publication_at, 1, 19), ''), '+0 days') || substr(last_publication_at, 20) AND (length(last_publication_at) = 19 OR substr(last_publication_at, 20) GLOB '.[0-9]*' AND rtrim(substr(last_publication_at, 20), '0123456789') = '.'))
) STRICT;
CREATE INDEX idx_channels_is_active ON channels (is_active);
CREATE INDEX idx_channels_effect_preset_id ON channels (effect_preset_id);
CREATE INDEX idx_channels_created_at ON channels (created_at);
CREATE TRIGGER channels_updated_at AFTER UPDATE ON channels
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE channels SET updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000' WHERE id = NEW.id;
END;

-- Source videos and the progress of their download, transformation and publication.
CREATE TABLE videos (
    id TEXT PRIMARY KEY NOT NULL
        CONSTRAINT videos_id_check CHECK (id LIKE '________-____-____-____-____________' AND length(replace(id, '-', '')) = 32 AND id NOT GLOB '*[^0-9a-f-]*'),
    channel_id TEXT NOT NULL
        CONSTRAINT videos_channel_id_fkey REFERENCES channels (id) ON DELETE CASCADE,
    source_url TEXT NOT NULL,
    source_title TEXT NOT NULL,
    source_creator TEXT,
    source_platform TEXT NOT NULL,
    scraped_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT videos_scraped_at_check CHECK (scraped_at IS strftime('%Y-%m-%d %H:%M:%S', iif(scraped_at GLOB '[0-9]*', substr(scraped_at, 1, 19), ''), '+0 days') || substr(scraped_at, 20) AND (length(scraped_at) = 19 OR substr(scraped_at, 20) GLOB '.[0-9]*' AND rtrim(substr(scraped_at, 20), '0123456789') = '.')),
    download_status TEXT NOT NULL DEFAULT 'pending'
        CONSTRAINT videos_download_status_check CHECK (download_status IN ('pending', 'downloading', 'downloaded', 'failed')),
    download_url TEXT,
    download_size INTEGER,
    download_duration INTEGER
        CONSTRAINT videos_download_duration_check CHECK (download_duration BETWEEN -2147483648 AND 2147483647),
    download_resolution TEXT,
    transformation_status TEXT NOT NULL DEFAULT 'pending'
        CONSTRAINT videos_transformation_status_check CHECK (transformation_status IN ('pending', 'processing', 'transformed', 'failed')),
    transformation_preset_id TEXT
        CONSTRAINT videos_transformation_preset_id_fkey REFERENCES transformation_presets (id) ON DELETE SET NULL,
    transformation_params TEXT
        CONSTRAINT videos_transformation_params_check CHECK (transformation_params IS NULL OR json_valid(transformation_params)),
    transformed_url TEXT,
    transformed_size INTEGER,
    processing_started_at TEXT
        CONSTRAINT videos_processing_started_at_check CHECK (processing_started_at IS strftime('%Y-%m-%d %H:%M:%S', iif(processing_started_at GLOB '[0-9]*', substr(processing_started_at, 1, 19), ''), '+0 days') || substr(processing_started_at, 20) AND (length(processing_started_at) = 19 OR substr(processing_started_at, 20) GLOB '.[0-9]*' AND rtrim(substr(processing_started_at, 20), '0123456789') = '.')),
    processing_completed_at TEXT
        CONSTRAINT videos_processing_completed_at_check CHECK (processing_completed_at IS strftime('%Y-%m-%d %H:%M:%S', iif(processing_completed_at GLOB '[0-9]*', substr(processing_completed_at, 1, 19), ''), '+0 days') || substr(processing_completed_at, 20) AND (length(processing_completed_at) = 19 OR substr(processing_completed_at, 20) GLOB '.[0-9]*' AND rtrim(substr(processing_completed_at, 20), '0123456789') = '.')),
    processing_duration INTEGER
        CONSTRAINT videos_processing_duration_check CHECK (processing_duration BETWEEN -2147483648 AND 2147483647),
    publication_status TEXT NOT NULL DEFAULT 'pending'
        CONSTRAINT videos_publication_status_check CHECK (publication_status IN ('pending', 'scheduled', 'publishing', 'published', 'failed')),
    scheduled_publication_at TEXT
        CONSTRAINT videos_scheduled_publication_at_check CHECK (scheduled_publication_at IS strftime('%Y-%m-%d %H:%M:%S', iif(scheduled_publication_at GLOB '[0-9]*', substr(scheduled_publication_at, 1, 19), ''), '+0 days') || substr(scheduled_publication_at, 20) AND (length(scheduled_publication_at) = 19 OR substr(scheduled_publication_at, 20) GLOB '.[0-9]*' AND rtrim(substr(scheduled_publication_at, 20), '0123456789') = '.')),
    published_at TEXT
        CONSTRAINT videos_published_at_check CHECK (published_at IS strftime('%Y-%m-%d %H:%M:%S', iif(published_at GLOB '[0-9]*', substr(published_at, 1, 19), ''), '+0 days') || substr(published_at, 20) AND (length(published_at) = 19 OR substr(published_at, 20) GLOB '.[0-9]*' AND rtrim(substr(published_at, 20), '0123456789') = '.')),
    youtube_video_id TEXT,
    youtube_video_url TEXT,
    final_title TEXT,
    final_description TEXT,
    final_tags TEXT
        CONSTRAINT videos_final_tags_check CHECK (final_tags IS NULL OR json_valid(final_tags)),
    music_replaced INTEGER NOT NULL DEFAULT 0
        CONSTRAINT videos_music_replaced_check CHECK (music_replaced IN (0, 1)),
    music_track_id TEXT
        CONSTRAINT videos_music_track_id_fkey REFERENCES music (id) ON DELETE SET NULL,
    metadata TEXT NOT NULL DEFAULT '{}'
        CONSTRAINT videos_metadata_check CHECK (json_valid(metadata)),
    processing_history TEXT NOT NULL DEFAULT '[]'
        CONSTRAINT videos_processing_history_check CHECK (json_valid(processing_history)),
    status TEXT NOT NULL GENERATED ALWAYS AS (CASE
        WHEN 'failed' IN (download_status, transformation_status, publication_status) THEN 'failed'
        WHEN publication_status <> 'pending' THEN publication_status
        WHEN transformation_status <> 'pending' THEN transformation_status
        ELSE download_status
    END) STORED,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT videos_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.')),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT videos_updated_at_check CHECK (updated_at IS strftime('%Y-%m-%d %H:%M:%S', iif(updated_at GLOB '[0-9]*', substr(updated_at, 1, 19), ''), '+0 days') || substr(updated_at, 20) AND (length(updated_at) = 19 OR substr(updated_at, 20) GLOB '.[0-9]*' AND rtrim(substr(updated_at, 20), '0123456789') = '.'))
) STRICT;
CREATE INDEX idx_videos_channel_id ON videos (channel_id);
CREATE INDEX idx_videos_publication_status ON videos (publication_status);
CREATE INDEX idx_videos_download_status ON videos (download_status);
CREATE INDEX idx_videos_transformation_status ON videos (transformation_status);
CREATE INDEX idx_videos_youtube_video_id ON videos (youtube_video_id);
CREATE INDEX idx_videos_created_at ON videos (created_at);
CREATE INDEX idx_videos_transformation_preset_id ON videos (transformation_preset_id);
CREATE INDEX idx_videos_music_track_id ON videos (music_track_id);
CREATE TRIGGER videos_updated_at AFTER UPDATE ON videos
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE videos SET updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000' WHERE id = NEW.id;
END;

-- The work queue: one row for each step that a worker performs on a video.
CREATE TABLE video_processing_jobs (
    id TEXT PRIMARY KEY NOT NULL
        CONSTRAINT video_processing_jobs_id_check CHECK (id LIKE '________-____-____-____-____________' AND length(replace(id, '-', '')) = 32 AND id NOT GLOB '*[^0-9a-f-]*'),
    video_id TEXT NOT NULL
        CONSTRAINT video_processing_jobs_video_id_fkey REFERENCES videos (id) ON DELETE CASCADE,
    channel_id TEXT NOT NULL
        CONSTRAINT video_processing_jobs_channel_id_fkey REFERENCES channels (id) ON DELETE CASCADE,
    job_type TEXT NOT NULL
        CONSTRAINT video_processing_jobs_job_type_check CHECK (job_type IN ('scrape', 'download', 'transform', 'publish', 'music_replace')),
    status TEXT NOT NULL DEFAULT 'queued'
        CONSTRAINT video_processing_jobs_status_check CHECK (status IN ('queued', 'processing', 'completed', 'failed', 'retrying')),
    priority INTEGER NOT NULL DEFAULT 0
        CONSTRAINT video_processing_jobs_priority_check CHECK (priority BETWEEN -2147483648 AND 2147483647),
    attempts INTEGER NOT NULL DEFAULT 0
        CONSTRAINT video_processing_jobs_attempts_check CHECK (attempts BETWEEN 0 AND 2147483647),
    max_attempts INTEGER NOT NULL DEFAULT 3
        CONSTRAINT video_processing_jobs_max_attempts_check CHECK (max_attempts BETWEEN 1 AND 2147483647),
    error_message TEXT,
    error_details TEXT
        CONSTRAINT video_processing_jobs_error_details_check CHECK (error_details IS NULL OR json_valid(error_details)),
    queued_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT video_processing_jobs_queued_at_check CHECK (queued_at IS strftime('%Y-%m-%d %H:%M:%S', iif(queued_at GLOB '[0-9]*', substr(queued_at, 1, 19), ''), '+0 days') || substr(queued_at, 20) AND (length(queued_at) = 19 OR substr(queued_at, 20) GLOB '.[0-9]*' AND rtrim(substr(queued_at, 20), '0123456789') = '.')),
    started_at TEXT
        CONSTRAINT video_processing_jobs_started_at_check CHECK (started_at IS strftime('%Y-%m-%d %H:%M:%S', iif(started_at GLOB '[0-9]*', substr(started_at, 1, 19), ''), '+0 days') || substr(started_at, 20) AND (length(started_at) = 19 OR substr(started_at, 20) GLOB '.[0-9]*' AND rtrim(substr(started_at, 20), '0123456789') = '.')),
    completed_at TEXT
        CONSTRAINT video_processing_jobs_completed_at_check CHECK (completed_at IS strftime('%Y-%m-%d %H:%M:%S', iif(completed_at GLOB '[0-9]*', substr(completed_at, 1, 19), ''), '+0 days') || substr(completed_at, 20) AND (length(completed_at) = 19 OR substr(completed_at, 20) GLOB '.[0-9]*' AND rtrim(substr(completed_at, 20), '0123456789') = '.')),
    duration INTEGER
        CONSTRAINT video_processing_jobs_duration_check CHECK (duration BETWEEN -2147483648 AND 2147483647),
    github_workflow_run_id TEXT,
    run_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT video_processing_jobs_run_at_check CHECK (run_at IS strftime('%Y-%m-%d %H:%M:%S', iif(run_at GLOB '[0-9]*', substr(run_at, 1, 19), ''), '+0 days') || substr(run_at, 20) AND (length(run_at) = 19 OR substr(run_at, 20) GLOB '.[0-9]*' AND rtrim(substr(run_at, 20), '0123456789') = '.')),
    lease_token TEXT
        CONSTRAINT video_processing_jobs_lease_token_check CHECK (lease_token LIKE '________-____-____-____-____________' AND length(replace(lease_token, '-', '')) = 32 AND lease_token NOT GLOB '*[^0-9a-f-]*'),
    leased_by TEXT,
    lease_expires_at TEXT
        CONSTRAINT video_processing_jobs_lease_expires_at_check CHECK (lease_expires_at IS strftime('%Y-%m-%d %H:%M:%S', iif(lease_expires_at GLOB '[0-9]*', substr(lease_expires_at, 1, 19), ''), '+0 days') || substr(lease_expires_at, 20) AND (length(lease_expires_at) = 19 OR substr(lease_expires_at, 20) GLOB '.[0-9]*' AND rtrim(substr(lease_expires_at, 20), '0123456789') = '.')),
    unique_key TEXT,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT video_processing_jobs_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.')),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT video_processing_jobs_updated_at_check CHECK (updated_at IS strftime('%Y-%m-%d %H:%M:%S', iif(updated_at GLOB '[0-9]*', substr(updated_at, 1, 19), ''), '+0 days') || substr(updated_at, 20) AND (length(updated_at) = 19 OR substr(updated_at, 20) GLOB '.[0-9]*' AND rtrim(substr(updated_at, 20), '0123456789') = '.'))
) STRICT;
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
CREATE TRIGGER video_processing_jobs_updated_at AFTER UPDATE ON video_processing_jobs
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE video_processing_jobs SET updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000' WHERE id = NEW.id;
END;

-- Statistics of a channel at one point in time.
CREATE TABLE channel_statistics (
    id TEXT PRIMARY KEY NOT NULL
        CONSTRAINT channel_statistics_id_check CHECK (id LIKE '________-____-____-____-____________' AND length(replace(id, '-', '')) = 32 AND id NOT GLOB '*[^0-9a-f-]*'),
    channel_id TEXT NOT NULL
        CONSTRAINT channel_statistics_channel_id_fkey REFERENCES channels (id) ON DELETE CASCADE,
    subscriber_count INTEGER NOT NULL DEFAULT 0,
    view_count INTEGER NOT NULL DEFAULT 0,
    video_count INTEGER NOT NULL DEFAULT 0
        CONSTRAINT channel_statistics_video_count_check CHECK (video_count BETWEEN -2147483648 AND 2147483647),
    total_views INTEGER NOT NULL DEFAULT 0,
    total_videos INTEGER NOT NULL DEFAULT 0
        CONSTRAINT channel_statistics_total_videos_check CHECK (total_videos BETWEEN -2147483648 AND 2147483647),
    timestamp TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT channel_statistics_timestamp_check CHECK (timestamp IS strftime('%Y-%m-%d %H:%M:%S', iif(timestamp GLOB '[0-9]*', substr(timestamp, 1, 19), ''), '+0 days') || substr(timestamp, 20) AND (length(timestamp) = 19 OR substr(timestamp, 20) GLOB '.[0-9]*' AND rtrim(substr(timestamp, 20), '0123456789') = '.')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT channel_statistics_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.'))
) STRICT;
CREATE INDEX idx_channel_stats_channel_id ON channel_statistics (channel_id);
CREATE INDEX idx_channel_stats_timestamp ON channel_statistics (timestamp);
-- The samples of a channel in order of time. One index lookup finds the newest sample or the last one before a given time.
CREATE INDEX idx_channel_stats_series ON channel_statistics (channel_id, timestamp, id);

-- Statistics of a published video at one point in time.
CREATE TABLE video_statistics (
    id TEXT PRIMARY KEY NOT NULL
        CONSTRAINT video_statistics_id_check CHECK (id LIKE '________-____-____-____-____________' AND length(replace(id, '-', '')) = 32 AND id NOT GLOB '*[^0-9a-f-]*'),
    video_id TEXT NOT NULL
        CONSTRAINT video_statistics_video_id_fkey REFERENCES videos (id) ON DELETE CASCADE,
    view_count INTEGER NOT NULL DEFAULT 0,
    like_count INTEGER NOT NULL DEFAULT 0,
    comment_count INTEGER NOT NULL DEFAULT 0,
    timestamp TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT video_statistics_timestamp_check CHECK (timestamp IS strftime('%Y-%m-%d %H:%M:%S', iif(timestamp GLOB '[0-9]*', substr(timestamp, 1, 19), ''), '+0 days') || substr(timestamp, 20) AND (length(timestamp) = 19 OR substr(timestamp, 20) GLOB '.[0-9]*' AND rtrim(substr(timestamp, 20), '0123456789') = '.')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT video_statistics_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.'))
) STRICT;
CREATE INDEX idx_video_stats_video_id ON video_statistics (video_id);
CREATE INDEX idx_video_stats_timestamp ON video_statistics (timestamp);
-- The samples of a video in order of time, as above.
CREATE INDEX idx_video_stats_series ON video_statistics (video_id, timestamp, id);

-- System-wide settings.
CREATE TABLE system_configuration (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL,
    description TEXT,
    encrypted INTEGER NOT NULL DEFAULT 0
        CONSTRAINT system_configuration_encrypted_check CHECK (encrypted IN (0, 1)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT system_configuration_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.')),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT system_configuration_updated_at_check CHECK (updated_at IS strftime('%Y-%m-%d %H:%M:%S', iif(updated_at GLOB '[0-9]*', substr(updated_at, 1, 19), ''), '+0 days') || substr(updated_at, 20) AND (length(updated_at) = 19 OR substr(updated_at, 20) GLOB '.[0-9]*' AND rtrim(substr(updated_at, 20), '0123456789') = '.'))
) STRICT;
CREATE TRIGGER system_configuration_updated_at AFTER UPDATE ON system_configuration
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE system_configuration SET updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000' WHERE key = NEW.key;
END;
