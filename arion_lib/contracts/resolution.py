"""What was promised to the callers of a class, and what the class has under each promised name.

Idea        A case is one promise and the member in its place. Inherited members are judged like the class's own, for a
            caller cannot tell them apart; guards are looked through.
Invariant   Reading changes nothing; a class that no contract made can be read as well.
When wrong  A member that only another contract declares, abstract, counts as missing.
See         arion_lib/contracts/judge.py · tests/contracts/test_inheritance.py
"""

from __future__ import annotations

import dis
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, MemberDescriptorType
from typing import Any

from arion_lib.contracts.checks.attributes import MISSING, SlottedAttribute
from arion_lib.contracts.checks.glance import keeps_plainly
from arion_lib.contracts.checks.hints import EMPTY, Arguments, Hint, own_annotations, type_arguments
from arion_lib.contracts.members import PROPERTY, Kind, Member, read
from arion_lib.contracts.messages.places import Place, class_place, named_line
from arion_lib.contracts.options import SPEC, Options, Spec, spec_of
from arion_lib.contracts.promises import Promise, attribute_hint, default_of, is_abstract
from arion_lib.contracts.violations import TABLE, Code, Violation


def contracts_of(cls: type) -> list[type]:
    """Return the contracts that `cls` keeps, nearest first.

    >>> from arion_lib.contracts.plugins.processors import CsvProcessor
    >>> [contract.__name__ for contract in contracts_of(CsvProcessor)]
    ['Processor']
    """
    own = spec_of(cls)
    if own is not None and own.contracts is not None:
        return own.contracts
    found = [base for base in cls.__mro__ if SPEC in base.__dict__ and base.__dict__[SPEC].is_contract]
    if own is not None:
        own.contracts = found
    return found


Promised = Sequence[tuple[str, Sequence[Promise]]]


def promised_to(cls: type) -> list[tuple[str, list[Promise]]]:
    """Return each promised name with the promises about it, of all contracts of `cls`."""
    contracts = contracts_of(cls)
    nearest = spec_of(contracts[0]) if len(contracts) == 1 else None
    if nearest is not None and nearest.alone is not None:
        return nearest.alone
    found: dict[str, list[Promise]] = {}
    for contract in contracts:
        spec = spec_of(contract)
        for promise in spec.promises if spec is not None else ():
            found.setdefault(promise.name, []).append(promise)
    if nearest is not None:
        nearest.alone = list(found.items())
    return list(found.items())


def promises_called(cls: type, name: str) -> Sequence[Promise]:
    return next((promises for found, promises in promised_to(cls) if found == name), ())


@dataclass(slots=True)
class Case:
    """One promise and what a class has in its place."""

    cls: str
    class_place: Place | None
    promise: Promise
    offer: Member | None = None  # None: nothing
    arguments: Arguments | None = None  # what the contract's type variables stand for in this class
    declared: Hint = EMPTY  # an annotation for an attribute that each instance sets

    def violation(self, code: Code, got: str, variant: str = "", **words: str) -> Violation:
        """Return the row of the table for `code`, filled in with this case and with `words`."""
        promise, offer = self.promise, self.offer
        owner = offer.owner.__qualname__.rpartition("<locals>.")[2] if offer is not None else self.cls
        place = _place(offer, self.cls) or named_line(self.class_place, promise.name)
        promised, contract = promise.show(self.arguments), promise.contract.__name__
        why, fix = TABLE[code, variant]
        words |= {"c": self.cls, "m": promise.name, "contract": contract, "promised": promised}
        return Violation(
            code, self.cls, contract, promise.name, place, promise.place, promised,
            got if owner == self.cls else f"{got}, inherited from {owner}",
            why.format(**words), fix.format(**words),
        )  # fmt: skip


def _place(offer: Member | None, cls: str) -> Place | None:
    """Return where a member is written; of an inherited value, the line of the class that has it."""
    if offer is None or offer.place is not None:
        return offer.place if offer is not None else None
    if offer.owner.__name__ == cls:
        return None
    spec = spec_of(offer.owner)
    return named_line(spec.place if spec is not None else class_place(offer.owner), offer.name)


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
            if found_by_name is not None and found is not None and _kept(promise, found):
                continue
            case = Case(cls.__name__, spec.place, promise, _offered(cls, spec, promise, found), arguments)
            if promise.kind in (Kind.ATTRIBUTE, Kind.PROPERTY):
                case.declared = declared(cls, name, promise)
            if case.offer is not None or not spec.is_contract:
                yield case


def _kept(promise: Promise, found: Member) -> bool:
    """Tell whether a glance shows that the promise is kept."""
    return found.kind is promise.kind is not PROPERTY and keeps_plainly(promise, found)


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
    return isinstance(raw, MemberDescriptorType) or (isinstance(raw, SlottedAttribute) and raw.slot is not None)


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
