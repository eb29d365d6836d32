"""Runs every Python program of the book (docs/src) exactly as written."""

import asyncio
import os
import re
import subprocess
import sys
import uuid
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from conftest import Viraldb

BOOK = Path(__file__).parents[2] / "docs" / "src"
PAGES = {str(page.relative_to(BOOK)): page.read_text() for page in sorted(BOOK.rglob("*.md"))}


def blocks(page, *languages):
    """The code blocks of a page in these languages, in order."""
    found = re.findall(r"^```(\w+)\n(.*?)^```", PAGES[page], re.DOTALL | re.MULTILINE)
    return [(language, code) for language, code in found if language in languages]


MODELS, ENGINES = (code for _, code in blocks("how-to/sqlalchemy.md", "python"))
((_, RIGHTS),) = blocks("how-to/sqlalchemy.md", "sql")


def shell(folder, command):
    """Runs a command in a shell that finds `viraldb` and `python`, and returns what it prints."""
    programs = folder / ".programs"
    programs.mkdir(exist_ok=True)
    for name, program in [("viraldb", os.environ["VIRALDB_BIN"]), ("python", sys.executable)]:
        # A script, because Python finds its packages by the path of its program.
        (programs / name).write_text(f'#!/bin/sh\nexec "{program}" "$@"\n')
        (programs / name).chmod(0o755)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("VIRALDB_") and name != "DATABASE_URL"
    }
    environment["PATH"] = f"{programs}:{environment['PATH']}"
    ran = subprocess.run(["bash", "-ec", command], cwd=folder, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, f"{command}: {ran.returncode}: {ran.stdout}{ran.stderr}"
    return ran.stdout


def test_every_page_with_python_has_a_test():
    assert {page for page in PAGES if blocks(page, "python")} == {
        "how-to/any-language.md",
        "how-to/sqlalchemy.md",
        "how-to/workers.md",
        "tutorial/python.md",
    }


def test_the_tutorial_runs_from_top_to_bottom(tmp_path):
    printed = ""
    for language, code in blocks("tutorial/python.md", "python", "sh"):
        if language == "python":
            (name,) = re.match(r"# (\w+\.py)\n", code).groups()
            (tmp_path / name).write_text(code)
        else:
            printed += shell(tmp_path, code)
    assert "run 1 has 4 clips" in printed
    assert len(re.findall(r"^worker-[12] downloaded ", printed, re.MULTILINE)) == 4
    assert "run 1 is uploaded" in printed


def test_a_program_for_each_job_ends_it_by_its_exit_code(tmp_path):
    db, video = with_video(tmp_path)
    for payload in ['{"preset": "zoom"}', "{}"]:
        db.command("jobs", "enqueue", "transform", "--video", video, "--payload", payload)
    ((_, program),) = blocks("how-to/any-language.md", "python")
    (tmp_path / "transform.py").write_text(program)
    printed = shell(
        tmp_path,
        "viraldb jobs work --type transform --discard-code 65 --until-empty --json -- python transform.py 2>&1 || [ $? = 3 ]",
    )
    assert ": attempt 1: preset zoom" in printed
    jobs = sorted(db.json("jobs", "list"), key=lambda job: job["status"])
    assert [job["status"] for job in jobs] == ["completed", "failed"]
    assert jobs[1]["error_message"] == "exit code 65: the job names no preset"


def with_video(tmp_path):
    """Creates a database with one video."""
    db = Viraldb(tmp_path, "sqlite")
    channel, video = db.command("channels", "add", "C", "UC1").strip(), str(uuid.uuid4())
    rows = f'{{"id":"{video}","channel_id":"{channel}","source_url":"","source_title":"","source_platform":""}}\n'
    (tmp_path / "videos.jsonl").write_text(rows)
    db.command("ingest", "videos.jsonl", "--as", "jsonl", "--table", "videos")
    return db, video


def test_a_worker_completes_every_job(tmp_path):
    db, video = with_video(tmp_path)
    for _ in range(3):
        db.command("jobs", "enqueue", "download", "--video", video)
    ((_, worker),) = blocks("how-to/workers.md", "python")
    (tmp_path / "worker.py").write_text(worker)
    assert shell(tmp_path, "python worker.py") == f"download {video}\n" * 3
    assert [job["status"] for job in db.json("jobs", "list")] == ["completed"] * 3


def test_search_path_examples_work(tmp_path):
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
def test_model_examples_work(driver, tmp_path, monkeypatch):
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
