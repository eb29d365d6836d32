-- On PostgreSQL this migration gives the trigger functions a search_path. SQLite has no functions in a schema, so it changes
-- nothing here.
SELECT 1;
