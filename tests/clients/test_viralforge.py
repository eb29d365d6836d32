"""ViralForge, unchanged, on a PostgreSQL database of viraldb through the schema `viralforge`."""

import enum
from datetime import datetime, timedelta, timezone

import psycopg
import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    Enum,
    Integer,
    column,
    delete,
    func,
    insert,
    inspect,
    select,
    table,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import Inspector
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import declarative_base, joinedload, selectinload

from applications.viralforge import Base, Job, Script, Trend, Video
from conftest import Viraldb


@pytest.fixture
def db(tmp_path):
    return Viraldb(tmp_path, "postgres")


@pytest.fixture(params=["psycopg", "asyncpg", "psycopg2"])
def client(request, db, clients):
    return clients(db, request.param, search_path="viralforge")


def recent(when):
    return abs(datetime.now(timezone.utc) - when) < timedelta(minutes=1)


def trend(n, **more):
    return Trend(
        **dict(platform="tiktok", external_id=f"t{n}", hashtags=["#größe", "🔥"], views=2_000_000_000 + n) | more
    )


def test_rows_get_ids_and_defaults(client, db):
    def write(session):
        job = Job(theme="Katzen 🐈", extra_data={"a": [1, None, "ü"]})
        session.add(job)
        session.flush()
        assert (job.id, job.status) == (1, "pending") and recent(job.created_at) and job.updated_at is None
        # The database fills in columns that the application omits, even through the view.
        bare = table("jobs", column("id"), column("theme"), column("status"), column("created_at"))
        made = session.execute(
            insert(bare).values(theme="x").returning(bare.c.id, bare.c.status, bare.c.created_at)
        ).one()
        assert (made.id, made.status) == (2, "pending") and recent(made.created_at)
        found = table("videos", column("id"), column("status"))
        assert session.execute(insert(found).values(id=7).returning(found.c.status)).scalar_one() == "generated"

    client.run(write)
    first, second = db.export("jobs")
    assert (first["theme"], first["metadata"], second["theme"]) == ("Katzen 🐈", {"a": [1, None, "ü"]}, "x")


def test_job_with_scripts_and_videos_round_trips(client, db):
    at = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5)))

    def write(session):
        job = Job(theme="cats", status="running", stage="video")
        script = Script(
            job=job, video_prompt="a cat", scenes=[{"n": 1, "text": "öffnen"}], text_overlays=None, hashtags=["#a"]
        )
        session.add_all([script, Video(job=job, script=script, cost_usd=0.1, approved_at=at), Video(job=job)])

    def read(session):
        job = (
            session.scalars(
                select(Job).options(selectinload(Job.scripts), joinedload(Job.videos).joinedload(Video.script))
            )
            .unique()
            .one()
        )
        assert [script.scenes for script in job.scripts] == [[{"n": 1, "text": "öffnen"}]]
        assert [(video.cost_usd, video.approved_at, video.status) for video in job.videos] == [
            (0.1, at, "generated"),
            (None, None, "generated"),
        ]
        assert job.videos[0].script is job.scripts[0] and job.videos[1].script is None
        joined = select(Job.theme, func.count(Video.id)).join(Video.job).outerjoin(Video.script).group_by(Job.theme)
        assert session.execute(joined).all() == [("cats", 2)]
        one = select(Video).where(Video.approved_at.is_not(None)).with_for_update(skip_locked=True)
        assert session.scalars(one).one().script.video_prompt == "a cat"

    def change(session):
        job = session.scalars(select(Job)).one()
        job.status, job.stage, job.extra_data = "completed", None, {"took": 1.5}
        session.flush()
        session.refresh(job)
        assert recent(job.updated_at) and job.extra_data == {"took": 1.5}
        assert session.execute(update(Video).where(Video.status == "generated").values(status="approved")).rowcount == 2
        session.delete(session.scalars(select(Video).where(Video.script_id.is_(None))).one())

    client.run(write)
    client.run(read)
    client.run(change)
    (job,), (video,) = db.export("jobs"), db.export("job_videos")
    assert (job["status"], job["metadata"]) == ("completed", {"took": 1.5})
    assert (video["status"], video["approved_at"]) == ("approved", "2026-01-01T22:04:05.678901Z")
    assert db.export("job_scripts")[0]["text_overlays"] is None


def test_bulk_inserts_return_ids_in_order(client, db):
    def write(session):
        trends = [trend(n) for n in range(300)]
        session.add_all(trends)
        session.flush()
        assert [made.id for made in trends] == list(range(1, 301)), "ids are returned in the order of the rows"
        more = [dict(platform="youtube", external_id=f"y{n}", extra_data={"n": n}) for n in range(1500)]
        session.execute(insert(Trend), more)
        ids = session.scalars(
            insert(Trend).returning(Trend.external_id, sort_by_parameter_order=True),
            [dict(platform="youtube", external_id=f"z{n}") for n in range(50)],
        ).all()
        assert ids == [f"z{n}" for n in range(50)]

    client.run(write)
    stored = db.export("trends")
    assert len(stored) == 1850 and stored[5]["views"] == 2_000_000_005 and stored[5]["hashtags"] == ["#größe", "🔥"]
    assert len(db.json("trends", "list", "--platform", "tiktok", "--limit", "1000")) == 300

    def documents(session):
        some = select(func.count()).select_from(Trend)
        assert session.scalar(some.where(Trend.extra_data["n"].as_integer() >= 1490)) == 10
        assert session.scalar(some.where(type_coerce(Trend.hashtags, postgresql.JSONB).contains(["🔥"]))) == 300
        assert session.execute(delete(Trend).where(Trend.platform == "youtube")).rowcount == 1550

    client.run(documents)


def test_large_counts_can_be_read_and_written(client, db):
    """An `Integer` column reads large counts; writing them needs `BigInteger`."""
    trends = table("trends", column("platform"), column("external_id"), column("views", BigInteger))
    client.run(
        lambda session: session.execute(insert(trends).values(platform="tiktok", external_id="x", views=3_500_000_000))
    )
    assert client.run(lambda session: session.scalar(select(Trend.views))) == 3_500_000_000
    assert db.export("trends")[0]["views"] == 3_500_000_000


def test_upsert_keeps_the_id_of_a_known_trend(client, db):
    def collect(session, views):
        made = postgresql.insert(Trend).values(platform="tiktok", external_id="same", views=views)
        again = made.on_conflict_do_update(index_elements=[Trend.external_id], set_={"views": made.excluded.views})
        return session.scalar(again.returning(Trend.id))

    first = client.run(lambda session: collect(session, 1))
    assert client.run(lambda session: collect(session, 2)) == first
    ignored = postgresql.insert(Trend).values(platform="tiktok", external_id="same", views=3).on_conflict_do_nothing()
    assert client.run(lambda session: session.scalar(ignored.returning(Trend.id))) is None
    assert [(row["id"], row["views"]) for row in db.export("trends")] == [(first, 2)]


def test_constraints_reject_invalid_rows(client):
    def refused(name, work):
        with pytest.raises(IntegrityError) as refusal:
            client.run(work)
        assert name in str(refusal.value.orig), refusal.value

    client.run(lambda session: session.add_all([Job(scripts=[Script(video_prompt="x", scenes=[])]), trend(1)]))
    refused("jobs_status_check", lambda session: session.add(Job(status="lost")))
    refused("jobs_status_check", lambda session: session.add(Job(status="PENDING")))
    refused("job_videos_status_check", lambda session: session.add(Video(status="lost")))
    refused("trends_platform_check", lambda session: session.add(trend(2, platform="instagram")))
    refused("trends_external_id_key", lambda session: session.add(trend(1)))
    refused("job_videos_script_id_fkey", lambda session: session.add(Video(script_id=99)))
    refused("job_scripts_job_id_fkey", lambda session: session.execute(delete(Job)))
    refused("video_prompt", lambda session: session.add(Script(scenes=[])))


def test_create_all_creates_nothing(client, db):
    """create_all finds its four tables as views, and creates nothing."""
    client.run(lambda session: Base.metadata.create_all(session.connection()))
    tables, views = client.run(
        lambda session: [
            ask(inspect(session.connection())) for ask in (Inspector.get_table_names, Inspector.get_view_names)
        ]
    )
    assert (tables, set(views)) == ([], {"jobs", "scripts", "trends", "videos"})
    db.command("doctor", "--only", "drift,history")


class JobStatus(enum.Enum):
    PENDING = "pending"
    RUNNING = "running"


def test_python_enums_must_be_stored_as_text_values(client):
    """A Python enum works if SQLAlchemy stores its values as text, but not as a native PostgreSQL enum."""

    def job(**kind):
        class Job(declarative_base()):
            __tablename__ = "jobs"
            id = Column(Integer, primary_key=True)
            status = Column(Enum(JobStatus, **kind), nullable=False)

        return Job

    ByValue = job(values_callable=lambda words: [word.value for word in words], native_enum=False)

    def write(session):
        session.add(made := ByValue(status=JobStatus.RUNNING))
        session.flush()
        session.expire(made)
        assert made.status is JobStatus.RUNNING

    client.run(write)
    with pytest.raises(DBAPIError):
        client.run(lambda session: session.add(job()(status=JobStatus.RUNNING)))


def test_a_role_with_a_search_path_is_enough(db, clients):
    """The application needs no changes: its role has the search path, and rights only on the views."""
    with psycopg.connect(dbname=db.path, autocommit=True) as owner:
        role = f"forge_{db.path}"
        owner.execute(f"CREATE ROLE {role} LOGIN")
        owner.execute(f"GRANT USAGE ON SCHEMA viralforge TO {role}")
        owner.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA viralforge TO {role}")
        owner.execute(f"ALTER ROLE {role} IN DATABASE {db.path} SET search_path = viralforge")
    for number, driver in enumerate(["psycopg", "asyncpg"], 1):
        client = clients(db, driver, user=role)

        def work(session):
            session.add(job := Job(theme="cats", videos=[Video()]))
            session.flush()
            job.status = "running"
            session.flush()
            session.delete(job.videos[0])
            return job.id

        assert client.run(work) == number
        with pytest.raises(DBAPIError, match="permission denied"):
            client.run(
                lambda session: session.execute(select(column("id")).select_from(table("channels", schema="public")))
            )
    assert [row["status"] for row in db.export("jobs")] == ["running", "running"]
