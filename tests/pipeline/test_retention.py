"""What is old is forgotten while the service runs, and an error of the store does not end that."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from arion_lib.pipeline.batch import Batch
from arion_lib.pipeline.deliveries import Delivery
from arion_lib.pipeline.store import Pruned, StoreBusy
from arion_lib.pipeline.stores.retention import Retention
from arion_lib.pipeline.stores.sqlite import SqliteStore

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
