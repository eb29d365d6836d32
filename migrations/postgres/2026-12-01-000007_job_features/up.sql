-- What a queue needs beyond the jobs: their progress, the history of failed attempts, jobs that wait for others, schedules,
-- and the limits that all workers share.

-- A running job may report its progress.
ALTER TABLE video_processing_jobs ADD COLUMN progress double precision
    CONSTRAINT video_processing_jobs_progress_check CHECK (progress BETWEEN CAST(0 AS double precision) AND CAST(1 AS double precision));
ALTER TABLE video_processing_jobs ADD COLUMN progress_note text;
COMMENT ON COLUMN video_processing_jobs.progress IS 'How much of the work is done, from 0 to 1, as the worker reported it.';
COMMENT ON COLUMN video_processing_jobs.progress_note IS 'What the worker is doing, as it reported it.';

-- The jobs that ended in a period of time.
CREATE INDEX idx_jobs_completed_at ON video_processing_jobs (completed_at) WHERE completed_at IS NOT NULL;

-- The attempts that did not complete their job. The last attempt is in the job itself.
CREATE TABLE viraldb_job_attempts (
    id uuid PRIMARY KEY,
    job_id uuid NOT NULL REFERENCES video_processing_jobs (id) ON DELETE CASCADE,
    attempt integer NOT NULL
        CONSTRAINT viraldb_job_attempts_attempt_check CHECK (attempt >= 1),
    outcome text NOT NULL
        CONSTRAINT viraldb_job_attempts_outcome_check CHECK (outcome IN ('failed', 'lost', 'canceled')),
    worker text,
    error text,
    started_at timestamptz,
    ended_at timestamptz NOT NULL
);
CREATE INDEX idx_viraldb_job_attempts_job_id ON viraldb_job_attempts (job_id, ended_at, id);
CREATE INDEX idx_viraldb_job_attempts_ended_at ON viraldb_job_attempts (ended_at, id);
COMMENT ON TABLE viraldb_job_attempts IS 'Attempts that did not complete their job.';
COMMENT ON COLUMN viraldb_job_attempts.id IS 'Primary key. viraldb generates version 7 UUIDs.';
COMMENT ON COLUMN viraldb_job_attempts.job_id IS 'The job.';
COMMENT ON COLUMN viraldb_job_attempts.attempt IS 'Number of the attempt, from 1.';
COMMENT ON COLUMN viraldb_job_attempts.outcome IS 'How the attempt ended.';
COMMENT ON COLUMN viraldb_job_attempts.worker IS 'Worker that held the lease.';
COMMENT ON COLUMN viraldb_job_attempts.error IS 'Why the attempt failed.';
COMMENT ON COLUMN viraldb_job_attempts.started_at IS 'When the job was claimed.';
COMMENT ON COLUMN viraldb_job_attempts.ended_at IS 'When the attempt ended.';

-- Which job waits for which. Until a job waits for no other, its run_at is far in the future.
CREATE TABLE viraldb_job_waits (
    id uuid PRIMARY KEY,
    job_id uuid NOT NULL REFERENCES video_processing_jobs (id) ON DELETE CASCADE,
    waits_for uuid NOT NULL REFERENCES video_processing_jobs (id) ON DELETE CASCADE,
    run_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX viraldb_job_waits_job_id_waits_for_key ON viraldb_job_waits (job_id, waits_for);
CREATE INDEX idx_viraldb_job_waits_waits_for ON viraldb_job_waits (waits_for, job_id);
COMMENT ON TABLE viraldb_job_waits IS 'Jobs that wait until other jobs are completed.';
COMMENT ON COLUMN viraldb_job_waits.id IS 'Primary key. viraldb generates version 7 UUIDs.';
COMMENT ON COLUMN viraldb_job_waits.job_id IS 'The job that waits.';
COMMENT ON COLUMN viraldb_job_waits.waits_for IS 'The job that it waits for.';
COMMENT ON COLUMN viraldb_job_waits.run_at IS 'When the waiting job is due, once it waits for no other.';
-- A job that waits for no other job any more becomes due. The lock makes transactions that complete two of the jobs it
-- waits for see each other's work.
CREATE FUNCTION viraldb_release_waiting_job() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 FROM video_processing_jobs WHERE id = OLD.job_id FOR UPDATE;
    UPDATE video_processing_jobs SET run_at = greatest(OLD.run_at, pg_catalog.clock_timestamp())
    WHERE id = OLD.job_id AND status = 'queued'
        AND NOT EXISTS (SELECT 1 FROM viraldb_job_waits WHERE job_id = OLD.job_id);
    RETURN NULL;
END
$$;
CREATE TRIGGER viraldb_job_waits_deleted AFTER DELETE ON viraldb_job_waits
    FOR EACH ROW EXECUTE FUNCTION viraldb_release_waiting_job();

-- Jobs that are enqueued again and again.
CREATE TABLE viraldb_job_schedules (
    name text PRIMARY KEY,
    job_type text NOT NULL
        CONSTRAINT viraldb_job_schedules_job_type_check CHECK (job_type IN ('scrape', 'download', 'transform', 'publish', 'music_replace')),
    video_id uuid NOT NULL REFERENCES videos (id) ON DELETE CASCADE,
    channel_id uuid NOT NULL REFERENCES channels (id) ON DELETE CASCADE,
    cron text NOT NULL,
    time_zone text NOT NULL DEFAULT 'UTC',
    payload jsonb,
    priority integer NOT NULL DEFAULT 0,
    max_attempts integer
        CONSTRAINT viraldb_job_schedules_max_attempts_check CHECK (max_attempts >= 1),
    missed text NOT NULL DEFAULT 'once'
        CONSTRAINT viraldb_job_schedules_missed_check CHECK (missed IN ('skip', 'once', 'all')),
    overlap boolean NOT NULL DEFAULT false,
    paused boolean NOT NULL DEFAULT false,
    next_at timestamptz NOT NULL,
    last_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_viraldb_job_schedules_next_at ON viraldb_job_schedules (next_at);
CREATE INDEX idx_viraldb_job_schedules_video_id ON viraldb_job_schedules (video_id);
CREATE INDEX idx_viraldb_job_schedules_channel_id ON viraldb_job_schedules (channel_id);
CREATE TRIGGER viraldb_job_schedules_updated_at BEFORE UPDATE ON viraldb_job_schedules
    FOR EACH ROW EXECUTE FUNCTION viraldb_touch_updated_at();
COMMENT ON TABLE viraldb_job_schedules IS 'Schedules: jobs that are enqueued again and again.';
COMMENT ON COLUMN viraldb_job_schedules.name IS 'Primary key: the name of the schedule.';
COMMENT ON COLUMN viraldb_job_schedules.job_type IS 'Type of the jobs.';
COMMENT ON COLUMN viraldb_job_schedules.video_id IS 'Video of the jobs.';
COMMENT ON COLUMN viraldb_job_schedules.channel_id IS 'Channel of the jobs.';
COMMENT ON COLUMN viraldb_job_schedules.cron IS 'When jobs are enqueued, as a cron expression.';
COMMENT ON COLUMN viraldb_job_schedules.time_zone IS 'Time zone of the cron expression, as in the IANA database.';
COMMENT ON COLUMN viraldb_job_schedules.payload IS 'Data for the handler of the jobs.';
COMMENT ON COLUMN viraldb_job_schedules.priority IS 'Priority of the jobs; higher is claimed first.';
COMMENT ON COLUMN viraldb_job_schedules.max_attempts IS 'Maximum number of attempts of the jobs. NULL means the setting of the channel.';
COMMENT ON COLUMN viraldb_job_schedules.missed IS 'What happens to ticks that no worker was there for: skip them, enqueue once, or enqueue all.';
COMMENT ON COLUMN viraldb_job_schedules.overlap IS 'Whether a job is enqueued while the previous one is not finished.';
COMMENT ON COLUMN viraldb_job_schedules.paused IS 'Whether the schedule enqueues nothing.';
COMMENT ON COLUMN viraldb_job_schedules.next_at IS 'The next tick.';
COMMENT ON COLUMN viraldb_job_schedules.last_at IS 'The last tick that enqueued a job.';
COMMENT ON COLUMN viraldb_job_schedules.created_at IS 'When the row was created.';
COMMENT ON COLUMN viraldb_job_schedules.updated_at IS 'When the row last changed.';

-- How many jobs of a kind a worker may run, out of a number that all workers share.
CREATE TABLE viraldb_job_slots (
    name text NOT NULL,
    holder uuid NOT NULL,
    slots integer NOT NULL
        CONSTRAINT viraldb_job_slots_slots_check CHECK (slots >= 0),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (name, holder)
);
COMMENT ON TABLE viraldb_job_slots IS 'How many jobs of a kind each worker may run, out of a number that all workers share.';
COMMENT ON COLUMN viraldb_job_slots.name IS 'What is limited: a job type, or a channel.';
COMMENT ON COLUMN viraldb_job_slots.holder IS 'The running worker.';
COMMENT ON COLUMN viraldb_job_slots.slots IS 'How many jobs the worker may run.';
COMMENT ON COLUMN viraldb_job_slots.expires_at IS 'When others may have the slots, unless the worker renews them.';

-- When jobs were claimed whose rate is limited. Older rows than the period of the limit are deleted.
CREATE TABLE viraldb_job_starts (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    started_at timestamptz NOT NULL
);
CREATE INDEX idx_viraldb_job_starts_name ON viraldb_job_starts (name, started_at);
COMMENT ON TABLE viraldb_job_starts IS 'When jobs were claimed whose rate is limited.';
COMMENT ON COLUMN viraldb_job_starts.id IS 'Primary key. viraldb generates version 7 UUIDs.';
COMMENT ON COLUMN viraldb_job_starts.name IS 'What is limited.';
COMMENT ON COLUMN viraldb_job_starts.started_at IS 'When the job was claimed.';
INSERT INTO viraldb_migrations (version, checksum) VALUES ('20261201000007', '');
