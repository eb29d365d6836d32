-- Loses no data.
DELETE FROM viraldb_migrations WHERE version = '20261202000009';
DROP INDEX idx_error_log_unresolved;
CREATE INDEX idx_error_log_unresolved ON error_log (occurred_at) WHERE NOT resolved;
