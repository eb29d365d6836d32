-- Generation: models generate videos from collected trends.

-- Jobs that turn a theme into generated videos.
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    status TEXT NOT NULL DEFAULT 'pending'
        CONSTRAINT jobs_status_check CHECK (status IN ('pending', 'running', 'completed', 'failed')),
    stage TEXT,
    theme TEXT,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT jobs_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.')),
    updated_at TEXT
        CONSTRAINT jobs_updated_at_check CHECK (updated_at IS strftime('%Y-%m-%d %H:%M:%S', iif(updated_at GLOB '[0-9]*', substr(updated_at, 1, 19), ''), '+0 days') || substr(updated_at, 20) AND (length(updated_at) = 19 OR substr(updated_at, 20) GLOB '.[0-9]*' AND rtrim(substr(updated_at, 20), '0123456789') = '.')),
    error_message TEXT,
    metadata TEXT
        CONSTRAINT jobs_metadata_check CHECK (metadata IS NULL OR json_valid(metadata))
) STRICT;
CREATE TRIGGER jobs_updated_at AFTER UPDATE ON jobs
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE jobs SET updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000' WHERE id = NEW.id;
END;

-- Videos that are trending on a platform.
CREATE TABLE trends (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    platform TEXT NOT NULL
        CONSTRAINT trends_platform_check CHECK (platform IN ('tiktok', 'youtube')),
    external_id TEXT NOT NULL
        CONSTRAINT trends_external_id_key UNIQUE,
    title TEXT,
    creator TEXT,
    hashtags TEXT
        CONSTRAINT trends_hashtags_check CHECK (hashtags IS NULL OR json_valid(hashtags)),
    views INTEGER,
    likes INTEGER,
    comments INTEGER,
    shares INTEGER,
    video_url TEXT,
    thumbnail_url TEXT,
    collected_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT trends_collected_at_check CHECK (collected_at IS strftime('%Y-%m-%d %H:%M:%S', iif(collected_at GLOB '[0-9]*', substr(collected_at, 1, 19), ''), '+0 days') || substr(collected_at, 20) AND (length(collected_at) = 19 OR substr(collected_at, 20) GLOB '.[0-9]*' AND rtrim(substr(collected_at, 20), '0123456789') = '.')),
    metadata TEXT
        CONSTRAINT trends_metadata_check CHECK (metadata IS NULL OR json_valid(metadata))
) STRICT;
-- This index returns the trends of a platform in order, most viewed first.
CREATE INDEX idx_trends_platform_views ON trends (platform, views DESC);

-- Scripts that a job wrote, each with the prompt that its video is generated from.
CREATE TABLE job_scripts (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    job_id INTEGER
        CONSTRAINT job_scripts_job_id_fkey REFERENCES jobs (id),
    video_prompt TEXT NOT NULL,
    scenes TEXT NOT NULL
        CONSTRAINT job_scripts_scenes_check CHECK (json_valid(scenes)),
    text_overlays TEXT
        CONSTRAINT job_scripts_text_overlays_check CHECK (text_overlays IS NULL OR json_valid(text_overlays)),
    voiceover_script TEXT,
    title TEXT,
    description TEXT,
    hashtags TEXT
        CONSTRAINT job_scripts_hashtags_check CHECK (hashtags IS NULL OR json_valid(hashtags)),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT job_scripts_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.'))
) STRICT;
CREATE INDEX idx_job_scripts_job_id ON job_scripts (job_id);

-- Videos that a job generated, and whether a person approved them.
CREATE TABLE job_videos (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    job_id INTEGER
        CONSTRAINT job_videos_job_id_fkey REFERENCES jobs (id),
    script_id INTEGER
        CONSTRAINT job_videos_script_id_fkey REFERENCES job_scripts (id),
    status TEXT NOT NULL DEFAULT 'generated'
        CONSTRAINT job_videos_status_check CHECK (status IN ('generated', 'approved', 'rejected', 'published')),
    file_path TEXT,
    thumbnail_path TEXT,
    duration_seconds REAL,
    cost_usd REAL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT job_videos_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.')),
    approved_at TEXT
        CONSTRAINT job_videos_approved_at_check CHECK (approved_at IS strftime('%Y-%m-%d %H:%M:%S', iif(approved_at GLOB '[0-9]*', substr(approved_at, 1, 19), ''), '+0 days') || substr(approved_at, 20) AND (length(approved_at) = 19 OR substr(approved_at, 20) GLOB '.[0-9]*' AND rtrim(substr(approved_at, 20), '0123456789') = '.')),
    published_at TEXT
        CONSTRAINT job_videos_published_at_check CHECK (published_at IS strftime('%Y-%m-%d %H:%M:%S', iif(published_at GLOB '[0-9]*', substr(published_at, 1, 19), ''), '+0 days') || substr(published_at, 20) AND (length(published_at) = 19 OR substr(published_at, 20) GLOB '.[0-9]*' AND rtrim(substr(published_at, 20), '0123456789') = '.')),
    published_url TEXT,
    metadata TEXT
        CONSTRAINT job_videos_metadata_check CHECK (metadata IS NULL OR json_valid(metadata))
) STRICT;
CREATE INDEX idx_job_videos_job_id ON job_videos (job_id);
CREATE INDEX idx_job_videos_script_id ON job_videos (script_id);
