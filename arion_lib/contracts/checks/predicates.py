"""An annotation as a Python expression that is true for the values that fit it.

Idea        Write the check that a person would write: `type(v) is int or isinstance(v, int)`, not a walk over a tree
            at each call. Python compiles it once.
Invariant   At level `fast` an expression takes constant time: it looks at one element of a container, the first.
            A lazily produced iterator is never consumed.
When wrong  A form not known here goes to beartype (imported then); what that does not know either fits everything.
See         tests/contracts/test_predicates.py
"""

from __future__ import annotations

import collections.abc as abc
import typing
from collections.abc import Callable
from typing import Any

from arion_lib.contracts.checks.hints import (
    UNIONS,
    Hint,
    Later,
    alike,
    bare,
    flattened,
    is_unknown,
    is_unpacked,
    origin_of,
)
from arion_lib.contracts.checks.levels import Level
from arion_lib.contracts.checks.structural import file_kinds, is_file, keys_of, protocol_members, required_keys

PREFIX = "__g_"
"""What all names of generated code begin with, so that no parameter of a user's function shadows one."""


class Source:
    """The constants and variables of one piece of generated code."""

    def __init__(self, level: Level, owner: type | None = None) -> None:
        self.level, self.owner = level, owner
        self.names: dict[str, Any] = {
            f"{PREFIX}type": type, f"{PREFIX}isinstance": isinstance, f"{PREFIX}len": len, f"{PREFIX}all": all,
            f"{PREFIX}next": next, f"{PREFIX}iter": iter,
        }  # fmt: skip
        self._constants: dict[int, str] = {}
        self._variables = 0
        self.open: list[Any] = []  # annotations that are being written
        self.known: list[_Recursive] = []  # those that refer to themselves

    def recursive(self, hint: Hint) -> _Recursive:
        """Return what asks whether a value fits `hint`, one for each annotation."""
        for found in self.known:
            if alike(found.hint, hint):
                return found
        self.known.append(_Recursive(hint, self.owner, self.known))
        return self.known[-1]

    def constant(self, value: object) -> str:
        """Return the name under which generated code finds `value`."""
        if id(value) not in self._constants:
            name = f"{PREFIX}c{len(self._constants)}"
            self._constants[id(value)], self.names[name] = name, value
        return self._constants[id(value)]

    def variable(self) -> str:
        """Return a name that generated code may assign to."""
        self._variables += 1
        return f"{PREFIX}v{self._variables}"


def expression(hint: Hint, value: str, source: Source) -> str | None:
    """Return a Python expression that is true when the variable `value` fits `hint`; `None` if everything does.

    >>> expression(None, "x", Source(Level.FAST)), expression(Any, "x", Source(Level.FAST))
    ('x is None', None)
    """
    if source.level is Level.OFF:
        return None
    if any(
        alike(hint, one) for one in source.open
    ):  # refers to itself: at level `all` its elements are looked at by a function that does, too
        return f"{source.constant(source.recursive(hint))}.fits({value})" if source.level is Level.ALL else None
    source.open.append(hint)
    try:
        return _exotic(hint, value, source) if _is_foreign(hint) else _expression(bare(hint), value, source)
    finally:
        source.open.pop()


def fits(hint: Hint, level: Level = Level.ALL, owner: type | None = None) -> Callable[[object], bool]:
    """Return a function that tells whether a value fits `hint`. Compiles it: about 50 microseconds.

    >>> fits(list[int])([1, "2"]), fits(list[int], Level.FAST)([1, "2"])
    (False, True)
    """
    return _compiled(hint, Source(level, owner))


def _compiled(hint: Hint, source: Source) -> Callable[[object], bool]:
    test = expression(hint, "value", source) or "True"
    found: Callable[[object], bool] = eval(f"lambda value: {test}", source.names)
    return found


class _Recursive:
    """What values of a recursive annotation are asked: compiled when the first of them is met."""

    def __init__(self, hint: Hint, owner: type | None, known: list[_Recursive]) -> None:
        self.hint, self._owner, self._known = hint, owner, known
        self._fits: Callable[[object], bool] | None = None

    def fits(self, value: object) -> bool:
        if self._fits is None:
            source = Source(Level.ALL, self._owner)
            source.known = self._known
            self._fits = _compiled(self.hint, source)
        return self._fits(value)


def same_at_all_levels(hint: Hint, owner: type | None = None) -> bool:
    """Tell whether levels `fast` and `all` check the same: there is no element to look at.

    >>> same_at_all_levels(int | None), same_at_all_levels(list[int])
    (True, False)
    """
    fast, thorough = (expression(hint, "value", Source(level, owner)) for level in (Level.FAST, Level.ALL))
    return fast == thorough


def _is_foreign(hint: Hint) -> bool:
    """Tell whether the hint's metadata holds validators of beartype's, which only beartype can run."""
    return any(type(m).__module__.startswith("beartype.") for m in getattr(hint, "__metadata__", ()))


def _expression(hint: Hint, value: str, source: Source) -> str | None:
    if isinstance(hint, Later):
        found = hint.resolved()
        return None if is_unknown(found) else expression(found, value, source)
    if is_unknown(hint) or hint is object or is_unpacked(hint):
        return None
    if hint in (typing.Never, typing.NoReturn):
        return "False"
    if hint is type(None):
        return f"{value} is None"
    if hint is typing.Self:
        return _class(source.owner, value, source) if source.owner else None
    if isinstance(hint, typing.NewType):
        return expression(hint.__supertype__, value, source)
    if isinstance(hint, typing.TypeVar):
        return _type_variable(hint, value, source)
    if isinstance(hint, type) and origin_of(hint) is None:
        return _class(hint, value, source)
    return _construct(hint, value, source)


def _construct(hint: Hint, value: str, source: Source) -> str | None:
    origin = origin_of(hint)
    if origin in UNIONS:
        return _union(typing.get_args(hint), value, source)
    if origin is typing.Literal:
        return f"{source.constant(_Literal(typing.get_args(hint)))}.fits({value})"
    if origin is abc.Callable:
        return f"{source.constant(callable)}({value})"
    if isinstance(origin, type):
        return _generic(origin, typing.get_args(hint), value, source)
    return _exotic(hint, value, source)


def _type_variable(hint: typing.TypeVar, value: str, source: Source) -> str | None:
    try:
        choices = hint.__constraints__ or ((hint.__bound__,) if hint.__bound__ is not None else ())
    except Exception:  # noqa: BLE001 - Python 3.12 evaluates a bound here, and it may name what type checkers know only
        return None
    return _union(choices, value, source) if choices else None


def _union(members: tuple[Hint, ...], value: str, source: Source) -> str | None:
    parts = [expression(member, value, source) for member in members]
    return None if None in parts else f"({' or '.join(map(str, parts))})"


_NUMBERS: dict[type, tuple[type, ...]] = {float: (float, int), complex: (complex, float, int)}


_CALLABLES: tuple[Any, ...] = (abc.Callable, typing.Callable)


def _class(cls: type, value: str, source: Source) -> str | None:
    if typing.is_typeddict(cls):
        return _typed_dict(cls, value, source)
    if getattr(cls, "_is_protocol", False) and not getattr(cls, "_is_runtime_protocol", False):
        return f"{source.constant(_Structure(protocol_members(cls)))}.fits({value})"
    if is_file(cls):
        return f"{source.constant(_File(cls))}.fits({value})"
    if cls in _CALLABLES:
        return f"{source.constant(callable)}({value})"
    return _is_instance(cls, value, source)


def _is_instance(cls: type, value: str, source: Source) -> str:
    """Ask for the exact type first: that alone decides most calls, and Python runs it as one instruction."""
    name = source.constant(cls)
    wide = source.constant(_NUMBERS[cls]) if cls in _NUMBERS else name
    exact = source.constant(_COMMON[cls]) if cls in _COMMON else name
    return f"({PREFIX}type({value}) is {exact} or {PREFIX}isinstance({value}, {wide}))"


_COMMON: dict[Any, type] = {
    **dict.fromkeys((abc.Sequence, abc.MutableSequence, abc.Collection, abc.Iterable, abc.Sized), list),
    **dict.fromkeys((abc.Mapping, abc.MutableMapping), dict),
    **dict.fromkeys((abc.Set, abc.MutableSet), set),
}
"""The concrete type that most values of an abstract one have (asking an abstract class costs ten times as much)."""


class _File:
    """An open file: `typing.IO` and its kin are no base classes of real files."""

    def __init__(self, hint: Hint) -> None:
        self._kinds = file_kinds(hint)

    def fits(self, value: object) -> bool:
        found = file_kinds(type(value))
        if not found and (hasattr(value, "read") or hasattr(value, "write")):
            return True  # a wrapper around a file, such as those of `tempfile`
        return bool(found & self._kinds)


class _Literal:
    """The values of a `Literal`, compared with their types: `1` is not `True`."""

    def __init__(self, values: tuple[object, ...]) -> None:
        self.values = values

    def fits(self, value: object) -> bool:
        return any(value is v or (type(value) is type(v) and value == v) for v in self.values)


class _Structure:
    """The members of a Protocol that is not `runtime_checkable`."""

    def __init__(self, members: set[str]) -> None:
        self.members = sorted(members)

    def fits(self, value: object) -> bool:
        return all(hasattr(value, name) for name in self.members)


def _typed_dict(cls: type, value: str, source: Source) -> str:
    keys = sorted(required_keys(cls))
    parts = [f"{PREFIX}isinstance({value}, {source.constant(dict)})", *(f"{key!r} in {value}" for key in keys)]
    for key, hint in keys_of(cls).items():
        item = source.variable()
        if test := expression(hint, item, source):
            present = f"({item} := {value}[{key!r}], {test})[1]"
            parts.append(present if key in keys else f"({key!r} not in {value} or {present})")
    return f"({' and '.join(parts)})"


_INDEXED = (list, abc.Sequence, abc.MutableSequence)
_WALKED = (set, frozenset, abc.Set, abc.MutableSet, abc.Collection, abc.KeysView, abc.ValuesView)


def _generic(origin: type, arguments: tuple[Hint, ...], value: str, source: Source) -> str | None:
    if origin is type:
        return _type_of(arguments, value, source)
    if is_file(origin):
        return f"{source.constant(_File(origin[arguments]))}.fits({value})"  # type: ignore[index]
    outer = _class(origin, value, source)
    inner = _elements(origin, arguments, value, source)
    return f"({outer} and {inner})" if outer and inner else outer


def _elements(origin: type, arguments: tuple[Hint, ...], value: str, source: Source) -> str | None:
    if origin is tuple:
        return _tuple(arguments, value, source)
    if issubclass(origin, abc.Mapping) and len(arguments) == 2:
        return _mapping(arguments, value, source, _is_empty(origin, value))
    if len(arguments) == 1 and (origin in (*_INDEXED, *_WALKED) or _is_deque(origin)):
        return _each(arguments[0], value, source, indexed=origin in _INDEXED, empty=_is_empty(origin, value))
    return None


def _is_deque(origin: type) -> bool:
    return origin.__name__ == "deque"


_SAY_WHETHER_EMPTY = (list, dict, set, frozenset, tuple)


def _is_empty(origin: type, value: str) -> str:
    """Ask a container of an abstract type for its length: an array's truth is something else."""
    return f"not {value}" if origin in _SAY_WHETHER_EMPTY else f"{PREFIX}len({value}) == 0"


def _each(hint: Hint, value: str, source: Source, *, indexed: bool, empty: str) -> str | None:
    item = source.variable()
    test = expression(hint, item, source)
    if test is None:
        return None
    if source.level is Level.ALL:
        return f"{PREFIX}all({test} for {item} in {value})"
    first = f"{value}[0]" if indexed else f"{PREFIX}next({PREFIX}iter({value}))"
    return _bound_where_first_read(test, item, first, empty)


def _bound_where_first_read(test: str, item: str, first: str, empty: str) -> str:
    """Bind the first element where the test, which always reads it first of all, does so: no tuple is built."""
    return f"({empty} or {test.replace(item, f'({item} := {first})', 1)})"


def _mapping(arguments: tuple[Hint, ...], value: str, source: Source, empty: str) -> str | None:
    key, item = source.variable(), source.variable()
    tests = [expression(arguments[0], key, source), expression(arguments[1], item, source)]
    test = " and ".join(t for t in tests if t)
    if not test:
        return None
    if source.level is Level.ALL:
        return f"{PREFIX}all({test} for {key}, {item} in {value}.items())"
    first = f"{key} := {PREFIX}next({PREFIX}iter({value}))"
    return f"({empty} or ({first}, {item} := {value}[{key}], {test})[2])"


def _tuple(arguments: tuple[Hint, ...], value: str, source: Source) -> str | None:
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return _each(arguments[0], value, source, indexed=True, empty=f"not {value}")
    hints = flattened(arguments)
    end = next((index for index, hint in enumerate(hints) if is_unpacked(hint)), None)  # from here on any number
    parts = [f"{PREFIX}len({value}) {f'== {len(hints)}' if end is None else f'>= {len(hints) - 1}'}"]
    for index, hint in enumerate(hints):
        index -= len(hints) if end is not None and index > end else 0
        item = source.variable()
        if test := expression(hint, item, source):
            parts.append(f"({item} := {value}[{index}], {test})[1]")
    return " and ".join(parts)


def _type_of(arguments: tuple[Hint, ...], value: str, source: Source) -> str:
    wanted = bare(arguments[0]) if arguments else object
    is_class = f"{PREFIX}isinstance({value}, {source.constant(type)})"
    members = tuple(map(bare, typing.get_args(wanted))) if origin_of(wanted) in UNIONS else (wanted,)
    if not all(map(_may_be_asked, members)):
        return is_class
    return f"({is_class} and {source.constant(issubclass)}({value}, {source.constant(members)}))"


def _may_be_asked(cls: Hint) -> bool:
    """Tell whether `issubclass(..., cls)` says something: not of `Any`, nor of a protocol, which may have data."""
    known = isinstance(cls, type) and origin_of(cls) is None and not is_unknown(cls) and cls is not object
    return known and not getattr(cls, "_is_protocol", False)


def _exotic(hint: Hint, value: str, source: Source) -> str | None:
    """Hand what is not known here to beartype; a hint that it refuses says nothing."""
    from beartype.door import is_bearable  # 60 ms to import: only for those who need it

    try:
        is_bearable(None, hint)
    except Exception:  # noqa: BLE001 - beartype raises many types for a hint it does not take
        return None
    return f"{source.constant(is_bearable)}({value}, {source.constant(hint)})"
