"""Paste lambdas into the generated loop, where it can be verified that this changes nothing.

Idea        `map(lambda x: x * 2)` costs a call per element; `x = x * 2` in the loop costs a third of it. The lambda's
            text comes from its source file and is trusted only if it compiles to the very bytecode the lambda has.
Invariant   Every name keeps its meaning: the parameter becomes the loop's element, a closure variable stays the
            lambda's own cell, a global is looked up in the lambda's own module. So rebinding any of them later is seen
            exactly as by the call. Default values are those the lambda has when `compile()` is called.
When wrong  Whatever is not such an expression is refused with a reason, and stays a call: no source, two parameters, a
            walrus, a nested scope, calls of anything but pure built-in functions and methods.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_paste.py · arion_lib/lazy/inline/verify.py
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import CellType
from typing import Any

from arion_lib.lazy.inline.verify import Expression, Refused, verify
from arion_lib.lazy.stages import Filter, Map, Reject, Stage
from arion_lib.lazy.template import Code

KINDS: Mapping[type[Stage], str] = {Map: "map", Filter: "filter", Reject: "reject"}


@dataclass(frozen=True, slots=True)
class PastedShape:
    """The shape of a pasted stage: what it does, and the expression it does it with."""

    kind: str
    text: str
    parameter: str
    free: tuple[str, ...]
    defaults: tuple[str, ...]

    def emit(self, code: Code) -> None:
        """Write the expression into the loop."""
        text = self._text(code)
        if self.kind == "map":
            code.line(f"{code.element} = {text}")
        else:
            code.require(text if self.kind == "filter" else f"(not {text})")

    def _text(self, code: Code) -> str:
        """Return the expression in the names of the generated function."""
        names = {name: code.param(f"default_{name}_") for name in self.defaults}
        names |= {name: code.cell(name) for name in self.free}
        names[self.parameter] = code.element
        return f"({ast.unparse(_Renamed(names).visit(ast.parse(self.text, mode='eval').body))})"


class Pasted(Stage):
    """A map, filter or reject whose lambda stands in the loop as an expression."""

    __slots__ = ("expression", "instead_of", "shape")
    name = "pasted"
    plain = False

    def __init__(self, instead_of: Stage, expression: Expression) -> None:
        super().__init__(*expression.default_values)
        self.instead_of = instead_of
        self.expression = expression
        kind, e = KINDS[type(instead_of)], expression
        self.shape = PastedShape(kind, e.text, e.parameter, e.free, e.defaults)

    @property
    def label(self) -> str:
        return f"{self.instead_of.name}(lambda {self.expression.parameter}: {self.expression.text})"

    @property
    def one_to_one(self) -> bool:  # type: ignore[override]
        return self.instead_of.one_to_one

    @property
    def element_wise(self) -> bool:  # type: ignore[override]
        return self.instead_of.element_wise


class Called(Stage):
    """A map, filter or reject that `compile()` had to leave a call, and why. It runs as it would have without."""

    __slots__ = ("instead_of", "reason", "shape")
    name = "called"

    def __init__(self, instead_of: Stage, reason: str) -> None:
        super().__init__(*instead_of.args)
        self.instead_of, self.reason, self.shape = instead_of, reason, instead_of.shape

    @property
    def label(self) -> str:
        return self.instead_of.label

    @property
    def one_to_one(self) -> bool:  # type: ignore[override]
        return self.instead_of.one_to_one

    @property
    def element_wise(self) -> bool:  # type: ignore[override]
        return self.instead_of.element_wise


def paste(stages: Sequence[Stage]) -> list[Stage]:
    """Return the stages with what can be pasted pasted; each other function is a `Called`, with the reason."""
    done: list[Stage] = []
    module: dict[str, Any] | None = None
    for stage in stages:
        stage = stage.instead_of if isinstance(stage, Called) else stage
        found = stage.expression if isinstance(stage, Pasted) else _expression(stage, module)
        if isinstance(found, Expression):
            module = module if module is not None else found.module
            stage = stage if isinstance(stage, Pasted) else Pasted(stage, found)
        elif isinstance(found, Refused):
            stage = Called(stage, found.reason)
        done.append(stage)
    return done


def names_of(stages: Sequence[Stage]) -> tuple[dict[str, Any], dict[str, CellType]]:
    """Return the globals and the closure cells that the pasted ones among `stages` need."""
    module: dict[str, Any] = {}
    cells: dict[str, CellType] = {}
    for number, stage in enumerate(stages):
        if isinstance(stage, Pasted):
            module = stage.expression.module or module
            cells |= {Code.cell_name(name, number): cell for name, cell in stage.expression.cells.items()}
    return module, cells


def _expression(stage: Stage, module: dict[str, Any] | None) -> Expression | Refused | None:
    if type(stage) not in KINDS:
        return None
    found = verify(stage.args[0])
    if isinstance(found, Expression) and module is not None and found.module not in (None, module):
        return Refused("it reads globals of another module than the first pasted lambda")
    return found


class _Renamed(ast.NodeTransformer):
    """An expression with its names replaced."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self._names.get(node.id, node.id), node.ctx)
