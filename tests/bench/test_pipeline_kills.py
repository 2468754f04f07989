"""kill -9, a hundred times: what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from arion_lib.bench.pipeline_kills import kill_rounds, noted
from arion_lib.pipeline.batch import Batch
from arion_lib.web import serve
from arion_lib.web.group_commit import Event, GroupCommit, Waiter

ROUNDS = int(os.environ.get("ARION_KILL_ROUNDS", "100"))
"""Kills in all; where processes cannot fork each takes seconds, and fewer make the point."""


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("rounds", [12, pytest.param(ROUNDS, marks=pytest.mark.thorough, id="all")])
def test_no_acknowledged_event_is_lost_or_doubled_whoever_is_killed(
    tmp_path: Path, record_property: Callable[[str, object], None], rounds: int
) -> None:
    books = kill_rounds(rounds if hasattr(os, "fork") else min(rounds, 12), tmp_path, seed=7)
    record_property("books", str(books))
    assert books.posts > rounds
    assert books.repeated > 0
    assert (books.lost_rows, books.doubled_rows, books.lost_messages, books.wrong_sums) == (0, 0, 0, 0)


def hasty(args: list[str]) -> int:
    """A server that answers before the commit, and commits whenever thirty batches are there."""
    held: list[Batch | Event] = []
    submit = GroupCommit._submit

    def submit_later(self: GroupCommit, batch: Batch | Event, waiter: Waiter) -> None:
        held.append(batch)
        loop = asyncio.get_running_loop()
        if len(held) >= 30:
            for one in held:
                submit(self, one, loop.create_future())
            held.clear()
        loop.call_soon(waiter.set_result, 0)

    GroupCommit._submit = submit_later  # type: ignore[method-assign]
    return serve.run(args)


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="a spawned child does not know the server that a test defines")
def test_the_same_rounds_find_out_a_server_that_answers_before_it_commits(tmp_path: Path) -> None:
    books = kill_rounds(3, tmp_path, seed=7, roles=("server",), server=hasty)
    assert books.lost_rows > 0
    assert books.lost_messages > 0
    assert not books.ok


def test_a_consumer_notes_the_events_and_not_the_sums() -> None:
    assert noted([b'{"id": "a"}', b'{"count": 3}', b'{"id": "b"}']) == b'["a", "b"]\n'
