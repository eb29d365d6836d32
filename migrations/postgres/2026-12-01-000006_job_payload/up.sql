-- A job may carry data for its handler.
ALTER TABLE video_processing_jobs ADD COLUMN payload jsonb;
COMMENT ON COLUMN video_processing_jobs.payload IS 'Data for the handler of the job.';
INSERT INTO viraldb_migrations (version, checksum) VALUES ('20261201000006', '');
