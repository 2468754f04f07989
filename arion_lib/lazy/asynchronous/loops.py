"""Event loops: which one runs the coroutines of a pipeline, and how a pipeline waits for them.

Idea        A pipeline is synchronous and waits in its own thread; coroutines run on an event loop in another one. In an
            `async for` that is the loop of the caller, otherwise a loop that is started for the run.
Invariant   The thread of an event loop never waits for a pipeline. When a run ends - done, failed, abandoned or
            cancelled - none of its tasks is left, nor its thread.
When wrong  A cancelled `async for` cancels the coroutines that are under way; calls in threads are waited for, off the
            loop.
See         tests/lazy/test_async.py · arion_lib/lazy/asynchronous/turns.py
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from inspect import isasyncgenfunction
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from arion_lib.lazy.source import PLAIN, Own, as_source, name_of, spent
from arion_lib.lazy.template import END

if TYPE_CHECKING:  # imported where a coroutine runs: who runs none should not pay for it
    import asyncio
    from concurrent.futures import Future

T = TypeVar("T")


class Loop:
    """An event loop in another thread, and the tasks that one run has started there."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tasks: set[asyncio.Task[Any]] = set()
        self._cancelled = False

    def submit(self, fn: Callable[..., Awaitable[T]], *args: object) -> Future[T]:
        """Await `fn(*args)` on the loop, in a copy of the caller's context.

        Raises `RuntimeError` where the loop has ended, or would have to wait for itself: a cache that an `async for`
        began to fill is read on by another run.
        """
        import asyncio

        if not self._loop.is_running() or self._in_its_thread():
            raise RuntimeError(
                "a run must go on in the event loop where it began, off the loop's thread, got another one; "
                "read the cache with `async for` there, or .refresh() it"
            )
        return asyncio.run_coroutine_threadsafe(self._noted(fn, *args), self._loop)

    def _in_its_thread(self) -> bool:
        import asyncio

        return asyncio._get_running_loop() is self._loop

    async def _noted(self, fn: Callable[..., Awaitable[T]], *args: object) -> T:
        import asyncio

        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine that runs is in one
        self._tasks.add(task)
        if self._cancelled:
            task.cancel()
        try:
            return await fn(*args)
        finally:
            self._tasks.discard(task)

    def finish(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run the coroutine to its end, though the run may be cancelled; without waiting in the loop's own thread."""
        import asyncio

        if not self._loop.is_running():  # it has ended, and all that ran on it
            coroutine.close()
        elif self._in_its_thread():  # an abandoned run that the garbage collector ends there
            task = self._loop.create_task(coroutine)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def cancel(self) -> None:
        """Cancel all tasks of the run, and those it starts from now on; to be called in the loop's own thread."""
        self._cancelled = True
        for task in self._tasks:
            task.cancel()

    def drain(self) -> None:
        """Cancel all tasks of the run and wait for their end; to be called in any other thread."""
        self.finish(self._ended())

    async def _ended(self) -> None:
        import asyncio

        tasks = self._tasks - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


CALLERS: ContextVar[Loop | None] = ContextVar("CALLERS", default=None)
"""The loop of the `async for` that this thread pulls for, if it does."""


@contextmanager
def loop_of_run() -> Iterator[Loop]:
    """Give the loop of the `async for` around the run, or one in a thread of its own; leave no task behind."""
    callers = CALLERS.get()
    if callers is not None:
        try:
            yield callers
        finally:
            callers.drain()
        return
    with _loop_in_thread() as loop:
        yield Loop(loop)


@contextmanager
def _loop_in_thread() -> Iterator[asyncio.AbstractEventLoop]:
    import asyncio
    from concurrent.futures import Future

    started: Future[asyncio.AbstractEventLoop] = Future()

    def run() -> None:
        with asyncio.Runner() as runner:  # it ends with all tasks cancelled and all asynchronous generators closed
            loop = runner.get_loop()
            loop.call_soon(started.set_result, loop)
            loop.run_forever()

    thread = threading.Thread(target=run, name="lazy event loop")
    thread.start()
    loop = started.result()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


class AsyncSource(Own, Generic[T]):
    """An asynchronous iterable, or a function that makes one, read by a synchronous loop.

    An asynchronous iterator can be read once; a second pass raises `SpentError`. Each element costs a hand-over between
    two threads, about 0.1 ms.
    """

    __slots__ = ("_label", "_make", "_spent")
    waits = True

    def __init__(self, source: AsyncIterable[T] | Callable[[], AsyncIterable[T]]) -> None:
        self._spent: bool | None = False if isinstance(source, AsyncIterator) else None  # None: it can be read again
        self._make: Callable[[], AsyncIterable[T]] = (lambda: source) if isinstance(source, AsyncIterable) else source
        self._label = type(source).__name__ if isinstance(source, AsyncIterable) else f"{name_of(source)}()"

    @property
    def label(self) -> str:
        return self._label

    def __iter__(self) -> Iterator[T]:
        if self._spent:
            raise spent(self._label)
        self._spent = None if self._spent is None else True
        return self._elements()

    def _elements(self) -> Iterator[T]:
        with loop_of_run() as loop:
            iterator: Any = aiter(self._make())

            async def pull() -> Any:
                return await anext(iterator, END)

            async def close() -> None:
                closing: Any = getattr(iterator, "aclose", None)
                if closing is not None:
                    await closing()

            try:
                while (element := loop.submit(pull).result()) is not END:
                    yield element
            finally:
                loop.finish(close())


def sourced(source: Any) -> Iterable[Any]:
    """Return a source of any kind as an iterable: plain, asynchronous, or a function that makes one."""
    if type(source) not in PLAIN and not isinstance(source, Iterable):
        unwrapped = source.func if isinstance(source, partial) else source
        if isinstance(source, AsyncIterable) or isasyncgenfunction(unwrapped):
            return AsyncSource(source)
    return as_source(source)
