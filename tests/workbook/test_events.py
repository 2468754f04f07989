"""The story's events are the same everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from arion_lib.workbook.events import KINDS, events, write_events


def test_the_same_seed_makes_the_same_bytes_on_any_machine() -> None:
    digest = hashlib.sha256(b"".join(events(100, seed=7))).hexdigest()
    assert digest[:16] == "64c23f5dd5226b8d"
    assert digest != hashlib.sha256(b"".join(events(100, seed=8))).hexdigest()


def test_events_are_about_700_bytes_of_five_kinds_with_their_own_ids() -> None:
    lines = list(events(2_000))
    records = [json.loads(line) for line in lines]
    assert 600 < sum(map(len, lines)) / len(lines) < 800
    assert {r["type"] for r in records} == set(KINDS)
    assert len({r["id"] for r in records}) == 2_000
    assert any(not line.isascii() for line in lines)


def test_only_the_bad_lines_are_malformed(tmp_path: Path) -> None:
    def reads(line: bytes) -> bool:
        try:
            return bool(json.loads(line))
        except ValueError:
            return False

    path = write_events(tmp_path / "e.ndjson", 10, bad=(3, 7))
    assert [n for n, line in enumerate(path.read_bytes().splitlines(), 1) if not reads(line)] == [3, 7]
