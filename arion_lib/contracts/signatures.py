"""Does every call that one signature allows also suit another?

Idea        A signature is the set of calls it binds. For each number of arguments that a caller may pass by position,
            follow every argument to where the other signature puts it.
Invariant   No mismatch is reported exactly when every allowed call binds and each argument arrives under its own name,
            or in `*args` / `**kwargs`. (The property test enumerates the calls and binds them.)
When wrong  A `Mismatch` names the parameter and how it fails; several facts about one parameter are one mismatch.
See         tests/contracts/test_signatures.py
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from inspect import Parameter, Signature

from arion_lib.contracts.checks.glance import (
    BOTH,
    DOUBLE_STAR,
    ONLY_KEYWORD,
    ONLY_POSITION,
    STAR,
    is_required,
    takes_in_order,
)
from arion_lib.contracts.violations import Code


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A call that the promised signature allows and the offered one does not take as meant."""

    code: Code
    name: str  # the parameter, as the contract names it (or the class, for an extra one)
    other: str = ""  # the class's parameter that stands in its place


class _Shape:
    """A signature's parameters by what callers can do with them."""

    __slots__ = ("by_keyword", "double_star", "named", "positional", "star")

    def __init__(self, signature: Signature) -> None:
        parameters = signature.parameters.values()
        self.positional = [p for p in parameters if p.kind in (ONLY_POSITION, BOTH)]
        self.by_keyword = {p.name: p for p in parameters if p.kind in (BOTH, ONLY_KEYWORD)}
        self.named = [p for p in parameters if p.kind not in (STAR, DOUBLE_STAR)]
        self.star = next((p for p in parameters if p.kind is STAR), None)
        self.double_star = next((p for p in parameters if p.kind is DOUBLE_STAR), None)

    def find(self, name: str) -> Parameter | None:
        return next((p for p in self.named if p.name == name), None)


def by_position(signature: Signature) -> Signature:
    """Return the signature with its positional parameters made position-only.

    >>> import inspect
    >>> def f(a, b=1, *, c): ...
    >>> by_position(inspect.signature(f))
    <Signature (a, b=1, /, *, c)>
    """
    found = [p.replace(kind=ONLY_POSITION) if p.kind is BOTH else p for p in signature.parameters.values()]
    return signature.replace(parameters=found)


def mismatches(promised: Signature, offered: Signature) -> list[Mismatch]:
    """Return how `offered` fails calls that `promised` allows; both without `self`.

    >>> import inspect
    >>> def asked(rows, scale=1): ...
    >>> def given(rows, factor=1): ...
    >>> mismatches(inspect.signature(asked), inspect.signature(given))
    [Mismatch(code=<Code.PARAMETER_NAME: 'parameter-name'>, name='scale', other='factor')]
    """
    if takes_in_order(promised, offered):
        return []
    asked, given = _Shape(promised), _Shape(offered)
    facts: dict[tuple[str, str], str] = {}
    for count in _counts(asked, given):
        for kind, name, other in _failures(asked, given, count):
            if not facts.get((kind, name)):
                facts[kind, name] = other
    return _classified(asked, given, facts)


def _counts(asked: _Shape, given: _Shape) -> range:
    """Return how many arguments a caller may pass by position (of endlessly many: up to one past the last named)."""
    least = sum(p.kind is ONLY_POSITION and is_required(p) for p in asked.positional)
    most = len(asked.positional)
    return range(least, (max(most, len(given.positional)) + 1 if asked.star else most) + 1)


Fact = tuple[str, str, str]


def _failures(asked: _Shape, given: _Shape, count: int) -> Iterator[Fact]:
    filled = {p.name for p in given.positional[:count]}
    yield from _by_position(asked, given, count)
    keywords = [p for p in asked.positional[count:] if p.kind is BOTH]
    keywords += [p for p in asked.by_keyword.values() if p.kind is ONLY_KEYWORD]
    yield from _by_name(given, keywords, filled)
    yield from _left_out(given, filled, {p.name for p in keywords if is_required(p)})
    if asked.double_star is not None:
        yield from _any_name(asked, given, filled)


def _by_position(asked: _Shape, given: _Shape, count: int) -> Iterator[Fact]:
    for index in range(count):
        want = asked.positional[index] if index < len(asked.positional) else None
        if index < len(given.positional):
            target = given.positional[index]
            if want is not None and want.kind is BOTH and want.name != target.name:
                yield "elsewhere", want.name, target.name
        elif given.star is None:
            yield ("no place", want.name, "") if want is not None else ("no star", "", "")


def _by_name(given: _Shape, keywords: Sequence[Parameter], filled: set[str]) -> Iterator[Fact]:
    for parameter in keywords:
        if parameter.name in given.by_keyword:
            if parameter.name in filled:
                yield "twice", parameter.name, ""
        elif given.double_star is None:
            yield "no name", parameter.name, ""


def _left_out(given: _Shape, filled: set[str], certain: set[str]) -> Iterator[Fact]:
    for parameter in given.named:
        named = parameter.name in certain and parameter.kind is not ONLY_POSITION
        if is_required(parameter) and parameter.name not in filled and not named:
            yield "required", parameter.name, ""


def _any_name(asked: _Shape, given: _Shape, filled: set[str]) -> Iterator[Fact]:
    if given.double_star is None:
        yield "no double star", "", ""
    for name in sorted(filled & set(given.by_keyword) - set(asked.by_keyword)):
        yield "name taken", name, ""


def _classified(asked: _Shape, given: _Shape, facts: dict[tuple[str, str], str]) -> list[Mismatch]:
    found: dict[str, Mismatch] = {}
    standing_in: set[str] = set()
    for want in asked.named:
        troubles = {kind: other for (kind, name), other in facts.items() if name == want.name and kind != "name taken"}
        if not troubles:
            continue
        other = troubles.get("elsewhere", "")
        code = _code(want, asked, given, troubles)
        if code is Code.PARAMETER_NAME:
            standing_in.add(other)
        found[want.name] = Mismatch(code, want.name, other)
    for kind, name in facts:
        if kind == "required" and asked.find(name) is None and name not in standing_in:
            found.setdefault(name, Mismatch(Code.PARAMETER_EXTRA, name))
        elif kind == "name taken":
            found.setdefault(name, Mismatch(Code.PARAMETER_KIND, name))
    return [*found.values(), *_stars(asked, facts)]


def _stars(asked: _Shape, facts: dict[tuple[str, str], str]) -> Iterator[Mismatch]:
    if ("no star", "") in facts and asked.star is not None:
        yield Mismatch(Code.VARARGS, asked.star.name)
    if ("no double star", "") in facts and asked.double_star is not None:
        yield Mismatch(Code.VARKEYWORDS, asked.double_star.name)


def _code(want: Parameter, asked: _Shape, given: _Shape, troubles: dict[str, str]) -> Code:
    offered = given.find(want.name)
    if offered is None:
        in_place = troubles.get("elsewhere", "")
        renamed = in_place and asked.find(in_place) is None
        return Code.PARAMETER_NAME if renamed else Code.PARAMETER_MISSING
    if set(troubles) == {"required"} and not is_required(want) and is_required(offered) and _same_use(want, offered):
        return Code.PARAMETER_DEFAULT
    if "elsewhere" in troubles and offered.kind is BOTH:
        return Code.PARAMETER_ORDER
    return Code.PARAMETER_KIND


def _same_use(want: Parameter, offered: Parameter) -> bool:
    return offered.kind in (want.kind, BOTH)


def routes(promised: Signature, offered: Signature) -> Iterator[tuple[Parameter, Parameter]]:
    """Yield each promised parameter with each offered one that its argument may arrive in.

    >>> import inspect
    >>> def asked(a, *, b): ...
    >>> def given(*args, b): ...
    >>> [(p.name, o.name) for p, o in routes(inspect.signature(asked), inspect.signature(given))]
    [('a', 'args'), ('b', 'b')]
    """
    if takes_in_order(promised, offered):
        yield from zip(promised.parameters.values(), offered.parameters.values(), strict=False)
        return
    asked, given = _Shape(promised), _Shape(offered)
    for index, want in enumerate(asked.positional):
        yield from _pair(want, given.positional[index] if index < len(given.positional) else given.star)
    for want in asked.by_keyword.values():
        target = given.by_keyword.get(want.name, given.double_star)
        if want.kind is ONLY_KEYWORD or target is not _at(given, asked.positional.index(want)):
            yield from _pair(want, target)
    for target in (*given.positional[len(asked.positional) :], given.star) if asked.star else ():
        yield from _pair(asked.star, target)
    for target in (*given.by_keyword.values(), given.double_star) if asked.double_star else ():
        if target is not None and target.name not in asked.by_keyword:
            yield from _pair(asked.double_star, target)


def _at(given: _Shape, index: int) -> Parameter | None:
    return given.positional[index] if index < len(given.positional) else None


def _pair(want: Parameter | None, target: Parameter | None) -> Iterator[tuple[Parameter, Parameter]]:
    if want is not None and target is not None:
        yield want, target
