
CREATE TYPE public.downloadstatus AS ENUM (
    'pending',
    'downloading',
    'downloaded',
    'failed'
);

CREATE TYPE public.jobstatus AS ENUM (
    'queued',
    'processing',
    'completed',
    'failed',
    'retrying'
);

CREATE TYPE public.jobtype AS ENUM (
    'scrape',
    'download',
    'transform',
    'publish',
    'music_replace'
);

CREATE TYPE public.publicationstatus AS ENUM (
    'pending',
    'scheduled',
    'publishing',
    'published',
    'failed'
);

CREATE TYPE public.transformationstatus AS ENUM (
    'pending',
    'processing',
    'transformed',
    'failed'
);

CREATE TABLE public.alembic_version (
    version_num character varying(32) NOT NULL
);

CREATE TABLE public.channel_statistics (
    id character varying(36) NOT NULL,
    channel_id character varying(36) NOT NULL,
    subscriber_count bigint DEFAULT '0'::bigint NOT NULL,
    view_count bigint DEFAULT '0'::bigint NOT NULL,
    video_count integer DEFAULT 0 NOT NULL,
    total_views bigint DEFAULT '0'::bigint NOT NULL,
    total_videos integer DEFAULT 0 NOT NULL,
    "timestamp" timestamp without time zone NOT NULL,
    created_at timestamp without time zone NOT NULL
);

CREATE TABLE public.channels (
    id character varying(36) NOT NULL,
    name character varying(255) NOT NULL,
    youtube_channel_id character varying(255) NOT NULL,
    youtube_channel_url character varying(500) NOT NULL,
    is_active boolean DEFAULT false NOT NULL,
    api_credentials_encrypted text NOT NULL,
    posting_schedule text NOT NULL,
    content_filters text NOT NULL,
    metadata_template text NOT NULL,
    effect_preset_id character varying(36),
    github_repo_url character varying(500),
    github_secret_key_encrypted text,
    phase2_enabled boolean DEFAULT false NOT NULL,
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL,
    last_publication_at timestamp without time zone
);

CREATE TABLE public.music (
    id character varying(36) NOT NULL,
    name character varying(255) NOT NULL,
    artist character varying(255),
    spotify_track_id character varying(100),
    spotify_track_url character varying(500),
    file_path character varying(1000),
    file_size bigint,
    duration integer,
    usage_count integer DEFAULT 0 NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL,
    metadata json
);

CREATE TABLE public.publication_schedules (
    id character varying(36) NOT NULL,
    channel_id character varying(36) NOT NULL,
    scheduled_at timestamp without time zone NOT NULL
);

CREATE TABLE public.system_configuration (
    key character varying(255) NOT NULL,
    value text NOT NULL,
    description text,
    encrypted boolean DEFAULT false NOT NULL,
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL
);

CREATE TABLE public.transformation_presets (
    id character varying(36) NOT NULL,
    name character varying(255) NOT NULL,
    description text,
    parameters text NOT NULL,
    is_default boolean DEFAULT false NOT NULL,
    is_active boolean DEFAULT true NOT NULL,
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL
);

CREATE TABLE public.video_processing_jobs (
    id character varying(36) NOT NULL,
    video_id character varying(36) NOT NULL,
    channel_id character varying(36) NOT NULL,
    job_type public.jobtype NOT NULL,
    status public.jobstatus NOT NULL,
    priority integer DEFAULT 0 NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    max_attempts integer DEFAULT 3 NOT NULL,
    error_message text,
    error_details text,
    queued_at timestamp without time zone NOT NULL,
    started_at timestamp without time zone,
    completed_at timestamp without time zone,
    duration integer,
    github_workflow_run_id character varying(100),
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL
);

CREATE TABLE public.video_statistics (
    id character varying(36) NOT NULL,
    video_id character varying(36) NOT NULL,
    view_count bigint DEFAULT '0'::bigint NOT NULL,
    like_count integer DEFAULT 0 NOT NULL,
    comment_count integer DEFAULT 0 NOT NULL,
    "timestamp" timestamp without time zone NOT NULL,
    created_at timestamp without time zone NOT NULL
);

CREATE TABLE public.videos (
    id character varying(36) NOT NULL,
    channel_id character varying(36) NOT NULL,
    source_url character varying(1000) NOT NULL,
    source_title character varying(500) NOT NULL,
    source_creator character varying(255),
    source_platform character varying(100) NOT NULL,
    scraped_at timestamp without time zone NOT NULL,
    download_status public.downloadstatus NOT NULL,
    download_url character varying(1000),
    download_size bigint,
    download_duration integer,
    download_resolution character varying(50),
    transformation_status public.transformationstatus NOT NULL,
    transformation_preset_id character varying(36),
    transformation_params text,
    transformed_url character varying(1000),
    transformed_size bigint,
    processing_started_at timestamp without time zone,
    processing_completed_at timestamp without time zone,
    processing_duration integer,
    publication_status public.publicationstatus NOT NULL,
    scheduled_publication_at timestamp without time zone,
    published_at timestamp without time zone,
    youtube_video_id character varying(50),
    youtube_video_url character varying(500),
    final_title character varying(500),
    final_description text,
    final_tags text,
    music_replaced boolean DEFAULT false NOT NULL,
    music_track_id character varying(36),
    created_at timestamp without time zone NOT NULL,
    updated_at timestamp without time zone NOT NULL,
    metadata json
);

INSERT INTO public.alembic_version VALUES ('002_metadata');

INSERT INTO public.channel_statistics VALUES ('d12fdcf8-9091-4018-8ffb-1935a7af1106', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 300000000, 30000000000, 0, 0, 0, '2026-02-20 00:00:00', '2026-02-20 00:00:00');
INSERT INTO public.channel_statistics VALUES ('9d5b03ce-6277-4985-80a9-faee07adfa78', '7ecf3817-35a9-4671-8d3c-0e27c94b7f35', 300000001, 30000000001, 1, 1, 1, '2026-02-21 00:00:00', '2026-02-21 00:00:00');
INSERT INTO public.channel_statistics VALUES ('db7bb19a-077e-49d6-829b-e97621366017', 'ae5610ae-1a50-4982-8f1b-c1d079dcd2b7', 300000002, 30000000002, 2, 4, 2, '2026-02-22 00:00:00', '2026-02-22 00:00:00');
INSERT INTO public.channel_statistics VALUES ('7c7f88ce-a6d1-4737-ad01-64e565d76b79', '1709f15c-016d-4035-ad10-f5e0f779ecac', 300000003, 30000000003, 3, 9, 3, '2026-02-23 00:00:00', '2026-02-23 00:00:00');
INSERT INTO public.channel_statistics VALUES ('e575c793-e411-4e3c-8a6a-ca76efbf6831', 'fd7c93a5-f719-42ea-9da6-dfef00b1b842', 300000004, 30000000004, 4, 16, 4, '2026-02-24 00:00:00', '2026-02-24 00:00:00');
INSERT INTO public.channel_statistics VALUES ('43ba73c8-e5a8-46d3-bcdd-e750563109cf', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 300000005, 30000000005, 5, 25, 5, '2026-02-25 00:00:00', '2026-02-25 00:00:00');
INSERT INTO public.channel_statistics VALUES ('5270d432-9d94-4f6c-9e13-032cf34c9a28', '7ecf3817-35a9-4671-8d3c-0e27c94b7f35', 300000006, 30000000006, 6, 36, 6, '2026-02-26 00:00:00', '2026-02-26 00:00:00');
INSERT INTO public.channel_statistics VALUES ('1117e5ca-8190-4f76-aa78-b14c409d33a6', 'ae5610ae-1a50-4982-8f1b-c1d079dcd2b7', 300000007, 30000000007, 7, 49, 7, '2026-02-27 00:00:00', '2026-02-27 00:00:00');
INSERT INTO public.channel_statistics VALUES ('21570a59-e975-48ab-a74a-d25525ab31ae', '1709f15c-016d-4035-ad10-f5e0f779ecac', 300000008, 30000000008, 8, 64, 8, '2026-02-28 00:00:00', '2026-02-28 00:00:00');
INSERT INTO public.channel_statistics VALUES ('57211607-b40e-4325-962f-4f0a93d3791e', 'fd7c93a5-f719-42ea-9da6-dfef00b1b842', 300000009, 30000000009, 9, 81, 9, '2026-03-01 00:00:00', '2026-03-01 00:00:00');
INSERT INTO public.channel_statistics VALUES ('37fe41ac-227f-4e84-a556-e7ba451829cd', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 0, 0, 0, 0, 0, '2026-02-01 00:00:00', '2026-02-01 00:00:00');
INSERT INTO public.channel_statistics VALUES ('a53fa62b-97dc-4959-8697-25850a206d34', 'fbc0cf76-5e56-43f4-9d40-99988c4b4aad', 0, 0, 0, 0, 0, '2026-02-01 00:00:00', '2026-02-01 00:00:00');

INSERT INTO public.channels VALUES ('e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'Ölpreis erklärt', 'UCchannel0', 'https://www.youtube.com/channel/UCchannel0', true, 'gAAAAABrAXjK9fGpwFMnWgi6CLtqqaj4oIJWaVE0CjNTQcLNBgmdE3wyJZ7Wf6DJyng2t4AYvIFlqFizkwNTxq7KRUXL2GWHf9hZskg231CWFyWlLcDogyjEVW21nC3LBnzE1CBuvA8KIyzLYT4rMrcckPUohmZbtA==', '{"videos_per_day": 0, "times": ["18:00"]}', '{"min_views": 10000000000}', '{"title": "{t\u00edtulo} \ud83c\udfa5"}', '19f09ba6-282e-4c1f-96c9-58993a0ba233', NULL, NULL, false, '2026-01-11 00:00:00', '2026-01-12 00:00:01.000001', NULL);
INSERT INTO public.channels VALUES ('7ecf3817-35a9-4671-8d3c-0e27c94b7f35', '東京の朝', 'UCchannel1', 'https://www.youtube.com/channel/UCchannel1', true, 'gAAAAABrAXjK9fGpwFMnWgi6CLtqqaj4oIJWaVE0CjNTQcLNBgmdE3wyJZ7Wf6DJyng2t4AYvIFlqFizkwNTxq7KRUXL2GWHf9hZskg231CWFyWlLcDogyjEVW21nC3LBnzE1CBuvA8KIyzLYT4rMrcckPUohmZbtA==', '{"videos_per_day": 1, "times": ["18:00"]}', '{"min_views": 10000000000}', '{"title": "{t\u00edtulo} \ud83c\udfa5"}', 'b7f5a24e-0d0e-4639-b821-e003828383bd', 'https://github.com/x/y', 'gAAAAABrAXjKO_TJiLOUNynhntHMz23yIGaqpNv53rp-k6jpdFVxgG6-PxGH---pEuyEtWRiytC5LPpg7Zj4W-13wlRnnuvOnckhhaxvY5IY4s_decr_zmQ=', false, '2026-01-12 00:00:00', '2026-01-13 00:00:01.000001', '2026-01-22 00:00:00');
INSERT INTO public.channels VALUES ('ae5610ae-1a50-4982-8f1b-c1d079dcd2b7', '🔥 Top 10 🔥', 'UCchannel2', 'https://www.youtube.com/channel/UCchannel2', false, 'gAAAAABrAXjK9fGpwFMnWgi6CLtqqaj4oIJWaVE0CjNTQcLNBgmdE3wyJZ7Wf6DJyng2t4AYvIFlqFizkwNTxq7KRUXL2GWHf9hZskg231CWFyWlLcDogyjEVW21nC3LBnzE1CBuvA8KIyzLYT4rMrcckPUohmZbtA==', '{"videos_per_day": 2, "times": ["18:00"]}', '{"min_views": 10000000000}', '{"title": "{t\u00edtulo} \ud83c\udfa5"}', '6c24dc08-952d-41f6-a765-435757b9bdba', 'https://github.com/x/y', NULL, false, '2026-01-13 00:00:00', '2026-01-14 00:00:01.000001', NULL);
INSERT INTO public.channels VALUES ('1709f15c-016d-4035-ad10-f5e0f779ecac', 'O''Brien "quotes" \ slash', 'UCchannel3', 'https://www.youtube.com/channel/UCchannel3', true, 'gAAAAABrAXjK9fGpwFMnWgi6CLtqqaj4oIJWaVE0CjNTQcLNBgmdE3wyJZ7Wf6DJyng2t4AYvIFlqFizkwNTxq7KRUXL2GWHf9hZskg231CWFyWlLcDogyjEVW21nC3LBnzE1CBuvA8KIyzLYT4rMrcckPUohmZbtA==', '{"videos_per_day": 3, "times": ["18:00"]}', '{"min_views": 10000000000}', '{"title": "{t\u00edtulo} \ud83c\udfa5"}', NULL, 'https://github.com/x/y', NULL, false, '2026-01-14 00:00:00', '2026-01-15 00:00:01.000001', '2026-01-24 00:00:00');
INSERT INTO public.channels VALUES ('fd7c93a5-f719-42ea-9da6-dfef00b1b842', 'Ελληνικά', 'UCchannel4', 'https://www.youtube.com/channel/UCchannel4', true, 'gAAAAABrAXjK9fGpwFMnWgi6CLtqqaj4oIJWaVE0CjNTQcLNBgmdE3wyJZ7Wf6DJyng2t4AYvIFlqFizkwNTxq7KRUXL2GWHf9hZskg231CWFyWlLcDogyjEVW21nC3LBnzE1CBuvA8KIyzLYT4rMrcckPUohmZbtA==', '{"videos_per_day": 4, "times": ["18:00"]}', '{"min_views": 10000000000}', '{"title": "{t\u00edtulo} \ud83c\udfa5"}', NULL, 'https://github.com/x/y', NULL, true, '2026-01-15 00:00:00', '2026-01-16 00:00:01.000001', NULL);
INSERT INTO public.channels VALUES ('AE19FA20-A7CD-4335-857F-2CB4C7428459', 'loud', 'UCloud', 'https://youtube.com/', true, 'gAAAAABrAXjK9fGpwFMnWgi6CLtqqaj4oIJWaVE0CjNTQcLNBgmdE3wyJZ7Wf6DJyng2t4AYvIFlqFizkwNTxq7KRUXL2GWHf9hZskg231CWFyWlLcDogyjEVW21nC3LBnzE1CBuvA8KIyzLYT4rMrcckPUohmZbtA==', '{}', '{}', '{}', '5FBF2ED6-2D8A-469F-BAC6-0AEA61024C91', NULL, NULL, false, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.channels VALUES ('2e531a48-57d0-43f7-bf96-6aa703530cb8', 'default', 'UCdefault', 'https://youtube.com/', true, 'gAAAAABrAXjK9fGpwFMnWgi6CLtqqaj4oIJWaVE0CjNTQcLNBgmdE3wyJZ7Wf6DJyng2t4AYvIFlqFizkwNTxq7KRUXL2GWHf9hZskg231CWFyWlLcDogyjEVW21nC3LBnzE1CBuvA8KIyzLYT4rMrcckPUohmZbtA==', '{}', '{}', '{}', 'e3ee206e-59e6-4d9e-95cc-50c50c3a71d7', NULL, NULL, false, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.channels VALUES ('cbdee107-7c08-41bd-a88e-e666371ec427', 'json', 'UCjson', 'https://youtube.com/', true, 'gAAAAABrAXjK9fGpwFMnWgi6CLtqqaj4oIJWaVE0CjNTQcLNBgmdE3wyJZ7Wf6DJyng2t4AYvIFlqFizkwNTxq7KRUXL2GWHf9hZskg231CWFyWlLcDogyjEVW21nC3LBnzE1CBuvA8KIyzLYT4rMrcckPUohmZbtA==', '{''videos_per_day'': 2}', '{}', '{}', NULL, NULL, NULL, false, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.channels VALUES ('a2563682-a6c9-4842-b672-1ea295c473c7', 'again', 'UCchannel1', 'https://youtube.com/', true, 'gAAAAABrAXjK9fGpwFMnWgi6CLtqqaj4oIJWaVE0CjNTQcLNBgmdE3wyJZ7Wf6DJyng2t4AYvIFlqFizkwNTxq7KRUXL2GWHf9hZskg231CWFyWlLcDogyjEVW21nC3LBnzE1CBuvA8KIyzLYT4rMrcckPUohmZbtA==', '{}', '{}', '{}', NULL, NULL, NULL, false, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.channels VALUES ('0190b5a0-0000-7000-8000-00000000000g', 'uuid', 'UCuuid', 'https://youtube.com/', true, 'gAAAAABrAXjK9fGpwFMnWgi6CLtqqaj4oIJWaVE0CjNTQcLNBgmdE3wyJZ7Wf6DJyng2t4AYvIFlqFizkwNTxq7KRUXL2GWHf9hZskg231CWFyWlLcDogyjEVW21nC3LBnzE1CBuvA8KIyzLYT4rMrcckPUohmZbtA==', '{}', '{}', '{}', NULL, NULL, NULL, false, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);

INSERT INTO public.music VALUES ('92095bbd-ca8f-420d-95c8-aebd09c7e32e', 'Ölpreis erklärt', 'Künstler 0', 'spotify0', NULL, '/music/0.mp3', 3000000000, 200, 0, true, '2026-01-01 00:00:00', '2026-01-01 00:00:00', '{"bpm": 120, "genre": "\u00e9lectro"}');
INSERT INTO public.music VALUES ('f5e544c1-1dd5-4a73-8a85-5b31a585e87f', '東京の朝', NULL, 'spotify1', NULL, '/music/1.mp3', 3000000001, 201, 1, true, '2026-01-02 00:00:00', '2026-01-02 00:00:00', '[]');
INSERT INTO public.music VALUES ('9128d41c-4c41-4c32-9ecc-29178e538796', '🔥 Top 10 🔥', 'Künstler 2', 'spotify2', NULL, '/music/2.mp3', 3000000002, 202, 2, true, '2026-01-03 00:00:00', '2026-01-03 00:00:00', 'null');
INSERT INTO public.music VALUES ('93451b5f-969d-419f-a41a-9edb89272d75', 'O''Brien "quotes" \ slash', 'Künstler 3', 'spotify3', NULL, '/music/3.mp3', 3000000003, 203, 3, true, '2026-01-04 00:00:00', '2026-01-04 00:00:00', NULL);
INSERT INTO public.music VALUES ('13c0ae7b-94f2-4c4c-9d91-ee38f1c226e1', 'Ελληνικά', 'Künstler 4', NULL, NULL, '/music/4.mp3', 3000000004, 204, 4, true, '2026-01-05 00:00:00', '2026-01-05 00:00:00', '{"loud": -7.5}');
INSERT INTO public.music VALUES ('2e73d31f6d8d464591a3007a2257fe85', 'Odd', NULL, NULL, NULL, NULL, NULL, NULL, 0, true, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.music VALUES ('36ae387d-644b-4d3e-ba85-967cf7e55d81', 'Odd', NULL, NULL, NULL, NULL, NULL, NULL, 0, true, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.music VALUES ('a7734013-dbd4-4661-9ac2-f2da4d7df6f7', 'Odd', NULL, 'spotify2', NULL, NULL, NULL, NULL, 0, true, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.music VALUES ('4187b23f-fc64-4685-bc57-1a0baf8a3086', 'Odd', NULL, NULL, NULL, NULL, NULL, NULL, 0, true, '2026-02-01 00:00:00', '2026-02-01 00:00:00', '{"text": "a\u0000b"}');

INSERT INTO public.publication_schedules VALUES ('d4468d27-e851-4769-bed7-9feeb5f39e49', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', '2026-04-11 00:00:00');
INSERT INTO public.publication_schedules VALUES ('3d97dec0-71c9-4f0a-84db-f4c929107ee8', '7ecf3817-35a9-4671-8d3c-0e27c94b7f35', '2026-04-12 00:00:00');
INSERT INTO public.publication_schedules VALUES ('46981851-293c-43f7-9c1e-8d94069cf92d', 'ae5610ae-1a50-4982-8f1b-c1d079dcd2b7', '2026-04-13 00:00:00');

INSERT INTO public.system_configuration VALUES ('max_concurrent_downloads', '4', NULL, false, '2026-01-01 00:00:00', '2026-01-01 00:00:30');
INSERT INTO public.system_configuration VALUES ('schedule', '{"cron": "0 * * * *", "zone": "Europe/Zürich"}', '東京の朝', false, '2026-01-02 00:00:00', '2026-01-02 00:00:30');
INSERT INTO public.system_configuration VALUES ('storage_path', '/srv/videos', NULL, false, '2026-01-03 00:00:00', '2026-01-03 00:00:30');
INSERT INTO public.system_configuration VALUES ('greeting', 'Grüß Gott 👋', 'O''Brien "quotes" \ slash', false, '2026-01-04 00:00:00', '2026-01-04 00:00:30');
INSERT INTO public.system_configuration VALUES ('empty', '', NULL, false, '2026-01-05 00:00:00', '2026-01-05 00:00:30');
INSERT INTO public.system_configuration VALUES ('quoted', '"text"', 'Ölpreis erklärt', false, '2026-01-06 00:00:00', '2026-01-06 00:00:30');
INSERT INTO public.system_configuration VALUES ('nothing', 'null', NULL, false, '2026-01-07 00:00:00', '2026-01-07 00:00:30');
INSERT INTO public.system_configuration VALUES ('youtube_api_key', 'gAAAAABrAXjKO_TJiLOUNynhntHMz23yIGaqpNv53rp-k6jpdFVxgG6-PxGH---pEuyEtWRiytC5LPpg7Zj4W-13wlRnnuvOnckhhaxvY5IY4s_decr_zmQ=', NULL, true, '2026-01-10 00:00:00', '2026-01-10 00:00:00');
INSERT INTO public.system_configuration VALUES ('ratio', 'NaN', NULL, false, '2026-02-01 00:00:00', '2026-02-01 00:00:00');

INSERT INTO public.transformation_presets VALUES ('19f09ba6-282e-4c1f-96c9-58993a0ba233', 'Preset 0 Ölpreis erklärt', NULL, '{"zoom": 1.05, "flip": true, "filters": ["eq", "\u00fc"]}', true, true, '2026-01-01 00:00:00', '2026-01-01 00:01:00.000005');
INSERT INTO public.transformation_presets VALUES ('b7f5a24e-0d0e-4639-b821-e003828383bd', 'Preset 1 東京の朝', '東京の朝', '{"zoom": 1.05, "flip": false, "filters": ["eq", "ü"]}', false, true, '2026-01-02 00:00:00', '2026-01-02 00:01:00.000005');
INSERT INTO public.transformation_presets VALUES ('6c24dc08-952d-41f6-a765-435757b9bdba', 'Preset 2 🔥 Top 10 🔥', '🔥 Top 10 🔥', '{"zoom": 1.05, "flip": true, "filters": ["eq", "\u00fc"]}', false, true, '2026-01-03 00:00:00', '2026-01-03 00:01:00.000005');
INSERT INTO public.transformation_presets VALUES ('02263dc4-1443-4f77-877d-50550000b557', 'Preset 3 O''Brien "quotes" \ slash', 'O''Brien "quotes" \ slash', '{"zoom": 1.05, "flip": false, "filters": ["eq", "ü"]}', false, false, '2026-01-04 00:00:00', '2026-01-04 00:01:00.000005');
INSERT INTO public.transformation_presets VALUES ('e3ee206e-59e6-4d9e-95cc-50c50c3a71d7', 'Odd', NULL, '{}', true, true, '2026-02-01 00:00:00', '2026-02-01 00:00:00');
INSERT INTO public.transformation_presets VALUES ('5FBF2ED6-2D8A-469F-BAC6-0AEA61024C91', 'Odd', NULL, '{}', false, true, '2026-02-01 00:00:00', '2026-02-01 00:00:00');
INSERT INTO public.transformation_presets VALUES ('f83ed262-8a2d-4201-83a6-8a1540161347', 'Odd', NULL, 'zoom=1.05', false, true, '2026-02-01 00:00:00', '2026-02-01 00:00:00');
INSERT INTO public.transformation_presets VALUES ('2c40936e-06b6-49e8-b567-37bc87e1e9c5', 'Odd', NULL, '{"zoom": Infinity}', false, true, '2026-02-01 00:00:00', '2026-02-01 00:00:00');
INSERT INTO public.transformation_presets VALUES ('preset-7', 'Odd', NULL, '{}', false, true, '2026-02-01 00:00:00', '2026-02-01 00:00:00');

INSERT INTO public.video_processing_jobs VALUES ('564ef52f-909c-4bdf-a087-2a5263fbf96b', '3c14150d-963b-4bf9-950b-51aaf21cf86f', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'scrape', 'queued', -1, 0, 3, NULL, NULL, '2026-02-10 00:00:00', NULL, NULL, NULL, '12345678901', '2026-02-10 00:00:00', '2026-02-10 00:02:00');
INSERT INTO public.video_processing_jobs VALUES ('de82c5b9-0aec-4eca-9457-3616d9dc424b', 'f69ab2bd-8412-4546-8d0d-68d536fde50b', '7ecf3817-35a9-4671-8d3c-0e27c94b7f35', 'download', 'processing', 0, 1, 3, NULL, NULL, '2026-02-10 00:00:01', '2026-02-10 00:01:01', NULL, NULL, NULL, '2026-02-10 00:00:01', '2026-02-10 00:02:01');
INSERT INTO public.video_processing_jobs VALUES ('274dd14f-4418-47e3-a132-2394c78136c8', '52ed3a0c-7a5e-4408-8bca-9d555b9b91c0', 'ae5610ae-1a50-4982-8f1b-c1d079dcd2b7', 'transform', 'completed', 1, 1, 3, NULL, NULL, '2026-02-10 00:00:02', '2026-02-10 00:01:02', '2026-02-10 00:02:02', 60, NULL, '2026-02-10 00:00:02', '2026-02-10 00:02:02');
INSERT INTO public.video_processing_jobs VALUES ('00bd7187-cefc-47b8-9003-ba9349748f61', 'b4e6f5e6-6d5f-4092-be05-e25ec7fe9ace', '1709f15c-016d-4035-ad10-f5e0f779ecac', 'publish', 'failed', 2, 1, 3, 'HTTP 429: zu viele Anfragen', '{"status": 429, "retry": null}', '2026-02-10 00:00:03', '2026-02-10 00:01:03', '2026-02-10 00:02:03', 60, NULL, '2026-02-10 00:00:03', '2026-02-10 00:02:03');
INSERT INTO public.video_processing_jobs VALUES ('cb7c3a74-12fd-439e-b8bb-22aa5b2fc328', 'c386823c-8b93-4e63-a541-45f975471bba', 'fd7c93a5-f719-42ea-9da6-dfef00b1b842', 'music_replace', 'retrying', -1, 1, 3, NULL, NULL, '2026-02-10 00:00:04', '2026-02-10 00:01:04', NULL, NULL, '12345678901', '2026-02-10 00:00:04', '2026-02-10 00:02:04');
INSERT INTO public.video_processing_jobs VALUES ('7f3e1653-5c9d-4030-abba-558862c0fe33', '464541cc-ca82-4f39-9fe4-1bc0f73927e5', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'download', 'queued', 0, 0, 3, NULL, NULL, '2026-02-10 00:00:05', NULL, NULL, NULL, NULL, '2026-02-10 00:00:05', '2026-02-10 00:02:05');
INSERT INTO public.video_processing_jobs VALUES ('7fb21865-7037-43ca-914d-d0ff6e489220', 'ff169861-f5e9-46eb-9df7-7a2250f95743', '7ecf3817-35a9-4671-8d3c-0e27c94b7f35', 'transform', 'processing', 1, 1, 3, NULL, NULL, '2026-02-10 00:00:06', '2026-02-10 00:01:06', NULL, NULL, NULL, '2026-02-10 00:00:06', '2026-02-10 00:02:06');
INSERT INTO public.video_processing_jobs VALUES ('6ba5dd9e-4154-4649-8e6d-1dd5d2de9d64', '830eb1c3-ed64-4f2d-8c73-8711871ff677', 'ae5610ae-1a50-4982-8f1b-c1d079dcd2b7', 'publish', 'completed', 2, 1, 3, NULL, NULL, '2026-02-10 00:00:07', '2026-02-10 00:01:07', '2026-02-10 00:02:07', 60, NULL, '2026-02-10 00:00:07', '2026-02-10 00:02:07');
INSERT INTO public.video_processing_jobs VALUES ('753fc02b-6112-4247-b64f-09710e7f3d7e', 'f4866e1b-5102-42fd-95dd-7ff60400d299', '1709f15c-016d-4035-ad10-f5e0f779ecac', 'music_replace', 'failed', -1, 1, 3, 'HTTP 429: zu viele Anfragen', '{"status": 429, "retry": null}', '2026-02-10 00:00:08', '2026-02-10 00:01:08', '2026-02-10 00:02:08', 60, '12345678901', '2026-02-10 00:00:08', '2026-02-10 00:02:08');
INSERT INTO public.video_processing_jobs VALUES ('a8084eec-f2ff-4de1-9567-78eff0f02c14', '7de04aed-0ddb-4c10-8ee2-677fd78186a7', 'fd7c93a5-f719-42ea-9da6-dfef00b1b842', 'scrape', 'retrying', 0, 1, 3, NULL, NULL, '2026-02-10 00:00:09', '2026-02-10 00:01:09', NULL, NULL, NULL, '2026-02-10 00:00:09', '2026-02-10 00:02:09');
INSERT INTO public.video_processing_jobs VALUES ('f581954e-8b0b-41a6-bb6b-e8cf7ff51804', 'befc5306-1a8d-4c18-aa23-75d767cc5a43', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'transform', 'queued', 1, 0, 3, NULL, NULL, '2026-02-10 00:00:10', NULL, NULL, NULL, NULL, '2026-02-10 00:00:10', '2026-02-10 00:02:10');
INSERT INTO public.video_processing_jobs VALUES ('2a6a1f4b-adc4-47fc-8583-9c19041475f8', '41a981f0-f772-4da0-b917-168593c05d61', '7ecf3817-35a9-4671-8d3c-0e27c94b7f35', 'publish', 'processing', 2, 1, 3, NULL, NULL, '2026-02-10 00:00:11', '2026-02-10 00:01:11', NULL, NULL, NULL, '2026-02-10 00:00:11', '2026-02-10 00:02:11');
INSERT INTO public.video_processing_jobs VALUES ('d3ad912b-2b0c-4f91-abfe-7e900e722b03', 'd28b3b01-b316-4375-b207-a5c57c07bbaa', 'ae5610ae-1a50-4982-8f1b-c1d079dcd2b7', 'music_replace', 'completed', -1, 1, 3, NULL, NULL, '2026-02-10 00:00:12', '2026-02-10 00:01:12', '2026-02-10 00:02:12', 60, '12345678901', '2026-02-10 00:00:12', '2026-02-10 00:02:12');
INSERT INTO public.video_processing_jobs VALUES ('8d4712f0-ae1d-4bf9-a3cd-502df77bd4fb', '0b75bd4c-d935-4c65-98d3-acecf7988c6e', '1709f15c-016d-4035-ad10-f5e0f779ecac', 'scrape', 'failed', 0, 1, 3, 'HTTP 429: zu viele Anfragen', '{"status": 429, "retry": null}', '2026-02-10 00:00:13', '2026-02-10 00:01:13', '2026-02-10 00:02:13', 60, NULL, '2026-02-10 00:00:13', '2026-02-10 00:02:13');
INSERT INTO public.video_processing_jobs VALUES ('60c91445-d9cb-44a4-a0c4-5f2eb343664e', 'e38d183e-f8f6-49db-b409-6814af4abcc7', 'fd7c93a5-f719-42ea-9da6-dfef00b1b842', 'download', 'retrying', 1, 1, 3, NULL, NULL, '2026-02-10 00:00:14', '2026-02-10 00:01:14', NULL, NULL, NULL, '2026-02-10 00:00:14', '2026-02-10 00:02:14');
INSERT INTO public.video_processing_jobs VALUES ('954d6eee-e9cf-4287-a48e-a4507e6fab43', '3c14150d-963b-4bf9-950b-51aaf21cf86f', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'download', 'queued', 0, -1, 3, NULL, NULL, '2026-02-01 00:00:00', NULL, NULL, NULL, NULL, '2026-02-01 00:00:00', '2026-02-01 00:00:00');
INSERT INTO public.video_processing_jobs VALUES ('6e4a0dae-2018-4091-9e4e-5231f9d89a00', '3c14150d-963b-4bf9-950b-51aaf21cf86f', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'download', 'queued', 0, 0, 0, NULL, NULL, '2026-02-01 00:00:00', NULL, NULL, NULL, NULL, '2026-02-01 00:00:00', '2026-02-01 00:00:00');
INSERT INTO public.video_processing_jobs VALUES ('fd626211-08fc-40f7-9b8f-8f49eb1f837f', '3c14150d-963b-4bf9-950b-51aaf21cf86f', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'download', 'queued', 0, 0, 3, NULL, 'Traceback (most recent call last)', '2026-02-01 00:00:00', NULL, NULL, NULL, NULL, '2026-02-01 00:00:00', '2026-02-01 00:00:00');
INSERT INTO public.video_processing_jobs VALUES ('job-1', '3c14150d-963b-4bf9-950b-51aaf21cf86f', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'download', 'queued', 0, 0, 3, NULL, NULL, '2026-02-01 00:00:00', NULL, NULL, NULL, NULL, '2026-02-01 00:00:00', '2026-02-01 00:00:00');

INSERT INTO public.video_statistics VALUES ('da0cb9ad-bfa3-4008-90c2-407351037a8f', '3c14150d-963b-4bf9-950b-51aaf21cf86f', 0, 0, 0, '2026-03-02 00:00:00', '2026-03-02 00:00:00.000001');
INSERT INTO public.video_statistics VALUES ('b28807f9-13b1-47cc-937c-380b5ded2ea9', 'f69ab2bd-8412-4546-8d0d-68d536fde50b', 4000000000, 7, 1, '2026-03-02 01:00:00', '2026-03-02 01:00:00.000001');
INSERT INTO public.video_statistics VALUES ('27ff9603-e162-444b-b3e2-fcc527f28c77', '52ed3a0c-7a5e-4408-8bca-9d555b9b91c0', 8000000000, 14, 2, '2026-03-02 02:00:00', '2026-03-02 02:00:00.000001');
INSERT INTO public.video_statistics VALUES ('d16ca13f-bf91-4a8d-854e-ab17dae7776d', 'b4e6f5e6-6d5f-4092-be05-e25ec7fe9ace', 12000000000, 21, 3, '2026-03-02 03:00:00', '2026-03-02 03:00:00.000001');
INSERT INTO public.video_statistics VALUES ('e1b81cc4-14bd-4091-b5b9-66de3239518c', 'c386823c-8b93-4e63-a541-45f975471bba', 16000000000, 28, 4, '2026-03-02 04:00:00', '2026-03-02 04:00:00.000001');
INSERT INTO public.video_statistics VALUES ('8fd46b79-18cc-4a69-a054-92f7cd5961f9', '464541cc-ca82-4f39-9fe4-1bc0f73927e5', 20000000000, 35, 5, '2026-03-02 05:00:00', '2026-03-02 05:00:00.000001');
INSERT INTO public.video_statistics VALUES ('ce39567e-90ac-46fa-a853-2004a1835d39', 'ff169861-f5e9-46eb-9df7-7a2250f95743', 24000000000, 42, 6, '2026-03-02 06:00:00', '2026-03-02 06:00:00.000001');
INSERT INTO public.video_statistics VALUES ('27e4dbab-5e4f-45a4-aaec-99739446ec84', '830eb1c3-ed64-4f2d-8c73-8711871ff677', 28000000000, 49, 7, '2026-03-02 07:00:00', '2026-03-02 07:00:00.000001');
INSERT INTO public.video_statistics VALUES ('63cda33d-7b72-4b0e-b373-1d17139cd151', 'f4866e1b-5102-42fd-95dd-7ff60400d299', 32000000000, 56, 8, '2026-03-02 08:00:00', '2026-03-02 08:00:00.000001');
INSERT INTO public.video_statistics VALUES ('c34b89c9-5c38-4e37-a1fe-ffbd3e429799', '7de04aed-0ddb-4c10-8ee2-677fd78186a7', 36000000000, 63, 9, '2026-03-02 09:00:00', '2026-03-02 09:00:00.000001');
INSERT INTO public.video_statistics VALUES ('68d9e617-d430-4fa0-ad52-ffbd75ab6803', 'befc5306-1a8d-4c18-aa23-75d767cc5a43', 40000000000, 70, 10, '2026-03-02 10:00:00', '2026-03-02 10:00:00.000001');
INSERT INTO public.video_statistics VALUES ('060de865-1d01-4fb0-8ca7-afcd333e7d35', '3c14150d-963b-4bf9-950b-51aaf21cf86f', 44000000000, 77, 11, '2026-03-02 11:00:00', '2026-03-02 11:00:00.000001');
INSERT INTO public.video_statistics VALUES ('f8aac43c-e8df-43ad-b69b-b3473f6b822f', 'f69ab2bd-8412-4546-8d0d-68d536fde50b', 48000000000, 84, 12, '2026-03-02 12:00:00', '2026-03-02 12:00:00.000001');
INSERT INTO public.video_statistics VALUES ('fd12f201-2014-4367-8d63-833b3049ec57', '52ed3a0c-7a5e-4408-8bca-9d555b9b91c0', 52000000000, 91, 13, '2026-03-02 13:00:00', '2026-03-02 13:00:00.000001');
INSERT INTO public.video_statistics VALUES ('6f17d4f0-af16-4654-94b1-18d6f621e7f5', 'b4e6f5e6-6d5f-4092-be05-e25ec7fe9ace', 56000000000, 98, 14, '2026-03-02 14:00:00', '2026-03-02 14:00:00.000001');
INSERT INTO public.video_statistics VALUES ('4edd3898-6abd-4506-b6f7-f7aa48150b3e', 'c386823c-8b93-4e63-a541-45f975471bba', 60000000000, 105, 15, '2026-03-02 15:00:00', '2026-03-02 15:00:00.000001');
INSERT INTO public.video_statistics VALUES ('e24c4094-d248-477a-9b98-afe8e95f1028', '464541cc-ca82-4f39-9fe4-1bc0f73927e5', 64000000000, 112, 16, '2026-03-02 16:00:00', '2026-03-02 16:00:00.000001');
INSERT INTO public.video_statistics VALUES ('0657a5ca-0b94-4ba8-a3dc-ad4457855df1', 'ff169861-f5e9-46eb-9df7-7a2250f95743', 68000000000, 119, 17, '2026-03-02 17:00:00', '2026-03-02 17:00:00.000001');
INSERT INTO public.video_statistics VALUES ('daf59c25-d28f-4bce-a23d-7c7958cfaca9', '830eb1c3-ed64-4f2d-8c73-8711871ff677', 72000000000, 126, 18, '2026-03-02 18:00:00', '2026-03-02 18:00:00.000001');
INSERT INTO public.video_statistics VALUES ('3088bc6f-04d5-415c-ad41-d5ad0a65b6e0', 'f4866e1b-5102-42fd-95dd-7ff60400d299', 76000000000, 133, 19, '2026-03-02 19:00:00', '2026-03-02 19:00:00.000001');
INSERT INTO public.video_statistics VALUES ('b9a2cde3-3654-4966-af14-b06664a304aa', '68bdd84e-cd7b-4da2-988d-c9f804c294d4', 0, 0, 0, '2026-02-01 00:00:00', '2026-02-01 00:00:00');
INSERT INTO public.video_statistics VALUES ('0607069e-a343-4ec1-b89f-85b78114c63a', '', 0, 0, 0, '2026-02-01 00:00:00', '2026-02-01 00:00:00');

INSERT INTO public.videos VALUES ('3c14150d-963b-4bf9-950b-51aaf21cf86f', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'https://www.tiktok.com/@a/video/0', 'Ölpreis erklärt 0', 'créateur', 'tiktok', '2026-01-31 00:00:00', 'pending', NULL, NULL, NULL, '1080x1920', 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, false, NULL, '2026-01-31 00:00:00', '2026-02-02 00:00:00', '{"source": {"likes": 2500000000}}');
INSERT INTO public.videos VALUES ('f69ab2bd-8412-4546-8d0d-68d536fde50b', '7ecf3817-35a9-4671-8d3c-0e27c94b7f35', 'https://www.tiktok.com/@a/video/1', '東京の朝 1', NULL, 'tiktok', '2026-02-01 00:00:00', 'downloading', NULL, NULL, NULL, '1080x1920', 'pending', 'b7f5a24e-0d0e-4639-b821-e003828383bd', NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, true, 'f5e544c1-1dd5-4a73-8a85-5b31a585e87f', '2026-02-01 00:00:00', '2026-02-03 00:00:00', '{}');
INSERT INTO public.videos VALUES ('52ed3a0c-7a5e-4408-8bca-9d555b9b91c0', 'ae5610ae-1a50-4982-8f1b-c1d079dcd2b7', 'https://www.tiktok.com/@a/video/2', '🔥 Top 10 🔥 2', NULL, 'tiktok', '2026-02-02 00:00:00', 'downloaded', 's3://bucket/2.mp4', 5368709122, 61, '1080x1920', 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, false, NULL, '2026-02-02 00:00:00', '2026-02-04 00:00:00', NULL);
INSERT INTO public.videos VALUES ('b4e6f5e6-6d5f-4092-be05-e25ec7fe9ace', '1709f15c-016d-4035-ad10-f5e0f779ecac', 'https://www.tiktok.com/@a/video/3', 'O''Brien "quotes" \ slash 3', 'créateur', 'tiktok', '2026-02-03 00:00:00', 'failed', NULL, NULL, NULL, '1080x1920', 'pending', '02263dc4-1443-4f77-877d-50550000b557', NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, true, '93451b5f-969d-419f-a41a-9edb89272d75', '2026-02-03 00:00:00', '2026-02-05 00:00:00', '{"tags": ["\u00fc", "\ud83c\udfb5"]}');
INSERT INTO public.videos VALUES ('c386823c-8b93-4e63-a541-45f975471bba', 'fd7c93a5-f719-42ea-9da6-dfef00b1b842', 'https://www.tiktok.com/@a/video/4', 'Ελληνικά 4', NULL, 'tiktok', '2026-02-04 00:00:00', 'downloaded', 's3://bucket/4.mp4', 5368709124, 61, '1080x1920', 'processing', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, false, NULL, '2026-02-04 00:00:00', '2026-02-06 00:00:00', '[1, 2]');
INSERT INTO public.videos VALUES ('464541cc-ca82-4f39-9fe4-1bc0f73927e5', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'https://www.tiktok.com/@a/video/5', 'Ölpreis erklärt 5', NULL, 'tiktok', '2026-02-05 00:00:00', 'downloaded', 's3://bucket/5.mp4', 5368709125, 61, '1080x1920', 'transformed', 'b7f5a24e-0d0e-4639-b821-e003828383bd', '{"zoom": 1.1}', NULL, 1000000, '2026-02-06 00:00:00', '2026-02-06 00:01:30.000007', 90, 'pending', NULL, NULL, NULL, NULL, 'Ölpreis erklärt', 'a
b', '["#größe", "#🔥"]', true, '92095bbd-ca8f-420d-95c8-aebd09c7e32e', '2026-02-05 00:00:00', '2026-02-07 00:00:00', '{"source": {"likes": 2500000000}}');
INSERT INTO public.videos VALUES ('ff169861-f5e9-46eb-9df7-7a2250f95743', '7ecf3817-35a9-4671-8d3c-0e27c94b7f35', 'https://www.tiktok.com/@a/video/6', '東京の朝 6', 'créateur', 'tiktok', '2026-02-06 00:00:00', 'downloaded', 's3://bucket/6.mp4', 5368709126, 61, '1080x1920', 'failed', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, false, NULL, '2026-02-06 00:00:00', '2026-02-08 00:00:00', '{}');
INSERT INTO public.videos VALUES ('830eb1c3-ed64-4f2d-8c73-8711871ff677', 'ae5610ae-1a50-4982-8f1b-c1d079dcd2b7', 'https://www.tiktok.com/@a/video/7', '🔥 Top 10 🔥 7', NULL, 'tiktok', '2026-02-07 00:00:00', 'downloaded', 's3://bucket/7.mp4', 5368709127, 61, '1080x1920', 'transformed', '02263dc4-1443-4f77-877d-50550000b557', '{"zoom": 1.1}', NULL, 1000000, '2026-02-08 00:00:00', '2026-02-08 00:01:30.000007', 90, 'scheduled', '2026-03-02 00:00:00', NULL, NULL, NULL, '🔥 Top 10 🔥', 'a
b', '["#größe", "#🔥"]', true, '9128d41c-4c41-4c32-9ecc-29178e538796', '2026-02-07 00:00:00', '2026-02-09 00:00:00', NULL);
INSERT INTO public.videos VALUES ('f4866e1b-5102-42fd-95dd-7ff60400d299', '1709f15c-016d-4035-ad10-f5e0f779ecac', 'https://www.tiktok.com/@a/video/8', 'O''Brien "quotes" \ slash 8', NULL, 'tiktok', '2026-02-08 00:00:00', 'downloaded', 's3://bucket/8.mp4', 5368709128, 61, '1080x1920', 'transformed', NULL, '{"zoom": 1.1}', NULL, 1000000, '2026-02-09 00:00:00', '2026-02-09 00:01:30.000007', 90, 'publishing', NULL, NULL, NULL, NULL, 'O''Brien "quotes" \ slash', 'a
b', '["#größe", "#🔥"]', false, NULL, '2026-02-08 00:00:00', '2026-02-10 00:00:00', '{"tags": ["\u00fc", "\ud83c\udfb5"]}');
INSERT INTO public.videos VALUES ('7de04aed-0ddb-4c10-8ee2-677fd78186a7', 'fd7c93a5-f719-42ea-9da6-dfef00b1b842', 'https://www.tiktok.com/@a/video/9', 'Ελληνικά 9', 'créateur', 'tiktok', '2026-02-09 00:00:00', 'downloaded', 's3://bucket/9.mp4', 5368709129, 61, '1080x1920', 'transformed', 'b7f5a24e-0d0e-4639-b821-e003828383bd', '{"zoom": 1.1}', NULL, 1000000, '2026-02-10 00:00:00', '2026-02-10 00:01:30.000007', 90, 'published', NULL, '2026-03-01 00:00:00', 'ytv9', 'https://youtu.be/ytv9', 'Ελληνικά', 'a
b', '["#größe", "#🔥"]', true, '13c0ae7b-94f2-4c4c-9d91-ee38f1c226e1', '2026-02-09 00:00:00', '2026-02-11 00:00:00', '[1, 2]');
INSERT INTO public.videos VALUES ('befc5306-1a8d-4c18-aa23-75d767cc5a43', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'https://www.tiktok.com/@a/video/10', 'Ölpreis erklärt 10', NULL, 'tiktok', '2026-02-10 00:00:00', 'downloaded', 's3://bucket/10.mp4', 5368709130, 61, '1080x1920', 'transformed', NULL, '{"zoom": 1.1}', NULL, 1000000, '2026-02-11 00:00:00', '2026-02-11 00:01:30.000007', 90, 'failed', NULL, NULL, NULL, NULL, 'Ölpreis erklärt', 'a
b', '["#größe", "#🔥"]', false, NULL, '2026-02-10 00:00:00', '2026-02-12 00:00:00', '{"source": {"likes": 2500000000}}');
INSERT INTO public.videos VALUES ('41a981f0-f772-4da0-b917-168593c05d61', '7ecf3817-35a9-4671-8d3c-0e27c94b7f35', 'https://www.tiktok.com/@a/video/11', '東京の朝 11', NULL, 'tiktok', '2026-02-11 00:00:00', 'pending', NULL, NULL, NULL, '1080x1920', 'pending', '02263dc4-1443-4f77-877d-50550000b557', NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, true, 'f5e544c1-1dd5-4a73-8a85-5b31a585e87f', '2026-02-11 00:00:00', '2026-02-13 00:00:00', '{}');
INSERT INTO public.videos VALUES ('d28b3b01-b316-4375-b207-a5c57c07bbaa', 'ae5610ae-1a50-4982-8f1b-c1d079dcd2b7', 'https://www.tiktok.com/@a/video/12', '🔥 Top 10 🔥 12', 'créateur', 'tiktok', '2026-02-12 00:00:00', 'downloading', NULL, NULL, NULL, '1080x1920', 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, false, NULL, '2026-02-12 00:00:00', '2026-02-14 00:00:00', NULL);
INSERT INTO public.videos VALUES ('0b75bd4c-d935-4c65-98d3-acecf7988c6e', '1709f15c-016d-4035-ad10-f5e0f779ecac', 'https://www.tiktok.com/@a/video/13', 'O''Brien "quotes" \ slash 13', NULL, 'tiktok', '2026-02-13 00:00:00', 'downloaded', 's3://bucket/13.mp4', 5368709133, 61, '1080x1920', 'pending', 'b7f5a24e-0d0e-4639-b821-e003828383bd', NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, true, '93451b5f-969d-419f-a41a-9edb89272d75', '2026-02-13 00:00:00', '2026-02-15 00:00:00', '{"tags": ["\u00fc", "\ud83c\udfb5"]}');
INSERT INTO public.videos VALUES ('e38d183e-f8f6-49db-b409-6814af4abcc7', 'fd7c93a5-f719-42ea-9da6-dfef00b1b842', 'https://www.tiktok.com/@a/video/14', 'Ελληνικά 14', NULL, 'tiktok', '2026-02-14 00:00:00', 'failed', NULL, NULL, NULL, '1080x1920', 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, false, NULL, '2026-02-14 00:00:00', '2026-02-16 00:00:00', '[1, 2]');
INSERT INTO public.videos VALUES ('e8050ab6-a663-45cc-aa9a-ceb84826ce70', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'https://www.tiktok.com/@a/video/15', 'Ölpreis erklärt 15', 'créateur', 'tiktok', '2026-02-15 00:00:00', 'downloaded', 's3://bucket/15.mp4', 5368709135, 61, '1080x1920', 'processing', '02263dc4-1443-4f77-877d-50550000b557', NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, true, '92095bbd-ca8f-420d-95c8-aebd09c7e32e', '2026-02-15 00:00:00', '2026-02-17 00:00:00', '{"source": {"likes": 2500000000}}');
INSERT INTO public.videos VALUES ('2c359655-0306-4b87-b937-035d8f29c3bb', '7ecf3817-35a9-4671-8d3c-0e27c94b7f35', 'https://www.tiktok.com/@a/video/16', '東京の朝 16', NULL, 'tiktok', '2026-02-16 00:00:00', 'downloaded', 's3://bucket/16.mp4', 5368709136, 61, '1080x1920', 'transformed', NULL, '{"zoom": 1.1}', NULL, 1000000, '2026-02-17 00:00:00', '2026-02-17 00:01:30.000007', 90, 'pending', NULL, NULL, NULL, NULL, '東京の朝', 'a
b', '["#größe", "#🔥"]', false, NULL, '2026-02-16 00:00:00', '2026-02-18 00:00:00', '{}');
INSERT INTO public.videos VALUES ('5a20978e-bafe-4caa-bfcf-a92fa9663a5c', 'ae5610ae-1a50-4982-8f1b-c1d079dcd2b7', 'https://www.tiktok.com/@a/video/17', '🔥 Top 10 🔥 17', NULL, 'tiktok', '2026-02-17 00:00:00', 'downloaded', 's3://bucket/17.mp4', 5368709137, 61, '1080x1920', 'failed', 'b7f5a24e-0d0e-4639-b821-e003828383bd', NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, 'a
b', NULL, true, '9128d41c-4c41-4c32-9ecc-29178e538796', '2026-02-17 00:00:00', '2026-02-19 00:00:00', NULL);
INSERT INTO public.videos VALUES ('a1ec4771-b33a-47bc-b7aa-cde204e70b22', '1709f15c-016d-4035-ad10-f5e0f779ecac', 'https://www.tiktok.com/@a/video/18', 'O''Brien "quotes" \ slash 18', 'créateur', 'tiktok', '2026-02-18 00:00:00', 'downloaded', 's3://bucket/18.mp4', 5368709138, 61, '1080x1920', 'transformed', NULL, '{"zoom": 1.1}', NULL, 1000000, '2026-02-19 00:00:00', '2026-02-19 00:01:30.000007', 90, 'scheduled', '2026-03-02 00:00:00', NULL, NULL, NULL, 'O''Brien "quotes" \ slash', 'a
b', '["#größe", "#🔥"]', false, NULL, '2026-02-18 00:00:00', '2026-02-20 00:00:00', '{"tags": ["\u00fc", "\ud83c\udfb5"]}');
INSERT INTO public.videos VALUES ('f580c48f-4ebe-4d58-9e19-68f819f2404e', 'fd7c93a5-f719-42ea-9da6-dfef00b1b842', 'https://www.tiktok.com/@a/video/19', 'Ελληνικά 19', NULL, 'tiktok', '2026-02-19 00:00:00', 'downloaded', 's3://bucket/19.mp4', 5368709139, 61, '1080x1920', 'transformed', '02263dc4-1443-4f77-877d-50550000b557', '{"zoom": 1.1}', NULL, 1000000, '2026-02-20 00:00:00', '2026-02-20 00:01:30.000007', 90, 'publishing', NULL, NULL, NULL, NULL, 'Ελληνικά', 'a
b', '["#größe", "#🔥"]', true, '13c0ae7b-94f2-4c4c-9d91-ee38f1c226e1', '2026-02-19 00:00:00', '2026-02-21 00:00:00', '[1, 2]');
INSERT INTO public.videos VALUES ('9e58d533-697a-413e-bc33-bbd6ecb12f9a', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'https://www.tiktok.com/@a/video/20', 'Ölpreis erklärt 20', NULL, 'tiktok', '2026-02-20 00:00:00', 'downloaded', 's3://bucket/20.mp4', 5368709140, 61, '1080x1920', 'transformed', NULL, '{"zoom": 1.1}', NULL, 1000000, '2026-02-21 00:00:00', '2026-02-21 00:01:30.000007', 90, 'published', NULL, '2026-03-12 00:00:00', 'ytv20', 'https://youtu.be/ytv20', 'Ölpreis erklärt', 'a
b', '["#größe", "#🔥"]', false, NULL, '2026-02-20 00:00:00', '2026-02-22 00:00:00', '{"source": {"likes": 2500000000}}');
INSERT INTO public.videos VALUES ('8fc578fd-13fd-4ad2-8c87-b237c3c4b14b', '7ecf3817-35a9-4671-8d3c-0e27c94b7f35', 'https://www.tiktok.com/@a/video/21', '東京の朝 21', 'créateur', 'tiktok', '2026-02-21 00:00:00', 'downloaded', 's3://bucket/21.mp4', 5368709141, 61, '1080x1920', 'transformed', 'b7f5a24e-0d0e-4639-b821-e003828383bd', '{"zoom": 1.1}', NULL, 1000000, '2026-02-22 00:00:00', '2026-02-22 00:01:30.000007', 90, 'failed', NULL, NULL, NULL, NULL, '東京の朝', 'a
b', '["#größe", "#🔥"]', true, 'f5e544c1-1dd5-4a73-8a85-5b31a585e87f', '2026-02-21 00:00:00', '2026-02-23 00:00:00', '{}');
INSERT INTO public.videos VALUES ('d03e1269-43bf-4601-898f-3d43a388af99', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'https://x/', 'Odd', NULL, 'x', '2026-02-01 00:00:00', 'pending', NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.videos VALUES ('321e3f1b-f6a2-4594-a7cb-5bc9cb5aa0a9', 'AE19FA20-A7CD-4335-857F-2CB4C7428459', 'https://x/', 'Odd', NULL, 'x', '2026-02-01 00:00:00', 'pending', NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.videos VALUES ('6dc65028-7ee4-46ba-91ea-fd67cec7c9fb', 'cbdee107-7c08-41bd-a88e-e666371ec427', 'https://x/', 'Odd', NULL, 'x', '2026-02-01 00:00:00', 'pending', NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.videos VALUES ('', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'https://x/', 'Odd', NULL, 'x', '2026-02-01 00:00:00', 'pending', NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.videos VALUES ('4290d037-727f-48ae-bb2e-9562e115f015', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'https://x/', 'Odd', NULL, 'x', '2026-02-01 00:00:00', 'pending', NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, 'infinity', NULL, NULL, NULL, NULL, NULL, false, NULL, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);
INSERT INTO public.videos VALUES ('a66f2b57-855d-4903-b76d-673d254464fb', 'e2b6ed3e-89f3-4f52-9901-705c60eb2bbd', 'https://x/', 'Odd', NULL, 'x', '2026-02-01 00:00:00', 'pending', NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'pending', NULL, NULL, NULL, NULL, NULL, NULL, '#a, #b', false, NULL, '2026-02-01 00:00:00', '2026-02-01 00:00:00', NULL);

ALTER TABLE ONLY public.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);

ALTER TABLE ONLY public.channel_statistics
    ADD CONSTRAINT channel_statistics_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.channels
    ADD CONSTRAINT channels_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.music
    ADD CONSTRAINT music_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.publication_schedules
    ADD CONSTRAINT publication_schedules_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.system_configuration
    ADD CONSTRAINT system_configuration_pkey PRIMARY KEY (key);

ALTER TABLE ONLY public.transformation_presets
    ADD CONSTRAINT transformation_presets_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.video_processing_jobs
    ADD CONSTRAINT video_processing_jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.video_statistics
    ADD CONSTRAINT video_statistics_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.videos
    ADD CONSTRAINT videos_pkey PRIMARY KEY (id);

CREATE INDEX idx_channels_is_active ON public.channels USING btree (is_active);

CREATE INDEX idx_jobs_priority_status ON public.video_processing_jobs USING btree (priority, status, queued_at);

CREATE INDEX idx_videos_channel_id ON public.videos USING btree (channel_id);

CREATE INDEX idx_videos_publication_status ON public.videos USING btree (publication_status);

ALTER TABLE ONLY public.channels
    ADD CONSTRAINT channels_effect_preset_id_fkey FOREIGN KEY (effect_preset_id) REFERENCES public.transformation_presets(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.publication_schedules
    ADD CONSTRAINT publication_schedules_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES public.channels(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.video_processing_jobs
    ADD CONSTRAINT video_processing_jobs_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES public.channels(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.video_processing_jobs
    ADD CONSTRAINT video_processing_jobs_video_id_fkey FOREIGN KEY (video_id) REFERENCES public.videos(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.videos
    ADD CONSTRAINT videos_channel_id_fkey FOREIGN KEY (channel_id) REFERENCES public.channels(id) ON DELETE CASCADE;

ALTER TABLE ONLY public.videos
    ADD CONSTRAINT videos_music_track_id_fkey FOREIGN KEY (music_track_id) REFERENCES public.music(id) ON DELETE SET NULL;

ALTER TABLE ONLY public.videos
    ADD CONSTRAINT videos_transformation_preset_id_fkey FOREIGN KEY (transformation_preset_id) REFERENCES public.transformation_presets(id) ON DELETE SET NULL;

