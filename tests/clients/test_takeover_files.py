"""Tests that tests/data/takeover matches the output of make.py and the description in expected.json."""

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
    """Counts how often each row occurs in each table."""
    engine = create_engine(url)
    with engine.connect() as connection:
        tables = MetaData()
        tables.reflect(connection)
        # Compare texts instead of typed values, because some values have the wrong type.
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
        connection.execute(file.read_text())  # the whole file as one batch
    return f"postgresql+psycopg:///{name}"


@pytest.mark.parametrize("name", EXPECTED)
def test_checked_in_files_match_the_output_of_make(name, tmp_path, monkeypatch):
    assert {file.name for file in FILES.iterdir()} == {*EXPECTED, "expected.json"}
    monkeypatch.setenv("PGTZ", "UTC")
    application, known = EXPECTED[name]["application"], tmp_path / "expected.json"
    url = f"sqlite:///{tmp_path / name}" if name.endswith(".db") else f"postgresql+psycopg:///{database()}"
    make = [sys.executable, Path(__file__).with_name("make.py"), application, url, "--expected", known]
    subprocess.run(make, check=True)
    assert json.loads(known.read_text())[name] == EXPECTED[name]
    assert rows(as_checked_in(name)) == rows(url)


@pytest.mark.parametrize("name", EXPECTED)
def test_expected_counts_add_up(name):
    counted = {table: there.total() for table, there in rows(as_checked_in(name)).items()}
    tables = EXPECTED[name]["tables"]
    assert set(counted) == {*tables, *EXPECTED[name]["not_ours"]}
    for table, said in tables.items():
        assert counted[table] == said["rows"] == said["taken"] + len(said["rejects"]), table
        ids = [reject["id"] for reject in said["rejects"]] + [row["id"] for row in said["becomes"]]
        assert len(set(ids)) == len(ids), table
