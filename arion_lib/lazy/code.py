"""The text of one generated function while its stages write themselves into it.

Idea        A pipeline is a loop: each stage adds its lines, and what differs between two runs comes in as a parameter.
Invariant   Every line that runs a user's code is in the table `places`: its number says which stage, and which variable
            holds the element. Python keeps that number in the traceback anyway, so the good path pays nothing for it.
When wrong  Nothing can be wrong with the input here: stages were checked when they were made.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_fuse.py
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

SOURCE = -1
"""The stage number of lines that pull from the source."""


class Place(NamedTuple):
    """What a line of generated code belongs to."""

    stage: int  # 0-based within the function; `SOURCE`, or the number of stages for the terminal operation
    element: str  # the variable that holds the element when the line runs


class Line(NamedTuple):
    """One line of generated code."""

    indent: int
    text: str
    place: Place | None = None


class _LoopEnd(NamedTuple):
    """Where an inner loop ends: reasons to stop that arose inside it must end the outer loop too."""

    indent: int
    stops_before: int


@dataclass
class Code:
    """Lines of a function `run(source, plan, offset, sink, ...)` that grows stage by stage."""

    element: str = "x"
    stage: int = 0  # the stage that is writing
    params: list[str] = field(default_factory=list)
    helpers: list[str] = field(default_factory=list)
    free: list[str] = field(default_factory=list)
    setup: list[str] = field(default_factory=list)
    result: list[str] = field(default_factory=list)
    body: list[Line] = field(default_factory=list)
    indent: int = 3
    loops: int = 0
    nested: bool = False  # a `continue` would jump over lines that must run
    _tail: list[Line | _LoopEnd] = field(default_factory=list)
    _stops: list[str] = field(default_factory=list)

    def param(self, name: str) -> str:
        """Take one more argument of the run and return its name in the text."""
        self.params.append(f"{name}{self.stage}")
        return self.params[-1]

    @staticmethod
    def cell_name(name: str, stage: int) -> str:
        """Return what the closure variable `name` of a stage's lambda is called in the text."""
        return f"c{stage}_{name}"

    def cell(self, name: str) -> str:
        """Use the closure variable `name` of the stage's lambda and return its name in the text."""
        self.free.append(self.cell_name(name, self.stage))
        return self.free[-1]

    def local(self, name: str) -> str:
        """Return a variable's name that is this stage's own."""
        return f"{name}{self.stage}_"

    def helper(self, name: str) -> str:
        """Use something of this package or of Python by name; it arrives as a parameter, so nothing can rebind it."""
        if name not in self.helpers:
            self.helpers.append(name)
        return name

    def line(self, text: str, deeper: int = 0) -> None:
        """Write a line into the loop's body."""
        self.body.append(Line(self.indent + deeper, text, Place(self.stage, self.element)))

    def require(self, test: str) -> None:
        """Go on with this element only if `test` is true."""
        if self.nested:
            self.line(f"if {test}:")
            self.indent += 1
        else:
            self.line(f"if not {test}:")
            self.line("continue", 1)

    def after(self, *texts: str) -> None:
        """Write lines that run once the stages below are done with the element, whatever they decided."""
        self._tail.append(Line(self.indent, "\n".join(texts), None))
        self.nested = True

    def stop_unless(self, test: str, flag: str) -> None:
        """End the whole run at the first element for which `test` is false; `flag` is a variable for that."""
        self.line(f"if not {test}:")
        if self.loops:
            self.setup.append(f"{flag} = False")
            self.line(f"{flag} = True", 1)
            self.stop_when(flag)
        self.line("break", 1)

    def stop_when(self, test: str) -> None:
        """Make the loops around this one end, too, once `test` is true."""
        self._stops.append(test)

    def loop(self, over: str) -> None:
        """Open an inner loop over `over`; its variable is the element from here on."""
        self._tail.append(_LoopEnd(self.indent, len(self._stops)))
        self.loops += 1
        inner = f"x{self.loops}"
        self.line(f"for {inner} in {over}:")
        self.element, self.indent, self.nested = inner, self.indent + 1, False

    def join_last_loop(self, whole: str) -> None:
        """Replace the innermost loop and its only line by one call that takes all of its elements: `whole`."""
        *before, head, _ = self.body
        over = head.text.partition(" in ")[2].removesuffix(":")
        self.body = [*before, head._replace(text=whole.format(inner=over))]

    def join_last_lines(self) -> None:
        """Write `use(f(x))` for `x = f(x)` and `use(x)`; only where `use` cannot fail, as the line names one stage."""
        *before, made, used = self.body
        value = made.text.partition(" = ")[2]
        self.body = [*before, made._replace(text=used.text.replace(f"({self.element})", f"({value})"))]

    def lines(self) -> list[Line]:
        """Return the loop's body with everything that had to come after."""
        tail = [line for end in reversed(self._tail) for line in self._ended(end)]
        return self.body + tail

    def _ended(self, end: Line | _LoopEnd) -> list[Line]:
        if isinstance(end, Line):
            return [Line(end.indent, text) for text in end.text.split("\n")]
        stops = self._stops[end.stops_before :]
        if not stops:
            return []
        return [Line(end.indent, f"if {' or '.join(stops)}:"), Line(end.indent + 1, "break")]
