-- Compilation: a pipeline cuts clips from discovered videos and compiles them into one video and its shorts.

-- Videos discovered on a platform that can be cut into a compilation.
CREATE TABLE discovered_videos (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    video_id TEXT NOT NULL
        CONSTRAINT discovered_videos_video_id_key UNIQUE,
    title TEXT NOT NULL,
    channel_name TEXT NOT NULL,
    channel_id TEXT NOT NULL,
    url TEXT NOT NULL,
    category_id INTEGER
        CONSTRAINT discovered_videos_category_id_check CHECK (category_id BETWEEN -2147483648 AND 2147483647),
    duration_seconds INTEGER
        CONSTRAINT discovered_videos_duration_seconds_check CHECK (duration_seconds BETWEEN -2147483648 AND 2147483647),
    view_count INTEGER,
    like_count INTEGER,
    comment_count INTEGER,
    view_velocity REAL,
    viral_score REAL,
    niche TEXT NOT NULL,
    discovery_source TEXT,
    discovered_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT discovered_videos_discovered_at_check CHECK (discovered_at IS strftime('%Y-%m-%d %H:%M:%S', iif(discovered_at GLOB '[0-9]*', substr(discovered_at, 1, 19), ''), '+0 days') || substr(discovered_at, 20) AND (length(discovered_at) = 19 OR substr(discovered_at, 20) GLOB '.[0-9]*' AND rtrim(substr(discovered_at, 20), '0123456789') = '.')),
    processed INTEGER NOT NULL DEFAULT 0
        CONSTRAINT discovered_videos_processed_check CHECK (processed IN (0, 1, 2, 3)),
    content_id_risk TEXT NOT NULL DEFAULT 'unknown'
        CONSTRAINT discovered_videos_content_id_risk_check CHECK (content_id_risk IN ('low', 'medium', 'high', 'unknown'))
) STRICT;
CREATE INDEX idx_discovered_videos_niche ON discovered_videos (niche, discovered_at);
CREATE INDEX idx_discovered_videos_processed ON discovered_videos (processed);
-- This index returns the pending videos of a niche in order, best first.
CREATE INDEX idx_discovered_videos_pending ON discovered_videos (niche, viral_score DESC, view_velocity DESC) WHERE processed = 0;

-- Pipeline runs: one cycle of a niche, from choosing videos to the upload.
CREATE TABLE pipeline_runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    niche TEXT NOT NULL,
    cycle_start TEXT NOT NULL
        CONSTRAINT pipeline_runs_cycle_start_check CHECK (cycle_start IS strftime('%Y-%m-%d %H:%M:%S', iif(cycle_start GLOB '[0-9]*', substr(cycle_start, 1, 19), ''), '+0 days') || substr(cycle_start, 20) AND (length(cycle_start) = 19 OR substr(cycle_start, 20) GLOB '.[0-9]*' AND rtrim(substr(cycle_start, 20), '0123456789') = '.')),
    cycle_end TEXT NOT NULL
        CONSTRAINT pipeline_runs_cycle_end_check CHECK (cycle_end IS strftime('%Y-%m-%d %H:%M:%S', iif(cycle_end GLOB '[0-9]*', substr(cycle_end, 1, 19), ''), '+0 days') || substr(cycle_end, 20) AND (length(cycle_end) = 19 OR substr(cycle_end, 20) GLOB '.[0-9]*' AND rtrim(substr(cycle_end, 20), '0123456789') = '.')),
    status TEXT NOT NULL DEFAULT 'pending'
        CONSTRAINT pipeline_runs_status_check CHECK (status IN ('pending', 'running', 'review', 'approved', 'uploaded', 'failed')),
    started_at TEXT
        CONSTRAINT pipeline_runs_started_at_check CHECK (started_at IS strftime('%Y-%m-%d %H:%M:%S', iif(started_at GLOB '[0-9]*', substr(started_at, 1, 19), ''), '+0 days') || substr(started_at, 20) AND (length(started_at) = 19 OR substr(started_at, 20) GLOB '.[0-9]*' AND rtrim(substr(started_at, 20), '0123456789') = '.')),
    completed_at TEXT
        CONSTRAINT pipeline_runs_completed_at_check CHECK (completed_at IS strftime('%Y-%m-%d %H:%M:%S', iif(completed_at GLOB '[0-9]*', substr(completed_at, 1, 19), ''), '+0 days') || substr(completed_at, 20) AND (length(completed_at) = 19 OR substr(completed_at, 20) GLOB '.[0-9]*' AND rtrim(substr(completed_at, 20), '0123456789') = '.')),
    video_file_path TEXT,
    video_duration_seconds REAL,
    video_file_size_bytes INTEGER,
    youtube_video_id TEXT,
    youtube_url TEXT,
    error_message TEXT,
    retry_count INTEGER NOT NULL DEFAULT 0
        CONSTRAINT pipeline_runs_retry_count_check CHECK (retry_count BETWEEN -2147483648 AND 2147483647),
    CONSTRAINT pipeline_runs_cycle_order_check CHECK (cycle_end >= cycle_start)
) STRICT;
CREATE INDEX idx_pipeline_runs_status ON pipeline_runs (status);
CREATE INDEX idx_pipeline_runs_niche ON pipeline_runs (niche, cycle_start);

-- Clips: pieces cut from discovered videos for a run.
CREATE TABLE clips (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    pipeline_run_id INTEGER NOT NULL
        CONSTRAINT clips_pipeline_run_id_fkey REFERENCES pipeline_runs (id),
    discovered_video_id INTEGER NOT NULL
        CONSTRAINT clips_discovered_video_id_fkey REFERENCES discovered_videos (id),
    rank_position INTEGER NOT NULL
        CONSTRAINT clips_rank_position_check CHECK (rank_position BETWEEN -2147483648 AND 2147483647),
    start_time_seconds REAL NOT NULL,
    end_time_seconds REAL NOT NULL,
    clip_duration_seconds REAL NOT NULL,
    extraction_method TEXT,
    clip_file_path TEXT,
    content_id_risk TEXT NOT NULL DEFAULT 'unknown'
        CONSTRAINT clips_content_id_risk_check CHECK (content_id_risk IN ('low', 'medium', 'high', 'unknown'))
) STRICT;
CREATE INDEX idx_clips_pipeline ON clips (pipeline_run_id);
CREATE INDEX idx_clips_discovered_video ON clips (discovered_video_id);

-- Scripts that a language model wrote for a run.
CREATE TABLE scripts (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    pipeline_run_id INTEGER NOT NULL
        CONSTRAINT scripts_pipeline_run_id_fkey REFERENCES pipeline_runs (id),
    opening_text TEXT,
    closing_text TEXT,
    full_script_json TEXT
        CONSTRAINT scripts_full_script_json_check CHECK (full_script_json IS NULL OR json_valid(full_script_json)),
    total_char_count INTEGER
        CONSTRAINT scripts_total_char_count_check CHECK (total_char_count BETWEEN -2147483648 AND 2147483647),
    estimated_duration_seconds REAL,
    llm_model_used TEXT,
    generated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT scripts_generated_at_check CHECK (generated_at IS strftime('%Y-%m-%d %H:%M:%S', iif(generated_at GLOB '[0-9]*', substr(generated_at, 1, 19), ''), '+0 days') || substr(generated_at, 20) AND (length(generated_at) = 19 OR substr(generated_at, 20) GLOB '.[0-9]*' AND rtrim(substr(generated_at, 20), '0123456789') = '.'))
) STRICT;
CREATE INDEX idx_scripts_pipeline ON scripts (pipeline_run_id);

-- Voice recordings of a run's script, made by text-to-speech.
CREATE TABLE tts_audio (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    pipeline_run_id INTEGER NOT NULL
        CONSTRAINT tts_audio_pipeline_run_id_fkey REFERENCES pipeline_runs (id),
    engine_used TEXT NOT NULL,
    voice_profile TEXT,
    audio_file_path TEXT,
    duration_seconds REAL,
    generated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT tts_audio_generated_at_check CHECK (generated_at IS strftime('%Y-%m-%d %H:%M:%S', iif(generated_at GLOB '[0-9]*', substr(generated_at, 1, 19), ''), '+0 days') || substr(generated_at, 20) AND (length(generated_at) = 19 OR substr(generated_at, 20) GLOB '.[0-9]*' AND rtrim(substr(generated_at, 20), '0123456789') = '.'))
) STRICT;
CREATE INDEX idx_tts_audio_pipeline ON tts_audio (pipeline_run_id);

-- Shorts: short videos made from the clips of a run.
CREATE TABLE shorts (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    pipeline_run_id INTEGER NOT NULL
        CONSTRAINT shorts_pipeline_run_id_fkey REFERENCES pipeline_runs (id),
    clip_id INTEGER
        CONSTRAINT shorts_clip_id_fkey REFERENCES clips (id),
    file_path TEXT,
    duration_seconds REAL,
    title TEXT,
    description TEXT,
    youtube_video_id TEXT,
    youtube_url TEXT,
    status TEXT NOT NULL DEFAULT 'pending'
        CONSTRAINT shorts_status_check CHECK (status IN ('pending', 'review', 'uploaded', 'failed')),
    uploaded_at TEXT
        CONSTRAINT shorts_uploaded_at_check CHECK (uploaded_at IS strftime('%Y-%m-%d %H:%M:%S', iif(uploaded_at GLOB '[0-9]*', substr(uploaded_at, 1, 19), ''), '+0 days') || substr(uploaded_at, 20) AND (length(uploaded_at) = 19 OR substr(uploaded_at, 20) GLOB '.[0-9]*' AND rtrim(substr(uploaded_at, 20), '0123456789') = '.'))
) STRICT;
CREATE INDEX idx_shorts_pipeline ON shorts (pipeline_run_id);
CREATE INDEX idx_shorts_clip ON shorts (clip_id);

-- Analytics: metrics of a YouTube video at one point in time.
CREATE TABLE analytics (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    youtube_video_id TEXT NOT NULL,
    measured_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT analytics_measured_at_check CHECK (measured_at IS strftime('%Y-%m-%d %H:%M:%S', iif(measured_at GLOB '[0-9]*', substr(measured_at, 1, 19), ''), '+0 days') || substr(measured_at, 20) AND (length(measured_at) = 19 OR substr(measured_at, 20) GLOB '.[0-9]*' AND rtrim(substr(measured_at, 20), '0123456789') = '.')),
    view_count INTEGER,
    like_count INTEGER,
    comment_count INTEGER,
    average_view_duration_seconds REAL,
    click_through_rate REAL,
    subscriber_gain INTEGER
        CONSTRAINT analytics_subscriber_gain_check CHECK (subscriber_gain BETWEEN -2147483648 AND 2147483647),
    estimated_revenue_usd REAL
) STRICT;
CREATE INDEX idx_analytics_video ON analytics (youtube_video_id, measured_at);

-- Reviews that a person is asked for, and the answers.
CREATE TABLE review_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    pipeline_run_id INTEGER NOT NULL
        CONSTRAINT review_log_pipeline_run_id_fkey REFERENCES pipeline_runs (id),
    sent_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT review_log_sent_at_check CHECK (sent_at IS strftime('%Y-%m-%d %H:%M:%S', iif(sent_at GLOB '[0-9]*', substr(sent_at, 1, 19), ''), '+0 days') || substr(sent_at, 20) AND (length(sent_at) = 19 OR substr(sent_at, 20) GLOB '.[0-9]*' AND rtrim(substr(sent_at, 20), '0123456789') = '.')),
    responded_at TEXT
        CONSTRAINT review_log_responded_at_check CHECK (responded_at IS strftime('%Y-%m-%d %H:%M:%S', iif(responded_at GLOB '[0-9]*', substr(responded_at, 1, 19), ''), '+0 days') || substr(responded_at, 20) AND (length(responded_at) = 19 OR substr(responded_at, 20) GLOB '.[0-9]*' AND rtrim(substr(responded_at, 20), '0123456789') = '.')),
    action TEXT
        CONSTRAINT review_log_action_check CHECK (action IN ('approve', 'reject', 'hold', 'skip', 'redo_script')),
    response_detail TEXT,
    auto_held INTEGER NOT NULL DEFAULT 0
        CONSTRAINT review_log_auto_held_check CHECK (auto_held IN (0, 1))
) STRICT;
CREATE INDEX idx_review_log_pipeline ON review_log (pipeline_run_id);

-- Settings that an operator changed at run time.
CREATE TABLE config_overrides (
    key TEXT PRIMARY KEY NOT NULL,
    value TEXT NOT NULL,
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT config_overrides_updated_at_check CHECK (updated_at IS strftime('%Y-%m-%d %H:%M:%S', iif(updated_at GLOB '[0-9]*', substr(updated_at, 1, 19), ''), '+0 days') || substr(updated_at, 20) AND (length(updated_at) = 19 OR substr(updated_at, 20) GLOB '.[0-9]*' AND rtrim(substr(updated_at, 20), '0123456789') = '.')),
    updated_by TEXT NOT NULL DEFAULT 'system'
) STRICT;
CREATE TRIGGER config_overrides_updated_at AFTER UPDATE ON config_overrides
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE config_overrides SET updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000' WHERE key = NEW.key;
END;

-- Pipeline errors, kept until someone resolves them.
CREATE TABLE error_log (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    pipeline_run_id INTEGER
        CONSTRAINT error_log_pipeline_run_id_fkey REFERENCES pipeline_runs (id),
    module TEXT NOT NULL,
    error_type TEXT NOT NULL,
    error_message TEXT NOT NULL,
    stack_trace TEXT,
    occurred_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT error_log_occurred_at_check CHECK (occurred_at IS strftime('%Y-%m-%d %H:%M:%S', iif(occurred_at GLOB '[0-9]*', substr(occurred_at, 1, 19), ''), '+0 days') || substr(occurred_at, 20) AND (length(occurred_at) = 19 OR substr(occurred_at, 20) GLOB '.[0-9]*' AND rtrim(substr(occurred_at, 20), '0123456789') = '.')),
    resolved INTEGER NOT NULL DEFAULT 0
        CONSTRAINT error_log_resolved_check CHECK (resolved IN (0, 1)),
    correlation_id TEXT
        CONSTRAINT error_log_correlation_id_check CHECK (correlation_id LIKE '________-____-____-____-____________' AND length(replace(correlation_id, '-', '')) = 32 AND correlation_id NOT GLOB '*[^0-9a-f-]*')
) STRICT;
CREATE INDEX idx_error_log_module ON error_log (module, occurred_at);
CREATE INDEX idx_error_log_pipeline ON error_log (pipeline_run_id);
