"""Exercises of notebook 5: a ready queue, retries with backoff, and the tasks that an ended task releases.

Idea        Each exercise rebuilds one decision of the scheduler in three to ten lines: who is next, what is tried
            again, who may begin now.
Invariant   Nothing waits and no process is started: `sleep` is an argument, and a task is its name.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/5_task_scheduler.ipynb · tests/workbook/test_exercises.py
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from itertools import count
from typing import Any

from arion_lib.workbook.exercise import Answer, Case, Exercise, Wrong

# --- 5.1 class ReadyQueue -------------------------------------------------------------------------


class ReadyQueue:
    def __init__(self) -> None:
        self.heap, self.numbers = list[Any](), count()

    def push(self, task: Any, priority: int = 0) -> None:
        heapq.heappush(self.heap, (-priority, next(self.numbers), task))

    def pop(self) -> Any:
        return heapq.heappop(self.heap)[-1]


class _NoNumber(ReadyQueue):
    def push(self, task: Any, priority: int = 0) -> None:
        heapq.heappush(self.heap, (-priority, task))


class _LowestFirst(ReadyQueue):
    def push(self, task: Any, priority: int = 0) -> None:
        super().push(task, -priority)


class _LastFirst(ReadyQueue):
    def push(self, task: Any, priority: int = 0) -> None:
        heapq.heappush(self.heap, (-priority, -next(self.numbers), task))


class _ByLength(ReadyQueue):
    def push(self, task: Any, priority: int = 0) -> None:
        heapq.heappush(self.heap, (-priority, len(self.heap), task))


class _NoPriority(ReadyQueue):
    def __init__(self) -> None:
        super().__init__()
        self.queue = deque[Any]()

    def push(self, task: Any, priority: int = 0) -> None:  # noqa: ARG002 - the mistake
        self.queue.append(task)

    def pop(self) -> Any:
        return self.queue.popleft()


class _AppendsToTheHeap(ReadyQueue):
    def push(self, task: Any, priority: int = 0) -> None:
        self.heap.append((-priority, next(self.numbers), task))


class _GivesTheEntry(ReadyQueue):
    def pop(self) -> Any:
        return heapq.heappop(self.heap)


class _LooksAtAll(ReadyQueue):
    def push(self, task: Any, priority: int = 0) -> None:
        self.heap.append((-priority, next(self.numbers), task))

    def pop(self) -> Any:
        entry = min(self.heap, key=lambda entry: entry[:2])
        self.heap.remove(entry)
        return entry[-1]


def _turns(steps: str) -> Case:
    """Push tasks (a letter and a digit, the priority) and pop (a dot) in this order."""

    def probe(answer: Answer) -> object:
        queue, taken = answer(), []
        for step in steps.split():
            if step == ".":
                taken.append(queue.pop())
            else:
                queue.push(step[0], int(step[1:]))
        return taken

    words = [f"push({step[0]!r}, {step[1:]})" if step != "." else "pop()" for step in steps.split()]
    return Case(f"{', '.join(words)}   -> what the pops return", probe)


def _functions(answer: Answer) -> object:
    queue = answer()
    for task in (max, min):
        queue.push(task)
    return queue.pop(), queue.pop()


def _many(answer: Answer) -> object:
    queue = answer()
    for n in range(30_000):
        queue.push(n, n % 3)
    return [queue.pop() for _ in range(30_000)][:3]


READY_QUEUE = Exercise(
    id="5.1",
    name="ReadyQueue",
    stars=1,
    minutes=10,
    solution=ReadyQueue,
    cases=[
        _turns("a0 ."),
        _turns("a0 b1 . ."),
        _turns("b0 a0 . ."),
        _turns("a2 c1 b0 . . ."),
        _turns("c1 b1 a1 . . ."),
        _turns("c0 b0 . a0 . ."),
        Case("push(max), push(min), pop(), pop(): two functions of the same priority", _functions),
        Case("30,000 tasks pushed, then popped   -> the first three", _many),
    ],
    wrong=[
        Wrong(
            _NoNumber, "the heap compares what it holds: where priorities tie, the arrival must decide, not the task"
        ),
        Wrong(_LowestFirst, "a heap gives its smallest entry first: negate the priority"),
        Wrong(_LastFirst, "the newest of equals overtakes those that wait: arrival numbers must grow"),
        Wrong(_ByLength, "how many wait is no arrival number: it falls with each pop, so two entries get the same one"),
        Wrong(_NoPriority, "the priority is not looked at: a high one is taken before all that wait"),
        Wrong(_AppendsToTheHeap, "a list is a heap only as long as heapq itself puts things into it"),
        Wrong(_GivesTheEntry, "return the task alone, not the heap's entry"),
        Wrong(_LooksAtAll, "each pop looks at all that wait; a heap looks at about log2 of them"),
    ],
    seconds=1.0,
)

# --- 5.2 retried(call, retries, backoff, retry_on, sleep) -----------------------------------------

Call = Callable[[], Any]
Sleep = Callable[[float], object]
Kinds = tuple[type[BaseException], ...]


def retried(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    for attempt in range(retries):
        try:
            return call()
        except retry_on:
            sleep(backoff * 2**attempt)
    return call()


def _retries_all(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    return retried(call, retries, backoff, (*retry_on, Exception), sleep)


def _retries_ctrl_c(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    return retried(call, retries, backoff, (*retry_on, KeyboardInterrupt), sleep)


def _one_too_few(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    return retried(call, max(0, retries - 1), backoff, retry_on, sleep)


def _one_too_many(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    return retried(call, retries + 1, backoff, retry_on, sleep)


def _waits_in_vain(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    for attempt in range(retries + 1):
        try:
            return call()
        except retry_on as error:
            last = error
            sleep(backoff * 2**attempt)
    raise last


def _waits_first(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    for attempt in range(retries + 1):
        sleep(backoff * 2**attempt)
        try:
            return call()
        except retry_on as error:
            last = error
    raise last


def _never_doubles(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    return retried(call, retries, backoff, retry_on, lambda _: sleep(backoff))


def _doubles_at_once(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    return retried(call, retries, 2 * backoff, retry_on, sleep)


def _grows_by_addition(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    waits = count(1)
    return retried(call, retries, backoff, retry_on, lambda _: sleep(backoff * next(waits)))


def _gives_none(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    with suppress(*retry_on):
        return retried(call, retries, backoff, retry_on, sleep)
    return None


def _other_error(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    try:
        return retried(call, retries, backoff, retry_on, sleep)
    except retry_on as error:
        raise RuntimeError("too many retries") from error


def _until_true(call: Call, retries: int, backoff: float, retry_on: Kinds, sleep: Sleep) -> Any:
    for attempt in range(retries):
        try:
            if result := call():
                return result
        except retry_on:
            sleep(backoff * 2**attempt)
    return call()


def _retrying(plan: str, retries: int, backoff: float = 1.0) -> Case:
    """A call that ends as the letters say, one after the other, and then well."""
    ends = {"o": OSError("busy"), "v": ValueError("bad input"), "k": KeyboardInterrupt(), "0": 0, "1": "done"}

    def probe(answer: Answer) -> object:
        left, calls, slept = list(plan), 0, list[float]()

        def call() -> Any:
            nonlocal calls
            calls += 1
            end = ends[left.pop(0) if left else "1"]
            if isinstance(end, BaseException):
                raise end
            return end

        try:
            came = repr(answer(call, retries, backoff, (OSError,), slept.append))
        except NotImplementedError:  # not written yet: the check says so
            raise
        except BaseException as error:  # noqa: BLE001 - which one comes out is the question
            came = type(error).__name__
        return {"comes out": came, "calls": calls, "slept": slept}

    words = {"o": "OSError", "v": "ValueError", "k": "Ctrl-C", "0": "returns 0", "1": "returns 'done'"}
    said = ", ".join(words[letter] for letter in plan) or words["1"]
    return Case(f"{said}; retries={retries}, backoff={backoff:g}, retry_on=(OSError,)", probe)


RETRIED = Exercise(
    id="5.2",
    name="retried",
    stars=2,
    minutes=15,
    solution=retried,
    cases=[
        _retrying("", 0),
        _retrying("o", 0),
        _retrying("0", 1),
        _retrying("o", 1),
        _retrying("oo", 1),
        _retrying("oo", 2),
        _retrying("v", 1),
        _retrying("ov", 2),
        _retrying("k", 1),
        _retrying("ooo", 3, 0.5),
        _retrying("ooooo", 3, 0.5),
    ],
    wrong=[
        Wrong(_retries_all, "a ValueError will be one the next time, too: only what is in `retry_on` is worth a retry"),
        Wrong(_retries_ctrl_c, "who presses Ctrl-C wants it to end: a broad `except` tries again"),
        Wrong(_one_too_few, "retries come on top of the first attempt: retries=1 means two calls"),
        Wrong(_one_too_many, "retries=1 means two calls, not three"),
        Wrong(_waits_in_vain, "after the last attempt nobody tries again, so there is nothing to wait for"),
        Wrong(_waits_first, "the first attempt is made at once: wait after a failure, not before a call"),
        Wrong(_never_doubles, "each wait is twice the one before: a server that is down needs more and more patience"),
        Wrong(_doubles_at_once, "the first wait is `backoff` itself; it doubles from the second on"),
        Wrong(_grows_by_addition, "double it: 1, 2, 4; adding gives 1, 2, 3"),
        Wrong(_gives_none, "when no attempt is left the error must come out: None looks like a result"),
        Wrong(_other_error, "the last error must come out as itself, or nobody's `except OSError` catches it"),
        Wrong(_until_true, "a result that counts as false is a result, too"),
    ],
)

# --- 5.3 class ReadySet ---------------------------------------------------------------------------


class ReadySet:
    def __init__(self) -> None:
        self.missing, self.dependents, self.done = dict[str, int](), dict[str, list[str]](), set[str]()

    def add(self, task: str, needs: Iterable[str] = ()) -> bool:
        missing = set(needs) - self.done
        self.missing[task] = len(missing)
        for need in missing:
            self.dependents.setdefault(need, []).append(task)
        return not missing

    def end(self, task: str) -> list[str]:
        self.done.add(task)
        ready = []
        for dependent in self.dependents.pop(task, ()):
            self.missing[dependent] -= 1
            if not self.missing[dependent]:
                ready.append(dependent)
        return ready


class _CountsTwice(ReadySet):
    def add(self, task: str, needs: Iterable[str] = ()) -> bool:
        ready = super().add(task, needs)
        self.missing[task] = sum(need not in self.done for need in needs)
        return ready


class _WaitsForTheEnded(ReadySet):
    def add(self, task: str, needs: Iterable[str] = ()) -> bool:
        self.missing[task] = len(set(needs))
        for need in set(needs):
            self.dependents.setdefault(need, []).append(task)
        return not self.missing[task]


class _AnyIsEnough(ReadySet):
    def end(self, task: str) -> list[str]:
        self.done.add(task)
        return self.dependents.pop(task, [])


class _Grandchildren(ReadySet):
    def end(self, task: str) -> list[str]:
        ready = super().end(task)
        return ready + [later for child in ready for later in self.end(child)]


class _AllThatAreReady(ReadySet):
    def end(self, task: str) -> list[str]:
        super().end(task)
        return [other for other, missing in self.missing.items() if not missing and other not in self.done]


class _LastFirstReleased(ReadySet):
    def end(self, task: str) -> list[str]:
        return super().end(task)[::-1]


class _NeverAtOnce(ReadySet):
    def add(self, task: str, needs: Iterable[str] = ()) -> bool:
        super().add(task, needs)
        return False


class _UnknownRaises(ReadySet):
    def end(self, task: str) -> list[str]:
        if task not in self.dependents:
            raise KeyError(task)
        return super().end(task)


class _OverwritesDependents(ReadySet):
    def add(self, task: str, needs: Iterable[str] = ()) -> bool:
        missing = set(needs) - self.done
        self.missing[task] = len(missing)
        for need in missing:
            self.dependents[need] = [task]
        return not missing


def _releasing(steps: str) -> Case:
    """Add tasks ("c:ab" is c, which needs a and b) and end some ("-a")."""

    def probe(answer: Answer) -> object:
        tasks, said = answer(), []
        for step in steps.split():
            if step.startswith("-"):
                said.append(tasks.end(step[1:]))
            else:
                task, _, needs = step.partition(":")
                said.append(tasks.add(task, list(needs)))
        return said

    words = []
    for step in steps.split():
        task, _, needs = step.partition(":")
        words.append(f"end({step[1:]!r})" if step.startswith("-") else f"add({task!r}, {list(needs)})")
    return Case(f"{', '.join(words)}   -> what each returns", probe)


READY_SET = Exercise(
    id="5.3",
    name="ReadySet",
    stars=3,
    minutes=20,
    solution=ReadySet,
    cases=[
        _releasing("a"),
        _releasing("a -a"),
        _releasing("a b:a -a"),
        _releasing("a -a b:a"),
        _releasing("a b -a"),
        _releasing("a b:aa -a"),
        _releasing("a b:a c:a -a"),
        _releasing("a b c:ab -a -b"),
        _releasing("a b:a c:b -a -b"),
        _releasing("a b:a c:a d:bc -a -c -b"),
        _releasing("a b -a c:ab d:abc -b -c"),
    ],
    wrong=[
        Wrong(_CountsTwice, "a task that is needed twice ends once: count each need once"),
        Wrong(_WaitsForTheEnded, "a need that has ended already will not end again: do not wait for it"),
        Wrong(_AnyIsEnough, "a task is ready when the last of its needs has ended, not the first"),
        Wrong(_Grandchildren, "what is ready has not run yet: its own dependents must wait"),
        Wrong(_AllThatAreReady, "what was ready before is released a second time, and would run twice"),
        Wrong(_LastFirstReleased, "those released together begin in the order in which they were added"),
        Wrong(_NeverAtOnce, "a task that waits for nothing is ready when it is added: nobody's end will release it"),
        Wrong(_UnknownRaises, "most tasks have no dependents: their end releases nothing, and that is no error"),
        Wrong(_OverwritesDependents, "several tasks may need the same one: keep a list of them"),
    ],
)

EXERCISES = (READY_QUEUE, RETRIED, READY_SET)
