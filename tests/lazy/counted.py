"""Sources that count what is pulled from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class Counted(Generic[T]):
    """A re-iterable source that counts its passes and the elements pulled in all of them."""

    def __init__(self, elements: Iterable[T]) -> None:
        self._elements = elements
        self.passes = 0
        self.pulled = 0

    def __iter__(self) -> Iterator[T]:
        self.passes += 1
        for x in self._elements:
            self.pulled += 1
            yield x


class CountedSequence(Sequence[int]):
    """A `Sequence` without slices that counts which elements are looked at."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.seen: list[int] = []

    def __len__(self) -> int:
        return self.size

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            raise TypeError("no slices here")
        if not 0 <= index < self.size:
            raise IndexError(index)
        self.seen.append(index)
        return index


class Calls:
    """A function that counts how often it is called."""

    def __init__(self, fn: Callable[[Any], Any]) -> None:
        self.fn = fn
        self.count = 0

    def __call__(self, x: Any) -> Any:
        self.count += 1
        return self.fn(x)
