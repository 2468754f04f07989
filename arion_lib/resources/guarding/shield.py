"""Let an asynchronous release finish: a cancellation from outside waits for its end, its own deadline does not.

Idea        A release runs in the task that acquired, so cancellation is sorted by who asks: a time-out that the release
            set itself was scheduled inside the release's context and goes through; any other request waits. anyio asks
            in a way of its own, again in every turn of the loop: its cancel scopes are held back by one of its own.
Invariant   Every request that was held back is counted, and raised once, before the block is left.
When wrong  A release that ignores its deadline is cancelled, then closed, then reported; the others go on.
            Where a resource holds an anyio scope open (a task group), no other may be put around its release: there
            anyio's cancellation reaches the releases, as it does without this library.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_shield.py · tests/resources/test_cancellation.py
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from types import FrameType
from typing import Any

_shield: ContextVar[Shield | None] = ContextVar("arion_lib.resources.guarding.shield", default=None)


class ReleaseTimeout(TimeoutError):
    """A release was still running at its deadline and was left behind."""


class Shield:
    """Hold back the cancellation of the current task while a `with` block of releases runs in it.

    It goes `up` before the first wait: until then nobody else can run, so that a block that never waits pays little.
    Inside an anyio cancel scope it is up at once. `scoped` says that a resource to be released holds such a scope.
    """

    __slots__ = ("_cancel", "_held", "_outer", "_scope", "_scoped", "_task", "_token", "_up")

    def __init__(self, scoped: bool = False) -> None:
        self._scoped = scoped

    def __enter__(self) -> Shield:
        self._task: Any = asyncio.current_task()
        self._up = False
        self._outer = _shield.get()
        self._token = _shield.set(self)
        self._scope: Any = None
        if not self._scoped and anyio_scope(self._task) is not None:
            self._scope = sys.modules[_ANYIO].CancelScope(shield=True)
            self._scope.__enter__()
            self.up()
        return self

    def up(self) -> None:
        """Start to hold cancellation back: to be called before anything is awaited."""
        if self._up:
            return
        if self._task is None:
            raise RuntimeError("a shield must be entered in a task, got none: use it inside a coroutine")
        if self._outer is not None and self._outer._task is self._task:
            self._outer.up()
        self._up, self._cancel = True, self._task.cancel
        self._held: list[tuple[Any, Shield | None]] = []
        # An attribute of this one task object, found before the method of its class by every caller, C code included.
        self._task.cancel = self._sort

    @property
    def holds(self) -> bool:
        """Whether there is something to deliver."""
        return self._up and bool(self._held)

    @property
    def late(self) -> bool:
        """Whether a cancellation was asked for that no wait has delivered yet: it would strike the first release."""
        return bool(getattr(self._task, "_must_cancel", False))

    async def absorb(self) -> None:
        """Take such a cancellation now, to deliver it afterwards with the others."""
        self.up()
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            self.take(error)

    async def deliver(self) -> asyncio.CancelledError | None:
        """Let cancellation through again; returns the error of what was held back, for the caller to raise.

        Each request is counted by the task, as `uncancel` expects of each asker, and all are delivered here: none is
        left to strike the code after the block.
        """
        if not self._up or not self._held or not self._lower():
            return None
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            return error
        return None

    def __exit__(self, *exc: object) -> None:
        if self._up:
            self._lower()
        if self._scope is not None:
            self._scope.__exit__(None, None, None)
        _shield.reset(self._token)

    def _lower(self) -> bool:
        """Ask the task for what was held back, or hand it to the shield outside; returns whether the task was asked."""
        task, asked = self._task, False
        outer = self._outer if self._outer is not None and self._cancel == self._outer._sort else None
        if outer is not None:
            task.cancel = self._cancel
        else:
            del task.cancel
        self._up = False
        for message, asker in self._held:
            if outer is not None and asker is not outer:
                outer._held.append((message, asker))
            else:
                asked = True
                type(task).cancel(task, message)
        return asked

    def _sort(self, msg: Any = None) -> bool:
        """Stands in for `task.cancel`: a timer's callback runs in the context in which the timer was set."""
        asker = _shield.get()
        if _is_anyios(msg) or (asker is self and not _is_ctrl_c(sys._getframe(1))):
            return bool(type(self._task).cancel(self._task, msg))
        self._held.append((msg, None if asker is self else asker))
        return True

    def take(self, error: asyncio.CancelledError) -> None:
        """Keep a cancellation that was delivered although it came from outside."""
        self._task.uncancel()
        self._held.append((error.args[0] if error.args else None, self._outer))


_ANYIO = "anyio._backends._asyncio"


def anyio_scope(task: Any) -> Any:
    """The anyio cancel scope that a task is in; None where there is none, or anyio is not in use.

    anyio has no public question for this; a test notices when the answer moves.
    """
    backend = sys.modules.get(_ANYIO)
    state = backend._task_states.get(task) if backend is not None else None
    return state.cancel_scope if state is not None else None


def _is_anyios(message: Any) -> bool:
    return isinstance(message, str) and message.startswith("Cancelled via cancel scope")


def _is_ctrl_c(caller: FrameType | None) -> bool:
    """Whether asyncio's SIGINT handler asks: it runs in the context of whatever code it interrupts."""
    return caller is not None and caller.f_code is _ON_SIGINT


_ON_SIGINT = getattr(getattr(asyncio.Runner, "_on_sigint", None), "__code__", None)


@types.coroutine
def go_on(
    name: str, release: Coroutine[Any, Any, Any], waiting: Any, seconds: float | None, shield: Shield
) -> Generator[Any, Any, Any]:
    """Await a release that was started by `send(None)` and waits, for at most `seconds`.

    At the deadline it is cancelled, and after as long again closed. The caller takes the first step itself, so that
    a release which never waits pays nothing for its deadline. Raises ReleaseTimeout when the deadline passed.
    """
    shield.up()
    if shield.late:  # a Ctrl-C fell into the first step, when the shield was not up
        try:
            yield
        except asyncio.CancelledError as error:
            shield.take(error)
    if seconds is None:
        return (yield from _onwards(release, waiting))
    return (yield from _supervised(name, release, waiting, seconds))


def _onwards(release: Coroutine[Any, Any, Any], waiting: Any) -> Generator[Any, Any, Any]:
    """Go on with a coroutine that was started by hand: what `yield from` does, from its second step on."""
    while True:
        try:
            try:
                sent = yield waiting
            except GeneratorExit:
                release.close()
                raise
            except BaseException as error:  # noqa: BLE001  the event loop throws whatever ends the wait: the release must see it
                waiting = release.throw(error)
            else:
                waiting = release.send(sent)
        except StopIteration as stop:
            return stop.value


class _Deadline:
    """A timer that cancels its task again and again, and counts how often."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.strikes = seconds, 0
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        self._timer = self._loop.call_later(seconds, self._strike)

    def _strike(self) -> None:
        self.strikes += 1
        self._timer = self._loop.call_later(self.seconds, self._strike)
        if self._task is not None:
            type(self._task).cancel(self._task)

    def stop(self) -> None:
        self._timer.cancel()
        for _ in range(self.strikes):
            if self._task is not None:
                self._task.uncancel()


def _supervised(name: str, release: Coroutine[Any, Any, Any], waiting: Any, seconds: float) -> Generator[Any, Any, Any]:
    deadline = _Deadline(seconds)
    steps = _onwards(release, waiting)
    try:
        result = yield from _until(deadline, release, steps)
    except asyncio.CancelledError:
        if not deadline.strikes:
            raise
    else:
        if not deadline.strikes:
            return result
    finally:
        deadline.stop()
    raise ReleaseTimeout(f"releasing {name!r} took longer than release_timeout={seconds:g} s and was cancelled")


def _until(
    deadline: _Deadline, release: Coroutine[Any, Any, Any], steps: Generator[Any, Any, Any]
) -> Generator[Any, Any, Any]:
    """Pass everything on to the release; at the deadline's second strike close it instead."""
    waiting = steps.send(None)
    while True:
        try:
            try:
                sent = yield waiting
            except asyncio.CancelledError as error:
                if deadline.strikes > 1:
                    _keep(release)
                    steps.close()
                    raise
                waiting = steps.throw(error)
            except BaseException as error:  # noqa: BLE001  as in `_onwards`
                waiting = steps.throw(error)
            else:
                waiting = steps.send(sent)
        except StopIteration as stop:
            return stop.value


_ABANDONED = "_arion_abandoned"


def _keep(release: Any) -> None:
    """Keep what a release awaits as long as its loop: on the loop, so that both can be collected together.

    Closing a coroutine does not close an asynchronous generator that it awaits (before Python 3.13). When that is
    collected, its loop starts a task to finish it, and would wait for ever for one that swallows its cancellation.
    """
    kept = vars(asyncio.get_running_loop()).setdefault(_ABANDONED, [])
    while release is not None:
        kept.append(release)
        release = getattr(release, "cr_await", None)
