"""kill -9, a hundred times: what was acknowledged is there, once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.broker import Claim
from arion_lib.web import serve
from arion_lib.web.committing.joining import Event
from arion_lib.web.committing.waiters import Waiter
from arion_lib.web.group_commit import GroupCommit
from tests.chaos.kills import PAIR, kill_rounds, noted
from tests.pipeline.databases import Database, database

__all__ = ["database"]  # the fixture

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
    assert books.mistakes == {}


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("rounds", [4, pytest.param(ROUNDS, marks=pytest.mark.thorough, id="all")])
def test_two_servers_on_one_store_lose_and_double_nothing_whichever_is_killed(
    database: Database, tmp_path: Path, record_property: Callable[[str, object], None], rounds: int
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    rounds = rounds if hasattr(os, "fork") else min(rounds, 4)
    books = kill_rounds(rounds, folder, seed=11, roles=PAIR, victims=PAIR[:2], store=database.url, most_acks=10)
    record_property("books", str(books))
    assert sum(books.kills.values()) == rounds
    assert books.posts > rounds
    assert books.mistakes == {}


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
    books = kill_rounds(3, tmp_path, seed=7, victims=("server",), server=hasty)
    assert books.lost_rows > 0
    assert books.lost_messages > 0
    assert not books.ok


def test_a_consumer_notes_the_events_and_not_the_sums() -> None:
    claim = Claim("1", "s", [b'{"id": "a"}', b'{"count": 3}', b'{"id": "b"}'], 1, ["f.1", "f.2", "f.3"])
    assert noted(claim) == b'[["a", "f.1"], ["b", "f.3"]]\n'
