-- Drops the 10 tables of compilation. All data in them is lost.

DROP TABLE error_log;
DROP TABLE config_overrides;
DROP TABLE review_log;
DROP TABLE analytics;
DROP TABLE shorts;
DROP TABLE tts_audio;
DROP TABLE scripts;
DROP TABLE clips;
DROP TABLE pipeline_runs;
DROP TABLE discovered_videos;
