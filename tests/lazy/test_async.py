"""Coroutines and asynchronous sources in a pipeline, and `async for` over what waits."""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from arion_lib.lazy import lazy
from arion_lib.lazy.source import SpentError

pytestmark = pytest.mark.usefixtures("no_leaks")

PATIENCE = 20.0
REQUEST: ContextVar[str] = ContextVar("REQUEST", default="none")


async def squared(x: int) -> int:
    await asyncio.sleep(0)
    return x * x


async def fragile(x: int) -> int:
    if x == 5:
        raise ValueError("five")
    return x


async def rows() -> AsyncIterator[int]:
    for x in range(5):
        await asyncio.sleep(0)
        yield x


async def collected(c: Any) -> list[Any]:
    return [x async for x in c]


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        (lambda: lazy(range(9)).map(squared, concurrency=3), [x * x for x in range(9)]),
        (lambda: lazy(range(9)).filter(squared, concurrency=3), list(range(1, 9))),
        (lambda: lazy(range(9)).map(squared, concurrency=3).map(squared, concurrency=2).take(2), [0, 1]),
        (lambda: lazy(rows).map(abs), list(range(5))),
        (lambda: lazy(rows).skip(1).map(squared, concurrency=2).batch(3), [[1, 4, 9], [16]]),
        (lambda: lazy(rows()).cache().skip(3), [3, 4]),
        (lambda: lazy("ab").zip(lazy(rows)), [("a", 0), ("b", 1)]),
        (lambda: lazy("ab").zip(lazy(rows).cache()), [("a", 0), ("b", 1)]),
        (lambda: lazy(range(3)).map(abs, threads=2).map(squared, concurrency=2), [0, 1, 4]),
    ],
)  # fmt: skip
def test_a_pipeline_with_coroutines_gives_the_same_in_a_for_and_in_an_async_for(described: Any, expected: Any) -> None:
    assert described().to_list() == list(described()) == expected
    assert asyncio.run(collected(described())) == expected

    async def in_a_coroutine() -> Any:
        return described().to_list()  # as in a notebook's cell: it holds up the loop, and works

    assert asyncio.run(in_a_coroutine()) == expected


def test_coroutines_overlap_up_to_their_concurrency() -> None:
    under_way = most = 0

    async def counting(x: int, company: asyncio.Barrier | None) -> int:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if company is not None:
            await company.wait()
        under_way -= 1
        return x

    pairs = asyncio.Barrier(2)  # nobody goes on alone
    assert lazy(range(20)).map(partial(counting, company=pairs), concurrency=4).to_list() == list(range(20))
    assert 2 <= most <= 4
    most = 0
    assert lazy(range(20)).map(partial(counting, company=None), concurrency=1).count() == 20
    assert most == 1


def test_coroutines_run_on_the_loop_of_the_async_for_in_its_context() -> None:
    async def where(_: object) -> tuple[object, str]:
        return asyncio.get_running_loop(), REQUEST.get()

    async def run() -> bool:
        REQUEST.set("mine")
        found = [pair async for pair in lazy(range(3)).map(where, concurrency=2)]
        return found == [(asyncio.get_running_loop(), "mine")] * 3

    assert asyncio.run(run())


@pytest.mark.parametrize("ordered", [True, False])
def test_an_error_in_a_coroutine_names_stage_and_element(ordered: bool) -> None:
    c = lazy(range(9)).map(fragile, concurrency=2, ordered=ordered)
    label = "map(fragile, concurrency=2)" if ordered else "map(fragile, concurrency=2, ordered=False)"
    for run in (c.to_list, lambda: asyncio.run(collected(c))):
        with pytest.raises(ValueError, match="five") as caught:
            run()
        assert caught.value.__notes__[0] == f"in stage 1 of 1, {label}, on element 5"


def test_a_plain_function_given_a_concurrency_is_an_error_with_its_element() -> None:
    with pytest.raises(TypeError, match="await") as caught:
        lazy([7]).map(abs, concurrency=2).to_list()  # type: ignore[arg-type]
    assert caught.value.__notes__[0] == "in stage 1 of 1, map(abs, concurrency=2), on element 7"


def test_an_asynchronous_iterator_is_read_once_and_a_function_makes_it_anew() -> None:
    once, again = lazy(rows()), lazy(rows)
    assert once.to_list() == again.to_list() == again.to_list() == list(range(5))
    with pytest.raises(SpentError, match="second pass over async_generator"):
        once.to_list()


def test_an_error_of_an_asynchronous_source_is_named() -> None:
    async def breaking() -> AsyncIterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone") as caught:
        lazy(breaking).batch(2).to_list()
    assert caught.value.__notes__[0].startswith("in the source, breaking()")


def test_an_asynchronous_source_that_is_left_early_is_closed() -> None:
    closed: list[str] = []

    async def endless() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread().name)

    assert lazy(endless).first() == 1
    assert len(closed) == 1

    async def leave() -> None:
        async with contextlib.aclosing(aiter(lazy(endless).map(abs))) as elements:  # type: ignore[type-var]
            async for _ in elements:
                break

    asyncio.run(leave())
    assert closed[1:] == [threading.current_thread().name]


def loop_was_held(run: Any, patience: float = PATIENCE) -> bool:
    """Whether a call that waits for the loop to turn waits in vain while `run` gets its first element."""
    turned = threading.Event()

    async def both() -> bool:
        first = asyncio.ensure_future(run(lambda x: turned.wait(patience)))
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_later(0.01, turned.set)
        return not await first

    return asyncio.run(both())


def test_an_async_for_over_threads_never_holds_the_loop_and_a_plain_for_does() -> None:
    async def in_async_for(fn: Any) -> object:
        return await anext(aiter(lazy([1]).map(fn, threads=1)))

    async def in_async_for_behind_a_cache(fn: Any) -> object:
        return await anext(aiter(lazy([1]).map(fn, threads=1).cache().map(bool)))

    async def in_for(fn: Any) -> object:
        return lazy([1]).map(fn, threads=1).first()

    assert not loop_was_held(in_async_for)
    assert not loop_was_held(in_async_for_behind_a_cache)
    assert loop_was_held(in_for, 0.5)


def test_a_cancelled_async_for_cancels_its_coroutines() -> None:
    cancelled: list[int] = []

    async def stuck(x: int) -> int:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(x)
            raise
        return x

    async def run() -> None:
        task = asyncio.ensure_future(collected(lazy(range(3)).map(stuck, concurrency=3)))
        while len(asyncio.all_tasks()) < 5:  # this one, the async for, three calls
            await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, PATIENCE)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())
    assert sorted(cancelled) == [0, 1, 2]


def test_leaving_an_async_for_over_coroutines_leaves_no_task() -> None:
    async def run() -> None:
        c = lazy(range(100)).map(squared, concurrency=10)
        async with contextlib.aclosing(aiter(c)) as elements:  # type: ignore[type-var]
            async for x in elements:
                assert x == 0
                break
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(run())


def test_a_cache_that_one_loop_began_to_fill_holds_up_no_other() -> None:
    cached = lazy(range(4)).map(squared, concurrency=2).cache()

    async def first() -> int:
        async for x in cached:
            with pytest.raises(RuntimeError, match="where it began, off the loop's thread"):
                cached.to_list()  # it would wait for the loop that it holds up
            return x
        return -1

    assert asyncio.run(first()) == 0
    again = lazy(range(4)).map(squared, concurrency=2).cache()

    async def begin() -> object:
        return await anext(aiter(again))

    assert asyncio.run(begin()) == 0
    with pytest.raises(RuntimeError, match="where it began"):
        again.to_list()
    assert again.to_list() == asyncio.run(collected(again)) == [0, 1, 4, 9]  # after an error a cache begins anew


def test_leaving_an_async_for_closes_no_file_that_it_did_not_open() -> None:
    def left(make: Any) -> tuple[bool, bool]:
        file, other = io.StringIO("a\nb\n"), io.StringIO("a\nb\n")

        async def leave() -> None:
            async for _ in make(file):
                break

        asyncio.run(leave())
        for _ in make(other):
            break
        return file.closed, other.closed

    assert left(lazy) == (False, False)
    assert left(lambda file: lazy(file).map(str)) == (False, False)
    assert left(lambda file: lazy(file).map(str, threads=1)) == (False, False)


def test_a_pipeline_that_waits_for_nothing_runs_on_the_loops_own_thread() -> None:
    def names() -> Iterator[str]:
        while True:
            yield threading.current_thread().name

    async def run(c: Any) -> str:
        async for name in c:
            return str(name)
        return ""

    assert asyncio.run(run(lazy(names).map(str))) == threading.current_thread().name
    assert asyncio.run(run(lazy(names).map(str, threads=1))).startswith("lazy async for")
