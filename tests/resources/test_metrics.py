"""Counts are exact, what is pending is bounded."""

from __future__ import annotations

import threading

import pytest

from arion_lib.resources import Resources, resource
from arion_lib.resources.monitoring.metrics import PENDING, Figures, Meter
from tests.resources.probes import MODES, Log, manager, run


def test_what_is_pending_is_bounded() -> None:
    managed = Resources(a=Log().probe("a"))
    for _ in range(3 * PENDING):
        with managed:
            pass
    meter = managed._meters["a"]
    assert max(len(meter.acquired), len(meter.released)) <= PENDING + 1
    assert managed.snapshot()["a"].acquisitions == 3 * PENDING


def test_threads_that_count_at_once_lose_nothing() -> None:
    meter, barrier = Meter(), threading.Barrier(4, timeout=10)

    def count() -> None:
        barrier.wait()
        for _ in range(5_000):
            meter.acquired.append(1.0)
            if len(meter.acquired) > 64:
                meter.tidy()
            meter.failed("acquire")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    figures = meter.figures()
    assert (figures.acquisitions, figures.failures) == (20_000, {"acquire": 20_000})


@pytest.mark.parametrize("mode", MODES)
def test_the_snapshot_counts_what_is_open_and_what_failed_where(mode: str) -> None:
    log = Log()
    managed = manager(mode, a=log.probe("a", on_close=ValueError("late")), b=resource(log.probe("b"), after=["a"]))
    seen = []
    with pytest.raises(ValueError, match="late"):
        run(mode, managed, lambda r: seen.append(managed.snapshot()["a"].open))
    figures = managed.snapshot()
    assert seen == [1]
    assert (figures["a"].acquisitions, figures["a"].open, figures["a"].failures) == (1, 0, {"release": 1})
    assert figures["b"].failures == {}
    assert figures["b"].acquire.count == figures["b"].hold.count == figures["b"].release.count == 1


def test_managers_of_one_class_are_counted_together() -> None:
    class Shop(Resources):
        db = resource(lambda: Log().probe("db"))

    for _ in range(3):
        with Shop():
            pass
    with Shop().override(db=Log().probe("fake")) as fake:
        assert fake.snapshot()["db"].acquisitions == 1
    assert Shop().snapshot()["db"].acquisitions == 3


def test_a_snapshot_is_taken_while_another_thread_opens_a_resource(monkeypatch: pytest.MonkeyPatch) -> None:
    log, figures = Log(), Meter.figures
    with Resources(a=log.probe("a")) as r:

        def counted(self: Meter) -> Figures:
            monkeypatch.undo()  # once
            thread = threading.Thread(target=r.acquire, args=("b", log.probe("b")))
            thread.start()
            thread.join()
            return figures(self)

        monkeypatch.setattr(Meter, "figures", counted)
        assert list(r.snapshot()) == ["a"]
        assert list(r.snapshot()) == ["a", "b"]
