-- Deletes the data of all jobs.
DELETE FROM viraldb_migrations WHERE version = '20261201000006';
ALTER TABLE video_processing_jobs DROP COLUMN payload;
