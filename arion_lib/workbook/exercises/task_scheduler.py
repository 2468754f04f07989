"""Exercises of notebook 5: count what is missing, a ready queue, stopping, dependencies, retries with backoff.

Idea        Each exercise rebuilds one decision of the scheduler in three to ten lines: what was lost, who is next, when
            to kill, who may begin now, what is tried again.
Invariant   No process is started and nothing sleeps: `sleep` and the process are arguments, a task is its name.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/5_task_scheduler.ipynb · tests/workbook/test_exercises.py
"""

from __future__ import annotations

import bisect
import heapq
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from heapq import heapify
from itertools import count
from subprocess import TimeoutExpired
from typing import Any
from unittest import mock

from arion_lib.workbook.exercise import Answer, Case, Exercise, Wrong

# --- 5.1 missing(jobs) ----------------------------------------------------------------------------


def missing(jobs: Iterable[Future[Any]]) -> int:
    lost = 0
    for job in jobs:
        try:
            job.result()
        except Exception:  # noqa: BLE001 - whatever it raised
            lost += 1
    return lost


def _asks_for_exceptions(jobs: Iterable[Future[Any]]) -> int:
    return sum(job.exception() is not None for job in jobs)


def _counts_the_false(jobs: Iterable[Future[Any]]) -> int:
    lost = 0
    for job in jobs:
        with suppress(Exception):
            lost -= bool(job.result())
        lost += 1
    return lost


def _does_not_wait(jobs: Iterable[Future[Any]]) -> int:
    return sum(not job.done() or job.cancelled() or job.exception() is not None for job in jobs)


def _stops_at_the_first(jobs: Iterable[Future[Any]]) -> int:
    try:
        for job in jobs:
            job.result()
    except Exception:  # noqa: BLE001 - the mistake is where the `try` stands
        return 1
    return 0


def _only_cancelled(jobs: Iterable[Future[Any]]) -> int:
    return sum(job.cancelled() for job in jobs)


def _counts_the_good(jobs: Iterable[Future[Any]]) -> int:
    listed = list(jobs)
    return len(listed) - missing(listed)


def _counts_returned_errors(jobs: Iterable[Future[Any]]) -> int:
    lost = 0
    for job in jobs:
        try:
            lost += isinstance(job.result(), Exception)
        except Exception:  # noqa: BLE001 - whatever it raised
            lost += 1
    return lost


class _EndsWhenWaitedFor(Future[Any]):
    """A job that still runs when it is looked at, and ends as soon as somebody waits for it, in whichever way."""

    def __init__(self) -> None:
        super().__init__()
        self.set_running_or_notify_cancel()
        self._waiters = _Waiters(self)

    def result(self, timeout: float | None = None) -> Any:
        if timeout is None and not self.done():
            self.set_result("late")
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        if timeout is None and not self.done():
            self.set_result("late")
        return super().exception(timeout)


class _Waiters(list[Any]):
    """What `wait` and `as_completed` put themselves into."""

    def __init__(self, job: Future[Any]) -> None:
        super().__init__()
        self.job = job

    def append(self, waiter: Any) -> None:
        super().append(waiter)
        threading.Thread(target=self.job.set_result, args=("late",)).start()


def _future(end: object) -> Future[Any]:
    if end == "still runs":
        return _EndsWhenWaitedFor()
    job = Future[Any]()
    if end == "cancelled":
        job.cancel()
        job.set_running_or_notify_cancel()
    elif isinstance(end, Exception):
        job.set_exception(end)
    else:
        job.set_result(end.value if isinstance(end, _Returned) else end)
    return job


class _Returned:
    """A value that looks like another end."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        return f"returned {self.value!r}"


def _ended(*ends: object) -> Case:
    words = ", ".join(end if isinstance(end, str) else repr(end) for end in ends)
    return Case(f"jobs that ended so: [{words}]", lambda answer: answer([_future(end) for end in ends]))


MISSING = Exercise(
    id="5.1",
    name="missing",
    stars=1,
    minutes=5,
    solution=missing,
    cases=[
        _ended(),
        _ended(1),
        _ended(ValueError("broken")),
        _ended("cancelled"),
        _ended(None),
        _ended(_Returned(ValueError("a value"))),
        _ended("still runs"),
        _ended(1, ValueError("broken"), 0, OSError("gone"), "cancelled", "still runs"),
    ],
    wrong=[
        Wrong(_asks_for_exceptions, "of a cancelled job `exception()` raises CancelledError: it returns none"),
        Wrong(_counts_the_false, "None and 0 are results, too: a job is missing only when it gave none"),
        Wrong(_does_not_wait, "a job that still runs is not lost: wait for its end"),
        Wrong(_stops_at_the_first, "the `try` stands around the loop, so counting ends at the first failure"),
        Wrong(_only_cancelled, "a job that raised an exception gave no result either"),
        Wrong(_counts_the_good, "count those that are missing, not those that are there"),
        Wrong(_counts_returned_errors, "a job may return an exception as its value: that is a result"),
    ],
)

# --- 5.2 class ReadyQueue -------------------------------------------------------------------------


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


class _SortsEachTime(ReadyQueue):
    def push(self, task: Any, priority: int = 0) -> None:
        self.heap.append((-priority, next(self.numbers), task))
        self.heap.sort(key=lambda entry: entry[:2])

    def pop(self) -> Any:
        return self.heap.pop(0)[-1]


class _HeapifiesEachTime(ReadyQueue):
    def push(self, task: Any, priority: int = 0) -> None:
        self.heap.append((-priority, next(self.numbers), task))
        heapq.heapify(self.heap)


class _InsertsInOrder(ReadyQueue):
    def push(self, task: Any, priority: int = 0) -> None:
        bisect.insort(self.heap, (-priority, next(self.numbers), task))

    def pop(self) -> Any:
        return self.heap.pop(0)[-1]


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


class _Watched(list[Any]):
    """A list that notes when all of it is looked at or moved; `heapq` needs none of these methods."""

    def __init__(self, entries: Iterable[Any]) -> None:
        super().__init__(entries)
        self.walked = set[str]()

    def insert(self, at: Any, entry: Any) -> None:
        self.walked.add("insert")
        super().insert(at, entry)

    def pop(self, at: Any = -1) -> Any:
        if at != -1:
            self.walked.add(f"pop({at})")
        return super().pop(at)

    def sort(self, **how: Any) -> None:
        self.walked.add("sort")
        super().sort(**how)

    def remove(self, entry: Any) -> None:
        self.walked.add("remove")
        super().remove(entry)

    def __iter__(self) -> Iterator[Any]:
        self.walked.add("a loop")
        return super().__iter__()


def _walks(answer: Answer) -> object:
    queue = answer()
    queue.heap = heap = _Watched(getattr(queue, "heap", ()))
    with mock.patch("heapq.heapify", lambda entries: heap.walked.add("heapify") or heapify(entries)):  # type: ignore[func-returns-value]
        for n in range(99):
            queue.push(n, n % 3)
        taken = [queue.pop() for _ in range(99)]
    return {"the first three": taken[:3], "looks at all or moves all by": ", ".join(sorted(heap.walked)) or "nothing"}


def _many(answer: Answer) -> object:
    queue = answer()
    for n in range(3_000):
        queue.push(n, n % 3)
    return [queue.pop() for _ in range(3_000)] == sorted(range(3_000), key=lambda n: -(n % 3))


READY_QUEUE = Exercise(
    id="5.2",
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
        Case("99 tasks pushed, then popped", _walks),
        Case("3,000 tasks pushed, then popped   -> whether the order is that of a stable sort", _many),
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
        Wrong(_SortsEachTime, "each push sorts all that wait; `heapq.heappush` moves about log2 of them"),
        Wrong(_HeapifiesEachTime, "`heapify` looks at all that wait; `heappush` puts one entry into its place"),
        Wrong(_InsertsInOrder, "`insort` and `pop(0)` move all the entries behind: use `heappush` and `heappop`"),
    ],
)

# --- 5.3 stop(process, grace) ---------------------------------------------------------------------


class _Process:
    """A process on a clock of its own: asked to end, it obeys after `obeys` seconds (never, if that is None)."""

    def __init__(self, obeys: float | None) -> None:
        self.obeys, self.now = obeys, 0.0
        self.ends: float | None = None
        self.signals, self.reaped = list[str](), False

    @property
    def over(self) -> bool:
        return self.ends is not None and self.ends <= self.now

    def terminate(self) -> None:
        self.signals.append("terminate")
        if self.obeys is not None and self.ends is None:
            self.ends = self.now + self.obeys

    def kill(self) -> None:
        self.signals.append("kill")
        self.ends = self.now if not self.over else self.ends

    def poll(self) -> int | None:
        self.now += 0.0 if self.over else 0.01  # time goes on for an answer that looks again and again
        self.reaped = self.reaped or self.over
        return 0 if self.over else None

    def wait(self, timeout: float | None = None) -> int:
        if self.over or (self.ends is not None and (timeout is None or self.ends <= self.now + timeout)):
            self.now, self.reaped = max(self.now, self.ends or 0.0), True
            return 0
        if timeout is None:
            raise _WaitsForEverError
        self.now += timeout
        raise TimeoutExpired("the process", timeout)

    def communicate(self, input: object = None, timeout: float | None = None) -> tuple[bytes, bytes]:  # noqa: A002, ARG002
        self.wait(timeout)
        return b"", b""


class _WaitsForEverError(BaseException):
    """The answer waits, without a limit, for a process that will not end."""


def stop(process: Any, grace: float) -> str:
    process.terminate()
    try:
        process.wait(timeout=grace)
    except TimeoutExpired:
        process.kill()
        process.wait()
        return "killed"
    return "asked"


def _kills_at_once(process: Any, grace: float) -> str:  # noqa: ARG001 - the mistake
    process.kill()
    process.wait()
    return "killed"


def _trusts(process: Any, grace: float) -> str:  # noqa: ARG001 - the mistake
    process.terminate()
    process.wait()
    return "asked"


def _gives_up(process: Any, grace: float) -> str:
    process.terminate()
    with suppress(TimeoutExpired):
        process.wait(timeout=grace)
    return "asked"


def _no_wait_after_the_kill(process: Any, grace: float) -> str:
    process.terminate()
    try:
        process.wait(timeout=grace)
    except TimeoutExpired:
        process.kill()
        return "killed"
    return "asked"


def _another_error(process: Any, grace: float) -> str:
    process.terminate()
    try:
        process.wait(timeout=grace)
    except TimeoutError:
        process.kill()
        process.wait()
        return "killed"
    return "asked"


def _kills_in_any_case(process: Any, grace: float) -> str:
    process.terminate()
    with suppress(TimeoutExpired):
        process.wait(timeout=grace)
    process.kill()
    process.wait()
    return "killed"


def _no_grace(process: Any, grace: float) -> str:  # noqa: ARG001 - the mistake
    process.terminate()
    if process.poll() is None:
        process.kill()
        process.wait()
        return "killed"
    return "asked"


def _says_killed_always(process: Any, grace: float) -> str:
    stop(process, grace)
    return "killed"


def _no_return(process: Any, grace: float) -> None:
    stop(process, grace)


def _process(words: str, obeys: float | None, grace: float) -> Case:
    def probe(answer: Answer) -> object:
        process = _Process(obeys)
        try:
            said = answer(process, grace)
        except _WaitsForEverError:
            said = "waits for ever"
        except TimeoutExpired:
            said = "raises TimeoutExpired"
        signals = list(dict.fromkeys(process.signals))
        late = process.now > grace + 0.1
        return {"returns": said, "signals": signals, "waited for": process.reaped, "longer than the grace": late}

    return Case(f"a process that {words}; grace={grace:g}", probe)


STOP = Exercise(
    id="5.3",
    name="stop",
    stars=2,
    minutes=10,
    solution=stop,
    cases=[
        _process("ends as soon as it is asked", 0.0, 0.25),
        _process("ends 0.1 s after it is asked", 0.1, 0.25),
        _process("does not listen", None, 0.25),
        _process("would end 1 s after it is asked", 1.0, 0.25),
        _process("ends 1 s after it is asked", 1.0, 2.0),
    ],
    wrong=[
        Wrong(_kills_at_once, "ask first: a process that listens can close its files and end by itself"),
        Wrong(_trusts, "a process that does not listen never ends: wait for at most `grace` seconds"),
        Wrong(_gives_up, "a process that is still there after the grace must be killed"),
        Wrong(_no_wait_after_the_kill, "a killed process stays as a zombie until somebody waits for it"),
        Wrong(_another_error, "`wait` raises subprocess.TimeoutExpired, which is no TimeoutError"),
        Wrong(_kills_in_any_case, "a process that obeyed needs no kill: return as soon as it has ended"),
        Wrong(
            _no_grace, "one look is not enough: `process.wait(timeout=grace)` returns as soon as the process has ended"
        ),
        Wrong(_says_killed_always, "a process that ended when it was asked was not killed"),
        Wrong(_no_return, 'return "asked" or "killed"'),
    ],
)

# --- 5.4 class ReadySet ---------------------------------------------------------------------------


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
    id="5.4",
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

# --- 5.5 retried(call, retries, backoff, retry_on, sleep) -----------------------------------------

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
    id="5.5",
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

EXERCISES = (MISSING, READY_QUEUE, STOP, READY_SET, RETRIED)
