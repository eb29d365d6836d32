-- Makes the trigger functions use the search_path of the session again. No data is lost.
ALTER FUNCTION viraldb_notify_jobs() RESET search_path;
ALTER FUNCTION viraldb_notify_config() RESET search_path;
ALTER FUNCTION viraldb_touch_updated_at() RESET search_path;
