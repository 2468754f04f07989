"""Read lines, JSON lines and CSV rows of a file, as often as you like.

Idea        A file object can be read once, and somebody has to close it. So keep the path: each pass opens the file,
            and closes it when it ends, early or not.
Invariant   A pass holds one line, or one row. Nothing is opened before the first element is asked for.
When wrong  A line that is no JSON is named as the element of the stage `map(loads)`. A missing file raises
            `FileNotFoundError` in each pass. To write a collection, hand it to `file.writelines` or
            `csv.writer(file).writerows`: they pull as they write.
See         tests/lazy/test_readers.py
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from arion_lib.lazy.collection import LazyCollection
from arion_lib.lazy.source import Own

T_co = TypeVar("T_co", covariant=True)


class File(Own, Generic[T_co]):
    """What `read` makes of a file, which each pass opens anew."""

    __slots__ = ("_newline", "_path", "_read", "_what")

    def __init__(
        self, what: str, path: str | Path, read: Callable[[IO[str]], Iterable[T_co]], newline: str | None = None
    ) -> None:
        self._what, self._path, self._read, self._newline = what, Path(path), read, newline

    def __iter__(self) -> Iterator[T_co]:
        with self._path.open(encoding="utf-8", newline=self._newline) as file:
            yield from self._read(file)

    @property
    def label(self) -> str:
        return f"{self._what} of {self._path.name}"


def read_lines(path: str | Path) -> LazyCollection[str]:
    """Return the lines of a UTF-8 file, without their ends."""
    return LazyCollection(File("lines", path, _bare))


def read_jsonl(path: str | Path) -> LazyCollection[Any]:
    """Return the values of a UTF-8 file with one JSON text a line; empty lines are left out."""
    return read_lines(path).filter(str.strip).map(json.loads)


def read_csv(path: str | Path, delimiter: str = ",") -> LazyCollection[dict[str, str]]:
    """Return the rows of a UTF-8 file below its first line, which names the columns."""
    return LazyCollection(File("rows", path, partial(csv.DictReader, delimiter=delimiter), newline=""))


def _bare(file: IO[str]) -> Iterator[str]:
    for line in file:
        yield line.removesuffix("\n")
