"""What a function uses, and whether all of it is still the same: then it need not be pickled again.

Idea        Everything that the pickle of a function would hold is listed once: globals, cells, defaults, and what lies
            in the collections, objects and classes among them. To look whether the same objects are still there is
            some ten times cheaper than to pickle them.
Invariant   Whatever is rebound, added, removed or replaced in there, the function is no longer the same
            (test_unchanged.py; places.py names the one exception).
When wrong  What cannot be looked into (an array, an open file, an object with its own way of being pickled) is never
            taken for unchanged: such a function is pickled at each submit.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_unchanged.py

What it costs: a global dict of 1,000 items 9 to 40 us a look, a list of 200,000 ints 0.16 ms. There are two looks for
each call: at its submit, since the program may have changed the list after the last one, and in the worker before it
runs, since an earlier call may have. Each reads 3.2 MB of pointers; comparing the two lists alone, in C, takes 0.11 ms.
A pool that pickles functions by name looks at nothing and takes 0.08 ms for a whole call, so no exact look is as fast:
such a call takes 4 to 10 times as long here. A tuple is looked through once, and then only for its identity: make a
large constant one.
"""

from __future__ import annotations

import builtins
import copyreg
import dataclasses
import datetime
import decimal
import enum
import re
import types
from collections.abc import Iterator
from types import CodeType, FunctionType, MappingProxyType, MethodType
from typing import Any

from arion_lib.scheduler.calls.importable import importable
from arion_lib.scheduler.calls.places import EXACT, NOTHING, Cell, Check, Items, Made, Object, Seen
from arion_lib.scheduler.calls.values import ATOMS

MOST_CHECKS = 300
"""Places that are worth looking at; with more of them, pickling is as cheap."""

FIXED = frozenset(
    {
        range,
        types.EllipsisType,
        types.NotImplementedType,
        types.GetSetDescriptorType,
        types.MemberDescriptorType,
        types.WrapperDescriptorType,
        types.MethodDescriptorType,
        types.ClassMethodDescriptorType,
        types.GenericAlias,
        types.UnionType,
        datetime.date,
        datetime.datetime,
        datetime.time,
        datetime.timedelta,
        decimal.Decimal,
        re.Pattern,
        type(dataclasses.MISSING),
    }
)
"""Types beside the atoms whose values never change."""
FROZEN_DICT: type | None = getattr(builtins, "frozendict", None)
"""A dict that never changes, since Python 3.15."""
OWN_WAY = ("__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__")
"""Methods by which a class says itself what is pickled."""


def watched(call: Any, *, only_fixed: bool = False) -> tuple[Check, ...] | None:
    """Return what must hold for a function to mean the same; None when that cannot be told.

    `only_fixed`: None, too, when it uses something that may change in its place, which is costlier to list.
    """
    watch = _Watch(only_fixed)
    try:
        watch.value(call)
    except _CannotTellError:
        return None
    return tuple(watch.checks)


def holds(checks: tuple[Check, ...]) -> bool:
    """Whether nothing has changed."""
    for one in checks:  # noqa: SIM110  (a generator would cost as much as the looks)
        if not one.holds():
            return False
    return True


class _CannotTellError(Exception):
    """Something is used that cannot be looked into."""


class _Watch:
    """Lists the places."""

    def __init__(self, only_fixed: bool) -> None:
        self.checks: list[Check] = []
        self._only_fixed = only_fixed
        self._met: dict[int, object] = {}

    def value(self, value: Any) -> None:
        """List what may change about a value. Raises `_CannotTellError`."""
        kind = type(value)
        if kind in ATOMS or kind in FIXED or importable(value):
            return
        if id(value) in self._met:
            return
        self._met[id(value)] = value
        if len(self.checks) > MOST_CHECKS:
            raise _CannotTellError
        if kind is FunctionType:
            self._function(value)
        elif kind in (tuple, frozenset):
            self._each(value)
        elif kind is FROZEN_DICT:
            self._each([*value, *value.values()])
        elif self._only_fixed:
            raise _CannotTellError
        else:
            self._changeable(value, kind)

    def _changeable(self, value: Any, kind: type) -> None:
        if kind is MethodType or kind in (staticmethod, classmethod):
            self.value(value.__func__)
            self.value(getattr(value, "__self__", None))
        elif kind is property:
            self._each((value.fget, value.fset, value.fdel))
        elif kind in (list, dict, set, bytearray, MappingProxyType):
            self._items(value)
        elif isinstance(value, type):
            self._class(value)
        else:
            self._object(value, kind)

    def _function(self, call: FunctionType) -> None:
        self.checks.append(Made(call))
        if call.__closure__ or call.__dict__ or call.__kwdefaults__:
            if self._only_fixed:
                raise _CannotTellError
            for cell in call.__closure__ or ():
                self.checks.append(check := Cell(cell))
                if check.value is not NOTHING:
                    self.value(check.value)
            for items in (call.__dict__, call.__kwdefaults__):
                if items:
                    self._items(items)
        self._each(call.__defaults__ or ())
        for name in set(_names(call.__code__)):
            seen = Seen(call.__globals__, name)
            self.checks.append(seen)
            if seen.value is not NOTHING:  # else a builtin, an attribute's name, or a global that is not there yet
                self.value(seen.value)

    def _each(self, values: Any) -> None:
        if not set(map(type, values)) <= ATOMS:
            for one in values:
                self.value(one)

    def _items(self, collection: Any) -> None:
        self.checks.append(items := Items(collection))
        for part in items.kept:
            if len(part) > EXACT and not set(map(type, part)) <= ATOMS:
                raise _CannotTellError
            self._each(part)

    def _class(self, cls: type) -> None:
        self.value(type(cls))
        self._each(cls.__bases__)
        self.checks.append(Items(vars(cls)))
        for name, value in list(vars(cls).items()):
            if name != "_abc_impl":  # a cache
                self.value(value)

    def _object(self, value: Any, kind: type) -> None:
        if isinstance(value, enum.Enum) or getattr(kind, "__module__", "") == "typing":
            self.value(kind)
            return
        if kind in copyreg.dispatch_table or any(
            getattr(kind, name, None) is not getattr(object, name, None) for name in OWN_WAY
        ):
            raise _CannotTellError
        try:
            reduced: Any = object.__reduce_ex__(value, 4)
        except Exception as error:  # it has something that only C code can reach
            raise _CannotTellError from error
        if reduced[3] is not None or reduced[4] is not None:
            raise _CannotTellError
        slots: list[str] = copyreg._slotnames(kind)  # type: ignore[attr-defined]  # pickle's own list of them
        self.checks.append(check := Object(value, slots))
        if check.space is not None:
            self._items(check.space)
        for one in check.kept:
            if one is not NOTHING:
                self.value(one)
        self.value(kind)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)
