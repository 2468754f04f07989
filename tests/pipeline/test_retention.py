"""What is old is forgotten while the service runs, and an error of the store does not end that."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from arion_lib.pipeline.batch import Batch, DeadLetter
from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.store import Pruned, StoreBusy
from arion_lib.pipeline.stores.pruning import SLICE
from arion_lib.pipeline.stores.retention import Retention
from arion_lib.pipeline.stores.sqlite import SqliteStore
from tests.pipeline.databases import Database, database

__all__ = ["database"]  # the fixture
PATIENCE = 30.0


def test_old_rows_and_ids_go_and_the_rest_stays(no_leaks: None, tmp_path: Path) -> None:
    now = 1_000_000.0
    with SqliteStore(tmp_path / "s.db", clock=lambda: now) as store:
        store.commit(Batch("s", [b"{}"], ids=["a"], deliveries=[Delivery("d", 1, True)]))
        retention = Retention(store, keep=1_000.0, remember=10_000.0)
        assert retention.prune() == Pruned()
        now += 1_100.0
        assert retention.prune().rows == 0, "its age is known since the first pruning"
        store.commit(Batch("s", [b"{}"]))
        now += 1_100.0
        assert retention.prune().rows == 1
        assert store.done("s", "d") is not None
        now += 10_000.0
        assert (lambda gone: (gone.deliveries, gone.ids))(retention.prune()) == (1, 1)
        assert Retention(store).prune().rows == 0, "rows stay unless one asks"


def test_a_stream_may_keep_its_rows_longer_shorter_or_for_ever(database: Database) -> None:
    now = 1_000_000.0
    with database.open(clock=lambda: now) as store:
        for stream in ("short", "long", "forever", "other"):
            store.commit(Batch(stream, [b"{}"], dead=[DeadLetter(1, 0, "bad", b"x")]))
        own = {"short": 100.0, "long": 10_000.0, "forever": math.inf, "unseen": 1.0}
        retention = Retention(store, keep=1_000.0, own=own)
        left = lambda: [one for one in ("short", "long", "forever", "other") if store.rows(one)]  # noqa: E731
        now += 100.0
        assert retention.prune().rows == 0, "their age is known since now"
        for age, expected in [
            (200.0, ["long", "forever", "other"]),
            (1_200.0, ["long", "forever"]),
            (20_000.0, ["forever"]),
        ]:
            now = 1_000_100.0 + age
            gone = retention.prune()
            assert (left(), gone.rows, gone.dead) == (expected, 1, 1)
        assert Retention(store, own={"forever": 1.0}).prune().rows == 1, "a stream alone may have one"


def test_rows_may_be_kept_for_longer_than_a_year_and_are_forgotten_all_the_same(database: Database) -> None:
    day = 86_400.0
    now = 1_000_000.0
    with database.open(clock=lambda: now) as store:
        store.commit(Batch("s", [b"{}"]))
        for days, expected in [(1, 0), (200, 0), (390, 0), (402, 1)]:
            now = 1_000_000.0 + days * day
            assert store.prune(rows=400 * day).rows == expected


def test_a_commit_waits_for_one_slice_of_a_pruning_at_most(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000_000.0
    with database.open(clock=lambda: now) as store, database.open() as sender:
        store.commit(Batch("old", [b"{}"] * (3 * SLICE + 5)))
        now += 100.0
        assert store.prune(rows=50.0).rows == 0, "their age is known since now"
        now += 100.0
        held: list[int] = []

        @contextmanager
        def watched(durable: bool = True) -> Iterator[Any]:
            before = len(sender.rows("old", limit=10 * SLICE))
            with transaction(durable) as db:
                yield db
            held.append(before - len(sender.rows("old", limit=10 * SLICE)))
            sender.commit(Batch("new", [b"{}"]))  # the lock is free, and nobody has to wait for the whole

        transaction = store._connections.transaction
        monkeypatch.setattr(store._connections, "transaction", watched)
        assert store.prune(rows=50.0).rows == 3 * SLICE + 5
        assert (max(held), sum(held)) == (SLICE, 3 * SLICE + 5)
        assert len(sender.rows("new")) == len(held)


def test_an_error_of_the_store_does_not_end_it(no_leaks: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = threading.Semaphore(0)

    def busy(**_: object) -> Pruned:
        asked.release()
        raise StoreBusy("locked")

    with SqliteStore(tmp_path / "s.db") as store:
        monkeypatch.setattr(store, "prune", busy)
        with Retention(store, every=0.001):
            for _ in range(3):
                assert asked.acquire(timeout=PATIENCE)


def test_nonsense_is_refused_when_it_is_made(tmp_path: Path) -> None:
    with SqliteStore(tmp_path / "s.db") as store, pytest.raises(ValueError, match="must be > 0 seconds"):
        Retention(store, keep=0.0)
