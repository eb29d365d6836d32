"""tests/data/takeover is what make.py makes, and what expected.json says of it."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import MetaData, create_engine, text

from conftest import database

FILES = Path(__file__).parents[1] / "data" / "takeover"
EXPECTED = json.loads((FILES / "expected.json").read_text())


def rows(url):
    """How often each row of each table is there."""
    engine = create_engine(url)
    with engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        # Typeless, because some of what is there has no right type.
        found = {}
        for name, table in tables.tables.items():
            if engine.dialect.name == "sqlite":
                columns = " || '|' || ".join(
                    f"typeof({column.name}) || hex(coalesce({column.name}, ''))" for column in table.columns
                )
            else:
                columns = f"{name}::text"
            found[name] = Counter(connection.scalars(text(f"SELECT {columns} FROM {name}")))
    engine.dispose()
    return found


def as_checked_in(name):
    file = FILES / name
    if file.suffix == ".db":
        return f"sqlite:///file:{file}?mode=ro&uri=true"
    name = database()
    with psycopg.connect(dbname=name, autocommit=True) as connection:
        connection.execute(file.read_text())  # all of it as one batch
    return f"postgresql+psycopg:///{name}"


@pytest.mark.parametrize("name", EXPECTED)
def test_the_file_is_what_is_made(name, tmp_path, monkeypatch):
    assert {file.name for file in FILES.iterdir()} == {*EXPECTED, "expected.json"}
    monkeypatch.setenv("PGTZ", "UTC")
    application, known = EXPECTED[name]["application"], tmp_path / "expected.json"
    url = f"sqlite:///{tmp_path / name}" if name.endswith(".db") else f"postgresql+psycopg:///{database()}"
    make = [sys.executable, Path(__file__).with_name("make.py"), application, url, "--expected", known]
    subprocess.run(make, check=True)
    assert json.loads(known.read_text())[name] == EXPECTED[name]
    assert rows(as_checked_in(name)) == rows(url)


@pytest.mark.parametrize("name", EXPECTED)
def test_what_is_expected_adds_up(name):
    counted = {table: there.total() for table, there in rows(as_checked_in(name)).items()}
    tables = EXPECTED[name]["tables"]
    assert set(counted) == {*tables, *EXPECTED[name]["not_ours"]}
    for table, said in tables.items():
        assert counted[table] == said["rows"] == said["taken"] + len(said["rejects"]), table
        ids = [reject["id"] for reject in said["rejects"]] + [row["id"] for row in said["becomes"]]
        assert len(set(ids)) == len(ids), table
