"""Calls, errors and times of each plugin and method, in bounded memory."""

from __future__ import annotations

import asyncio
import math
import threading
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arion_lib.contracts.contract import Contract
from arion_lib.contracts.plugins.metrics import ALL_TIMED, FAST, STRIDE, Metrics, Recorder
from arion_lib.contracts.registry import Registry
from arion_lib.histogram import BUCKETS
from tests.contracts.shop import a_shelf
from tests.together import together

Shelf = tuple[Registry, Any]


def _record(recorder: Recorder, times: Iterable[float]) -> None:
    """Do what a guard does, with a clock that tells these times."""
    for seconds in times:
        if recorder.calls >= recorder.next:
            recorder.sample(seconds)
        recorder.calls += 1


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=400))
def test_figures_agree_with_the_sorted_list(times: list[int]) -> None:
    metrics = Metrics()
    _record(metrics.local.recorder, (n / 1e9 for n in times))
    figures, ordered = metrics.figures(), sorted(times)
    assert figures.calls == figures.timed == len(times)
    assert figures.mean == pytest.approx(sum(times) / len(times) / 1e9)
    assert figures.max == ordered[-1] / 1e9
    true = ordered[-(-len(times) * 95 // 100) - 1] / 1e9
    assert figures.p95 is not None
    assert figures.p95 == pytest.approx(true, rel=0.0101, abs=2e-9)


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
    assert 0 <= figures.p50 <= figures.max  # a coarse clock may say 0


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


@pytest.mark.parametrize("period", [2, 3, 5, 7, 10, 16, STRIDE - 1, STRIDE, 2 * STRIDE])
def test_of_fast_calls_a_sample_is_timed_that_no_rhythm_of_the_caller_misleads(period: int) -> None:
    times = [0.8 * FAST if n % period == 0 else 0.02 * FAST for n in range(60_000)]
    recorder = Recorder()
    _record(recorder, times)
    figures = recorder.figures()
    assert figures.calls == len(times)
    assert figures.timed - ALL_TIMED == pytest.approx(len(times) / STRIDE, rel=0.05)
    assert figures.mean == pytest.approx(sum(times) / len(times), rel=0.15)
    assert figures.max == max(times)
    even = times[::STRIDE]  # the control: each 32nd call meets too many of the slow ones
    misled = sum(even) / len(even) > 1.15 * sum(times) / len(times)
    assert misled is (math.gcd(period, STRIDE) > 1)


def test_each_call_of_a_method_that_is_not_fast_is_timed() -> None:
    times = [FAST * (2 + n % 7) for n in range(3 * ALL_TIMED)]
    recorder = Recorder()
    _record(recorder, [*times, 1.0])
    figures = recorder.figures()
    assert figures.timed == figures.calls == len(times) + 1
    assert figures.max == 1.0
    assert figures.mean == pytest.approx((sum(times) + 1) / (len(times) + 1))
    hasty = Recorder()
    _record(hasty, [FAST / 50] * len(times))  # the control
    assert hasty.figures().timed < hasty.calls


def test_a_sampled_call_stands_for_those_before_it() -> None:
    recorder = Recorder()
    _record(recorder, [FAST / 10] * 22_000 + [10 * FAST] * 18_000)
    figures = recorder.figures()
    assert figures.mean == pytest.approx((0.55 * 0.1 + 0.45 * 10) * FAST, rel=0.01)
    assert figures.p50 is not None
    assert figures.p50 < FAST < (figures.p95 or 0)
    assert (
        recorder.times.total / recorder.timed > 9 * FAST / 1.1
    )  # the control: unweighted, the slow ones count for all


def test_memory_is_bounded_whatever_the_number_of_calls(shelf: Shelf) -> None:
    registry, source = shelf
    plugin = _counted(source)()
    for _ in range(5 * ALL_TIMED):
        plugin.read(0)
    figures = registry.find("sources", "counted").metrics()["read"]
    assert figures.calls == 5 * ALL_TIMED
    assert figures.timed >= ALL_TIMED
    recorder = Recorder()
    _record(recorder, (n / 1e6 for n in range(5 * BUCKETS)))
    assert len(recorder.times.counts) <= BUCKETS


def test_clear_forgets_all_calls(shelf: Shelf) -> None:
    _, source = shelf
    plugin = _counted(source)()
    for _ in range(2 * ALL_TIMED):
        plugin.read(0)
    metrics: Metrics = vars(type(plugin))["__contract_metrics__"]["read"]
    metrics.clear()
    assert metrics.figures().calls == 0
    plugin.read(0)
    assert (metrics.figures().calls, metrics.figures().timed) == (1, 1)


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


def test_no_call_is_lost_when_many_threads_make_the_first_one() -> None:
    for _ in range(50):
        registry, source = a_shelf()
        plugin = _counted(source)()
        assert together(6, plugin.read) == [plugin.read(0)] * 6
        assert registry.find("sources", "counted").metrics()["read"].calls == 7
