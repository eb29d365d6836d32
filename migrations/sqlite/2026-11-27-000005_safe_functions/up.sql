-- On PostgreSQL this gives our functions a search_path. SQLite has no functions in a schema, so nothing changes here.
SELECT 1;
