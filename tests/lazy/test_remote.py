"""Calls of another machine: tried again, paced; `catch` is in test_failure.py."""

from __future__ import annotations

import asyncio
import pickle
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from arion_lib.lazy import lazy
from arion_lib.lazy.remote import calls
from arion_lib.lazy.remote.calls import Pace, Retrying
from tests.lazy.counted import Counted

pytestmark = pytest.mark.usefixtures("no_leaks")


class Flaky:
    """Fails `failures` times for each element, then returns it."""

    def __init__(self, failures: int, error: type[Exception] = ConnectionError) -> None:
        self.failures, self.error = failures, error
        self.calls: Counter[Any] = Counter()

    def __call__(self, x: Any) -> Any:
        self.calls[x] += 1
        if self.calls[x] <= self.failures:
            raise self.error(f"call {self.calls[x]}")
        return x


HOWS: list[dict[str, Any]] = [{}, {"threads": 2}, {"threads": 2, "ordered": False}, {"concurrency": 3}]


def described(flaky: Flaky, how: dict[str, Any], times: int, *errors: type[Exception]) -> Any:
    async def awaited(x: Any) -> Any:
        return flaky(x)

    mapped: Any = lazy(range(5)).map(awaited if "concurrency" in how else flaky, **how)
    return mapped.retry(times, *errors)


@pytest.mark.parametrize("how", HOWS)
def test_retry_calls_again_as_often_as_it_says_and_no_more(how: dict[str, Any]) -> None:
    flaky = Flaky(2)
    assert sorted(described(flaky, how, 2, ConnectionError).to_list()) == list(range(5))
    assert flaky.calls == dict.fromkeys(range(5), 3)
    with pytest.raises(ConnectionError, match="call 2"):  # the control: one time less
        described(Flaky(2), how, 1, ConnectionError).to_list()


@pytest.mark.parametrize("how", HOWS)
def test_retry_lets_other_errors_through_at_once(how: dict[str, Any]) -> None:
    flaky = Flaky(1, KeyError)
    with pytest.raises(KeyError) as caught:
        described(flaky, how, 5, ConnectionError, TimeoutError).to_list()
    assert max(flaky.calls.values()) == 1
    assert caught.value.__notes__[0].startswith("in stage 1 of 1, map(")
    assert caught.value.__notes__[0].split("on element ")[1] in map(str, range(5))


def test_retry_waits_twice_as_long_before_each_further_call(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(calls.time, "sleep", slept.append)
    assert lazy([7]).map(Flaky(3)).retry(3, ConnectionError, wait=0.5).to_list() == [7]
    assert slept == [0.5, 1, 2]


def test_coroutines_wait_on_the_loop_and_not_in_its_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr(calls.time, "sleep", lambda _: pytest.fail("it held the event loop up"))
    flaky = Flaky(2)

    async def awaited(x: int) -> int:
        return int(flaky(x))

    with monkeypatch.context() as patched:
        patched.setattr(asyncio, "sleep", sleep)
        assert lazy([7]).map(awaited, concurrency=1).retry(2, ConnectionError, wait=9).to_list() == [7]
    assert waited == [9, 18]


def test_what_is_left_after_the_retries_can_be_caught() -> None:
    seen: list[Any] = []
    flaky = Flaky(2)
    c = lazy("ab").map(flaky).retry(1, ConnectionError)
    assert c.catch(ConnectionError, on_error=lambda x, error: seen.append((x, str(error)))).to_list() == []
    assert seen == [("a", "call 2"), ("b", "call 2")]


def test_a_retried_map_is_shown_as_one_and_cut_as_one() -> None:
    c = lazy(range(100)).map(str).retry(2, OSError)
    assert repr(c) == "lazy(range(0, 100)).map(str, retry=2)"
    assert repr(c.catch(OSError)) == "lazy(range(0, 100)).map(str, retry=2).catch(OSError)"
    flaky = Flaky(1)
    assert lazy(range(100)).map(flaky).retry(1, ConnectionError).page(3, 2).to_list() == [4, 5]
    assert set(flaky.calls) == {4, 5}
    assert lazy([1]).map(lambda x: x + 1).retry(1, OSError).compile().to_list() == [2]
    again = pickle.loads(pickle.dumps(lazy([1]).map(str).retry(1, OSError)))
    assert again.to_list() == ["1"]


@pytest.mark.parametrize(
    ("misuse", "error", "message"),
    [
        (lambda: lazy([1]).retry(1, OSError), TypeError, "retry.. must follow a map, got list of 1"),
        (lambda: lazy([1]).filter(abs).retry(1, OSError), TypeError, r"must follow a map, got filter\(abs\)"),
        (lambda: lazy([1]).filter(abs, threads=1).retry(1, OSError), TypeError, "must follow a map"),
        (lambda: lazy([1]).map(abs).retry(0, OSError), ValueError, "times must be >= 1, got 0"),
        (lambda: lazy([1]).map(abs).retry(1), TypeError, "errors must be types of exception, got none"),
        (lambda: lazy([1]).map(abs).retry(1, KeyboardInterrupt), TypeError, "errors must be types of exception"),
        (lambda: lazy([1]).map(abs).retry(1, OSError, wait=-1), ValueError, "wait must be >= 0"),
        (lambda: lazy([1]).map(abs).retry(1, OSError, wait="1"), TypeError, "wait must be a number, got '1'"),
        (lambda: lazy([1]).throttle(0), ValueError, "per_second must be > 0, got 0"),
        (lambda: lazy([1]).throttle(float("nan")), ValueError, "per_second must be >= 0 and finite"),
        (lambda: lazy([1]).throttle(True), TypeError, "per_second must be a number, got True"),
    ],
)  # fmt: skip
def test_misuse_is_refused_where_it_is_written(
    misuse: Callable[[], object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        misuse()


class Clock:
    """A clock that only sleeping and `spend` move."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def spend(self, seconds: float) -> None:
        self.now += seconds


def left_at(clock: Clock, pace: Pace | None, work: list[float]) -> list[float]:
    """Return when each element leaves, where the work behind takes so long for each."""
    due, times = 0.0, []
    for seconds in work:
        due = pace(due) if pace is not None else due
        times.append(clock.now - 100)
        clock.spend(seconds)
    return times


def test_elements_leave_no_closer_than_the_rate_allows_and_a_slow_reader_waits_for_nothing() -> None:
    work = [0.0, 0.0, 0.25, 2.0, 0.0, 0.0]
    clock = Clock()
    assert left_at(clock, Pace(2, clock, clock.spend), work) == [0, 0.5, 1.0, 1.5, 3.5, 4.0]
    assert left_at(Clock(), None, work) == [0, 0, 0, 0.25, 2.25, 2.25]  # the control


def test_throttle_paces_the_loop_and_changes_no_element(monkeypatch: pytest.MonkeyPatch) -> None:
    paced: list[float] = []

    def pace(self: Pace, due: float) -> float:
        paced.append(due)
        return due + 1

    monkeypatch.setattr(Pace, "__call__", pace)
    source = Counted(range(9))
    c = lazy(source).throttle(10).map(str)
    assert repr(c) == "lazy(Counted).throttle(10).map(str)"
    assert paced == []
    assert c.take(3).to_list() == ["0", "1", "2"]
    assert (paced, source.pulled) == ([0, 1, 2], 3)


def test_async_for_does_not_wait_in_the_loops_thread() -> None:
    assert lazy([1]).throttle(5).waits
    assert lazy([1]).map(str).retry(1, OSError).waits
    assert lazy([1]).map(str).retry(1, OSError).catch(OSError).waits
    assert not lazy([1]).map(str).catch(OSError).waits  # the control


def test_a_retrying_function_says_what_it_calls() -> None:
    assert Retrying(len, 2, (OSError,), 0).__qualname__ == "len, retry=2"
