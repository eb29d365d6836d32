-- Indexes for reports: what happened in a period of time.

CREATE INDEX idx_pipeline_runs_cycle_start ON pipeline_runs (cycle_start);
CREATE INDEX idx_review_log_sent_at ON review_log (sent_at);
CREATE INDEX idx_error_log_occurred_at ON error_log (occurred_at);
-- The errors that somebody should look at, usually few.
CREATE INDEX idx_error_log_unresolved ON error_log (occurred_at) WHERE NOT resolved;
CREATE INDEX idx_videos_published_at ON videos (published_at) WHERE published_at IS NOT NULL;
CREATE INDEX idx_job_videos_created_at ON job_videos (created_at);
-- Only the samples of a channel's own videos have a revenue.
CREATE INDEX idx_analytics_revenue ON analytics (measured_at) WHERE estimated_revenue_usd IS NOT NULL;
INSERT INTO viraldb_migrations (version, checksum) VALUES ('20261201000008', '');
