"""Values on their way between processes: as they are where that is safe, pickled where not, large arrays uncopied.

Idea        Numbers, strings and None travel inside the message itself; anything else is pickled on its own, with
            protocol 5, so that large buffers go beside the pickle instead of through it.
Invariant   Two tasks never share a mutable value: each value is pickled alone and unpickled once for each reader.
When wrong  What cannot be pickled raises `NotTransferableError` naming the value's role, its type and what to do.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_values.py
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from io import BytesIO
from types import NoneType
from typing import Any, TypeAlias

import cloudpickle

from arion_lib.scheduler.calls import context
from arion_lib.scheduler.calls.context import place_of, variable_at
from arion_lib.scheduler.errors import NotTransferableError

ATOMS = frozenset({int, float, complex, str, bytes, bool, NoneType})
"""Exact types that are immutable and that marshal brings back the same: they need no pickle."""

ASIDE = 1 << 14
"""Bytes from which a buffer travels beside the pickle."""

Buffers: TypeAlias = list[pickle.PickleBuffer]


@dataclass(frozen=True, slots=True)
class Packed:
    """One pickled value and the large buffers that belong to it."""

    data: bytes
    buffers: tuple[Any, ...] = ()

    def unpack(self) -> Any:
        """Return a new copy of the value; large buffers are shared with this `Packed`."""
        return pickle.loads(self.data, buffers=self.buffers)


Encoded: TypeAlias = Any
"""An atom as it is, or a `Packed`."""


def encode(value: Any, role: str) -> Encoded:
    """Make a value fit to travel. `role` is what it is, for the error's sentence.

    >>> encode(3, "result"), decode(encode([1, 2], "result"))
    (3, [1, 2])
    """
    return value if type(value) in ATOMS else pack(value, role)


def decode(value: Encoded) -> Any:
    """Return what `encode` was given."""
    return value.unpack() if type(value) is Packed else value


def pack(value: Any, role: str) -> Packed:
    """Pickle one value, by the fast pickler where that is enough and by value (cloudpickle) where it is not."""
    buffers: Buffers = []
    keep_aside = _aside(buffers)
    if cloudpickle.list_registry_pickle_by_value():  # only cloudpickle heeds it
        data = _by_value(value, role, keep_aside)
        return Packed(data, tuple(_raw(buffer) for buffer in buffers))
    try:
        data = pickle.dumps(value, 5, buffer_callback=keep_aside)
    except Exception:  # noqa: BLE001  (whatever the fast pickler cannot do, the other may)
        data = b"__main__"
    if b"__main__" in data:  # a worker's __main__ is not ours: what lives there must travel by value
        buffers.clear()
        data = _by_value(value, role, keep_aside)
    return Packed(data, tuple(_raw(buffer) for buffer in buffers))


def by_value(value: Any, role: str) -> bytes:
    """Pickle a function or a class with its code, everything in line."""
    return _by_value(value, role, None)


def _by_value(value: Any, role: str, keep_aside: Callable[[pickle.PickleBuffer], bool] | None) -> bytes:
    file = BytesIO()
    try:
        ValuePickler(file, 5, keep_aside).dump(value)
    except Exception as error:
        raise NotTransferableError(
            f"the {role} must be something that pickle or cloudpickle can bring to another process, "
            f"got {type(value).__name__}: {error}; pass what is needed to make it there, or use lane='threads'"
        ) from error
    return file.getvalue()


def _aside(buffers: Buffers) -> Callable[[pickle.PickleBuffer], bool]:
    def keep_aside(buffer: pickle.PickleBuffer) -> bool:
        """Take a large buffer; True leaves it in the pickle."""
        try:
            large = buffer.raw().nbytes >= ASIDE
        except BufferError:  # not contiguous: only the pickle can flatten it
            return True
        if large:
            buffers.append(buffer)
        return not large

    return keep_aside


def _raw(buffer: pickle.PickleBuffer) -> memoryview:
    return buffer.raw()


class ValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
    """cloudpickle, and context variables: an importable one by its place, any other as a variable of the same name."""

    def __init__(self, file: BytesIO, protocol: int, keep_aside: Callable[[pickle.PickleBuffer], bool] | None) -> None:
        super().__init__(file, protocol=protocol, buffer_callback=keep_aside)

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, ContextVar):
            return _variable, (obj.name, _token(obj))
        return super().reducer_override(obj)


_TOKENS: dict[ContextVar[Any], str] = {}
_VARIABLES: dict[str, ContextVar[Any]] = {}


def _token(variable: ContextVar[Any]) -> str:
    """Return the name under which every process finds its twin of a variable."""
    token = _TOKENS.get(variable)  # looked for once: another thread may forget them all at any time
    if token is None:
        _forget_if_too_many()
        token = place_of(variable) or f"?{variable.name}-{id(variable)}"
        _TOKENS[variable], _VARIABLES[token] = token, variable
    return token


def _variable(name: str, token: str) -> ContextVar[Any]:
    """Return the variable of that token: the imported one, or this process's twin of another's."""
    found = _VARIABLES.get(token)
    if found is None:
        _forget_if_too_many()
        found = _VARIABLES.setdefault(token, variable_at(token) or ContextVar[Any](name))  # one, of many threads
        _TOKENS[found] = token
    return found


def _forget_if_too_many() -> None:
    """Keep no variable alive for ever: what is forgotten is met anew, an importable one at its place."""
    if len(_VARIABLES) >= context.MOST_VARIABLES:
        _TOKENS.clear()
        _VARIABLES.clear()
