"""A contract's attribute: a value on the class, perhaps another on the instance, and a check at each assignment.

Idea        A data descriptor for each attribute of the contract, and for nothing else: other assignments cost what
            they always cost. The check is code generated for the attribute's type at the first assignment.
Invariant   The value lives where it would without a contract: in the instance's `__dict__` or in its slot.
When wrong  A wrong value raises `ContractCallError` and changes nothing; deleting is refused with
            `LockedMember` where the class has no value to fall back to.
See         arion_lib/contracts/checks/predicates.py · tests/contracts/test_attributes.py

Reading costs one Python call, about 10 times a plain reading on Python 3.11 and 5 times on 3.13 (`bench contracts`). No
descriptor written in Python is much cheaper: an empty `__get__` costs 5 and a plain property 7. None in C serves: a
property whose getter is an `attrgetter` gives itself where the class is asked, and needs another name for the value; a
descriptor without `__get__` reads at 3, and gives itself where no value was set yet. The other way, a
`__setattr__` in the contract and plain values on its classes, reads at no cost at all, and was declined: every other
assignment then costs 16 times a plain one, each instance with one attribute twice as much, and a frozen dataclass has a
`__setattr__` already.
"""

from __future__ import annotations

import builtins
from types import FunctionType, MemberDescriptorType
from typing import Any, Final

from arion_lib.contracts.checks.guards import UNSEEN, lazy_function
from arion_lib.contracts.checks.hints import Hint, text
from arion_lib.contracts.checks.levels import SWITCH, Level, current
from arion_lib.contracts.checks.predicates import Source, expression, fits, same_at_all_levels
from arion_lib.contracts.messages.places import Place, named_line
from arion_lib.contracts.messages.warned import warn
from arion_lib.contracts.violations import ContractCallError, LockedMember


class _Missing:
    def __repr__(self) -> str:
        return "missing"


MISSING: Final = _Missing()


class ContractAttribute(property):
    """Guard attribute `name` of `owner`; `default` is the value on the class.

    A property (and not a class with `__set__`), because C code then calls the generated setter directly.
    """

    __slots__ = ("_fallback", "default", "hint", "level", "name", "owner", "promised_at")

    is_contract_attribute = True

    def __init__(
        self,
        name: str,
        hint: Hint,
        owner: str,
        *,
        promised_at: Place | None,
        default: Any = MISSING,
        level: Level = Level.FAST,
    ) -> None:
        self.name, self.hint, self.owner, self.promised_at, self.level = name, hint, owner, promised_at, level
        self.default = default
        # What reading finds where an instance has no value: the default as it is, or this object, to look closer.
        self._fallback = self if default is MISSING or hasattr(type(default), "__get__") else default
        super().__init__(None, lazy_function(name, self._compile), self._delete)

    def __get__(self, instance: Any, owner: type | None = None, /) -> Any:
        """Return the instance's value, else the class's: in so few steps because each reading pays for them."""
        if instance is None:
            return self._of_class(owner)
        value = instance.__dict__.get(self.name, self._fallback)
        return value if type(value) is not ContractAttribute else self._of_instance(instance, owner)

    def _of_class(self, owner: type | None) -> Any:
        if self.default is MISSING:
            name = owner.__name__ if owner is not None else self.owner
            raise AttributeError(f"class {name} must set the contract's attribute {self.name!r}, and does not")
        return self.default

    def _of_instance(self, instance: Any, owner: type | None) -> Any:
        """Return the class's value, bound where it is a function. attrs stores the descriptor itself as a default."""
        stored = getattr(instance, "__dict__", {}).get(self.name, MISSING)
        if stored is not MISSING:
            return stored.default
        if self.default is MISSING:
            raise AttributeError(f"{self.name!r} must be set before it is read from this {type(instance).__name__}")
        bind = getattr(type(self.default), "__get__", None)
        return bind(self.default, instance, owner) if bind is not None else self.default

    def check(self, value: object) -> None:
        """Raise `ContractCallError` unless `value` fits, looking at every element."""
        if not fits(self.hint)(value):
            if self.level is not Level.WARN:
                raise self.fault(value)
            warn(str(self.fault(value)))

    def fault(self, value: object, instance: object = None) -> ContractCallError:
        place = named_line(self.promised_at, self.name)
        owner = self.owner if instance is None else type(instance).__name__
        return ContractCallError(owner, f"attribute {self.name!r}", value, text(self.hint), place)

    def _delete(self, instance: Any) -> None:
        """Take an instance's own value away where the class has one to fall back to."""
        if self.default is not MISSING:
            if self.name not in instance.__dict__:
                raise AttributeError(f"{self.name!r} must be set on this {type(instance).__name__} to be deleted")
            del instance.__dict__[self.name]
            return
        raise LockedMember(f"{type(instance).__name__}.{self.name} must stay, the contract promises it; assign to it")

    def _compile(self) -> FunctionType:
        source = Source(self.level)
        test = expression(self.hint, "value", source)
        differs = self.level is not Level.FAST or not same_at_all_levels(self.hint)
        by_level = f"if {source.constant(SWITCH)}[0]: return {source.constant(self._by_level)}(instance, value)"
        lines = [
            *([by_level] if differs else []),
            *([f"if not {test}: return {source.constant(self._unfit)}(instance, value)"] if test else []),
            self._store(source),
        ]
        names = {**source.names, "__builtins__": builtins}
        code = "def assign(instance, value):\n    " + "\n    ".join(lines)
        exec(compile(code, f"<contract of {self.owner}.{self.name}, {UNSEEN}>", "exec"), names)  # noqa: S102 - ours
        made = names["assign"]
        assert isinstance(made, FunctionType)  # noqa: S101 - for the type checker
        return made

    def _store(self, source: Source) -> str:  # noqa: ARG002 - a slot's setter is a constant there
        return f"instance.__dict__[{self.name!r}] = value"

    def _by_level(self, instance: Any, value: Any) -> None:
        level = current(self.level)
        if level is not Level.OFF and not fits(self.hint, level)(value):
            self._unfit(instance, value)
        else:
            self._put(instance, value)

    def _unfit(self, instance: Any, value: Any) -> None:
        """attrs takes the descriptor itself for the default it found in the class: then the default is meant."""
        if type(value) is ContractAttribute:
            value = value.default
        elif self.level is Level.WARN:
            warn(str(self.fault(value, instance)))
        elif current(self.level) is not Level.OFF:
            raise self.fault(value, instance)
        self._put(instance, value)

    def _put(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.name] = value


class SlottedAttribute(ContractAttribute):
    """The same where instances have no dictionary: `slot` holds their values, or they have none of their own."""

    __slots__ = ("slot",)

    def __init__(self, *args: Any, slot: MemberDescriptorType | None, **words: Any) -> None:
        self.slot = slot
        super().__init__(*args, **words)

    def __get__(self, instance: Any, owner: type | None = None, /) -> Any:
        if instance is None:
            return self._of_class(owner)
        if self.slot is not None:
            return self.slot.__get__(instance, owner)
        value = getattr(instance, "__dict__", {}).get(self.name, self)
        return value if not isinstance(value, ContractAttribute) else self._of_instance(instance, owner)

    def _store(self, source: Source) -> str:
        if self.slot is None:
            return super()._store(source)
        return f"{source.constant(self.slot.__set__)}(instance, value)"

    def _put(self, instance: Any, value: Any) -> None:
        if self.slot is None:
            super()._put(instance, value)
        else:
            self.slot.__set__(instance, value)
