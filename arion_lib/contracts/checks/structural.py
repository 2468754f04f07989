"""Types that a class fits without deriving from them: `typing`'s files, protocols, typed dictionaries.

Idea        For each of them one question: what would a value have to have?
Invariant   Only names are compared, as `isinstance` with a protocol does.
When wrong  Of a typed dictionary, a key whose annotation cannot be resolved is asked for, and its value fits.
See         arion_lib/contracts/subtypes.py · tests/contracts/test_subtypes.py
"""

from __future__ import annotations

import io
import typing

from arion_lib.contracts.checks.hints import STRINGS, Hint, module_names, origin_of, own_annotations, resolve, text

_TEXT, _BINARY, _EITHER = frozenset({"text"}), frozenset({"binary"}), frozenset({"text", "binary"})


def is_file(cls: object) -> bool:
    """Tell whether `cls` is one of `typing`'s file types, which no real file derives from."""
    return cls in (typing.IO, typing.TextIO, typing.BinaryIO)


def file_kinds(hint: Hint) -> frozenset[str]:
    """Return whether files of this type hold text, bytes, or either; nothing for what is no file.

    >>> sorted(file_kinds(typing.IO[str])), sorted(file_kinds(io.BytesIO)), sorted(file_kinds(int))
    (['text'], ['binary'], [])
    """
    origin, arguments = origin_of(hint) or hint, typing.get_args(hint)
    if origin is typing.TextIO:
        return _TEXT
    if origin is typing.BinaryIO:
        return _BINARY
    if origin is typing.IO:
        return _TEXT if arguments == (str,) else _BINARY if arguments == (bytes,) else _EITHER
    if not isinstance(origin, type):
        return frozenset()
    if issubclass(origin, io.TextIOBase | typing.TextIO):
        return _TEXT
    if issubclass(origin, io.RawIOBase | io.BufferedIOBase | typing.BinaryIO):
        return _BINARY
    return _EITHER if issubclass(origin, io.IOBase) or has(origin, "read") or has(origin, "write") else frozenset()


def protocol_members(protocol: type) -> set[str]:
    """Return the names that a Protocol asks for.

    >>> sorted(protocol_members(typing.SupportsInt))
    ['__int__']
    """
    recorded = getattr(protocol, "__protocol_attrs__", None)  # Python 3.12 and later
    if recorded is not None:
        return set(recorded)
    names: set[str] = set()
    for base in protocol.__mro__:
        if getattr(base, "_is_protocol", False) and base is not typing.Protocol:
            space = vars(base)
            annotated = own_annotations(base)
            names |= {n for n in (*space, *annotated) if n not in _PROTOCOL_MACHINERY and not n.startswith("_abc_")}
    return names


_PROTOCOL_MACHINERY = {*vars(typing.Generic), *dir(object)} - {"__hash__", "__eq__"} | {
    "__abstractmethods__", "__annotations__", "__annotate__", "__annotate_func__", "__annotations_cache__",
    "__conditional_annotations__", "__dict__", "__doc__", "__firstlineno__", "__init__", "__match_args__",
    "__module__", "__non_callable_proto_members__", "__orig_bases__", "__parameters__", "__protocol_attrs__",
    "__slots__", "__static_attributes__", "__type_params__", "__weakref__", "_is_protocol", "_is_runtime_protocol",
    "__eq__", "__hash__",
}  # fmt: skip


def has(cls: type, name: str) -> bool:
    return any(vars(base).get(name) is not None for base in cls.__mro__)


def keys_of(cls: type) -> dict[str, Hint]:
    """Return the keys of a TypedDict with their annotations; one that names what does not exist says nothing.

    >>> keys_of(typing.TypedDict("Size", {"width": int}))
    {'width': <class 'int'>}
    """
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except Exception:  # noqa: BLE001 - evaluating a string may raise anything, for one key among many
        return {key: resolve(hint, module_names(cls)) for key, hint in own_annotations(cls).items()}


def required_keys(cls: type) -> frozenset[str]:
    """Return the keys that every value of a TypedDict has.

    `__required_keys__` misses `Required` and `NotRequired` in annotations that are strings, so they are looked at here.
    """
    found = set(getattr(cls, "__required_keys__", ()))
    for key, hint in keys_of(cls).items():
        origin = origin_of(hint)
        word = text(hint).partition("[")[0].rpartition(".")[2] if isinstance(hint, STRINGS) else ""
        if origin is typing.Required or word == "Required":
            found.add(key)
        elif origin is typing.NotRequired or word == "NotRequired":
            found.discard(key)
    return frozenset(found)
