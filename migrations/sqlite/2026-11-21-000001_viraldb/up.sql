-- What viraldb keeps for itself: the checksums of the migrations that made this database.

-- Diesel's own table says which migrations ran; this one says what they said when they ran.
CREATE TABLE viraldb_migrations (
    version TEXT PRIMARY KEY NOT NULL,
    checksum TEXT NOT NULL,
    recorded_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT viraldb_migrations_recorded_at_check CHECK (recorded_at IS strftime('%Y-%m-%d %H:%M:%S', substr(recorded_at, 1, 19), '+0 days') || substr(recorded_at, 20) AND (length(recorded_at) = 19 OR substr(recorded_at, 20) GLOB '.[0-9]*' AND rtrim(substr(recorded_at, 20), '0123456789') = '.'))
) STRICT;
