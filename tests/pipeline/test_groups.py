"""Sums are exact and independent of blocks; what cannot be grouped is told, never counted and never a crash."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from operator import add
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.pipeline.batch import Aggregate, Key
from arion_lib.pipeline.groups import Figure, Groups, group_by, merge_all
from arion_lib.pipeline.ndjson import NdjsonDecoder
from arion_lib.pipeline.numbers.means import mean
from arion_lib.pipeline.numbers.windows import Window
from arion_lib.pipeline.projection import projection
from tests.pipeline.bodies import decode
from tests.selection import examples

ALL = ("sum", "min", "max")

_keys = st.sampled_from(["a", "b", None, 1, 1.0, True, False, 0, "1", ""])
_exact_numbers = (
    st.none() | st.integers(-(10**30), 10**30) | st.decimals(allow_nan=False, allow_infinity=False, places=3)
)
_events = st.lists(st.fixed_dictionaries({}, optional={"type": _keys, "flag": _keys, "n": _exact_numbers}), max_size=30)


def by_hand(events: Sequence[dict[str, Any]], fields: Sequence[str]) -> dict[str, tuple[int, Fraction, Any, Any]]:
    """The oracle: lists per key, compared by their JSON text; sums as fractions."""
    found: dict[str, list[Any]] = {}
    for event in events:
        found.setdefault(json.dumps([event.get(field) for field in fields]), []).append(event.get("n"))
    result = {}
    for key, values in found.items():
        numbers = [value for value in values if value is not None]
        total = sum(map(Fraction, numbers), Fraction())
        result[key] = len(values), total, min(numbers, default=None), max(numbers, default=None)
    return result


def by_text(groups: dict[Key, Aggregate]) -> dict[str, tuple[int, Fraction, Any, Any]]:
    return {json.dumps(key): (cell.count, Fraction(cell.sum or 0), cell.min, cell.max) for key, cell in groups.items()}


@given(_events, st.sampled_from([["type"], ["type", "flag"], []]), st.integers(1, 10), st.integers(1, 20))
@settings(max_examples=examples(200), deadline=None)
def test_aggregates_are_exact_and_do_not_depend_on_the_blocks(
    events: list[dict[str, Any]], fields: list[str], size: int, fold: int
) -> None:
    groups = Groups(fields, "n", figures=ALL)
    with patch("arion_lib.pipeline.groups.FOLD", fold):  # values wait in their buckets, and are folded now and then
        for start in range(0, len(events), size):
            groups.add(events[start : start + size])
            assert len(groups) == len(by_hand(events[: start + size], fields))
    assert by_text(groups.take()) == by_hand(events, fields)
    assert len(groups) == 0
    assert groups.take_dead() == []


@given(_events)
@settings(deadline=None)
def test_a_projection_is_aggregated_as_the_dicts_are(events: list[dict[str, Any]]) -> None:
    body = "\n".join(json.dumps(event, default=str) for event in events).encode()
    kind = projection(keys=["type", "flag"], numbers=["n"], decimal=True)
    records, dead, _, _ = decode(NdjsonDecoder(kind), [body])
    assert not dead
    groups = Groups(["type", "flag"], "n", figures=ALL)
    groups.add(records)
    assert by_text(groups.take()) == by_hand(events, ["type", "flag"])


def test_keys_that_python_calls_equal_stay_apart_where_a_dict_would_join_them() -> None:
    values = [1, 1.0, True, "1", None, False, 0]
    assert len({(value,): 1 for value in values}) == 4  # the control
    for records in ([{"k": value} for value in values], *[[{"k": value}] for value in values]):
        groups = Groups(["k"])
        groups.add(records)
        assert len(groups) == len(records)
    together = Groups(["k"])
    for value in values:
        together.add([{"k": value}])
    assert sorted(json.dumps(key) for key in together.take()) == sorted(json.dumps([value]) for value in values)


def test_decimals_are_summed_exactly_where_floats_and_the_default_context_are_not() -> None:
    numbers = [Decimal("1e20"), Decimal("1e-20"), Decimal("-1e20")]
    assert reduce(add, map(float, numbers)) != 1e-20  # the controls
    assert sum(numbers) != Decimal("1e-20")
    groups = Groups([], "n")
    groups.add([{"n": number} for number in numbers])
    assert groups.take()[()].sum == Decimal("1e-20")


def test_the_mean_is_the_sum_by_the_count() -> None:
    groups = Groups(["t"], "n", figures=["mean"])
    groups.add([{"t": "a", "n": number} for number in (1, 2, 3, 4)])
    (cell,) = groups.take().values()
    assert cell.mean == statistics.mean([1, 2, 3, 4])


def test_only_what_was_asked_for_is_kept() -> None:
    records = [{"n": 3}, {"n": 5}]
    for figures, expected in (
        ([], Aggregate(2)),
        (["min"], Aggregate(2, min=3)),
        (["max", "sum"], Aggregate(2, sum=8, max=5, values=2)),
    ):
        groups = Groups([], "n", figures=figures)
        groups.add(records)
        assert groups.take() == {(): expected}
    counted = Groups([])
    counted.add(records)
    assert counted.take() == {(): Aggregate(2)}


@pytest.mark.parametrize(
    "bad",
    [
        {"t": "a", "n": "5"},
        {"t": "a", "n": True},
        {"t": "a", "n": [5]},
        {"t": "a", "n": Decimal("NaN")},
        {"t": "a", "n": Decimal("1e99999")},
        {"t": ["a"], "n": 5},
        {"t": {"a": 1}, "n": 5},
        {"t": "a", "n": 5, "at": "yesterday"},
        {"t": "a", "n": 5, "at": 10**30},
    ],
)
def test_a_record_that_cannot_be_grouped_is_a_dead_letter_and_counted_nowhere(bad: dict[str, Any]) -> None:
    good = {"t": "a", "n": 5, "at": 0}
    groups = Groups(["t", Window("at", 60)], "n")
    groups.add([good, good])
    groups.add([good, bad, good])
    assert groups.take() == {("a", "1970-01-01T00:00:00Z"): Aggregate(4, sum=20, values=4)}
    (letter,) = groups.take_dead()
    assert letter.record == 4
    assert "must" in letter.reason
    assert letter.raw.startswith(b'{"t":')


def test_floats_are_summed_in_the_order_of_the_records() -> None:
    numbers = [0.1] * 10 + [1e16, 1.0, -1e16]
    expected = 0.0
    for number in numbers:
        expected += number
    groups = Groups([], "n")
    groups.add([{"n": number} for number in numbers])
    assert groups.take()[()].sum == expected


def test_windows_are_part_of_the_key() -> None:
    groups = Groups(["t", Window("at", 3_600)], "n")
    groups.add([{"t": "a", "n": 1, "at": f"2026-01-01T{hour:02d}:59:00Z"} for hour in (8, 8, 9)])
    assert groups.take() == {
        ("a", "2026-01-01T08:00:00Z"): Aggregate(2, sum=2, values=2),
        ("a", "2026-01-01T09:00:00Z"): Aggregate(1, sum=1, values=1),
    }


def test_partial_aggregates_are_bounded_by_their_keys_and_merge_to_the_whole() -> None:
    events = [{"t": f"k{n % 5_000}", "n": n} for n in range(20_000)]
    partials = list(group_by(events, ["t"], "n", max_keys=1_000))
    assert max(map(len, partials)) <= 1_000 + 512
    assert len(partials) > 10
    (whole,) = group_by(events, ["t"], "n", max_keys=10**6)
    assert len(whole) == 5_000  # the control: without the bound, memory follows the keys
    assert merge_all(partials) == whole


def test_the_stage_tells_what_it_refuses_or_raises() -> None:
    events = [{"n": 1}, {"n": "x"}, {"n": 2}]
    letters: list[Any] = []
    assert list(group_by(events, [], "n", on_dead=letters.append)) == [{(): Aggregate(2, sum=3, values=2)}]
    assert [letter.record for letter in letters] == [2]
    with pytest.raises(ValueError, match="n must be a number or null, got 'x'"):
        list(group_by(events, [], "n"))


def test_the_stage_reads_no_further_than_one_block() -> None:
    taken = []
    source = ({"t": n} for n in range(10_000) if not taken.append(n))  # type: ignore[func-returns-value]
    next(group_by(source, ["t"], max_keys=1))
    assert len(taken) == 512


@pytest.mark.parametrize(
    "options", [{"keys": "type"}, {"keys": [], "figures": ["median"]}, {"keys": [], "max_keys": 0}, {"keys": [""]}]
)
def test_wrong_arguments_are_refused_when_it_is_built(options: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError), match="must be"):
        group_by([], **options)


@pytest.mark.parametrize("figure", ["sum", "mean"])
def test_the_mean_is_that_of_the_values_whatever_records_lack_one(figure: Figure) -> None:
    records = [{"t": "a", "n": 10}, {"t": "a"}, {"t": "a", "n": None}, {"t": "a", "n": 20}, {"t": "b"}]
    [found] = group_by(records, ["t"], "n", figures=[figure])
    assert {key: part.mean for key, part in found.items()} == {("a",): 15.0, ("b",): None}
    assert {key: part.count for key, part in found.items()} == {("a",): 4, ("b",): 1}
    # The control: a count of all records is no divisor for the mean.
    assert mean(found["a",].sum, found["a",].count) == 7.5


@pytest.mark.parametrize("kind", [dict, projection(keys=["t"])])
def test_a_record_whose_key_no_index_takes_is_a_dead_letter_and_the_others_are_counted(kind: Any) -> None:
    groups = Groups(["t"])
    values = ["a", "b" * 4_000, "a", "😀" * 200, None, "c" * 1_990, 10**700]
    groups.add([msgspec.convert({"t": value}, kind) for value in values])
    assert {key[0]: part.count for key, part in groups.take().items()} == {"a": 2, None: 1, "c" * 1_990: 1, 10**700: 1}
    letters = groups.take_dead()
    assert [letter.record for letter in letters] == [2, 4]
    assert all("at most 2000 bytes" in letter.reason for letter in letters)
