-- Loses no data.
DELETE FROM viraldb_migrations WHERE version = '20261201000008';
DROP INDEX idx_analytics_revenue;
DROP INDEX idx_job_videos_created_at;
DROP INDEX idx_videos_published_at;
DROP INDEX idx_error_log_unresolved;
DROP INDEX idx_error_log_occurred_at;
DROP INDEX idx_review_log_sent_at;
DROP INDEX idx_pipeline_runs_cycle_start;
