"""Releases are finished: cancelled from outside later, stopped by their deadline in time."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from arion_lib.resources import Resources, resource
from arion_lib.resources.guarding.shield import ReleaseTimeout
from tests.resources.probes import Log

pytestmark = pytest.mark.usefixtures("no_leaks")
ways = pytest.mark.parametrize("parallel", [False, True])
TICK = 0.02  # seconds: a deadline that is meant to pass

Release = Callable[[], Awaitable[object]]


def releasing(release: Release, **options: Any) -> Any:
    """A resource whose release is the given function."""

    async def opened() -> AsyncIterator[str]:
        yield "open"
        await release()

    return resource(opened, **options)


class Gate:
    """A release that says when it has begun and waits to be let go."""

    def __init__(self) -> None:
        self.begun, self.go, self.ended = asyncio.Event(), asyncio.Event(), False

    async def __call__(self) -> None:
        self.begun.set()
        await self.go.wait()
        self.ended = True


async def hold(managed: Resources, after: list[str]) -> None:
    async with managed:
        pass
    after.append("went on")


async def cancelled_in_release(managed: Callable[[Gate], Any]) -> tuple[Gate, list[str], asyncio.Task[None]]:
    gate, after = Gate(), list[str]()
    task = asyncio.ensure_future(managed(gate)(after))
    await gate.begun.wait()
    task.cancel()
    await asyncio.sleep(0)
    gate.go.set()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    return gate, after, task


@ways
def test_a_cancellation_from_outside_waits_for_the_release_and_is_delivered_after_it(parallel: bool) -> None:
    gate, after, task = asyncio.run(
        cancelled_in_release(lambda gate: lambda after: hold(Resources(parallel=parallel, a=releasing(gate)), after))
    )
    assert (gate.ended, after, task.cancelled()) == (True, [], True)


def test_an_exit_stack_lets_a_cancellation_cut_the_release() -> None:
    def plain(gate: Gate) -> Any:
        async def body(after: list[str]) -> None:
            async with contextlib.AsyncExitStack() as stack:
                stack.push_async_callback(gate)

        return body

    gate, _, _ = asyncio.run(cancelled_in_release(plain))
    assert not gate.ended


@ways
def test_a_timeout_around_the_block_waits_for_the_release_and_then_fires(parallel: bool) -> None:
    async def main() -> bool:
        gate = Gate()
        with pytest.raises(TimeoutError):
            await limited(gate)
        return gate.ended

    async def limited(gate: Gate) -> None:
        async with asyncio.timeout(None) as limit, asyncio.TaskGroup() as group:
            group.create_task(expire(gate, limit))
            await hold(Resources(parallel=parallel, a=releasing(gate)), [])

    async def expire(gate: Gate, limit: asyncio.Timeout) -> None:
        await gate.begun.wait()
        limit.reschedule(asyncio.get_running_loop().time())
        await asyncio.sleep(TICK)
        gate.go.set()

    assert asyncio.run(main())


@ways
def test_a_timeout_inside_a_release_works(parallel: bool) -> None:
    told: list[str] = []

    async def impatient() -> None:
        try:
            async with asyncio.timeout(TICK):
                await asyncio.Event().wait()
        except TimeoutError:
            told.append("timed out")

    asyncio.run(hold(Resources(parallel=parallel, a=releasing(impatient)), told))
    assert told == ["timed out", "went on"]


@ways
def test_a_task_group_inside_a_release_can_cancel_its_own_tasks(parallel: bool) -> None:
    caught: list[BaseException] = []

    async def failing() -> None:
        raise ValueError("one of them")

    async def grouped() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(failing())
                await asyncio.Event().wait()
        except* ValueError as errors:
            caught.extend(errors.exceptions)

    asyncio.run(hold(Resources(parallel=parallel, a=releasing(grouped)), []))
    assert [str(error) for error in caught] == ["one of them"]


@ways
def test_a_cancellation_asked_for_in_the_body_does_not_strike_the_first_release(parallel: bool) -> None:
    ended: list[str] = []

    async def slow() -> None:
        await asyncio.sleep(0)
        ended.append("released")

    async def main() -> None:
        task = asyncio.current_task()
        assert task is not None
        with pytest.raises(asyncio.CancelledError):
            await body(task)
        assert task.cancelling() == 1
        task.uncancel()

    async def body(task: asyncio.Task[Any]) -> None:
        async with Resources(parallel=parallel, a=releasing(slow)):
            task.cancel()
        ended.append("after the block")
        await asyncio.sleep(0)

    asyncio.run(main())
    assert ended == ["released"]


@ways
def test_a_release_that_hangs_is_reported_and_the_others_go_on(parallel: bool) -> None:
    log = Log()

    async def hang() -> None:
        await asyncio.Event().wait()

    managed = Resources(
        parallel=parallel, first=log.probe("first"), stuck=releasing(hang, release_timeout=TICK), last=log.probe("last")
    )
    with pytest.raises(ReleaseTimeout, match=r"took longer than release_timeout=0\.02 s"):
        asyncio.run(hold(managed, []))
    assert sorted(log.closed()) == ["first", "last"]
    assert managed.snapshot()["stuck"].failures == {"release": 1}


@ways
def test_a_release_that_swallows_its_cancellation_is_abandoned(parallel: bool) -> None:
    strikes: list[int] = []

    async def stubborn() -> None:
        while len(strikes) < 50:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                strikes.append(1)

    managed = Resources(parallel=parallel, a=Log().probe("a"), stuck=releasing(stubborn, release_timeout=TICK))
    with pytest.raises((ReleaseTimeout, ExceptionGroup, RuntimeError)):
        asyncio.run(hold(managed, []))
    assert 1 <= len(strikes) <= 3


def test_what_an_abandoned_release_awaits_goes_with_its_loop(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("asyncio", "arion_lib.resources"):
        caplog.set_level(logging.CRITICAL + 1, name)  # a record keeps its error's frames, and they the loop
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def stubborn() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    with pytest.raises((ReleaseTimeout, RuntimeError)):
        asyncio.run(hold(Resources(stuck=releasing(stubborn, release_timeout=TICK)), []))
    gc.collect()
    assert [loop() for loop in loops] == [None]


@ways
def test_managers_nested_in_a_release_keep_the_order_of_shields(parallel: bool) -> None:
    gates: list[Gate] = []

    async def with_another_inside() -> None:
        gates.append(Gate())
        async with Resources(parallel=parallel, inner=releasing(gates[0])):
            pass

    async def main() -> tuple[bool, list[str]]:
        after: list[str] = []
        task = asyncio.ensure_future(hold(Resources(parallel=parallel, a=releasing(with_another_inside)), after))
        while not gates or not gates[0].begun.is_set():
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
        gates[0].go.set()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert "cancel" not in vars(task) if hasattr(task, "__dict__") else True
        return gates[0].ended, after

    assert asyncio.run(main()) == (True, [])


@ways
@pytest.mark.parametrize("moment", ["before it first waits", "after it has waited"])
def test_ctrl_c_of_a_running_loop_waits_for_the_release_that_it_interrupts(parallel: bool, moment: str) -> None:
    ended: list[str] = []

    async def struck() -> None:
        if moment == "before it first waits":
            signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        if moment == "after it has waited":
            signal.raise_signal(signal.SIGINT)
        await asyncio.sleep(0)
        ended.append("released")

    after: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(hold(Resources(parallel=parallel, a=Log().probe("a"), b=releasing(struck)), after))
    assert (ended, after) == (["released"], [])
