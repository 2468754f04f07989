"""A pipeline as a value, and its cuts (skip, take, slices, pages) moved towards the source.

Idea        What runs a pipeline, shows it and explains its errors shares one value: a source and a tuple of stages.
            Element 5,000,000 of `map(f)` is f of element 5,000,000: a cut may change places with a map, and at the
            source it is a slice.
Invariant   The elements that come out are the same. A cut never passes a stage that drops, adds or reorders elements.
When wrong  Where a cut must stay, it counts in the loop, and pulls exactly as much as it needs.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_pushdown.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from arion_lib.lazy.source import Own, describe, waits
from arion_lib.lazy.stages import Enumerate, Skip, Stage, Take


class Pipeline(Own):
    """A source and the stages that its elements pass; `plain` says whether all stages need nothing but their lines."""

    __slots__ = ("plain", "source", "stages")
    source: Iterable[Any]
    stages: tuple[Stage, ...]
    plain: bool

    @property
    def waits(self) -> bool:
        """Whether running it waits for something outside its thread."""
        return waits(self.source) or any(stage.waits for stage in self.stages)

    @property
    def source_label(self) -> str:
        """The source in a few words."""
        return describe(self.source)

    def written(self, number: int) -> int:
        """Return where stage `number` of the plan as run stands in the plan as written."""
        places = push_down(self.stages).written
        return places[number] if number < len(places) else len(self.stages)

    def _with(self, stage: Stage) -> Self:
        more = object.__new__(type(self))
        more.source, more.stages, more.plain = self.source, (*self.stages, stage), self.plain and stage.plain
        return more

    def _remade(self, source: Iterable[Any], stages: Sequence[Stage]) -> Self:
        made = object.__new__(type(self))
        made.source, made.stages, made.plain = source, tuple(stages), all(stage.plain for stage in stages)
        return made


class Cut(Stage):
    """Elements `start` up to `stop`: skip, take, a slice or a page. Push-down moves it towards the source."""

    __slots__ = ("text",)
    name = "cut"
    plain = False

    def __init__(self, start: int, stop: int | None, text: str) -> None:
        super().__init__(start, stop)
        self.text = text

    @property
    def bounds(self) -> tuple[int, int | None]:
        """(start, stop)."""
        start, stop = self.args
        return start, stop  # type: ignore[return-value]

    @property
    def label(self) -> str:
        return self.text


class Every(Stage):
    """Each `n`-th element, from the first on."""

    name, given = "every", "n"
    setup = "$every = 0"
    body = """\
if $every:
    $every -= 1
    drop
$every = $n - 1"""
    plain = False

    @property
    def label(self) -> str:
        return f"[::{self.args[0]}]"


WHOLE: tuple[int, int | None] = (0, None)


@dataclass(frozen=True, slots=True)
class Pushed:
    """What is run: the cut of the source, the stages, and where each of them was written."""

    cut: tuple[int, int | None]
    stages: tuple[Stage, ...]
    written: tuple[int, ...]


def push_down(stages: Sequence[Stage]) -> Pushed:
    """Return `stages` with every cut as near to the source as it may stand. Costs a pass over them.

    >>> from arion_lib.lazy.stages import Map
    >>> pushed = push_down([Map(str), Cut(100, 150, "page(3, 50)")])
    >>> pushed.cut, [s.label for s in pushed.stages]
    ((100, 150), ['map(str)'])
    """
    done = _Done()
    for number, stage in enumerate(stages):
        if isinstance(stage, Cut):
            done.place(*stage.bounds, number)
        else:
            done.add(stage, number)
    return Pushed(done.cut, tuple(done.stages), tuple(done.written))


def inside(outer: tuple[int, int | None], inner: tuple[int, int | None]) -> tuple[int, int | None]:
    """Return the cut that does what `outer` and then `inner` do.

    >>> inside((10, 20), (5, 50)), inside((10, None), (5, 7))
    ((15, 20), (15, 17))
    """
    start = outer[0] + inner[0]
    ends = [end for end in (outer[1], None if inner[1] is None else outer[0] + inner[1]) if end is not None]
    return start, min(ends) if ends else None


class _Done:
    """The stages placed so far, and where they were written."""

    def __init__(self) -> None:
        self.cut = WHOLE
        self.stages: list[Stage] = []
        self.written: list[int] = []

    def add(self, stage: Stage, number: int) -> None:
        """Put a stage at the end; one that picks by position goes below maps, which then run for what it keeps."""
        self._insert(self._lowest(_element_wise) if isinstance(stage, Every) else len(self.stages), stage, number)

    def place(self, start: int, stop: int | None, number: int) -> None:
        """Put a cut as far down as it goes: "the first `stop`", which passes more stages, then "all but `start`"."""
        if stop is not None:
            at = self._lowest(_one_to_one)
            if at == 0:
                self.cut = inside(self.cut, (0, stop))
            else:
                self._insert(at, Take(stop), number)
        if start:
            self._skip(start, number)

    def _skip(self, start: int, number: int) -> None:
        at = self._lowest(_renumbered)
        for i in range(at, len(self.stages)):
            if isinstance(self.stages[i], Enumerate):
                self.stages[i] = _from(self.stages[i], start)
        if at == 0:
            self.cut = inside(self.cut, (start, None))
        else:
            self._insert(at, Skip(start), number)

    def _lowest(self, passes: Callable[[Stage], bool]) -> int:
        at = len(self.stages)
        while at and passes(self.stages[at - 1]):
            at -= 1
        return at

    def _insert(self, at: int, stage: Stage, number: int) -> None:
        self.stages.insert(at, stage)
        self.written.insert(at, number)


def _one_to_one(stage: Stage) -> bool:
    return stage.one_to_one


def _element_wise(stage: Stage) -> bool:
    return stage.element_wise


def _renumbered(stage: Stage) -> bool:
    return stage.element_wise or isinstance(stage, Enumerate)


def _from(stage: Stage, skipped: int) -> Enumerate:
    """Return the numbering that gives the elements behind `skipped` ones the numbers they had."""
    (first,) = stage.args
    assert isinstance(first, int)  # noqa: S101 - checked when it was made
    return Enumerate(first + skipped)
