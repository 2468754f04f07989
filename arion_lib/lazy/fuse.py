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

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.machinery import ModuleSpec
from itertools import count
from types import CodeType, FunctionType
from typing import Any, TypeAlias

from arion_lib.lazy.failure import fail
from arion_lib.lazy.sinks import Sink, ToList
from arion_lib.lazy.stages import FlatMap, Map, Shape
from arion_lib.lazy.template import HELPERS, SOURCE, Code, Line, Place

Run: TypeAlias = Callable[..., Any]
"""A generated function: `run(source, plan, offset, sink, *arguments of the stages, *arguments of the sink)`."""

SHAPES_KEPT = 256
"""Compiled functions that are kept; the one not used for longest goes first."""

_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Fused:
    """What is kept of a shape."""

    text: str
    code: CodeType
    defaults: tuple[object, ...]  # the helpers, as default values of the last parameters
    run: Run  # ready to call, where no verified lambda needs its own globals

    def bound_to(self, names: dict[str, Any], cells: dict[str, Any]) -> Run:
        """Return the function with the globals and the closure cells of the lambdas that were pasted into it."""
        closure = tuple(cells[name] for name in self.code.co_freevars)
        return FunctionType(self.code, names, "run", self.defaults, closure)


@lru_cache(maxsize=SHAPES_KEPT)
def fuse(shapes: tuple[Shape, ...], sink: type[Sink], notes: bool = True) -> Fused:
    """Return the compiled function for a pipeline of these shapes. Costs about 0.3 ms, once for each shape.

    `notes=False` leaves out the `try`: only there to measure what the notes cost.
    """
    code = Code()
    lines = _loop(code, shapes, sink)
    text, places = _assemble(code, lines, notes)
    name = f"lazy pipeline {next(_numbers)}"
    loader = _Loader(text)
    # Since Python 3.15 a traceback looks for the source by the loader of the module's spec.
    space: dict[str, Any] = {"__name__": name, "__loader__": loader, "__spec__": ModuleSpec(name, loader)}  # type: ignore[arg-type]
    exec(compile(text, name, "exec"), space)  # noqa: S102 - text of our own stages and of verified lambdas
    compiled = _function_in(space["make"].__code__)
    defaults = (*(HELPERS[name] for name in code.helpers), *((fail, Exception, places) if notes else ()))
    empty = {} if compiled.co_freevars else {"run": FunctionType(compiled, space, "run", defaults)}
    return Fused(text, compiled, defaults, empty.get("run", _unbound))


def _loop(code: Code, shapes: Sequence[Shape], sink: type[Sink]) -> list[Line]:
    """Write the general form: one loop, nested where a flat_map opens an inner one."""
    for number, shape in enumerate(shapes):
        code.stage = number
        shape.emit(code)
    code.stage, code.terminal = len(shapes), True
    sink.emit(code)
    if sink.whole and shapes and shapes[-1] is FlatMap:
        code.join_last_loop(sink.whole)
    if sink is ToList and shapes and shapes[-1] is Map:
        code.join_last_lines()
    head = Line(2, "for x in source:", Place(SOURCE, "x"))
    setup = [Line(2, text) for text in code.setup]
    return [*setup, head, *code.lines(), *(Line(2, text) for text in code.result)]


def _assemble(code: Code, lines: list[Line], notes: bool) -> tuple[str, dict[int, Place]]:
    ours = ["fail", "Failure", "places"] if notes else []
    params = ["source", "plan", "offset", "sink", *code.params, *(f"{name}_" for name in code.helpers), *ours]
    head = [Line(0, f"def make({', '.join(code.free)}):"), Line(1, f"def run({', '.join(params)}):")]
    if notes:
        head.append(Line(2, "try:"))
        lines = [line._replace(indent=line.indent + 1) for line in lines]
        lines += [
            Line(2, "except Failure as error:"),
            Line(3, "fail(error, plan, offset, sink, places)"),
            Line(3, "raise"),
        ]
    whole = [*head, *lines, Line(1, "return run")]
    places = {number: line.place for number, line in enumerate(whole, 1) if line.place is not None}
    return "\n".join("    " * line.indent + line.text for line in whole) + "\n", places


def _function_in(make: CodeType) -> CodeType:
    return next(const for const in make.co_consts if isinstance(const, CodeType))


def _unbound(*_: object) -> object:
    raise TypeError("the function must be bound to its lambdas' names first")


class _Loader:
    """Gives tracebacks the generated lines: `linecache` asks a module's loader for its source."""

    def __init__(self, text: str) -> None:
        self._text = text

    def get_source(self, name: str) -> str:  # noqa: ARG002 - linecache's signature
        return self._text
