"""From a promise and a member to a guard: what to check, on what, and whose word it is.

Idea        A parameter is checked against the member's own annotation, which may be wider than the contract's; where
            the member has none, against the contract's. The result must be what both say.
Invariant   A guard is put on what the class itself defines, and on what it inherits from classes that know no
            contract; those are left as they are, and called through `super()`.
When wrong  A member whose signature cannot be read is not guarded, nor is one with a parameter called `__g_...`.
See         arion_lib/contracts/checks/guards.py · tests/contracts/test_guards.py
"""

from __future__ import annotations

import collections.abc as abc
import functools
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature
from types import FunctionType
from typing import Any

from arion_lib.contracts.checks.attributes import MISSING
from arion_lib.contracts.checks.callables import written_out
from arion_lib.contracts.checks.generics import arguments_as
from arion_lib.contracts.checks.glance import BOTH, DOUBLE_STAR, ONLY_KEYWORD, ONLY_POSITION, STAR
from arion_lib.contracts.checks.guards import RETURN, Check, Plan, guard, unseen
from arion_lib.contracts.checks.hints import (
    EMPTY,
    Arguments,
    Hint,
    alike,
    is_unknown,
    is_unpacked,
    origin_of,
    type_arguments,
)
from arion_lib.contracts.checks.levels import Level
from arion_lib.contracts.checks.predicates import PREFIX
from arion_lib.contracts.members import Flow, Kind, Member
from arion_lib.contracts.options import spec_of
from arion_lib.contracts.plugins.metrics import MetricsByClass
from arion_lib.contracts.promises import Promise
from arion_lib.contracts.signatures import routes


@dataclass(slots=True)
class Guarded:
    """A member that keeps these promises, and the class to put its guard into.

    `inherited`: it stands in a class above `cls`, to be reached by `super()`; `anew`: the class above that has a guard
    of it, for another level, which is left out.
    """

    cls: type
    member: Member
    promises: Sequence[Promise]
    level: Level
    metrics: bool = False
    inherited: bool = False
    anew: type | None = None

    @property
    def label(self) -> str:
        return f"{self.cls.__qualname__.rpartition('<locals>.')[2]}.{self.member.name}"

    def arguments(self, promise: Promise) -> Arguments:
        return type_arguments(self.cls).get(promise.member.owner, {})

    def asked(self) -> Iterator[tuple[Promise, Signature]]:
        """Yield the promises whose signature can be read, with it."""
        for promise in self.promises:
            if promise.kind is Kind.ATTRIBUTE:
                yield promise, Signature([], return_annotation=promise.hint(self.arguments(promise)))
            elif (signature := promise.member.signature(self.arguments(promise))) is not None:
                yield promise, written_out(signature)


_CALLED_BY_TARGET = (FunctionType, classmethod, staticmethod, functools.partialmethod)


def call_of(member: Member) -> Callable[..., Any] | None:
    """Return a callable that takes what the guard takes (`self` included) and runs the member."""
    raw = member.raw
    if type(raw) is FunctionType:
        return raw
    if isinstance(raw, functools.singledispatchmethod):
        if member.kind is not Kind.METHOD:
            return None
        return unseen(lambda self, /, *args, **kwargs: raw.__get__(self, type(self))(*args, **kwargs))
    if not callable(member.target) or isinstance(member.target, type):
        return None
    if member.kind is Kind.STATIC_METHOD and not isinstance(raw, staticmethod):
        return None  # an object that is called: it may have more than its call, so it stays
    known = isinstance(raw, _CALLED_BY_TARGET)
    return member.target if known or hasattr(raw, "cache_info") else None


def through_super(what: Guarded) -> Callable[..., Any] | None:
    """Return what calls an inherited member as Python would find it now: a test may have patched a class above."""
    target, owner, name = call_of(what.member), what.cls, what.member.name
    if target is None:
        return None
    static = what.member.kind is Kind.STATIC_METHOD
    if what.anew is None and not static:
        return unseen(lambda this, /, *args, **kwargs: getattr(super(owner, this), name)(*args, **kwargs))
    above = what.anew
    stood = vars(above)[name] if above is not None else None
    left_out = getattr(stood, "__func__", stood)

    def call(*given: Any, **kwargs: Any) -> Any:
        at, args = (owner, given) if static else (given[0], given[1:])
        found = getattr(super(owner, at), name)
        if above is None or getattr(found, "__func__", found) is not left_out:
            return found(*args, **kwargs)
        if spec_of(above).replaced[name] is not MISSING:  # type: ignore[union-attr]  # it has a guard
            return target(*given, **kwargs)
        return getattr(super(above, at), name)(*args, **kwargs)

    return unseen(call)


def plan(what: Guarded, call: Callable[..., Any], asynchronous: bool) -> Plan:
    member = what.member
    full = _writable(member)
    if full is None:
        return _unread(what, call, asynchronous)
    full = _with_self(full, member.kind)
    own = member.signature(type_arguments(what.cls).get(member.owner)) or Signature()
    asked = list(what.asked())
    arguments = list(_argument_checks(own, asked))
    results = list(_result_checks(what, own, asked))
    key = {Kind.METHOD: f"__g_type({_first(full)})", Kind.CLASS_METHOD: _first(full)}.get(member.kind, "")
    metrics = MetricsByClass(member.name) if what.metrics and key else None
    return Plan(
        what.label, call, full, asynchronous, arguments, results, list(_element_checks(results)),
        what.level, what.level is Level.WARN, what.cls, metrics, key,
    )  # fmt: skip


def _writable(member: Member) -> Signature | None:
    """Return the signature, unless a parameter has a name that generated code needs: then calls pass unchecked."""
    full = member.full_signature()
    return None if full is None or any(name.startswith(PREFIX) for name in full.parameters) else full


def _with_self(full: Signature, kind: Kind) -> Signature:
    """Name the first argument of `def f(*args)`, so that `args` are what the caller passed."""
    parameters = list(full.parameters.values())
    if kind in (Kind.METHOD, Kind.CLASS_METHOD) and parameters and parameters[0].kind is STAR:
        parameters.insert(0, Parameter(f"{PREFIX}self", ONLY_POSITION))
    return full.replace(parameters=parameters)


def _unread(what: Guarded, call: Callable[..., Any], asynchronous: bool) -> Plan:
    anything = Signature([Parameter("args", STAR), Parameter("kwargs", DOUBLE_STAR)])
    return Plan(
        what.label, call, anything, asynchronous, level=what.level, warns=what.level is Level.WARN, owner=what.cls
    )


def _first(signature: Signature) -> str:
    parameter = next(iter(signature.parameters.values()), None)
    return "None" if parameter is None else parameter.name


Asked = list[tuple[Promise, Signature]]


def _argument_checks(own: Signature, asked: Asked) -> Iterator[Check]:
    place = asked[0][0].place if asked else None
    for parameter in own.parameters.values():
        if parameter.annotation is not EMPTY:
            yield _own_check(parameter, place)
    for found in _promised_checks(own, asked).values():
        hints = [check.hint for check in found]
        if not any(is_unknown(hint) for hint in hints):
            first = found[0]
            yield Check(first.label, first.reads, _any_of(hints), first.promised_at, first.unless, first.default)


def _own_check(parameter: Parameter, place: Any) -> Check:
    hint: Hint = parameter.annotation
    if parameter.kind is STAR:
        hint = EMPTY if is_unknown(hint) else tuple[(hint,)] if is_unpacked(hint) else tuple[hint, ...]
    elif parameter.kind is DOUBLE_STAR:
        unpacked = typing.get_args(hint)[0] if is_unpacked(hint) else None  # a TypedDict
        hint = unpacked or (EMPTY if is_unknown(hint) else dict[str, hint])
    return Check(f"parameter {parameter.name!r}", parameter.name, hint, place, default=parameter.default)


def _any_of(hints: Sequence[Hint]) -> Hint:
    found = hints[0]
    try:
        for hint in hints[1:]:
            found = typing.Union[found, hint]  # noqa: UP007 - `|` does not take every form
    except Exception:  # noqa: BLE001 - a union hashes its members, and metadata may be an array
        return Any
    return found


def _promised_checks(own: Signature, asked: Asked) -> dict[str, list[Check]]:
    """Return the checks for parameters that the member left without annotation, by what they read."""
    found: dict[str, list[Check]] = {}
    for promise, signature in asked:
        for want, target in routes(signature, own):
            if target.annotation is EMPTY and (check := _promised_check(promise, signature, own, want, target)):
                checks = found.setdefault(check.reads, [])
                if not any(alike(check.hint, other.hint) for other in checks):
                    checks.append(check)
    return found


def _promised_check(
    promise: Promise, asked: Signature, own: Signature, want: Parameter, target: Parameter
) -> Check | None:
    label = f"parameter {want.name!r}"
    if want.kind in (STAR, DOUBLE_STAR):
        return _promised_star(promise, asked, own, want, target)
    if target.kind is STAR:
        index = _positions(asked).index(want.name) - len(_positions(own))
        absent = f"{PREFIX}len({target.name}) <= {index}"
        return Check(label, f"{target.name}[{index}]", want.annotation, promise.place, absent)
    if target.kind is DOUBLE_STAR:
        key = repr(want.name)
        return Check(label, f"{target.name}[{key}]", want.annotation, promise.place, f"{key} not in {target.name}")
    return Check(label, target.name, want.annotation, promise.place, default=target.default)


def _promised_star(
    promise: Promise, asked: Signature, own: Signature, want: Parameter, target: Parameter
) -> Check | None:
    """Check what is collected by a star, apart from what the contract has names for."""
    hint: Hint = want.annotation
    if target.kind is not want.kind or is_unknown(hint) or is_unpacked(hint):
        return None
    label = f"parameter {want.name!r}"
    if want.kind is STAR:
        skip = len(_positions(asked)) - len(_positions(own))
        return Check(label, f"{target.name}[{skip}:]" if skip > 0 else target.name, tuple[hint, ...], promise.place)
    if any(p.kind in (BOTH, ONLY_KEYWORD) and p.name not in own.parameters for p in asked.parameters.values()):
        return None
    return Check(label, target.name, dict[str, hint], promise.place)


def _positions(signature: Signature) -> list[str]:
    return [p.name for p in signature.parameters.values() if p.kind in (ONLY_POSITION, BOTH)]


_ARITHMETIC = "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or"
OPERATORS = frozenset(
    [f"__{side}{word}__" for word in _ARITHMETIC.split() for side in ("", "r", "i")]
    + [f"__{word}__" for word in ("eq", "ne", "lt", "le", "gt", "ge", "length_hint")]
)
"""Special methods that may return `NotImplemented`, whatever they are annotated with: Python then asks elsewhere."""


def _result_checks(what: Guarded, own: Signature, asked: Asked) -> Iterator[Check]:
    if what.member.flow is Flow.DECORATED:
        return
    plain = what.member.flow is Flow.PLAIN
    given = own.return_annotation
    declines = NotImplemented if what.member.name in OPERATORS else EMPTY
    if not is_unknown(given):
        yield Check(RETURN, "__g_result", given, asked[0][0].place if asked else None, default=declines)
    for promise, signature in asked:
        wanted: Hint = signature.return_annotation
        if is_unknown(wanted) or not is_unknown(given):
            continue
        if promise.kind is not Kind.ATTRIBUTE and promise.member.flow is Flow.COROUTINE and plain:
            wanted = abc.Awaitable
        yield Check(RETURN, "__g_result", wanted, promise.place, default=declines)


_ITERABLES = (abc.Iterable, abc.AsyncIterable)


def _element_checks(results: Sequence[Check]) -> Iterator[Check]:
    for check in results:
        for base in _ITERABLES:
            origin = origin_of(check.hint)
            if isinstance(origin, type) and issubclass(origin, base) and (inner := arguments_as(check.hint, base)):
                yield Check("yielded element", "", inner[0], check.promised_at)


def guarded_property(what: Guarded) -> Any:
    raw, member = what.member.raw, what.member
    through = what.inherited and not what.anew
    getter: Callable[[Any], Any] = _through_super_property(what) if through else member.target
    fget = guard(member.target, lambda: _getter_plan(what, getter), asynchronous=False)
    if isinstance(raw, functools.cached_property):
        return _cached(raw, fget, member.name)
    made = raw.getter(fget)
    if made.fset is not None:
        fset = raw.fset
        made = made.setter(guard(fset, lambda: _setter_plan(what, fset), asynchronous=False))
    return made


def _cached(raw: functools.cached_property[Any], getter: FunctionType, name: str) -> Any:
    made = type(raw)(getter)
    made.attrname = name
    return made


def _through_super_property(what: Guarded) -> Callable[[Any], Any]:
    owner, name = what.cls, what.member.name
    return unseen(lambda this: getattr(super(owner, this), name))


def _getter_plan(what: Guarded, call: Callable[..., Any]) -> Plan:
    full = _writable(what.member)
    if full is None:
        return _unread(what, call, asynchronous=False)
    own = what.member.signature(type_arguments(what.cls).get(what.member.owner)) or Signature()
    results = list(_result_checks(what, own, list(what.asked())))
    return Plan(
        what.label, call, full, False, [], results, level=what.level, warns=what.level is Level.WARN, owner=what.cls
    )


def _setter_plan(what: Guarded, setter: Callable[..., Any]) -> Plan:
    written = Member(what.member.name, Kind.METHOD, setter, what.member.owner, setter, what.member.names)
    full = _writable(written)
    if full is None or len(full.parameters) < 2:
        return _unread(what, setter, asynchronous=False)
    value = list(full.parameters.values())[1]
    hints = [(s.return_annotation, p.place) for p, s in what.asked()]
    hint, place = (value.annotation, hints[0][1] if hints else None) if value.annotation is not EMPTY else hints[0]
    return Plan(
        what.label, setter, full, False, [Check("assigned value", value.name, hint, place)],
        level=what.level, warns=what.level is Level.WARN, owner=what.cls,
    )  # fmt: skip
