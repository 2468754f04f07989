"""Calls, errors and times of each plugin and method, in bounded memory."""

from __future__ import annotations

import asyncio
import threading
from abc import abstractmethod
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.contracts.contract import Contract
from arion_lib.contracts.metrics import BUCKETS, QUEUE, Metrics, bucket, upper_end
from arion_lib.contracts.registry import Registry

Shelf = tuple[Registry, Any]


@given(st.integers(0, 2**55))
def test_a_bucket_holds_its_value_within_a_sixteenth(nanoseconds: int) -> None:
    end = upper_end(bucket(nanoseconds))
    assert nanoseconds <= end <= nanoseconds * 17 / 16 + 1
    assert bucket(end) == bucket(nanoseconds) < BUCKETS
    assert bucket(end + 1) == bucket(end) + 1 or bucket(end) == BUCKETS - 1


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=400))
def test_figures_agree_with_the_sorted_list(times: list[int]) -> None:
    metrics = Metrics()
    metrics.local.recorder.times += [n / 1e9 for n in times]
    figures, ordered = metrics.figures(), sorted(times)
    assert figures.calls == len(times)
    assert figures.mean == pytest.approx(sum(times) / len(times) / 1e9)
    assert figures.max == ordered[-1] / 1e9
    true = ordered[-(-len(times) * 95 // 100) - 1] / 1e9
    assert figures.p95 is not None
    assert true * 0.999_999 - 2e-9 <= figures.p95 <= true * 17 / 16 + 2e-9


def _counted(source: Any) -> Any:
    class Counted(source):
        def read(self, n: int) -> int:
            if n < 0:
                raise ValueError
            return n if n == 0 else self.read(n - 1)

    return Counted


def test_calls_and_errors_are_counted_and_a_recursive_call_once(shelf: Shelf) -> None:
    registry, source = shelf
    counted = _counted(source)
    for n in (0, 3, 10):
        counted().read(n)
    for bad in (-1, -2):
        with pytest.raises(ValueError):  # noqa: PT011 - the plugin's own
            counted().read(bad)
    figures = registry.find("sources", "counted").metrics()["read"]
    assert (figures.calls, figures.errors) == (5, 2)
    assert figures.max is not None
    assert figures.p50 is not None
    assert 0 < figures.p50 <= figures.max


def test_a_call_through_super_counts_once_and_for_the_class_that_was_called(shelf: Shelf) -> None:
    registry, source = shelf
    counted = _counted(source)

    class Below(counted):  # type: ignore[misc, valid-type]
        def read(self, n: int) -> int:
            return int(super().read(n))

    Below().read(3)
    counted().read(3)
    assert registry.find("sources", "below").metrics()["read"].calls == 1
    assert registry.find("sources", "counted").metrics()["read"].calls == 1


def test_memory_is_bounded_whatever_the_number_of_calls(shelf: Shelf) -> None:
    registry, source = shelf
    plugin = _counted(source)()
    for _ in range(5 * QUEUE):
        plugin.read(0)
    metrics = vars(type(plugin))["__contract_metrics__"]["read"]
    assert len(metrics.local.recorder.times) < QUEUE
    assert registry.find("sources", "counted").metrics()["read"].calls == 5 * QUEUE


def test_no_call_is_lost_between_threads_and_dead_threads_are_folded(shelf: Shelf) -> None:
    registry, source = shelf
    plugin = _counted(source)()

    def work() -> None:
        for _ in range(2_000):
            plugin.read(0)

    for _ in range(3):
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert registry.find("sources", "counted").metrics()["read"].calls == 24_000
    plugin.read(0)
    assert len(vars(type(plugin))["__contract_metrics__"]["read"]._recorders) <= 5


def test_a_coroutine_is_timed_to_its_end_and_tasks_do_not_disturb_each_other() -> None:
    registry = Registry()

    class Source(Contract, registry=registry, metrics=True):
        @abstractmethod
        async def read(self, n: int) -> int: ...

    class Slow(Source):
        def __init__(self) -> None:
            self.inside, self.go = asyncio.Semaphore(0), asyncio.Event()

        async def read(self, n: int) -> int:
            self.inside.release()
            await self.go.wait()
            return n

    async def main() -> int:
        slow = Slow()
        tasks = [asyncio.create_task(slow.read(n)) for n in range(3)]
        for _ in tasks:
            await asyncio.wait_for(slow.inside.acquire(), 10)
        before = registry.find("sources", "slow").metrics()["read"].calls
        slow.go.set()
        await asyncio.gather(*tasks)
        return before

    assert asyncio.run(main()) == 0
    assert registry.find("sources", "slow").metrics()["read"].calls == 3


def test_without_metrics_nothing_is_measured() -> None:
    registry = Registry()

    class Source(Contract, registry=registry):
        def read(self) -> int:
            return 1

    class Plain(Source):
        def read(self) -> int:
            return 1

    Plain().read()
    assert registry.find("sources", "plain").metrics() == {}
