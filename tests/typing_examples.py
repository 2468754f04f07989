"""What a type checker infers for the lines that learners write: mypy reads this file, nothing runs it.

Add a function per part: `assert_type` pins what a learner's editor will show, and a line that must be an error carries
`# type: ignore[code]`, which mypy --strict refuses once the error is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_type

from arion_lib.lazy import LazyCollection, lazy
from arion_lib.pipeline.batch import Batch, DeadLetter


def a_lazy_collection_knows_what_it_holds(numbers: list[int]) -> None:
    assert_type(lazy(numbers), LazyCollection[int])
    assert_type(lazy(numbers).map(str), LazyCollection[str])
    assert_type(lazy(numbers).map(str).filter(str.isdigit).batch(2), LazyCollection[list[str]])
    assert_type(lazy(numbers)[0], int)
    assert_type(lazy(numbers)[1:3], LazyCollection[int])
    lazy(numbers).map(str.upper)  # type: ignore[arg-type]


def a_batch_is_never_changed(batch: Batch) -> None:
    assert_type(batch.dead, Sequence[DeadLetter])
    batch.dead = []  # type: ignore[misc]
