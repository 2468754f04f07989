"""The start of worker processes, where systems differ: launchers, descriptors on their way, encodings."""

from __future__ import annotations

import io
import json
import os
import re
import socket
import subprocess
import sys
import threading
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from arion_lib.scheduler import Scheduler
from arion_lib.scheduler.starting import forkserver, interpreter, spawner, zygote
from arion_lib.scheduler.starting.forkserver import STARTED, kill_with_its_group
from arion_lib.scheduler.starting.launch import START_METHODS, StartMethod, starter
from arion_lib.scheduler.starting.zygote import ZygoteStarter
from arion_lib.setup.environment import ROOT
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, Gate, until

pytestmark = [
    pytest.mark.usefixtures("no_leaks"),
    pytest.mark.posix("a stand-in for Windows or macOS"),
]


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have a `sys.executable` that runs the real one as its child, as a virtual environment's does on Windows."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    script.chmod(0o700)
    monkeypatch.setattr(sys, "_base_executable", sys.executable)
    monkeypatch.setattr(sys, "executable", str(script))
    return str(script)


def told_and_true_pid() -> tuple[int | None, int]:
    with Scheduler(1, start_method="spawn", preload=[jobs.__name__]) as scheduler:
        true = scheduler.submit(os.getpid).result(PATIENCE)
        return scheduler.status().workers[0].pid, true


def test_the_process_that_is_started_is_the_worker_and_not_a_launcher_of_it(
    launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(interpreter, "LAUNCHERS", True)
    told, true = told_and_true_pid()
    assert told == true
    assert interpreter.interpreter()[1]["__PYVENV_LAUNCHER__"] == launcher


def test_the_control_a_launcher_hides_the_worker(launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "LAUNCHERS", False)
    told, true = told_and_true_pid()
    assert told != true


@pytest.mark.parametrize("method", [method for method in START_METHODS if method != "spawn"])
def test_descriptors_stay_open_until_the_worker_says_that_it_has_them(method: str) -> None:
    """Stand-in: macOS may lose a descriptor that its sender closes while it is on its way."""
    starter = ZygoteStarter([], fresh=method == "forkserver")
    child = starter.start(7)
    fds = list(starter.coming[7])
    assert len(fds) == 3
    for fd in fds:
        os.fstat(fd)  # the control: OSError, when they are closed as soon as they are sent
    until(lambda: bool(starter.ended([child]) or child.pid), f"the report {STARTED}")
    assert not starter.coming
    child.close()
    starter.close()


class StartedOnWindows:
    """Stand-in for a process that was started there."""

    def __init__(self, _command: list[str], **options: Any) -> None:
        self.options, self.pid, self.stdin, self.given, self.ended = options, 7, io.BytesIO(), b"", False
        self.stdin.close = self.close  # type: ignore[method-assign]
        MADE.append(self)

    def close(self) -> None:
        self.given = self.stdin.getvalue()

    def end(self) -> None:
        self.ended = True


MADE: list[StartedOnWindows] = []


@pytest.fixture
def windows(monkeypatch: pytest.MonkeyPatch) -> list[StartedOnWindows]:
    """Return what is started as on Windows."""
    MADE.clear()
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x200, raising=False)
    monkeypatch.setattr(spawner, "Process", StartedOnWindows)
    return MADE


def test_a_worker_on_windows_has_a_process_group_of_its_own(windows: list[StartedOnWindows]) -> None:
    """In the program's group, Ctrl-C would end the workers at once, whatever they run."""
    ends = [SimpleNamespace(share=lambda pid: b"for %d" % pid)] * 2
    spawner.spawn_on_windows([*ends, "the note"], "{}")
    (started,) = windows
    assert started.options["creationflags"] == 0x200
    assert json.loads(started.given) == [b"for 7".hex(), b"for 7".hex(), "the note"]


def test_a_worker_on_windows_that_cannot_be_given_its_sockets_is_ended(windows: list[StartedOnWindows]) -> None:
    def refuse(_pid: int) -> bytes:
        raise OSError("no more of these")

    with pytest.raises(OSError, match="no more"):
        spawner.spawn_on_windows([SimpleNamespace(share=refuse)] * 2 + ["the note"], "{}")
    assert [one.ended for one in windows] == [True]


@pytest.mark.parametrize("method", [method for method in START_METHODS if method != "fork"])
def test_a_process_whose_start_fails_when_it_runs_already_is_ended(
    method: StartMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Popen does: it forks, and then reads from a pipe whether the program could be begun."""
    pids, fork = [], subprocess._fork_exec  # type: ignore[attr-defined]

    def forked(*arguments: Any) -> int:
        pids.append(fork(*arguments))
        return pids[-1]

    def unreadable(_fd: int, _size: int) -> bytes:
        raise OSError("injected")

    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "_fork_exec", forked)
        patched.setattr(os, "read", unreadable)
        with pytest.raises(OSError, match="injected"):
            starter(method, []).start(1)
    assert not psutil.pid_exists(pids[0])


@pytest.mark.parametrize("method", START_METHODS)
def test_a_worker_whose_group_may_not_be_signalled_is_killed_all_the_same(
    method: StartMethod, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stand-in: macOS answers EPERM for a group of which only zombies are left."""
    refused: list[int] = []

    def killpg(group: int, number: int) -> None:
        refused.append(group)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "killpg", killpg)
    with Scheduler(1, start_method=method, preload=[jobs.__name__], grace=0.0) as scheduler:
        task = scheduler.submit(jobs.swallow, gate.place)
        (pid,) = gate.arrived()
        assert task.cancel()
        until(lambda: not psutil.pid_exists(pid), "the worker's end")
    assert pid in refused


def test_the_end_of_the_fork_server_is_not_held_up_by_a_group_of_zombies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sent: list[int] = []

    def killpg(group: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "killpg", killpg)
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(pid))
    kill_with_its_group(7, 9)
    assert sent == [7]


def test_what_a_worker_prints_past_our_streams_is_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONIOENCODING", raising=False)
    monkeypatch.setenv("PYTHONUTF8", "0")
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("PYTHONCOERCECLOCALE", "0")
    with Scheduler(1, start_method="spawn", preload=[jobs.__name__]) as scheduler:
        assert scheduler.submit(jobs.own_encoding).result(PATIENCE) == "utf-8"
        assert scheduler.submit(jobs.encoding_of_files).result(PATIENCE) != "utf-8"  # `open` is what it is elsewhere


def test_nothing_of_ours_listens_to_other_machines() -> None:
    """A dashboard at ":0" listens everywhere, and Windows' firewall asks about it."""
    listening = re.compile(r'dashboard_address=\\?["\']:')
    assert listening.search('LocalCluster(dashboard_address=":0")')  # the control
    files = [path for folder in ("arion_lib", "notebooks", "tests") for path in (ROOT / folder).rglob("*.*")]
    files = [path for path in files if path.suffix in (".py", ".ipynb")]
    asking = {path.name for path in files if listening.search(path.read_text("utf-8"))}
    assert asking == {Path(__file__).name}


def test_an_order_that_comes_in_pieces_is_no_end_of_the_fork_server(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    order, first = forkserver.ORDER.pack(7), threading.Event()
    receive = socket.recv_fds

    def noted(*arguments: Any) -> Any:
        found = receive(*arguments)
        first.set()
        return found

    monkeypatch.setattr(socket, "recv_fds", noted)
    ours.send(order[:3])
    goes_on: list[bool] = []
    own: Any = ()
    thread = threading.Thread(target=lambda: goes_on.append(forkserver._fork_one(theirs, {}, own)))
    thread.start()
    assert first.wait(PATIENCE)
    ours.send(order[3:])
    thread.join(PATIENCE)
    assert goes_on == [True]
    kind, number, _, _ = forkserver.REPORT.unpack(ours.recv(forkserver.REPORT.size))
    assert (kind, number) == (forkserver.REFUSED, 7), "no descriptors came with it"
    ours.close()
    theirs.close()


@pytest.mark.parametrize("method", START_METHODS)
def test_workers_outlive_the_thread_that_opened_and_scaled_their_scheduler(method: StartMethod) -> None:
    """Linux ends a process when the *thread* that started it does, if the process has asked for that."""
    opened: list[Scheduler] = []

    def open_and_scale() -> None:
        opened.append(Scheduler(1, start_method=method, preload=[jobs.__name__]))
        opened[0].scale(2)
        opened[0].submit(os.getpid).result(PATIENCE)

    thread = threading.Thread(target=open_and_scale)
    thread.start()
    thread.join()
    with opened[0] as scheduler:
        until(lambda: len([one for one in scheduler.status().workers if one.pid]) == 2, "two workers")
        before = {one.pid for one in scheduler.status().workers}
        assert [scheduler.submit(jobs.add, n).result(PATIENCE) for n in range(20)] == list(range(20))
        seen = scheduler.status()
        assert {one.pid for one in seen.workers} == before
        assert sum(lane.restarts for lane in seen.lanes) == 0


def test_two_fork_servers_forked_at_once_leave_warnings_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, first_is_back = threading.Event(), threading.Event(), threading.Event()

    def fork() -> int:
        if not first.is_set():
            first.set()
            assert second.wait(PATIENCE)
        else:
            second.set()
            assert first_is_back.wait(PATIENCE)
        return 1

    monkeypatch.setattr(os, "fork", fork)
    one, two = (threading.Thread(target=zygote._fork_zygote, args=(None, "")) for _ in "12")
    one.start()
    assert first.wait(PATIENCE)
    two.start()
    one.join()
    first_is_back.set()
    two.join()
    with pytest.raises(DeprecationWarning):  # an error in this suite, as before
        warnings.warn("old", DeprecationWarning, stacklevel=1)


def test_the_warning_of_a_fork_beside_threads_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    here = {"__name__": zygote.__name__, "warnings": warnings}

    def fork() -> int:
        exec("warnings.warn('multi-threaded', DeprecationWarning)", here)  # noqa: S102 - as from the module's own line
        return 1

    with pytest.raises(DeprecationWarning):  # the control
        fork()
    monkeypatch.setattr(os, "fork", fork)
    with socket.socket() as unused:
        assert zygote._fork_zygote(unused, "") == 1
