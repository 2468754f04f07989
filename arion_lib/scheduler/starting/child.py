"""A worker process as its starter knows it: its pipes, its note, and how to end it.

Idea        Both ways to start a process make the same things for it; what it gets of them are its raw ends.
Invariant   Nothing stays open when one of them cannot be had, nor after `close`.
When wrong  A signal for a process that has ended does nothing; one that is not there yet gets it when it is.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_launch.py
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from arion_lib.scheduler.processes.note import Note
from arion_lib.scheduler.processes.pipes import End, end_of, one_way

OURS: set[int] = set()
"""The supervisors' own descriptors in this process: a zygote that is forked from it must not hold them open."""


@dataclass(slots=True)
class Child:
    """A worker process as its starter knows it; `pid` is None until the zygote has told it."""

    number: int
    inbox: End
    """Where calls are written to."""
    outbox: End
    """Where results are read from."""
    note: Note
    pid: int | None = None
    ended: bool = False
    exit_code: int | None = None
    process: subprocess.Popen[bytes] | None = None
    watch: int | None = None
    """A descriptor that becomes readable when the process ends, where the system has such (Linux)."""
    kill_wanted: int | None = field(default=None)
    refused: int | None = None
    """Why the system gave no process, as an error number."""

    def signal(self, number: int) -> None:
        """Send a signal to the process; nothing happens when it has ended."""
        if self.ended:
            return
        if self.pid is None:  # the zygote has not told it yet: as soon as it does
            self.kill_wanted = number
            return
        with suppress(ProcessLookupError):
            if self.process is not None:
                self.process.send_signal(number)
            else:
                os.kill(self.pid, number)

    def kill(self) -> None:
        """End the process at once, and what its tasks have started."""
        if sys.platform != "win32" and self.pid is not None and not self.ended:
            with suppress(ProcessLookupError, PermissionError):  # its group may not be made yet
                os.killpg(self.pid, signal.SIGKILL)
        self.signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def close_inbox(self) -> None:
        """Let the worker see the end of its inbox."""
        OURS.discard(self.inbox.fileno())
        self.inbox.close()

    def close(self) -> None:
        """Give back the pipes and the memory."""
        for end in (self.inbox, self.outbox):
            OURS.discard(end.fileno())
            end.close()
        self.note.close()
        if self.watch is not None:
            os.close(self.watch)
            self.watch = None


def new_child(number: int) -> tuple[Child, tuple[int | socket.socket | str, ...]]:
    """Make the pipes and the note; return our side, and the worker's three raw ends: inbox, outbox, note.

    Nothing stays open when one of them cannot be had.
    """
    made: list[int | socket.socket | str] = []
    try:
        made += one_way()
        made += one_way()
        their_inbox, our_inbox, our_outbox, their_outbox = (one for one in made if not isinstance(one, str))
        inbox, outbox = end_of(our_inbox, blocking=False), end_of(our_outbox, blocking=False)
        note, where = Note.create()
    except OSError:
        close_raw(made)
        raise
    child = Child(number, inbox, outbox, note)
    OURS.update((child.inbox.fileno(), child.outbox.fileno()))
    return child, (their_inbox, their_outbox, where)


def descriptors(raw: Sequence[int | socket.socket | str]) -> list[int]:
    return [one.fileno() if isinstance(one, socket.socket) else int(one) for one in raw]


def close_raw(raw: Sequence[int | socket.socket | str]) -> None:
    for one in raw:
        if isinstance(one, int):
            os.close(one)
        elif isinstance(one, socket.socket):
            one.close()
