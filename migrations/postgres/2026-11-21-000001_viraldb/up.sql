-- What viraldb keeps for itself: the checksums of the migrations that made this database, and the
-- function behind every updated_at.

-- Diesel's own table says which migrations ran; this one says what they said when they ran.
CREATE TABLE viraldb_migrations (
    version text PRIMARY KEY,
    checksum text NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE viraldb_migrations IS 'Checksums of the migrations that made this database.';
COMMENT ON COLUMN viraldb_migrations.version IS 'Version of the migration, as in Diesel''s own table.';
COMMENT ON COLUMN viraldb_migrations.checksum IS 'SHA-256 of its up.sql with line endings as LF, in hexadecimal.';
COMMENT ON COLUMN viraldb_migrations.recorded_at IS 'When the checksum was recorded.';

-- Moves updated_at on an UPDATE that does not set it. The clock, not the transaction's start, so that
-- a row made and changed in one transaction shows both moments.
CREATE FUNCTION viraldb_touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.updated_at IS NOT DISTINCT FROM OLD.updated_at THEN
        NEW.updated_at := clock_timestamp();
    END IF;
    RETURN NEW;
END
$$;
