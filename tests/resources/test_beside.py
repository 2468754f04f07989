"""Opening and closing side by side, in threads and in tasks: order by barriers and events, never by clocks."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from arion_lib.resources import Resources, resource
from arion_lib.resources.entry import AcquireTimeout
from arion_lib.resources.guarding.shield import ReleaseTimeout
from tests.resources.probes import Log, run

TICK = 0.02  # seconds: a deadline that is meant to pass
PATIENCE = 10.0  # seconds: only a failing test waits as long


# Threads -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_leaks")
def test_in_threads_all_open_together_and_all_close_together() -> None:
    log, together = Log(), threading.Barrier(10, timeout=PATIENCE)  # one after the other, nobody would pass it
    hooks = {"open": together.wait, "close": together.wait}
    names = [f"r{i}" for i in range(10)]
    run("sync parallel", Resources(parallel=True, **{name: log.probe(name, hooks=hooks) for name in names}))
    assert sorted(log.opened()) == sorted(log.closed()) == names


def test_one_after_the_other_would_not_pass_the_barrier() -> None:
    log, together = Log(), threading.Barrier(2, timeout=TICK)
    probes = {name: log.probe(name, hooks={"open": together.wait}) for name in "ab"}
    with pytest.raises(threading.BrokenBarrierError):
        run("sync", Resources(**probes))


@pytest.mark.usefixtures("no_leaks")
def test_a_chain_waits_only_for_what_it_needs() -> None:
    log, second_open = Log(), threading.Event()
    slow = log.probe("slow", hooks={"open": lambda: second_open.wait(PATIENCE)})
    second = log.probe("second", hooks={"open": second_open.set})
    managed = Resources(parallel=True, slow=slow, first=log.probe("first"), second=resource(second, after=["first"]))
    run("sync parallel", managed)
    assert log.opened() == ["first", "second", "slow"]  # by levels, `second` would wait for `slow`: a deadlock


class Late:
    """Opens only when told to, and notes when it is closed again."""

    def __init__(self) -> None:
        self.go, self.closed = threading.Event(), threading.Event()

    def __enter__(self) -> str:
        self.go.wait(PATIENCE)
        return "late"

    def __exit__(self, *exc: object) -> None:
        self.closed.set()


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("parallel", [False, True])
def test_an_acquisition_past_its_deadline_is_given_up_and_released_when_it_succeeds_after_all(parallel: bool) -> None:
    log, late = Log(), Late()
    managed = Resources(parallel=parallel, a=log.probe("a"), late=resource(late, timeout=TICK))
    with pytest.raises(AcquireTimeout, match=r"acquiring 'late' took longer than timeout=0\.02 s"):
        run("sync", managed)
    assert log.closed() == ["a"]
    assert not late.closed.is_set()
    late.go.set()
    assert late.closed.wait(PATIENCE)


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("parallel", [False, True])
def test_a_release_past_its_deadline_is_left_behind_and_the_others_go_on(parallel: bool) -> None:
    log, go, ended = Log(), threading.Event(), threading.Event()

    def stuck() -> Iterator[None]:
        yield
        go.wait(PATIENCE)
        ended.set()

    managed = Resources(
        parallel=parallel, a=log.probe("a"), stuck=resource(stuck, release_timeout=TICK), b=log.probe("b")
    )
    with pytest.raises(
        ReleaseTimeout, match=r"releasing 'stuck' took longer than release_timeout=0\.02 s; left behind"
    ):
        run("sync", managed)
    assert sorted(log.closed()) == ["a", "b"]
    go.set()
    assert ended.wait(PATIENCE)


@pytest.mark.usefixtures("no_leaks")
def test_the_first_failure_in_threads_keeps_what_has_not_begun_from_beginning() -> None:
    log = Log()
    managed = Resources(
        parallel=True,
        wrong=log.probe("wrong", on_open=OSError("down")),
        later=resource(log.probe("later"), after=["base"]),
        base=log.probe("base", hooks={"open": lambda: failed.wait(PATIENCE)}),
    )
    failed = threading.Event()
    meter = managed._meters["wrong"]
    watch = threading.Thread(target=lambda: ([None for _ in iter(lambda: bool(meter.failures), True)], failed.set()))
    watch.start()
    with pytest.raises(OSError, match="down"):
        run("sync parallel", managed)
    watch.join()
    assert (log.opened(), log.closed()) == (["base"], ["base"])


@pytest.mark.usefixtures("no_leaks")
def test_a_thousand_at_once_leave_no_thread() -> None:
    log = Log()
    run("sync parallel", Resources(parallel=True, **log.probes(" ".join(f"r{i}" for i in range(200)))))
    assert len(log.closed()) == 200


# Tasks -------------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_leaks")
def test_in_tasks_all_open_together_and_all_close_together() -> None:
    async def main() -> None:
        opening, closing = asyncio.Barrier(10), asyncio.Barrier(10)

        async def member() -> AsyncIterator[None]:
            await opening.wait()
            yield
            await closing.wait()

        async with (
            asyncio.timeout(PATIENCE),
            Resources(parallel=True, **{f"r{i}": resource(member) for i in range(10)}),
        ):
            pass

    asyncio.run(main())


Opening = Callable[[], AsyncIterator[str]]


def forever(log: list[str], begun: asyncio.Event) -> Opening:
    async def opening() -> AsyncIterator[str]:
        begun.set()
        try:
            await asyncio.Event().wait()
            yield "never"
        finally:
            log.append("undone")

    return opening


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("parallel", [False, True])
def test_a_cancelled_acquire_leaves_nothing_open(parallel: bool) -> None:
    log, undone = Log(), list[str]()

    async def enter(managed: Resources) -> None:
        async with managed:
            raise AssertionError("the body must not run")

    async def main() -> None:
        begun = asyncio.Event()
        managed = Resources(parallel=parallel, a=log.probe("a"), b=resource(forever(undone, begun), after=["a"]))
        task = asyncio.ensure_future(enter(managed))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert (log.opened(), log.closed(), undone) == (["a"], ["a"], ["undone"])


@pytest.mark.usefixtures("no_leaks")
def test_the_first_failure_cancels_what_is_being_opened() -> None:
    undone: list[str] = []

    async def main() -> None:
        begun = asyncio.Event()

        async def wrong() -> AsyncIterator[str]:
            await begun.wait()
            raise OSError("down")
            yield ""

        with pytest.raises(OSError, match="down"):
            await entered(Resources(parallel=True, slow=resource(forever(undone, begun)), wrong=resource(wrong)))

    asyncio.run(main())
    assert undone == ["undone"]


async def entered(managed: Resources) -> None:
    async with managed:
        pass


@pytest.mark.usefixtures("no_leaks")
@pytest.mark.parametrize("parallel", [False, True])
def test_an_acquisition_past_its_deadline_is_cancelled(parallel: bool) -> None:
    log, undone = Log(), list[str]()

    async def main() -> None:
        late = resource(forever(undone, asyncio.Event()), timeout=TICK)
        with pytest.raises(AcquireTimeout, match="acquiring 'late' took longer than"):
            await entered(Resources(parallel=parallel, a=log.probe("a"), late=late))

    asyncio.run(main())
    assert (log.closed(), undone) == (["a"], ["undone"])


@pytest.mark.usefixtures("no_leaks")
def test_a_task_that_gives_up_waiting_for_a_lazy_resource_stops_no_other() -> None:
    log = Log()

    async def main() -> None:
        go, begun = asyncio.Event(), asyncio.Event()

        async def slow() -> AsyncIterator[str]:
            begun.set()
            await go.wait()
            log.append(("open", "slow", None))
            yield "slow"
            log.append(("close", "slow", None))

        async with Resources(slow=resource(slow, lazy=True)) as r:
            impatient, patient = (asyncio.ensure_future(r.aacquire("slow")) for _ in range(2))
            await begun.wait()
            impatient.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await impatient
            go.set()
            assert await patient == "slow"

    asyncio.run(main())
    assert (log.opened(), log.closed()) == (["slow"], ["slow"])


@pytest.mark.usefixtures("no_leaks")
def test_a_lazy_resource_still_opening_when_the_block_ends_is_not_left_open() -> None:
    undone: list[str] = []

    async def main() -> None:
        begun = asyncio.Event()
        async with Resources(slow=resource(forever(undone, begun), lazy=True)) as r:
            waiting = asyncio.ensure_future(r.aacquire("slow"))
            await begun.wait()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert undone == ["undone"]


# Size --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_thousand_levels_of_scopes_need_no_recursion(mode: str) -> None:
    log = Log()

    def levels() -> Iterator[Resources]:
        inner: Any = Resources(r0=log.probe("r0"))
        yield inner
        for i in range(1, 1_000):
            inner = inner.scope(**{f"r{i}": log.probe(f"r{i}")})
            yield inner

    async def main() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for inner in levels():
                await stack.enter_async_context(inner)
            assert inner.r0 == "r0"

    if mode == "async":
        asyncio.run(main())
    else:
        with contextlib.ExitStack() as stack:
            for inner in levels():
                stack.enter_context(inner)
            assert inner.r0 == "r0"
    assert log.closed() == [f"r{i}" for i in range(999, -1, -1)]


class Meeting(dict[str, Any]):
    """A block's own recipes: while one is looked up, once, something else happens."""

    def __init__(self, between: Callable[[], object]) -> None:
        super().__init__()
        self._between: Callable[[], object] | None = between

    def get(self, name: str, default: Any = None) -> Any:
        between, self._between = self._between, None
        if between is not None:
            between()
        return super().get(name, default)


def test_a_resource_may_be_released_while_another_thread_opens_one() -> None:
    log = Log()
    with Resources(a=log.probe("a"), b=log.probe("b")) as r:
        r._entry.extra = Meeting(lambda: r.acquire("c", log.probe("c")))
        r.release("a")
        assert "a" not in r
        with r.scope(d=log.probe("d")) as inner:
            inner._entry.extra = Meeting(lambda: inner.acquire("e", log.probe("e")))
            r.release("b")
    assert sorted(log.closed()) == ["a", "b", "c", "d", "e"]
