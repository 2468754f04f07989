"""Annotations made ready to judge: strings resolved, type variables substituted, shown in short.

Idea        An annotation is data. Resolve it once, where the names it uses are in reach; what cannot be resolved is
            unknown, and unknown fits everything.
Invariant   Nothing here raises on account of an annotation.
When wrong  A name that does not exist yet (a forward reference) stays a string and is tried again at the first call.
See         tests/contracts/test_inheritance.py
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import inspect
import re
import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ForwardRef, Generic, ParamSpec, Protocol, TypeVar, TypeVarTuple

Hint = Any
"""An annotation: a class, a typing construct, a string or nothing (`inspect.Parameter.empty`)."""

EMPTY = inspect.Parameter.empty


class Later:
    """A hint that could not be resolved yet, with the names to look it up in. A recursive alias such as
    `Json = dict[str, "Json"] | list["Json"] | str` refers to itself by one."""

    __slots__ = ("hint", "local", "names")

    def __init__(self, hint: Hint, names: Mapping[str, Any], local: Mapping[str, Any]) -> None:
        self.hint, self.names, self.local = hint, names, local

    @property
    def word(self) -> str:
        return text(self.hint)

    def resolved(self) -> Hint:
        """Return the annotation as far as it can be resolved now."""
        return resolve(self.hint, self.names, self.local)

    def __call__(self) -> None:
        """Never called: `typing` takes only what can be called for a type."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Later) and (self.word, id(self.names)) == (other.word, id(other.names))

    def __hash__(self) -> int:
        return hash((Later, self.word, id(self.names)))


STRINGS = (str, ForwardRef, Later)
UNIONS = (typing.Union, types.UnionType)


def origin_of(hint: Hint) -> Any:
    """Return what `hint` parametrises: `list` for `list[int]`, `None` for a plain class."""
    return None if type(hint) is type else typing.get_origin(hint)


def is_unknown(hint: Hint) -> bool:
    """Tell whether `hint` says nothing: absent, `Any`, or a name that could not be resolved.

    >>> is_unknown(EMPTY), is_unknown(Any), is_unknown("Later"), is_unknown(int)
    (True, True, True, False)
    """
    return hint is EMPTY or hint is Any or isinstance(hint, STRINGS)


def alike(one: Hint, other: Hint) -> bool:
    """Tell whether two hints, or dictionaries of hints, are equal. Metadata may refuse to say: an array has no truth.

    >>> alike(list[int], list[int]), alike(typing.Annotated[int, "m"], int)
    (True, False)
    """
    try:
        return one is other or bool(one == other)
    except Exception:  # noqa: BLE001 - `Annotated` and what stands in an annotation's place may hold anything
        return False


def is_unpacked(hint: Hint) -> bool:
    """Tell whether `hint` stands for any number of hints: `*Ts`, `*tuple[int, ...]`, `Unpack[...]`.

    >>> Ts = typing.TypeVarTuple("Ts")
    >>> [is_unpacked(part) for part in typing.get_args(tuple[int, *Ts])]
    [False, True]
    """
    return origin_of(hint) is typing.Unpack or getattr(hint, "__unpacked__", False) is True


def flattened(arguments: Iterable[Hint]) -> list[Hint]:
    """Return the arguments of a tuple without unpacked tuples of a known length: those are written out.

    >>> flattened(typing.get_args(tuple[int, *tuple[str, bytes]]))
    [<class 'int'>, <class 'str'>, <class 'bytes'>]
    """
    found: list[Hint] = []
    for hint in arguments:
        inner = typing.get_args(hint) if is_unpacked(hint) else ()
        if origin_of(hint) is typing.Unpack:
            inner = typing.get_args(inner[0])
        found += [hint] if not inner or inner[-1] is Ellipsis else flattened(inner)
    return found


def resolve(hint: Hint, names: Mapping[str, Any], local: Mapping[str, Any] | None = None) -> Hint:
    """Return `hint` with the strings in it evaluated in `names` and `local`; the hint itself where that fails.

    >>> resolve("list[int]", {}), resolve("Nowhere", {})
    (list[int], 'Nowhere')
    """
    if isinstance(hint, type):
        return hint
    if isinstance(hint, str) and hint.isidentifier():
        found = _named(hint, names, local or {})
        if not needs_resolving(found):
            return found
    if not needs_resolving(hint):
        return hint
    try:
        hints = typing.get_type_hints(_holder(hint), dict(names), dict(local or {}), include_extras=True)
    except Exception:  # noqa: BLE001 - evaluating a string may raise anything; it then says nothing
        return hint
    found = hints["hint"]
    return type(None) if found is None else _with_later(found, names, local or {}) if needs_resolving(found) else found


def _with_later(hint: Hint, names: Mapping[str, Any], local: Mapping[str, Any]) -> Hint:
    """Return `hint` with the references that are left in it bound to the names of its module."""
    if isinstance(hint, ForwardRef):
        return Later(hint, names, local)
    origin, parts = origin_of(hint), typing.get_args(hint)
    if not parts or origin in (typing.Literal, typing.Annotated) or not needs_resolving(hint):
        return hint
    made = tuple(_with_later(part, names, local) for part in parts)
    try:
        if origin in UNIONS:
            return typing.Union[made]  # noqa: UP007 - made of a tuple
        return hint.copy_with(made) if hasattr(hint, "copy_with") else types.GenericAlias(origin, made)
    except Exception:  # noqa: BLE001 - a form that takes no such argument keeps its reference, which says nothing
        return hint


def _named(word: str, names: Mapping[str, Any], local: Mapping[str, Any]) -> Hint:
    for space in (local, names, vars(builtins)):
        if word in space:
            return space[word]
    return type(None) if word == "None" else word


def _holder(hint: Hint) -> Any:
    """Return something annotated with `hint`: a class, where the hint may stand in a class only."""
    annotations = {"hint": hint}
    if isinstance(hint, str) and not ("ClassVar" in hint or "Final" in hint):
        return types.SimpleNamespace(__annotations__=annotations)
    return type("Holder", (), {"__annotations__": annotations})


def needs_resolving(hint: Hint) -> bool:
    """Tell whether there is a string, or a forward reference, in `hint`."""
    if type(hint) is type:
        return False
    if isinstance(hint, (str, ForwardRef)):
        return True
    if origin_of(hint) is typing.Literal:
        return False
    parts = getattr(hint, "__args__", ())
    return isinstance(parts, tuple) and any(needs_resolving(part) for part in parts)


def bare(hint: Hint) -> Hint:
    """Strip what does not change the values that fit: `Annotated`, `ClassVar`, `Final`, `type X = ...`, `TypeGuard`.

    >>> bare(typing.Annotated[int, "metres"]), bare(None)
    (<class 'int'>, <class 'NoneType'>)
    """
    if type(hint) is type:
        return hint
    for _ in range(20):
        inner = _stripped(hint)
        if inner is hint:
            break
        hint = inner
    return hint


_GUARDS = (typing.TypeGuard, getattr(typing, "TypeIs", typing.TypeGuard))  # TypeIs: Python 3.13
_WRAPPERS = (typing.Annotated, typing.ClassVar, typing.Final, typing.Required, typing.NotRequired)


def _stripped(hint: Hint) -> Hint:
    if hint is None:
        return type(None)
    if hint is typing.LiteralString:
        return str
    if hint is typing.ClassVar or hint is typing.Final:
        return Any
    if origin_of(hint) in _GUARDS:
        return bool
    if origin_of(hint) in _WRAPPERS:
        return hint.__origin__ if hasattr(hint, "__metadata__") else hint.__args__[0]
    return _alias_value(hint)


def _alias_value(hint: Hint) -> Hint:
    """Return what a `type X[T] = ...` alias stands for (Python 3.12), or the hint itself."""
    alias_type = getattr(typing, "TypeAliasType", None)
    if alias_type is None:
        return hint
    origin = origin_of(hint)
    try:
        if isinstance(hint, alias_type):
            return hint.__value__
        if isinstance(origin, alias_type):
            return substitute(origin.__value__, dict(zip(origin.__type_params__, hint.__args__, strict=False)))
    except Exception:  # noqa: BLE001 - evaluated here, and a name may exist for type checkers only
        return Any
    return hint


Arguments = Mapping[Any, Hint]
"""What each type variable stands for."""


def substitute(hint: Hint, arguments: Arguments) -> Hint:
    """Return `hint` with its type variables replaced.

    >>> T = TypeVar("T")
    >>> substitute(list[T], {T: int}), substitute(dict[str, T], {T: bytes})
    (list[int], dict[str, bytes])
    """
    if not arguments:
        return hint
    if isinstance(hint, TypeVar):
        return arguments.get(hint, hint)
    parameters = getattr(hint, "__parameters__", ())
    if origin_of(hint) is None or not isinstance(parameters, tuple) or not any(p in arguments for p in parameters):
        return hint
    try:
        return hint[tuple(_spliced(parameters, arguments))]
    except TypeError:  # a parameter specification: unknown is right
        return Any


def _spliced(hints: Iterable[Hint], known: Arguments) -> Iterator[Hint]:
    """Yield each hint with its variables replaced; a tuple of variables is replaced by all that it stands for."""
    for hint in hints:
        variable = typing.get_args(hint)[0] if origin_of(hint) is typing.Unpack else hint
        if isinstance(variable, ParamSpec):
            yield known.get(variable, variable)
        elif not isinstance(variable, TypeVarTuple):
            yield substitute(hint, known)
        elif variable in known:
            yield from known[variable]
        else:
            yield typing.Unpack[variable]


def _bound(parameters: tuple[Any, ...], given: Sequence[Hint]) -> dict[Any, Any]:
    """Return what each parameter of a generic class stands for: a tuple of variables for a tuple of hints."""
    many = next((i for i, p in enumerate(parameters) if isinstance(p, TypeVarTuple)), None)
    if many is None:
        return dict(zip(parameters, given if len(given) == len(parameters) else (Any,) * len(parameters), strict=True))
    if len(given) < len(parameters) - 1 or any(is_unpacked(hint) for hint in given):
        return {p: Any for p in parameters if not isinstance(p, TypeVarTuple)}  # what is not known is not replaced
    end = len(given) - (len(parameters) - many - 1)
    before, after = zip(parameters, given[:many], strict=False), zip(parameters[many + 1 :], given[end:], strict=True)
    return {**dict(before), parameters[many]: tuple(given[many:end]), **dict(after)}


def type_arguments(cls: type) -> dict[type, dict[Any, Hint]]:
    """Return, for `cls` and each generic class it inherits from, what their type variables stand for in `cls`.

    >>> T = TypeVar("T")
    >>> class Reader(Generic[T]): ...
    >>> class IntReader(Reader[int]): ...
    >>> type_arguments(IntReader)[Reader]
    {~T: <class 'int'>}
    """
    found: dict[type, dict[Any, Hint]] = {}
    _collect(cls, {}, found)
    return found


def _collect(cls: type, known: dict[Any, Hint], found: dict[type, dict[Any, Hint]]) -> None:
    found.setdefault(cls, {}).update(known)
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = origin_of(base) or base
        if origin in (Generic, Protocol, object) or not isinstance(origin, type):
            continue
        parameters = getattr(origin, "__parameters__", ())
        given = typing.get_args(base)
        _collect(origin, _bound(parameters, list(_spliced(given, known))), found)


def local_names(function: object, owner: type | None, frame_locals: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the names that annotations of `function` may use besides its module's: locals, class, type parameters."""
    names: dict[str, Any] = dict(frame_locals or {})
    for thing in (owner, function):
        names.update({p.__name__: p for p in getattr(thing, "__type_params__", ())})
    if owner is not None:
        names.setdefault(owner.__name__, owner)
    return names


def module_names(thing: object) -> dict[str, Any]:
    """Return the globals that an annotation of `thing` (a function or a class) was written among."""
    own = getattr(thing, "__globals__", None)
    if isinstance(own, dict):
        return own
    module = sys.modules.get(getattr(thing, "__module__", None) or "")
    return vars(module) if module is not None else {}


def annotations_of(function: object) -> dict[str, Hint] | None:
    """Return a function's annotations as they stand; a deferred one (Python 3.14) that names what does not exist yet
    is a reference. `None` where there are none to read."""
    try:
        return getattr(function, "__annotations__", None)
    except Exception:  # noqa: BLE001 - a deferred annotation is evaluated here and may raise anything
        return _unevaluated(function) if DEFERRED else None


def signature_of(target: Any, **how: bool) -> inspect.Signature:
    """Return what `inspect.signature` says; a deferred annotation that names what does not exist yet is a reference.

    Raises:
        Exception: what `inspect.signature` raises for a callable whose signature cannot be read.
    """
    try:
        return inspect.signature(target, **how)  # type: ignore[arg-type]
    except Exception:
        forms = _forms() if DEFERRED else ()
        for form in forms:
            with contextlib.suppress(Exception):
                return inspect.signature(target, annotation_format=form, **how)  # type: ignore[call-arg, arg-type, unused-ignore]
        raise


def has_unpacked(signature: inspect.Signature) -> bool:
    """Tell whether a parameter stands for any number of parameters."""
    return any(is_unpacked(p.annotation) for p in signature.parameters.values())


@functools.lru_cache(maxsize=1_000)
def words_in(annotation: str) -> frozenset[str]:
    """Return the names in an annotation that is a string.

    >>> sorted(words_in("dict[str, shop.Row]"))
    ['Row', 'dict', 'shop', 'str']
    """
    return frozenset(_NAME.findall(annotation))


_NAME = re.compile(r"[A-Za-z_]\w*")


def own_annotations(cls: type) -> dict[str, Hint]:
    """Return the annotations in the body of `cls`; a name that does not exist yet stays a string."""
    if not DEFERRED:
        return dict(cls.__dict__.get("__annotations__") or {})  # noqa: RUF063 - each class statement comes here
    try:
        return dict(inspect.get_annotations(cls))
    except Exception:  # noqa: BLE001 - Python 3.14 evaluates them here, and that may raise anything
        return _unevaluated(cls)


DEFERRED = sys.version_info >= (3, 14)
"""Annotations are evaluated when they are asked for; before that they stand in the class's dictionary."""


def _unevaluated(thing: object) -> dict[str, Hint]:
    """Return the annotations of a class or function with what cannot be evaluated left as a reference or as text.

    An annotation such as `1 / 0` fails in every form: what has one counts as if it had no annotations.
    """
    import annotationlib  # type: ignore[import-not-found, unused-ignore]

    for form in _forms():
        with contextlib.suppress(Exception):
            return dict(annotationlib.get_annotations(thing, format=form))
    return {}


def _forms() -> tuple[Any, Any]:
    """Return the forms of annotations that need not all be evaluated, the better one first."""
    import annotationlib

    return annotationlib.Format.FORWARDREF, annotationlib.Format.STRING


def text(hint: Hint) -> str:
    """Return `hint` as one would write it, without module names.

    >>> from collections.abc import Callable, Sequence
    >>> text(Sequence[int] | None), text(Callable[[int], str]), text(EMPTY)
    ('Sequence[int] | None', 'Callable[[int], str]', 'anything')
    """
    if hint is EMPTY:
        return "anything"
    if hint is None or hint is type(None):
        return "None"
    if isinstance(hint, STRINGS):
        return hint.word if isinstance(hint, Later) else hint if isinstance(hint, str) else hint.__forward_arg__
    if hint is Ellipsis:
        return "..."
    if isinstance(hint, list):
        return f"[{', '.join(map(text, hint))}]"
    return _text_of_type(hint)


def _text_of_type(hint: Hint) -> str:
    origin, args = origin_of(hint), typing.get_args(hint)
    if is_unpacked(hint):
        return f"*{text(args[0])}" if origin is typing.Unpack else f"*{name_of(origin)}[{', '.join(map(text, args))}]"
    if origin is None or isinstance(origin, ParamSpec):
        return name_of(hint) if isinstance(hint, type) else str(hint).replace("typing.", "").lstrip("~+-")
    if origin in UNIONS:
        return " | ".join(map(text, args))
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if origin is typing.Annotated:
        return text(args[0])
    shown = ", ".join(map(text, args)) or "()"
    return f"{name_of(origin)}[{shown}]"


def name_of(cls: Any) -> str:
    """Return the name of a class as its module knows it: `Outer.Inner`, without the function it was made in."""
    name = getattr(cls, "__qualname__", None) or getattr(cls, "__name__", None) or str(cls).replace("typing.", "")
    return str(name).rpartition("<locals>.")[2]
