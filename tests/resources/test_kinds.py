"""Faults that strangers found, each with the kind it is of: one claim a test."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import MagicMock

import pytest

from arion_lib.resources import Resources, Retry, resource
from arion_lib.resources.entry import AcquireTimeout, ResourceError
from tests.resources.probes import MODES, BodyError, Log, fail, manager, run

pytestmark = pytest.mark.usefixtures("no_leaks")
PATIENCE = 10.0  # seconds to wait for what never takes so long
modes = pytest.mark.parametrize("mode", MODES)


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@dataclass(frozen=True)
class Frozen(Exception):
    code: int = 7


@modes
@pytest.mark.parametrize("where", ["body", "open", "close"])
@pytest.mark.parametrize("error", [Unspeakable(), Frozen()], ids=["its str raises", "it is frozen"])
def test_an_error_that_cannot_be_told_keeps_nothing_open_and_comes_out_as_itself(
    mode: str, where: str, error: Exception
) -> None:
    log = Log()
    own = {"on_open": error if where == "open" else None, "on_close": error if where == "close" else None}
    managed = manager(mode, first=log.probe("first"), second=resource(log.probe("second", **own), after=["first"]))
    body = fail(error) if where == "body" else None
    with pytest.raises(type(error)) as caught:
        run(mode, managed, body)
    assert caught.value is error
    assert sorted(log.closed()) == sorted(log.opened())
    assert "first" in log.closed()


@modes
def test_a_log_filter_that_raises_keeps_nothing_open(mode: str) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        raise RuntimeError("the log is broken")

    log, logger = Log(), logging.getLogger("arion_lib.resources")
    logger.addFilter(refuse)
    logger.setLevel(logging.DEBUG)
    try:
        with pytest.raises(BodyError):
            run(mode, manager(mode, **log.probes("a b c", on_close=None)), fail(BodyError()))
    finally:
        logger.removeFilter(refuse)
        logger.setLevel(logging.NOTSET)
    assert sorted(log.closed()) == ["a", "b", "c"]


@modes
@pytest.mark.parametrize("seconds", [math.inf, 1e11])
def test_a_release_may_have_no_limit_or_one_that_no_clock_can_wait_for(mode: str, seconds: float) -> None:
    log = Log()

    async def slow() -> AsyncIterator[str]:
        yield "slow"
        log.append(("close", "slow", None))

    target: Any = log.probe("slow") if mode.startswith("sync") else slow
    run(mode, manager(mode, slow=resource(target, release_timeout=seconds, timeout=seconds), b=log.probe("b")))
    assert sorted(log.closed()) == ["b", "slow"]


# Lazy ones ----------------------------------------------------------------------------------------------------------


def diamond(log: Log) -> dict[str, Any]:
    needs = {"d": [], "b": ["d"], "c": ["d"], "a": ["b", "c"]}
    return {name: resource(log.probe(name), after=after, lazy=True) for name, after in needs.items()}


@modes
def test_a_lazy_diamond_opens_its_bottom_once(mode: str) -> None:
    log = Log()
    if mode.startswith("sync"):
        with manager(mode, **diamond(log)) as r:
            assert r.a == "a"
    else:

        async def main() -> None:
            async with manager(mode, **diamond(log)) as r:
                await asyncio.gather(*(r.aacquire(name) for name in "abcd"))

        asyncio.run(main())
    assert sorted(log.opened()) == sorted(log.closed()) == ["a", "b", "c", "d"]


def test_a_chain_of_lazy_resources_may_be_longer_than_the_stack() -> None:
    count = sys.getrecursionlimit() + 500
    chain = {
        f"r{i}": resource(contextlib.nullcontext(i), after=[f"r{i - 1}"] if i else [], lazy=True) for i in range(count)
    }
    with Resources(**chain) as r:
        assert r[f"r{count - 1}"] == count - 1


def test_a_lazy_function_may_look_up_another_lazy_resource_from_a_second_thread() -> None:
    def outer() -> Iterator[str]:
        found: list[str] = []
        thread = threading.Thread(target=lambda: found.append(r.inner), daemon=True)
        thread.start()
        thread.join(PATIENCE)
        yield found[0]

    r = Resources(outer=resource(outer, lazy=True), inner=resource(contextlib.nullcontext("inner"), lazy=True))
    with r:
        assert r.outer == "inner"


def test_a_first_use_does_not_wait_for_a_slow_one_of_another_resource() -> None:
    begun, go = threading.Event(), threading.Event()

    def slow() -> Iterator[str]:
        begun.set()
        assert go.wait(PATIENCE)
        yield "slow"

    r = Resources(slow=resource(slow, lazy=True), quick=resource(contextlib.nullcontext("quick"), lazy=True))
    with r:
        thread = threading.Thread(target=lambda: r.slow)
        thread.start()
        assert begun.wait(PATIENCE)
        assert r.quick == "quick"
        go.set()
        thread.join(PATIENCE)
        assert r.slow == "slow"


def test_a_lazy_function_that_asks_for_itself_is_told_so() -> None:
    def selfish() -> Iterator[str]:
        yield r.selfish

    r = Resources(selfish=resource(selfish, lazy=True))
    with r, pytest.raises(RuntimeError, match="must not ask for 'selfish' itself"):
        _ = r.selfish


# Limits -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", [{"timeout": 1}, {"release_timeout": 1}])
def test_a_limit_that_an_async_block_cannot_keep_is_refused_before_anything_is_opened(option: dict[str, float]) -> None:
    log = Log()

    @contextlib.contextmanager
    def synchronous() -> Iterator[None]:
        log.append(("open", "it", None))
        yield

    async def enter(target: Any) -> None:
        async with Resources(limited=resource(target, **option)):
            pass

    for target in (contextlib.nullcontext, synchronous, lambda: synchronous()):
        if target is contextlib.nullcontext:
            continue  # speaks both protocols
        with pytest.raises(TypeError, match="must have no timeout and no release_timeout in an `async with` block"):
            asyncio.run(enter(target))
    asyncio.run(enter(contextlib.nullcontext))
    assert log == []


@modes
def test_a_timeout_bounds_all_attempts_together_and_is_not_tried_again(mode: str) -> None:
    attempts: list[int] = []

    class Down:
        def __enter__(self) -> None:
            attempts.append(1)
            raise OSError("down")

        def __exit__(self, *exc: object) -> None: ...

        async def __aenter__(self) -> None:
            self.__enter__()

        async def __aexit__(self, *exc: object) -> None: ...

    retry = Retry(attempts=3, backoff=60, longest=60, draw=lambda: 1.0)
    began = time.perf_counter()
    with pytest.raises(AcquireTimeout):
        run(mode, manager(mode, down=resource(Down, timeout=0.05, retry=retry)))
    assert attempts == [1]
    assert time.perf_counter() - began < 30


def test_an_optional_resource_past_its_deadline_is_not_tried_again_in_its_thread() -> None:
    attempts, given_up = [], threading.Event()

    @contextlib.contextmanager
    def down() -> Iterator[None]:
        attempts.append(threading.current_thread())
        if len(attempts) == 1:
            given_up.wait(PATIENCE)
        raise OSError("down")
        yield

    retry = Retry(attempts=50, backoff=0.001, longest=0.001)
    with Resources(down=resource(down, timeout=0.02, optional=True, retry=retry)) as r:
        assert "down" not in r
        given_up.set()
        attempts[0].join(PATIENCE)
    assert len(attempts) == 1


# What belongs to whom -----------------------------------------------------------------------------------------------


def test_a_parallel_block_left_in_another_event_loop_says_so_and_does_not_hang() -> None:
    log = Log()
    managed = Resources(parallel=True, a=log.probe("a"))
    one, two = asyncio.new_event_loop(), asyncio.new_event_loop()
    try:
        one.run_until_complete(managed.__aenter__())
        with pytest.raises(ResourceError, match="lives in a task of another event loop"):
            two.run_until_complete(asyncio.wait_for(managed.__aexit__(None, None, None), PATIENCE))
    finally:
        for task in asyncio.all_tasks(one):
            task.cancel()
            one.run_until_complete(asyncio.gather(task, return_exceptions=True))
        one.close()
        two.close()
    assert log.closed() == ["a"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_of_a_fork_leaves_a_parallel_block_at_once() -> None:
    log = Log()
    with Resources(parallel=True, **log.probes("a b c")) as r:
        began = time.perf_counter()
        if (child := os.fork()) == 0:
            try:
                r.__exit__(None, None, None)
                os._exit(1)
            except BaseException:  # noqa: BLE001  told what it cannot do
                os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        assert time.perf_counter() - began < 15  # three releases of 30 s each were waited for
    assert sorted(log.closed()) == ["a", "b", "c"]


@modes
def test_what_was_added_in_the_block_is_released_before_what_was_open_already(mode: str) -> None:
    log = Log()
    if mode.startswith("sync"):
        with manager(mode, **log.probes("a b")) as r:
            r.acquire("x", log.probe("x"))
            r.acquire("y", log.probe("y"))
    else:

        async def main() -> None:
            async with manager(mode, **log.probes("a b")) as r:
                await r.aacquire("x", log.probe("x"))
                await r.aacquire("y", log.probe("y"))

        asyncio.run(main())
    assert log.closed()[:2] == ["y", "x"]


@modes
def test_an_error_raised_from_the_one_it_was_told_takes_its_place(mode: str) -> None:
    class AppError(Exception):
        pass

    seen: list[BaseException | None] = []

    class Translating(contextlib.nullcontext[None]):
        def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
            raise AppError from error

        async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
            raise AppError from error

    class Outer(contextlib.nullcontext[None]):
        def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
            seen.append(error)

        async def __aexit__(self, kind: Any, error: Any, trace: Any) -> None:
            seen.append(error)

    original = ValueError("body")
    with pytest.raises(AppError) as caught:
        run(mode, manager(mode, outer=Outer(), inner=resource(Translating(), after=["outer"])), fail(original))
    assert caught.value.__cause__ is original
    assert seen == [caught.value]


# Definitions --------------------------------------------------------------------------------------------------------


def test_a_test_double_is_entered_itself() -> None:
    double = MagicMock()
    with Resources(db=double) as r:
        assert r.db is double.__enter__.return_value
    double.__enter__.assert_called_once()
    double.__exit__.assert_called_once()


@modes
def test_a_refused_addition_does_not_poison_the_block(mode: str) -> None:
    log = Log()
    bad = resource(log.probe("bad"), after=["nowhere"])
    if mode.startswith("sync"):
        with manager(mode, a=log.probe("a")) as r:
            with pytest.raises(Exception, match="nowhere"):
                r.acquire("bad", bad)
            assert r.acquire("good", log.probe("good")) == "good"
    else:

        async def main() -> None:
            async with manager(mode, a=log.probe("a")) as r:
                with pytest.raises(Exception, match="nowhere"):
                    await r.aacquire("bad", bad)
                assert await r.aacquire("good", log.probe("good")) == "good"

        asyncio.run(main())
    assert sorted(log.closed()) == ["a", "good"]


def test_a_recipe_that_two_classes_share_is_read_under_each_ones_own_name() -> None:
    shared = resource(lambda: contextlib.nullcontext("shared"))

    class One(Resources):
        first = shared

    class Two(Resources):
        second = shared

    with One() as one, Two() as two:
        assert one.first == two.second == "shared"


def test_a_class_or_a_function_may_stand_under_two_names_but_no_open_object() -> None:
    with Resources(src=TemporaryDirectory, dst=TemporaryDirectory) as r:
        assert r.src != r.dst
    one = contextlib.nullcontext()
    with pytest.raises(ValueError, match="listed once"):
        Resources(src=one, dst=one)
