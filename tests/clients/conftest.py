"""Fixtures: a database created by viraldb for each test, and SQLAlchemy sessions on it."""

import asyncio
import itertools
import json
import os
import subprocess

import psycopg
import pytest
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

names = (f"clients{n}" for n in itertools.count())


def database(template=None):
    """Creates an empty PostgreSQL database or a copy of another one, and returns its name."""
    name = next(names)
    with psycopg.connect(dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
    return name


class Viraldb:
    """A database created by `viraldb init`."""

    template = None

    def __init__(self, folder, engine):
        self.folder = folder
        if engine == "sqlite":
            self.path = str(folder / "viral.db")
            self.url = f"sqlite://{self.path}"
            self.command("init", "--quiet")
        else:
            self.path = database(Viraldb.template)
            self.url = f"postgres:///{self.path}"  # PGHOST and PGUSER supply the rest
            if Viraldb.template is None:
                self.command("init", "--quiet")
                Viraldb.template, self.path = self.path, database(self.path)
                self.url = f"postgres:///{self.path}"

    def command(self, *args):
        """Returns the output of the command."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VIRALDB_")}
        ran = subprocess.run(
            [os.environ["VIRALDB_BIN"], "--database-url", self.url, *args],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert ran.returncode == 0, f"viraldb {' '.join(args)}: {ran.returncode}: {ran.stdout}{ran.stderr}"
        return ran.stdout

    def json(self, *args):
        """Returns the JSON document that the command prints."""
        return json.loads(self.command(*args, "--format", "json"))

    def export(self, table):
        """Returns the rows of a table."""
        return [json.loads(line) for line in self.command("export", table).splitlines()]


class Blocking:
    """Runs work in sessions of an engine."""

    def __init__(self, engine):
        self.engine = engine

    def run(self, body):
        """Runs `body` in a new session and commits."""
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            return body(session)

    def close(self):
        self.engine.dispose()


class Nonblocking:
    """The same for an asynchronous engine. It keeps one event loop, because the drivers are tied to theirs."""

    def __init__(self, engine):
        self.engine, self.loop = engine, asyncio.new_event_loop()

    def run(self, body):
        async def work():
            async with AsyncSession(self.engine, expire_on_commit=False) as session, session.begin():
                return await session.run_sync(body)

        return self.wait(work())

    def wait(self, work):
        return self.loop.run_until_complete(work)

    def close(self):
        self.wait(self.engine.dispose())
        self.loop.close()


def connect(db, driver, user=None, **settings):
    """Opens sessions on a database with one of SQLAlchemy's drivers and these server settings."""
    user = user or os.environ["PGUSER"]
    settings = {name: value for name, value in settings.items() if value}
    if driver in ("pysqlite", "aiosqlite"):
        make = create_engine if driver == "pysqlite" else create_async_engine
        engine = make(f"sqlite+{driver}:///{db.path}")

        @event.listens_for(engine.sync_engine if driver == "aiosqlite" else engine, "connect")
        def foreign_keys(connection, _):
            cursor = connection.cursor()
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.close()

    elif driver == "asyncpg":
        host = os.environ["PGHOST"]
        engine = create_async_engine(
            f"postgresql+asyncpg://{user}@/{db.path}?host={host}", connect_args={"server_settings": settings}
        )
    else:
        options = " ".join(f"-c {name}={value}" for name, value in settings.items())
        engine = create_engine(f"postgresql+{driver}://{user}@/{db.path}", connect_args={"options": options})
    return Nonblocking(engine) if driver in ("asyncpg", "aiosqlite") else Blocking(engine)


@pytest.fixture
def clients():
    """Opens sessions with `connect` and closes them at the end of the test."""
    opened = []

    def open_one(db, driver, **more):
        opened.append(connect(db, driver, **more))
        return opened[-1]

    yield open_one
    for client in opened:
        client.close()
