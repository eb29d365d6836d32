-- The migration changes nothing on SQLite, so there is nothing to revert. No data is lost.
SELECT 1;
