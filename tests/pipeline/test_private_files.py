"""What a command makes is for nobody else on the machine, whatever the umask of its user."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from arion_lib.pipeline.files import ingest_files
from arion_lib.pipeline.queues import consume
from arion_lib.pipeline.stores import letters
from arion_lib.pipeline.stores.addresses import local_url
from arion_lib.pipeline.stores.sqlite import SqliteStore

pytestmark = pytest.mark.posix("Windows has other rights")

COMMANDS: dict[str, tuple[Callable[[list[str]], int], list[str]]] = {
    "ingest": (ingest_files.run, ["events.ndjson", "--store", "STORE"]),
    "consume": (consume.run, ["--data", "DATA", "--wait", "0.01"]),
    "letters": (letters.run, ["files", "--data", "DATA"]),
}


def open_to_others(data: Path) -> list[Path]:
    return [path for path in data.rglob("*") if path.stat().st_mode & 0o077]


@pytest.mark.parametrize("name", COMMANDS)
def test_what_a_command_makes_is_nobody_elses(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("events.ndjson").write_text('{"id": 1}\n')
    data = tmp_path / "data"
    data.mkdir()
    values = {"STORE": local_url("sqlite", data / "arion.db"), "DATA": str(data)}
    run, words = COMMANDS[name]
    before = os.umask(0o022)
    try:
        if name == "letters":  # it opens what is there, and makes files beside it
            ingest_files.run(["events.ndjson", "--store", values["STORE"]])
        assert run([values.get(word, word) for word in words]) == 0
        assert os.umask(0o022) == 0o022, "the umask is the process's again"
    finally:
        os.umask(before)
    assert list(data.rglob("*"))
    assert open_to_others(data) == []


def test_without_it_others_read_what_is_stored(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with SqliteStore(tmp_path / "arion.db"):
            assert tmp_path / "arion.db" in open_to_others(tmp_path)
    finally:
        os.umask(before)
