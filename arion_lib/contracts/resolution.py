"""What a class really has under a name: what the method resolution order arrives at, guards looked through.

Idea        Inherited members are judged like the class's own, for a caller cannot tell them apart.
Invariant   Reading changes nothing; a class that no contract made can be read as well.
When wrong  A member that only another contract declares, abstract, counts as missing.
See         arion_lib/contracts/judge.py · tests/contracts/test_inheritance.py
"""

from __future__ import annotations

import dis
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, MemberDescriptorType
from typing import Any

from arion_lib.contracts.checks.attributes import MISSING, ContractAttribute
from arion_lib.contracts.checks.glance import keeps_plainly
from arion_lib.contracts.checks.hints import EMPTY, own_annotations, type_arguments
from arion_lib.contracts.judge import Case
from arion_lib.contracts.members import Kind, Member, read
from arion_lib.contracts.messages.places import class_place
from arion_lib.contracts.options import SPEC, Options, Promised, Spec, contracts_of, spec_of
from arion_lib.contracts.promises import Promise, attribute_hint, default_of, is_abstract

Found = Mapping[str, Member | None]


def cases(cls: type, spec: Spec, promised: Promised, found_by_name: Found | None = None) -> Iterator[Case]:
    """Yield each promise with what `cls` has in its place; given what was found already, skip what a glance shows to
    be kept."""
    variables: dict[type, dict[Any, Any]] | None = None
    for name, promises in promised:
        found = found_by_name[name] if found_by_name is not None else resolved(cls, name)
        for promise in promises:
            if promise.contract is cls:
                continue
            if variables is None and getattr(promise.contract, "__parameters__", None):
                variables = type_arguments(cls)
            arguments = (variables or {}).get(promise.member.owner)
            if found_by_name is not None and found is not None and keeps_plainly(promise, found):
                continue
            case = Case(cls.__name__, spec.place, promise, _offered(cls, spec, promise, found), arguments)
            if promise.kind in (Kind.ATTRIBUTE, Kind.PROPERTY):
                case.declared = declared(cls, name, promise)
            if case.offer is not None or not spec.is_contract:
                yield case


def _offered(cls: type, spec: Spec, promise: Promise, found: Member | None) -> Member | None:
    """Return what there is besides the contract's own word; an abstract member is nothing, except in a contract."""
    if found is None or (found.raw is promise.member.raw and found.owner is promise.member.owner):
        return None
    if is_abstract(found.raw) and not (spec.is_contract and found.owner is cls):
        return None
    return found


def resolved(cls: type, name: str) -> Member | None:
    """Return what `cls` has under `name`; `None` if nothing, or an attribute without a value on the class."""
    for base in cls.__mro__:
        space = base.__dict__
        if name not in space:
            continue
        spec: Spec | None = space.get(SPEC)
        raw = space[name]
        if spec is not None and name in spec.replaced:
            raw = spec.replaced[name]
        if type(raw) is not FunctionType:
            raw = default_of(raw)
        if raw is not MISSING:
            return read(name, raw, base, spec.names if spec is not None else None)
    return None


def declared(cls: type, name: str, promise: Promise) -> Any:
    """Return the annotation that a class below the contract gives an attribute which its instances set."""
    for base in cls.__mro__:
        if base is promise.member.owner:
            break
        annotations = own_annotations(base)
        if name in annotations:
            spec = spec_of(base)
            return attribute_hint(annotations[name], base, spec.names if spec is not None else {})
        if _is_slot(vars(base).get(name)):
            return Any
    return Any if any(_sets(base, name) for base in cls.__mro__) else EMPTY


def _sets(cls: type, name: str) -> bool:
    """Tell whether instances of `cls` get this attribute from its constructor, a dataclass's included."""
    if name in vars(cls).get("__dataclass_fields__", ()):
        return True
    constructor = vars(cls).get("__init__")
    code = getattr(constructor, "__code__", None)
    if code is None or name not in code.co_names:
        return False
    return any(step.opname == "STORE_ATTR" and step.argval == name for step in dis.get_instructions(code))


def _is_slot(raw: object) -> bool:
    return isinstance(raw, MemberDescriptorType) or (isinstance(raw, ContractAttribute) and raw.slot is not None)


def cases_of(cls: type, contracts: Iterable[type] = ()) -> list[Case]:
    """Return each promise of these contracts (by default: those `cls` keeps) with what `cls` has in its place.

    Raises `TypeError` for something that is not a contract.
    """
    spec = spec_of(cls) or Spec(Options(), False, class_place(cls))
    found: dict[str, list[Promise]] = {}
    for contract in list(contracts) or contracts_of(cls):
        known = spec_of(contract)
        if known is None or not known.is_contract:
            raise TypeError(f"contracts must be direct subclasses of Contract, got {contract!r}")
        for promise in known.promises:
            found.setdefault(promise.name, []).append(promise)
    return list(cases(cls, spec, list(found.items())))
