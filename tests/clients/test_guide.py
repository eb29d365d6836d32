"""What docs/DATABASE.md says to applications with SQLAlchemy, as it stands there."""

import asyncio
import re
import uuid
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from conftest import Viraldb

GUIDE = (Path(__file__).parents[2] / "docs" / "DATABASE.md").read_text()
SECTION = re.search(r"^## From SQLAlchemy\n(.*?)^## ", GUIDE, re.DOTALL | re.MULTILINE).group(1)
(RIGHTS,) = re.findall(r"^```sql\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)
ENGINES, MODELS = re.findall(r"^```python\n(.*?)^```", SECTION, re.DOTALL | re.MULTILINE)


def test_the_search_path(tmp_path):
    db = Viraldb(tmp_path, "postgres")
    with psycopg.connect(dbname="postgres", autocommit=True) as owner:
        owner.execute(f"ALTER DATABASE {db.path} RENAME TO viral")
    with psycopg.connect(dbname="viral", autocommit=True) as owner:
        owner.execute(RIGHTS)
    with psycopg.connect(dbname="viral", user="forge") as forge:
        assert forge.execute(
            "INSERT INTO scripts (video_prompt, scenes) VALUES ('a cat', '[]') RETURNING id"
        ).fetchone() == (1,)

    made = {}
    exec(ENGINES, made)
    with made["engine"].begin() as connection:
        assert connection.scalar(text("SELECT video_prompt FROM scripts")) == "a cat"
    made["engine"].dispose()

    async def read():
        async with made["async_engine"].connect() as connection:
            prompt = await connection.scalar(text("SELECT video_prompt FROM scripts"))
        await made["async_engine"].dispose()
        return prompt

    assert asyncio.run(read()) == "a cat"


@pytest.mark.parametrize("driver", ["pysqlite", "psycopg2", "psycopg"])
def test_the_models(driver, tmp_path, monkeypatch):
    db = Viraldb(tmp_path, "sqlite" if driver == "pysqlite" else "postgres")
    monkeypatch.setenv(
        "SQLALCHEMY_URL", f"sqlite:///{db.path}" if driver == "pysqlite" else f"postgresql+{driver}:///{db.path}"
    )
    made = {}
    exec(MODELS, made)
    video, channel = str(uuid.uuid4()), db.command("channels", "add", "C", "UC1").strip()
    with made["engine"].begin() as connection:
        of = "INSERT INTO videos (id, channel_id, source_url, source_title, source_platform) VALUES (:id, :channel, '', '', '')"
        connection.execute(text(of), dict(id=video, channel=channel))
    made["enqueue"](video, channel)
    (job,) = db.json("jobs", "claim", "--worker", "w", "--type", "download")
    assert (job["video_id"], job["status"], job["error_details"]) == (video, "processing", None)
    with Session(made["engine"]) as session:
        (read,) = session.scalars(select(made["Job"])).all()
        assert (read.id, read.job_type, read.error_details) == (job["id"], made["JobType"].DOWNLOAD, None)
    with pytest.raises(IntegrityError):
        made["enqueue"](str(uuid.uuid4()), channel)
    made["engine"].dispose()
