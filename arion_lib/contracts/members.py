"""What stands under a name in a class: a method, a class or static method, a property, an attribute.

Idea        Read what is really in the class's dictionary, look through decorators, and say what calling it gives.
Invariant   Reading changes nothing and raises nothing; what cannot be read has an unknown signature.
When wrong  A callable without a readable signature (built in, or a descriptor of its own) fits every promise.
See         arion_lib/contracts/judge.py · tests/contracts/test_accepted.py
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from inspect import Parameter, Signature
from types import BuiltinFunctionType, FunctionType, MemberDescriptorType, MethodDescriptorType, WrapperDescriptorType
from typing import Any

from arion_lib.contracts.checks.callables import (
    ASYNC_MANAGER,
    MANAGER,
    called_signature,
    substituted_star,
)
from arion_lib.contracts.checks.generics import known_context
from arion_lib.contracts.checks.glance import plain_signature
from arion_lib.contracts.checks.hints import (
    EMPTY,
    Arguments,
    Hint,
    annotations_of,
    local_names,
    module_names,
    needs_resolving,
    resolve,
    substitute,
    text,
)
from arion_lib.contracts.messages.places import Place, place_of, plain_function
from arion_lib.contracts.messages.written import show_signature


class Kind(Enum):
    """How a member is reached. The value is what messages call it."""

    METHOD = "a method"
    CLASS_METHOD = "a class method"
    STATIC_METHOD = "a static method"
    PROPERTY = "a property"
    ATTRIBUTE = "an attribute"


METHOD, CLASS_METHOD, STATIC_METHOD, PROPERTY, ATTRIBUTE = Kind
"""Looked up once: before Python 3.12 the members of an enum are slow to reach, and each class statement asks often."""


class Flow(Enum):
    """What calling a function gives. The value is what messages call it."""

    PLAIN = "a plain function"
    COROUTINE = "a coroutine function (async def)"
    GENERATOR = "a generator function"
    ASYNC_GENERATOR = "an async generator function"
    DECORATED = "a decorated function"  # a plain wrapper around another flow: it may run it, or hand it on


@dataclass(slots=True)
class Member:
    """A member of `owner`, in whose dictionary it stands as `raw`. `names` are what its string annotations may use."""

    name: str
    kind: Kind
    raw: Any
    owner: type
    target: Any = None  # the callable behind `raw`: takes `self` or `cls` first where the kind has one
    names: Mapping[str, Any] = field(default_factory=dict)
    _full: Signature | bool | None = None
    _bare: Signature | bool | None = None

    @property
    def place(self) -> Place | None:
        return place_of(self.target) if self.target is not None else None

    @property
    def flow(self) -> Flow:
        return flow_of(self.target)

    def full_signature(self) -> Signature | None:
        """Return the signature with `self` or `cls`, its annotations resolved as far as they can be now."""
        if self._full is None:
            found = self._read()
            if found is not None and not _is_resolved(found):
                return found  # to be read again: the names may exist then
            self._full = found or False
        return self._full if isinstance(self._full, Signature) else None

    def _read(self) -> Signature | None:
        try:
            signature = called_signature(self.target)
        except Exception:  # noqa: BLE001 - foreign callables raise what they like; their signature is unknown then
            return None
        annotations = (signature.return_annotation, *(p.annotation for p in signature.parameters.values()))
        if not any(map(needs_resolving, annotations)):
            return signature
        core = plain_function(self.target)
        found, local = module_names(core), local_names(core, self.owner, self.names)
        parameters = [p.replace(annotation=resolve(p.annotation, found, local)) for p in signature.parameters.values()]
        return signature.replace(
            parameters=parameters, return_annotation=resolve(signature.return_annotation, found, local)
        )

    def signature(self, arguments: Arguments | None = None) -> Signature | None:
        """Return the signature as callers see it: without `self`, type variables replaced by `arguments`."""
        if not arguments:
            if self._bare is None:
                found = self._plainly() or self._without_self({})
                if found is not None and not _is_resolved(found):
                    return found
                self._bare = found or False
            return self._bare if isinstance(self._bare, Signature) else None
        return self._without_self(arguments)

    def _plainly(self) -> Signature | None:
        """Read a plain method quickly; anything else is read in full."""
        function = self.target
        if self.kind is not Kind.METHOD or type(function) is not FunctionType or function.__dict__:
            return None
        hints = annotations_of(function)
        if hints is None or not function.__code__.co_argcount:
            return None
        if any(map(needs_resolving, hints.values())):
            found, local = module_names(function), local_names(function, self.owner, self.names)
            hints = {name: resolve(hint, found, local) for name, hint in hints.items()}
        return plain_signature(function, hints, skip=1)

    def _without_self(self, known: Arguments) -> Signature | None:
        full = self.full_signature()
        if full is None:
            return None
        parameters = list(full.parameters.values())
        if self.kind in _BOUND and parameters and parameters[0].kind is not Parameter.VAR_POSITIONAL:
            del parameters[0]
        if known:
            parameters = [p.replace(annotation=substituted_star(p.annotation, known)) for p in parameters]
        result = substitute(self.returned(full.return_annotation), known)
        return Signature(parameters, return_annotation=result, __validate_parameters__=False)

    def returned(self, hint: Hint) -> Hint:
        """Return what a call gives when the function is annotated with `hint`: `contextmanager` changes that."""
        code = getattr(self.target, "__code__", None)
        if code is MANAGER or code is ASYNC_MANAGER:
            return known_context(hint, code is ASYNC_MANAGER)
        return hint

    def show(self, arguments: Arguments | None = None) -> str:
        """Return the member as one would write it, on one line."""
        signature = self.signature(arguments)
        if self.kind is Kind.PROPERTY:
            return f"@property {self.name}: {text(signature.return_annotation if signature else EMPTY)}"
        word = {Kind.CLASS_METHOD: "@classmethod ", Kind.STATIC_METHOD: "@staticmethod "}.get(self.kind, "")
        word += "async def " if self.flow in (Flow.COROUTINE, Flow.ASYNC_GENERATOR) else "def "
        return f"{word}{self.name}{show_signature(signature) if signature else '(...)'}"


def _is_resolved(signature: Signature) -> bool:
    """Tell whether a signature names nothing that does not exist yet."""
    found = (p.annotation for p in signature.parameters.values())
    return not needs_resolving(signature.return_annotation) and not any(map(needs_resolving, found))


_BOUND = (Kind.METHOD, Kind.CLASS_METHOD, Kind.PROPERTY)
_BUILT_IN = (BuiltinFunctionType, MethodDescriptorType, WrapperDescriptorType)
_CACHE: type = type(functools.lru_cache(lambda: None))
# Tuples, because a union written in a call is made anew at each call.
_METHODS = (FunctionType, _CACHE)
_WRAPPED = (staticmethod, classmethod)
_NOT_CALLED = (type, MemberDescriptorType)
_KNOWN = (FunctionType, staticmethod, classmethod, property, functools.cached_property, type)


def flow_of(target: Any) -> Flow:
    """Tell what calling `target` gives.

    >>> async def ticks():
    ...     yield 1
    >>> flow_of(ticks), flow_of(len)
    (<Flow.ASYNC_GENERATOR: 'an async generator function'>, <Flow.PLAIN: 'a plain function'>)
    """
    if type(target) is FunctionType and target.__dict__.keys() <= _ABSTRACT:
        return _FLOWS[target.__code__.co_flags & _FLOW_FLAGS]
    if inspect.iscoroutinefunction(target):
        return Flow.COROUTINE
    if inspect.isasyncgenfunction(target):
        return Flow.ASYNC_GENERATOR
    if inspect.isgeneratorfunction(target):
        return Flow.GENERATOR
    inner = getattr(target, "__wrapped__", None)
    if inner is None or getattr(target, "__code__", None) in (MANAGER, ASYNC_MANAGER):
        return Flow.PLAIN
    return Flow.PLAIN if flow_of(inner) is Flow.PLAIN else Flow.DECORATED


_ABSTRACT = {"__isabstractmethod__"}
COROUTINE = Flow.COROUTINE
_FLOW_FLAGS = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_FLOWS = {
    0: Flow.PLAIN,
    inspect.CO_COROUTINE: Flow.COROUTINE,
    inspect.CO_GENERATOR: Flow.GENERATOR,
    inspect.CO_ASYNC_GENERATOR: Flow.ASYNC_GENERATOR,
}


def read(name: str, raw: Any, owner: type, names: Mapping[str, Any] | None = None) -> Member:
    """Return what `raw`, found under `name` in the dictionary of `owner`, is.

    >>> read("keys", vars(dict)["keys"], dict).kind, read("__doc__", "text", dict).kind
    (<Kind.METHOD: 'a method'>, <Kind.ATTRIBUTE: 'an attribute'>)
    """
    kind, target = (METHOD, raw) if type(raw) is FunctionType else _kind_and_target(raw, owner)
    return Member(name, kind, raw, owner, target, names or {})


def _kind_and_target(raw: Any, owner: type) -> tuple[Kind, Any]:
    if isinstance(raw, _METHODS):
        return Kind.METHOD, raw
    if isinstance(raw, _WRAPPED):
        return Kind.STATIC_METHOD if isinstance(raw, staticmethod) else Kind.CLASS_METHOD, raw.__func__
    if isinstance(raw, functools.singledispatchmethod):
        return _kind_and_target(raw.func, owner)
    if isinstance(raw, functools.partialmethod):
        return _partial_method(raw, owner)
    if isinstance(raw, functools.cached_property):
        return Kind.PROPERTY, raw.func
    if isinstance(raw, property) and getattr(raw, "is_contract_attribute", False) is not True:
        return Kind.PROPERTY, raw.fget
    if isinstance(raw, _BUILT_IN):
        return Kind.METHOD, raw
    return _callable_object(raw)


def _partial_method(raw: functools.partialmethod[Any], owner: type) -> tuple[Kind, Any]:
    kind, _ = _kind_and_target(raw.func, owner)
    return kind, raw.__get__(None, owner)


def _callable_object(raw: Any) -> tuple[Kind, Any]:
    """An object that is called without `self` stands for a static method; one with `__get__` is not looked into."""
    if callable(raw) and not isinstance(raw, _NOT_CALLED) and not hasattr(type(raw), "__get__"):
        return Kind.STATIC_METHOD, raw
    return Kind.ATTRIBUTE, None


def is_opaque(raw: Any) -> bool:
    """Tell whether `raw` is a descriptor of its own making (a mapped column, a slot): what it gives is not known.

    >>> is_opaque(3), is_opaque(type("S", (), {"__slots__": ("x",)}).x)
    (False, True)
    """
    known = isinstance(raw, _KNOWN)
    return hasattr(type(raw), "__get__") and not known
