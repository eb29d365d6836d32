"""The rows of channel_manager.db and channel_manager.postgres.sql.

On SQLite some rows violate foreign keys and types, as rows of applications do there.
"""

import json

from sqlalchemy import null

from . import at, tokens

TITLES = ["Ölpreis erklärt", "東京の朝", "🔥 Top 10 🔥", 'O\'Brien "quotes" \\ slash', "Ελληνικά"]
NOW = "2026-02-01 00:00:00.000000"


def fill(book):
    on_sqlite = book.connection.dialect.name == "sqlite"
    app = App(book, on_sqlite)
    app.presets()
    app.music()
    app.channels()
    app.videos()
    app.jobs()
    app.channel_statistics()
    app.video_statistics()
    app.configuration()
    for n in range(3):
        book.good("publication_schedules", id=book.uuid(), channel_id=app.channel[n], scheduled_at=at(100 + n))


class App:
    def __init__(self, book, on_sqlite):
        self.book, self.on_sqlite = book, on_sqlite
        self.metadata = "metadata_info" if on_sqlite else "metadata"

    def word(self, text):
        """Returns a status word as this database stores it."""
        return text.upper() if self.on_sqlite else text

    def times(self):
        return dict(created_at=NOW, updated_at=NOW)

    def presets(self):
        book = self.book
        self.preset = [
            book.good(
                "transformation_presets",
                id=book.uuid(),
                name=f"Preset {n} {TITLES[n]}",
                description=TITLES[n] if n else None,
                parameters=json.dumps(
                    {"zoom": 1.05, "flip": n % 2 == 0, "filters": ["eq", "ü"]}, ensure_ascii=n % 2 == 0
                ),
                is_default=n == 0,
                is_active=n != 3,
                created_at=at(n),
                updated_at=at(n, 60, 5),
            )
            for n in range(4)
        ]

        def preset(**more):
            return (
                dict(id=book.uuid(), name="Odd", parameters="{}", is_default=self.false, is_active=self.true)
                | self.times()
                | more
            )

        self.second_default = book.bad("transformation_presets", "duplicate", **preset(is_default=self.true))
        self.loud = book.uuid()
        book.odd("transformation_presets", {"id": self.loud}, **preset(id=self.loud.upper()))
        book.bad("transformation_presets", "json", **preset(parameters="zoom=1.05"))
        book.bad("transformation_presets", "json", **preset(parameters='{"zoom": Infinity}'))
        book.bad("transformation_presets", "uuid", **preset(id="preset-7"))
        if self.on_sqlite:
            book.bad("transformation_presets", "boolean", **preset(is_active="yes and no"))

    @property
    def true(self):
        return 1 if self.on_sqlite else True

    @property
    def false(self):
        return 0 if self.on_sqlite else False

    def music(self):
        book, made = self.book, self.metadata
        documents = [{"bpm": 120, "genre": "électro"}, [], None, null(), {"loud": -7.5}]
        self.track = [
            book.good(
                "music",
                id=book.uuid(),
                name=TITLES[n],
                artist=None if n == 1 else f"Künstler {n}",
                spotify_track_id=f"spotify{n}" if n < 4 else None,
                file_path=f"/music/{n}.mp3",
                file_size=3_000_000_000 + n,
                duration=200 + n,
                usage_count=n,
                is_active=True,
                created_at=at(n),
                updated_at=at(n),
                **{made: documents[n]},
            )
            for n in range(5)
        ]

        def track(**more):
            return dict(id=book.uuid(), name="Odd", usage_count=0, is_active=self.true) | self.times() | more

        bare = book.uuid()
        book.odd("music", {"id": bare}, **track(id=bare.replace("-", "")))
        book.odd("music", {"spotify_track_id": None}, **track())
        book.bad("music", "duplicate", **track(spotify_track_id="spotify2"))
        if self.on_sqlite:
            book.bad("music", "number", **track(duration="3:20"))
            book.bad("music", "number", **track(duration=5_000_000_000))
            book.bad("music", "json", **track(**{made: "{bpm: 120}"}))
            book.bad("music", "nul", **track(name="cut\0off"))
        book.bad("music", "nul", **track(**{made: '{"text": "a\\u0000b"}'}))

    def channels(self):
        book, sealed = self.book, tokens()
        self.channel = [
            book.good(
                "channels",
                id=book.uuid(),
                name=TITLES[n],
                youtube_channel_id=f"UCchannel{n}",
                youtube_channel_url=f"https://www.youtube.com/channel/UCchannel{n}",
                is_active=n != 2,
                api_credentials_encrypted=sealed[0],
                posting_schedule=json.dumps({"videos_per_day": n, "times": ["18:00"]}),
                content_filters=json.dumps({"min_views": 10_000_000_000}),
                metadata_template=json.dumps({"title": "{título} 🎥"}),
                effect_preset_id=self.preset[n] if n < 3 else None,
                github_repo_url="https://github.com/x/y" if n else None,
                github_secret_key_encrypted=sealed[2] if n == 1 else None,
                phase2_enabled=n == 4,
                created_at=at(10 + n),
                updated_at=at(11 + n, 1, 1),
                last_publication_at=at(20 + n) if n % 2 else None,
            )
            for n in range(5)
        ]

        def channel(name, **more):
            row = dict(
                id=book.uuid(),
                name=name,
                youtube_channel_id=f"UC{name}",
                youtube_channel_url="https://youtube.com/",
                is_active=self.true,
                api_credentials_encrypted=sealed[0],
                posting_schedule="{}",
                content_filters="{}",
                metadata_template="{}",
                phase2_enabled=self.false,
            )
            return row | self.times() | more

        self.loud_channel = book.uuid()
        book.odd(
            "channels",
            {"id": self.loud_channel, "effect_preset_id": self.loud},
            **channel("loud", id=self.loud_channel.upper(), effect_preset_id=self.loud.upper()),
        )
        book.odd("channels", {"effect_preset_id": None}, **channel("default", effect_preset_id=self.second_default))
        if self.on_sqlite:
            # The takeover does what ON DELETE SET NULL would have done.
            book.odd("channels", {"effect_preset_id": None}, **channel("dangling", effect_preset_id=book.uuid()))
            book.odd(
                "channels",
                {"created_at": "2026-01-31T22:30:00Z"},
                **channel("zoned", created_at="2026-02-01T00:00:00+01:30"),
            )
            book.bad("channels", "time", **channel("epoch", created_at="last week"))
        self.no_channel = book.bad("channels", "json", **channel("json", posting_schedule="{'videos_per_day': 2}"))
        book.bad("channels", "duplicate", **channel("again", youtube_channel_id="UCchannel1"))
        book.bad("channels", "uuid", **channel("uuid", id="0190b5a0-0000-7000-8000-00000000000g"))

    def videos(self):
        book = self.book
        stages = [
            ("pending", "pending", "pending"),
            ("downloading", "pending", "pending"),
            ("downloaded", "pending", "pending"),
            ("failed", "pending", "pending"),
            ("downloaded", "processing", "pending"),
            ("downloaded", "transformed", "pending"),
            ("downloaded", "failed", "pending"),
            ("downloaded", "transformed", "scheduled"),
            ("downloaded", "transformed", "publishing"),
            ("downloaded", "transformed", "published"),
            ("downloaded", "transformed", "failed"),
        ]
        documents = [{"source": {"likes": 2_500_000_000}}, {}, null(), {"tags": ["ü", "🎵"]}, [1, 2]]
        self.video = []
        for n, (download, transformation, publication) in enumerate(stages * 2):
            transformed, published = transformation == "transformed", publication == "published"
            self.video.append(
                book.good(
                    "videos",
                    id=book.uuid(),
                    channel_id=self.channel[n % 5],
                    source_url=f"https://www.tiktok.com/@a/video/{n}",
                    source_title=f"{TITLES[n % 5]} {n}",
                    source_creator=None if n % 3 else "créateur",
                    source_platform="tiktok",
                    scraped_at=at(30 + n),
                    download_status=self.word(download),
                    download_url=f"s3://bucket/{n}.mp4" if download == "downloaded" else None,
                    download_size=5_368_709_120 + n if download == "downloaded" else None,
                    download_duration=61 if download == "downloaded" else None,
                    download_resolution="1080x1920",
                    transformation_status=self.word(transformation),
                    transformation_preset_id=self.preset[n % 4] if n % 2 else None,
                    transformation_params=json.dumps({"zoom": 1.1}) if transformed else None,
                    transformed_size=1_000_000 if transformed else None,
                    processing_started_at=at(31 + n) if transformed else None,
                    processing_completed_at=at(31 + n, 90, 7) if transformed else None,
                    processing_duration=90 if transformed else None,
                    publication_status=self.word(publication),
                    scheduled_publication_at=at(60) if publication == "scheduled" else None,
                    published_at=at(50 + n) if published else None,
                    youtube_video_id=f"ytv{n}" if published else None,
                    youtube_video_url=f"https://youtu.be/ytv{n}" if published else None,
                    final_title=TITLES[n % 5] if transformed else None,
                    final_description="a\nb",
                    final_tags=json.dumps(["#größe", "#🔥"], ensure_ascii=False) if transformed else None,
                    music_replaced=n % 2 == 1,
                    music_track_id=self.track[n % 5] if n % 2 else None,
                    created_at=at(30 + n),
                    updated_at=at(32 + n),
                    **{self.metadata: documents[n % 5]},
                )
            )

        def video(**more):
            row = dict(
                id=book.uuid(),
                channel_id=self.channel[0],
                source_url="https://x/",
                source_title="Odd",
                source_platform="x",
                scraped_at=NOW,
                download_status=self.word("pending"),
                transformation_status=self.word("pending"),
                publication_status=self.word("pending"),
                music_replaced=self.false,
            )
            return row | self.times() | more

        # Missing metadata becomes {}.
        book.odd("videos", {"metadata": {}}, **video())
        book.odd("videos", {"channel_id": self.loud_channel}, **video(channel_id=self.loud_channel.upper()))
        book.bad("videos", "orphan", **video(channel_id=self.no_channel))
        self.no_video = book.bad("videos", "null", **video(id=""))
        if self.on_sqlite:
            # The parent's id is in upper case, the child's reference in lower case: both are the
            # same UUID.
            book.odd("videos", {"channel_id": self.loud_channel}, **video(channel_id=self.loud_channel))
            book.odd(
                "videos",
                {"download_status": "downloaded", "music_track_id": None},
                **video(download_status="Downloaded", music_track_id=book.uuid()),
            )
            book.bad("videos", "orphan", **video(channel_id=book.uuid()))
            book.bad("videos", "word", **video(publication_status="LIVE"))
            book.bad("videos", "null", **video(download_status=""))
            book.bad("videos", "number", **video(download_size="12 MB"))
            book.bad("videos", "number", **video(download_duration=61.5))
            book.bad("videos", "time", **video(published_at="yesterday"))
            book.bad("videos", "json", **video(**{self.metadata: '{"likes": NaN}'}))
            book.bad("videos", "json", **video(final_tags="#a, #b"))
            book.bad("videos", "uuid", **video(transformation_preset_id="preset-7"))
            book.bad("videos", "text", **video(final_description=b"\xff\xd8\xff"))
        else:
            book.bad("videos", "time", **video(published_at="infinity"))
            book.bad("videos", "json", **video(final_tags="#a, #b"))

    def jobs(self):
        book = self.book
        kinds = ["scrape", "download", "transform", "publish", "music_replace"]
        for n, status in enumerate(["queued", "processing", "completed", "failed", "retrying"] * 3):
            begun, ended = status != "queued", status in ("completed", "failed")
            book.good(
                "video_processing_jobs",
                id=book.uuid(),
                video_id=self.video[n],
                channel_id=self.channel[n % 5],
                job_type=self.word(kinds[(n + n // 5) % 5]),
                status=self.word(status),
                priority=n % 4 - 1,
                attempts=int(begun),
                max_attempts=3,
                error_message="HTTP 429: zu viele Anfragen" if status == "failed" else None,
                error_details=json.dumps({"status": 429, "retry": None}) if status == "failed" else None,
                queued_at=at(40, n),
                started_at=at(40, 60 + n) if begun else None,
                completed_at=at(40, 120 + n) if ended else None,
                duration=60 if ended else None,
                github_workflow_run_id="12345678901" if n % 4 == 0 else None,
                created_at=at(40, n),
                updated_at=at(40, 120 + n),
            )

        def job(**more):
            row = dict(
                id=book.uuid(),
                video_id=self.video[0],
                channel_id=self.channel[0],
                job_type=self.word("download"),
                status=self.word("queued"),
                priority=0,
                attempts=0,
                max_attempts=3,
                queued_at=NOW,
            )
            return row | self.times() | more

        table = "video_processing_jobs"
        book.bad(table, "number", **job(attempts=-1))
        book.bad(table, "number", **job(max_attempts=0))
        book.bad(table, "json", **job(error_details="Traceback (most recent call last)"))
        book.bad(table, "uuid", **job(id="job-1"))
        if self.on_sqlite:
            book.odd(
                table,
                {"job_type": "music_replace", "status": "retrying"},
                **job(job_type="music_replace", status="Retrying"),
            )
            book.bad(table, "orphan", **job(video_id=book.uuid()))
            book.bad(table, "orphan", **job(channel_id=book.uuid()))
            book.bad(table, "word", **job(job_type="TRANSCODE"))
            book.bad(table, "word", **job(status="CANCELLED"))
            book.bad(table, "number", **job(priority="high"))

    def channel_statistics(self):
        book = self.book
        for n in range(10):
            book.good(
                "channel_statistics",
                id=book.uuid(),
                channel_id=self.channel[n % 5],
                subscriber_count=300_000_000 + n,
                view_count=30_000_000_000 + n,
                video_count=n,
                total_views=n * n,
                total_videos=n,
                timestamp=at(50 + n),
                created_at=at(50 + n),
            )

        def sample(**more):
            return dict(id=book.uuid(), channel_id=self.channel[0], timestamp=NOW, created_at=NOW) | more

        # Omitted columns get their defaults.
        book.odd("channel_statistics", {"view_count": 0, "total_videos": 0}, **sample())
        book.bad("channel_statistics", "orphan", **sample(channel_id=book.uuid()))
        if self.on_sqlite:
            book.bad("channel_statistics", "null", **sample(timestamp=""))

    def video_statistics(self):
        book = self.book
        for n in range(20):
            book.good(
                "video_statistics",
                id=book.uuid(),
                video_id=self.video[n % 11],
                view_count=4_000_000_000 * n,
                like_count=n * 7,
                comment_count=n,
                timestamp=at(60, 3600 * n),
                created_at=at(60, 3600 * n, 1),
            )

        def sample(**more):
            return dict(id=book.uuid(), video_id=self.video[0], timestamp=NOW, created_at=NOW) | more

        book.bad("video_statistics", "orphan", **sample(video_id=book.uuid()))
        book.bad("video_statistics", "null", **sample(video_id=""))
        if self.on_sqlite:
            book.odd("video_statistics", {"view_count": 3_000_000_000}, **sample(view_count="3000000000"))
            book.bad("video_statistics", "number", **sample(like_count="1.2K"))

    def configuration(self):
        book = self.book
        values = {
            "max_concurrent_downloads": "4",
            "schedule": '{"cron": "0 * * * *", "zone": "Europe/Zürich"}',
            "storage_path": "/srv/videos",
            "greeting": "Grüß Gott 👋",
            "empty": "",
            "quoted": '"text"',
            "nothing": "null",
        }
        for n, (key, value) in enumerate(values.items()):
            book.good(
                "system_configuration",
                key=key,
                value=value,
                description=TITLES[n % 5] if n % 2 else None,
                encrypted=False,
                created_at=at(n),
                updated_at=at(n, 30),
            )
        book.good(
            "system_configuration",
            key="youtube_api_key",
            value=tokens()[2],
            encrypted=True,
            created_at=at(9),
            updated_at=at(9),
        )
        # Python's NaN is not JSON, so it counts as bare text.
        book.odd(
            "system_configuration", {"value": "NaN"}, key="ratio", value="NaN", encrypted=self.false, **self.times()
        )
        if self.on_sqlite:
            book.bad("system_configuration", "boolean", key="odd", value="1", encrypted=3, **self.times())
            book.bad(
                "system_configuration",
                "time",
                key="old",
                value="1",
                encrypted=0,
                created_at=NOW,
                updated_at="0000-00-00 00:00:00",
            )
