"""viral_channel's models on a SQLite file created by viraldb."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import joinedload, selectinload

from applications.viral_channel import (
    Analytics,
    Base,
    Clip,
    ConfigOverride,
    DiscoveredVideo,
    ErrorLog,
    PipelineRun,
    ReviewLog,
    Script,
    Short,
    TtsAudio,
)
from conftest import Viraldb


@pytest.fixture
def db(tmp_path):
    return Viraldb(tmp_path, "sqlite")


@pytest.fixture(params=["pysqlite", "aiosqlite"])
def client(request, db, clients):
    return clients(db, request.param)


def video(n, **more):
    row = dict(
        video_id=f"v{n}",
        title=f"Über {n} 🎬",
        channel_name="C",
        channel_id="UC1",
        url=f"https://youtu.be/v{n}",
        niche="gaming",
    )
    return DiscoveredVideo(**row | more)


def run_of(niche="gaming", **more):
    return PipelineRun(niche=niche, cycle_start=datetime(2026, 1, 1), cycle_end=datetime(2026, 1, 8), **more)


def test_every_table_round_trips_a_row(client, db):
    def write(session):
        run, found = run_of(), video(1, view_count=15_000_000_000, viral_score=0.1)
        session.add_all([run, found])
        session.flush()
        assert (run.id, found.id) == (1, 1)
        clip = Clip(
            run=run,
            video=found,
            rank_position=1,
            start_time_seconds=0.5,
            end_time_seconds=9.75,
            clip_duration_seconds=9.25,
        )
        session.add_all(
            [
                clip,
                Script(run=run, full_script_json={"score": 0.1, "ü": [None, True]}),
                TtsAudio(pipeline_run_id=run.id, engine_used="edge_tts"),
                Short(run=run, clip=clip, title="🎬"),
                Analytics(youtube_video_id="yt", view_count=3_000_000_000),
                ReviewLog(pipeline_run_id=run.id, action="skip", response_detail="skip 4,7", auto_held=True),
                ConfigOverride(key="clips_per_video", value="12"),
                ErrorLog(
                    pipeline_run_id=run.id, module="render", error_type="E", error_message="größer", stack_trace="a\nb"
                ),
            ]
        )

    def read(session):
        run = (
            session.scalars(select(PipelineRun).options(selectinload(PipelineRun.clips).joinedload(Clip.video)))
            .unique()
            .one()
        )
        assert (run.status, run.retry_count, run.cycle_end) == ("pending", 0, datetime(2026, 1, 8))
        assert [(clip.video.view_count, clip.end_time_seconds) for clip in run.clips] == [(15_000_000_000, 9.75)]
        assert session.scalars(select(Script)).one().full_script_json == {"score": 0.1, "ü": [None, True]}
        assert session.scalars(select(Short).options(joinedload(Short.clip))).one().clip.content_id_risk == "unknown"
        review = session.scalars(select(ReviewLog)).one()
        assert (review.auto_held, review.action) == (True, "skip")
        assert abs(datetime.utcnow() - review.sent_at) < timedelta(minutes=1)
        assert session.scalars(select(ErrorLog)).one().resolved is False
        for mapper in Base.registry.mappers:
            assert session.scalar(select(func.count()).select_from(mapper.class_)) == 1, mapper

    def change_and_delete(session):
        run = session.scalars(select(PipelineRun)).one()
        run.status, run.started_at = "running", datetime(2026, 1, 2, 3, 4, 5, 6)
        session.flush()
        session.refresh(run)
        assert run.started_at == datetime(2026, 1, 2, 3, 4, 5, 6)
        for kind in (
            ReviewLog,
            Short,
            Clip,
            Script,
            TtsAudio,
            ErrorLog,
            Analytics,
            ConfigOverride,
            PipelineRun,
            DiscoveredVideo,
        ):
            for row in session.scalars(select(kind)):
                session.delete(row)
            session.flush()

    client.run(write)
    client.run(read)
    rows = {table["table"]: table["rows"] for table in db.json("status")["tables"]}
    assert [rows[mapper.local_table.name] for mapper in Base.registry.mappers] == [1] * 10, rows
    assert db.export("scripts")[0]["full_script_json"] == {"score": 0.1, "ü": [None, True]}
    assert db.export("review_log")[0]["auto_held"] is True
    client.run(change_and_delete)
    assert db.export("clips") == []


def test_create_all_changes_nothing(client, db):
    """create_all finds that every table exists, and changes nothing."""
    before = db.command("export", "config_overrides")

    def start(session):
        Base.metadata.create_all(session.connection())

    client.run(start)
    assert db.command("export", "config_overrides") == before
    db.command("doctor", "--only", "drift,shapes,foreign_keys")


def test_json_documents_and_null_round_trip(client, db):
    def write(session):
        session.add(run_of())
        session.flush()
        for document in ({}, [], "text", 42, 1.5, True, None):
            session.add(Script(pipeline_run_id=1, full_script_json=document))
            session.flush()
        session.add(Script(pipeline_run_id=1))

    client.run(write)
    read = client.run(lambda session: session.scalars(select(Script.full_script_json).order_by(Script.id)).all())
    assert read == [{}, [], "text", 42, 1.5, True, None, None]
    assert [row["full_script_json"] for row in db.export("scripts")] == read


def test_bulk_inserts_and_upserts_work(client, db):
    def write(session):
        session.add_all(video(n) for n in range(1, 501))
        session.flush()
        row = dict(
            video_id="v7", title="again", channel_name="C", channel_id="UC1", url="u", niche="gaming", view_count=9
        )
        made = insert(DiscoveredVideo).values(**row)
        made = made.on_conflict_do_update(
            index_elements=["video_id"], set_={"title": made.excluded.title, "view_count": made.excluded.view_count}
        )
        assert session.scalar(made.returning(DiscoveredVideo.id)) == 7
        changed = session.execute(update(DiscoveredVideo).where(DiscoveredVideo.id > 490).values(processed=1))
        assert changed.rowcount == 10

    client.run(write)
    rows = {row["video_id"]: row for row in db.export("discovered_videos")}
    assert len(rows) == 500 and rows["v7"]["title"] == "again" and rows["v7"]["view_count"] == 9
    assert db.json("status")["pending_videos"] == [{"niche": "gaming", "pending": 490}]


def test_constraints_reject_invalid_rows(client):
    client.run(lambda session: session.add_all([run_of(), video(1)]))

    def refused(name, *rows):
        with pytest.raises(IntegrityError) as refusal:
            client.run(lambda session: session.add_all(rows))
        assert name in str(refusal.value.orig), refusal.value

    clip = dict(rank_position=1, start_time_seconds=0, end_time_seconds=1, clip_duration_seconds=1)
    refused("pipeline_runs_status_check", run_of(status="exploded"))
    refused("pipeline_runs_status_check", run_of(status="PENDING"))
    refused(
        "pipeline_runs_cycle_order_check",
        PipelineRun(niche="n", cycle_start=datetime(2026, 1, 2), cycle_end=datetime(2026, 1, 1)),
    )
    refused("discovered_videos.video_id", video(1))
    refused("discovered_videos.title", video(2, title=None))
    refused("discovered_videos_processed_check", video(2, processed=4))
    refused("cannot store TEXT value in INTEGER column discovered_videos.view_count", video(2, view_count="a lot"))
    refused(
        "cannot store REAL value in INTEGER column discovered_videos.duration_seconds", video(2, duration_seconds=2.5)
    )
    refused("FOREIGN KEY", Clip(pipeline_run_id=9, discovered_video_id=1, **clip))


def test_sqlalchemy_reads_the_defaults_of_the_database(client, db):
    """The database fills in columns that a program omits, in the format that SQLAlchemy reads."""

    def write(session):
        session.execute(text("INSERT INTO error_log (module, error_type, error_message) VALUES ('m', 'E', 'x')"))
        session.execute(text("INSERT INTO config_overrides (key, value) VALUES ('a', '1')"))

    client.run(write)
    error = client.run(lambda session: session.scalars(select(ErrorLog)).one().occurred_at)
    assert abs(datetime.utcnow() - error) < timedelta(minutes=1)
    before = client.run(lambda session: session.get(ConfigOverride, "a").updated_at)

    def change(session):
        session.get(ConfigOverride, "a").value = "2"

    client.run(change)
    after = client.run(lambda session: session.get(ConfigOverride, "a"))
    assert (after.value, after.updated_by) == ("2", "system") and after.updated_at > before
    assert db.json("errors", "list")[0]["module"] == "m"


def test_application_and_viraldb_share_a_pipeline(client, db):
    """Each continues with the rows that the other wrote."""
    client.run(lambda session: session.add_all(video(n, viral_score=float(n)) for n in range(1, 4)))
    assert [found["video_id"] for found in db.json("videos", "pending", "gaming")] == ["v3", "v2", "v1"]
    db.command("videos", "mark", "v3", "used")
    pending = client.run(
        lambda session: session.scalars(
            select(DiscoveredVideo.video_id).filter_by(niche="gaming", processed=0).order_by(DiscoveredVideo.id)
        ).all()
    )
    assert pending == ["v1", "v2"]
