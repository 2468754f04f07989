"""A pipeline as a value: a source and a tuple of stages. What runs it, shows it and explains its errors shares it.

Idea        Describing a computation and running it are two things; this is the description.
Invariant   A pipeline never changes, and making one runs nothing.
When wrong  Nothing can be wrong here: source and stages were checked when they were made.
See         notebooks/4_lazy_collection.ipynb · tests/lazy/test_collection.py · arion_lib/lazy/collection.py, engine.py
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from arion_lib.lazy.pushdown import push_down
from arion_lib.lazy.source import Own, describe, waits
from arion_lib.lazy.stages import Stage


class Pipeline(Own):
    """A source and the stages that its elements pass; `plain` says whether all stages need nothing but their lines."""

    __slots__ = ("plain", "source", "stages")
    source: Iterable[Any]
    stages: tuple[Stage, ...]
    plain: bool

    @property
    def waits(self) -> bool:
        """Whether running it waits for something outside its thread."""
        return waits(self.source) or any(stage.waits for stage in self.stages)

    @property
    def source_label(self) -> str:
        """The source in a few words."""
        return describe(self.source)

    def written(self, number: int) -> int:
        """Return where stage `number` of the plan as run stands in the plan as written."""
        places = push_down(self.stages).written
        return places[number] if number < len(places) else len(self.stages)
