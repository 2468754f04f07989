"""Chains that travel in several messages: each begins with what the one before it came to, if that is still there."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from arion_lib.scheduler import DependencyFailedError, Scheduler, WorkerDiedError
from arion_lib.scheduler.processes import chains, pipes, wire
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, Gate

pytestmark = pytest.mark.usefixtures("no_leaks")

KINDS = ["add"] * 20 + ["grow", "grow", "shrink", "many", "raise", "die"]


def link(kind: str, number: int, value: Any) -> Any:
    """Do one step of a chain; what it returns is small, too large to be kept, or a list."""
    if kind == "raise" or (kind == "die" and value is None):
        raise ValueError(number)
    if kind == "die":
        jobs.die(3)
    size = value if isinstance(value, int) else len(value)
    if kind == "grow":
        return b"x" * (wire.SMALL + size % 7)
    if kind == "many":
        return [number] * (size % 1_000)
    return size + number if kind == "add" else size


@pytest.fixture(params=[1, 3, 7, 200], ids=lambda most: f"{most} at once")
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduler]:
    """Return a scheduler that sends chains in messages of so many links."""
    monkeypatch.setattr(chains, "MOST_FOLLOWING", request.param)
    with Scheduler(2, preload=[jobs.__name__]) as made:
        yield made


def expected(kinds: list[str]) -> list[Any]:
    """Run a chain in one's head: values, and exceptions from where it fails."""
    found: list[Any] = []
    value: Any = 1
    for number, kind in enumerate(kinds):
        if found and isinstance(found[-1], type):
            found.append(DependencyFailedError)
        elif kind == "raise":
            found.append(ValueError)
        elif kind == "die":
            found.append(WorkerDiedError)
        else:
            value = link(kind, number, value)
            found.append(value)
    return found


def test_chains_come_to_what_a_loop_comes_to(opened: Scheduler) -> None:
    draw = random.Random(8)
    for _ in range(25):
        chains = [draw.choices(KINDS, [30] * 20 + [8] * 4 + [1] * 2, k=draw.randrange(1, 60)) for _ in range(3)]
        tasks: list[list[Any]] = [[opened.submit(link, chain[0], 0, 1)] for chain in chains]
        for place in range(1, max(map(len, chains))):
            for chain, own in zip(chains, tasks, strict=True):
                if place < len(chain):
                    own.append(opened.submit(link, chain[place], place, own[-1]))
        for chain, own in zip(chains, tasks, strict=True):
            ends = [task.exception(PATIENCE) for task in own]
            came_to = [task.result() if end is None else type(end) for task, end in zip(own, ends, strict=True)]
            assert came_to == expected(chain), chain


def test_a_cancelled_link_ends_those_behind_it_and_nobody_else(opened: Scheduler, gate: Gate) -> None:
    for _ in range(60):  # known to be short: chains are sent along
        opened.submit(jobs.add, opened.submit(jobs.add, 1)).result(PATIENCE)
    held = [opened.submit(jobs.hold, gate.place, 1) for _ in range(2)]
    gate.arrived(2)
    chain: list[Any] = [opened.submit(jobs.add, held[0], 1)]
    for _ in range(50):
        chain.append(opened.submit(jobs.add, chain[-1], 1))
    innocent = opened.submit(jobs.add, held[1], 5)
    assert chain[20].cancel()
    gate.open(2)
    assert [task.result(PATIENCE) for task in chain[:20]] == list(range(2, 22))
    assert {type(task.exception(PATIENCE)) for task in chain[21:]} == {DependencyFailedError}
    assert innocent.result(PATIENCE) == 6


def test_a_chain_that_grows_while_it_runs_goes_on_in_its_worker(opened: Scheduler) -> None:
    """Each link is submitted when the one before it has been given out, and mostly has ended, unheard."""
    opened.submit(jobs.add, opened.submit(jobs.add, 1)).result(PATIENCE)
    last = opened.submit(jobs.add, 0)
    for _ in range(3_000):
        last = opened.submit(jobs.add, last, 1)
    assert last.result(PATIENCE) == 3_000


def quick(place: str, stop: int) -> int:
    """Return at once, or when the gate lets it: known to be short either way."""
    if stop:
        jobs.hold(place)
    return 1


def noted_after(_: int, path: str, text: str) -> None:
    jobs.note(path, text)


def test_a_link_of_lower_priority_does_not_go_ahead_with_the_one_before_it(
    make_gate: Callable[[], Gate], notes: str
) -> None:
    gate = make_gate()
    with Scheduler(1, preload=[jobs.__name__]) as one:
        for _ in one.map(quick, [gate.place] * 60, [0] * 60):
            pass
        needed = one.submit(quick, gate.place, 1)
        behind = one.with_options(priority=-5).submit(noted_after, needed, notes, "low")
        gate.arrived()
        usual = one.submit(jobs.note, notes, "usual")
        gate.open()
        usual.result(PATIENCE)
        behind.result(PATIENCE)
        assert jobs.noted(notes) == ["usual", "low"]


def test_a_long_chain_behind_a_call_that_takes_its_time_fills_a_small_pipe_and_is_not_lost(
    make_gate: Callable[[], Gate], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipes, "CAPACITY", 4_096)
    gate = make_gate()
    with Scheduler(1, preload=[jobs.__name__]) as one:
        for _ in one.map(quick, [gate.place] * 60, [0] * 60):
            pass
        one.submit(jobs.add, one.submit(jobs.add, 1)).result(PATIENCE)
        last = one.submit(quick, gate.place, 1)
        gate.arrived()
        for _ in range(3_000):
            last = one.submit(jobs.add, last, 1)
        gate.open()
        assert last.result(PATIENCE) == 3_001
