-- The tables of viraldb itself: the checksums of the applied migrations, the history of setting changes, and the
-- fingerprints of the keys that encrypt secrets.
--
-- The CHECKs on timestamps compare a text with the timestamp that SQLite parses from it. They do so only if the text begins
-- with a digit, because SQLite would parse `now` as the current time, which is not allowed in a CHECK.

-- Diesel's own table lists the applied migrations. This table has the checksum of each when it was applied.
CREATE TABLE viraldb_migrations (
    version TEXT PRIMARY KEY NOT NULL,
    checksum TEXT NOT NULL,
    recorded_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT viraldb_migrations_recorded_at_check CHECK (recorded_at IS strftime('%Y-%m-%d %H:%M:%S', iif(recorded_at GLOB '[0-9]*', substr(recorded_at, 1, 19), ''), '+0 days') || substr(recorded_at, 20) AND (length(recorded_at) = 19 OR substr(recorded_at, 20) GLOB '.[0-9]*' AND rtrim(substr(recorded_at, 20), '0123456789') = '.'))
) STRICT;

-- Every change of a setting that was made through viraldb. Rows are inserted, never updated.
CREATE TABLE viraldb_config_changes (
    id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    changed_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT viraldb_config_changes_changed_at_check CHECK (changed_at IS strftime('%Y-%m-%d %H:%M:%S', iif(changed_at GLOB '[0-9]*', substr(changed_at, 1, 19), ''), '+0 days') || substr(changed_at, 20) AND (length(changed_at) = 19 OR substr(changed_at, 20) GLOB '.[0-9]*' AND rtrim(substr(changed_at, 20), '0123456789') = '.')),
    changed_by TEXT NOT NULL,
    key TEXT NOT NULL,
    layer TEXT NOT NULL
        CONSTRAINT viraldb_config_changes_layer_check CHECK (layer IN ('channel', 'override', 'system')),
    channel_id TEXT
        CONSTRAINT viraldb_config_changes_channel_id_check CHECK (channel_id LIKE '________-____-____-____-____________' AND length(replace(channel_id, '-', '')) = 32 AND channel_id NOT GLOB '*[^0-9a-f-]*'),
    old_value TEXT,
    new_value TEXT
) STRICT;
CREATE INDEX idx_viraldb_config_changes_key ON viraldb_config_changes (key, id);

-- The fingerprints of the keys that have encrypted values in this database. The keys themselves are never stored.
CREATE TABLE viraldb_keys (
    id TEXT PRIMARY KEY NOT NULL,
    first_used_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%d %H:%M:%f', 'now') || '000')
        CONSTRAINT viraldb_keys_first_used_at_check CHECK (first_used_at IS strftime('%Y-%m-%d %H:%M:%S', iif(first_used_at GLOB '[0-9]*', substr(first_used_at, 1, 19), ''), '+0 days') || substr(first_used_at, 20) AND (length(first_used_at) = 19 OR substr(first_used_at, 20) GLOB '.[0-9]*' AND rtrim(substr(first_used_at, 20), '0123456789') = '.')),
    retired_at TEXT
        CONSTRAINT viraldb_keys_retired_at_check CHECK (retired_at IS strftime('%Y-%m-%d %H:%M:%S', iif(retired_at GLOB '[0-9]*', substr(retired_at, 1, 19), ''), '+0 days') || substr(retired_at, 20) AND (length(retired_at) = 19 OR substr(retired_at, 20) GLOB '.[0-9]*' AND rtrim(substr(retired_at, 20), '0123456789') = '.'))
) STRICT;
