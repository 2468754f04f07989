"""Let an asynchronous release finish: cancelled from outside later, stopped by its deadline in time.

Idea        A release runs in the task that acquired, so cancellation is sorted by who asks: a time-out that the release
            set itself was scheduled inside the release's context and goes through; any other request waits.
Invariant   Every request that was held back is delivered once the releases are over.
When wrong  A release that ignores its deadline is cancelled, then closed, then reported; the others go on.
See         notebooks/2_resource_manager.ipynb · tests/resources/test_shield.py
"""

from __future__ import annotations

import asyncio
import sys
import types
from collections.abc import Coroutine, Generator
from contextvars import ContextVar
from types import FrameType
from typing import Any

_shield: ContextVar[Shield | None] = ContextVar("arion_lib.resources.shield", default=None)


class ReleaseTimeout(TimeoutError):
    """A release was still running at its deadline and was left behind."""


class Shield:
    """Hold back the cancellation of the current task while a `with` block of releases runs in it.

    It goes `up` before the first wait: until then nobody else can run, so that a block that never waits pays little.
    """

    __slots__ = ("_cancel", "_held", "_outer", "_task", "_token", "_up")

    def __enter__(self) -> Shield:
        self._task: Any = asyncio.current_task()
        self._up = False
        self._outer = _shield.get()
        self._token = _shield.set(self)
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

    def __exit__(self, *exc: object) -> None:
        if self._up:
            self._lower()
        _shield.reset(self._token)

    def _lower(self) -> None:
        """Let cancellation through again, and deliver what was held back."""
        task = self._task
        outer = self._outer if self._outer is not None and self._cancel == self._outer._sort else None
        if outer is not None:
            task.cancel = self._cancel
        else:
            del task.cancel
        for message, asker in self._held:
            if outer is not None and asker is not outer:
                outer._held.append((message, asker))
            else:
                type(task).cancel(task, message)

    def _sort(self, msg: Any = None) -> bool:
        """Stands in for `task.cancel`: a timer's callback runs in the context in which the timer was set."""
        asker = _shield.get()
        if asker is self and not _is_ctrl_c(sys._getframe(1)):
            return bool(type(self._task).cancel(self._task, msg))
        self._held.append((msg, None if asker is self else asker))
        return True

    def take(self, error: asyncio.CancelledError) -> None:
        """Keep a cancellation that was delivered although it came from outside."""
        self._task.uncancel()
        self._held.append((error.args[0] if error.args else None, self._outer))

    @property
    def held(self) -> bool:
        """Whether somebody outside has asked for cancellation meanwhile."""
        return self._up and bool(self._held)


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
        result = yield from _until(deadline, steps)
    except asyncio.CancelledError:
        if not deadline.strikes:
            raise
    else:
        if not deadline.strikes:
            return result
    finally:
        deadline.stop()
    raise ReleaseTimeout(f"releasing {name!r} took longer than release_timeout={seconds:g} s and was cancelled")


def _until(deadline: _Deadline, steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Pass everything on to the release; at the deadline's second strike close it instead."""
    waiting = steps.send(None)
    while True:
        try:
            try:
                sent = yield waiting
            except asyncio.CancelledError as error:
                if deadline.strikes > 1:
                    steps.close()
                    raise
                waiting = steps.throw(error)
            except BaseException as error:  # noqa: BLE001  as in `_onwards`
                waiting = steps.throw(error)
            else:
                waiting = steps.send(sent)
        except StopIteration as stop:
            return stop.value
