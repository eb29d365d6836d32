-- The trigger functions get a search_path of their own, so that they never call a function of another schema, whatever the
-- search_path of the session.
ALTER FUNCTION viraldb_touch_updated_at() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION viraldb_notify_config() SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION viraldb_notify_jobs() SET search_path = pg_catalog, pg_temp;
