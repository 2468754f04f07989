"""The suite as if on Windows or macOS, as far as Linux can stand in for them: `--as-windows`, `--as-macos`.

What the other system lacks is hidden from the tests and from nothing else: a test that needs it is marked `posix` and
skipped, and one that forgot to say so fails. The library is set as it is there: worker processes are fresh
interpreters, on Windows with sockets for pipes, without a signal that interrupts a call, and with a clock that moves
every 1/64 s, in every process.
"""

from __future__ import annotations

import builtins
import importlib
import multiprocessing
import os
import socket
import sys
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

POSIX = {
    "os": """fork forkpty register_at_fork posix_spawn killpg getpgid setpgid getpgrp setsid getsid getuid geteuid
        getgid getegid setuid mkfifo mknod wait wait3 wait4 waitid WNOHANG waitpid nice uname statvfs readv writev
        pread pwrite sendfile pipe2 openpty chown chroot O_NONBLOCK O_DIRECTORY getloadavg""",
    "signal": """SIGKILL SIGUSR1 SIGUSR2 SIGHUP SIGALRM SIGSTOP SIGCONT SIGCHLD SIGTSTP SIGPIPE SIGQUIT SIGWINCH pause
        alarm setitimer ITIMER_REAL ITIMER_VIRTUAL pthread_kill pthread_sigmask sigwait""",
    "socket": "AF_UNIX send_fds recv_fds",
    "fcntl": "*",
    "grp": "*",
    "pty": "*",
    "pwd": "*",
    "resource": "*",
    "termios": "*",
    "tty": "*",
}
LINUX = {
    "os": """memfd_create eventfd pipe2 sched_getaffinity sched_setaffinity posix_fadvise copy_file_range splice
        getxattr setxattr pidfd_open""",
    "signal": "sigtimedwait sigwaitinfo SIGSTKFLT SIGPWR",
    "fcntl": "F_SETPIPE_SZ F_GETPIPE_SZ",
}
HIDDEN = {"--as-windows": {**LINUX, **POSIX, "os": f"{LINUX['os']} {POSIX['os']}"}, "--as-macos": LINUX}
"""What each system lacks, by module; `*`: the module itself."""

COARSE = Path(__file__).parent / "coarse"


class Partial(types.ModuleType):
    """A module without some of its names; whatever is set there is set in the module itself."""

    def __init__(self, module: types.ModuleType, hidden: frozenset[str]) -> None:
        object.__setattr__(self, "_module", module)
        object.__setattr__(self, "_hidden", hidden)

    def __getattribute__(self, name: str) -> Any:
        module = object.__getattribute__(self, "_module")
        if name in object.__getattribute__(self, "_hidden"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r} on the system stood in for")
        return object.__getattribute__(self, name) if name == "__reduce_ex__" else getattr(module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, "_module"), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(object.__getattribute__(self, "_module"), name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Travel to another process as the module."""
        return importlib.import_module, (object.__getattribute__(self, "_module").__name__,)


def hide(lacking: Mapping[str, str]) -> None:
    """Give the modules of the tests, from now on, what they import without the names that are hidden."""
    names = {module: frozenset(text.split()) for module, text in lacking.items()}
    partial = {
        name: Partial(importlib.import_module(name), hidden) for name, hidden in names.items() if "*" not in hidden
    }
    real = builtins.__import__

    def importing(name: str, space: Any = None, *rest: Any, **more: Any) -> Any:
        if name in names and str((space or {}).get("__name__", "")).startswith("tests."):
            if name not in partial:
                raise ModuleNotFoundError(f"No module named {name!r} on the system stood in for", name=name)
            return partial[name]
        return real(name, space, *rest, **more)

    builtins.__import__ = importing


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Return what `socket.socketpair` returns on Windows: two ends of a connection over the loopback address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        first = socket.create_connection(server.getsockname())
        second, _ = server.accept()
    return first, second


def as_on_windows() -> None:
    """Set the library as it is on Windows."""
    from arion_lib.scheduler.processes import pipes, worker_handle
    from arion_lib.scheduler.starting import child, launch

    launch.START_METHODS = ("spawn",)
    pipes.one_way = child.one_way = tcp_pair
    worker_handle.INTERRUPTION = None
    os.environ["ARION_COARSE_CLOCK"] = "1"
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(COARSE), os.environ.get("PYTHONPATH")]))
    importlib.import_module("tests.coarse.sitecustomize").install()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the two options."""
    group = parser.getgroup("another system")
    for option, name in (("--as-windows", "Windows"), ("--as-macos", "macOS")):
        group.addoption(option, action="store_true", help=f"run what {name} would, as far as this system stands in")


def pytest_plugin_registered(plugin: object) -> None:
    """Stand in for the other system as soon as the options are known: before the first conftest of the tests."""
    if not isinstance(plugin, pytest.Config):
        return
    for option, lacking in HIDDEN.items():
        if option in plugin.invocation_params.args:
            hide(lacking)
            multiprocessing.set_start_method("spawn", force=True)
            if option == "--as-windows":
                as_on_windows()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked `posix` where the system is not, or stands in for one that is not."""
    if config.getoption("--as-windows") or sys.platform == "win32":
        for item in items:
            if mark := item.get_closest_marker("posix"):
                item.add_marker(pytest.mark.skip(reason=mark.args[0]))
