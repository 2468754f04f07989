"""Does every value that fits one annotation fit the other?

Idea        Compare annotations as sets of values: a union is its members, a literal its values, a callable takes more
            and returns less, a container is compared element by element.
Invariant   No false alarm: `False` only where a value of the first can be told not to fit the second. Containers are
            covariant, for a contract speaks of the values that pass at a call, not of what is put into them later.
When wrong  What is unknown (`Any`, a missing annotation, an unresolved name, a form not handled) fits everything.
See         arion_lib/contracts/checks/generics.py · tests/contracts/test_subtypes.py
"""

from __future__ import annotations

import collections.abc as abc
import enum
import io
import typing
from typing import Any

from arion_lib.contracts.checks.generics import arguments_as, elements_of_tuple, is_contravariant
from arion_lib.contracts.checks.hints import (
    UNIONS,
    Hint,
    bare,
    flattened,
    is_unknown,
    is_unpacked,
    module_names,
    origin_of,
    own_annotations,
    resolve,
)
from arion_lib.contracts.checks.structural import file_kinds, has, is_file, keys_of, protocol_members, required_keys

DEPTH = 30
"""How deep nested and recursive annotations are followed; below that they count as unknown."""


def is_subtype(narrow: Hint, wide: Hint, depth: int = 0) -> bool:
    """Tell whether whatever fits `narrow` fits `wide`.

    >>> is_subtype(bool, int), is_subtype(int, float), is_subtype(int, bool), is_subtype(list[int], abc.Sequence[float])
    (True, True, False, True)
    >>> is_subtype(abc.Callable[[object], int], abc.Callable[[str], float]), is_subtype(int, str | None)
    (True, False)
    """
    if type(narrow) is type and type(wide) is type and wide in narrow.__mro__:
        return True
    narrow, wide = bare(narrow), bare(wide)
    if depth > DEPTH or narrow is wide or is_unknown(narrow) or is_unknown(wide) or wide is object:
        return True
    if _says_nothing(narrow) or _says_nothing(wide):
        return True
    if narrow in (typing.Never, typing.NoReturn):
        return True
    if _is_new_type(narrow) or _is_new_type(wide):
        return _new_type(narrow, wide, depth)
    return _by_members(narrow, wide, depth + 1)


_VARIABLES = (typing.TypeVar, typing.ParamSpec, typing.TypeVarTuple)


def _says_nothing(hint: Hint) -> bool:
    """Tell whether `hint` is a form whose values are not judged: a type variable, a parameter specification, ..."""
    return isinstance(hint, _VARIABLES) or hint is typing.Self or is_unpacked(hint)


def _is_new_type(hint: Hint) -> bool:
    return isinstance(hint, typing.NewType)


def _new_type(narrow: Hint, wide: Hint, depth: int) -> bool:
    if origin_of(wide) in UNIONS:
        return any(is_subtype(narrow, member, depth + 1) for member in typing.get_args(wide))
    while _is_new_type(narrow):
        if narrow is wide:
            return True
        narrow = narrow.__supertype__
    return not _is_new_type(wide) and is_subtype(narrow, wide, depth + 1)


def _by_members(narrow: Hint, wide: Hint, depth: int) -> bool:
    """Split unions and literals on both sides, then compare single types."""
    if origin_of(narrow) in UNIONS:
        return all(is_subtype(member, wide, depth) for member in typing.get_args(narrow))
    if origin_of(narrow) is typing.Literal:
        return all(_value_fits(value, wide, depth) for value in typing.get_args(narrow))
    values = _all_values(narrow)
    if values and _mentions_literals(wide):
        return all(_value_fits(value, wide, depth) for value in values)
    if origin_of(wide) in UNIONS:
        return any(is_subtype(narrow, member, depth) for member in typing.get_args(wide))
    if origin_of(wide) is typing.Literal or wide in (typing.Never, typing.NoReturn):
        return False
    return _single(narrow, wide, depth)


def _all_values(hint: Hint) -> list[object]:
    if hint is bool:
        return [True, False]
    if not isinstance(hint, enum.EnumMeta) or issubclass(hint, enum.Flag):
        return []
    members: dict[str, object] = getattr(hint, "__members__", {})
    return list(members.values())


def _mentions_literals(hint: Hint) -> bool:
    members = typing.get_args(hint) if origin_of(hint) in UNIONS else (hint,)
    return any(origin_of(bare(member)) is typing.Literal for member in members)


def _value_fits(value: object, wide: Hint, depth: int) -> bool:
    for member in typing.get_args(wide) if origin_of(wide) in UNIONS else (wide,):
        member = bare(member)
        if origin_of(member) is typing.Literal:
            if any(type(v) is type(value) and v == value for v in typing.get_args(member)):
                return True
        elif is_subtype(type(value), member, depth):
            return True
    return False


def _single(narrow: Hint, wide: Hint, depth: int) -> bool:
    narrow_class, wide_class = origin_of(narrow) or narrow, origin_of(wide) or wide
    if wide_class is abc.Callable:
        return _callable(narrow, wide, depth)
    if narrow_class is type and wide_class is type:
        return _arguments_fit(typing.get_args(narrow) or None, typing.get_args(wide), type, depth)
    if is_file(wide_class):
        return not isinstance(narrow_class, type) or bool(file_kinds(narrow) & file_kinds(wide))
    if is_file(narrow_class):
        narrow = narrow_class = _LIKE_A_FILE.get(narrow_class, io.TextIOWrapper)
    if wide_class is tuple:
        return _tuple(narrow, wide, depth)
    if not isinstance(narrow_class, type) or not isinstance(wide_class, type):
        return True
    if typing.is_typeddict(narrow_class) or typing.is_typeddict(wide_class):
        return _typed_dict(narrow_class, wide_class)
    if not derives(narrow_class, wide_class):
        return False
    wanted = typing.get_args(wide)
    return not wanted or _arguments_fit(arguments_as(narrow, wide_class), wanted, wide_class, depth)


def _arguments_fit(given: tuple[Hint, ...] | None, wanted: tuple[Hint, ...], base: type, depth: int) -> bool:
    if given is None:
        return True
    for index, (have, want) in enumerate(zip(given, wanted, strict=False)):
        pair = (want, have) if is_contravariant(base, index) else (have, want)
        if not is_subtype(*pair, depth):
            return False
    return True


_LIKE_A_FILE: dict[Any, type] = {typing.BinaryIO: io.BufferedReader}
"""A real class with what a file type promises, to be compared with other classes."""
_PROMOTED: dict[type, tuple[type, ...]] = {float: (int,), complex: (int, float)}
"""What PEP 484 lets stand for a number type, beyond its subclasses."""


def derives(narrow: type, wide: type) -> bool:
    """Tell whether instances of `narrow` are instances of `wide`: by inheritance, promotion, hook or structure.

    >>> derives(bool, float), derives(str, abc.Sequence), derives(list, abc.Hashable)
    (True, True, False)
    """
    if wide in narrow.__mro__ or any(issubclass(narrow, number) for number in _PROMOTED.get(wide, ())):
        return True
    if getattr(wide, "_is_protocol", False):
        return _has_members(narrow, wide)
    try:
        return issubclass(narrow, wide)
    except Exception:  # noqa: BLE001 - a class hook is foreign code; what it cannot judge is unknown
        return True


def _has_members(cls: type, protocol: type) -> bool:
    annotated = {name for base in cls.__mro__ for name in own_annotations(base)}
    return all(name in annotated or has(cls, name) for name in protocol_members(protocol))


def _tuple(narrow: Hint, wide: Hint, depth: int) -> bool:
    wanted = typing.get_args(wide)
    narrow_class = origin_of(narrow) or narrow
    if not isinstance(narrow_class, type) or not issubclass(narrow_class, tuple):
        return False
    given = typing.get_args(narrow) if narrow_class is tuple else _named_tuple(narrow_class)
    if not given and narrow is not tuple[()]:
        return True
    if not wanted and wide is not tuple[()]:
        return True
    given, wanted = tuple(flattened(given)), tuple(flattened(wanted))
    if any(map(is_unpacked, (*given, *wanted))):
        return True  # of an unknown length: not judged
    if len(wanted) == 2 and wanted[1] is Ellipsis:
        return is_subtype(elements_of_tuple(given), wanted[0], depth)
    if len(given) == 2 and given[1] is Ellipsis:
        return False
    return len(given) == len(wanted) and all(is_subtype(a, b, depth) for a, b in zip(given, wanted, strict=True))


def _named_tuple(cls: type) -> tuple[Hint, ...]:
    fields: tuple[str, ...] = getattr(cls, "_fields", ())
    hints, names = own_annotations(cls) if fields else {}, module_names(cls)
    return tuple(resolve(hints.get(field, Any), names) for field in fields)


def _typed_dict(narrow: type, wide: type) -> bool:
    if not typing.is_typeddict(narrow):
        return False
    if not typing.is_typeddict(wide):
        return issubclass(dict, wide)
    fields, wanted = keys_of(narrow), keys_of(wide)
    if not required_keys(wide) <= required_keys(narrow):
        return False
    return all(is_subtype(fields[key], wanted[key], 1) for key in wanted if key in fields)


def _callable(narrow: Hint, wide: Hint, depth: int) -> bool:
    """Parameters the other way round: the narrower callable must take whatever the wider one is given."""
    narrow_class = origin_of(narrow) or narrow
    if narrow_class is not abc.Callable:
        return not isinstance(narrow_class, type) or issubclass(narrow_class, type) or has(narrow_class, "__call__")
    given, wanted = typing.get_args(narrow), typing.get_args(wide)
    if not given or not wanted:
        return True
    if not is_subtype(given[-1], wanted[-1], depth):
        return False
    takes, handed = given[0], wanted[0]
    if not isinstance(takes, list) or not isinstance(handed, list):
        return True
    return len(takes) == len(handed) and all(is_subtype(h, t, depth) for h, t in zip(handed, takes, strict=True))
