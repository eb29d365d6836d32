
CREATE TYPE public.jobstatus AS ENUM (
    'pending',
    'running',
    'completed',
    'failed'
);

CREATE TYPE public.platform AS ENUM (
    'tiktok',
    'youtube'
);

CREATE TYPE public.videostatus AS ENUM (
    'GENERATED',
    'APPROVED',
    'REJECTED',
    'PUBLISHED'
);

CREATE TABLE public.jobs (
    id integer NOT NULL,
    status public.jobstatus NOT NULL,
    stage character varying(50),
    theme character varying(255),
    created_at timestamp with time zone DEFAULT now(),
    updated_at timestamp with time zone,
    error_message text,
    metadata jsonb
);

CREATE SEQUENCE public.jobs_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.jobs_id_seq OWNED BY public.jobs.id;

CREATE TABLE public.scripts (
    id integer NOT NULL,
    job_id integer,
    video_prompt text NOT NULL,
    scenes jsonb NOT NULL,
    text_overlays jsonb,
    voiceover_script text,
    title character varying(500),
    description text,
    hashtags jsonb,
    created_at timestamp with time zone DEFAULT now(),
    hook_text character varying(500),
    aspect_ratio character varying(10)
);

CREATE SEQUENCE public.scripts_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.scripts_id_seq OWNED BY public.scripts.id;

CREATE TABLE public.trend_reports (
    id integer NOT NULL,
    raw_report jsonb
);

CREATE SEQUENCE public.trend_reports_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.trend_reports_id_seq OWNED BY public.trend_reports.id;

CREATE TABLE public.trends (
    id integer NOT NULL,
    platform public.platform NOT NULL,
    external_id character varying(255) NOT NULL,
    title character varying(500),
    creator character varying(255),
    hashtags jsonb,
    views bigint,
    likes bigint,
    comments bigint,
    shares bigint,
    video_url character varying(1000),
    thumbnail_url character varying(1000),
    collected_at timestamp with time zone DEFAULT now(),
    metadata jsonb,
    description text,
    duration integer,
    sound_name character varying(500),
    posted_at timestamp with time zone,
    engagement_velocity double precision
);

CREATE SEQUENCE public.trends_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.trends_id_seq OWNED BY public.trends.id;

CREATE TABLE public.videos (
    id integer NOT NULL,
    job_id integer,
    script_id integer,
    status public.videostatus,
    file_path character varying(1000),
    thumbnail_path character varying(1000),
    duration_seconds double precision,
    cost_usd double precision,
    created_at timestamp with time zone DEFAULT now(),
    approved_at timestamp with time zone,
    published_at timestamp with time zone,
    published_url character varying(1000),
    metadata jsonb
);

CREATE SEQUENCE public.videos_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE public.videos_id_seq OWNED BY public.videos.id;

ALTER TABLE ONLY public.jobs ALTER COLUMN id SET DEFAULT nextval('public.jobs_id_seq'::regclass);

ALTER TABLE ONLY public.scripts ALTER COLUMN id SET DEFAULT nextval('public.scripts_id_seq'::regclass);

ALTER TABLE ONLY public.trend_reports ALTER COLUMN id SET DEFAULT nextval('public.trend_reports_id_seq'::regclass);

ALTER TABLE ONLY public.trends ALTER COLUMN id SET DEFAULT nextval('public.trends_id_seq'::regclass);

ALTER TABLE ONLY public.videos ALTER COLUMN id SET DEFAULT nextval('public.videos_id_seq'::regclass);

INSERT INTO public.jobs VALUES (1, 'pending', 'script', '猫の動画 🐱', '2026-01-02 00:00:00.000001+00', '2026-01-02 00:10:00+00', NULL, 'null');
INSERT INTO public.jobs VALUES (2, 'running', 'video', 'plain', '2026-01-03 00:00:00.000002+00', '2026-01-03 00:10:00+00', NULL, NULL);
INSERT INTO public.jobs VALUES (3, 'completed', NULL, '“why?”', '2026-01-04 00:00:00.000003+00', '2026-01-04 00:10:00+00', NULL, '[]');
INSERT INTO public.jobs VALUES (4, 'failed', 'collect', 'ça va', '2026-01-05 00:00:00.000004+00', NULL, 'quota exceeded ✋', '{"n": 0.0000001}');
INSERT INTO public.jobs VALUES (5, 'pending', 'script', 'Häuser aus Lehm', '2026-01-06 00:00:00.000005+00', '2026-01-06 00:10:00+00', NULL, '{"stage": {"note": "größer", "trends": 12}}');
INSERT INTO public.jobs VALUES (6, 'running', 'video', '猫の動画 🐱', '2026-01-07 00:00:00.000006+00', '2026-01-07 00:10:00+00', NULL, 'null');
INSERT INTO public.jobs VALUES (7, 'completed', NULL, 'plain', '2026-01-08 00:00:00.000007+00', '2026-01-08 00:10:00+00', NULL, NULL);
INSERT INTO public.jobs VALUES (8, 'failed', 'collect', '“why?”', '2026-01-09 00:00:00.000008+00', NULL, 'quota exceeded ✋', '[]');
INSERT INTO public.jobs VALUES (9, 'pending', 'script', 'ça va', '2026-01-10 00:00:00.000009+00', '2026-01-10 00:10:00+00', NULL, '{"n": 0.0000001}');
INSERT INTO public.jobs VALUES (10, 'running', 'video', 'Häuser aus Lehm', '2026-01-11 00:00:00.00001+00', '2026-01-11 00:10:00+00', NULL, '{"stage": {"note": "größer", "trends": 12}}');
INSERT INTO public.jobs VALUES (11, 'completed', NULL, '猫の動画 🐱', '2026-01-12 00:00:00.000011+00', '2026-01-12 00:10:00+00', NULL, 'null');
INSERT INTO public.jobs VALUES (12, 'failed', 'collect', 'plain', '2026-01-13 00:00:00.000012+00', NULL, 'quota exceeded ✋', NULL);
INSERT INTO public.jobs VALUES (30, 'pending', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.jobs VALUES (34, 'pending', NULL, NULL, '2026-02-01 00:00:00+00', 'infinity', NULL, NULL);

INSERT INTO public.scripts VALUES (1, 1, 'a cat, 猫の動画 🐱', '{}', 'null', 'Once…', '猫の動画 🐱', 'a
b', '["#a"]', '2026-01-02 00:00:30+00', 'hook', '9:16');
INSERT INTO public.scripts VALUES (2, 2, 'a cat, plain', 'null', '["WOW 🤯"]', NULL, 'plain', 'a
b', '["#a"]', '2026-01-03 00:00:30+00', 'hook', '9:16');
INSERT INTO public.scripts VALUES (3, 3, 'a cat, “why?”', '[]', NULL, 'Once…', '“why?”', 'a
b', '["#a"]', '2026-01-04 00:00:30+00', 'hook', '9:16');
INSERT INTO public.scripts VALUES (4, 4, 'a cat, ça va', '[{"n": 1, "text": "öffnen"}, {"n": 2}]', 'null', NULL, 'ça va', 'a
b', '["#a"]', '2026-01-05 00:00:30+00', 'hook', '9:16');
INSERT INTO public.scripts VALUES (5, 5, 'a cat, Häuser aus Lehm', '{}', '["WOW 🤯"]', 'Once…', 'Häuser aus Lehm', 'a
b', '["#a"]', '2026-01-06 00:00:30+00', 'hook', '9:16');
INSERT INTO public.scripts VALUES (6, 6, 'a cat, 猫の動画 🐱', 'null', NULL, NULL, '猫の動画 🐱', 'a
b', '["#a"]', '2026-01-07 00:00:30+00', 'hook', '9:16');
INSERT INTO public.scripts VALUES (7, 7, 'a cat, plain', '[]', 'null', 'Once…', 'plain', 'a
b', '["#a"]', '2026-01-08 00:00:30+00', 'hook', '9:16');
INSERT INTO public.scripts VALUES (8, NULL, 'a cat, “why?”', '[{"n": 1, "text": "öffnen"}, {"n": 2}]', '["WOW 🤯"]', NULL, '“why?”', 'a
b', '["#a"]', '2026-01-09 00:00:30+00', 'hook', '9:16');
INSERT INTO public.scripts VALUES (20, 30, 'x', '[]', NULL, NULL, NULL, NULL, NULL, '2026-02-01 00:00:00+00', NULL, NULL);
INSERT INTO public.scripts VALUES (21, 1, 'x', '[]', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

INSERT INTO public.trend_reports VALUES (1, '{"styles": 1}');
INSERT INTO public.trend_reports VALUES (2, '{"styles": 2}');

INSERT INTO public.trends VALUES (1, 'youtube', '7300000000000000001', '猫の動画 🐱', '@créateur1', NULL, 0, 100000007, 1, 1, 'https://www.tiktok.com/@a/video/1', NULL, '2026-01-02 00:00:05+00', '{"sound": "оригинал"}', 'd', 1, 's', '2026-01-02 00:00:00+00', 0.3333333333333333);
INSERT INTO public.trends VALUES (2, 'tiktok', '7300000000000000002', 'plain', '@créateur2', '["#fyp", "#größe", "#🔥"]', NULL, 200000014, 2, 2, 'https://www.tiktok.com/@a/video/2', NULL, '2026-01-03 00:00:05+00', NULL, 'd', 2, 's', '2026-01-03 00:00:00+00', 0.6666666666666666);
INSERT INTO public.trends VALUES (3, 'youtube', '7300000000000000003', '“why?”', '@créateur3', '[]', 3500000000, 300000021, 3, 3, 'https://www.tiktok.com/@a/video/3', NULL, '2026-01-04 00:00:05+00', '{"sound": "оригинал"}', 'd', 3, 's', '2026-01-04 00:00:00+00', 1);
INSERT INTO public.trends VALUES (4, 'tiktok', '7300000000000000004', 'ça va', '@créateur4', 'null', 0, 400000028, 4, 4, 'https://www.tiktok.com/@a/video/4', NULL, '2026-01-05 00:00:05+00', NULL, 'd', 4, 's', '2026-01-05 00:00:00+00', 1.3333333333333333);
INSERT INTO public.trends VALUES (5, 'youtube', '7300000000000000005', 'Häuser aus Lehm', NULL, NULL, NULL, 500000035, 5, 5, 'https://www.tiktok.com/@a/video/5', NULL, '2026-01-06 00:00:05+00', '{"sound": "оригинал"}', 'd', 5, 's', '2026-01-06 00:00:00+00', 1.6666666666666667);
INSERT INTO public.trends VALUES (6, 'tiktok', '7300000000000000006', '猫の動画 🐱', '@créateur6', '["#fyp", "#größe", "#🔥"]', 3500000000, 600000042, 6, 6, 'https://www.tiktok.com/@a/video/6', NULL, '2026-01-07 00:00:05+00', NULL, 'd', 6, 's', '2026-01-07 00:00:00+00', 2);
INSERT INTO public.trends VALUES (7, 'youtube', '7300000000000000007', 'plain', '@créateur7', '[]', 0, 700000049, 7, NULL, 'https://www.tiktok.com/@a/video/7', NULL, '2026-01-08 00:00:05+00', '{"sound": "оригинал"}', 'd', 7, 's', '2026-01-08 00:00:00+00', 2.3333333333333335);
INSERT INTO public.trends VALUES (8, 'tiktok', '7300000000000000008', '“why?”', '@créateur8', 'null', NULL, 800000056, 8, 8, 'https://www.tiktok.com/@a/video/8', NULL, '2026-01-09 00:00:05+00', NULL, 'd', 8, 's', '2026-01-09 00:00:00+00', 2.6666666666666665);
INSERT INTO public.trends VALUES (9, 'youtube', '7300000000000000009', 'ça va', '@créateur9', NULL, 3500000000, 900000063, 9, 9, 'https://www.tiktok.com/@a/video/9', NULL, '2026-01-10 00:00:05+00', '{"sound": "оригинал"}', 'd', 9, 's', '2026-01-10 00:00:00+00', 3);
INSERT INTO public.trends VALUES (10, 'tiktok', '7300000000000000010', 'Häuser aus Lehm', NULL, '["#fyp", "#größe", "#🔥"]', 0, 1000000070, 10, 10, 'https://www.tiktok.com/@a/video/10', NULL, '2026-01-11 00:00:05+00', NULL, 'd', 10, 's', '2026-01-11 00:00:00+00', 3.3333333333333335);
INSERT INTO public.trends VALUES (11, 'youtube', '7300000000000000011', '猫の動画 🐱', '@créateur11', '[]', NULL, 1100000077, 11, 11, 'https://www.tiktok.com/@a/video/11', NULL, '2026-01-12 00:00:05+00', '{"sound": "оригинал"}', 'd', 11, 's', '2026-01-12 00:00:00+00', 3.6666666666666665);
INSERT INTO public.trends VALUES (12, 'tiktok', '7300000000000000012', 'plain', '@créateur12', 'null', 3500000000, 1200000084, 12, 12, 'https://www.tiktok.com/@a/video/12', NULL, '2026-01-13 00:00:05+00', NULL, 'd', 12, 's', '2026-01-13 00:00:00+00', 4);
INSERT INTO public.trends VALUES (13, 'youtube', '7300000000000000013', '“why?”', '@créateur13', NULL, 0, 1300000091, 13, 13, 'https://www.tiktok.com/@a/video/13', NULL, '2026-01-14 00:00:05+00', '{"sound": "оригинал"}', 'd', 13, 's', '2026-01-14 00:00:00+00', 4.333333333333333);
INSERT INTO public.trends VALUES (14, 'tiktok', '7300000000000000014', 'ça va', '@créateur14', '["#fyp", "#größe", "#🔥"]', NULL, 1400000098, 14, NULL, 'https://www.tiktok.com/@a/video/14', NULL, '2026-01-15 00:00:05+00', NULL, 'd', 14, 's', '2026-01-15 00:00:00+00', 4.666666666666667);
INSERT INTO public.trends VALUES (15, 'youtube', '7300000000000000015', 'Häuser aus Lehm', NULL, '[]', 3500000000, 1500000105, 15, 15, 'https://www.tiktok.com/@a/video/15', NULL, '2026-01-16 00:00:05+00', '{"sound": "оригинал"}', 'd', 15, 's', '2026-01-16 00:00:00+00', 5);
INSERT INTO public.trends VALUES (16, 'tiktok', '7300000000000000016', '猫の動画 🐱', '@créateur16', 'null', 0, 1600000112, 16, 16, 'https://www.tiktok.com/@a/video/16', NULL, '2026-01-17 00:00:05+00', NULL, 'd', 16, 's', '2026-01-17 00:00:00+00', 5.333333333333333);
INSERT INTO public.trends VALUES (30, 'youtube', '7300000000000000002', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '2026-02-01 00:00:00+00', NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.trends VALUES (37, 'tiktok', 'odd37', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);

INSERT INTO public.videos VALUES (1, 1, 1, 'GENERATED', '/out/видео 1.mp4', NULL, 4.2, 0.123456789, '2026-01-02 00:01:00+00', NULL, NULL, NULL, '{"seed": 9007199254740992, "model": "veo"}');
INSERT INTO public.videos VALUES (2, 2, NULL, 'APPROVED', '/out/видео 2.mp4', NULL, 8.4, 0.246913578, '2026-01-03 00:01:00+00', '2026-01-03 00:01:30+00', NULL, NULL, 'null');
INSERT INTO public.videos VALUES (3, 3, 3, 'REJECTED', '/out/видео 3.mp4', NULL, NULL, 0.370370367, '2026-01-04 00:01:00+00', '2026-01-04 00:01:30+00', NULL, NULL, '{"seed": 9007199254740992, "model": "veo"}');
INSERT INTO public.videos VALUES (4, 4, NULL, 'PUBLISHED', '/out/видео 4.mp4', NULL, 16.8, 0.493827156, '2026-01-05 00:01:00+00', '2026-01-05 00:01:30+00', '2026-01-05 00:01:39+00', 'https://youtu.be/p4', 'null');
INSERT INTO public.videos VALUES (5, 5, 5, 'GENERATED', '/out/видео 5.mp4', NULL, 21, 0.617283945, '2026-01-06 00:01:00+00', NULL, NULL, NULL, '{"seed": 9007199254740992, "model": "veo"}');
INSERT INTO public.videos VALUES (6, 6, NULL, 'APPROVED', '/out/видео 6.mp4', NULL, 25.200000000000003, 0.740740734, '2026-01-07 00:01:00+00', '2026-01-07 00:01:30+00', NULL, NULL, 'null');
INSERT INTO public.videos VALUES (7, 7, 7, 'REJECTED', '/out/видео 7.mp4', NULL, 29.400000000000002, 0.864197523, '2026-01-08 00:01:00+00', '2026-01-08 00:01:30+00', NULL, NULL, '{"seed": 9007199254740992, "model": "veo"}');
INSERT INTO public.videos VALUES (8, 1, NULL, 'PUBLISHED', '/out/видео 8.mp4', NULL, 33.6, 0.987654312, '2026-01-09 00:01:00+00', '2026-01-09 00:01:30+00', '2026-01-09 00:01:39+00', 'https://youtu.be/p8', 'null');
INSERT INTO public.videos VALUES (9, 2, 2, 'GENERATED', '/out/видео 9.mp4', NULL, 37.800000000000004, 1.1111111009999999, '2026-01-10 00:01:00+00', NULL, NULL, NULL, '{"seed": 9007199254740992, "model": "veo"}');
INSERT INTO public.videos VALUES (10, 3, NULL, 'APPROVED', '/out/видео 10.mp4', NULL, 42, 1.23456789, '2026-01-11 00:01:00+00', '2026-01-11 00:01:30+00', NULL, NULL, 'null');
INSERT INTO public.videos VALUES (11, 4, 4, 'REJECTED', '/out/видео 11.mp4', NULL, 46.2, 1.358024679, '2026-01-12 00:01:00+00', '2026-01-12 00:01:30+00', NULL, NULL, '{"seed": 9007199254740992, "model": "veo"}');
INSERT INTO public.videos VALUES (12, 5, NULL, 'PUBLISHED', '/out/видео 12.mp4', NULL, 50.400000000000006, 1.481481468, '2026-01-13 00:01:00+00', '2026-01-13 00:01:30+00', '2026-01-13 00:01:39+00', 'https://youtu.be/p12', 'null');
INSERT INTO public.videos VALUES (20, 1, 20, 'GENERATED', NULL, NULL, NULL, NULL, '2026-02-01 00:00:00+00', NULL, NULL, NULL, NULL);
INSERT INTO public.videos VALUES (21, 1, 1, NULL, NULL, NULL, NULL, NULL, '2026-02-01 00:00:00+00', NULL, NULL, NULL, NULL);

SELECT pg_catalog.setval('public.jobs_id_seq', 34, true);

SELECT pg_catalog.setval('public.scripts_id_seq', 21, true);

SELECT pg_catalog.setval('public.trend_reports_id_seq', 2, true);

SELECT pg_catalog.setval('public.trends_id_seq', 37, true);

SELECT pg_catalog.setval('public.videos_id_seq', 21, true);

ALTER TABLE ONLY public.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.scripts
    ADD CONSTRAINT scripts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.trend_reports
    ADD CONSTRAINT trend_reports_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.trends
    ADD CONSTRAINT trends_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.trends
    ADD CONSTRAINT uq_platform_external_id UNIQUE (platform, external_id);

ALTER TABLE ONLY public.videos
    ADD CONSTRAINT videos_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.scripts
    ADD CONSTRAINT scripts_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id);

ALTER TABLE ONLY public.videos
    ADD CONSTRAINT videos_job_id_fkey FOREIGN KEY (job_id) REFERENCES public.jobs(id);

ALTER TABLE ONLY public.videos
    ADD CONSTRAINT videos_script_id_fkey FOREIGN KEY (script_id) REFERENCES public.scripts(id);

