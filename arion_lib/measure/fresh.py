"""Run a function in a new interpreter and watch it from outside.

Idea        This process only waits, so it can also watch: every 10 ms it reads the child's memory or its counter.
Invariant   When `run` returns or raises - whatever happened, Ctrl-C included - the child and its descendants are gone.
When wrong  The function's exception is raised here with the child's traceback; a child that dies is a `ChildDied`.
See         arion_lib/measure/child.py (the other side) · tests/measure/test_fresh.py

Functions travel by cloudpickle, so those defined in a notebook cell, lambdas and closures work; the child does not
import the caller's `__main__`, so scripts need no guard.
"""

from __future__ import annotations

import importlib.machinery
import os
import pickle
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from arion_lib.measure.child import Done, Job, Outcome, Ready
from arion_lib.measure.counter import PAGE_SIZE, Page
from arion_lib.measure.results import Returned, Sample
from arion_lib.measure.rss import Tree
from arion_lib.measure.units import bytes_text, seconds_text

EVERY = 0.01
"""Seconds between two samples."""

_GRACE = 5.0
"""Seconds that a child which has reported may take to end (threads, exit handlers) before it is killed."""


class ChildDied(RuntimeError):
    """The measured process ended without a report.

    `exitcode` is its exit code, `signal` the name of the signal that killed it (or `None`), `samples` what was seen.
    """

    def __init__(self, message: str, exitcode: int, samples: tuple[Sample, ...]) -> None:
        super().__init__(message)
        self.exitcode = exitcode
        self.signal = _signal_name(exitcode)
        self.samples = samples


class TimeLimit(TimeoutError):
    """The measured function took longer than `timeout` seconds and was stopped. `samples` show how far it got."""

    def __init__(self, timeout: float, samples: tuple[Sample, ...]) -> None:
        super().__init__(f"the measured function must end within timeout={seconds_text(timeout)}; it was stopped")
        self.timeout = timeout
        self.samples = samples


class MemoryLimit(MemoryError):
    """The measured process grew past `limit` bytes over its baseline and was stopped. `samples` show how."""

    def __init__(self, limit: float, samples: tuple[Sample, ...]) -> None:
        at, growth = samples[-1]
        super().__init__(
            f"growth must stay <= limit={bytes_text(limit)}, got {bytes_text(growth)} after {seconds_text(at)}; "
            "the process was stopped"
        )
        self.limit = limit
        self.samples = samples


@dataclass(frozen=True, slots=True)
class Bounds:
    """When to give up, in seconds from the call and in bytes over the baseline; `None` means never."""

    timeout: float | None = None
    limit: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("timeout", self.timeout), ("limit", self.limit)):
            if value is not None and not value > 0:
                raise ValueError(f"{name} must be > 0 or None, got {value}")


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run as seen from outside."""

    done: Done
    baseline: int
    samples: tuple[Sample, ...]
    returned: Returned


def run(
    fn: Callable[..., object],
    args: tuple[object, ...],
    setup: Callable[[], object] | None,
    bounds: Bounds,
    *,
    watch: str,
) -> Run:
    """Run `fn(*args)` in a fresh process after `setup()`, and sample its memory or its counter.

    `watch` is "memory" or "count". Raises what `fn` raises, `ChildDied`, `MemoryLimit` and `TimeLimit`.
    Cost: about 0.2 s beyond the work; `fn` and `args` are pickled.
    """
    job = Job(_payload(fn, args, setup), os.getpid())
    with _counter_page() as (path, page), _child() as (child, inbox):
        tree = Tree(child.pid)
        follow = _Watch(child, inbox, bounds, tree.rss if watch == "memory" else page.read)
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
        bounds: Bounds,
        read: Callable[[], int | None],
    ) -> None:
        self._child = child
        self._inbox = inbox
        self._bounds = bounds
        self._read = read
        self._called = time.perf_counter()
        self.baseline = 0
        self.samples: list[Sample] = []

    def conversation(self, job: Job) -> tuple[Done | None, Outcome]:
        """Send the job, take the baseline when the child stands ready, and wait for its outcome."""
        self._tell(pickle.dumps(job))
        message = self._wait(watching=False)
        if isinstance(message, Ready):
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
                self._check_time(now)
                continue
            if message is None:
                raise self._death()
            return message

    def _sample(self, at: float) -> None:
        figure = self._read()
        if figure is None:
            return  # it has ended, and memory that is no more is no sample
        growth = figure - self.baseline
        self.samples.append((at, growth))
        limit = self._bounds.limit
        if limit is not None and growth > limit:
            raise MemoryLimit(limit, tuple(self.samples))

    def _check_time(self, now: float) -> None:
        timeout = self._bounds.timeout
        if timeout is not None and now - self._called > timeout:
            raise TimeLimit(timeout, tuple(self.samples))
        if self._child.poll() is not None and self._inbox.empty():
            _kill_group(self._child)  # forked grandchildren may hold the pipe open, and its end would never come

    def _death(self) -> ChildDied:
        exitcode = self._child.wait()
        name = _signal_name(exitcode)
        how = f"was killed by {name}" if name else f"ended with exit code {exitcode}"
        seen = f" at +{bytes_text(self.samples[-1][1])}" if self.samples else ""
        hint = "; the system does that when memory runs out: try a smaller input" if name == "SIGKILL" else ""
        return ChildDied(
            f"the measured process {how} before it had a result{seen}{hint}", exitcode, tuple(self.samples)
        )


def _receive(stdout: BinaryIO, inbox: queue.SimpleQueue[object]) -> None:
    """Move the child's messages into the queue; `None` ends them."""
    with stdout, suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            inbox.put(pickle.load(stdout))
    inbox.put(None)


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


_by_value_lock = threading.Lock()


def _payload(fn: Callable[..., object], args: tuple[object, ...], setup: Callable[[], object] | None) -> bytes:
    import cloudpickle

    homes = [module for module in map(_module, (fn, setup, *args)) if module is not None]
    with _by_value_lock:  # cloudpickle's register is one for the process
        known = cloudpickle.list_registry_pickle_by_value()
        new = [module for module in dict.fromkeys(homes) if module.__name__ not in known]
        for module in new:
            cloudpickle.register_pickle_by_value(module)
        try:
            return bytes(cloudpickle.dumps((fn, args, setup)))
        finally:
            for module in new:
                cloudpickle.unregister_pickle_by_value(module)


def _module(value: object) -> ModuleType | None:
    """Return the module of a function that the child could not import by name (a test file, say)."""
    module = sys.modules.get(getattr(value, "__module__", None) or "")
    if module is None or not callable(value) or module.__name__ == "__main__":
        return None
    top = module.__name__.partition(".")[0]
    found = top in sys.builtin_module_names or importlib.machinery.PathFinder.find_spec(top) is not None
    return None if found else module


@contextmanager
def _counter_page() -> Iterator[tuple[Path, Page]]:
    handle, name = tempfile.mkstemp(prefix="arion-count-")
    path = Path(name)
    try:
        os.write(handle, bytes(PAGE_SIZE))
        os.close(handle)
        page = Page(path)
        try:
            yield path, page
        finally:
            page.close()
    finally:
        path.unlink()


@contextmanager
def _child() -> Iterator[tuple[subprocess.Popen[bytes], queue.SimpleQueue[object]]]:
    """Start a child and a thread that moves its messages into a queue; see that both end."""
    with _printing() as printed:
        child = subprocess.Popen(
            [*command("arion_lib.measure.child"), *map(str, printed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=printed,
            start_new_session=os.name == "posix",  # Ctrl-C reaches this process alone, which then ends the child
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    assert child.stdin is not None  # noqa: S101  both are pipes
    assert child.stdout is not None  # noqa: S101
    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
    reader = threading.Thread(target=_receive, args=(child.stdout, inbox), name="measure-reader", daemon=True)
    reader.start()
    grace = 0.0
    try:
        yield child, inbox
        grace = _GRACE  # it has reported: its exit handlers may run
    finally:
        with suppress(OSError):  # the child is gone
            child.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace)
        _kill_group(child)
        child.wait()
        reader.join()


@contextmanager
def _printing() -> Iterator[tuple[int, ...]]:
    """Duplicate the standard output for the child to print on: its own standard output is the pipe it reports on."""
    try:
        printed = (os.dup(1),) if os.name == "posix" else ()
    except OSError:  # this process has none
        printed = ()
    try:
        yield printed
    finally:
        for descriptor in printed:
            os.close(descriptor)


def command(module: str) -> list[str]:
    """Give the command line of a new interpreter that sees the same modules and warnings as this one."""
    start = f"import sys; sys.path[:] = {sys.path!r}; from {module} import main; main()"
    return [sys.executable, *(f"-W{option}" for option in sys.warnoptions), "-c", start]


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):  # empty group; on macOS one of zombies only
            os.killpg(child.pid, signal.SIGKILL)
    elif child.poll() is None:
        Tree(child.pid).kill()


def _signal_name(exitcode: int) -> str | None:
    if exitcode >= 0:
        return None
    try:
        return signal.Signals(-exitcode).name
    except ValueError:
        return f"signal {-exitcode}"
