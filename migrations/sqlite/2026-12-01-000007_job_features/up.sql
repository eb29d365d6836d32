-- What a queue needs beyond the jobs: their progress, the history of failed attempts, jobs that wait for others, schedules,
-- and the limits that all workers share.

-- A running job may report its progress.
ALTER TABLE video_processing_jobs ADD COLUMN progress REAL
    CONSTRAINT video_processing_jobs_progress_check CHECK (progress BETWEEN 0 AND 1);
ALTER TABLE video_processing_jobs ADD COLUMN progress_note TEXT;

-- The jobs that ended in a period of time.
CREATE INDEX idx_jobs_completed_at ON video_processing_jobs (completed_at) WHERE completed_at IS NOT NULL;

-- The attempts that did not complete their job. The last attempt is in the job itself.
CREATE TABLE viraldb_job_attempts (
    id TEXT PRIMARY KEY NOT NULL
        CONSTRAINT viraldb_job_attempts_id_check CHECK (id LIKE '________-____-____-____-____________' AND length(replace(id, '-', '')) = 32 AND id NOT GLOB '*[^0-9a-f-]*'),
    job_id TEXT NOT NULL
        CONSTRAINT viraldb_job_attempts_job_id_fkey REFERENCES video_processing_jobs (id) ON DELETE CASCADE,
    attempt INTEGER NOT NULL
        CONSTRAINT viraldb_job_attempts_attempt_check CHECK (attempt BETWEEN 1 AND 2147483647),
    outcome TEXT NOT NULL
        CONSTRAINT viraldb_job_attempts_outcome_check CHECK (outcome IN ('failed', 'lost', 'canceled')),
    worker TEXT,
    error TEXT,
    started_at TEXT
        CONSTRAINT viraldb_job_attempts_started_at_check CHECK (started_at IS strftime('%Y-%m-%d %H:%M:%S', iif(started_at GLOB '[0-9]*', substr(started_at, 1, 19), ''), '+0 days') || substr(started_at, 20) AND (length(started_at) = 19 OR substr(started_at, 20) GLOB '.[0-9]*' AND rtrim(substr(started_at, 20), '0123456789') = '.')),
    ended_at TEXT NOT NULL
        CONSTRAINT viraldb_job_attempts_ended_at_check CHECK (ended_at IS strftime('%Y-%m-%d %H:%M:%S', iif(ended_at GLOB '[0-9]*', substr(ended_at, 1, 19), ''), '+0 days') || substr(ended_at, 20) AND (length(ended_at) = 19 OR substr(ended_at, 20) GLOB '.[0-9]*' AND rtrim(substr(ended_at, 20), '0123456789') = '.'))
) STRICT;
CREATE INDEX idx_viraldb_job_attempts_job_id ON viraldb_job_attempts (job_id, ended_at, id);
CREATE INDEX idx_viraldb_job_attempts_ended_at ON viraldb_job_attempts (ended_at, id);

-- Which job waits for which. Until a job waits for no other, its run_at is far in the future.
CREATE TABLE viraldb_job_waits (
    id TEXT PRIMARY KEY NOT NULL
        CONSTRAINT viraldb_job_waits_id_check CHECK (id LIKE '________-____-____-____-____________' AND length(replace(id, '-', '')) = 32 AND id NOT GLOB '*[^0-9a-f-]*'),
    job_id TEXT NOT NULL
        CONSTRAINT viraldb_job_waits_job_id_fkey REFERENCES video_processing_jobs (id) ON DELETE CASCADE,
    waits_for TEXT NOT NULL
        CONSTRAINT viraldb_job_waits_waits_for_fkey REFERENCES video_processing_jobs (id) ON DELETE CASCADE,
    run_at TEXT NOT NULL
        CONSTRAINT viraldb_job_waits_run_at_check CHECK (run_at IS strftime('%Y-%m-%d %H:%M:%S', iif(run_at GLOB '[0-9]*', substr(run_at, 1, 19), ''), '+0 days') || substr(run_at, 20) AND (length(run_at) = 19 OR substr(run_at, 20) GLOB '.[0-9]*' AND rtrim(substr(run_at, 20), '0123456789') = '.'))
) STRICT;
CREATE UNIQUE INDEX viraldb_job_waits_job_id_waits_for_key ON viraldb_job_waits (job_id, waits_for);
CREATE INDEX idx_viraldb_job_waits_waits_for ON viraldb_job_waits (waits_for, job_id);
-- A job that waits for no other job any more becomes due.
CREATE TRIGGER viraldb_job_waits_deleted AFTER DELETE ON viraldb_job_waits
WHEN NOT EXISTS (SELECT 1 FROM viraldb_job_waits WHERE job_id = OLD.job_id)
BEGIN
    UPDATE video_processing_jobs SET run_at = max(OLD.run_at, strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
    WHERE id = OLD.job_id AND status = 'queued';
END;

-- Jobs that are enqueued again and again.
CREATE TABLE viraldb_job_schedules (
    name TEXT PRIMARY KEY NOT NULL,
    job_type TEXT NOT NULL
        CONSTRAINT viraldb_job_schedules_job_type_check CHECK (job_type IN ('scrape', 'download', 'transform', 'publish', 'music_replace')),
    video_id TEXT NOT NULL
        CONSTRAINT viraldb_job_schedules_video_id_fkey REFERENCES videos (id) ON DELETE CASCADE,
    channel_id TEXT NOT NULL
        CONSTRAINT viraldb_job_schedules_channel_id_fkey REFERENCES channels (id) ON DELETE CASCADE,
    cron TEXT NOT NULL,
    time_zone TEXT NOT NULL DEFAULT 'UTC',
    payload TEXT
        CONSTRAINT viraldb_job_schedules_payload_check CHECK (payload IS NULL OR json_valid(payload)),
    priority INTEGER NOT NULL DEFAULT 0
        CONSTRAINT viraldb_job_schedules_priority_check CHECK (priority BETWEEN -2147483648 AND 2147483647),
    max_attempts INTEGER
        CONSTRAINT viraldb_job_schedules_max_attempts_check CHECK (max_attempts BETWEEN 1 AND 2147483647),
    missed TEXT NOT NULL DEFAULT 'once'
        CONSTRAINT viraldb_job_schedules_missed_check CHECK (missed IN ('skip', 'once', 'all')),
    overlap INTEGER NOT NULL DEFAULT 0
        CONSTRAINT viraldb_job_schedules_overlap_check CHECK (overlap IN (0, 1)),
    paused INTEGER NOT NULL DEFAULT 0
        CONSTRAINT viraldb_job_schedules_paused_check CHECK (paused IN (0, 1)),
    next_at TEXT NOT NULL
        CONSTRAINT viraldb_job_schedules_next_at_check CHECK (next_at IS strftime('%Y-%m-%d %H:%M:%S', iif(next_at GLOB '[0-9]*', substr(next_at, 1, 19), ''), '+0 days') || substr(next_at, 20) AND (length(next_at) = 19 OR substr(next_at, 20) GLOB '.[0-9]*' AND rtrim(substr(next_at, 20), '0123456789') = '.')),
    last_at TEXT
        CONSTRAINT viraldb_job_schedules_last_at_check CHECK (last_at IS strftime('%Y-%m-%d %H:%M:%S', iif(last_at GLOB '[0-9]*', substr(last_at, 1, 19), ''), '+0 days') || substr(last_at, 20) AND (length(last_at) = 19 OR substr(last_at, 20) GLOB '.[0-9]*' AND rtrim(substr(last_at, 20), '0123456789') = '.')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT viraldb_job_schedules_created_at_check CHECK (created_at IS strftime('%Y-%m-%d %H:%M:%S', iif(created_at GLOB '[0-9]*', substr(created_at, 1, 19), ''), '+0 days') || substr(created_at, 20) AND (length(created_at) = 19 OR substr(created_at, 20) GLOB '.[0-9]*' AND rtrim(substr(created_at, 20), '0123456789') = '.')),
    updated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT viraldb_job_schedules_updated_at_check CHECK (updated_at IS strftime('%Y-%m-%d %H:%M:%S', iif(updated_at GLOB '[0-9]*', substr(updated_at, 1, 19), ''), '+0 days') || substr(updated_at, 20) AND (length(updated_at) = 19 OR substr(updated_at, 20) GLOB '.[0-9]*' AND rtrim(substr(updated_at, 20), '0123456789') = '.'))
) STRICT;
CREATE INDEX idx_viraldb_job_schedules_next_at ON viraldb_job_schedules (next_at);
CREATE INDEX idx_viraldb_job_schedules_video_id ON viraldb_job_schedules (video_id);
CREATE INDEX idx_viraldb_job_schedules_channel_id ON viraldb_job_schedules (channel_id);
CREATE TRIGGER viraldb_job_schedules_updated_at AFTER UPDATE ON viraldb_job_schedules
WHEN NEW.updated_at IS OLD.updated_at
BEGIN
    UPDATE viraldb_job_schedules SET updated_at = strftime('%Y-%m-%d %H:%M:%f', 'now') || '000' WHERE name = NEW.name;
END;

-- How many jobs of a kind a worker may run, out of a number that all workers share.
CREATE TABLE viraldb_job_slots (
    name TEXT NOT NULL,
    holder TEXT NOT NULL
        CONSTRAINT viraldb_job_slots_holder_check CHECK (holder LIKE '________-____-____-____-____________' AND length(replace(holder, '-', '')) = 32 AND holder NOT GLOB '*[^0-9a-f-]*'),
    slots INTEGER NOT NULL
        CONSTRAINT viraldb_job_slots_slots_check CHECK (slots BETWEEN 0 AND 2147483647),
    expires_at TEXT NOT NULL
        CONSTRAINT viraldb_job_slots_expires_at_check CHECK (expires_at IS strftime('%Y-%m-%d %H:%M:%S', iif(expires_at GLOB '[0-9]*', substr(expires_at, 1, 19), ''), '+0 days') || substr(expires_at, 20) AND (length(expires_at) = 19 OR substr(expires_at, 20) GLOB '.[0-9]*' AND rtrim(substr(expires_at, 20), '0123456789') = '.')),
    PRIMARY KEY (name, holder)
) STRICT;

-- When jobs were claimed whose rate is limited. Older rows than the period of the limit are deleted.
CREATE TABLE viraldb_job_starts (
    id TEXT PRIMARY KEY NOT NULL
        CONSTRAINT viraldb_job_starts_id_check CHECK (id LIKE '________-____-____-____-____________' AND length(replace(id, '-', '')) = 32 AND id NOT GLOB '*[^0-9a-f-]*'),
    name TEXT NOT NULL,
    started_at TEXT NOT NULL
        CONSTRAINT viraldb_job_starts_started_at_check CHECK (started_at IS strftime('%Y-%m-%d %H:%M:%S', iif(started_at GLOB '[0-9]*', substr(started_at, 1, 19), ''), '+0 days') || substr(started_at, 20) AND (length(started_at) = 19 OR substr(started_at, 20) GLOB '.[0-9]*' AND rtrim(substr(started_at, 20), '0123456789') = '.'))
) STRICT;
CREATE INDEX idx_viraldb_job_starts_name ON viraldb_job_starts (name, started_at);
INSERT INTO viraldb_migrations (version, checksum) VALUES ('20261201000007', '');
