-- Drops the 4 tables of generation. All data in them is lost.

DROP TABLE job_videos;
DROP TABLE job_scripts;
DROP TABLE trends;
DROP TABLE jobs;
