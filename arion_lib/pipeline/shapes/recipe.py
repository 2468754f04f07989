"""What becomes of a body's records: rows as they are, chosen fields of them, or sums by group.

Idea        One frozen value says it all; it is checked when it is made, so nothing of a body is read for a recipe that
            makes no sense.
Invariant   Equal recipes are equal values: a server may keep what it derives from one.
When wrong  A name that does not exist, a field twice or two wishes that exclude each other raise `ValueError`.
See         notebooks/1_streaming_pipeline.ipynb · tests/pipeline/test_recipe.py
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from arion_lib.pipeline.numbers.windows import Window
from arion_lib.pipeline.projection import check_paths, split_path


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a body's records are stored and what is sent on.

    `fields` are the (dotted) fields that a row keeps; none keeps all. With `group_by` or `sum_field` no rows are
    stored but the groups' counts and sums; one message a group and batch is sent on. `sum_field` without `group_by`
    sums all records as one group, whose key is empty. `window` groups by stretches of time as well: `created:3600` are
    the hours of the field `created`, `created:3600:ms` where its numbers count milliseconds. `figures` are what is
    known of `sum_field` beside its sum and mean: `min`, `max`. `path` leads to the array inside a JSON document:
    `events`, or `events.item` as ijson writes it. `dedupe` is the field whose value makes a row unique in its stream.

    >>> Recipe(group_by=("type",), sum_field="amount").groups
    True
    """

    fields: tuple[str, ...] = ()
    group_by: tuple[str, ...] = ()
    sum_field: str | None = None
    path: str | None = None
    dedupe: str | None = None
    window: str | None = None
    figures: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check all of it. Raises `ValueError`, and `TypeError` for a value that is not of the field's type."""
        self._check_types()
        for name in self.named_fields():
            split_path(name)
        for what, names in (("fields", self.fields), ("group_by", self.group_by)):
            if len(set(names)) != len(names):
                raise ValueError(f"{what} must name each field once, got {','.join(names)}: leave the second out")
        check_paths(self.named_fields())
        if not set(self.figures) <= {"min", "max"} or (self.figures and self.sum_field is None):
            raise ValueError(f"figures must be min or max of a sum_field, got {','.join(self.figures)}")
        if set(self.times) & set(self.group_by):
            raise ValueError(f"window must be of a field that is not in group_by, got {self.window}")
        if self.groups and (self.fields or self.dedupe):
            other = "fields" if self.fields else "dedupe"
            raise ValueError(f"{other} must be left out where groups are summed, got both: a sum keeps no rows")

    def _check_types(self) -> None:
        lists: tuple[tuple[str, Any], ...] = (
            ("fields", self.fields),
            ("group_by", self.group_by),
            ("figures", self.figures),
        )
        for what, names in lists:
            if not isinstance(names, tuple) or not all(isinstance(name, str) for name in names):
                write = f"write ({names!r},)" if isinstance(names, str) else 'write ("type",), say'
                raise TypeError(f"{what} must be a tuple of names, got {names!r:.80}: {write}")
        for what, name in (
            ("sum_field", self.sum_field),
            ("path", self.path),
            ("dedupe", self.dedupe),
            ("window", self.window),
        ):
            if name is not None and not isinstance(name, str):
                raise TypeError(f"{what} must be a name or None, got {name!r:.80}")

    @property
    def groups(self) -> bool:
        """Whether groups are kept instead of rows."""
        return bool(self.group_by or self.sum_field or self.window)

    def parts(self) -> tuple[str | Window, ...]:
        """Return the parts of a group's key, the window last. Raises `ValueError` for a window that makes no sense.

        >>> [part.seconds for part in Recipe(window="created:3600").parts() if not isinstance(part, str)]
        [3600.0]
        """
        if self.window is None:
            return self.group_by
        return (*self.group_by, Window.of(self.window))

    @property
    def times(self) -> list[str]:
        """Return the fields that hold times.

        >>> Recipe(window="created:3600").times
        ['created']
        """
        return [part.field for part in self.parts() if not isinstance(part, str)]

    @property
    def items(self) -> str:
        """The path as ijson writes it: to the elements of the array; empty when the body itself is the array or lines.

        >>> Recipe(path="events").items, Recipe(path="events.item").items, Recipe().items
        ('events.item', 'events.item', '')
        """
        if self.path is None or self.path.split(".")[-1] == "item":
            return self.path or ""
        return f"{self.path}.item"

    def named_fields(self) -> list[str]:
        """Return every field that the recipe names."""
        single = [name for name in (self.sum_field, self.dedupe) if name is not None]
        time = (self.window or "").removesuffix(":ms").rpartition(":")[0]
        return [*self.fields, *self.group_by, *single, *([time] if time else [])]


def read_recipe(wishes: Mapping[str, Sequence[str] | str]) -> Recipe:
    """Make a recipe from text: a query's parameters, or a first line that configures the body.

    `fields` and `group_by` are names with commas between them, or lists. Raises `ValueError` for a parameter that does
    not exist, comes twice, or is empty.

    >>> read_recipe({"group_by": ["type,currency"], "sum_field": ["amount"]}).group_by
    ('type', 'currency')
    >>> read_recipe({"fields": ["id", "amount"]}).fields
    ('id', 'amount')
    """
    known = [field.name for field in fields(Recipe)]
    unknown = [name for name in wishes if name not in known]
    if unknown:
        raise ValueError(f"parameters must be of {', '.join(known)}, got {unknown[0][:80]!r}")
    values: dict[str, Any] = {name: _names(name, wish) for name, wish in wishes.items()}
    for name in ("sum_field", "path", "dedupe", "window"):
        if name in values:
            values[name] = _only(name, values[name])
    return Recipe(**values)


def _names(name: str, wish: object) -> tuple[str, ...]:
    parts = [wish] if isinstance(wish, str) else wish
    if not isinstance(parts, Iterable) or not all(isinstance(part, str) for part in parts):
        raise ValueError(f"{name} must be text or a list of texts, got {wish!r:.80}")
    names = tuple(one.strip() for part in parts for one in part.split(","))
    if not all(names):
        raise ValueError(f"{name} must not be empty, got {wish!r:.80}: name a field or leave it out")
    return names


def _only(name: str, names: tuple[str, ...]) -> str:
    if len(names) != 1:
        raise ValueError(f"{name} must be one name, got {','.join(names)}")
    return names[0]
