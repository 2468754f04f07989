"""Members of a finished class, replaced and put back: what tests, mocks and class decorators do.

Idea        What is assigned is judged like what a class statement defines, and guarded. An object that stood there
            before is put back as it was, so `mock.patch` and `monkeypatch` undo what they did.
Invariant   Outside `unlocked`, a class keeps its contracts after each assignment and deletion, or nothing was changed.
When wrong  `ContractError` for a method that breaks the contract, `ContractCallError` for a value, `LockedMember` for
            what must not be replaced (final), or for a deletion that nothing inherited makes good.
See         tests/contracts/test_patches.py
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any

from arion_lib.contracts.checks.attributes import MISSING
from arion_lib.contracts.checks.hints import type_arguments
from arion_lib.contracts.checks.installation import attribute_of, guard_all
from arion_lib.contracts.judge import judge
from arion_lib.contracts.members import Kind, read
from arion_lib.contracts.options import Spec, level_of, spec_of
from arion_lib.contracts.promises import Promise, is_recipe
from arion_lib.contracts.resolution import Case, cases, promised_to, resolved
from arion_lib.contracts.violations import ContractError, LockedMember

REMEMBERED = 16
"""Objects that stood under one name, besides the first: so deep may patches of one member be nested."""


def assign(cls: type, spec: Spec, promises: Sequence[Promise], value: Any) -> None:
    """Set a promised member of a finished class, checked."""
    name = promises[0].name
    for installed, hidden in spec.stood.get(name, ()):
        if value is installed:
            _put(cls, spec, name, installed, hidden)
            return
    if promises[0].kind is Kind.ATTRIBUTE:
        _assign_attribute(cls, spec, promises[0], value)
    elif any(promise.final for promise in promises):
        raise _locked(cls, promises[0], "define a subclass of another name, or patch inside `with unlocked(...)`")
    elif _is_mock(value):
        _put(cls, spec, name, value, _NOTHING_HIDDEN)
    else:
        _assign_method(cls, spec, promises, value)


def _put(cls: type, spec: Spec, name: str, value: Any, hidden: Any) -> None:
    """Set it, with what it stands in front of, and remember what stood there."""
    _remember(cls, spec, name)
    spec.replaced.pop(name, None)
    if hidden is not _NOTHING_HIDDEN:
        spec.replaced[name] = hidden
    type.__setattr__(cls, name, value)


_NOTHING_HIDDEN = object()


def _remember(cls: type, spec: Spec, name: str) -> None:
    if name in vars(cls):
        stood = spec.stood.setdefault(name, [])
        if all(installed is not vars(cls)[name] for installed, _ in stood):
            stood.append((vars(cls)[name], spec.replaced.get(name, _NOTHING_HIDDEN)))
            del stood[1:-REMEMBERED]


def _is_mock(value: object) -> bool:
    """Tell whether a mock stands behind `value`; `autospec=True` makes a function in front of one."""
    value = getattr(value, "__func__", value)  # of a class or static method
    made = value.__dict__.get("mock") if type(value) is FunctionType else value
    return any(base.__module__ == "unittest.mock" for base in type(made).__mro__)


def _locked(cls: type, promise: Promise, advice: str) -> LockedMember:
    words = f"must stay as it was checked, {promise.contract.__name__} promises it"
    return LockedMember(f"{cls.__name__}.{promise.name} {words}; {advice}")


def _assign_attribute(cls: type, spec: Spec, promise: Promise, value: Any) -> None:
    if promise.final:
        raise _locked(cls, promise, "define a subclass that overrides it")
    made = attribute_of(cls, promise, value, level_of(cls))
    if not is_recipe(value) and not _is_mock(value):
        made.check(value)
    _remember(cls, spec, promise.name)
    type.__setattr__(cls, promise.name, made)


def _assign_method(cls: type, spec: Spec, promises: Sequence[Promise], value: Any) -> None:
    name = promises[0].name
    member = read(name, value, cls, spec.names)
    variables = type_arguments(cls)
    asked = [promise for promise in promises if promise.contract is not cls]
    cases = [Case(cls.__name__, spec.place, p, member, variables.get(p.member.owner)) for p in asked]
    violations = [violation for case in cases for violation in judge(case)]
    if violations:
        raise ContractError(cls.__name__, violations, "nothing was changed; `with unlocked(...)` lets it pass")
    _remember(cls, spec, name)
    spec.replaced.pop(name, None)
    type.__setattr__(cls, name, value)
    guard_all(cls, spec, [(name, promises)], {name: member})


def delete(cls: type, spec: Spec, promises: Sequence[Promise]) -> None:
    """Delete a promised member of a finished class, if what is inherited then keeps the promises."""
    name = promises[0].name
    if any(promise.final or promise.contract is cls for promise in promises):
        raise _locked(cls, promises[0], "patch it inside `with unlocked(...)`")
    installed, hidden = vars(cls)[name], spec.replaced.get(name, _NOTHING_HIDDEN)
    _remember(cls, spec, name)
    type.__delattr__(cls, name)
    spec.replaced.pop(name, None)
    found = {name: resolved(cls, name)}
    promised = [(name, list(promises))]
    if any(judge(case) for case in cases(cls, spec, promised, found)):
        _put(cls, spec, name, installed, hidden)
        raise _locked(cls, promises[0], "assign to it instead, or delete it inside `with unlocked(...)`")
    guard_all(cls, spec, promised, found)


@contextmanager
def unlocked(cls: type) -> Iterator[type]:
    """Let promised members of `cls` be replaced and deleted unchecked inside the block, then put back what stood there.

    Raises `TypeError` for a class that keeps no contract. Meant for tests: other threads see the patched class too.

    >>> from arion_lib.contracts.plugins.processors import CsvProcessor
    >>> with unlocked(CsvProcessor):
    ...     CsvProcessor.process = lambda *anything: "patched"
    ...     CsvProcessor().process()
    'patched'
    >>> CsvProcessor().process([{"text": "a\\n1"}])
    [{'a': '1'}]
    """
    spec = spec_of(cls)
    if spec is None:
        raise TypeError(f"cls must keep a contract, got {cls!r}")
    names = [name for name, _ in promised_to(cls)]
    before = {name: vars(cls).get(name, MISSING) for name in names}
    replaced, locked = dict(spec.replaced), spec.locked
    spec.locked = False
    try:
        yield cls
    finally:
        for name in names:
            if before[name] is not vars(cls).get(name, MISSING):
                _restore(cls, name, before[name])
        spec.replaced, spec.locked = replaced, locked


def _restore(cls: type, name: str, value: Any) -> None:
    if value is MISSING:
        type.__delattr__(cls, name)
    else:
        type.__setattr__(cls, name, value)
