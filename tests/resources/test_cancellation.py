"""Every canceller, at every moment: a shielded `AsyncExitStack`'s error arrives, and nothing else is struck."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from typing import Any, TypeVar

import anyio
import pytest

from arion_lib.resources import Resources, errors_of
from arion_lib.resources.guarding.shield import anyio_scope

pytestmark = pytest.mark.usefixtures("no_leaks")
SOON, LATER = 0.01, 0.03  # seconds, on the clock of the loop below
Block = Callable[[], Awaitable[None]]
T = TypeVar("T")


class InstantLoop(asyncio.SelectorEventLoop):
    """A loop whose clock stands while there is something to do, and then jumps to the next timer: no test is late."""

    now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self.now = max(self.now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def instantly(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=InstantLoop) as runner:
        return runner.run(main)


class Boom(Exception):
    """What the sibling task raises."""


async def fails_soon() -> None:
    await asyncio.sleep(SOON)
    raise Boom


async def timeout(block: Block) -> None:
    async with asyncio.timeout(SOON):
        await block()


async def wait_for(block: Block) -> None:
    await asyncio.wait_for(asyncio.ensure_future(block()), SOON)


async def task_group(block: Block) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(fails_soon())
        await block()


async def gather(block: Block) -> None:
    waiting = asyncio.gather(block())
    asyncio.get_running_loop().call_later(SOON, waiting.cancel)
    await waiting


async def move_on_after(block: Block) -> None:
    with anyio.move_on_after(SOON):
        await block()


async def fail_after(block: Block) -> None:
    with anyio.fail_after(SOON):
        await block()


async def anyio_group(block: Block) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(fails_soon)
        await block()


async def ctrl_c(block: Block) -> None:
    asyncio.get_running_loop().call_later(SOON, signal.raise_signal, signal.SIGINT)
    await block()


NATIVE = [timeout, wait_for, task_group, gather, ctrl_c]
CANCELLERS = [*NATIVE, move_on_after, fail_after, anyio_group]
MOMENTS = ["acquiring", "body", "releasing"]
cancellers = pytest.mark.parametrize("canceller", CANCELLERS, ids=lambda function: function.__name__)
ways = pytest.mark.parametrize("parallel", [False, True], ids=["in turn", "parallel"])


class Case:
    """Two resources and a body, one of which waits long enough to be cancelled."""

    def __init__(self, moment: str, fails: bool) -> None:
        self.moment, self.fails = moment, fails
        self.log: list[str] = []

    def wait(self, moment: str) -> Any:
        return asyncio.sleep(LATER if self.moment == moment else 0)

    async def first(self) -> AsyncIterator[str]:
        self.log.append("opened first")
        try:
            yield "first"
        finally:
            await asyncio.sleep(0)
            self.log.append("closed first")
            if self.fails:
                raise OSError("late")

    async def second(self) -> AsyncIterator[str]:
        await self.wait("acquiring")
        self.log.append("opened second")
        try:
            yield "second"
        finally:
            await self.wait("releasing")
            self.log.append("closed second")

    async def body(self) -> None:
        if self.moment == "body":
            await self.wait("body")

    async def ours(self, parallel: bool) -> None:
        async with Resources(parallel=parallel, first=self.first, second=self.second):
            await self.body()
        self.log.append("after the block")

    async def oracle(self, native: bool) -> None:
        keep = finished if native else shielded
        async with contextlib.AsyncExitStack() as stack:
            for make in (self.first, self.second):
                cm = contextlib.asynccontextmanager(make)()
                await cm.__aenter__()
                stack.push_async_exit(lambda *exc, cm=cm: keep(cm, exc))
            await self.body()
        self.log.append("after the block")


async def shielded(cm: Any, exc: Any) -> Any:
    with anyio.CancelScope(shield=True):
        return await cm.__aexit__(*exc)


async def finished(cm: Any, exc: Any) -> Any:
    """Shield a release from native cancellation as one does by hand: a task, waited for until it is done."""
    task = asyncio.ensure_future(cm.__aexit__(*exc))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except BaseException:  # noqa: BLE001  raised by `result`
            break
    suppressed = task.result()
    if cancelled is not None:
        raise cancelled
    return suppressed


def leaves(error: BaseException | None) -> list[str]:
    """The errors that arrive, without the groups around them."""
    if isinstance(error, BaseExceptionGroup):
        return sorted(leaf for one in error.exceptions for leaf in leaves(one))
    return [] if error is None else [type(error).__name__]


def arrives(canceller: Callable[[Block], Awaitable[None]], block: Block) -> tuple[list[str], list[str]]:
    """What arrives outside of the canceller, and what strikes the code after it."""
    struck: list[str] = []

    async def main() -> BaseException | None:
        raised: BaseException | None = None
        try:
            await canceller(block)
        except BaseException as error:  # noqa: BLE001  the answer
            raised = error
        task = asyncio.current_task()
        assert task is not None
        if canceller is ctrl_c:
            task.uncancel()  # the loop's own runner does that, at its very end
        if task.cancelling():
            struck.append("still cancelling")
        try:
            for _ in range(3):
                await asyncio.sleep(0)
        except BaseException as error:  # noqa: BLE001  likewise
            struck.append(type(error).__name__)
        return raised

    return leaves(instantly(main())), struck


@ways
@pytest.mark.parametrize("fails", [False, True], ids=["", "release fails"])
@pytest.mark.parametrize("moment", MOMENTS)
@cancellers
def test_the_error_that_arrives_is_that_of_a_shielded_exit_stack(
    canceller: Any, moment: str, fails: bool, parallel: bool
) -> None:
    ours, theirs = Case(moment, fails), Case(moment, fails)
    native = canceller in NATIVE
    expected = arrives(canceller, lambda: theirs.oracle(native))
    assert arrives(canceller, lambda: ours.ours(parallel)) == expected
    assert expected[1] == []
    assert sorted(ours.log) == sorted(theirs.log)
    assert sum("opened" in line for line in ours.log) == sum("closed" in line for line in ours.log)


def test_the_oracle_tells_the_cancellers_apart_and_shows_a_release_that_fails() -> None:
    """The control of the test above: it compares something."""
    seen = {
        (canceller.__name__, fails): arrives(canceller, lambda: Case("body", fails).oracle(canceller in NATIVE))[0]  # noqa: B023
        for canceller in CANCELLERS
        for fails in (False, True)
    }
    assert seen["timeout", False] == seen["wait_for", False] == seen["fail_after", False] == ["TimeoutError"]
    assert seen["task_group", False] == seen["anyio_group", False] == ["Boom"]
    assert (seen["move_on_after", False], seen["gather", False], seen["ctrl_c", False]) == (
        [],
        ["CancelledError"],
        ["CancelledError"],
    )
    assert all("OSError" in errors for (_, fails), errors in seen.items() if fails)


@ways
@cancellers
def test_an_error_of_the_body_is_not_swallowed_with_a_cancellation_that_came_later(
    canceller: Any, parallel: bool
) -> None:
    class BodyError(Exception):
        pass

    case = Case("releasing", fails=True)

    async def block() -> None:
        async with Resources(parallel=parallel, first=case.first, second=case.second):
            raise BodyError

    errors, struck = arrives(canceller, block)
    assert "BodyError" in errors
    assert struck == []


@ways
def test_a_cancellation_that_lost_to_a_failed_release_is_kept_on_its_error(parallel: bool) -> None:
    async def main() -> None:
        case = Case("body", fails=True)
        async with asyncio.timeout(SOON):
            await case.ours(parallel)

    with pytest.raises(OSError, match="late") as caught:
        instantly(main())
    assert {type(failure.error) for failure in errors_of(caught.value)} == {OSError, asyncio.CancelledError}


@ways
@pytest.mark.parametrize("askers", [1, 2, 3])
def test_a_held_cancellation_is_raised_once_and_counted_once_for_each_asker(parallel: bool, askers: int) -> None:
    case = Case("releasing", fails=False)

    async def main() -> tuple[int, int]:
        task = asyncio.current_task()
        assert task is not None
        for _ in range(askers):
            asyncio.get_running_loop().call_later(SOON, task.cancel)
        raised = 0
        try:
            await case.ours(parallel)
        except asyncio.CancelledError:
            raised += 1
        counted = task.cancelling()
        for _ in range(counted):
            task.uncancel()
        for _ in range(3):
            await asyncio.sleep(0)
        return raised, counted

    assert instantly(main()) == (1, askers)
    assert "after the block" not in case.log


@ways
def test_a_release_may_use_scopes_and_tasks_of_anyio_while_all_around_it_is_cancelled(parallel: bool) -> None:
    told: list[str] = []

    async def careful() -> AsyncIterator[None]:
        try:
            yield
        finally:
            with anyio.move_on_after(0) as limit:
                await anyio.sleep_forever()
            told.append(f"own time-out: {limit.cancelled_caught}")
            async with anyio.create_task_group() as group:
                group.start_soon(helper)
            await anyio.sleep(0)
            told.append("released")

    async def helper() -> None:
        await anyio.sleep(SOON)
        told.append("helped")

    async def block() -> None:
        async with Resources(parallel=parallel, a=careful):
            await anyio.sleep(LATER)

    assert arrives(move_on_after, block) == ([], [])
    assert told == ["own time-out: True", "helped", "released"]


def test_a_resource_may_be_a_task_group_of_anyio() -> None:
    ended: list[str] = []

    async def pinger() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("pinger")

    @contextlib.asynccontextmanager
    async def group() -> AsyncIterator[Any]:
        async with anyio.create_task_group() as tasks:
            yield tasks
            tasks.cancel_scope.cancel()

    async def block(fails: bool) -> None:
        async with Resources(db=Case("", False).first, tasks=group) as r:
            r.tasks.start_soon(pinger)
            if fails:
                r.tasks.start_soon(fails_soon)
            await anyio.sleep(0 if not fails else LATER)

    for fails, expected in ((False, []), (True, ["Boom"])):
        assert arrives(lambda block: block(), lambda: block(fails)) == (expected, [])  # noqa: B023
    assert ended == ["pinger", "pinger"]


def test_a_limit_of_anyio_around_the_opening_alone_may_end_before_the_block() -> None:
    async def block() -> None:
        async with contextlib.AsyncExitStack() as stack:
            with anyio.fail_after(10):
                await stack.enter_async_context(Resources(a=Case("", False).first))
            await anyio.sleep(0)

    assert arrives(anyio_group, lambda: block()) == (["Boom"], [])


def test_the_scope_a_task_is_in_is_still_where_the_shield_looks_for_it() -> None:
    async def main() -> Iterator[bool]:
        task = asyncio.current_task()
        with anyio.CancelScope() as scope:
            inside = anyio_scope(task)
        return iter([inside is scope, anyio_scope(task) is None])

    assert all(instantly(main()))


@ways
def test_a_generator_that_is_closed_still_shows_a_release_that_fails(parallel: bool) -> None:
    case = Case("", fails=True)

    async def rows() -> AsyncIterator[int]:
        async with Resources(parallel=parallel, first=case.first):
            yield 1

    async def main() -> None:
        source = rows()
        assert await anext(source) == 1
        await source.aclose()  # type: ignore[attr-defined]

    with pytest.raises(OSError, match="late"):
        instantly(main())
