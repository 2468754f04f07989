"""Workers as fresh interpreters: a tenth of a second each, and the only way on Windows.

Idea        The ends of the pipes are inherited by their numbers; on Windows they are duplicated into the new process.
Invariant   No worker imports this program's main module.
When wrong  What the system refuses is raised as `OSError`, with nothing left open.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_launch.py
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import IO, Any, cast

from arion_lib.scheduler.processes.outputs import levels
from arion_lib.scheduler.starting.child import Child, close_raw, descriptors, new_child
from arion_lib.scheduler.starting.interpreter import Process, flags, inherited, interpreter, program_of, tracker


class Spawner:
    """Starts each worker as a fresh interpreter."""

    coming: tuple[int, ...] = ()
    """None: what was ordered is there."""

    def start(self, number: int) -> Child:
        child, theirs = new_child(number)
        setup = json.dumps({"levels": levels(), "tracker": tracker()})
        try:
            child.process = (spawn_on_windows if sys.platform == "win32" else spawn)(theirs, setup)
        except OSError:
            child.close()
            raise
        finally:
            close_raw(theirs)
        child.pid = child.process.pid
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):  # without, its end is seen by its pipes
                child.watch = os.pidfd_open(child.pid)
        return child

    def watched(self) -> int | None:
        return None

    def ended(self, children: Sequence[Child]) -> list[Child]:
        found = []
        for child in children:
            if not child.ended and child.process is not None and child.process.poll() is not None:
                child.ended, child.exit_code = True, child.process.returncode
                found.append(child)
        return found

    def close(self) -> None:
        """Nothing is left to end: the workers see the end of their inboxes."""

    def abandon(self) -> None:
        """Nothing is inherited."""


def spawn(theirs: Sequence[Any], setup: str) -> Process:
    """Start a worker that inherits the ends of its pipes."""
    program, variables = interpreter()
    fds = descriptors(theirs)
    return Process(
        [program, *flags(), "-c", program_of("worker_main"), *map(str, fds), setup],
        env=variables,
        pass_fds=[*fds, *inherited()],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def spawn_on_windows(theirs: Sequence[Any], setup: str) -> Process:
    """Start a worker that gets duplicates of the two sockets by its standard input."""
    program, variables = interpreter()
    command = [program, *flags(), "-c", program_of("windows_worker_main"), setup]
    group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # Ctrl-C is for the program that has us
    process = Process(command, env=variables, stdin=subprocess.PIPE, creationflags=group)
    *ends, name = theirs
    try:
        with cast(IO[bytes], process.stdin) as there:
            there.write(json.dumps([*(end.share(process.pid).hex() for end in ends), name]).encode())
    except OSError:
        process.end()
        raise
    return process
