-- Forgets what became of the settings and which keys seal secrets, both for good, and the checksums, which the
-- next viraldb that opens the database records anew.

DROP TABLE viraldb_keys;
DROP TABLE viraldb_config_changes;
DROP TABLE viraldb_migrations;
