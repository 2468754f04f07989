"""What a contract promises: its public methods and properties, and its annotated attributes.

Idea        A contract is read once, when it is defined; every class that keeps it is compared with what was read.
Invariant   A promise is what stands in the contract, its mixins and protocols; private helpers are no promise unless
            abstract, constructors and what `object` has are none.
When wrong  An annotation that cannot be resolved yet says nothing until it can.
See         arion_lib/contracts/judge.py · tests/contracts/test_accepted.py
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import typing
from abc import ABC
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, singledispatchmethod
from types import FrameType, FunctionType
from typing import Any, Generic, Protocol

from arion_lib.contracts.checks.attributes import MISSING
from arion_lib.contracts.checks.hints import (
    Arguments,
    Hint,
    Later,
    annotations_of,
    module_names,
    needs_resolving,
    origin_of,
    own_annotations,
    resolve,
    substitute,
    text,
    words_in,
)
from arion_lib.contracts.members import Kind, Member, is_opaque, read
from arion_lib.contracts.messages.places import Place, named_line, plain_function
from arion_lib.contracts.messages.written import shown


@dataclass(slots=True)
class Promise:
    """One member that `contract` promises. `required`: a class must have it; otherwise the contract's own serves."""

    contract: type
    member: Member
    required: bool
    final: bool = False
    raw_hint: Hint = None  # of an attribute
    default: Any = MISSING  # of an attribute
    written: Place | None = None  # of an attribute: where its contract stands
    form: tuple[object, ...] | None = None  # of a plain function, once asked for: what a glance compares

    @property
    def name(self) -> str:
        return self.member.name

    @property
    def kind(self) -> Kind:
        return self.member.kind

    @property
    def place(self) -> Place | None:
        return self.member.place or named_line(self.written, self.name)

    def hint(self, arguments: Arguments | None = None) -> Hint:
        """Return the type of an attribute."""
        return substitute(attribute_hint(self.raw_hint, self.member.owner, self.member.names), arguments or {})

    def show(self, arguments: Arguments | None = None) -> str:
        """Return the promise as one would write it."""
        if self.kind is not Kind.ATTRIBUTE:
            return self.member.show(arguments)
        default = "" if self.default is MISSING else f" = {shown(self.default)}"
        return f"{self.name}: {text(self.hint(arguments))}{default}"


def attribute_hint(hint: Hint, owner: type, names: Mapping[str, Any]) -> Hint:
    """Return an attribute's annotation, resolved and without `ClassVar` and `Final` around it; one that names what
    does not exist yet is looked up again when it is asked for."""
    local = {**names, **{p.__name__: p for p in getattr(owner, "__type_params__", ())}, owner.__name__: owner}
    found = resolve(hint, module_names(owner), local)
    if needs_resolving(found):
        return Later(found, module_names(owner), local)
    while origin_of(found) in (typing.ClassVar, typing.Final):
        found = typing.get_args(found)[0]
    return Any if found in (typing.ClassVar, typing.Final) else found


_NOTHING_OF_OURS = (object, Generic, Protocol, ABC)
_WRITTEN_BY_PYTHON = ("__annotate__", "__annotate_func__", "__annotations_cache__", "__conditional_annotations__")
"""What the interpreter keeps in an annotated class since 3.14; some of it comes when the class is looked at."""
_NEVER_PROMISED = frozenset(
    {*dir(object), "__slots__", "__class_getitem__", "__del__", "__match_args__", *_WRITTEN_BY_PYTHON}
)


def promises_of(contract: type, stop: tuple[type, ...], names: Mapping[str, Any], place: Place | None) -> list[Promise]:
    """Return what `contract` promises by itself and by bases that are not contracts (`stop` are those that are)."""
    found: dict[str, Promise] = {}
    for base in contract.__mro__:
        if base not in stop and base not in _NOTHING_OF_OURS and origin_of(base) is None:
            for promise in _promises_in(base, contract, names, place):
                found.setdefault(promise.name, promise)
    return list(found.values())


def _promises_in(base: type, contract: type, names: Mapping[str, Any], place: Place | None) -> Iterator[Promise]:
    annotations = own_annotations(base)
    for name, hint in annotations.items():
        if not name.startswith("_") and not isinstance(hint, dataclasses.InitVar):
            yield _attribute(name, hint, base, contract, names, place)
    for name, raw in list(vars(base).items()):
        if name not in annotations and _is_promised(name, raw):
            member = read(name, raw, base, names)
            if member.kind is not Kind.ATTRIBUTE:
                yield Promise(contract, member, is_abstract(raw), is_final(member))


def _attribute(
    name: str, hint: Hint, base: type, contract: type, names: Mapping[str, Any], place: Place | None
) -> Promise:
    raw = vars(base).get(name, MISSING)
    raw = MISSING if is_opaque(raw) and not callable(raw) else default_of(raw)
    member = Member(name, Kind.ATTRIBUTE, raw, base, names=names)
    final = hint is typing.Final or origin_of(hint) is typing.Final
    final = final or (isinstance(hint, str) and re.match(r"(typing\.)?Final\b", hint) is not None)
    return Promise(contract, member, raw is MISSING, final, hint, raw, place)


def default_of(raw: Any) -> Any:
    """Return the value that a class's attribute has: of a dataclass field its default, of an attrs field none."""
    if is_recipe(raw):
        default = getattr(raw, "default", dataclasses.MISSING)
        return default if isinstance(raw, dataclasses.Field) and default is not dataclasses.MISSING else MISSING
    return raw.default if getattr(raw, "is_contract_attribute", False) is True else raw


def is_recipe(raw: object) -> bool:
    """Tell whether `raw` is a field's description, which a class decorator is going to take out again."""
    return isinstance(raw, dataclasses.Field) or type(raw).__name__ == "_CountingAttr"


def _is_promised(name: str, raw: Any) -> bool:
    if is_abstract(raw):
        return True
    if name in _NEVER_PROMISED or isinstance(raw, type):
        return False
    return not name.startswith("_") or (name.startswith("__") and inspect.isfunction(raw))


def is_abstract(raw: Any) -> bool:
    return getattr(raw, "__isabstractmethod__", False) is True


def is_final(member: Member) -> bool:
    return bool(getattr(member.target, "__final__", False))


def captured_names(cls: type, frame: FrameType | None) -> dict[str, Any]:
    """Return what annotations written as strings in `cls` name and its module does not tell: variables of the
    function around it, or globals of code that was run without being a module."""
    if frame is None:
        return {}
    spaces = [] if _globals_of(cls) is frame.f_globals else [frame.f_globals]
    if frame.f_code.co_flags & inspect.CO_NEWLOCALS:
        spaces.append(frame.f_locals)  # those of a function: they are gone when it has returned
    words = frozenset().union(*map(words_in, _strings(cls))) if spaces else ()
    return {word: space[word] for space in spaces for word in words if word in space}


def _globals_of(cls: type) -> dict[str, Any] | None:
    module = sys.modules.get(cls.__module__)
    return vars(module) if module is not None else None


_AROUND_FUNCTIONS = (property, staticmethod, classmethod, cached_property, singledispatchmethod)


def _strings(cls: type) -> list[str]:
    """Return the annotations in the body of `cls` that are strings."""
    found: list[str] = []
    for raw in cls.__dict__.values():
        if type(raw) is FunctionType:
            annotations = annotations_of(raw)
        elif isinstance(raw, _AROUND_FUNCTIONS):
            annotations = annotations_of(plain_function(raw))
        else:
            continue
        if annotations:
            found += [a for a in annotations.values() if type(a) is str]
    return found + [a for a in own_annotations(cls).values() if type(a) is str]
