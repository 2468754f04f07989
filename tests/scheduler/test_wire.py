"""What the supervisor writes, the worker reads as the same arguments."""

from __future__ import annotations

import marshal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.scheduler.calls.arguments import needed as place_of_needed
from arion_lib.scheduler.calls.values import Packed, encode, pack
from arion_lib.scheduler.processes import wire
from arion_lib.scheduler.processes.frames import MARSHAL, FrameParser, frame, small_frame

VALUES = st.one_of(st.integers(), st.text(), st.none(), st.lists(st.integers()), st.builds(np.arange, st.just(3_000)))
ATOMS = st.one_of(st.integers(), st.text(), st.none(), st.floats(allow_nan=False))


class Later:
    """In the place of a task, as the pickler meets one."""

    def __init__(self, place: int) -> None:
        self.place = place

    def __reduce__(self) -> Any:
        return place_of_needed, (self.place,)


def travelled(call: wire.Written) -> wire.Written:
    back: wire.Written = marshal.loads(marshal.dumps(call, MARSHAL))
    return back


def written_needs(values: list[Any], results: dict[int, Any]) -> tuple[tuple[wire.Written, ...], list[Any]]:
    """Every other value travels along, the rest are results of earlier calls."""
    needs, buffers = [], []
    for number, value in enumerate(values, 1):
        sent = encode(value, "result")
        if number % 2:
            needs.append(wire.need_value(sent))
            buffers += list(getattr(sent, "buffers", ()))
        else:
            results[number] = sent
            needs.append(wire.need_call(number))
    return tuple(needs), buffers


def same(one: Any, other: Any) -> bool:
    return bool(np.array_equal(one, other)) if isinstance(other, np.ndarray) else bool(one == other)


@given(atoms=st.lists(ATOMS, max_size=3), values=st.lists(VALUES, max_size=4))
def test_results_come_to_their_places_among_atoms(atoms: list[Any], values: list[Any]) -> None:
    results: dict[int, Any] = {}
    needs, buffers = written_needs(values, results)
    places = tuple(range(len(atoms), len(atoms) + len(values)))
    call = travelled(wire.filled(7, (*atoms, *[None] * len(values)), places, needs))
    assert wire.buffers_of(call) == len(buffers)
    assert not wire.lacks(call, results)
    args, kwargs = wire.opened(call, iter(buffers), results)
    assert kwargs == {}
    assert all(map(same, args, (*atoms, *values)))


@given(values=st.lists(VALUES, max_size=4), own=VALUES)
def test_results_come_to_their_places_in_pickled_arguments(values: list[Any], own: Any) -> None:
    results: dict[int, Any] = {}
    needs, before = written_needs(values, results)
    packed = pack(([Later(place) for place in range(len(values))], {"own": own}), "arguments")
    call = travelled(wire.pickled(7, packed, needs))
    buffers = [*before, *packed.buffers]
    assert wire.buffers_of(call) == len(buffers)
    args, kwargs = wire.opened(call, iter(buffers), results)
    assert all(map(same, args, values))
    assert same(kwargs["own"], own)


def test_a_call_that_needs_a_result_that_is_not_there_lacks_it() -> None:
    for call in (wire.link(7, (None,), 0, 3), wire.filled(7, (None,), (0,), (wire.need_call(3),))):
        assert wire.lacks(call, {})
        assert not wire.lacks(call, {3: 1})


def test_the_control_a_named_value_cannot_be_marshalled() -> None:
    """Why a call travels as a plain tuple."""
    with pytest.raises(ValueError, match="unmarshallable"):
        marshal.dumps(wire.Call(-7, (), (), ()))


@given(st.integers(1, 2**40), st.sampled_from([wire.RETURNED, wire.FAILED, wire.INTERRUPTED]), VALUES)
def test_an_answer_is_read_as_it_was_written(number: int, kind: int, value: Any) -> None:
    packed = encode(value, "result")
    buffers = packed.buffers if type(packed) is Packed else ()
    data = packed.data if type(packed) is Packed else packed
    pieces = frame((number, kind, data, 1.5, 2.5), tuple(buffers))
    (message,) = FrameParser().feed(b"".join(bytes(piece) for piece in pieces))
    answer = wire.Answer(*message)
    assert (answer.number, answer.kind, answer.started, answer.ended) == (number, kind, 1.5, 2.5)
    assert same(answer.value, data)
    assert [bytes(one) for one in answer.buffers] == [bytes(one) for one in buffers]


@given(st.integers(1, 2**40), st.integers(0, 100))
def test_calls_that_were_passed_over_are_named_by_the_first_and_the_last(first: int, more: int) -> None:
    (message,) = FrameParser().feed(small_frame(wire.skipped(first, first + more)))
    assert wire.Answer(*message).kind == wire.SKIPPED
    assert wire.passed_over(message) == range(first, first + more + 1)
