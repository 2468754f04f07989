"""Start the fresh process, give it its work, hear what it says, and see it end.

Idea        A new interpreter gets functions by value (cloudpickle), so what a notebook cell defines works there.
Invariant   Leaving the context ends the child and whatever it started: after a report gently, otherwise at once.
When wrong  A child that dies closes its pipe; the queue then ends with `None`.
See         arion_lib/measure/child.py (what runs there) · tests/measure/test_fresh.py
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from arion_lib.measure.counter import PAGE_SIZE, Page
from arion_lib.measure.rss import Tree

_GRACE = 5.0
"""Seconds that a child which has reported may take to end (threads, exit handlers) before it is killed."""


_by_value_lock = threading.Lock()


def payload(fn: Callable[..., object], args: tuple[object, ...]) -> bytes:
    """Pickle a function and its arguments with all that the new interpreter could not import by name."""
    import cloudpickle

    homes = [module for module in map(_module, (fn, *args)) if module is not None]
    with _by_value_lock:  # cloudpickle's register is one for the process
        known = cloudpickle.list_registry_pickle_by_value()
        new = [module for module in dict.fromkeys(homes) if module.__name__ not in known]
        for module in new:
            cloudpickle.register_pickle_by_value(module)
        try:
            return bytes(cloudpickle.dumps((fn, args)))
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
def counter_page() -> Iterator[tuple[Path, Page]]:
    """Make the file that child and parent share as a counter; it is removed at the end."""
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
        path.unlink(missing_ok=True)


@contextmanager
def started() -> Iterator[tuple[subprocess.Popen[bytes], queue.SimpleQueue[object]]]:
    """Start a child and a thread that moves its messages into a queue; see that both end."""
    with _printing() as printed:
        child = subprocess.Popen(
            [*command("arion_lib.measure.child"), *map(str, printed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=printed,
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},  # before 3.15 Windows would print in a code page
            start_new_session=os.name == "posix",  # Ctrl-C reaches this process alone, which then ends the child
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
    assert child.stdin is not None  # noqa: S101  both are pipes
    assert child.stdout is not None  # noqa: S101
    inbox: queue.SimpleQueue[object] = queue.SimpleQueue()
    reader = threading.Thread(target=_receive, args=(child.stdout, inbox), name="measure-reader", daemon=True)
    grace = 0.0
    try:
        reader.start()
        yield child, inbox
        grace = _GRACE  # it has reported: its exit handlers may run
    finally:
        with suppress(OSError):  # the child is gone
            child.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace)
        kill_group(child)
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


def kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill the child and whatever it left running."""
    if sys.platform != "win32":
        with suppress(ProcessLookupError, PermissionError):  # empty group; on macOS one of zombies only
            os.killpg(child.pid, signal.SIGKILL)
    elif child.poll() is None:
        Tree(child.pid).kill()


def _receive(stdout: BinaryIO, inbox: queue.SimpleQueue[object]) -> None:
    """Move the child's messages into the queue; `None` ends them."""
    with stdout, suppress(EOFError, OSError, pickle.UnpicklingError):
        while True:
            inbox.put(pickle.load(stdout))
    inbox.put(None)
