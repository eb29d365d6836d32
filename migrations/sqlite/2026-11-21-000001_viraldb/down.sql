-- Forgets the checksums; the next viraldb that opens the database records them anew.

DROP TABLE viraldb_migrations;
