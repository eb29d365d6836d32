#!/usr/bin/env python3
"""Loads a trending CSV into a viraldb database with SQLAlchemy Core, as `viraldb ingest` does.

    python sqlalchemy_trending.py URL FILE [--update]

URL is sqlite:///path.db or postgresql://…. Create the tables with `viraldb init` first. Known videos are skipped. With
--update their counts are updated instead. Snapshots that are already in analytics are skipped in both cases.

Prints one JSON line with the numbers of rows and the duration of the load in seconds, without the start of Python.
"""

import argparse
import csv
import json
import sys
import time
from datetime import datetime
from itertools import islice

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Float,
    Integer,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    func,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

CHUNK = 5_000

NICHES = {
    1: "film", 2: "autos", 10: "music", 15: "pets", 17: "sports", 18: "film", 19: "travel", 20: "gaming", 21: "people",
    22: "people", 23: "funny", 24: "entertainment", 25: "news", 26: "howto", 27: "education", 28: "technology",
    29: "activism", 34: "funny", 43: "entertainment", 44: "film",
}  # fmt: skip
NICHES.update(dict.fromkeys([*range(30, 34), *range(35, 43)], "film"))

# On SQLite, SQLAlchemy writes a DateTime as YYYY-MM-DD HH:MM:SS.ffffff, which is the schema's form.
metadata = MetaData()
videos = Table(
    "discovered_videos",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("video_id", Text),
    Column("title", Text),
    Column("channel_name", Text),
    Column("channel_id", Text),
    Column("url", Text),
    Column("category_id", Integer),
    Column("view_count", BigInteger),
    Column("like_count", BigInteger),
    Column("comment_count", BigInteger),
    Column("view_velocity", Float),
    Column("niche", Text),
    Column("discovery_source", Text),
    Column("discovered_at", DateTime(timezone=True)),
)
analytics = Table(
    "analytics",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("youtube_video_id", Text),
    Column("measured_at", DateTime(timezone=True)),
    Column("view_count", BigInteger),
    Column("like_count", BigInteger),
    Column("comment_count", BigInteger),
)


def connect(url):
    url = make_url(url)
    if url.get_backend_name() == "postgresql":
        return create_engine(url.set(drivername="postgresql+psycopg"))
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def set_pragmas(connection, _record):
        # Use the same settings as viraldb's connections, so that neither side has an advantage.
        cursor = connection.cursor()
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON", "cache_size = -32000"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def count(text):
    return int(text) if text else None


def convert(row):
    """Returns the video and the snapshot of one CSV row, or raises ValueError if the row is bad."""
    video_id = row["video_id"].strip()
    if not video_id or video_id == "#NAME?":
        raise ValueError("no video_id")
    measured_at = datetime.fromisoformat(row["trending_date"])
    published_at = datetime.fromisoformat(row["publishedAt"])
    category_id = count(row["categoryId"])
    view_count = count(row["view_count"])
    like_count = count(row["likes"])
    comment_count = count(row["comment_count"])
    hours = (measured_at - published_at).total_seconds() / 3600
    video = {
        "video_id": video_id,
        "title": row["title"].strip(),
        "channel_name": row["channelTitle"].strip(),
        "channel_id": row["channelId"].strip(),
        "url": "https://www.youtube.com/watch?v=" + video_id,
        "category_id": category_id,
        "view_count": view_count,
        "like_count": like_count,
        "comment_count": comment_count,
        "view_velocity": view_count / hours if view_count is not None and hours > 0 else None,
        "niche": NICHES.get(category_id, "other"),
        "discovery_source": "youtube_trending",
        "discovered_at": measured_at,
    }
    snapshot = {
        "youtube_video_id": video_id,
        "measured_at": measured_at,
        "view_count": view_count,
        "like_count": like_count,
        "comment_count": comment_count,
    }
    return video, snapshot


class Loader:
    def __init__(self, engine, update):
        self.engine = engine
        self.is_postgres = engine.dialect.name == "postgresql"
        insert = (postgresql if self.is_postgres else sqlite).insert
        upsert = insert(videos)
        if update:
            new, old = upsert.excluded, videos.c
            self.insert_videos = upsert.on_conflict_do_update(
                index_elements=["video_id"],
                set_={
                    "view_count": func.coalesce(new.view_count, old.view_count),
                    "like_count": func.coalesce(new.like_count, old.like_count),
                    "comment_count": func.coalesce(new.comment_count, old.comment_count),
                },
            )
        else:
            self.insert_videos = upsert.on_conflict_do_nothing(index_elements=["video_id"])
        self.insert_snapshots = insert(analytics)
        self.report = {"rows": 0, "videos": 0, "snapshots": 0, "rejected": 0}

    def load(self, file):
        reader = csv.DictReader(file)
        while rows := list(islice(reader, CHUNK)):
            self.store(rows)

    def store(self, rows):
        """Stores one chunk in one transaction. One transaction for the whole file was not faster."""
        chunk_videos, snapshots = [], {}
        for row in rows:
            try:
                video, snapshot = convert(row)
            except (AttributeError, TypeError, ValueError):
                self.report["rejected"] += 1  # for example a truncated last row
                continue
            chunk_videos.append(video)
            snapshots.setdefault((snapshot["youtube_video_id"], snapshot["measured_at"]), snapshot)
        self.report["rows"] += len(rows)
        if not chunk_videos:
            return
        with self.engine.begin() as connection:
            self.report["videos"] += self.execute(connection, self.insert_videos, chunk_videos)
            known = self.known_snapshots(connection, snapshots)
            new = [snapshot for key, snapshot in snapshots.items() if key not in known]
            if new:
                self.report["snapshots"] += self.execute(connection, self.insert_snapshots, new)

    def execute(self, connection, statement, rows):
        """Executes an INSERT of many rows and returns the number of inserted or updated rows.

        Without RETURNING, SQLAlchemy passes the rows to the driver's executemany, and psycopg sends them in a pipeline.
        That takes half the time of "insertmanyvalues", the multi-row INSERTs that SQLAlchemy uses with RETURNING.
        """
        return connection.execute(statement, rows, execution_options={"preserve_rowcount": True}).rowcount

    def known_snapshots(self, connection, snapshots):
        """Returns the keys of the chunk's snapshots that are already in the table."""
        video_ids = {video_id for video_id, _ in snapshots}
        times = [measured_at for _, measured_at in snapshots]
        found = connection.execute(
            select(analytics.c.youtube_video_id, analytics.c.measured_at).where(
                analytics.c.youtube_video_id.in_(video_ids),
                analytics.c.measured_at.between(min(times), max(times)),
            )
        )
        if self.is_postgres:
            return {(video_id, measured_at) for video_id, measured_at in found}
        utc = times[0].tzinfo  # SQLite returns times without a time zone
        return {(video_id, measured_at.replace(tzinfo=utc)) for video_id, measured_at in found}


def main():
    parser = argparse.ArgumentParser(description="Load a trending CSV with SQLAlchemy Core.")
    parser.add_argument("url", help="sqlite:///path.db or postgresql://…")
    parser.add_argument("file", help="CSV file of the YouTube Trending Video Dataset")
    parser.add_argument("--update", action="store_true", help="update the counts of known videos")
    args = parser.parse_args()

    start = time.perf_counter()
    loader = Loader(connect(args.url), args.update)
    with open(args.file, newline="", encoding="utf-8") as file:
        loader.load(file)
    loader.engine.dispose()
    json.dump(loader.report | {"seconds": round(time.perf_counter() - start, 3)}, sys.stdout)
    print()


if __name__ == "__main__":
    main()
