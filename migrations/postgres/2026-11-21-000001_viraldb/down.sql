-- Permanently deletes the history of setting changes and the list of keys that encrypt secrets. Also deletes the migration
-- checksums, which the next viraldb that opens the database records again.

DROP FUNCTION viraldb_touch_updated_at();
DROP FUNCTION viraldb_notify_config();
DROP TABLE viraldb_keys;
DROP TABLE viraldb_config_changes;
DROP TABLE viraldb_migrations;
