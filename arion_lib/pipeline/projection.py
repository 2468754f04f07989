"""Read only the fields that are needed: a record type made from field names.

Idea        A parser that knows the wanted fields skips all others without making an object of them.
Invariant   A missing field reads as None, and so does a path that leads through something that is not an object.
When wrong  A value that cannot be summed, grouped or placed in time is refused by the parser itself, where the
            record's place in the body is still known.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_projection.py
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Context, Decimal, InvalidOperation, Overflow, Rounded, Subnormal
from operator import attrgetter, itemgetter
from typing import Any

import msgspec

from arion_lib.pipeline.batch import Record
from arion_lib.pipeline.numbers.exact import check_number

KEY = str | int | float | bool | None
NUMBER = int | float | None
EXACT_NUMBER = int | Decimal | None
TIME = datetime | int | float | None

_PLAIN = Context(prec=1_000, Emin=-1_000, Emax=1_000, traps=[Rounded, Subnormal, Overflow, InvalidOperation])
"""In which numbers that every aggregate can keep are themselves."""

_Tree = dict[str, Any]  # field name -> the type of a leaf, or the _Tree of an object that is looked into


def projection(
    fields: Iterable[str] = (),
    *,
    keys: Iterable[str] = (),
    numbers: Iterable[str] = (),
    times: Iterable[str] = (),
    decimal: bool = False,
    verbatim: bool = False,
) -> type[msgspec.Struct]:
    """Make the record type that holds the named fields and nothing else.

    A dotted name looks into objects: `customer.country`. What a field is for decides which values a decoder accepts
    in it (None, that is null or missing, always is); a record with another value is a dead letter:

    - `fields`: anything; `verbatim` keeps it as its own bytes (`msgspec.Raw`), so that no digit is lost;
    - `keys`: strings, numbers and booleans, which can name a group;
    - `numbers`: numbers; with `decimal` their digits are kept exactly and numbers in strings ("12.50") count as well,
      but none that no sum could keep ("NaN", a million digits; `exact.check_number`);
    - `times`: ISO 8601 date-times (RFC 3339) or numbers, which a `Window` places.

    A field named twice gets the type of its last use in the order above, but a key that is also a time stays as
    written, so that the group keeps the name the sender gave it.

    Raises ValueError for a name that cannot be a field, or when a field is wanted both whole and in parts.

    >>> Event = projection(["id"], keys=["customer.country"], numbers=["amount"])
    >>> msgspec.json.decode(b'{"id": 7, "amount": 5, "more": [1, 2], "customer": {"country": "DE"}}', type=Event)
    Projection(id=7, customer=Projection(country='DE'), amount=5)
    """
    keys = list(keys)
    wanted: dict[str, Any] = dict.fromkeys(fields, msgspec.Raw if verbatim else Any)
    wanted |= dict.fromkeys(keys, KEY)
    wanted |= dict.fromkeys(numbers, EXACT_NUMBER if decimal else NUMBER)
    wanted |= dict.fromkeys((time for time in times if time not in keys), TIME)
    return _struct(_planted(wanted))


def check_paths(paths: Iterable[str]) -> None:
    """Refuse names that no `projection` holds side by side. Raises `ValueError`.

    >>> check_paths(["id", "customer.country", "customer.name"])
    """
    _planted(dict.fromkeys(paths, Any))


def _planted(wanted: Mapping[str, Any]) -> _Tree:
    tree: _Tree = {}
    for path, kind in wanted.items():
        _plant(tree, path, kind)
    return tree


def _plant(tree: _Tree, path: str, kind: Any) -> None:
    *parents, leaf = split_path(path)
    if re.search(r'[\\"\x00-\x1f]', path):
        raise ValueError(f"a projected field must not hold a quote, a backslash or a control character, got {path!r}")
    for name in parents:
        branch = tree.setdefault(name, {})
        if not isinstance(branch, dict):
            raise _overlap(path)
        tree = branch
    if isinstance(tree.get(leaf), dict):
        raise _overlap(path)
    tree[leaf] = kind


def _overlap(path: str) -> ValueError:
    return ValueError(f"fields must not name an object whole and a part of it as well, got {path!r}; drop one of them")


def split_path(path: str) -> list[str]:
    """Split a dotted field path into names, checked.

    >>> split_path("customer.address.country")
    ['customer', 'address', 'country']
    """
    names = path.split(".")
    if not all(names) or any(name.startswith("__") for name in names):
        raise ValueError(f"a field must be names joined by dots, not empty nor starting with '__', got {path!r}")
    return names


def attribute(name: str) -> str:
    """Say under which attribute a projected record holds the field `name`: itself when Python allows it.

    >>> attribute("amount"), attribute("event-type"), attribute("2fa"), attribute("class")
    ('amount', 'x_event_2d_type', 'x_2fa', 'class')
    """
    if re.fullmatch(r"(?!x_)[A-Za-z_][A-Za-z0-9_]*", name):
        return name
    return "x_" + re.sub(r"[^A-Za-z0-9]", lambda found: f"_{ord(found[0]):x}_", name)


def _struct(tree: _Tree) -> type[msgspec.Struct]:
    checks = [_checking(name) for name, kind in tree.items() if kind is EXACT_NUMBER]
    # gc=False: a parsed record cannot be part of a reference cycle, and the collector need not visit millions of them.
    return msgspec.defstruct(
        "Projection",
        [(attribute(name), _field_type(kind), None) for name, kind in tree.items()],
        rename={attribute(name): name for name in tree},
        frozen=True,
        gc=False,
        namespace=_all_of(checks),
    )


def _checking(name: str) -> Callable[[msgspec.Struct], None]:
    """Return what a record asks of its exact number: "NaN" is a Decimal, too. Cost: 0.1 microseconds."""
    get, plain = attrgetter(attribute(name)), _PLAIN.plus

    def check(record: msgspec.Struct) -> None:
        number = get(record)
        if type(number) is Decimal:
            try:
                plain(number)
                if number.is_finite():
                    return
            except ArithmeticError:
                pass  # far from usual, which is no fault yet
            try:
                check_number(number)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error

    return check


def _all_of(checks: Sequence[Callable[[msgspec.Struct], None]]) -> dict[str, Any]:
    def check(record: msgspec.Struct) -> None:
        for one in checks:
            one(record)

    return {"__post_init__": checks[0] if len(checks) == 1 else check} if checks else {}


def _field_type(kind: Any) -> Any:
    if not isinstance(kind, dict):
        return kind
    # Where an object was expected, another value is no error here: looking into it finds nothing, as in a dict.
    return _struct(kind) | str | int | float | bool | list[Any] | None


def getter(path: str) -> Callable[[Record], Any]:
    """Make the function that reads `path` from a record, a dict or a projection, and gives None where there is none.

    >>> country = getter("customer.country")
    >>> country({"customer": {"country": "DE"}}), country({"customer": 5}), country({})
    ('DE', None, None)
    """
    steps = [(name, attribute(name)) for name in split_path(path)]

    def get(record: Record) -> Any:
        for name, attr in steps:
            if isinstance(record, Mapping):
                record = record.get(name)
            else:
                record = getattr(record, attr, None) if isinstance(record, msgspec.Struct) else None
        return record

    return get


def fast_getter(path: str, kind: type) -> Callable[[Record], Any]:
    """Make a getter in C for records of type `kind`, or the plain one where there is none.

    It buys about 0.2 microseconds a field. The one in C raises AttributeError or KeyError where `getter` gives None.
    """
    names = split_path(path)
    if issubclass(kind, msgspec.Struct):
        return attrgetter(".".join(map(attribute, names)))
    if kind is dict and len(names) == 1:
        return itemgetter(path)
    return getter(path)


def picker(paths: Sequence[str]) -> Callable[[Record], dict[str, Any]]:
    """Make the function that copies the named fields into a new dict, nested as they were; a missing one becomes None.

    >>> picker(["a", "b.c", "x"])({"a": 1, "b": {"c": 2, "d": 3}, "e": 4})
    {'a': 1, 'b': {'c': 2}, 'x': None}
    >>> picker(["customer.country"])({"customer": ["x"]})
    {'customer': {'country': None}}
    """
    steps = [(*_parted(path), getter(path)) for path in paths]

    def pick_them(record: Record) -> dict[str, Any]:
        picked: dict[str, Any] = {}
        for parents, leaf, get in steps:
            inner = picked
            for name in parents:
                inner = inner.setdefault(name, {})
            inner[leaf] = get(record)
        return picked

    return pick_them


def _parted(path: str) -> tuple[list[str], str]:
    *parents, leaf = split_path(path)
    return parents, leaf
