-- Nothing changed here, so nothing is taken back. No data is lost.
SELECT 1;
