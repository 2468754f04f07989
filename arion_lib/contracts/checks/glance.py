"""The fast look: most classes repeat the signatures of their contract, and that is seen without comparing parameters.

Idea        Compare code objects and annotations as they stand. Equal: kept. Anything else: the judge looks closer.
Invariant   It may only say "kept" where the judge would find no violation. (A property test compares the two.)
When wrong  `False` costs the full comparison, no more. With this look a class statement of three methods costs 7 times
            a plain one, without it 22 times (`bench contracts`).
See         arion_lib/contracts/judge.py · tests/contracts/test_signatures.py
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from inspect import Parameter, Signature
from types import FunctionType
from typing import Any, Protocol

from arion_lib.contracts.checks.hints import Hint, alike, annotations_of, words_in


class Named(Protocol):
    """What is needed of a member: the callable behind it, and the names that its annotations may use."""

    @property
    def target(self) -> Any: ...
    @property
    def names(self) -> Mapping[str, Any]: ...


class Promised(Protocol):
    """What is needed of a promise; `form` is kept here once it is known."""

    form: tuple[object, ...] | None

    @property
    def member(self) -> Named: ...
    @property
    def final(self) -> bool: ...


def keeps_plainly(promise: Promised, offered: Named) -> bool:
    """Tell whether a glance shows that the promise is kept: a plain function of one kind with the same signature."""
    asked, given = promise.member.target, offered.target
    if type(asked) is not FunctionType or type(given) is not FunctionType or promise.final:
        return False
    if "__wrapped__" in asked.__dict__ or (given.__dict__ and given.__dict__.keys() & _SAYS_MORE):
        return False
    if promise.form is None:
        promise.form = form_of(asked)
    return promise.form == form_of(given) and same_annotations(asked, given) and same_names(promise.member, offered)


_SAYS_MORE = {"__wrapped__", "__isabstractmethod__"}


def same_names(asked: Named, given: Named) -> bool:
    """Tell whether the strings in two members' annotations mean the same names, as far as functions around differ."""
    if asked.names is given.names or not (asked.names or given.names):
        return True
    strings = [a for a in (annotations_of(given.target) or {}).values() if isinstance(a, str)]
    return all(asked.names.get(word) is given.names.get(word) for a in strings for word in words_in(a))


ONLY_POSITION, BOTH, STAR, ONLY_KEYWORD, DOUBLE_STAR = (
    Parameter.POSITIONAL_ONLY,
    Parameter.POSITIONAL_OR_KEYWORD,
    Parameter.VAR_POSITIONAL,
    Parameter.KEYWORD_ONLY,
    Parameter.VAR_KEYWORD,
)
STARS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
FLAGS = STARS | inspect.CO_COROUTINE
FLAGS |= inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR


def same_signature(promised: FunctionType, offered: FunctionType) -> bool:
    """Tell quickly whether two plain functions take the same calls, return the same hint and run the same way.

    `False` means: compare in full. Reads code objects only; about a microsecond.
    """
    return form_of(promised) == form_of(offered) and same_annotations(promised, offered)


def form_of(function: FunctionType) -> tuple[object, ...]:
    """Return the parameters but the first, and the kind of function, as a value to compare."""
    code = function.__code__
    flags = code.co_flags & FLAGS
    count = code.co_argcount + code.co_kwonlyargcount
    if flags & STARS:
        count += bool(flags & inspect.CO_VARARGS) + bool(flags & inspect.CO_VARKEYWORDS)
    defaults, by_name = function.__defaults__, function.__kwdefaults__
    return (
        flags, code.co_posonlyargcount, code.co_argcount, code.co_varnames[1:count],
        0 if defaults is None else len(defaults), None if by_name is None else by_name.keys(),
    )  # fmt: skip


def same_annotations(promised: FunctionType, offered: FunctionType) -> bool:
    """Tell whether two functions have the same annotations, which mean the same."""
    asked, given = annotations_of(promised), annotations_of(offered)
    if asked is None or given is None or not alike(asked, given):
        return False
    return promised.__globals__ is offered.__globals__ or not any(isinstance(a, str) for a in given.values())


def is_required(parameter: Parameter) -> bool:
    """Tell whether a call must give this parameter."""
    return parameter.default is Parameter.empty and parameter.kind not in (STAR, DOUBLE_STAR)


def takes_in_order(promised: Signature, offered: Signature) -> bool:
    """Tell whether `offered` repeats the parameters of `promised`, and adds only what calls may leave out.

    The common case, told apart quickly; `False` means: look closer.
    """
    asked, given = list(promised.parameters.values()), list(offered.parameters.values())
    for want, have in zip(asked, given, strict=False):
        if want.name != have.name or want.kind is not have.kind:
            return False
        if have.default is Parameter.empty and want.default is not Parameter.empty:
            return False
    return len(asked) <= len(given) and not any(map(is_required, given[len(asked) :]))


def plain_signature(function: FunctionType, hints: Mapping[str, Hint], skip: int = 0) -> Signature:
    """Return the signature of a function without decorators, with these annotations, without its first `skip`
    parameters; a third of the time that `inspect.signature` takes.

    >>> def f(self, a, /, b=1, *more, c=2, **rest): ...
    >>> plain_signature(f, {}) == inspect.signature(f), str(plain_signature(f, {}, 1))
    (True, '(a, /, b=1, *more, c=2, **rest)')
    """
    code, names = function.__code__, function.__code__.co_varnames
    count, only = code.co_argcount, code.co_posonlyargcount
    defaults, by_name = function.__defaults__ or (), function.__kwdefaults__ or {}
    first = count - len(defaults)
    found = []
    for i in range(skip, count):
        default = defaults[i - first] if i >= first else Parameter.empty
        hint = hints.get(names[i], Parameter.empty)
        found.append(
            Parameter(
                names[i],
                ONLY_POSITION if i < only else BOTH,
                default=default,
                annotation=hint,
            )
        )
    end = count + code.co_kwonlyargcount
    kinds: list[tuple[str, Any]] = [(name, ONLY_KEYWORD) for name in names[count:end]]
    if code.co_flags & inspect.CO_VARARGS:
        kinds.insert(0, (names[end], STAR))
        end += 1
    if code.co_flags & inspect.CO_VARKEYWORDS:
        kinds.append((names[end], DOUBLE_STAR))
    for name, kind in kinds:
        default, hint = by_name.get(name, Parameter.empty), hints.get(name, Parameter.empty)
        found.append(Parameter(name, kind, default=default, annotation=hint))
    return Signature(found, return_annotation=hints.get("return", Parameter.empty), __validate_parameters__=False)
