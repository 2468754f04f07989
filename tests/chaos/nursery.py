"""Processes that start fast enough to be killed by the hundred.

Idea        One process imports everything and waits; a child of it is a fork away. Where there is no fork, a child is
            spawned, which takes a second instead of a few milliseconds.
Invariant   A child's line to its parent is a socket that only it holds: its end is the child's end, whoever killed it.
When wrong  A child that ends before it said it was ready raises `ChildFailed`; leaving the block kills whoever is left.
See         tests/chaos/test_kills.py
"""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

import psutil

Role = Callable[[list[str]], int]
"""What a child runs: an importable function of its arguments; its standard output is the line to the parent."""

PATIENCE = 60.0
"""Seconds after which a child that says nothing has failed."""


class ChildFailed(RuntimeError):
    """A child ended, or kept silent, before it was ready."""


@dataclass(frozen=True)
class Child:
    """A process that is ready, the line it said so with, and the socket that ends when it does."""

    pid: int
    said: str
    line: socket.socket

    def kill(self) -> None:
        """Kill it with SIGKILL (TerminateProcess on Windows) and return once it is gone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(self.pid).kill()
        self.gone()

    def terminate(self) -> None:
        """Ask it to end with SIGTERM and return once it is gone."""
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(self.pid).terminate()
        self.gone()

    def gone(self) -> None:
        """Wait for its end."""
        with contextlib.suppress(ConnectionError):
            while self.line.recv(4_096):
                pass
        self.line.close()


class Nursery:
    """Starts children: `with Nursery() as nursery: child = nursery.start(role, args)`.

    `modules` are names of what children import late: imported once, before the first of them starts.
    """

    def __init__(self, *modules: str) -> None:
        self._modules = modules

    def __enter__(self) -> Self:
        context = multiprocessing.get_context("spawn")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._orders, theirs = context.Pipe()
        self._process = context.Process(target=_mother, args=(theirs, self._listener.getsockname(), self._modules))
        self._process.start()
        theirs.close()
        self._children: list[Child] = []
        return self

    def start(self, role: Role, args: list[str]) -> Child:
        """Start a child and wait until it has said its first line."""
        self._orders.send((role, args))
        line, _ = self._listener.accept()
        line.settimeout(PATIENCE)
        with line.makefile("r") as words:
            pid, said = words.readline().strip(), words.readline().strip()
        if not said:
            line.close()
            raise ChildFailed(f"a child must say when it is ready, got its end instead: {role.__module__} {args}")
        child = Child(int(pid), said, line)
        self._children.append(child)
        return child

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for child in self._children:
            if child.line.fileno() >= 0:
                child.kill()
        self._orders.close()  # the mother's end
        self._process.join(PATIENCE)
        self._process.kill()
        self._process.join()
        self._process.close()
        self._listener.close()


def _mother(orders: Connection, address: tuple[str, int], modules: tuple[str, ...]) -> None:
    """Import what children need, then start one for each order until the parent hangs up."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGCHLD"):
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system buries the children
    spawn = multiprocessing.get_context("spawn")
    for module in modules:
        importlib.import_module(module)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            role, args = orders.recv()
            if sys.platform == "win32":
                spawn.Process(target=_child, args=(address, role, args)).start()
            elif os.fork() == 0:
                _forked(orders, address, role, args)


def _forked(orders: Connection, address: tuple[str, int], role: Role, args: list[str]) -> None:
    code = 1
    try:
        orders.close()
        if sys.platform != "win32":
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = _child(address, role, args)
    except BaseException:  # noqa: BLE001  the process ends here, whatever it was
        traceback.print_exc()
    finally:
        os._exit(code)  # never back into the mother's loop


def _child(address: tuple[str, int], role: Role, args: list[str]) -> int:
    line = socket.create_connection(address)
    words: Any = line.makefile("w", buffering=1)
    words.write(f"{os.getpid()}\n")
    sys.stdout = words
    return role(args)
