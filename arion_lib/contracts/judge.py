"""A class's member against the contract's: every way in which a caller could be let down.

Idea        The caller knows the contract alone. So a class may take more and give less, never the reverse.
Invariant   What is compatible is accepted: wider parameters, narrower results, more optional parameters, stars.
When wrong  Each violation says what the caller would see, and what to write instead.
See         arion_lib/contracts/signatures.py · arion_lib/contracts/subtypes.py · tests/contracts/test_violations.py
"""

from __future__ import annotations

import collections.abc as abc
from collections.abc import Iterable, Iterator
from inspect import Parameter, Signature
from typing import Any

from arion_lib.contracts.checks.attributes import MISSING
from arion_lib.contracts.checks.callables import written_out
from arion_lib.contracts.checks.generics import arguments_as
from arion_lib.contracts.checks.glance import takes_in_order
from arion_lib.contracts.checks.hints import EMPTY, Arguments, Hint, bare, has_unpacked, is_unknown, origin_of, text
from arion_lib.contracts.checks.predicates import fits
from arion_lib.contracts.members import Flow, Kind, Member, is_opaque
from arion_lib.contracts.messages.written import shown
from arion_lib.contracts.resolution import Case
from arion_lib.contracts.signatures import (
    Mismatch,
    by_position,
    mismatches,
    routes,
)
from arion_lib.contracts.subtypes import is_subtype
from arion_lib.contracts.violations import Code, Violation


def judge(case: Case) -> list[Violation]:
    """Return how the class of `case` breaks the promise; nothing if it keeps it."""
    if case.offer is None:
        return list(_absent(case))
    if case.promise.final:
        return [case.violation(Code.FINAL, _show(case.offer))]
    if case.promise.kind is Kind.ATTRIBUTE:
        return list(_attribute(case, case.offer))
    if case.promise.kind is Kind.PROPERTY:
        return list(_property(case, case.offer))
    return list(_method(case, case.offer))


_SUPPLIED_BY_DECORATORS = frozenset({"__lt__", "__le__", "__gt__", "__ge__", "__eq__", "__hash__", "__repr__"})
"""Special methods that `dataclass` and its kin add after the class statement. A class that lacks one is abstract, and
Python refuses its first instance."""


def _absent(case: Case) -> Iterator[Violation]:
    promise, name = case.promise, case.promise.name
    if case.declared is not EMPTY and promise.kind is Kind.ATTRIBUTE:
        yield from _declared(case, promise.hint(case.arguments))
    if not promise.required or case.declared is not EMPTY or name in _SUPPLIED_BY_DECORATORS:
        return
    if promise.kind is Kind.ATTRIBUTE:
        wanted = text(promise.hint(case.arguments))
        yield case.violation(Code.MISSING, "nothing", promise.kind.value, wanted=wanted)
    else:
        yield case.violation(Code.MISSING, "nothing", promise.kind.value if promise.kind is Kind.PROPERTY else "")


def _show(member: Member) -> str:
    return member.show() if member.kind is not Kind.ATTRIBUTE else f"{member.name} = {shown(member.raw)}"


def _attribute(case: Case, offer: Member) -> Iterator[Violation]:
    if offer.kind is Kind.PROPERTY:
        yield from _returned(case, case.promise.hint(case.arguments), offer)
        return
    hint, value = case.promise.hint(case.arguments), offer.raw
    if value is MISSING or (is_opaque(value) and not callable(value)):
        yield from _declared(case, hint)
    elif not fits(hint)(value):
        literal = origin_of(bare(hint)).__class__ is not type and "Literal" in text(hint)
        code = Code.ATTRIBUTE_VALUE if literal else Code.ATTRIBUTE_TYPE
        yield case.violation(code, _with_type(offer), wanted=text(hint))


def _with_type(offer: Member) -> str:
    return f"{_show(offer)} ({type(offer.raw).__name__})"


def _declared(case: Case, hint: Hint) -> Iterator[Violation]:
    if not is_subtype(case.declared, hint):
        got = f"{case.promise.name}: {text(case.declared)}"
        yield case.violation(Code.ATTRIBUTE_TYPE, got, "annotation", wanted=text(hint))


def _property(case: Case, offer: Member) -> Iterator[Violation]:
    promise = case.promise.member
    asked = promise.signature(case.arguments)
    hint = asked.return_annotation if asked is not None else EMPTY
    if offer.kind is Kind.ATTRIBUTE:
        if not is_opaque(offer.raw) and offer.raw is not MISSING and not fits(hint)(offer.raw):
            yield case.violation(Code.ATTRIBUTE_TYPE, _with_type(offer), wanted=text(hint))
        return
    if offer.kind is not Kind.PROPERTY:
        yield _wrong_kind(case, offer)
        return
    yield from _returned(case, hint, offer)
    if getattr(promise.raw, "fset", None) is not None and getattr(offer.raw, "fset", True) is None:
        yield case.violation(Code.SETTER, f"{offer.show()}, read-only")
    elif not is_subtype(wanted := _assigned(promise, case.arguments), taken := _assigned(offer)):
        got = f"{offer.show()}, set with {text(taken)}"
        yield case.violation(Code.SETTER, got, "narrower", wanted=text(wanted), given=text(taken))
    if getattr(promise.raw, "fdel", None) is not None and getattr(offer.raw, "fdel", True) is None:
        yield case.violation(Code.DELETER, f"{offer.show()}, not to be deleted")


def _assigned(member: Member, arguments: Arguments | None = None) -> Hint:
    """Return what a property's setter takes: its parameter's annotation, else the getter's result."""
    setter = getattr(member.raw, "fset", None)
    if setter is None:
        return EMPTY
    signature = Member(member.name, Kind.METHOD, setter, member.owner, setter, member.names).signature(arguments)
    value = next(iter(signature.parameters.values()), None) if signature is not None else None
    if value is not None and value.annotation is not EMPTY:
        return value.annotation
    read = member.signature(arguments)
    return read.return_annotation if read is not None else EMPTY


def _returned(case: Case, hint: Hint, offer: Member) -> Iterator[Violation]:
    given = offer.signature()
    if given is not None and not is_subtype(given.return_annotation, hint):
        yield _wide_return(case, offer, given.return_annotation, hint)


def _wide_return(case: Case, offer: Member, given: Hint, wanted: Hint) -> Violation:
    return case.violation(Code.RETURN_TYPE, offer.show(), wanted=text(wanted), given=text(given))


def _wrong_kind(case: Case, offer: Member) -> Violation:
    return case.violation(Code.KIND, f"{offer.kind.value}: {_show(offer)}", case.promise.kind.value)


_CALLED_ON_A_CLASS = (Kind.CLASS_METHOD, Kind.STATIC_METHOD)
"""Callers cannot tell one from the other: `cls.f(...)` calls both with the same arguments."""


def _method(case: Case, offer: Member) -> Iterator[Violation]:
    promised = case.promise.member
    if offer.kind is Kind.ATTRIBUTE and (is_opaque(offer.raw) or isinstance(offer.raw, type)):
        return
    called_as_it_is = offer.kind is Kind.STATIC_METHOD and not isinstance(offer.raw, staticmethod)
    called_alike = offer.kind in _CALLED_ON_A_CLASS and promised.kind in _CALLED_ON_A_CLASS
    if offer.kind is not promised.kind and not called_as_it_is and not called_alike:
        yield _wrong_kind(case, offer)
        return
    asked, given = promised.signature(case.arguments), offer.signature()
    if asked is None or given is None:
        return
    asked, given = (written_out(each) if has_unpacked(each) else each for each in (asked, given))
    if _is_special(offer.name):
        asked = by_position(asked)
    if takes_in_order(asked, given):
        pairs = zip(asked.parameters.values(), given.parameters.values(), strict=False)
        yield from _narrow_parameters(case, offer, pairs)
    else:
        wrong = mismatches(asked, given)
        yield from (_mismatch(case, offer, asked, found) for found in wrong)
        misplaced = {found.name for found in wrong if found.code is Code.PARAMETER_ORDER}
        pairs_met = routes(asked, given)
        yield from _narrow_parameters(
            case, offer, ((w, t) for w, t in pairs_met if w.name not in misplaced or w.name == t.name)
        )
    yield from _results(case, offer, asked.return_annotation, given.return_annotation)


def _is_special(name: str) -> bool:
    """Tell whether Python itself calls a method of this name, by position: its parameters have no names for it."""
    return name.startswith("__") and name.endswith("__")


def _mismatch(case: Case, offer: Member, asked: Signature, found: Mismatch) -> Violation:
    parameter = asked.parameters.get(found.name)
    default = f" = {shown(parameter.default)}" if parameter is not None and parameter.default is not EMPTY else ""
    return case.violation(found.code, offer.show(), p=found.name, o=found.other, d=default)


def _narrow_parameters(case: Case, offer: Member, pairs: Iterable[tuple[Parameter, Parameter]]) -> Iterator[Violation]:
    seen: set[str] = set()
    for want, target in pairs:
        if want.name in seen or is_subtype(want.annotation, target.annotation):
            continue
        seen.add(want.name)
        words = {"p": want.name, "o": target.name, "wanted": text(want.annotation), "given": text(target.annotation)}
        yield case.violation(Code.PARAMETER_TYPE, offer.show(), **words)


def _results(case: Case, offer: Member, wanted: Hint, given: Hint) -> Iterator[Violation]:
    asked, offered = case.promise.member.flow, offer.flow
    if Flow.DECORATED in (asked, offered):
        return
    if asked is Flow.COROUTINE and offered is Flow.PLAIN and _is_awaitable(given):
        inner = arguments_as(given, abc.Awaitable)
        given, offered = inner[0] if inner else Any, Flow.COROUTINE
    code = _compared(asked, offered, wanted, given)
    if code is Code.RETURN_TYPE:
        yield _wide_return(case, offer, given, wanted)
    elif code is Code.FLOW:
        yield _wrong_flow(case, offer)


def _compared(asked: Flow, offered: Flow, wanted: Hint, given: Hint) -> Code | None:
    """Return what is wrong with the result of a function of flow `offered` annotated with `given`, if anything."""
    plain = (Flow.PLAIN, Flow.GENERATOR)
    if asked is offered or (asked in plain and offered in plain):
        annotated = given is not EMPTY or offered is not Flow.GENERATOR
        given = given if annotated else abc.Generator
        return None if is_subtype(given, wanted) else Code.RETURN_TYPE if annotated else Code.FLOW
    if asked in plain:
        given = Any if given is EMPTY else given
        given = abc.Coroutine[Any, Any, given] if offered is Flow.COROUTINE else given
        takes_it = wanted is Any or (wanted is not EMPTY and wanted is not object and is_subtype(given, wanted))
        return None if takes_it and (given is not Any or _is_asynchronous(wanted)) else Code.FLOW
    if asked is Flow.ASYNC_GENERATOR and offered is Flow.PLAIN and given is not EMPTY:
        fine = is_subtype(given, abc.AsyncIterable if wanted is EMPTY else wanted)
        return None if fine else Code.FLOW
    return Code.FLOW


def _is_asynchronous(hint: Hint) -> bool:
    cls: Any = origin_of(bare(hint)) or hint
    return hint is Any or (isinstance(cls, type) and issubclass(cls, abc.AsyncIterable | abc.Awaitable))


def _is_awaitable(hint: Hint) -> bool:
    """Tell whether a plain function annotated with this gives something to await; no annotation does not say so."""
    hint = bare(hint)
    if hint is EMPTY:
        return False
    cls: Any = origin_of(hint) or hint
    return is_unknown(hint) or not isinstance(cls, type) or issubclass(cls, abc.Awaitable)


def _wrong_flow(case: Case, offer: Member) -> Violation:
    variant = case.promise.member.flow.value
    if case.promise.member.flow is Flow.COROUTINE and offer.flow is Flow.ASYNC_GENERATOR:
        variant = "a coroutine function, and the class has an async generator"
    return case.violation(Code.FLOW, f"{offer.flow.value}: {offer.show()}", variant, given=offer.flow.value)
