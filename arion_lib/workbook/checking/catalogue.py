"""Find an exercise by its number: one file of exercises a notebook.

Idea        A notebook's exercises are the tuple `EXERCISES` of one module, found by name and imported at first use.
Invariant   An id names one exercise, and its first number is the notebook's.
When wrong  An unknown id is refused with the ids that exist.
See         arion_lib/workbook/exercises · tests/workbook/test_exercises.py
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from arion_lib.workbook import exercises
from arion_lib.workbook.checking.exercise import Exercise


@cache
def every() -> tuple[Exercise, ...]:
    """Return all exercises of all notebooks, in the order of their ids."""
    names = sorted(m.name for m in pkgutil.iter_modules(exercises.__path__))
    modules = [importlib.import_module(f"{exercises.__name__}.{name}") for name in names]
    found = [e for module in modules for e in module.EXERCISES]
    twice = {e.id for e in found if sum(f.id == e.id for f in found) > 1}
    if twice:
        raise ValueError(f"an exercise's id must be its own, got twice: {', '.join(sorted(twice))}")
    return tuple(sorted(found, key=lambda e: [int(part) for part in e.id.split(".")]))


def find(exercise_id: str) -> Exercise:
    """Return the exercise called `exercise_id`, such as "1.2"."""
    for exercise in every():
        if exercise.id == exercise_id:
            return exercise
    raise ValueError(f"exercise must be one of {', '.join(e.id for e in every())}, got {exercise_id!r}")
