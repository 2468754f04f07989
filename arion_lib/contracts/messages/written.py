"""Signatures and values as one would write them.

Idea        A reader compares what a message shows with what stands in an editor, so both look alike.
Invariant   One line, of bounded length for values.
When wrong  A `__repr__` that raises is named with its error.
See         tests/contracts/test_violations.py
"""

from __future__ import annotations

from inspect import Parameter, Signature
from typing import Any

from arion_lib.contracts.checks.hints import EMPTY, text
from arion_lib.short_repr import short_repr

VALUE_LIMIT = 80
"""Characters of a value that a message shows."""


def shown(value: object) -> str:
    """Return the `repr` of a value, cut in the middle past `VALUE_LIMIT` characters."""
    return short_repr(value, VALUE_LIMIT)


def show_signature(signature: Signature) -> str:
    """Return a signature as one would write it, with short type names.

    >>> import inspect
    >>> def f(rows: list[int], /, *, scale: int = 1) -> None: ...
    >>> show_signature(inspect.signature(f))
    '(rows: list[int], /, *, scale: int = 1) -> None'
    """
    parts = [_show_parameter(p) for p in signature.parameters.values()]
    kinds = [p.kind for p in signature.parameters.values()]
    if Parameter.KEYWORD_ONLY in kinds and Parameter.VAR_POSITIONAL not in kinds:
        parts.insert(kinds.index(Parameter.KEYWORD_ONLY), "*")
    if Parameter.POSITIONAL_ONLY in kinds:
        parts.insert(kinds.count(Parameter.POSITIONAL_ONLY), "/")
    tail = "" if signature.return_annotation is EMPTY else f" -> {text(signature.return_annotation)}"
    return f"({', '.join(parts)}){tail}"


_STARS: dict[Any, str] = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}


def _show_parameter(parameter: Parameter) -> str:
    name = _STARS.get(parameter.kind, "") + parameter.name
    hint = "" if parameter.annotation is EMPTY else f": {text(parameter.annotation)}"
    if parameter.default is EMPTY:
        return name + hint
    return f"{name}{hint} = {shown(parameter.default)}" if hint else f"{name}={shown(parameter.default)}"
