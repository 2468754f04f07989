"""The benchmark of challenge 1 runs, all contenders agree, and its targets can be missed."""

from __future__ import annotations

import argparse
import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from arion_lib.bench.pipeline import parse_array, parse_lines, rows_and_outbox, run, size_in_bytes
from arion_lib.bench.pipeline import readers as peers
from arion_lib.pipeline.files.sample import write_sample
from arion_lib.pipeline.stores.sqlite import SqliteStore

READERS = {
    **{("lines", name): read for name, read in peers.LINES.items()},
    **{("array", name): read for name, read in {**peers.ARRAYS, **peers.WHOLE}.items()},
}


@pytest.mark.parametrize(("layout", "name"), READERS)
def test_every_reader_finds_the_right_totals(layout: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / "events"
    written = write_sample(path, 1_500_000, layout=layout, leave_out=name.endswith(peers.CLEAN))  # type: ignore[arg-type]
    try:
        found = READERS[layout, name](path)
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    assert found == {kind: amount for kind, (_, amount) in written.totals.items()}


def test_both_tables_name_us_and_our_targets(tmp_path: Path) -> None:
    for table, of in ((parse_lines, "msgspec loop"), (parse_array, "")):
        result = table(tmp_path, 1_500_000, 1)
        assert any(re.match(rf"ours: .*{of}$", verdict.target) for verdict in result.verdicts)
        assert "MB/s" in result.table()
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_its_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    figures = tmp_path / "figures.json"
    assert run(["--size", "1MB", "--rounds", "1", "--only", "parse", "--json", str(figures)]) == 0
    assert "NDJSON" in capsys.readouterr().out
    assert len(json.loads(figures.read_text())["results"]) == 2


@pytest.mark.parametrize("text", ["", "0", "-5MB", "many", "1TB"])
def test_a_size_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="size must be"):
        size_in_bytes(text)


def test_every_row_is_stored_by_everybody(tmp_path: Path) -> None:
    result = rows_and_outbox(tmp_path, 100, rounds=1, rows=400)
    assert {row.name for row in result.rows} == {
        "executemany, no outbox",
        "store: rows alone",
        "store: rows + outbox",
        "store: rows + other messages",
    }
    with closing(sqlite3.connect(tmp_path / "plain100.db")) as db:
        plain = db.execute("SELECT count(*), count(DISTINCT body) FROM rows").fetchone()
        assert plain[0] > plain[1] == 400
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    with SqliteStore(tmp_path / "echo100.db") as store:
        assert store.status().rows % 400 == 0
        assert store.status().rows >= 800
