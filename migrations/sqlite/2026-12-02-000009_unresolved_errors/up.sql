-- The unresolved errors are listed by id. In the former index they had to be sorted.
DROP INDEX idx_error_log_unresolved;
CREATE INDEX idx_error_log_unresolved ON error_log (id) WHERE NOT resolved;
INSERT INTO viraldb_migrations (version, checksum) VALUES ('20261202000009', '');
