"""Verify that a lambda is an expression over its parameter, and find its text.

Idea        Source text can lie (edited since, two lambdas on a line), bytecode cannot. A lambda found in the source
            counts only if it compiles to exactly the code object that is in hand.
Invariant   An `Expression` computes what the lambda computes, in the same order, with the same names; nothing in it can
            see the frame it runs in.
When wrong  A `Refused` with a reason that a person can act on.
See         tests/lazy/test_paste.py · arion_lib/lazy/inline/paste.py
"""

from __future__ import annotations

import ast
import builtins
import linecache
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import CellType, CodeType, FunctionType
from typing import Any

PURE = frozenset(
    f.__name__
    for f in (
        *(
            abs,
            ascii,
            bin,
            bool,
            bytes,
            chr,
            complex,
            dict,
            divmod,
            float,
            format,
            frozenset,
            hash,
            hex,
            int,
            isinstance,
        ),
        *(len, list, max, min, oct, ord, pow, range, repr, reversed, round, set, slice, sorted, str, sum, tuple),
    )
)
"""Built-in functions that a pasted lambda may call: none of them looks at its caller's frame."""

METHODS = frozenset(n for kind in (str, bytes, int, float, tuple, frozenset) for n in dir(kind) if n[0] != "_") | {
    "get",
    "items",
    "keys",
    "values",
}
"""Methods that a pasted lambda may call: those of immutable types, and those that read a dict."""

_ALLOWED: tuple[type[ast.AST], ...] = (
    *(ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp, ast.Constant, ast.Name, ast.Subscript, ast.Slice),
    *(ast.Attribute, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.JoinedStr, ast.FormattedValue, ast.Call, ast.keyword),
    *(ast.operator, ast.unaryop, ast.boolop, ast.cmpop, ast.expr_context),
)
_CALLED: Mapping[type[ast.AST], str] = {
    ast.NamedExpr: "it assigns with :=",
    ast.Lambda: "it holds another lambda",
    ast.Await: "it awaits",
    ast.Yield: "it yields",
    ast.YieldFrom: "it yields",
    ast.Starred: "it unpacks with *",
}
_GENERATED = re.compile(
    r"(x\d*|[a-z_]+\d+|\w+_|c\d+_.*|default_.*|source|plan|offset|sink|places|make|run|error|fail|Failure)\Z"
)
"""Names that the generated function has for itself: a global of such a name would be captured."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a function stays a call."""

    reason: str


@dataclass(frozen=True, slots=True)
class Expression:
    """A verified lambda: its body's text in its own names, and what those stand for."""

    text: str
    parameter: str
    free: tuple[str, ...]
    cells: Mapping[str, CellType]
    defaults: tuple[str, ...]
    default_values: tuple[object, ...]
    module: dict[str, Any] | None  # its globals, if it reads any


def verify(function: object) -> Expression | Refused:
    """Return `function` as an expression, or why it is none. Costs a parse of the file it is written in."""
    if not isinstance(function, FunctionType) or function.__name__ != "<lambda>":
        return Refused("it is not a lambda")
    code = function.__code__
    if code.co_kwonlyargcount or code.co_flags & 0x0C or code.co_argcount - len(function.__defaults__ or ()) != 1:
        return Refused("it must have one parameter without a default")
    node = _node(function)
    if node is None:
        return Refused("its source was not found, or is not what was compiled")
    reason = next(_objections(node, function), None)
    return Refused(reason) if reason else _expression(node, function)


def _expression(node: ast.Lambda, function: FunctionType) -> Expression:
    code = function.__code__
    parameter, *defaults = code.co_varnames[: code.co_argcount]
    cells = dict(zip(code.co_freevars, function.__closure__ or (), strict=True))
    local = {*code.co_varnames, *code.co_freevars}
    reads_globals = any(isinstance(n, ast.Name) and n.id not in local for n in ast.walk(node.body))
    return Expression(
        text=ast.unparse(node.body),
        parameter=parameter,
        free=code.co_freevars,
        cells=cells,
        defaults=tuple(defaults),
        default_values=function.__defaults__ or (),
        module=function.__globals__ if reads_globals else None,
    )


def _node(function: FunctionType) -> ast.Lambda | None:
    """Return the lambda in the source that compiles to the function's bytecode, if there is one."""
    code = function.__code__
    text = "".join(linecache.getlines(code.co_filename, function.__globals__))
    tree = _parsed(text)
    lambdas = (n for n in ast.walk(tree) if isinstance(n, ast.Lambda) and n.lineno == code.co_firstlineno)
    imported = _imported(tree) & set(code.co_names)
    found = next((n for n in lambdas if _same_code(_compiled(n, code.co_freevars, imported), code)), None)
    if found is None:
        return None
    again = ast.parse(f"lambda: ({ast.unparse(found.body)})", mode="eval").body
    assert isinstance(again, ast.Lambda)  # noqa: S101 - the line above says so
    again.args = found.args  # what is pasted is the text: it has to compile to the same code, too
    return found if _same_code(_compiled(again, code.co_freevars, imported), code) else None


@lru_cache(maxsize=4)
def _parsed(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except SyntaxError:  # a notebook cell with magics, a file edited since
        return ast.parse("")


def _imported(tree: ast.Module) -> set[str]:
    """Return the names that the file's top level imports: Python compiles `module.function()` differently for those."""
    imports = (node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom))
    return {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}


def _compiled(node: ast.Lambda, free: tuple[str, ...], imported: set[str]) -> CodeType | None:
    """Compile a lambda where `free` are variables of a function around it and the module has `imported` names."""
    around = ast.parse("\n".join([*(f"import {name}" for name in sorted(imported)), "def around():\n pass"]))
    definition = around.body[-1]
    assert isinstance(definition, ast.FunctionDef)  # noqa: S101 - the line above says so
    assigned: list[ast.stmt] = [ast.Assign([ast.Name(n, ast.Store())], ast.Constant(None)) for n in free]
    definition.body = [*assigned, ast.Return(node)]
    whole = compile(ast.fix_missing_locations(around), "<lambda>", "exec", dont_inherit=True)
    return next((c for c in _codes(whole) if c.co_name == "<lambda>"), None)


def _codes(code: CodeType) -> Iterator[CodeType]:
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield const
            yield from _codes(const)


def _same_code(a: CodeType | None, b: CodeType) -> bool:
    return a is not None and _essence(a) == _essence(b)


def _essence(code: CodeType) -> tuple[object, ...]:
    """What a code object does, without where it stands. `repr` tells 1 from True and 0.0 from -0.0."""
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    constants = tuple(_constant(c) for c in code.co_consts)
    return code.co_code, code.co_argcount, code.co_kwonlyargcount, names, constants


def _constant(value: object) -> tuple[object, ...]:
    if isinstance(value, CodeType):
        return _essence(value)
    return type(value), sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)


def _objections(node: ast.Lambda, function: FunctionType) -> Iterator[str]:
    """Yield the reasons why the lambda's body must not stand in a loop of another function."""
    local = {*function.__code__.co_varnames, *function.__code__.co_freevars}
    for part in ast.walk(node.body):
        if not isinstance(part, _ALLOWED):
            yield _CALLED.get(
                type(part), f"it holds a {type(part).__name__}, which has a scope of its own or may suspend"
            )
        elif isinstance(part, ast.Name) and part.id not in local and _GENERATED.match(part.id):
            yield f"it reads the global {part.id}, a name that the generated loop has for itself"
        elif isinstance(part, ast.Call):
            yield from _objections_to_call(part.func, local, function)


def _objections_to_call(called: ast.expr, local: set[str], function: FunctionType) -> Iterator[str]:
    if isinstance(called, ast.Attribute):
        if called.attr not in METHODS:
            yield f"it calls the method {called.attr}, which is not known to be pure"
    elif not isinstance(called, ast.Name):
        yield "it calls the result of an expression"
    elif called.id in local or called.id not in PURE:
        yield f"it calls {called.id}, which is not a built-in function known to be pure"
    elif function.__globals__.get(called.id, getattr(builtins, called.id)) is not getattr(builtins, called.id):
        yield f"it calls {called.id}, which its module has rebound"
