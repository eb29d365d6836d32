-- Forgets what became of the settings and which keys seal secrets, both for good, and the checksums, which the
-- next viraldb that opens the database records anew.

DROP FUNCTION viraldb_touch_updated_at();
DROP FUNCTION viraldb_notify_config();
DROP TABLE viraldb_keys;
DROP TABLE viraldb_config_changes;
DROP TABLE viraldb_migrations;
