"""Creates and fills a database as one of three applications leaves it, with SQLAlchemy and Alembic.

    python make.py APPLICATION URL [--expected FILE]

APPLICATION is viral_channel, channel_manager or viralforge; URL is a SQLAlchemy URL. The database must be empty.
--expected adds the expected result of a takeover to a JSON file, under the name of the database.
"""

import argparse
import json
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, event, make_url

import rows.channel_manager
import rows.viral_channel
import rows.viralforge
from applications import viral_channel, viralforge_later
from rows import Book

HERE = Path(__file__).parent


def make_channel_manager(engine):
    config = Config()
    config.set_main_option("script_location", str(HERE / "applications" / "channel_manager_revisions"))
    config.set_main_option("path_separator", "os")
    config.set_main_option("sqlalchemy.url", engine.url.render_as_string(hide_password=False).replace("%", "%%"))
    command.upgrade(config, "head")
    with engine.begin() as connection:
        book = Book(connection)
        rows.channel_manager.fill(book)
        return book.expected("channel_manager", not_ours=["alembic_version", "publication_schedules"])


def make_viral_channel(engine):
    viral_channel.Base.metadata.create_all(engine)
    with engine.begin() as connection:
        book = Book(connection, viral_channel.Base.metadata)
        rows.viral_channel.fill(book)
        return book.expected("viral_channel")


def make_viralforge(engine):
    tables = viralforge_later.metadata(engine.dialect.name)
    tables.create_all(engine)
    with engine.begin() as connection:
        book = Book(connection, tables)
        rows.viralforge.fill(book)
        return book.expected(
            "viralforge", into={"scripts": "job_scripts", "videos": "job_videos"}, not_ours=["trend_reports"]
        )


def main():
    makers = {
        "viral_channel": make_viral_channel,
        "channel_manager": make_channel_manager,
        "viralforge": make_viralforge,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("application", choices=makers)
    parser.add_argument("url", type=make_url)
    parser.add_argument("--expected", type=Path)
    asked = parser.parse_args()

    engine = create_engine(asked.url)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA page_size = 1024"))  # small
    expected = makers[asked.application](engine)
    if engine.dialect.name == "sqlite":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM")
    engine.dispose()
    if asked.expected:
        name = Path(asked.url.database).name if engine.dialect.name == "sqlite" else f"{asked.application}.postgres.sql"
        known = json.loads(asked.expected.read_text()) if asked.expected.exists() else {}
        known[name] = expected
        asked.expected.write_text(json.dumps(known, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
