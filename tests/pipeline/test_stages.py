"""Stages are lazy, one record at a time, and compose like functions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.pipeline.groups import group_by, merge_all
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.stages import TICK, Batcher, batch, flatten, parse, project, where
from tests.pipeline.bodies import cuts, line_bodies, read_lines_whole

ORDERS: list[dict[str, Any]] = [
    {"id": 1, "type": "paid", "customer": {"country": "DE"}, "items": [{"sku": "a", "n": 2}, {"sku": "b", "n": 1}]},
    {"id": 2, "type": "sent", "customer": {"country": "FR"}, "items": [{"sku": "a", "n": 5}]},
    {"id": 3, "type": "paid", "customer": {"country": "DE"}, "items": []},
    {"id": 4, "type": "paid", "customer": None},
]


def test_stages_compose_to_what_lists_and_loops_give() -> None:
    body = "\n".join(map(json.dumps, ORDERS)).encode()
    records = parse([body], NdjsonDecoder())
    paid = where(records, lambda record: record["type"] == "paid")
    lines = project(flatten(paid, "items"), ["items.sku", "items.n"])
    found = merge_all(group_by(lines, ["items.sku"], "items.n"))
    expected: dict[str, int] = {}
    for order in ORDERS:
        for item in order.get("items", []) if order["type"] == "paid" else []:
            expected[item["sku"]] = expected.get(item["sku"], 0) + item["n"]
    assert {key[0]: cell.sum for key, cell in found.items()} == expected


@pytest.mark.parametrize(
    "stage",
    [
        lambda records: where(records, lambda record: True),
        lambda records: project(records, ["id"]),
        lambda records: flatten(records, "items"),
        lambda records: batch(records, 1),
    ],
)
def test_a_stage_asks_for_a_record_only_when_it_is_asked_itself(stage: Callable[[Any], Iterator[Any]]) -> None:
    asked = []

    def source() -> Iterator[dict[str, Any]]:
        for order in ORDERS:
            asked.append(order["id"])
            yield order

    stream = stage(source())
    assert asked == []
    next(stream)
    assert asked == [1]


@given(line_bodies(), st.lists(st.integers(0, 10_000), max_size=5))
def test_parsing_as_a_stage_gives_records_and_dead_letters(body: bytes, points: list[int]) -> None:
    good, bad = read_lines_whole(body)
    dead: list[Any] = []
    assert list(parse(cuts(body, points), NdjsonDecoder(), dead.append)) == good
    assert [(letter.record, letter.offset) for letter in dead] == bad


def test_parsing_without_a_place_for_dead_letters_raises_instead_of_dropping() -> None:
    records = parse([b'{"a": 1}\nnope\n'], NdjsonDecoder())
    assert next(records) == {"a": 1}
    with pytest.raises(ValueError, match="record 2 at byte 9"):
        next(records)


def test_parsing_holds_one_chunk() -> None:
    taken = []

    def chunks() -> Iterator[bytes]:
        for number in range(5):
            taken.append(number)
            yield b'{"a": 1}\n' * 10

    records = parse(chunks(), NdjsonDecoder())
    for _ in range(11):
        next(records)
    assert taken == [0, 1]


def test_flatten_leaves_the_source_as_it_is() -> None:
    order = {"id": 1, "a": {"b": [1, 2], "c": 3}}
    assert list(flatten([order], "a.b")) == [{"id": 1, "a": {"b": 1, "c": 3}}, {"id": 1, "a": {"b": 2, "c": 3}}]
    assert order == {"id": 1, "a": {"b": [1, 2], "c": 3}}
    assert list(flatten([{"a": 5}, {"a": None}, {"a": []}, {}], "a")) == [{"a": 5}]


@pytest.mark.parametrize("build", [lambda: project([], ["a..b"]), lambda: flatten([], ""), lambda: batch([], 0)])
def test_wrong_arguments_are_refused_when_the_stage_is_built(build: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match="must be"):
        build()


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(st.lists(st.integers(), max_size=30), st.integers(1, 7))
def test_batches_by_size_hold_all_records_in_order(records: list[int], size: int) -> None:
    batches = list(batch(records, size))
    assert [record for group in batches for record in group] == records
    assert all(len(group) == size for group in batches[:-1])
    assert all(batches)


def test_a_batch_is_due_by_time_though_no_record_arrives() -> None:
    clock = Clock()
    batcher = Batcher(1_000, 5.0, clock)
    assert (batcher.due(), batcher.wait()) == (False, float("inf"))
    batcher.add("a")
    clock.now += 3.0
    batcher.add("b")
    assert (batcher.due(), batcher.wait()) == (False, 2.0)
    clock.now += 2.0
    assert batcher.due()
    assert batcher.take() == ["a", "b"]
    assert (batcher.due(), len(batcher)) == (False, 0)
    batcher.add("c")
    assert batcher.wait() == 5.0  # the time begins anew with the first record


def test_a_silent_source_ticks_so_that_a_stage_can_give_its_batch() -> None:
    clock = Clock()

    def source(tick: bool) -> Iterator[Any]:
        yield "a"
        clock.now += 10.0
        if tick:
            yield TICK
        pytest.fail("the stage waits for another record")

    assert next(batch(source(tick=True), 100, 5.0, clock)) == ["a"]
    with pytest.raises(pytest.fail.Exception):  # the control: without a tick no time passes
        next(batch(source(tick=False), 100, 5.0, clock))


@pytest.mark.parametrize("arguments", [(0,), (1, 0.0), (1, float("nan"))])
def test_a_batcher_refuses_wrong_arguments(arguments: tuple[Any, ...]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Batcher(*arguments)
