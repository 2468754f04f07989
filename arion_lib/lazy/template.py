"""Templates: what an operation adds to the loop, and the text of one function that grows from them.

Idea        A pipeline is a loop. An operation is a template: a few lines of Python with four words more, and what
            differs between two runs comes in as a parameter. `Filter` is `keep if $f($x)`.

                $x             the element                      keep if TEST      else go on with the next element
                $f, $n ...     an argument (those of `given`)   drop              (in an if) go on with the next one
                $len, $END     one of `HELPERS`                 each of ITERABLE  go on with each of its elements
                $other names   a variable of this operation     stop unless TEST  else end the whole run

Invariant   Every line that runs a user's code is in the table `places`: its number says which stage, and which variable
            holds the element. Python keeps that number in the traceback anyway, so the good path pays nothing for it.
When wrong  A name that is no argument, helper or `x` is a variable: a misspelt one is a `NameError` in the first run.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_fuse.py
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from heapq import heappush, heapreplace
from itertools import repeat
from typing import NamedTuple, Protocol

SOURCE = -1
"""The stage number of lines that pull from the source."""


class Marker:
    """A value that no user's value can be."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text

    def __reduce__(self) -> str:
        return "END"  # pickled by its name, so that a copy of a pipeline has the same marker


END = Marker("nothing")

_WORD = re.compile(r"\$(\w+)")

HELPERS: dict[str, object] = {
    "END": END,
    **{f.__name__: f for f in (deque, heappush, heapreplace, iter, len, next, repeat, set, sorted, tuple, zip)},
}
"""What a template may use by name; in the text it is spelt so that no module's own name is hidden by it."""


class Template(Protocol):
    """The lines of an operation."""

    given: str
    """The names of its arguments, in order."""
    setup: str
    """Lines in front of the loop."""
    body: str
    """Lines for each element."""
    after: str
    """Lines that run once the operations below are done with the element, whatever they decided."""
    stop: str
    """A test of variables: once it is true, the loops around this one end, too."""
    result: str
    """Lines behind the loop."""


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
    terminal: bool = False  # it is the terminal operation
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

    def write(self, template: Template) -> None:
        """Write the next operation into the function."""
        fill = partial(_WORD.sub, partial(self._name, {name: self.param(name) for name in template.given.split()}))
        self.setup += fill(template.setup).splitlines()
        for line in template.body.splitlines():
            self._statement(fill(line))
        if template.after:
            self.after(fill(template.after))
        if template.stop:
            self.stop_when(fill(template.stop))
        self.result += fill(template.result).splitlines()

    def _name(self, given: Mapping[str, str], found: re.Match[str]) -> str:
        """Return what a word of a template is called in the text."""
        word = found[1]
        if word == "x" or word in given:
            return self.element if word == "x" else given[word]
        if word in HELPERS and word not in self.helpers:
            self.helpers.append(word)
        return f"{word}_" if self.terminal or word in HELPERS else f"{word}{self.stage}_"

    def _statement(self, text: str) -> None:
        """Write a line of Python, or what one of the four words stands for."""
        line = text.lstrip()
        if line.startswith("keep if "):
            self.require(line.removeprefix("keep if "))
        elif line == "drop":
            self._drop()
        elif line.startswith("each of "):
            self.loop(line.removeprefix("each of "))
        elif line.startswith("stop unless "):
            self._stop_unless(line.removeprefix("stop unless "))
        else:
            self.line(line, (len(text) - len(line)) // 4)

    def _drop(self) -> None:
        """Leave the element out in the `if` that was just written, and go on with it otherwise."""
        if self.nested:
            self.line("pass", 1)
            self.line("else:")
            self.indent += 1
        else:
            self.line("continue", 1)

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

    def after(self, text: str) -> None:
        """Write lines that run once the stages below are done with the element, whatever they decided."""
        self._tail.append(Line(self.indent, text, None))
        self.nested = True

    def _stop_unless(self, test: str) -> None:
        """End the whole run at the first element for which `test` is false."""
        self.line(f"if not {test}:")
        if self.loops:
            flag = f"stop{self.stage}_"
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
        self.body = [*before, head._replace(text=_WORD.sub(partial(self._name, {"inner": over}), whole))]

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
