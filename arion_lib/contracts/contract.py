"""Contracts: base classes whose subclasses are checked when they are defined, registered, and guarded at run time.

Idea        A metaclass sees a class as soon as it exists and before its name is bound. It compares the class with
            everything its contracts promise, and only then puts guards in and registers it.
Invariant   A class whose name was bound keeps its contracts. (A mixin's `__init_subclass__` and a descriptor's
            `__set_name__` run a moment earlier: they may supply what is missing, so nothing is judged before them.)
            Neither `__call__` nor `__setattr__` stands in the way of instances.
When wrong  `ContractError` lists all violations, and nothing is registered. What is set on one instance in a method's
            place is not seen: a descriptor that refuses it costs each call more than the checks (`bench contracts`).
See         notebooks/3_contracts_and_plugins.ipynb · tests/contracts/test_inheritance.py

    class Processor(Contract, kind="processors"):      # a direct subclass of Contract is a contract
        version: str                                   # each class must set it
        @abstractmethod
        def process(self, rows: list[Row]) -> list[Row]: ...
    class CsvProcessor(Processor, name="csv"): ...     # checked, registered, guarded
"""

from __future__ import annotations

from abc import ABCMeta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from arion_lib.contracts.checks.adoption import adopt
from arion_lib.contracts.checks.installation import guard_all, reason_for, refuse_instances, restored, spec_for
from arion_lib.contracts.checks.levels import Level
from arion_lib.contracts.checks.patches import assign, delete, unlocked
from arion_lib.contracts.judge import judge
from arion_lib.contracts.messages.explanation import Explanation, check, explain
from arion_lib.contracts.messages.places import caller
from arion_lib.contracts.messages.warned import warn
from arion_lib.contracts.options import SPEC, WORDS, Spec, inherited, options_of, register_under, spec_of
from arion_lib.contracts.promises import is_recipe, promises_of
from arion_lib.contracts.registry import registry
from arion_lib.contracts.resolution import cases, contracts_of, promised_to, promises_called, resolved
from arion_lib.contracts.violations import ContractError

__all__ = ["Contract", "ContractMeta", "Explanation", "check", "contracts_of", "explain", "registry", "unlocked"]

if TYPE_CHECKING:
    _ProtocolMeta = ABCMeta
else:
    _ProtocolMeta = type(Protocol)  # so that a class may be derived from a contract and a protocol


class ContractMeta(_ProtocolMeta):
    """The type of contracts and of the classes that keep them."""

    # Contracts are nominal: an abstract base class asks caches and hooks here, and a protocol walks all members.
    __instancecheck__ = type.__instancecheck__
    __subclasscheck__ = type.__subclasscheck__

    def __new__(
        mcls, cls_name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **words: Any
    ) -> ContractMeta:
        options = options_of({word: words.pop(word) for word in WORDS if word in words} if words else words)
        earlier = restored(namespace)
        cls = super().__new__(mcls, cls_name, bases, namespace, **words)
        type.__setattr__(cls, SPEC, spec_for(cls, options, earlier, caller()))
        return cls

    def __init__(cls, cls_name: str, bases: tuple[type, ...], namespace: dict[str, Any], /, **words: Any) -> None:
        if words:
            words = {word: value for word, value in words.items() if word not in WORDS}
        super().__init__(cls_name, bases, namespace, **words)
        spec = spec_of(cls)
        if spec is not None and "__contract_root__" not in namespace:
            _define(cls, spec)

    def __setattr__(cls, name: str, value: Any) -> None:
        spec = spec_of(cls)
        if spec is not None and spec.locked:
            if name == "__abstractmethods__" and not spec.instantiable:
                value = value or reason_for(cls)
            elif promises := promises_called(cls, name):
                assign(cls, spec, promises, value)
                return
        super().__setattr__(name, value)

    def __delattr__(cls, name: str) -> None:
        spec = spec_of(cls)
        if spec is not None and spec.locked and not is_recipe(vars(cls).get(name)):
            promises = promises_called(cls, name) if name in vars(cls) else ()
            if promises:
                delete(cls, spec, promises)
                return
        super().__delattr__(name)

    def register(cls, subclass: type) -> NoReturn:
        """Refuse what abstract base classes allow: a virtual subclass would not have been checked."""
        name = getattr(subclass, "__name__", repr(subclass))
        word = f"a virtual subclass {name}, which nothing would check; {cls.__name__}.adopt({name}) does"
        raise TypeError(f"{cls.__name__} must be inherited from, got {word}")

    def adopt(cls, other: type, **words: Any) -> type:
        """Judge a class that derives from no contract by this one, register it, and return it unchanged.

        `words` are `name`, `version`, `tags` and `replace`, as in a class statement. Raises `ContractError`.
        """
        return adopt(cls, other, **words)


class Contract(metaclass=ContractMeta):
    """The root of all contracts. A direct subclass is a contract; what derives from that keeps it.

    Words of a contract's class statement: `kind` (what its plugins are found under), `registry`, `checks` ("off",
    "fast", "all", "define", "warn") and `metrics` for all classes that keep it. Words of the others: `name`, `version`,
    `tags`, `replace`, `abstract` (unfinished on purpose), `checks`, `metrics`, and `register=False` for a class that
    need not be found, such as a test's.
    """

    __slots__ = ()
    __contract_root__ = True


def _define(cls: ContractMeta, spec: Spec) -> None:
    """Check, guard and register a class that was just made."""
    if spec.is_contract:
        known = tuple(base for base in cls.__mro__[1:] if spec_of(base) is not None)
        spec.promises = promises_of(cls, known, spec.names, spec.place)
    if not spec.options.abstract:
        promised = promised_to(cls)
        found = {name: resolved(cls, name) for name, _ in promised}
        violations = [violation for case in cases(cls, spec, promised, found) for violation in judge(case)]
        if violations:
            error = ContractError(cls.__name__, violations)
            if inherited(cls, "checks") is not Level.WARN:
                raise error
            warn(str(error).replace("it was not registered", "it will be refused without checks='warn'", 1))
        guard_all(cls, spec, promised, found)
    if spec.instantiable:
        if inherited(cls, "register") is not False:
            register_under(contracts_of(cls), cls, spec)
    else:
        refuse_instances(cls)
    spec.locked = True
