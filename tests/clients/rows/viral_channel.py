"""The rows of viral_channel.db."""

from sqlalchemy import null

from . import at

WORDS = ["Größte Überraschung", "笑ってはいけない", "كرة القدم", "Cat 🐈 vs. 🤖", "plain", "“quoted”, 'twice'"]


def fill(book):
    runs, videos = good_runs(book), good_videos(book)
    odd_and_bad_videos(book)
    odd_and_bad_runs(book)
    clips(book, runs, videos)
    scripts(book)
    voices(book)
    shorts(book)
    analytics(book)
    reviews(book)
    overrides(book)
    errors(book)


def good_videos(book):
    niches, risks = ["gaming", "music", "科学"], ["low", "medium", "high", "unknown"]
    for n in range(1, 13):
        book.good(
            "discovered_videos",
            id=n,
            video_id=f"dQw4w9Wg{n:03}",
            title=f"{WORDS[n % 6]} {n}",
            channel_name=WORDS[n % 5],
            channel_id=f"UC{n % 4}",
            url=f"https://www.youtube.com/watch?v=dQw4w9Wg{n:03}",
            category_id=[20, 10, None][n % 3],
            duration_seconds=None if n == 5 else 60 * n,
            view_count=[2_147_483_648, 15_000_000_000, 0, None][n % 4],
            like_count=n * 1_000_003,
            comment_count=None if n == 7 else n,
            view_velocity=n * 1234.5678,
            viral_score=None if n == 9 else n / 7,
            niche=niches[n % 3],
            discovery_source=["youtube_trending", "reddit", None][n % 3],
            discovered_at=at(n, 3600 * n, 123456 if n % 2 else 0),
            processed=n % 4,
            content_id_risk=risks[n % 4],
        )
    return range(1, 13)


def video(n, **more):
    row = dict(
        id=n,
        video_id=f"odd{n:03}",
        title=f"Odd {n}",
        channel_name="C",
        channel_id="UC9",
        url=f"https://www.youtube.com/watch?v=odd{n:03}",
        niche="gaming",
        discovered_at="2026-02-01 00:00:00.000000",
        processed=0,
        content_id_risk="unknown",
    )
    return row | more


def odd_and_bad_videos(book):
    odd, bad, table = book.odd, book.bad, "discovered_videos"
    odd(table, {"content_id_risk": "high"}, **video(20, content_id_risk="HIGH"))
    odd(table, {"discovered_at": "2026-01-05T08:00:00Z"}, **video(21, discovered_at="2026-01-05T10:00:00+02:00"))
    odd(table, {"discovered_at": "2026-01-05T10:00:00Z"}, **video(22, discovered_at="2026-01-05T10:00:00Z"))
    odd(
        table, {"discovered_at": "2026-01-05T10:00:00.123456Z"}, **video(23, discovered_at="2026-01-05T10:00:00.123456")
    )
    odd(table, {"discovered_at": "2026-01-05T10:00:00Z"}, **video(24, discovered_at="2026-01-05 10:00:00"))
    odd(table, {"view_count": 9_223_372_036_854_775_807}, **video(25, view_count=9_223_372_036_854_775_807))
    bad(table, "duplicate", **video(30, video_id="dQw4w9Wg003"))
    bad(table, "duplicate", **video(31, video_id="dQw4w9Wg003"))
    bad(table, "word", **video(32, content_id_risk="unlikely"))
    bad(table, "word", **video(33, processed=7))
    bad(table, "number", **video(34, view_count="a lot"))
    bad(table, "number", **video(35, duration_seconds=212.5))
    bad(table, "number", **video(36, category_id=3_000_000_000))
    bad(table, "null", **video(37, title=None))
    bad(table, "time", **video(38, discovered_at="yesterday"))
    bad(table, "null", **video(39, discovered_at=""))
    bad(table, "time", **video(40, discovered_at="2026-02-30 10:00:00.000000"))
    bad(table, "nul", **video(41, title="cut\0off"))


def good_runs(book):
    statuses = ["pending", "running", "review", "approved", "uploaded", "failed"]
    for n, status in enumerate(statuses * 2, 1):
        done = status in ("uploaded", "failed")
        book.good(
            "pipeline_runs",
            id=n,
            niche=["gaming", "music"][n % 2],
            cycle_start=at(7 * n),
            cycle_end=at(7 * n + 7),
            status=status,
            started_at=None if status == "pending" else at(7 * n, 60),
            completed_at=at(7 * n, 7200, 1) if done else None,
            video_file_path=f"/videos/лучшее {n}.mp4" if done else None,
            video_duration_seconds=601.25 * n if done else None,
            video_file_size_bytes=4_294_967_296 + n if done else None,
            youtube_video_id=f"yt{n}" if status == "uploaded" else None,
            youtube_url=f"https://youtu.be/yt{n}" if status == "uploaded" else None,
            error_message="ffmpeg: exit 1\nüber" if status == "failed" else None,
            retry_count=n % 3,
        )
    return range(1, 13)


def odd_and_bad_runs(book):
    def run(n, **more):
        row = dict(
            id=n,
            niche="gaming",
            cycle_start="2026-03-01 00:00:00.000000",
            cycle_end="2026-03-08 00:00:00.000000",
            status="pending",
            retry_count=0,
        )
        return row | more

    book.odd("pipeline_runs", {"status": "uploaded"}, **run(20, status="Uploaded"))
    book.odd("pipeline_runs", {"cycle_end": "2026-03-01T00:00:00Z"}, **run(21, cycle_end="2026-03-01 00:00:00.000000"))
    # In the right order as times, but not as text.
    book.odd(
        "pipeline_runs",
        {"cycle_start": "2026-03-01T21:00:00Z", "cycle_end": "2026-03-01T22:00:00Z"},
        **run(22, cycle_start="2026-03-02T00:00:00+03:00", cycle_end="2026-03-01T22:00:00+00:00"),
    )
    book.bad("pipeline_runs", "order", **run(30, cycle_end="2026-02-01 00:00:00.000000"))
    book.bad("pipeline_runs", "word", **run(31, status="exploded"))
    book.bad("pipeline_runs", "null", **run(32, status=""))
    book.bad("pipeline_runs", "number", **run(33, retry_count="twice"))
    book.bad("pipeline_runs", "time", **run(34, completed_at="soon"))
    book.bad("pipeline_runs", "text", **run(35, error_message=b"\xff\xfe\x00"))


def clips(book, runs, videos):
    methods = ["most_replayed", "transcript", "audio_energy", "scene_detection", None]
    for n in range(1, 25):
        book.good(
            "clips",
            id=n,
            pipeline_run_id=runs[(n - 1) // 2],
            discovered_video_id=videos[n % 12],
            rank_position=n % 2 + 1,
            start_time_seconds=n * 1.5,
            end_time_seconds=n * 1.5 + 12.25,
            clip_duration_seconds=12.25,
            extraction_method=methods[n % 5],
            clip_file_path=f"/clips/{n}.mp4" if n % 4 else None,
            content_id_risk=["low", "medium", "high", "unknown"][n % 4],
        )

    def clip(n, **more):
        row = dict(
            id=n,
            pipeline_run_id=1,
            discovered_video_id=1,
            rank_position=9,
            start_time_seconds=1.0,
            end_time_seconds=5.0,
            clip_duration_seconds=4.0,
            content_id_risk="low",
        )
        return row | more

    # viraldb has no rule against this.
    book.odd(
        "clips",
        {"start_time_seconds": 30.0, "end_time_seconds": 10.0},
        **clip(40, start_time_seconds=30.0, end_time_seconds=10.0),
    )
    book.bad("clips", "orphan", **clip(50, pipeline_run_id=99))
    book.bad("clips", "orphan", **clip(51, discovered_video_id=99))
    book.bad("clips", "orphan", **clip(52, discovered_video_id=30))  # the second row of a duplicate
    book.bad("clips", "orphan", **clip(53, pipeline_run_id=30))  # a run that is rejected
    book.bad("clips", "number", **clip(54, rank_position="first"))
    book.bad("clips", "number", **clip(55, start_time_seconds="0:30"))


def scripts(book):
    documents = [
        {"opening": "Los geht’s! 🎬", "clips": [1, 2, 3], "score": 0.1},
        ["a", None, True, 1e100],
        "text",
        None,
        null(),
        {"deep": {"deeper": {"deepest": []}}},
        {},
        42,
        -2.5,  # SQLite stores the last two as numbers, not text
    ]
    for n, document in enumerate(documents, 1):
        book.good(
            "scripts",
            id=n,
            pipeline_run_id=n,
            opening_text=WORDS[n % 6],
            closing_text=None,
            full_script_json=document,
            total_char_count=n * 100,
            estimated_duration_seconds=n * 7.5,
            llm_model_used=["gpt-4o", None][n % 2],
            generated_at=at(n, 5),
        )

    def script(n, **more):
        return dict(id=n, pipeline_run_id=2, generated_at="2026-02-01 00:00:00.000000") | more

    book.odd("scripts", {"full_script_json": {"b": 1, "a": 2}}, **script(20, full_script_json=' {"b": 1,\n "a": 2} '))
    book.bad("scripts", "json", **script(30, full_script_json='{"score": NaN}'))
    book.bad("scripts", "json", **script(31, full_script_json="{'opening': 'quoted by Python'}"))
    book.bad("scripts", "json", **script(32, full_script_json="{"))
    book.bad("scripts", "json", **script(33, full_script_json='{"cut": "of'))
    book.bad("scripts", "nul", **script(34, full_script_json='{"text": "a\\u0000b"}'))
    book.bad("scripts", "surrogate", **script(35, full_script_json='{"text": "\\ud83c"}'))
    book.bad("scripts", "orphan", **script(36, pipeline_run_id=31))


def voices(book):
    for n in range(1, 9):
        book.good(
            "tts_audio",
            id=n,
            pipeline_run_id=n,
            engine_used=["edge_tts", "elevenlabs"][n % 2],
            voice_profile=["de-DE-KatjaNeural", None][n % 2],
            audio_file_path=f"/audio/{n}.wav",
            duration_seconds=None if n == 3 else n * 11.1,
            generated_at=at(n, 10),
        )
    book.bad(
        "tts_audio", "orphan", id=20, pipeline_run_id=99, engine_used="edge_tts", generated_at="2026-02-01 00:00:00"
    )
    book.bad(
        "tts_audio",
        "number",
        id=21,
        pipeline_run_id=1,
        engine_used="edge_tts",
        duration_seconds="long",
        generated_at="2026-02-01 00:00:00",
    )


def shorts(book):
    for n, status in enumerate(["pending", "review", "uploaded", "failed"] * 2, 1):
        up = status == "uploaded"
        book.good(
            "shorts",
            id=n,
            pipeline_run_id=(n + 1) // 2,
            clip_id=None if n == 8 else n,
            file_path=f"/shorts/{n}.mp4",
            duration_seconds=59.9,
            title=WORDS[n % 6],
            description="line 1\nline 2\ttab",
            status=status,
            youtube_video_id=f"sh{n}" if up else None,
            youtube_url=f"https://youtu.be/sh{n}" if up else None,
            uploaded_at=at(30 + n) if up else None,
        )
    book.odd(
        "shorts",
        {"status": "uploaded", "uploaded_at": "2026-02-01T00:00:00Z"},
        id=20,
        pipeline_run_id=1,
        clip_id=1,
        status="UPLOADED",
        uploaded_at="2026-02-01T00:00:00Z",
    )
    book.bad("shorts", "orphan", id=30, pipeline_run_id=1, clip_id=50, status="pending")  # its clip is rejected
    book.bad("shorts", "orphan", id=31, pipeline_run_id=99, status="pending")
    book.bad("shorts", "word", id=32, pipeline_run_id=1, status="live")


def analytics(book):
    for n in range(1, 19):
        book.good(
            "analytics",
            id=n,
            youtube_video_id=["yt5", "yt11", "sh3"][n % 3],
            measured_at=at(40 + n, 0, n),
            view_count=1_000_000_000 * n,
            like_count=n * n,
            comment_count=None if n % 6 == 0 else n,
            average_view_duration_seconds=31.25,
            click_through_rate=0.045 * n,
            subscriber_gain=-n if n % 5 == 0 else n,
            estimated_revenue_usd=n * 12.34,
        )
    book.bad("analytics", "null", id=30, youtube_video_id="yt5", measured_at="")
    book.bad("analytics", "number", id=31, youtube_video_id="yt5", measured_at="2026-02-01 00:00:00", view_count=3.5)
    book.bad(
        "analytics",
        "number",
        id=32,
        youtube_video_id="yt5",
        measured_at="2026-02-01 00:00:00",
        click_through_rate="n/a",
    )


def reviews(book):
    for n, action in enumerate(["approve", "reject", "hold", "skip", "redo_script", None], 1):
        book.good(
            "review_log",
            id=n,
            pipeline_run_id=n,
            sent_at=at(n, 100),
            responded_at=at(n, 500) if action else None,
            action=action,
            response_detail="skip 4,7 👍" if action == "skip" else None,
            auto_held=action == "hold",
        )
    book.odd(
        "review_log",
        {"action": "redo_script"},
        id=10,
        pipeline_run_id=1,
        sent_at="2026-02-01 00:00:00",
        action="REDO_SCRIPT",
        auto_held=0,
    )
    book.bad("review_log", "word", id=20, pipeline_run_id=1, sent_at="2026-02-01 00:00:00", action="maybe", auto_held=0)
    book.bad("review_log", "boolean", id=21, pipeline_run_id=1, sent_at="2026-02-01 00:00:00", auto_held=2)
    book.bad("review_log", "orphan", id=22, pipeline_run_id=99, sent_at="2026-02-01 00:00:00", auto_held=0)


def overrides(book):
    for n, (key, value) in enumerate(
        [("clips_per_video", "12"), ("niche.science", "ja"), ("empty", ""), ("json", '{"a": [1]}')]
    ):
        book.good("config_overrides", key=key, value=value, updated_at=at(n), updated_by=["system", "Zoë"][n % 2])
    book.bad("config_overrides", "time", key="bad_time", value="1", updated_at="never", updated_by="system")


def errors(book):
    for n in range(1, 11):
        book.good(
            "error_log",
            id=n,
            pipeline_run_id=n if n % 2 else None,
            module=["discovery", "render"][n % 2],
            error_type="ValueError",
            error_message=f"{WORDS[n % 6]}: 'NoneType' object is not subscriptable",
            stack_trace='Traceback (most recent call last):\n  File "a.py", line 1' if n % 3 else None,
            occurred_at=at(n, n, 999_999),
            resolved=n % 4 == 0,
        )

    def error(n, **more):
        return (
            dict(id=n, module="m", error_type="E", error_message="x", occurred_at="2026-02-01 00:00:00", resolved=0)
            | more
        )

    book.bad("error_log", "orphan", **error(20, pipeline_run_id=99))
    book.bad("error_log", "boolean", **error(21, resolved="perhaps"))
    book.bad("error_log", "nul", **error(22, stack_trace="Traceback\0more"))
