"""Where a thing is written down, in words that are the same on every machine.

Idea        A place is a file and a line; a notebook cell is named by its first line, a
            package's module by its path from the package.
Invariant   The text of a place names no folder of one machine (above the working folder) and no process.
When wrong  What has no source (built-in functions, generated code) has no place: `None`, shown as "built in".
See         tests/contracts/test_places.py
"""

from __future__ import annotations

import inspect
import linecache
import re
import sys
from functools import cached_property, partial
from pathlib import Path
from types import CodeType, FrameType
from typing import NamedTuple

OWN_PACKAGE = "arion_lib.contracts"


class Place(NamedTuple):
    """A line of a source file; `module` is the dotted name of the module it belongs to."""

    file: str
    line: int
    module: str = ""

    def __str__(self) -> str:
        """
        >>> str(Place("/usr/lib/shop/plugins/csv.py", 14, "shop.plugins.csv"))
        'shop/plugins/csv.py:14'
        """
        cell = _cell(self.file)
        return f"{cell}, line {self.line}" if cell else f"{_short(self.file, self.module)}:{self.line}"


def place_of(thing: object) -> Place | None:
    """Return where a function, or what wraps one, is written; `None` if it has no Python source.

    >>> place_of(len) is None, place_of(place_of).line > 1
    (True, True)
    """
    function = plain_function(thing)
    code: CodeType | None = getattr(function, "__code__", None)
    if code is None:
        return None
    return Place(code.co_filename, code.co_firstlineno, getattr(function, "__module__", None) or "")


def plain_function(thing: object) -> object:
    """Return the function at the core of `thing`: below decorators, partials, descriptors and properties.

    >>> from functools import partial
    >>> plain_function(partial(place_of, None)) is place_of
    True
    """
    for _ in range(50):
        inner = _inner(thing)
        if inner is None or inner is thing:
            break
        thing = inner
    return thing


def _inner(thing: object) -> object:
    if isinstance(thing, staticmethod | classmethod):
        return thing.__func__
    if isinstance(thing, property):
        return thing.fget
    if isinstance(thing, cached_property | partial):
        return thing.func
    for name in ("__wrapped__", "_partialmethod", "__partialmethod__", "func", "__func__"):
        inner: object = getattr(thing, name, None)
        if callable(inner) or hasattr(inner, "func"):
            return inner
    return None


def caller(depth: int = 2) -> FrameType | None:
    """Return the nearest frame outside this package: where a `class` statement stands when a metaclass runs."""
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None and _is_ours(frame):
        frame = frame.f_back
    return frame


def frame_place(frame: FrameType | None) -> Place | None:
    """Return the line that `frame` is at."""
    if frame is None:
        return None
    return Place(frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__", ""))


_MACHINERY = frozenset(f"{OWN_PACKAGE}.{name}" for name in ("contract", "plugins.combine"))


def _is_ours(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return module in _MACHINERY or module in {"abc", "typing", "enum", "types", "dataclasses"}


def _cell(file: str) -> str:
    """Return `cell "class Csv(Processor):"` for a notebook cell's file name, which holds a process id and a hash.

    The first line, not the number: numbers are those of one run, and tools that execute notebooks may not count.
    """
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    name_of = getattr(getattr(shell, "compile", None), "format_code_name", None)
    if name_of is None or name_of(file) is None:
        return ""
    first = next((line.strip() for line in linecache.getlines(file) if line.strip()), "")
    return f'cell "{first if len(first) <= CELL_LIMIT else first[: CELL_LIMIT - 1] + "…"}"'


CELL_LIMIT = 40
"""Characters of a cell's first line that its name shows."""


def _short(file: str, module: str) -> str:
    path = Path(file)
    tail = Path(*module.split(".")).with_suffix(".py") if "." in module else None
    if tail is not None and path.parts[-len(tail.parts) :] == tail.parts:
        return tail.as_posix()
    try:
        return path.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.name if _is_package_module(module) else path.as_posix()


def _is_package_module(module: str) -> bool:
    return "." in module


def named_line(place: Place | None, name: str) -> Place | None:
    """Return the line of the class at `place` that sets or annotates `name`; `place` itself where there is none.

    Reads the source, so only messages ask for it.
    """
    if place is None:
        return None
    wanted = re.compile(rf"\s+{re.escape(name)}\s*[:=]")
    body = linecache.getlines(place.file)[place.line :]
    for number, line in enumerate(body, place.line + 1):
        if line.strip() and not line[0].isspace() and not line.startswith((")", "#")):
            break
        if wanted.match(line):
            return Place(place.file, number, place.module)
    return place


def first_line(cls: type) -> int | None:
    """Return the line a class begins at, where Python recorded it (3.13 and later) or its source can be read."""
    recorded = vars(cls).get("__firstlineno__")
    if isinstance(recorded, int):
        return recorded
    try:
        return inspect.getsourcelines(cls)[1]
    except (OSError, TypeError):
        return None


def class_place(cls: type) -> Place | None:
    """Return where a class statement stands, for a class that no contract saw being made."""
    line = first_line(cls)
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return Place(file, line, cls.__module__) if file and line is not None else None
