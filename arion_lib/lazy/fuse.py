"""Fuse a pipeline into one generated Python function, compiled once for each shape.

Idea        A generator per operation costs a resume per element and operation. One loop that holds all operations costs
            what a person would pay who wrote the loop by hand. So write that loop: text in, code object out.
Invariant   The function depends on the shapes alone; functions, sizes and sources come in as arguments. No user text is
            compiled but lambdas that `compile()` verified (arion_lib/lazy/inline/paste.py).
When wrong  Whatever a user's function raises leaves through one `except`, which adds the note
            (arion_lib/lazy/failure.py); on the way in, a `try` costs nothing since Python 3.11.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_fuse.py
            Neumann, "Efficiently compiling efficient query plans for modern hardware", PVLDB 4 (2011): push, not pull
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec
from itertools import count
from types import FunctionType
from typing import Any, TypeAlias

from arion_lib.lazy.failure import fail
from arion_lib.lazy.sinks import Sink, ToList
from arion_lib.lazy.stages import FlatMap, Map, Shape
from arion_lib.lazy.template import HELPERS, SOURCE, Code, Line, Place

Run: TypeAlias = Callable[..., Any]
"""A generated function: `run(source, plan, offset, sink, *arguments of the stages, *arguments of the sink)`."""

SHAPES_KEPT = 256
"""Compiled functions that are kept; the one not used for longest goes first."""

LOOPS = 10
"""Loops nested in one generated function, at most: Python allows 20 blocks."""

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Fused:
    """What is kept of a shape."""

    text: str
    run: Run  # ready to call, where no lambda is pasted into it

    def bound_to(self, names: dict[str, Any], cells: dict[str, Any]) -> Run:
        """Return the function with the globals and the closure cells of the lambdas that were pasted into it."""
        assert isinstance(self.run, FunctionType)  # noqa: S101 - so it was made
        code = self.run.__code__
        own = dict(zip(code.co_freevars, self.run.__closure__ or (), strict=True))
        return FunctionType(code, names, "run", None, tuple({**own, **cells}.values()))


@lru_cache(maxsize=SHAPES_KEPT)
def fuse(shapes: tuple[Shape, ...], sink: type[Sink], notes: bool = True) -> Fused:
    """Return the compiled function for a pipeline of these shapes. Costs about 0.3 ms, once for each shape.

    `notes=False` leaves out the `try`: only there to measure what the notes cost.
    """
    code = Code()
    for number, shape in enumerate(shapes):
        code.stage = number
        shape.emit(code)
    code.stage, code.terminal = len(shapes), True
    sink.emit(code)
    if sink.whole and shapes and shapes[-1] is FlatMap:
        code.join_last_loop(sink.whole)
    if sink is ToList and shapes and shapes[-1] is Map:
        code.join_last_lines()
    lines = _lines(code, notes)
    text = "".join([f"{'    ' * line.indent}{line.text}\n" for line in lines])
    places = {number: line.place for number, line in enumerate(lines, 1) if line.place is not None}
    name = f"lazy pipeline {next(_numbers)}"
    loader = _Loader(text)
    space: dict[str, Any] = {"__name__": name, "__loader__": loader}
    space["__spec__"] = ModuleSpec(name, loader)  # type: ignore[arg-type]  # for tracebacks since Python 3.15
    exec(compile(text, name, "exec"), space)  # noqa: S102 - text of our own stages and of verified lambdas
    helpers = [HELPERS[name] for name in code.helpers]
    return Fused(text, space["make"](fail, Exception, places, *helpers, *(None for _ in code.free)))


def _lines(code: Code, notes: bool) -> list[Line]:
    """Lay out the function: the loop, nested where a flat_map opens an inner one, in a `try` for the note."""
    loop = [
        *(Line(2, text) for text in code.setup),
        Line(2, "for x in source:", Place(SOURCE, "x")),
        *code.lines(),
        *(Line(2, text) for text in code.result),
    ]
    if notes:
        loop = [
            Line(2, "try:"),
            *(line._replace(indent=line.indent + 1) for line in loop),
            Line(2, "except Failure as error:"),
            Line(3, "fail(error, plan, offset, sink, places)"),
            Line(3, "raise"),
        ]
    outer = ["fail", "Failure", "places", *(f"{name}_" for name in code.helpers), *code.free]
    return [
        Line(0, f"def make({', '.join(outer)}):"),
        Line(1, f"def run({', '.join(['source', 'plan', 'offset', 'sink', *code.params])}):"),
        *loop,
        Line(1, "return run"),
    ]


class _Loader:
    """Gives tracebacks the generated lines: `linecache` asks a module's loader for its source."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_source(self, name: str) -> str:  # noqa: ARG002 - linecache's signature
        return self._text
