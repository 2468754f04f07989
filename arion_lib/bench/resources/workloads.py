"""The contenders of the resources benchmark: one cycle of opening and closing, each in its library's own way.

Idea        A contender is a function without arguments that opens `count` resources, uses none, and closes them.
Invariant   Every contender opens and closes the same resources the same number of times.
When wrong  A peer that is not installed raises ModuleNotFoundError when it is called, and is listed as absent.
See         arion_lib/bench/resources/__init__.py · tests/bench/test_resources.py
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from typing import Any

from arion_lib.resources import Resources

Cycle = Callable[[], object]


class Trivial:
    """A resource that does nothing but count."""

    opened = closed = 0

    def __enter__(self) -> Trivial:
        Trivial.opened += 1
        return self

    def __exit__(self, *exc: object) -> None:
        Trivial.closed += 1


class TrivialAsync:
    """The same, asynchronous."""

    async def __aenter__(self) -> TrivialAsync:
        Trivial.opened += 1
        return self

    async def __aexit__(self, *exc: object) -> None:
        Trivial.closed += 1


def many(make: Callable[[], object], count: int) -> dict[str, Any]:
    """Name `count` resources, each an object of its own.

    >>> list(many(object, 2))
    ['r0', 'r1']
    """
    return {f"r{i}": make() for i in range(count)}


def synchronous(count: int, cycles: int) -> dict[str, Cycle]:
    """Contenders that open and close `count` resources one after the other, `cycles` times."""
    ours = Resources(**many(Trivial, count))

    def with_exit_stack() -> None:
        for _ in range(cycles):
            with ExitStack() as stack:
                for _ in range(count):
                    stack.enter_context(Trivial())

    def with_ours() -> None:
        for _ in range(cycles):
            with ours:
                pass

    return {
        "ExitStack": with_exit_stack,
        "ours": with_ours,
        "svcs": partial(_svcs, count, cycles),
        "dependency-injector": partial(_injector, count, cycles),
    }


def asynchronous(count: int, cycles: int) -> dict[str, Cycle]:
    """The same, each in one event loop."""
    ours = Resources(**many(TrivialAsync, count))

    async def with_exit_stack() -> None:
        for _ in range(cycles):
            async with AsyncExitStack() as stack:
                for _ in range(count):
                    await stack.enter_async_context(TrivialAsync())

    async def with_ours() -> None:
        for _ in range(cycles):
            async with ours:
                pass

    return {
        "AsyncExitStack": _in_a_loop(with_exit_stack),
        "ours": _in_a_loop(with_ours),
        "svcs": _in_a_loop(partial(_svcs_async, count, cycles)),
        "dependency-injector": _in_a_loop(partial(_injector_async, count, cycles)),
    }


def _registered(base: type, count: int) -> tuple[Callable[[], Any], list[type]]:
    """Return what opens a container of svcs, and the `count` kinds of resources that it enters when it gets one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the web frameworks that it imports, whose versions are not ours
        import svcs

    registry, kinds = svcs.Registry(), [type(f"R{i}", (base,), {}) for i in range(count)]
    for kind in kinds:
        registry.register_factory(kind, kind)
    return lambda: svcs.Container(registry), kinds


def _svcs(count: int, cycles: int) -> None:
    container, kinds = _registered(Trivial, count)
    for _ in range(cycles):
        with container() as opened:
            for kind in kinds:
                opened.get(kind)


async def _svcs_async(count: int, cycles: int) -> None:
    container, kinds = _registered(TrivialAsync, count)
    for _ in range(cycles):
        async with container() as opened:
            for kind in kinds:
                await opened.aget(kind)


def _provided(make: Callable[[], object], count: int) -> Any:
    """Return a container of `count` resources."""
    from dependency_injector import containers, providers

    container = containers.DynamicContainer()
    for i in range(count):
        container.set_provider(f"r{i}", providers.Resource(make))
    return container


def _injector(count: int, cycles: int) -> None:
    def make() -> Iterator[Trivial]:
        with Trivial() as opened:
            yield opened

    container = _provided(make, count)
    for _ in range(cycles):
        container.init_resources()
        container.shutdown_resources()


async def _injector_async(count: int, cycles: int) -> None:
    async def make() -> AsyncIterator[TrivialAsync]:
        async with TrivialAsync() as opened:
            yield opened

    container = _provided(make, count)
    for _ in range(cycles):
        await container.init_resources()
        await container.shutdown_resources()


def _in_a_loop(contender: Callable[[], Coroutine[Any, Any, None]]) -> Cycle:
    return lambda: asyncio.run(contender())


class Slow:
    """Takes `seconds` to open and as long to close."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __enter__(self) -> None:
        time.sleep(self.seconds)

    def __exit__(self, *exc: object) -> None:
        time.sleep(self.seconds)


class SlowAsync:
    """The same, asynchronous."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    async def __aenter__(self) -> None:
        await asyncio.sleep(self.seconds)

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.sleep(self.seconds)


def beside(count: int, seconds: float) -> dict[str, Cycle]:
    """Open and close `count` slow resources: one, all with threads, all with tasks, all one after the other."""
    threads = Resources(parallel=True, **many(lambda: Slow(seconds), count))
    tasks = Resources(parallel=True, **many(lambda: SlowAsync(seconds), count))

    def one() -> None:
        with Slow(seconds):
            pass

    def with_threads() -> None:
        with threads:
            pass

    async def with_tasks() -> None:
        async with tasks:
            pass

    async def stacked() -> None:
        async with AsyncExitStack() as stack:
            for _ in range(count):
                await stack.enter_async_context(SlowAsync(seconds))

    return {
        "one of them": one,
        "ours, threads": with_threads,
        "ours, tasks": _in_a_loop(with_tasks),
        "AsyncExitStack": _in_a_loop(stacked),
    }
