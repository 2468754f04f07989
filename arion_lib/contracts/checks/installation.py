"""Putting guards into a class, taking them out again, and refusing instances of what is unfinished.

Idea        Guards go in after the class was made and judged, so every other metaclass and hook saw what was written.
Invariant   What a guard stands in front of is remembered: a class that is made again from its dictionary (a dataclass
            or attrs class with slots) starts from what its author wrote.
When wrong  Only the class's own dictionary is changed; a class it inherits from never is.
See         arion_lib/contracts/checks/plans.py · tests/contracts/test_inheritance.py
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Sequence
from functools import partial
from types import FrameType, FunctionType, MemberDescriptorType
from typing import Any

from arion_lib.contracts.checks.attributes import MISSING, ContractAttribute, SlottedAttribute
from arion_lib.contracts.checks.guards import guard
from arion_lib.contracts.checks.hints import type_arguments
from arion_lib.contracts.checks.levels import Level
from arion_lib.contracts.checks.plans import Guarded, call_of, guarded_property, plan, through_super
from arion_lib.contracts.members import (
    ATTRIBUTE,
    CLASS_METHOD,
    COROUTINE,
    PROPERTY,
    STATIC_METHOD,
    Member,
    is_opaque,
)
from arion_lib.contracts.messages.places import frame_place
from arion_lib.contracts.options import SPEC, Options, Spec, settings_of, spec_of
from arion_lib.contracts.promises import Promise, captured_names, is_abstract, is_recipe
from arion_lib.contracts.resolution import Found, Promised, contracts_of, resolved


def restored(namespace: dict[str, Any]) -> Spec | None:
    """Undo what was put into a class whose dictionary is used to make it again (dataclass and attrs with slots).

    Returns what was known of that class; `None` for a class statement of its own.
    """
    earlier: Spec | None = namespace.pop(SPEC, None)
    if earlier is None:
        return None
    for name, raw in earlier.replaced.items():
        if name in namespace:
            if raw is MISSING:
                del namespace[name]
            else:
                namespace[name] = raw
    for name, value in list(namespace.items()):
        if isinstance(value, ContractAttribute):
            namespace[name] = value.default
    return earlier


def spec_for(cls: type, options: Options, earlier: Spec | None, frame: FrameType | None) -> Spec:
    """Return what is known of a class that was just made in `frame`, or again from the class that `earlier` knows."""
    is_contract = any("__contract_root__" in vars(base) for base in cls.__bases__)
    spec = Spec(options, is_contract, frame_place(frame), cls=cls)
    if earlier is None or earlier.cls is None:
        spec.names = captured_names(cls, frame)
        return spec
    spec.options, spec.place, spec.names = earlier.options, earlier.place, earlier.names
    spec.version, cls.__qualname__ = earlier.version, earlier.cls.__qualname__
    _point_cells_at(cls, earlier.cls)
    return spec


def _point_cells_at(cls: type, old: type) -> None:
    """Let `super()` and `__class__` in the methods of `cls` mean `cls`, not the class it was made again from."""
    for raw in vars(cls).values():
        for function in (getattr(raw, "fget", None), getattr(raw, "fset", None), getattr(raw, "__func__", None), raw):
            for cell in getattr(function, "__closure__", None) or ():
                if _content(cell) is old:
                    cell.cell_contents = cls


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # an empty cell: a name that is not bound yet
        return None


def guard_all(cls: type, spec: Spec, promised: Promised, found: Found) -> None:
    """Put a guard before each member that keeps a promise, and a descriptor in the place of each attribute."""
    how = settings_of(cls)
    if how == (Level.DEFINE, False):
        return
    for name, promises in promised:
        if promises[0].kind is ATTRIBUTE:
            _guard_attribute(cls, promises[0], how[0])
        member = found[name]
        if member is None or is_abstract(member.raw) or member.kind is ATTRIBUTE:
            continue
        if promises[0].kind is ATTRIBUTE and member.kind is not PROPERTY:
            continue  # a callable that is the attribute's value: what it returns was not promised
        inherited = member.owner is not cls
        guarded_in = _guarded_in(cls, member, promises) if inherited else None
        same = guarded_in is not None and settings_of(guarded_in) == how
        if guarded_in is not None and same and _asks_alike(cls, guarded_in, promises):
            continue
        what = Guarded(cls, member, promises, *how, inherited, None if same else guarded_in)
        made = guarded(what)
        if made is not member.raw:
            spec.replaced[name] = MISSING if inherited else member.raw
            type.__setattr__(cls, name, made)


def guarded(what: Guarded) -> Any:
    """Return what to put into the class in place of the member: the same kind of thing, checking."""
    raw, member = what.member.raw, what.member
    if type(raw) is FunctionType and not what.inherited:
        coroutine = member.flow is COROUTINE
        return guard(raw, partial(plan, what, raw, coroutine), asynchronous=coroutine)
    if member.kind is PROPERTY:
        return guarded_property(what)
    call = through_super(what) if what.inherited else call_of(member)
    if call is None:
        return raw
    asynchronous = member.flow is COROUTINE
    made = guard(member.target, lambda: plan(what, call, asynchronous), asynchronous=asynchronous)
    if member.kind is CLASS_METHOD:
        return classmethod(made)
    if member.kind is STATIC_METHOD:
        return staticmethod(made)
    if isinstance(raw, functools.singledispatchmethod):
        made.__dict__["register"] = raw.register
    return made


def _guarded_in(cls: type, member: Member, promises: Sequence[Promise]) -> type | None:
    """Return the class whose guard of what `cls` inherits is there already, on behalf of all these promises."""
    for base in cls.__mro__[1:]:
        spec = spec_of(base)
        if spec is not None and member.name in spec.replaced:
            known = {id(contract) for contract in contracts_of(base)}
            same = resolved(base, member.name)
            keeps_all = all(id(promise.contract) in known for promise in promises)
            return base if same is not None and same.raw is member.raw and keeps_all else None
    return None


def _asks_alike(cls: type, base: type, promises: Sequence[Promise]) -> bool:
    """Tell whether the type variables of these promises stand for the same in both classes."""
    generic = [promise.member.owner for promise in promises if getattr(promise.member.owner, "__parameters__", ())]
    return not generic or all(type_arguments(cls).get(owner) == type_arguments(base).get(owner) for owner in generic)


def _guard_attribute(cls: type, promise: Promise, how: Level) -> None:
    """Put a descriptor where the class has a value of its own (or, in a contract, a promise)."""
    raw = vars(cls).get(promise.name, MISSING)
    if is_recipe(raw) or isinstance(raw, ContractAttribute) or isinstance(cls, enum.EnumMeta):
        return
    slot = raw if isinstance(raw, MemberDescriptorType) else None
    if promise.contract is not cls and slot is None and (raw is MISSING or is_opaque(raw)):
        return
    type.__setattr__(cls, promise.name, attribute_of(cls, promise, raw, how))


def attribute_of(cls: type, promise: Promise, raw: Any, level: Level) -> ContractAttribute:
    """Return what stands for a promised attribute in `cls`, in front of `raw`: its value, its slot, or nothing."""
    hint = promise.hint(type_arguments(cls).get(promise.member.owner, {}))
    slot = raw if isinstance(raw, MemberDescriptorType) else None
    words: dict[str, Any] = {"promised_at": promise.written, "level": level, "default": MISSING if slot else raw}
    if slot is not None or not cls.__dictoffset__:
        return SlottedAttribute(promise.name, hint, cls.__name__, slot=slot, **words)
    return ContractAttribute(promise.name, hint, cls.__name__, **words)


def refuse_instances(cls: type) -> None:
    """Let Python itself refuse: its check costs the classes that may be instantiated nothing."""
    if not getattr(cls, "__abstractmethods__", None):
        type.__setattr__(cls, "__abstractmethods__", reason_for(cls))
    own_new: object = cls.__new__
    if own_new is not object.__new__ and "__new__" not in vars(cls):
        type.__setattr__(cls, "__new__", _refusing_new(cls))


def reason_for(cls: type) -> frozenset[str]:
    word = "a contract" if (spec := spec_of(cls)) is not None and spec.is_contract else "unfinished on purpose"
    return frozenset({f"({word}: make an instance of a class that keeps it)"})


def _refusing_new(owner: type) -> Any:
    """Return a `__new__` for classes whose base (dict, Exception, ...) does not ask whether they are abstract."""
    inner = owner.__new__

    def __new__(cls: type, *args: Any, **kwargs: Any) -> Any:  # noqa: N807
        if cls is owner:
            raise TypeError(f"{cls.__name__} must not be instantiated: {' '.join(reason_for(cls))}")
        return inner(cls, *args, **kwargs)

    return staticmethod(__new__)
