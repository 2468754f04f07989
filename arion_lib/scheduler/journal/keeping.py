"""A submission that keeps a journal: a call is on the disk before it is submitted, and struck out when it has ended.

Idea        It has the methods of the submission that it wraps, so without a journal there is nothing to pay for.
Invariant   A call whose `submit` has returned is run at least once, whatever kills the program; of two with the same
            key one is run, also when the program was killed between them - unless it is killed while that one runs:
            then the next start runs it again (test_journal.py).
When wrong  A function without a name, and a call that needs another task, are refused by `ValueError`.
See         arion_lib/scheduler/journal/book.py · tests/scheduler/test_journal.py

Ended is ended: a call that failed, was cancelled or timed out is struck out as well, and its key is free again. A call
that ends the whole program is begun again at each start. Deadlines and delays count from the start that runs a call.
"""

from __future__ import annotations

import logging
import pickle
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from arion_lib.scheduler.errors import QueueFullError, SchedulerError, ShutDownError
from arion_lib.scheduler.journal.book import Journal, Kept
from arion_lib.scheduler.submitting.submitter import Chosen
from arion_lib.scheduler.task import Task

if TYPE_CHECKING:
    from arion_lib.scheduler.submitting.periodic import Periodic, PeriodicCalls
    from arion_lib.scheduler.submitting.submission import Submission
    from arion_lib.scheduler.submitting.times import Times

log = logging.getLogger(__name__)


class Keeping:
    """A `Submission` with a journal. Called by many threads at once."""

    def __init__(self, submission: Submission, journal: Journal) -> None:
        self._submission, self._journal = submission, journal
        self._keys: dict[str, tuple[str, Task[Any]]] = {}
        """The calls with a key that have not ended."""
        self._looking = threading.Lock()
        """Held while a call with a key is looked for and kept: of two at once, one is first."""
        self._open = 1
        """Calls that have not ended, and one more for the scheduler: at 0 the journal is closed."""
        self._counting = threading.Lock()

    # --- as a submission ---

    def submit(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Task[Any]:
        return self._submit(fn, args, kwargs, None)

    def _submit(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], chosen: Chosen | None
    ) -> Task[Any]:
        with self._open_meanwhile():
            return self._submit_one(fn, args, kwargs, chosen)

    def _submit_many(
        self, fn: Callable[..., Any], calls: Iterable[tuple[Any, ...]], chosen: Chosen, chunksize: int
    ) -> list[Task[Any]]:
        with self._open_meanwhile():
            return self._submit_all(fn, list(calls), chosen, chunksize)

    @contextmanager
    def _open_meanwhile(self) -> Iterator[None]:
        """Keep the journal open. Raises `ShutDownError` where it is closed."""
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _submit_one(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], chosen: Chosen | None
    ) -> Task[Any]:
        name, options = self._journal.name_of(fn), dict(chosen.changes if chosen is not None else {})
        key = options.pop("key", None)
        pickled = _pickled(name, args, kwargs, options)
        if key is None:
            (number,) = self._journal.keep(name, [pickled])
            return self._run(Kept(number, name, pickled, None), fn, args, kwargs, options)
        with self._looking:
            known = self._known(name, key)
            if known is not None:
                return known
            (number,) = self._journal.keep(name, [pickled], key)
            return self._run(Kept(number, name, pickled, key), fn, args, kwargs, options)

    def _submit_all(
        self, fn: Callable[..., Any], calls: list[tuple[Any, ...]], chosen: Chosen, chunksize: int
    ) -> list[Task[Any]]:
        name, options = self._journal.name_of(fn), dict(chosen.changes)
        if options.pop("key", None) is not None:
            raise ValueError("key must be of one call, not of all calls of a map: submit them one by one")
        pickles = [_pickled(name, args, {}, options) for args in calls]
        numbers = self._journal.keep(name, pickles)
        try:
            tasks = self._submission._submit_many(fn, calls, Chosen(options), chunksize)
        except BaseException:
            for number in numbers:
                self._journal.strike_out(number)
            raise
        for number, pickled, task in zip(numbers, pickles, tasks, strict=True):
            self._follow(Kept(number, name, pickled, None), task)
        return tasks

    def _cancel_many(self, tasks: list[Task[Any]]) -> None:
        self._submission._cancel_many(tasks)

    def _every(
        self, times: Times, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], chosen: Chosen
    ) -> Periodic:
        return self._submission._every(times, fn, args, kwargs, chosen)

    @property
    def periodic(self) -> PeriodicCalls:
        """Periodic calls are not kept: the program that sets them up does so at its next start, too."""
        return self._submission.periodic

    # --- the journal's side ---

    def recover(self) -> list[Task[Any]]:
        """Submit what is left from before; return the handles, but of those that ended while there was no room."""
        tasks: list[Task[Any]] = []
        for kept in self._journal.left():
            try:
                function = self._journal.function(kept.function)
                args, kwargs, options = kept.opened()
            except Exception:
                log.warning("call %d of the journal, of %s, cannot be run", kept.number, kept.function, exc_info=True)
                continue
            while (task := self._again(kept, function, args, kwargs, options)) is None:
                wait(tasks, return_when=FIRST_COMPLETED)
                tasks = [one for one in tasks if not one.done()]
            tasks.append(task)
        return tasks

    def _again(
        self, kept: Kept, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]
    ) -> Task[Any] | None:
        """Submit what is left from before; None while there is no room for it."""
        try:
            task = self._submission._submit(fn, args, kwargs, Chosen(options))
        except QueueFullError:
            return None
        self._follow(kept, task)
        return task

    def close(self) -> None:
        """Close the journal when all calls have ended. To be called once, when the scheduler has ended."""
        self._count(-1)

    def _known(self, name: str, key: str) -> Task[Any] | None:
        """Return the handle of the call that has a key, or one of its result; None when the key is new."""
        found = self._keys.get(key)
        ended = self._journal.result_of(key) if found is None else None
        other = found[0] if found is not None else ended[0] if ended is not None else name
        if other != name:
            raise ValueError(f"key must be that of one call, got {key!r}, which belongs to a call of {other}")
        if ended is not None:
            again = Chosen({"lane": "threads", "name": name.rpartition(":")[2]})
            return self._submission._submit(recalled, (ended[1],), {}, again)
        return found[1] if found is not None else None

    def _run(
        self, kept: Kept, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]
    ) -> Task[Any]:
        try:
            task = self._submission._submit(fn, args, kwargs, Chosen(options))
        except BaseException:  # shut down, or full: the caller knows that it is not run
            self._journal.strike_out(kept.number)
            raise
        self._follow(kept, task)
        return task

    def _follow(self, kept: Kept, task: Task[Any]) -> None:
        if kept.key is not None:
            self._keys[kept.key] = kept.function, task
        self._count(1)
        task.add_done_callback(partial(self._ended, kept))

    def _ended(self, kept: Kept, task: Future[Any]) -> None:
        try:
            error = CancelledError() if task.cancelled() else task.exception()
            if isinstance(error, ShutDownError):
                return  # the scheduler has failed before it: the next start runs it
            if kept.key is not None and error is None:
                self._journal.remember(kept.number, kept.key, kept.function, _result(task))
            else:
                self._journal.strike_out(kept.number)
        finally:
            if kept.key is not None:
                self._keys.pop(kept.key, None)
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._counting:
            if not self._open:
                raise ShutDownError("the scheduler is shut down; open a new one")
            self._open += change
            last = not self._open
        if last:
            self._journal.close()


def _pickled(name: str, args: tuple[Any, ...], kwargs: dict[str, Any], options: dict[str, Any]) -> bytes:
    if options.get("after"):
        raise ValueError("a call in a journal cannot come after other tasks: what the next start runs has none of them")
    try:
        return pickle.dumps((args, kwargs, options), 5)
    except Exception as error:
        told = f"arguments of a call of {name} in a journal must be picklable, and no tasks"
        raise ValueError(f"{told}, got {type(error).__name__}: {error}") from error


def _result(task: Future[Any]) -> bytes:
    try:
        return pickle.dumps(task.result(), 5)
    except Exception as error:  # noqa: BLE001  (a result of a thread need not be picklable)
        return pickle.dumps(_Lost(f"{type(error).__name__}: {error}"), 5)


class _Lost(NamedTuple):
    """In the place of a result that could not be kept."""

    why: str


def recalled(result: bytes) -> Any:
    """Return the result of a call that ended before. Raises `SchedulerError` for one that could not be kept."""
    value = pickle.loads(result)
    if isinstance(value, _Lost):
        raise SchedulerError(f"the call of this key was run before, but its result could not be kept: {value.why}")
    return value


def kept(submission: Submission, journal: Journal | str | Path) -> Keeping:
    """Return a submission with a journal, which is opened."""
    if not isinstance(journal, Journal):
        journal = Journal(journal)
    journal.open()
    return Keeping(submission, journal)
