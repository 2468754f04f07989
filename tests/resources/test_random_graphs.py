"""Random graphs of resources, with failures, hangs, suppression and cancellation at random points.

Resources are lazy, optional, tried again, in a scope, bound to the thread, and raise errors whose `str` raises.

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

from arion_lib.resources import Resources, Retry, errors_of, resource
from arion_lib.resources.entry import AbsentError
from arion_lib.resources.settle import parts
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


class Mute(Boom):
    """One that cannot even be told."""

    def __str__(self) -> str:
        raise RuntimeError("no text")


@dataclass
class Story:
    """What one random run did."""

    draw: random.Random
    needs: dict[str, list[str]] = field(default_factory=dict)
    eager: set[str] = field(default_factory=set)  # what must be open when the body begins
    bound: set[str] = field(default_factory=set)  # what must not leave the thread of the block
    touched: list[str] = field(default_factory=list)  # lazy ones that the body uses, in its order
    steps: list[tuple[str, str]] = field(default_factory=list)
    threads: dict[str, set[int]] = field(default_factory=dict)
    raised: list[BaseException] = field(default_factory=list)
    suppressed: list[BaseException] = field(default_factory=list)
    spared: list[BaseException] = field(default_factory=list)  # of an optional one, or of an attempt before the last
    early: bool = False  # the outer block ends before the one inside it

    def chance(self, probability: float) -> bool:
        return self.draw.random() < probability

    def boom(self, text: str) -> Boom:
        return (Mute if self.chance(0.2) else Boom)(text)

    def fail(self, error: BaseException) -> None:
        self.raised.append(error)
        raise error

    def step(self, what: str, name: str) -> None:
        self.steps.append((what, name))
        self.threads.setdefault(name, set()).add(threading.get_ident())


class Random:
    """A resource that fails, waits, hangs or suppresses as the story's dice say."""

    def __init__(self, story: Story, name: str, asynchronous: bool) -> None:
        self.story, self.name = story, name
        self.on_open, self.on_close, self.exits, self.suppresses = map(story.chance, (0.12, 0.2, 0.05, 0.08))
        self.waits = story.draw.choice([0, 0, 1, 2])
        self.hangs = asynchronous and story.chance(0.03)
        self.optional, self.lazy = story.chance(0.15), story.chance(0.2)
        self.attempts = story.draw.choice([1, 1, 1, 2, 3])
        self.well_at = story.draw.randrange(
            1, 4
        )  # where opening fails, the attempt that goes well, if it comes to that
        self.attempt = 0

    def options(self) -> dict[str, Any]:
        """As `resource` takes them."""
        options: dict[str, Any] = {"after": self.story.needs[self.name], "optional": self.optional, "lazy": self.lazy}
        if self.attempts > 1:
            options["retry"] = Retry(attempts=self.attempts, backoff=0)
        if self.hangs:
            options["release_timeout"] = 0.002
        elif self.story.chance(0.1):
            options["thread_bound"] = True
            self.story.bound.add(self.name)
        return options

    def __enter__(self) -> str:
        self.attempt += 1
        if self.on_open and (self.attempts == 1 or self.attempt < self.well_at):
            error = self.story.boom(f"open {self.name}")
            if self.optional or self.attempt < self.attempts:
                self.story.spared.append(error)
            self.story.fail(error)
        self.story.step("open", self.name)
        return self.name

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        self.story.step("close", self.name)
        if self.on_close:
            self.story.fail(self.story.boom(f"close {self.name}"))
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
        if self.hangs:  # from its first step on: its deadline may come before the loop's next turn
            self.story.step("close", self.name)
            await asyncio.Event().wait()
        for _ in range(self.waits):
            await asyncio.sleep(0)
        return Random.__exit__(self, *exc)


def told(seed: int, mode: str) -> tuple[Story, Resources, dict[str, Any]]:
    """A story, its manager, and what a scope inside it adds."""
    story = Story(random.Random(seed))
    kind = RandomAsync if mode.startswith("async") else Random
    names = [f"r{i}" for i in range(story.draw.randrange(1, 7))]
    inside = story.draw.choice([0, 0, 0, 1, 2])
    definition: dict[str, Any] = {}
    made: dict[str, Random] = {}
    for at, name in enumerate(names):
        story.needs[name] = [other for other in names[:at] if story.chance(0.3)]
        made[name] = kind(story, name, mode.startswith("async"))
        definition[name] = resource(made[name], **made[name].options())
    scoped = {name: definition.pop(name) for name in names[1:][len(names) - 1 - inside :]}
    story.eager = {name for name in names if not made[name].lazy and not made[name].optional}
    story.touched = [name for name in names if made[name].lazy and story.chance(0.6)]
    story.early = bool(scoped) and story.chance(0.2)
    return story, Resources(parallel=mode.endswith("parallel"), **definition), scoped


def body(story: Story) -> None:
    story.steps.append(("body", ""))
    if story.chance(0.3):
        story.fail(BodyError("body"))


def run_sync(story: Story, managed: Resources, scoped: dict[str, Any]) -> BaseException | None:
    def use(r: Resources) -> None:
        for name in story.touched:
            with contextlib.suppress(AbsentError):
                assert r[name] == name
        body(story)

    try:
        with managed as r:
            if scoped and story.early:
                use(r.scope(**scoped).__enter__())
            elif scoped:
                with r.scope(**scoped) as inner:
                    use(inner)
            else:
                use(r)
    except BaseException as error:  # noqa: BLE001  the outcome is what is checked
        return error
    return None


async def run_async(story: Story, managed: Resources, scoped: dict[str, Any]) -> BaseException | None:
    async def use(r: Resources) -> None:
        await asyncio.sleep(0)
        for name in story.touched:
            with contextlib.suppress(AbsentError):
                assert await r.aacquire(name) == name
        body(story)

    async def user() -> None:
        async with managed as r:
            if scoped and story.early:
                await use(await r.scope(**scoped).__aenter__())
            elif scoped:
                async with r.scope(**scoped) as inner:
                    await use(inner)
            else:
                await use(r)

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
    story, managed, scoped = told(seed, mode)
    if mode.startswith("sync"):
        return story, run_sync(story, managed, scoped)
    try:
        return story, asyncio.run(run_async(story, managed, scoped))
    except (KeyboardInterrupt, SystemExit) as error:  # a loop does not let these go through a task
        return story, error


def opened_and_closed(story: Story) -> None:
    opened = [name for what, name in story.steps if what == "open"]
    closed = [name for what, name in story.steps if what == "close"]
    assert sorted(opened) == sorted(closed) == sorted(set(opened))
    at = {step: number for number, step in enumerate(story.steps)}
    for name in opened:
        for need in set(story.needs[name]) & set(opened):
            assert at["open", need] < at["open", name]
            assert at["close", name] < at["close", need]
    if ("body", "") in at:
        assert story.eager <= set(opened)


def bound_stay(story: Story) -> None:
    """What is bound to a thread was opened and closed in the one of the block."""
    for name in story.bound & set(story.threads):
        assert story.threads[name] == {threading.get_ident()}


def nothing_lost(story: Story, outcome: BaseException | None) -> None:
    known = {id(failure.error) for failure in errors_of(outcome)} if outcome is not None else set()
    known |= {id(error) for error in (*story.spared, outcome)}
    known |= {id(part) for error in story.suppressed for part in parts(error)}
    context = outcome
    while context is not None:
        known.add(id(context))
        context = context.__context__
    lost = [type(error).__name__ for error in story.raised if id(error) not in known]
    assert not lost, lost


@pytest.mark.parametrize("mode", MODES)
def test_after_any_run_everything_was_released_once_in_order_and_no_error_is_lost(mode: str) -> None:
    threads = threading.active_count()
    for seed in range(RUNS):
        with contextlib.nullcontext(seed):
            story, outcome = once(seed, mode)
            opened_and_closed(story)
            bound_stay(story)
            nothing_lost(story, outcome)
    assert threading.active_count() <= threads


def test_the_random_runs_reach_every_kind_of_resource() -> None:
    drawn = {"lazy": 0, "optional": 0, "retried": 0, "scoped": 0, "bound": 0, "mute": 0, "early": 0}
    for seed in range(200):
        story, managed, scoped = told(seed, "sync")
        recipes = [*managed._plan.recipes.values(), *scoped.values()]
        outcome = run_sync(story, managed, scoped)
        drawn["lazy"] += any(("open", name) in story.steps for name in story.touched)
        drawn["optional"] += any(r.optional for r in recipes)
        drawn["retried"] += any(r.retry for r in recipes)
        drawn["scoped"] += bool(scoped)
        drawn["bound"] += bool(story.bound & set(story.threads))
        drawn["mute"] += any(isinstance(error, Mute) for error in story.raised)
        drawn["early"] += story.early and outcome is not None
    assert min(drawn.values()) >= 5, drawn


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
        story, managed, _ = told(seed, "sync")
        outcome = by_exit_stack(story, managed)
        if outcome is not None:
            outcome.__context__ = None
        lost += breaks(lambda story=story, outcome=outcome: nothing_lost(story, outcome))
    assert lost > 0
