"""Practice data is the same each time, about as large as asked, and comes with the right answer."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any, Literal

import pytest

from arion_lib.pipeline.decoder import parse
from arion_lib.pipeline.files.sample import TYPES, Answer, read_chunks, sample_events, write_sample
from arion_lib.pipeline.formats.arrays import ArrayDecoder
from arion_lib.pipeline.groups import group_by, merge_all
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.projection import projection


def test_events_are_seeded_and_about_700_bytes_long() -> None:
    events = list(sample_events(500))
    assert events == list(sample_events(500)) != list(sample_events(500, seed=2))
    assert 600 <= statistics.mean(map(len, events)) <= 800
    assert {json.loads(event)["type"] for event in events} == set(TYPES)


def test_the_share_of_malformed_events_is_kept() -> None:
    bad = 0
    for event in sample_events(5_000, malformed=0.01):
        try:
            json.loads(event)
        except ValueError:
            bad += 1
    assert bad == 50


@pytest.mark.parametrize("layout", ["lines", "array"])
def test_a_file_holds_what_its_answer_says(layout: Literal["lines", "array"], tmp_path: Path) -> None:
    path = tmp_path / "events"
    answer = write_sample(path, 4_000_000, layout=layout)
    assert 4_000_000 <= path.stat().st_size < 6_000_000
    kind = projection(keys=["type"], numbers=["amount"])
    decoder: Any = (NdjsonDecoder if layout == "lines" else ArrayDecoder)(kind)
    dead: list[Any] = []
    found = merge_all(group_by(parse(read_chunks(path), decoder, dead.append), ["type"], "amount"))
    totals = {str(key[0]): (cell.count, int(cell.sum or 0)) for key, cell in found.items()}
    assert Answer(decoder.records, len(dead), totals) == answer
    assert answer.malformed == answer.records // 1_000
    assert decoder.broken is None


def test_every_good_event_has_an_id_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "events"
    answer = write_sample(path, 4_000_000, malformed=0.0)
    ids = [record["id"] for record in parse(read_chunks(path), NdjsonDecoder())]
    assert len(set(ids)) == len(ids) == answer.records


def test_a_clean_array_is_json(tmp_path: Path) -> None:
    path = tmp_path / "events"
    answer = write_sample(path, 1, layout="array", malformed=0.0)
    assert len(json.loads(path.read_bytes())) == answer.records == 2_000


@pytest.mark.parametrize("options", [{"size": 0}, {"size": 1, "malformed": 2.0}])
def test_wrong_arguments_are_refused(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be"):
        write_sample(tmp_path / "events", **options)
