"""The rows of viralforge.db and viralforge.postgres.sql."""

from datetime import timedelta, timezone

from sqlalchemy import func, null, select, text

from . import at

TITLES = ["Häuser aus Lehm", "猫の動画 🐱", "plain", "“why?”", "ça va"]
NOW = "2026-02-01 00:00:00"


def when(day, seconds=0, micros=0, hours=0):
    """Returns a timestamp with a time zone. SQLite keeps no zone, so callers pass UTC there."""
    return at(day, seconds, micros).replace(tzinfo=timezone.utc).astimezone(timezone(timedelta(hours=hours)))


def fill(book):
    on_sqlite = book.connection.dialect.name == "sqlite"
    zone = 0 if on_sqlite else 5
    jobs(book, on_sqlite, zone)
    trends(book, on_sqlite, zone)
    scripts(book, on_sqlite, zone)
    videos(book, on_sqlite, zone)
    for n in (1, 2):
        book.good("trend_reports", id=n, raw_report={"styles": n})
    if not on_sqlite:
        # The rows have explicit ids, so the sequences would still start at 1.
        for name, table in book.tables.tables.items():
            last = book.connection.scalar(select(func.max(table.c.id)))
            book.connection.execute(text(f"SELECT setval('{name}_id_seq', {last})"))


def jobs(book, on_sqlite, zone):
    documents = [{"stage": {"trends": 12, "note": "größer"}}, None, null(), [], {"n": 1e-7}]
    for n, status in enumerate(["pending", "running", "completed", "failed"] * 3, 1):
        book.good(
            "jobs",
            id=n,
            status=status,
            stage=["collect", "script", "video", None][n % 4],
            theme=TITLES[n % 5],
            created_at=when(n, 0, n, zone),
            updated_at=when(n, 600, 0, zone) if n % 4 else None,
            error_message="quota exceeded ✋" if status == "failed" else None,
            metadata=documents[n % 5],
        )
    book.bad("jobs", "null", id=30, status="pending", created_at=None)
    if on_sqlite:
        book.odd(
            "jobs",
            {"status": "completed", "created_at": "2026-02-01T00:00:00Z"},
            id=20,
            status="COMPLETED",
            created_at=NOW,
        )
        book.bad("jobs", "word", id=31, status="cancelled", created_at=NOW)
        book.bad("jobs", "json", id=32, status="pending", created_at=NOW, metadata="{'stage': None}")
        book.bad("jobs", "time", id=33, status="pending", created_at=NOW, updated_at="1767225600 s")
    else:
        book.bad("jobs", "time", id=34, status="pending", created_at=NOW, updated_at="infinity")


def trends(book, on_sqlite, zone):
    for n in range(1, 17):
        book.good(
            "trends",
            id=n,
            platform=["tiktok", "youtube"][n % 2],
            external_id=f"7300000000000000{n:03}",
            title=TITLES[n % 5],
            creator=None if n % 5 == 0 else f"@créateur{n}",
            hashtags=[None, null(), ["#fyp", "#größe", "#🔥"], []][n % 4],
            views=[3_500_000_000, 0, None][n % 3],
            likes=n * 100_000_007,
            comments=n,
            shares=None if n % 7 == 0 else n,
            video_url=f"https://www.tiktok.com/@a/video/{n}",
            thumbnail_url=None,
            collected_at=when(n, 5, 0, zone),
            metadata={"sound": "оригинал"} if n % 2 else null(),
            description="d",
            duration=n,
            sound_name="s",
            posted_at=when(n),
            engagement_velocity=n / 3,
        )

    def trend(n, **more):
        return dict(id=n, platform="tiktok", external_id=f"odd{n}", collected_at=NOW) | more

    # One id on two platforms: the application distinguishes them, viraldb does not.
    book.bad("trends", "duplicate", **trend(30, platform="youtube", external_id="7300000000000000002"))
    if on_sqlite:
        book.odd("trends", {"platform": "youtube"}, **trend(20, platform="YouTube"))
        book.bad("trends", "word", **trend(31, platform="instagram"))
        book.bad("trends", "number", **trend(32, views="1.2M"))
        book.bad("trends", "number", **trend(33, likes=0.5))
        book.bad("trends", "json", **trend(34, hashtags="#fyp #viral"))
        book.bad("trends", "nul", **trend(35, title="a\0b"))
        book.bad("trends", "time", **trend(36, collected_at="tomorrow"))
        book.bad("trends", "null", **trend(37, collected_at=None))
    else:
        book.bad("trends", "null", **trend(37, collected_at=None))


def scripts(book, on_sqlite, zone):
    for n in range(1, 9):
        book.good(
            "scripts",
            id=n,
            job_id=None if n == 8 else n,
            video_prompt=f"a cat, {TITLES[n % 5]}",
            scenes=[[{"n": 1, "text": "öffnen"}, {"n": 2}], {}, None, []][n % 4],
            text_overlays=[null(), None, ["WOW 🤯"]][n % 3],
            voiceover_script="Once…" if n % 2 else None,
            title=TITLES[n % 5],
            description="a\nb",
            hashtags=["#a"],
            created_at=when(n, 30, 0, zone),
            hook_text="hook",
        )

    def script(n, **more):
        return dict(id=n, job_id=1, video_prompt="x", scenes="[]", created_at=NOW) | more

    book.bad("scripts", "orphan", **script(20, job_id=30))  # a job that is rejected
    book.bad("scripts", "null", **script(21, created_at=None))
    if on_sqlite:
        book.bad("scripts", "orphan", **script(22, job_id=99))
        book.bad("scripts", "json", **script(23, scenes="1. a cat"))
        book.bad("scripts", "json", **script(24, scenes='[{"seconds": -Infinity}]'))
        book.bad("scripts", "surrogate", **script(25, hashtags='["\\ud83c"]'))


def videos(book, on_sqlite, zone):
    for n, status in enumerate(["generated", "approved", "rejected", "published"] * 3, 1):
        decided, published = status != "generated", status == "published"
        book.good(
            "videos",
            id=n,
            job_id=(n - 1) % 7 + 1,
            script_id=(n - 1) % 7 + 1 if n % 2 else None,
            status=status if on_sqlite else status.upper(),
            file_path=f"/out/видео {n}.mp4",
            thumbnail_path=None,
            duration_seconds=None if n == 3 else n * 4.2,
            cost_usd=n * 0.123456789,
            created_at=when(n, 60, 0, zone),
            approved_at=when(n, 90, 0, zone) if decided else None,
            published_at=when(n, 99, 0, zone) if published else None,
            published_url=f"https://youtu.be/p{n}" if published else None,
            metadata={"model": "veo", "seed": 2**53} if n % 2 else None,
        )

    def video(n, **more):
        return (
            dict(id=n, job_id=1, script_id=1, status="generated" if on_sqlite else "GENERATED", created_at=NOW) | more
        )

    book.bad("videos", "orphan", **video(20, script_id=20))  # a script that is rejected
    book.bad("videos", "null", **video(21, status=None))
    if on_sqlite:
        book.odd("videos", {"status": "approved"}, **video(30, status="APPROVED"))
        book.bad("videos", "orphan", **video(22, script_id=99))
        book.bad("videos", "orphan", **video(23, job_id=99))
        book.bad("videos", "number", **video(24, cost_usd="free"))
        book.bad("videos", "word", **video(25, status="deleted"))
