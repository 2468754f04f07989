"""Where a fresh process of ours begins: the zygote, a spawned worker, a worker on Windows.

Idea        What a process needs comes as descriptors and arguments, so that nothing is looked up by a name others see.
Invariant   Nothing here imports the program's main module.
When wrong  A worker that cannot begin ends with exit code 70 and says why on the standard error.
See         notebooks/5_task_scheduler.ipynb · tests/scheduler/test_endings.py
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from contextlib import suppress

from arion_lib.scheduler.processes.note import Note
from arion_lib.scheduler.processes.pipes import end_of
from arion_lib.scheduler.processes.worker import work
from arion_lib.scheduler.starting.forkserver import adopt, be_zygote, begin_anew, die_with_parent

LINUX = sys.platform.startswith("linux")


def zygote_main() -> None:
    """Be the zygote: `argv` is the control socket's descriptor and the set-up as JSON."""
    be_zygote(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])


def worker_main() -> None:
    """Be a spawned worker: `argv` is the descriptors of inbox, outbox and note, and the set-up as JSON."""
    inbox, outbox, note = (int(fd) for fd in sys.argv[1:4])
    for fd in (inbox, outbox):
        os.set_inheritable(fd, False)
    begin_anew()
    die_with_parent()
    _follow_supervisor()
    adopt(json.loads(sys.argv[4]))
    work(end_of(inbox, blocking=True), end_of(outbox, blocking=True), Note.attach(note))


if sys.platform == "win32":

    def windows_worker_main() -> None:
        """Be a worker on Windows: the sockets and the note's name come by the standard input."""
        inbox, outbox, name = json.load(sys.stdin)
        ends = [socket.fromshare(bytes.fromhex(shared)) for shared in (inbox, outbox)]
        _follow_supervisor()
        adopt(json.loads(sys.argv[1]))
        work(end_of(ends[0], blocking=True), end_of(ends[1], blocking=True), Note.attach(name))


def _follow_supervisor() -> None:
    """End this process when its parent does, where the system does not see to it (macOS, Windows)."""
    if LINUX:  # die_with_parent has seen to it
        return
    threading.Thread(target=_watch_parent, args=(os.getppid(),), name="arion-parent-watch", daemon=True).start()


def _watch_parent(parent: int) -> None:
    import psutil

    with suppress(psutil.NoSuchProcess):
        psutil.Process(parent).wait()
    os._exit(0)
