"""The cache: one pull an element, for every reader."""

from __future__ import annotations

import gc
import itertools
import pickle
import threading
import traceback
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from arion_lib.lazy import lazy
from arion_lib.lazy.cache.replay import Replay
from tests.lazy.counted import Calls, Counted

TICK = 0.02  # seconds: a deadline that is meant to pass where the other thread has to wait


def triple(x: int) -> int:
    return x * 3


def calls_of_two_passes(make: Callable[[Any], Any]) -> int:
    calls = Calls(triple)
    c = make(lazy(range(5)).map(calls))
    assert list(c) == list(c) == [0, 3, 6, 9, 12]
    return calls.count


def test_a_cache_computes_once_and_without_it_each_pass_computes_again() -> None:
    assert calls_of_two_passes(lambda c: c.cache()) == 5
    assert calls_of_two_passes(lambda c: c) == 10


def test_making_a_cache_pulls_nothing() -> None:
    source = Counted(range(5))
    lazy(source).cache()
    assert source.pulled == 0


def test_a_partial_read_goes_on_where_it_stopped() -> None:
    source = Counted(range(10))
    cached = lazy(source).cache()
    assert cached.take(3).to_list() == [0, 1, 2]
    assert source.pulled == 3
    assert cached.take(5).to_list() == [0, 1, 2, 3, 4]
    assert (source.pulled, source.passes) == (5, 1)


def test_derived_pipelines_share_what_was_pulled() -> None:
    source = Counted(range(10))
    cached = lazy(source).map(triple).cache()
    assert cached.filter(lambda x: x % 2).first() == 3
    assert cached.map(str).take(3).to_list() == ["0", "3", "6"]
    assert cached.sum() == 135
    assert (source.pulled, source.passes) == (10, 1)


def test_a_cache_makes_a_one_shot_source_re_iterable() -> None:
    cached = lazy(x for x in range(3)).cache()
    assert cached.to_list() == cached.to_list() == [0, 1, 2]


def test_an_infinite_source_can_be_cached() -> None:
    cached = lazy(itertools.count).cache()
    assert cached[7] == 7
    assert cached[2:4].to_list() == [2, 3]


def test_interleaved_readers_see_the_same() -> None:
    source = Counted(range(6))
    cached = lazy(source).cache()
    a, b = iter(cached), iter(cached)
    assert [next(a), next(b), next(b), next(b), next(a)] == [0, 0, 1, 2, 1]
    assert source.pulled == 3


def test_a_page_of_a_filled_cache_is_read_by_index() -> None:
    calls = Calls(triple)
    cached = lazy(range(100)).map(calls).cache()
    assert cached.count() == 100
    assert cached.page(10, 10).to_list() == [x * 3 for x in range(90, 100)]
    assert calls.count == 100


def test_threads_that_read_together_pull_each_element_once() -> None:
    source = Counted(range(2_000))
    cached = lazy(source).cache()
    begin = threading.Barrier(4)
    results: list[list[int]] = []

    def read() -> None:
        begin.wait(20)
        results.append(list(cached))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [list(range(2_000))] * 4
    assert source.pulled == 2_000


def failing() -> Iterator[int]:
    yield 1
    raise OSError("gone")


def looks_complete_after_an_error(read: Callable[[], list[int]]) -> bool:
    with pytest.raises(OSError, match="gone"):
        read()
    try:
        read()
    except OSError:
        return False
    return True


def test_a_broken_cache_stays_broken_and_a_half_read_generator_looks_complete() -> None:
    cached, bare = lazy(failing).cache(), failing()
    assert not looks_complete_after_an_error(cached.to_list)
    assert looks_complete_after_an_error(lambda: list(bare))
    assert cached.first() == 1


def rows_that_fail(failures: int, error: type[BaseException] = OSError) -> Callable[[], Iterator[int]]:
    """A source that fails behind its second element in its first few passes."""
    passes = itertools.count()

    def rows() -> Iterator[int]:
        yield from (1, 2)
        if next(passes) < failures:
            raise error("gone")
        yield from (3, 4)

    return rows


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt])
def test_a_cache_goes_on_after_an_error_that_passes(error: type[BaseException]) -> None:
    calls = Calls(triple)
    cached = lazy(rows_that_fail(2, error)).cache().map(calls).cache()
    for _ in range(2):
        with pytest.raises(error):
            cached.to_list()
        assert cached.take(2).to_list() == [3, 6]
    assert cached.to_list() == cached.to_list() == [3, 6, 9, 12]
    assert calls.count == 2 * 3 + 2  # a pass that failed is repeated; what was read is not handed out twice


def test_a_one_shot_source_that_failed_behind_a_cache_says_so() -> None:
    for read in (0, 1):
        cached = lazy(iter(rows_that_fail(1)())).skip(2 * (1 - read)).cache()
        with pytest.raises(OSError, match="gone"):
            cached.to_list()
        with pytest.raises(RuntimeError, match=rf"ended after {2 * read} elements with OSError: gone; call \.cache"):
            cached.to_list()


def test_a_source_that_shrank_after_an_error_does_not_look_complete() -> None:
    passes = itertools.count()

    def shrinking() -> Iterator[int]:
        yield 1
        if next(passes) == 0:
            yield 2
            raise OSError("gone")

    cached = lazy(shrinking).cache()
    with pytest.raises(OSError, match="gone"):
        cached.to_list()
    with pytest.raises(RuntimeError, match=r"got 1 where 2 were read before; call \.refresh\(\)"):
        cached.to_list()
    cached.refresh()
    assert cached.to_list() == [1]


class Witness:
    """Something whose life can be watched."""


def kept_alive_by_a_failure(read: Callable[[], object]) -> tuple[int, bool]:
    """The longest traceback of many reads, and whether a variable of a reader outlives its call."""
    seen: list[weakref.ref[Witness]] = []

    def reader() -> int:
        witness = Witness()
        seen.append(weakref.ref(witness))
        try:
            read()
        except OSError as error:
            return sum(1 for _ in traceback.walk_tb(error.__traceback__)) + len(getattr(error, "__notes__", ()))
        raise AssertionError("it should have failed")

    lengths = [reader() for _ in range(20)]
    gc.collect()
    return max(lengths) - min(lengths), any(ref() for ref in seen)


def test_a_failed_cache_keeps_no_traceback_and_no_variables_of_its_readers() -> None:
    cached = lazy(rows_that_fail(10**9)).map(triple).cache()
    error = OSError("one object, raised again and again")

    def raise_the_same() -> object:
        raise error

    assert kept_alive_by_a_failure(cached.to_list) == (0, False)
    assert kept_alive_by_a_failure(raise_the_same)[1]  # the control


def test_a_cache_can_be_refreshed() -> None:
    source = Counted(range(3))
    cached = lazy(source).cache()
    derived = cached.map(triple)
    half = iter(cached)
    next(half)
    assert derived.to_list() == derived.to_list() == [0, 3, 6]
    derived.refresh()
    assert cached.take(1).to_list() == [0]
    assert source.passes == 2
    with pytest.raises(RuntimeError, match="refreshed while it was being read"):
        list(half)
    with pytest.raises(TypeError, match=r"must have a cache to empty, got list of 1; call \.cache\(\) first"):
        lazy([1]).refresh()


def test_a_pickled_cache_holds_what_was_read_and_goes_on_from_there() -> None:
    calls.clear()
    cached = lazy(range(4)).map(noted).cache()
    assert cached.take(2).to_list() == [0, 1]
    copy = pickle.loads(pickle.dumps(cached))
    assert copy.take(2).to_list() == [0, 1]
    assert calls == [0, 1]
    assert copy.map(triple).to_list() == [0, 3, 6, 9]
    assert calls == [0, 1, 0, 1, 2, 3]  # upstream begins anew in the copy
    whole = pickle.loads(pickle.dumps(copy))
    assert whole.to_list() == [0, 1, 2, 3]
    assert calls == [0, 1, 0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="must have its source to be refreshed"):
        whole.refresh()


calls: list[int] = []


def noted(x: int) -> int:
    calls.append(x)
    return x


def test_a_pickled_pipeline_knows_the_marker_for_nothing() -> None:
    running = lazy([1, 2]).scan(max)
    assert pickle.loads(pickle.dumps(running)).to_list() == running.to_list() == [1, 2]


def test_the_text_of_nested_caches_stays_short() -> None:
    c: Any = lazy([1])
    for _ in range(100):
        c = c.map(triple).cache()
    assert len(repr(c)) < 120
    assert repr(c).startswith("lazy(cache of lazy(cache of ")


def test_a_function_may_look_into_the_cache_it_fills() -> None:
    seen: list[list[int]] = []
    replay: Replay[int]

    def look(x: int) -> int:
        seen.append(list(itertools.islice(replay.window(0, None), x)))
        return x

    replay = Replay(lazy(range(3)).map(look))
    assert list(replay) == [0, 1, 2]
    assert seen == [[], [0], [0, 1]]
    assert (replay.kept, replay.finished) == (3, True)


class Meeting(Replay[int]):
    """A cache that another thread empties just after a reader has seen that it is finished."""

    __slots__ = ("emptied",)
    emptied: bool

    @property
    def _finished(self) -> bool:  # type: ignore[override]
        finished: bool = Replay._finished.__get__(self)  # type: ignore[attr-defined]
        if finished and not self.emptied:
            self.emptied = True
            thread = threading.Thread(target=self.empty)
            thread.start()
            thread.join(TICK)
        return finished

    @_finished.setter
    def _finished(self, finished: bool) -> None:
        Replay._finished.__set__(self, finished)  # type: ignore[attr-defined]


def test_a_cache_that_is_emptied_while_a_reader_begins_never_looks_like_an_empty_one() -> None:
    cache = Meeting(range(5))
    cache.emptied = True
    assert list(cache) == [0, 1, 2, 3, 4]
    cache.emptied = False
    assert list(cache) == [0, 1, 2, 3, 4]
    assert cache.emptied
