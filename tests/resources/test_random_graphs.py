"""Random graphs of resources, with failures, hangs, suppression and cancellation at random points.

`ARION_FUZZ_RUNS` says how many graphs are run in each mode (the suite takes few; 10,000 take some minutes).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from arion_lib.resources import Resources, errors_of, resource
from tests.resources.probes import MODES, BodyError

RUNS = int(os.environ.get("ARION_FUZZ_RUNS", "400"))


@pytest.fixture(autouse=True)
def thousands_of_expected_failures_are_not_logged() -> Iterator[None]:
    """Formatting them takes most of the time, and CPython 3.11 may fail to format two tracebacks within each other."""
    logging.disable(logging.CRITICAL)
    yield
    gc.collect()  # a task that ended in SystemExit logs when it is collected
    logging.disable(logging.NOTSET)


class Boom(Exception):
    """What a random resource raises."""


@dataclass
class Story:
    """What one random run did."""

    draw: random.Random
    needs: dict[str, list[str]] = field(default_factory=dict)
    steps: list[tuple[str, str]] = field(default_factory=list)
    raised: list[BaseException] = field(default_factory=list)
    suppressed: list[BaseException] = field(default_factory=list)

    def fail(self, error: BaseException) -> None:
        self.raised.append(error)
        raise error


class Random:
    """A resource that fails, waits, hangs or suppresses as the story's dice say."""

    def __init__(self, story: Story, name: str, asynchronous: bool) -> None:
        draw = story.draw.random
        self.story, self.name = story, name
        self.on_open, self.on_close, self.exits, self.suppresses = (draw() < p for p in (0.12, 0.2, 0.05, 0.08))
        self.waits = story.draw.choice([0, 0, 1, 2])
        self.hangs = asynchronous and draw() < 0.03

    def __enter__(self) -> str:
        if self.on_open:
            self.story.fail(Boom(f"open {self.name}"))
        self.story.steps.append(("open", self.name))
        return self.name

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        self.story.steps.append(("close", self.name))
        if self.on_close:
            self.story.fail(Boom(f"close {self.name}"))
        if self.exits:
            self.story.fail(SystemExit(f"close {self.name}"))
        if self.suppresses and error is not None:
            self.story.suppressed.append(error)
        return self.suppresses


class RandomAsync(Random):
    """The same, opened and closed with waits in between."""

    __enter__ = None  # type: ignore[assignment]
    __exit__ = None  # type: ignore[assignment]

    async def __aenter__(self) -> str:
        for _ in range(self.waits):
            await asyncio.sleep(0)
        return Random.__enter__(self)

    async def __aexit__(self, *exc: Any) -> bool:
        for _ in range(self.waits):
            await asyncio.sleep(0)
        if self.hangs:
            self.story.steps.append(("close", self.name))
            await asyncio.Event().wait()
        return Random.__exit__(self, *exc)


def told(seed: int, mode: str) -> tuple[Story, Resources]:
    story = Story(random.Random(seed))
    kind = RandomAsync if mode.startswith("async") else Random
    names = [f"r{i}" for i in range(story.draw.randrange(1, 7))]
    definition: dict[str, Any] = {}
    for at, name in enumerate(names):
        story.needs[name] = [other for other in names[:at] if story.draw.random() < 0.3]
        made = kind(story, name, mode.startswith("async"))
        limit = {"release_timeout": 0.002} if made.hangs else {}
        definition[name] = resource(made, after=story.needs[name], **limit)
    return story, Resources(parallel=mode.endswith("parallel"), **definition)


def body(story: Story) -> None:
    story.steps.append(("body", ""))
    if story.draw.random() < 0.3:
        story.fail(BodyError("body"))


def run_sync(story: Story, managed: Resources) -> BaseException | None:
    try:
        with managed:
            body(story)
    except BaseException as error:  # noqa: BLE001  the outcome is what is checked
        return error
    return None


async def run_async(story: Story, managed: Resources) -> BaseException | None:
    async def user() -> None:
        async with managed:
            await asyncio.sleep(0)
            body(story)

    task, cancel_after = asyncio.ensure_future(user()), story.draw.choice([None, None, 0, 1, 2, 3, 4, 6])
    for _ in range(cancel_after or 0):
        await asyncio.sleep(0)
    if cancel_after is not None:
        task.cancel()
    try:
        await task
    except BaseException as error:  # noqa: BLE001  the outcome is what is checked
        return error
    finally:
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
    return None


def once(seed: int, mode: str) -> tuple[Story, BaseException | None]:
    story, managed = told(seed, mode)
    if mode.startswith("sync"):
        return story, run_sync(story, managed)
    try:
        return story, asyncio.run(run_async(story, managed))
    except (KeyboardInterrupt, SystemExit) as error:  # a loop does not let these go through a task
        return story, error


def opened_and_closed(story: Story) -> None:
    opened = [name for what, name in story.steps if what == "open"]
    closed = [name for what, name in story.steps if what == "close"]
    assert sorted(opened) == sorted(closed) == sorted(set(opened))
    at = {step: number for number, step in enumerate(story.steps)}
    for name in opened:
        for need in story.needs[name]:
            assert at["open", need] < at["open", name]
            assert at["close", name] < at["close", need]
    if ("body", "") in at:
        assert len(opened) == len(story.needs)


def nothing_lost(story: Story, outcome: BaseException | None) -> None:
    known = {id(failure.error) for failure in errors_of(outcome)} if outcome is not None else set()
    known |= {id(error) for error in story.suppressed} | {id(outcome)}
    context = outcome
    while context is not None:
        known.add(id(context))
        context = context.__context__
    lost = [error for error in story.raised if id(error) not in known]
    assert not lost, lost


@pytest.mark.parametrize("mode", MODES)
def test_after_any_run_everything_was_released_once_in_order_and_no_error_is_lost(mode: str) -> None:
    threads = threading.active_count()
    for seed in range(RUNS):
        with contextlib.nullcontext(seed):
            story, outcome = once(seed, mode)
            opened_and_closed(story)
            nothing_lost(story, outcome)
    assert threading.active_count() <= threads


def by_exit_stack(story: Story, managed: Resources) -> BaseException | None:
    try:
        with contextlib.ExitStack() as stack:
            for _, recipe in managed._plan.eager:
                stack.enter_context(recipe.make())
            body(story)
    except BaseException as error:  # noqa: BLE001  the outcome is what is checked
        return error
    return None


def breaks(check: Callable[[], None]) -> bool:
    try:
        check()
    except AssertionError:
        return True
    return False


def test_an_exit_stack_loses_errors_in_the_same_runs() -> None:
    lost = 0
    for seed in range(RUNS):
        story, managed = told(seed, "sync")
        outcome = by_exit_stack(story, managed)
        if outcome is not None:
            outcome.__context__ = None
        lost += breaks(lambda story=story, outcome=outcome: nothing_lost(story, outcome))
    assert lost > 0
