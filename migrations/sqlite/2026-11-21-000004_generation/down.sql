-- Drops the 4 tables of generation with every row in them; what they held is lost.

DROP TABLE job_videos;
DROP TABLE job_scripts;
DROP TABLE trends;
DROP TABLE jobs;
