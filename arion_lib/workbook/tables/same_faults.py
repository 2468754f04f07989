"""The same faults for every tool: what is closed, which error comes out, what of the others can still be found.

Idea        Each tool opens a, b and c, which fail where they are told to; what happened is written down and judged.
Invariant   A claim is computed from what happened in this run: no tool's answer stands in the code.
When wrong  A tool that is not installed is left out of the table.
See         notebooks/2_resource_manager.ipynb · tests/workbook/test_same_faults.py
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from arion_lib.resources import Resources, resource

NAMES = "abc"
PATIENCE = 1.0  # seconds that the others are given to be closed while one hangs


class BodyError(Exception):
    """What the body raises."""


@dataclass
class Night:
    """One run: which steps fail ("open b", "close c", "hang b", "body"), and what happened."""

    faults: frozenset[str]
    log: list[str] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)  # what hangs may go on
    error: BaseException | None = None
    logged: list[str] = field(default_factory=list)  # what the tool wrote into its log

    def probe(self, name: str) -> Iterator[str]:
        """A resource, as a generator."""
        if f"open {name}" in self.faults:
            raise OSError(f"open {name}")
        self.log.append(f"+{name}")
        try:
            yield name
        finally:
            if f"hang {name}" in self.faults:
                self.go.wait()
            self.log.append(f"-{name}")
            if f"close {name}" in self.faults:
                raise ValueError(f"close {name}")

    async def aprobe(self, name: str) -> AsyncIterator[str]:
        """The same for `async with`, with a time-out around what may hang, as asyncio's users write it."""
        if f"open {name}" in self.faults:
            raise OSError(f"open {name}")
        self.log.append(f"+{name}")
        try:
            yield name
        finally:
            if f"hang {name}" in self.faults:
                async with asyncio.timeout(PATIENCE / 20):
                    await asyncio.Event().wait()
            self.log.append(f"-{name}")
            if f"close {name}" in self.faults:
                raise ValueError(f"close {name}")

    def body(self) -> None:
        """What the resources are for."""
        if "body" in self.faults:
            raise BodyError("body")


def with_exit_stack(night: Night) -> None:
    with ExitStack() as stack:
        for name in NAMES:
            stack.enter_context(contextmanager(night.probe)(name))
        night.body()


async def with_async_exit_stack(night: Night) -> None:
    async with AsyncExitStack() as stack:
        for name in NAMES:
            await stack.enter_async_context(asynccontextmanager(night.aprobe)(name))
        night.body()


class Listener(logging.Handler):
    """Keeps what a tool logs, with the error of each record."""

    def __init__(self, night: Night) -> None:
        super().__init__()
        self.night = night

    def emit(self, record: logging.LogRecord) -> None:
        self.night.logged.append(f"{record.getMessage()} {record.exc_info[1] if record.exc_info else ''}")


def with_svcs(night: Night) -> None:
    with warnings.catch_warnings():  # it imports test clients, which warn of other versions
        warnings.simplefilter("ignore")
        import svcs
    log, listener = logging.getLogger("svcs"), Listener(night)
    log.propagate, before = False, log.propagate
    log.addHandler(listener)  # it logs what fails to close: that counts as found
    try:
        _with_svcs(svcs, night)
    finally:
        log.removeHandler(listener)
        log.propagate = before


def _with_svcs(svcs: Any, night: Night) -> None:
    registry, kinds = svcs.Registry(), {name: type(name, (), {}) for name in NAMES}
    for name, kind in kinds.items():
        registry.register_factory(kind, _factory(night, name))
    with registry, svcs.Container(registry) as container:
        for kind in kinds.values():
            container.get(kind)
        night.body()


def _factory(night: Night, name: str) -> Callable[[], Iterator[str]]:
    def factory() -> Iterator[str]:  # svcs closes what a generator function made
        yield from night.probe(name)

    return factory


def with_arion(night: Night) -> None:
    made: dict[str, Any] = {
        n: resource(lambda n=n: contextmanager(night.probe)(n), release_timeout=PATIENCE / 20) for n in NAMES
    }
    with Resources(label="night", **made):
        night.body()


Tool = Callable[[Night], Any]
TOOLS: dict[str, Tool] = {
    "ExitStack": with_exit_stack,
    "AsyncExitStack": with_async_exit_stack,
    "svcs": with_svcs,
    "arion": with_arion,
}


def run(tool: Tool, *faults: str) -> Night:
    """Run one night in a thread of its own, where a hang keeps nobody; returns what had happened until then."""
    night = Night(frozenset(faults))
    thread = threading.Thread(target=_run, args=(tool, night))
    thread.start()
    thread.join(PATIENCE if any(fault.startswith("hang") for fault in faults) else None)
    seen = Night(night.faults, list(night.log), night.go, night.error, list(night.logged))
    night.go.set()
    thread.join()
    return seen


def _run(tool: Tool, night: Night) -> None:
    try:
        if inspect.iscoroutinefunction(tool):
            asyncio.run(tool(night))
        else:
            tool(night)
    except BaseException as error:  # noqa: BLE001  what comes out is what is judged
        night.error = error


def reachable(error: BaseException | None) -> Iterator[str]:
    """Every message that somebody who caught the error can find: its own, notes, group members, and its context."""
    while error is not None:
        yield str(error)
        yield from getattr(error, "__notes__", ())
        yield from (str(inner) for inner in getattr(error, "exceptions", ()))
        error = error.__context__


def _found(night: Night, *texts: str) -> bool:
    """Whether each text stands on the error that came out, or in the tool's log."""
    return all(any(text in line for line in (*reachable(night.error), *night.logged)) for text in texts)


CLAIMS: dict[str, Callable[[Tool], bool]] = {
    "all are closed when two fail to close": lambda tool: {"-a", "-b", "-c"} <= {*run(tool, "close b", "close c").log},
    "both of these errors can be found": lambda tool: _found(run(tool, "close b", "close c"), "close b", "close c"),
    "the body's error comes out as itself": lambda tool: isinstance(run(tool, "body", "close b").error, BodyError),
    "it is said which one did not open": lambda tool: _found(run(tool, "open b"), "acquiring 'b'"),
    "a hang in b keeps a and c not open": lambda tool: {"-a", "-c"} <= {*run(tool, "hang b").log},
}


def survey() -> list[list[str]]:
    """One row a claim: its words, then yes or no for each tool."""
    return [[claim, *("yes" if holds(tool) else "no" for tool in TOOLS.values())] for claim, holds in CLAIMS.items()]
