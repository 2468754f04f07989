"""Right answers that are written otherwise than the solution are accepted, by every check that has a choice."""

from __future__ import annotations

import contextlib
import inspect
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from typing import Any

import pytest

from arion_lib.workbook.checking import catalogue
from arion_lib.workbook.checking.checks import Mark, judge

Answer = Callable[..., Any]


def cut_by_find(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = bytearray()
    for chunk in chunks:
        rest += chunk
        while (end := rest.find(b"\n")) >= 0:
            yield bytes(rest[:end])
            del rest[: end + 1]
    if rest:
        yield bytes(rest)


def read_with_continue(lines: Iterable[bytes], on_bad: Callable[[int, bytes], None]) -> Iterator[Any]:
    number = 0
    for line in lines:
        number += 1
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
            on_bad(number, line)
            continue
        yield record


def read_by_decoding(lines: Iterable[bytes], on_bad: Callable[[int, bytes], None]) -> Iterator[Any]:
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line.decode())  # of what is no bytes another error comes out than from json
        except (ValueError, RecursionError):
            on_bad(number, line)
        else:
            yield record


def waits_one_by_one(arriving: Iterable[int], storing: int, bound: int) -> Iterator[tuple[int, int]]:
    queued = sender = 0
    for due in arriving:
        sender += due
        while sender and queued < bound:
            queued, sender = queued + 1, sender - 1
        queued -= min(queued, storing)
        yield queued, sender


def both_closing(connect: Answer, work: Answer) -> None:
    with contextlib.closing(connect("first")), contextlib.closing(connect("second")):
        work()


def both_on_a_stack(connect: Answer, work: Answer) -> None:
    with contextlib.ExitStack() as stack:
        for name in ("first", "second"):
            stack.callback(connect(name).close)
        work()


def borrowed_by_index(pool: list[str]) -> Iterator[str]:
    connection = pool[-1]
    del pool[-1]
    try:
        yield connection
    finally:
        pool += [connection]


@contextlib.contextmanager
def borrowed_and_decorated(pool: list[str]) -> Iterator[str]:
    connection = pool.pop()
    try:
        yield connection
    finally:
        pool.append(connection)


def unwind_by_popping(exits: Iterable[Answer], error: BaseException | None) -> BaseException | None:
    left = list(exits)
    while left:
        try:
            if left.pop()(error):
                error = None
        except BaseException as late:  # noqa: BLE001 - as in the exercise
            if error is not None:
                if isinstance(error, Exception) and not isinstance(late, Exception):
                    error, late = late, error
                error.add_note(f"also {late!r}")
            else:
                error = late
    return error


def same_names_by_loop(promised: Answer, offered: Answer) -> bool:
    given = iter(inspect.signature(offered).parameters)
    return all(next(given, None) == name for name in inspect.signature(promised).parameters)


def take_by_zip(elements: Iterable[Any], n: int) -> Iterator[Any]:
    for _, element in zip(range(n), elements, strict=False):
        yield element


class CachedByTee:
    def __init__(self, source: Iterable[Any]) -> None:
        self.source = iter(source)

    def __iter__(self) -> Iterator[Any]:
        self.source, reader = itertools.tee(self.source)
        return reader


def missing_by_waiting(jobs: list[Any]) -> int:
    wait(jobs)
    return sum(job.cancelled() or job.exception() is not None for job in jobs)


class QueueOfDeques:
    def __init__(self) -> None:
        self.waiting: dict[int, deque[Any]] = {}

    def push(self, task: Any, priority: int = 0) -> None:
        self.waiting.setdefault(priority, deque()).append(task)

    def pop(self) -> Any:
        return self.waiting[max(priority for priority, tasks in self.waiting.items() if tasks)].popleft()


class QueueByHand:
    """A heap without `heapq`."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self.pushed = 0

    def push(self, task: Any, priority: int = 0) -> None:
        self.pushed += 1
        entries, at = self.entries, len(self.entries)
        entries.append((-priority, self.pushed, task))
        while at and entries[at] < entries[(at - 1) // 2]:
            up = (at - 1) // 2
            entries[at], entries[up], at = entries[up], entries[at], up

    def pop(self) -> Any:
        entries, at = self.entries, 0
        entries[0], entries[-1] = entries[-1], entries[0]
        found = entries.pop()
        while True:
            below = [child for child in (2 * at + 1, 2 * at + 2) if child < len(entries)]
            least = min(below, key=lambda child: entries[child][:2], default=at)
            if least == at or entries[at][:2] < entries[least][:2]:
                return found[-1]
            entries[at], entries[least], at = entries[least], entries[at], least


def stop_by_communicating(process: Any, grace: float) -> str:
    process.terminate()
    try:
        process.communicate(timeout=grace)
    except Exception:  # noqa: BLE001 - as a learner writes it
        process.kill()
        process.communicate()
        return "killed"
    return "asked"


def stop_by_looking(process: Any, grace: float) -> str:
    process.terminate()
    for _ in range(round(grace * 100)):
        if process.poll() is not None:
            return "asked"
        time.sleep(0.01)
    if process.poll() is not None:
        return "asked"
    process.kill()
    process.wait()
    return "killed"


class ReadySetOfSets:
    def __init__(self) -> None:
        self.needs: dict[str, set[str]] = {}
        self.ended: set[str] = set()

    def add(self, task: str, needs: Iterable[str] = ()) -> bool:
        self.needs[task] = set(needs) - self.ended
        return not self.needs[task]

    def end(self, task: str) -> list[str]:
        self.ended.add(task)
        freed = [other for other, needs in self.needs.items() if needs == {task}]
        for needs in self.needs.values():
            needs.discard(task)
        return freed


def retried_by_recursion(call: Answer, retries: int, backoff: float, retry_on: Any, sleep: Answer) -> Any:
    try:
        return call()
    except retry_on:
        if not retries:
            raise
        sleep(backoff)
        return retried_by_recursion(call, retries - 1, 2 * backoff, retry_on, sleep)


@pytest.mark.parametrize(
    ("exercise", "answer"),
    [
        ("1.1", cut_by_find),
        ("1.2", read_with_continue),
        ("1.2", read_by_decoding),
        ("1.4", waits_one_by_one),
        ("2.1", both_closing),
        ("2.1", both_on_a_stack),
        ("2.2", borrowed_by_index),
        ("2.2", borrowed_and_decorated),
        ("2.3", unwind_by_popping),
        ("3.1", same_names_by_loop),
        ("4.2", take_by_zip),
        ("4.2", itertools.islice),
        ("4.6", CachedByTee),
        ("5.1", missing_by_waiting),
        ("5.2", QueueOfDeques),
        ("5.2", QueueByHand),
        ("5.3", stop_by_communicating),
        ("5.3", stop_by_looking),
        ("5.4", ReadySetOfSets),
        ("5.5", retried_by_recursion),
    ],
)
def test_a_right_answer_of_another_kind_is_accepted(exercise: str, answer: Answer) -> None:
    verdict = judge(catalogue.find(exercise), answer)
    assert verdict.mark is Mark.OK, str(verdict)
