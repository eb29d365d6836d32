-- A job may carry data for its handler.
ALTER TABLE video_processing_jobs ADD COLUMN payload TEXT
    CONSTRAINT video_processing_jobs_payload_check CHECK (payload IS NULL OR json_valid(payload));
INSERT INTO viraldb_migrations (version, checksum) VALUES ('20261201000006', '');
