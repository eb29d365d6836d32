-- Forgets the checksums; the next viraldb that opens the database records them anew.

DROP FUNCTION viraldb_touch_updated_at();
DROP TABLE viraldb_migrations;
