"""What a callable takes, read off it: through decorators only where they are known to hand everything on.

Idea        A signature is what is *called*, not what a decorator says that it stands for.
Invariant   Reading changes nothing. A signature that is returned takes the calls that the callable takes.
When wrong  A callable without a readable signature raises what `inspect` raises; members turn that into "unknown".
See         arion_lib/contracts/members.py · tests/contracts/test_never_breaks.py
"""

from __future__ import annotations

import contextlib
import typing
import warnings
from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from types import CodeType, FunctionType
from typing import Any

from arion_lib.contracts.checks.glance import plain_signature
from arion_lib.contracts.checks.hints import (
    DEFERRED,
    EMPTY,
    Arguments,
    Hint,
    alike,
    annotations_of,
    bare,
    has_unpacked,
    is_unpacked,
    origin_of,
    signature_of,
    substitute,
)
from arion_lib.contracts.checks.structural import keys_of, required_keys


def plain_code(decorator: Callable[[Any], Any]) -> CodeType:
    """Return the code of the function that `decorator` puts around another: it tells what was decorated with it."""
    code: CodeType = decorator(lambda: None).__code__
    return code


MANAGER = plain_code(contextlib.contextmanager)
ASYNC_MANAGER = plain_code(contextlib.asynccontextmanager)
_HANDING_ON = {MANAGER, ASYNC_MANAGER}
"""Code of wrappers that are known to take the very calls of what they wrap."""
if hasattr(warnings, "deprecated"):  # Python 3.13
    _HANDING_ON.add(plain_code(warnings.deprecated("")))


def called_signature(target: Any) -> Signature:
    """Return the calls that `target` itself takes.

    What a decorator wraps is looked at only where the wrapper is known to hand its arguments on: a wrapper may add an
    argument or take one of its own. `functools.wraps` copies the annotations too; they speak of the inner function.

    >>> import functools
    >>> def inner(self, rows: int) -> int: ...
    >>> @functools.wraps(inner)
    ... def wrapper(self, *args, refresh=False): ...
    >>> called_signature(wrapper)
    <Signature (self, *args, refresh=False)>
    """
    space = getattr(target, "__dict__", {}) if type(target) is FunctionType else {}
    inner = space.get("__wrapped__")
    if inner is None or "__signature__" in space or target.__code__ in _HANDING_ON or is_guard(target):
        return _signature(target)
    signature = _signature(target, follow_wrapped=False)
    if not alike(annotations_of(target), annotations_of(inner)):
        return signature
    bare = [p.replace(annotation=EMPTY) for p in signature.parameters.values()]
    return signature.replace(parameters=bare, return_annotation=EMPTY)


def _signature(target: Any, **how: bool) -> Signature:
    """Read a signature; of a function whose annotations no form can give (Python 3.14), the parameters alone."""
    try:
        return signature_of(target, **how)
    except Exception:
        if not DEFERRED or type(target) is not FunctionType or annotations_of(target):
            raise
        return plain_signature(target, {})


GUARD = "__g_build"
"""A global of every guard, by which it is known."""


def is_guard(function: Any) -> bool:
    """Tell whether a contract made this function."""
    return GUARD in function.__globals__


def substituted_star(hint: Hint, known: Arguments) -> Hint:
    """Return an annotation with its variables replaced, that of `*args: *Ts` included."""
    inner = typing.get_args(hint) if is_unpacked(hint) else ()
    if len(inner) == 1 and isinstance(inner[0], typing.TypeVarTuple) and inner[0] in known:
        found: Any = known[inner[0]]
        return typing.Unpack[tuple[tuple(found)]]  # type: ignore[misc]
    return substitute(hint, known)


def written_out(signature: Signature) -> Signature:
    """Return the signature with the parameters that `*args: *tuple[...]` and `**options: Unpack[...]` stand for.

    >>> pair = Parameter("args", Parameter.VAR_POSITIONAL, annotation=typing.Unpack[tuple[int, str]])
    >>> written_out(Signature([pair]))
    <Signature (args_0: int, args_1: str, /)>
    """
    if not has_unpacked(signature):
        return signature
    found: list[Parameter] = []
    for parameter in signature.parameters.values():
        parts = list(_parts(parameter)) if is_unpacked(parameter.annotation) else [parameter]
        if any(part.kind is Parameter.POSITIONAL_ONLY for part in parts):
            found = [p.replace(kind=min(p.kind, Parameter.POSITIONAL_ONLY)) for p in found]
        found += parts
    return signature.replace(parameters=found)


def _parts(star: Parameter) -> Iterator[Parameter]:
    origin, arguments = origin_of(star.annotation), typing.get_args(star.annotation)
    hint = arguments[0] if origin is typing.Unpack else tuple[arguments]  # type: ignore[valid-type]
    if star.kind is Parameter.VAR_KEYWORD and typing.is_typeddict(hint):
        required = required_keys(hint)
        for key, value in keys_of(hint).items():
            default = EMPTY if key in required else None
            yield Parameter(key, Parameter.KEYWORD_ONLY, default=default, annotation=bare(value))
        return
    inner = typing.get_args(hint) if star.kind is Parameter.VAR_POSITIONAL and origin_of(hint) is tuple else ()
    if inner and inner[-1] is Ellipsis:
        yield star.replace(annotation=inner[0])
    elif inner and not any(map(is_unpacked, inner)):
        for number, value in enumerate(inner):
            yield Parameter(f"{star.name}_{number}", Parameter.POSITIONAL_ONLY, annotation=value)
    else:
        yield star.replace(annotation=EMPTY)
