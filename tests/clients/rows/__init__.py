"""The rows of the databases in tests/data/takeover, good and bad, and the expected result of each."""

import json
import random
import uuid
from datetime import datetime, timedelta

from sqlalchemy import MetaData, column, func, insert, select, table


def at(day, seconds=0, micros=0):
    """Returns a timestamp without a time zone, as datetime.utcnow() does."""
    return datetime(2026, 1, 1) + timedelta(days=day, seconds=seconds, microseconds=micros)


class Book:
    """Writes rows, and records what a takeover should make of them.

    `good` rows use the types of SQLAlchemy's tables. `odd` and `bad` rows bypass them, like rows from other versions
    of the application, other programs or people. Every run writes the same rows.
    """

    def __init__(self, connection, tables=None):
        self.connection = connection
        if tables is None:
            tables = MetaData()
            tables.reflect(connection)
        self.tables = tables
        self.random = random.Random("viraldb")
        self.rejects = {}
        self.becomes = {}

    def uuid(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def good(self, name, /, **row):
        self.connection.execute(insert(self.tables.tables[name]).values(**row))
        return row.get("id")

    def odd(self, name, becomes, /, **row):
        """Writes a row that a takeover accepts, with the values that it should have afterward."""
        self._raw(name, row)
        noted = {"id": row["id"] if "id" in row else row["key"], "values": becomes}
        self.becomes.setdefault(name, []).append(noted)
        return row.get("id")

    def bad(self, name, reason, /, **row):
        """Writes a row that a takeover rejects."""
        self._raw(name, row)
        self.rejects.setdefault(name, []).append({"id": row.get("id", row.get("key")), "reason": reason})
        return row.get("id")

    def _raw(self, name, row):
        self.connection.execute(insert(table(name, *map(column, row))).values(**row))

    def expected(self, application, into=None, not_ours=()):
        """Returns the entry of expected.json for this database."""
        tables = {}
        for name in sorted(set(self.tables.tables) - set(not_ours)):
            rows = self.connection.scalar(select(func.count()).select_from(self.tables.tables[name]))
            rejects = self.rejects.get(name, [])
            tables[name] = {
                "into": (into or {}).get(name, name),
                "rows": rows,
                "taken": rows - len(rejects),
                "rejects": rejects,
                "becomes": self.becomes.get(name, []),
            }
        return {"application": application, "tables": tables, "not_ours": sorted(not_ours)}


def tokens():
    """Returns Fernet tokens that `viraldb secrets import-fernet` decrypts with the key from the same file."""
    from pathlib import Path

    file = Path(__file__).parents[2] / "data" / "secrets.json"
    return [made["token"] for made in json.loads(file.read_text())["fernet"]["tokens"]]
