"""Resources that write down what happens to them, and one way to run a body over them in each of the four modes."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any

from arion_lib.resources import Resources
from arion_lib.resources.entry import clock

MODES = ("sync", "sync parallel", "async", "async parallel")


class BodyError(Exception):
    """What a test's body raises."""


class Probe:
    """A resource, synchronous and asynchronous, that writes ("open" | "close", name, the error it saw) into a list."""

    def __init__(
        self,
        name: str,
        log: list[tuple[str, str, BaseException | None]],
        *,
        on_open: BaseException | None = None,
        on_close: BaseException | None = None,
        suppress: bool = False,
        hooks: dict[str, Callable[[], object]] | None = None,
    ) -> None:
        self.name, self.log, self.on_open, self.on_close = name, log, on_open, on_close
        self.suppress, self.hooks = suppress, hooks or {}

    def __enter__(self) -> str:
        self.hooks.get("open", bool)()
        if self.on_open is not None:
            raise self.on_open
        self.log.append(("open", self.name, None))
        return self.name

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        self.hooks.get("close", bool)()
        self.log.append(("close", self.name, error))
        if self.on_close is not None:
            raise self.on_close
        return self.suppress

    async def __aenter__(self) -> str:
        await asyncio.sleep(0)
        return self.__enter__()

    async def __aexit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        await asyncio.sleep(0)
        return self.__exit__(kind, error, trace)


class Log(list[tuple[str, str, BaseException | None]]):
    """What happened, with questions that tests ask."""

    def probe(self, name: str, **options: Any) -> Probe:
        return Probe(name, self, **options)

    def probes(self, names: str, **options: Any) -> dict[str, Probe]:
        return {name: self.probe(name, **options) for name in names.split()}

    def opened(self) -> list[str]:
        return [name for what, name, _ in self if what == "open"]

    def closed(self) -> list[str]:
        return [name for what, name, _ in self if what == "close"]

    def saw(self, name: str) -> BaseException | None:
        return next(error for what, who, error in self if (what, who) == ("close", name))


def manager(mode: str, **resources: Any) -> Resources:
    return Resources(parallel=mode.endswith("parallel"), **resources)


def run(mode: str, managed: Resources, body: Callable[[Resources], object] | None = None) -> Any:
    """Enter the manager in the given mode and call the body in it."""
    body = body or (lambda r: None)
    if mode.startswith("sync"):
        with managed as r:
            return body(r)
        return None  # a resource suppressed the body's error
    return asyncio.run(_run(managed, body))


async def _run(managed: Resources, body: Callable[[Resources], object]) -> Any:
    async with managed as r:
        return body(r)


def nested(mode: str, probes: dict[str, Probe], body: Callable[[], object]) -> None:
    """The same by nested `with` statements: the oracle of the sequential modes."""
    if mode.startswith("sync"):
        with contextlib.ExitStack() as stack:
            for probe in probes.values():
                stack.enter_context(probe)
            body()
    else:
        asyncio.run(_nested(probes, body))


async def _nested(probes: dict[str, Probe], body: Callable[[], object]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for probe in probes.values():
            await stack.enter_async_context(probe)
        body()


def pass_time(seconds: float = 0.0) -> None:
    """Return when the resources' clock, which may be a coarse one, shows a later time: by `seconds` or more."""
    began = clock()
    while clock() - began <= seconds:
        time.sleep(0)


def fail(error: BaseException) -> Callable[..., object]:
    def raising(*_: object) -> object:
        raise error

    return raising
