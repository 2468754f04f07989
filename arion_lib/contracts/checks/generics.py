"""What the type arguments of a generic class say about its bases: `dict[str, int]` is an `Iterable[str]`.

Idea        The standard library's containers do not record how their arguments reach their bases, so a table does;
            a user's `Generic` class records it in `__orig_bases__`.
Invariant   An answer is a tuple of hints for the base's own type variables, or `None`: nothing is known.
When wrong  A class that is not in the table and records nothing has unknown arguments, which fit everything.
See         arion_lib/contracts/subtypes.py · tests/contracts/test_subtypes.py
"""

from __future__ import annotations

import collections
import collections.abc as abc
import contextlib
import typing
from typing import Any

from arion_lib.contracts.checks.hints import Hint, bare, is_unpacked, origin_of, substitute

Arguments = tuple[Hint, ...]

_ONE = (0,)
_FIRST_OF_ONE = dict.fromkeys(
    (
        list, set, frozenset, collections.deque, abc.Sequence, abc.MutableSequence, abc.Set, abc.MutableSet,
        abc.Collection, abc.Iterable, abc.Iterator, abc.Reversible, abc.Container, abc.KeysView, abc.ValuesView,
    ),
    _ONE,
)  # fmt: skip

# class -> base -> which of the class's arguments (by number), or which fixed hint, each of the base's arguments is
_TABLE: dict[type, dict[type, tuple[Any, ...]]] = {
    **{cls: dict.fromkeys(_FIRST_OF_ONE, _ONE) for cls in _FIRST_OF_ONE},
    abc.Generator: {abc.Iterator: (0,), abc.Iterable: (0,)},
    abc.AsyncGenerator: {abc.AsyncIterator: (0,), abc.AsyncIterable: (0,)},
    abc.AsyncIterator: {abc.AsyncIterable: (0,)},
    abc.Coroutine: {abc.Awaitable: (2,)},
    collections.Counter: {dict: (0, int), abc.Mapping: (0, int), abc.MutableMapping: (0, int)},
    abc.ItemsView: {},
}
_MAPPINGS = (dict, collections.defaultdict, collections.OrderedDict, collections.ChainMap, abc.Mapping)
for _mapping in (*_MAPPINGS, abc.MutableMapping):
    _TABLE[_mapping] = dict.fromkeys((*_MAPPINGS, abc.MutableMapping), (0, 1))
for _keyed in (*_MAPPINGS, abc.MutableMapping, collections.Counter):
    _TABLE[_keyed] |= dict.fromkeys((abc.Collection, abc.Iterable, abc.Reversible, abc.Container), (0,))

_FIXED: dict[type, Hint] = {str: str, bytes: int, bytearray: int, memoryview: int, range: int}
"""Classes without type arguments whose elements are nevertheless known."""

_CONTRAVARIANT: dict[Any, frozenset[int]] = {abc.Generator: frozenset({1}), abc.Coroutine: frozenset({1})}
_CONTRAVARIANT[abc.AsyncGenerator] = frozenset({1})


def arguments_as(hint: Hint, base: type) -> Arguments | None:
    """Return the type arguments that `hint` gives to `base`, a class it derives from; `None` when nothing is known.

    >>> arguments_as(dict[str, int], abc.Iterable), arguments_as(str, abc.Sequence), arguments_as(list, abc.Sequence)
    ((<class 'str'>,), (<class 'str'>,), None)
    """
    hint = bare(hint)
    origin, arguments = origin_of(hint) or hint, typing.get_args(hint)
    if origin is base:
        return arguments or None
    if origin is tuple and arguments:
        return (elements_of_tuple(arguments),)
    if origin in _TABLE:
        return _by_table(origin, base, arguments)
    return _recorded(origin, arguments, base) or _fixed(origin) if isinstance(origin, type) else None


def elements_of_tuple(arguments: Arguments) -> Hint:
    """Return the one hint that all elements of a `tuple[...]` fit.

    >>> elements_of_tuple((int, ...)), elements_of_tuple((int, str)) == int | str
    (<class 'int'>, True)
    """
    kinds = [a for a in arguments if a is not Ellipsis and a != ()]
    if any(map(is_unpacked, kinds)):
        return Any
    if not kinds:
        return typing.Never
    hint = kinds[0]
    for other in kinds[1:]:
        hint = typing.Union[hint, other]  # noqa: UP007 - `|` does not take every form
    return hint


def _by_table(origin: type, base: type, arguments: Arguments) -> Arguments | None:
    template = _TABLE[origin].get(base)
    if template is None or not arguments:
        return None
    return tuple(arguments[part] if isinstance(part, int) else part for part in template)


def _recorded(origin: type, arguments: Arguments, base: type) -> Arguments | None:
    """Follow `__orig_bases__` of a user's generic class up to `base`, or to a class of the table below it."""
    own = dict(zip(getattr(origin, "__parameters__", ()), arguments or (), strict=False))
    for parent in _generic_bases(origin):
        found = arguments_as(substitute(parent, own or dict.fromkeys(getattr(parent, "__parameters__", ()), Any)), base)
        if found is not None and issubclass(origin_of(parent) or parent, base):
            return found
    return None


def _generic_bases(cls: type) -> tuple[Any, ...]:
    bases = vars(cls).get("__orig_bases__", cls.__bases__)
    return tuple(b for b in bases if origin_of(b) is not typing.Generic and b is not object)


def _fixed(cls: type) -> Arguments | None:
    for parent in cls.__mro__:
        if parent in _FIXED:
            return (_FIXED[parent],)
    return None


def is_contravariant(base: Any, index: int) -> bool:
    """Tell whether argument `index` of `base` is something the caller hands in (what a generator is sent).

    >>> is_contravariant(abc.Generator, 1), is_contravariant(list, 0)
    (True, False)
    """
    if base in _CONTRAVARIANT:
        return index in _CONTRAVARIANT[base]
    parameters = getattr(base, "__parameters__", ())
    return index < len(parameters) and bool(getattr(parameters[index], "__contravariant__", False))


def known_context(hint: Hint, asynchronous: bool) -> Hint:
    """Return the context manager that `contextmanager` makes of a generator function which returns `hint`."""
    arguments = arguments_as(hint, abc.AsyncIterable if asynchronous else abc.Iterable)
    kind: Any = contextlib.AbstractAsyncContextManager if asynchronous else contextlib.AbstractContextManager
    return kind[arguments[0] if arguments else Any]
