"""Annotations as tests of values: beartype is the oracle where it can be one."""

from __future__ import annotations

import collections
import collections.abc as abc
import enum
import re
import typing
from typing import Annotated, Any, Literal, NewType, Protocol, TypedDict, TypeVarTuple, Unpack

import pytest
from beartype.door import is_bearable
from beartype.vale import Is
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.contracts.checks.levels import Level
from arion_lib.contracts.checks.predicates import fits
from tests.contracts.test_subtypes import hints, values
from tests.selection import examples

UserId = NewType("UserId", int)
Ts = TypeVarTuple("Ts")
Positive = Annotated[int, Is[lambda n: n > 0]]


class Colour(enum.Enum):
    RED = 1


class Film(TypedDict, total=False):
    title: typing.Required[str]
    minutes: int


class Named(Protocol):
    name: str


class Person:
    name = "x"


# hint, a value that fits, a value that does not
PAIRS = [
    (int, True, "1"), (float, 1, "1"), (complex, 1.5, "1"), (None, None, 0), (int | None, None, "x"),
    (bool, False, 0), (Literal[1, "a"], "a", True), (Literal[Colour.RED], Colour.RED, 1), (Colour, Colour.RED, 1),
    (type[int], bool, str), (type, int, 3), (abc.Callable[[int], str], len, 3), (UserId, 3, "3"),
    (Annotated[int, "m"], 3, "3"), (Named, Person(), 3), (list[int], [1], ["1"]), (list[int], [], ()),
    (abc.Sequence[int], (1, 2), {1}), (set[int], {1}, {"a"}), (frozenset[str], frozenset("a"), {"a"}),
    (abc.Iterable[int], iter([]), 3), (abc.Iterator[int], iter([]), []), (dict[str, int], {"a": 1}, {"a": "1"}),
    (dict[str, int], {}, []), (abc.Mapping[str, list[int]], {"a": [1]}, {"a": ["1"]}),
    (tuple[int, ...], (1, 2), ("a",)), (tuple[int, str], (1, "a"), (1, 2)), (tuple[int, str], (1, "a"), (1,)),
    (tuple[()], (), (1,)), (collections.deque[int], collections.deque([1]), collections.deque(["a"])),
    (Film, {"title": "a"}, {"minutes": 3}), (Film, {"title": "a", "minutes": 3}, {"title": "a", "minutes": "3"}),
    (typing.Never, ..., 3), (Positive, 3, -3), (list[list[int]], [[1]], [["a"]]),
    (list[dict[str, tuple[int, ...]]], [{"a": (1,)}], [{"a": ("b",)}]),
    (tuple[*Ts], (1, "a"), [1]), (tuple[int, *Ts], (1, "a", "b"), ("a", 1)), (tuple[int, *Ts], (1,), ()),
    (tuple[int, *tuple[str, bytes]], (1, "a", b"b"), (1, "a", "b")),
    (tuple[*tuple[int, ...], str], (1, 2, "a"), (1, 2)), (typing.Tuple[Unpack[tuple[int, str]]], (1, "a"), (1,)),  # noqa: UP006, UP044
    (typing.TypeGuard[int], True, "yes"),
]  # fmt: skip


@pytest.mark.parametrize("level", [Level.FAST, Level.ALL])
@pytest.mark.parametrize(("hint", "good", "bad"), PAIRS, ids=lambda value: re.sub(r" at 0x\w+", "", str(value)))
def test_a_value_fits_or_does_not(hint: Any, good: object, bad: object, level: Level) -> None:
    assert hint is typing.Never or fits(hint, level)(good)
    assert not fits(hint, level)(bad)


@pytest.mark.parametrize("hint", [Any, object, "Unknown", typing.ParamSpec("P"), abc.Sequence[Any]])
def test_what_says_nothing_fits_everything(hint: Any) -> None:
    assert fits(hint)([1])


def test_fast_takes_constant_time_it_touches_one_element() -> None:
    class Counting(list[int]):
        touched = 0

        def __getitem__(self, index: Any) -> Any:
            type(self).touched += 1
            return super().__getitem__(index)

    numbers = Counting(range(1000))
    assert fits(list[int], Level.FAST)(numbers)
    assert Counting.touched == 1
    assert fits(list[int], Level.FAST)([1, "x"])
    assert not fits(list[int], Level.ALL)([1, "x"])


def test_a_lazily_produced_iterator_is_not_consumed() -> None:
    stream = iter([1, "x"])
    assert fits(abc.Iterator[int], Level.ALL)(stream)
    assert list(stream) == [1, "x"]


def test_off_checks_nothing() -> None:
    assert fits(int, Level.OFF)("x")


@settings(max_examples=examples(150), deadline=None)
@given(st.data())
def test_values_made_for_a_hint_fit_it_and_beartype_agrees_on_others(data: st.DataObject) -> None:
    hint, other = data.draw(hints()), data.draw(hints())
    value = data.draw(values(other))
    assert fits(other)(value)
    if fits(hint)(value):
        assert is_bearable(value, typing.Union[hint, float, int]) or _promotes(hint)  # noqa: UP007
    elif not _promotes(hint):
        assert not fits(hint)(value)


def _promotes(hint: Any) -> bool:
    """Beartype does not take an int for a float, inside containers too."""
    return hint is float or any(map(_promotes, typing.get_args(hint)))
