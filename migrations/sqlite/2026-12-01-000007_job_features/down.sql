-- Deletes the schedules, the history of attempts, the progress of all jobs, and what they wait for. Waiting jobs become due.
DELETE FROM viraldb_migrations WHERE version = '20261201000007';
DROP TABLE viraldb_job_starts;
DROP TABLE viraldb_job_slots;
DROP TABLE viraldb_job_schedules;
DELETE FROM viraldb_job_waits;
DROP TABLE viraldb_job_waits;
DROP TABLE viraldb_job_attempts;
DROP INDEX idx_jobs_completed_at;
ALTER TABLE video_processing_jobs DROP COLUMN progress_note;
ALTER TABLE video_processing_jobs DROP COLUMN progress;
