"""A batch that no store could keep is refused when it is made."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from arion_lib.pipeline.batch import Aggregate, Batch


def test_ids_beside_groups_are_refused_because_a_sum_cannot_leave_a_row_out() -> None:
    Batch("s", groups={("a",): Aggregate(1)})
    with pytest.raises(ValueError, match="ids must be None where there are groups"):
        Batch("s", rows=[b"{}"], ids=["1"], groups={("a",): Aggregate(1)})


@pytest.mark.parametrize("options", [{"ids": ["1"]}, {"ids": ["1", "2"], "messages": [b"m"]}])
def test_ids_run_parallel_to_rows_and_messages(options: dict[str, Any]) -> None:
    Batch("s", rows=[b"{}", b"{}"], ids=["1", "2"], messages=[b"m", b"n"])
    Batch("s", rows=[b"{}", b"{}"], ids=["1", "2"])
    with pytest.raises(ValueError, match="must be"):
        Batch("s", rows=[b"{}", b"{}"], **options)


def test_a_batch_does_not_change() -> None:
    batch = Batch("s")
    with pytest.raises(dataclasses.FrozenInstanceError):
        batch.stream = "t"  # type: ignore[misc]
