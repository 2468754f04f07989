"""The cache: one pull an element, for every reader."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from arion_lib.lazy import lazy
from arion_lib.lazy.replay import Replay
from tests.lazy.counted import Calls, Counted


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


def test_an_interrupted_cache_does_not_look_complete_either() -> None:
    def interrupted() -> Iterator[int]:
        yield 1
        raise KeyboardInterrupt

    cached = lazy(interrupted).cache()
    with pytest.raises(KeyboardInterrupt):
        cached.to_list()
    with pytest.raises(RuntimeError, match=r"interrupted by KeyboardInterrupt after 1 elements; call \.cache\(\)"):
        cached.to_list()


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
