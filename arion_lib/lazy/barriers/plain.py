"""Stages that end one loop and start another: batch, chunk_by, sort, and a progress bar.

Idea        Where elements must be collected, or C code can do it faster, a plain iterator joins two generated loops.
Invariant   A batch is pulled with exactly as many elements as it holds; only `sort` reads everything, at its first
            pull.
When wrong  The loop above has named its own errors; what fails here (a key, a comparison) is named here.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_random_pipelines.py
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, TypeVar

from arion_lib.lazy.refusals.stop import refuse_stop
from arion_lib.lazy.stages import Barrier, Blame, labelled

T = TypeVar("T")


class Batch(Barrier):
    """Lists of `size` consecutive elements; the last one may be shorter."""

    name = "batch"

    def attach(self, upstream: Iterable[object], blame: Blame) -> Iterator[object]:  # noqa: ARG002 - it calls nothing
        (size,) = self.args
        assert isinstance(size, int)  # noqa: S101 - checked when the stage was made
        return batches(upstream, size)


class Sort(Barrier):
    """All elements in order of their key."""

    name = "sort"

    def attach(self, upstream: Iterable[object], blame: Blame) -> Iterator[object]:
        key, reverse = self.args
        return _in_order(upstream, key, bool(reverse), blame)  # type: ignore[arg-type]

    @property
    def label(self) -> str:
        key, reverse = self.args
        return labelled("sort", (key, "reverse" if reverse else None))


class ChunkBy(Barrier):
    """Lists of consecutive elements with equal keys."""

    name = "chunk_by"

    def attach(self, upstream: Iterable[object], blame: Blame) -> Iterator[object]:
        (key,) = self.args
        return _runs(upstream, key, blame)  # type: ignore[arg-type]


class Progress(Barrier):
    """The elements as they are, with a bar that says how many have passed."""

    __slots__ = ("total",)
    name = "progress"
    one_to_one = True

    def __init__(self, title: str | None, total: Callable[[], int | None]) -> None:
        super().__init__(title)
        self.total = total  # asked when the run begins: a `__len__` may do a source's whole work

    def attach(self, upstream: Iterable[object], blame: Blame) -> Iterator[object]:  # noqa: ARG002 - it calls nothing
        (title,) = self.args
        return _with_bar(upstream, title if isinstance(title, str) else None, self.total)

    @property
    def label(self) -> str:
        return labelled("progress", self.args)


def batches(source: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of `size` elements.

    >>> list(batches("abcde", 2))
    [['a', 'b'], ['c', 'd'], ['e']]
    """
    if type(source) is list or type(source) is range:
        yield from _slices(source, size)
        return
    elements = iter(source)
    while batch := list(islice(elements, size)):
        yield batch


def _slices(source: Sequence[T], size: int) -> Iterator[list[T]]:
    """The same by slices, which copy memory; of a list, elements appended meanwhile are seen, as an iterator does."""
    at = 0
    while batch := source[at : at + size]:
        yield batch if type(batch) is list else list(batch)
        at += size


def _in_order(upstream: Iterable[T], key: Callable[[T], Any] | None, reverse: bool, blame: Blame) -> Iterator[T]:
    elements: list[Any] = list(upstream)
    if key is None:
        try:
            elements.sort(reverse=reverse)
        except Exception as error:
            blame(error)
            refuse_stop(error)
            raise
        yield from elements
        return
    keys = _keys(elements, key, blame)
    try:
        order = sorted(range(len(keys)), key=keys.__getitem__, reverse=reverse)
    except Exception as error:
        blame(error)
        refuse_stop(error)
        raise
    del keys
    for i in order:
        yield elements[i]


def _keys(elements: Iterable[T], key: Callable[[T], Any], blame: Blame) -> list[Any]:
    """Call `key` here and not inside `sorted`, so that an error can be told the element."""
    keys = []
    for x in elements:
        try:
            keys.append(key(x))
        except Exception as error:
            blame(error, x)
            refuse_stop(error)
            raise
    return keys


def _with_bar(upstream: Iterable[T], title: str | None, total: Callable[[], int | None]) -> Iterator[T]:
    from tqdm.auto import tqdm  # only who asks for a bar pays for its import

    with tqdm(total=total(), desc=title, unit="") as bar:
        for x in upstream:
            yield x
            bar.update()


def _runs(upstream: Iterable[T], key: Callable[[T], Any], blame: Blame) -> Iterator[list[T]]:
    run: list[T] = []
    last: Any = None
    for x in upstream:
        try:
            k = key(x)
            new = run and k != last
        except Exception as error:
            blame(error, x)
            refuse_stop(error)
            raise
        if new:
            yield run
            run = []
        run.append(x)
        last = k
    if run:
        yield run
