"""Random task graphs with random failures against an oracle that runs them in its head, one task after the other."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import CancelledError
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from arion_lib.scheduler import (
    DependencyFailedError,
    QuarantinedError,
    Scheduler,
    State,
    TaskTimeoutError,
    WorkerDiedError,
)
from tests.leaks import Snapshot
from tests.scheduler import jobs
from tests.scheduler.gates import until
from tests.selection import examples

LIMIT = 0.05
"""Seconds of the time limit that the endless ones exceed."""
MANY = 10.0
"""Seconds after which a task counts as lost."""


@dataclass(frozen=True)
class Node:
    """One task: what it does, and the earlier tasks it takes results from or comes after."""

    kind: str
    takes: tuple[int, ...]
    after: tuple[int, ...]
    retries: int
    priority: int
    lane: str | None
    run_anyway: bool
    cancel: bool


@dataclass
class Expected:
    """The states that a task may end in, and its value if it ends well."""

    states: set[State]
    value: int | None = None
    errors: tuple[type[BaseException], ...] = field(default=())


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    size = draw(st.integers(1, 10))
    nodes = []
    for number in range(size):
        earlier = st.lists(st.integers(0, number - 1), max_size=3).map(tuple) if number else st.just(())
        kind = draw(st.sampled_from(["well"] * 8 + ["raise", "raise", "raise once", "die", "die once", "spin"]))
        nodes.append(
            Node(
                kind,
                draw(earlier),
                draw(earlier),
                draw(st.sampled_from([0, 0, 1, 2])),
                draw(st.integers(-1, 1)),
                draw(st.sampled_from([None, None, "threads"])) if not kind.startswith("die") else None,
                draw(st.booleans()),
                draw(st.sampled_from([False] * 9 + [True])),
            )
        )
    return nodes


def alone(node: Node) -> Expected:
    """What a task comes to when its dependencies are well and nobody cancels it."""
    if node.kind in ("raise", "raise once", "die once") and (node.kind == "raise" or not node.retries):
        return Expected({State.FAILED}, errors=(ValueError, WorkerDiedError))
    if node.kind == "die":
        quarantined = node.retries >= 2
        error: type[BaseException] = QuarantinedError if quarantined else WorkerDiedError
        return Expected({State.QUARANTINED if quarantined else State.FAILED}, errors=(error,))
    if node.kind == "spin":
        return Expected({State.TIMED_OUT}, errors=(TaskTimeoutError,))
    return Expected({State.SUCCEEDED})


def oracle(nodes: list[Node]) -> list[Expected]:
    """Run the graph in one's head."""
    found: list[Expected] = []
    for number, node in enumerate(nodes):
        expected = alone(node)
        if expected.states == {State.SUCCEEDED}:
            values = [found[needed].value for needed in node.takes]
            expected.value = None if None in values else number + sum(value or 0 for value in values)
        needed = [found[one] for one in node.takes] + ([] if node.run_anyway else [found[one] for one in node.after])
        if any(State.SUCCEEDED not in one.states for one in needed):
            expected = Expected({State.FAILED}, errors=(DependencyFailedError,))
        elif any(one.states != {State.SUCCEEDED} for one in needed):
            expected.states = expected.states | {State.FAILED}
            expected.errors = (*expected.errors, DependencyFailedError)
        if node.cancel:  # it may have ended before
            expected.states = expected.states | {State.CANCELLED}
        found.append(expected)
    return found


@pytest.fixture(scope="module")
def scheduler() -> Iterator[Scheduler]:
    before = Snapshot.take()
    with Scheduler(2, threads=4, grace=0.1, preload=[jobs.__name__]) as opened:
        yield opened
    left = before.leaked()
    assert not left, left


@settings(
    max_examples=examples(150),
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(nodes=graphs())
def test_every_task_ends_once_in_a_state_and_with_a_value_the_oracle_allows(
    scheduler: Scheduler, tmp_path_factory: pytest.TempPathFactory, nodes: list[Node]
) -> None:
    folder = tmp_path_factory.mktemp("graph")
    tasks: list[Any] = []
    ends: list[int] = []
    for number, node in enumerate(nodes):
        options = scheduler.with_options(
            after=[tasks[one] for one in node.after],
            if_dependency_fails="run" if node.run_anyway else "fail",
            retries=node.retries,
            priority=node.priority,
            lane=node.lane,
            timeout=LIMIT if node.kind == "spin" else None,
        )
        task = options.submit(jobs.do, node.kind, str(folder / str(number)), number, [tasks[one] for one in node.takes])
        task.add_done_callback(lambda _, number=number: ends.append(number))  # type: ignore[misc]
        tasks.append(task)
    for task, node in zip(tasks, nodes, strict=True):
        if node.cancel:
            task.cancel()
    assert scheduler.wait_idle(MANY), f"lost: {[task for task in tasks if not task.done()]}"
    for number, (task, node, expected) in enumerate(zip(tasks, nodes, oracle(nodes), strict=True)):
        check(task, node, expected, folder / str(number), above(nodes, tasks, number))
    until(lambda: len(ends) >= len(nodes), "the callbacks")
    scheduler.submit(jobs.add).result(MANY)
    assert sorted(ends) == list(range(len(nodes)))


def above(nodes: list[Node], tasks: list[Any], number: int) -> bool:
    """Whether something that a task needs, near or far, was cancelled: it may have ended well before, unheard."""
    needed = {*nodes[number].takes, *nodes[number].after}
    return any(tasks[one].cancelled() or above(nodes, tasks, one) for one in needed)


def check(task: Any, node: Node, expected: Expected, path: Path, cancelled_above: bool = False) -> None:
    state = task.status()
    assert state in expected.states, task.history()
    events = [event.state for event in task.history()]
    assert events[-1] is state
    assert events.count(State.RUNNING) <= node.retries + 1
    begun = jobs.tallied(str(path))
    if state is State.SUCCEEDED:
        assert task.result() == expected.value
    elif state is State.CANCELLED:
        with pytest.raises(CancelledError):
            task.result()
    else:
        error = task.exception()
        assert isinstance(error, expected.errors)
        if isinstance(error, DependencyFailedError) and not cancelled_above:
            assert begun == 0, "it ran although a dependency failed"
    assert begun <= node.retries + 1, "it ran more often than it may"


def test_many_quick_tasks_of_several_priorities_are_neither_lost_nor_wrong(scheduler: Scheduler) -> None:
    """Short tasks are sent ahead, taken back for more urgent ones and sent again, all the time."""
    draw = random.Random(5)
    for _ in range(60):
        graph = [draw.sample(range(number), min(number, draw.randrange(4))) for number in range(60)]
        tasks: list[Any] = []
        for number, needs in enumerate(graph):
            options = scheduler.with_options(priority=number % 3)
            tasks.append(options.submit(jobs.join, number, *[tasks[one] for one in needs]))
        assert scheduler.wait_idle(MANY), f"lost: {[task for task in tasks if not task.done()]}"
        values: list[int | None] = []
        for number, needs in enumerate(graph):
            given = [values[one] for one in needs]
            fails = number % 10 == 7 or None in given
            values.append(None if fails else jobs.join(number, *given))  # type: ignore[arg-type]
        assert [None if task.exception() else task.result() for task in tasks] == values


def test_the_control_an_oracle_that_forgets_failures_is_found_out(scheduler: Scheduler, tmp_path: Path) -> None:
    nodes = [
        Node("raise", (), (), 0, 0, None, False, False),
        Node("well", (0,), (), 0, 0, None, False, False),
    ]
    first = scheduler.submit(jobs.do, "raise", str(tmp_path / "0"), 0, [])
    second = scheduler.submit(jobs.do, "well", str(tmp_path / "1"), 1, [first])
    assert scheduler.wait_idle(MANY)
    check(second, nodes[1], oracle(nodes)[1], tmp_path / "1")
    with pytest.raises(AssertionError):
        check(second, nodes[1], alone(nodes[1]), tmp_path / "1")
