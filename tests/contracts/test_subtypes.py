"""The judge of annotations: pairs that are known, and values as the oracle."""

from __future__ import annotations

import collections
import collections.abc as abc
import contextlib
import enum
import typing
from typing import Any, Generic, Literal, NewType, Protocol, TypedDict, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.contracts.checks.predicates import fits
from arion_lib.contracts.subtypes import is_subtype
from tests.selection import examples

T = TypeVar("T")
K_contra = TypeVar("K_contra", contravariant=True)
UserId = NewType("UserId", int)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Point(typing.NamedTuple):
    x: int
    y: int


class Named(Protocol):
    name: str

    def call(self) -> int: ...


class Structural:
    name = "x"

    def call(self) -> int:
        return 1


class Film(TypedDict):
    title: str


class LongFilm(Film):
    minutes: int


class Box(Generic[T]): ...


class IntBox(Box[int]): ...


class Sink(Generic[K_contra]): ...


class Words(list[str]): ...


FITS = [
    (bool, int), (int, float), (int, complex), (int, int | str), (int | bool, float), (None, int | None),
    (Literal[1], int), (Literal["a"], Literal["a", "b"]), (bool, Literal[True, False]),
    (Colour, Literal[Colour.RED, Colour.BLUE]), (Literal["a", 1], str | int), (list[int], abc.Sequence[float]),
    (list[int], list), (list, list[int]), (str, abc.Sequence[str]), (str, abc.Iterable[str]),
    (bytes, abc.Sequence[int]), (range, abc.Sequence[int]), (dict[str, int], abc.Mapping[str, float]),
    (dict[str, int], abc.Iterable[str]), (collections.Counter[str], dict[str, int]),
    (collections.OrderedDict[str, int], dict[str, int]), (tuple[int, str], tuple[float, ...] | tuple[int, str]),
    (tuple[int, bool], abc.Sequence[int]), (tuple[int, int], tuple[int, ...]), (Point, tuple[int, int]),
    (Point, abc.Iterable[int]), (tuple[()], tuple[int, ...]),
    (abc.Generator[int, None, None], abc.Iterator[int]), (abc.Coroutine[Any, Any, int], abc.Awaitable[int]),
    (abc.Callable[[object], int], abc.Callable[[str], float]),
    (abc.Callable[..., int], abc.Callable[[str], int]), (type[bool], type[int]), (type, type[int]),
    (UserId, int), (UserId, UserId), (UserId, float | None), (Structural, Named), (LongFilm, Film),
    (Film, abc.Mapping[str, object]), (IntBox, Box[int]), (IntBox, Box[float]), (Sink[object], Sink[int]),
    (Words, abc.Sequence[str]), (typing.Never, int), (typing.LiteralString, str),
    (typing.Annotated[int, "m"], int), (int, typing.Annotated[int, "m"]), (int, object), (T, int), (int, T),
    (list[Any], list[int]), (int, abc.Hashable), (list[int], abc.Collection[int]),
    (int, "Unknown"),
    (abc.AsyncGenerator[int, None], abc.AsyncIterator[int]),
    (contextlib.ExitStack, contextlib.AbstractContextManager), (frozenset[int], abc.Set[int]),
    (abc.KeysView[str], abc.Collection[str]), (collections.deque[int], abc.Reversible[int]),
]  # fmt: skip

FAILS = [
    (int, bool), (float, int), (int, str), (int | None, int), (int | str, int), (None, int), (int, Literal[1]),
    (Literal["a", "c"], Literal["a", "b"]), (Literal[True], Literal[1]), (Colour, Literal[Colour.RED]),
    (bool, Literal[True]), (list[str], abc.Sequence[int]), (list[int], set[int]), (str, list[str]),
    (str, abc.Sequence[int]), (bytes, str), (dict[str, str], abc.Mapping[str, int]),
    (dict[int, int], abc.Iterable[str]), (collections.Counter[str], dict[str, str]),
    (abc.Sequence[int], list[int]), (tuple[int, str], tuple[int, int]), (tuple[int], tuple[int, int]),
    (tuple[int, ...], tuple[int, int]), (tuple[int, str], abc.Sequence[int]), (Point, tuple[str, str]),
    (abc.Generator[str, None, None], abc.Iterator[int]), (abc.Coroutine[Any, Any, str], abc.Awaitable[int]),
    (abc.Callable[[bool], int], abc.Callable[[int], int]), (abc.Callable[[int], str], abc.Callable[[int], int]),
    (abc.Callable[[int], int], abc.Callable[[int, int], int]), (int, abc.Callable[[], int]),
    (type[int], type[str]), (type[int], int), (int, UserId), (Film, LongFilm), (dict[str, str], Film),
    (int, Named), (IntBox, Box[str]), (Sink[bool], Sink[int]), (Words, abc.Sequence[int]), (int, typing.Never),
    (list, abc.Hashable), (abc.Iterator[int], abc.AsyncIterator[int]), (abc.Set[int], frozenset[int]),
    (object, int), (complex, float),
]  # fmt: skip


@pytest.mark.parametrize(("narrow", "wide"), FITS, ids=str)
def test_is_a_subtype(narrow: Any, wide: Any) -> None:
    assert is_subtype(narrow, wide)


@pytest.mark.parametrize(("narrow", "wide"), FAILS, ids=str)
def test_is_not_a_subtype(narrow: Any, wide: Any) -> None:
    assert not is_subtype(narrow, wide)


def test_beartypes_judge_errs_where_ours_does_not() -> None:
    from beartype.door import is_subhint

    assert is_subtype(str, abc.Sequence[str])
    assert is_subhint(str, abc.Sequence[str]) is False


ATOMS = {
    int: st.integers(0, 3), bool: st.booleans(), str: st.sampled_from(["", "a"]), float: st.just(0.5),
    type(None): st.none(), Literal["a"]: st.just("a"), Literal[1, 2]: st.sampled_from([1, 2]),
}  # fmt: skip


def hints() -> st.SearchStrategy[Any]:
    atoms = st.sampled_from(list(ATOMS))
    return st.recursive(
        atoms,
        lambda inner: st.one_of(
            inner.map(lambda h: list[h]),  # type: ignore[valid-type]
            inner.map(lambda h: abc.Sequence[h]),  # type: ignore[valid-type]
            inner.map(lambda h: tuple[h, ...]),  # type: ignore[valid-type]
            st.tuples(inner, inner).map(lambda pair: tuple[pair]),  # type: ignore[valid-type]
            st.tuples(inner, inner).map(lambda pair: typing.Union[pair]),  # noqa: UP007
            inner.map(lambda h: dict[str, h]),  # type: ignore[valid-type]
        ),
        max_leaves=4,
    )


def values(hint: Any) -> st.SearchStrategy[Any]:
    """Values that fit `hint`, made without the code under test."""
    if hint in ATOMS:
        return ATOMS[hint]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Union:
        return st.one_of(*map(values, args))
    if origin is tuple and args[-1] is not Ellipsis:
        return st.tuples(*map(values, args))
    if origin is dict:
        return st.dictionaries(st.sampled_from(["k", "l"]), values(args[1]), max_size=2)
    many = st.lists(values(args[0]), max_size=2)
    return many.map(tuple) if origin is tuple else many


@settings(max_examples=examples(120), deadline=None)
@given(st.data())
def test_what_fits_the_narrower_fits_the_wider(data: st.DataObject) -> None:
    narrow, wide = data.draw(hints()), data.draw(hints())
    if is_subtype(narrow, wide):
        value = data.draw(values(narrow))
        assert fits(narrow)(value)
        assert fits(wide)(value), (narrow, wide, value)


@settings(max_examples=examples(200), deadline=None)
@given(hints(), hints(), hints())
def test_the_relation_is_reflexive_and_transitive(a: Any, b: Any, c: Any) -> None:
    assert is_subtype(a, a)
    assert is_subtype(a, typing.Union[a, b])  # noqa: UP007
    if is_subtype(a, b) and is_subtype(b, c):
        assert is_subtype(a, c)
