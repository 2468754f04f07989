"""Run a function in a new interpreter and watch it from outside.

Idea        This process only waits, so it can also watch: every 10 ms it reads the child's memory or its counter.
Invariant   When `run` returns or raises - whatever happened, Ctrl-C included - the child and its descendants are gone.
When wrong  The function's exception is raised here with the child's traceback; a child that dies is a `ChildDied`.
See         arion_lib/measure/child.py (the other side) · tests/measure/test_fresh.py

Functions travel by cloudpickle, so those defined in a notebook cell, lambdas and closures work; the child does not
import the caller's `__main__`, so scripts need no guard.
"""

from __future__ import annotations

import os
import pickle
import queue
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from arion_lib.measure.child import Done, Job, Outcome, Ready
from arion_lib.measure.launch import counter_page, kill_group, payload, started
from arion_lib.measure.results import Returned, Sample
from arion_lib.measure.rss import Tree
from arion_lib.units import bytes_text

EVERY = 0.01
"""Seconds between two samples."""


class ChildDied(RuntimeError):
    """The measured process ended without a report.

    `exitcode` is its exit code, `signal` the name of the signal that killed it (or `None`), `samples` what was seen.
    """

    def __init__(self, message: str, exitcode: int, samples: tuple[Sample, ...]) -> None:
        super().__init__(message)
        self.exitcode = exitcode
        self.signal = signal_name(exitcode)
        self.samples = samples


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run as seen from outside."""

    done: Done
    baseline: int
    samples: tuple[Sample, ...]
    returned: Returned


def run(fn: Callable[..., object], args: tuple[object, ...], *, watch: str) -> Run:
    """Run `fn(*args)` in a fresh process, and sample its memory or its counter.

    `watch` is "memory" or "count". Raises what `fn` raises, and `ChildDied`.
    Cost: about 0.2 s beyond the work; `fn` and `args` are pickled.
    """
    job = Job(payload(fn, args), os.getpid())
    with counter_page() as (path, page), started() as (child, inbox):
        tree = Tree(child.pid)
        follow = _Watch(child, inbox, tree.rss if watch == "memory" else page.read)
        done, outcome = follow.conversation(replace(job, page=str(path)))
    if done is None or (outcome.value is None and not outcome.lost):
        raise _raised(outcome)
    return Run(done, follow.baseline, tuple(follow.samples), _returned(outcome))


class _Watch:
    """The parent's side of one run: wait for the child's messages and sample between them."""

    def __init__(
        self,
        child: subprocess.Popen[bytes],
        inbox: queue.SimpleQueue[object],
        read: Callable[[], int | None],
    ) -> None:
        self._child = child
        self._inbox = inbox
        self._read = read
        self.baseline = 0
        self.samples: list[Sample] = []

    def conversation(self, job: Job) -> tuple[Done | None, Outcome]:
        """Send the job, take the baseline when the child stands ready, and wait for its outcome."""
        self._tell(pickle.dumps(job))
        message = self._wait(watching=False)
        if isinstance(message, Ready):
            if os.name == "posix":  # both sides have it open: should this process be killed, no file is left behind
                Path(job.page).unlink()
            self.baseline = self._read() or 0
            self._tell(b"!")
            message = self._wait(watching=True)
        done = message if isinstance(message, Done) else None
        outcome = message if done is None else self._wait(watching=False)
        assert isinstance(outcome, Outcome)  # noqa: S101  the protocol of child.py
        return done, outcome

    def _tell(self, data: bytes) -> None:
        assert self._child.stdin is not None  # noqa: S101  a pipe
        with suppress(OSError):  # the child died; its silence says so in `_wait`
            self._child.stdin.write(data)
            self._child.stdin.flush()

    def _wait(self, watching: bool) -> object:
        """Return the child's next message; sample meanwhile if `watching`."""
        start = due = time.perf_counter()
        while True:
            try:
                message = self._inbox.get(timeout=max(0.0, due - time.perf_counter()))
            except queue.Empty:
                now = time.perf_counter()
                due = max(due + EVERY, now)  # a late sample is not made up for
                if watching:
                    self._sample(now - start)
                if self._child.poll() is not None and self._inbox.empty():
                    kill_group(self._child)  # forked grandchildren may hold the pipe open: its end would never come
                continue
            if message is None:
                raise self._death()
            return message

    def _sample(self, at: float) -> None:
        figure = self._read()
        if figure is None:
            return  # it has ended, and memory that is no more is no sample
        self.samples.append((at, figure - self.baseline))

    def _death(self) -> ChildDied:
        exitcode = self._child.wait()
        name = signal_name(exitcode)
        how = f"was killed by {name}" if name else f"ended with exit code {exitcode}"
        seen = f" at +{bytes_text(self.samples[-1][1])}" if self.samples else ""
        hint = "; the system does that when memory runs out: try a smaller input" if name == "SIGKILL" else ""
        return ChildDied(
            f"the measured process {how} before it had a result{seen}{hint}", exitcode, tuple(self.samples)
        )


def _raised(outcome: Outcome) -> BaseException:
    if outcome.error is None:
        error: BaseException = RuntimeError(f"the measured function raised {outcome.lost}")
    else:
        try:
            error = pickle.loads(outcome.error)
        except Exception as unreadable:  # noqa: BLE001  a foreign __init__ or __reduce__ may raise anything
            error = RuntimeError(f"the measured function raised an exception that does not unpickle ({unreadable})")
    error.add_note(f"in the measured process:\n{outcome.traceback.rstrip()}")
    return error


def _returned(outcome: Outcome) -> Returned:
    if outcome.value is None:
        return Returned(lost=outcome.lost)
    try:
        return Returned(pickle.loads(outcome.value))
    except Exception as error:  # noqa: BLE001  a value that does not unpickle must not cost the measurement
        return Returned(lost=f"it does not unpickle ({error}); return plain data")


def signal_name(exitcode: int) -> str | None:
    """Name the signal that an exit code of `subprocess` stands for, or `None`.

    >>> signal_name(-15), signal_name(3)
    ('SIGTERM', None)
    """
    if exitcode >= 0:
        return None
    try:
        return signal.Signals(-exitcode).name
    except ValueError:
        return f"signal {-exitcode}"
