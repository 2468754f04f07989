"""Stages with other sources: side by side, one after the other, joined by key.

Idea        `zip` pulls from the other sources where the loop has an element; `join` looks its key up in a dict.
Invariant   Each pass opens the other sources anew, and not before its first element is asked for. Only `join` holds
            elements: all of the other source.
When wrong  An error of another source carries the stage that reads it.
See         tests/lazy/test_others.py · tests/lazy/test_random_pipelines.py
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from itertools import repeat
from typing import Any, TypeVar

from arion_lib.lazy.asynchronous.loops import sourced
from arion_lib.lazy.refusals import checks
from arion_lib.lazy.source import describe, name_of, waits
from arion_lib.lazy.stages import Barrier, Blame, Stage

T = TypeVar("T")


class Others:
    """The other sources of a stage."""

    __slots__ = ("sources",)

    def __init__(self, sources: tuple[Iterable[Any], ...]) -> None:
        self.sources = sources

    def __iter__(self) -> Iterator[tuple[object, ...]]:
        if not self.sources:
            return repeat(())
        return zip(*self.sources, strict=False)

    def by_key(self, key: Callable[[Any], Hashable]) -> dict[Hashable, list[object]]:
        """Return all their elements, those of each key as a list."""
        index: dict[Hashable, list[object]] = {}
        for source in self.sources:
            for y in source:
                index.setdefault(key(y), []).append(y)
        return index


def others_of(sources: tuple[Iterable[Any], ...]) -> Others:
    """Return the sources, checked."""
    for source in sources:
        checks.iterable("others", source)
    return Others(tuple(sourced(source) for source in sources))


class Beside(Stage):
    """A stage whose first argument is `Others`."""

    @property
    def others(self) -> tuple[Iterable[Any], ...]:
        """The other sources."""
        others = self.args[0]
        assert isinstance(others, Others)  # noqa: S101 - so it was made
        return others.sources

    @property
    def waits(self) -> bool:  # type: ignore[override]
        return any(map(waits, self.others))

    @property
    def label(self) -> str:
        return f"{self.name}({', '.join(map(describe, self.others))})"


class Zip(Beside):
    """Tuples of an element and one of each other source; ends with the shortest."""

    name, given = "zip", "other"
    setup = "$others = $iter($other)"
    body = """\
$beside = $next($others, $END)
stop unless ($beside is not $END)
$x = ($x, *$beside)"""


class Join(Beside):
    """Pairs of an element and one of the other source, where their keys are equal."""

    name, given = "join", "others key other_key"
    setup = "$index = None"
    body = """\
if $index is None:
    $index = $others.by_key($other_key)
each of $zip($repeat($x), $index.get($key($x), ()))"""

    @property
    def label(self) -> str:
        return f"{super().label[:-1]}, {name_of(self.args[1])})"


class Concat(Beside, Barrier):
    """The elements, then those of each other source."""

    name = "concat"

    def attach(self, upstream: Iterable[object], blame: Blame) -> Iterator[object]:
        return _one_after_the_other(upstream, self.others, blame)


class ZipStrict(Beside, Barrier):
    """Tuples of an element and one of each other source; an error where one is shorter."""

    name = "zip"

    def attach(self, upstream: Iterable[object], blame: Blame) -> Iterator[object]:
        return _side_by_side(upstream, self.others, blame)


def _one_after_the_other(upstream: Iterable[T], others: Iterable[Iterable[T]], blame: Blame) -> Iterator[T]:
    yield from upstream
    for other in others:
        try:
            yield from other
        except Exception as error:
            blame(error)
            raise


def _side_by_side(upstream: Iterable[T], others: Iterable[Iterable[T]], blame: Blame) -> Iterator[tuple[T, ...]]:
    try:
        yield from zip(upstream, *others, strict=True)
    except ValueError as error:
        if error.__traceback__ is not None and error.__traceback__.tb_next is None:  # zip itself: one is shorter
            blame(error)
        raise
