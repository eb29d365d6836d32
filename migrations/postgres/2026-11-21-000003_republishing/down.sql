-- Drops the 8 tables of republishing. All data in them is lost.

DROP TABLE system_configuration;
DROP TABLE video_statistics;
DROP TABLE channel_statistics;
DROP TABLE video_processing_jobs;
DROP FUNCTION viraldb_notify_jobs();
DROP TABLE videos;
DROP TABLE channels;
DROP TABLE music;
DROP TABLE transformation_presets;
