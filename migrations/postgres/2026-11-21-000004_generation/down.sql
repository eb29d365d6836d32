-- Drops the 4 tables of generation. All data in them is lost.

DROP VIEW viralforge.videos, viralforge.scripts, viralforge.trends, viralforge.jobs;
DROP SCHEMA viralforge;
DROP TABLE job_videos;
DROP TABLE job_scripts;
DROP TABLE trends;
DROP TABLE jobs;
