"""Exercises of notebook 5: count what is missing, a ready queue, stopping, dependencies, retries with backoff.

Idea        Each exercise rebuilds one decision of the scheduler in three to ten lines: what was lost, who is next, when
            to kill, who may begin now, what is tried again.
Invariant   No process is started and nothing sleeps: `sleep` and the process are arguments, a task is its name.
When wrong  Each wrong answer below is one that somebody would write; its misconception is what the report says.
See         notebooks/5_task_scheduler.ipynb · tests/workbook/test_exercises.py
"""

from __future__ import annotations

import bisect  # noqa: F401 - a wrong answer uses it
import heapq
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager
from heapq import heapify
from itertools import count
from subprocess import TimeoutExpired
from typing import Any
from unittest import mock

from arion_lib.workbook.checking.exercise import Answer, Case, Exercise, Wrong

# --- 5.1 missing(jobs) ----------------------------------------------------------------------------


def missing(jobs: Iterable[Future[Any]]) -> int:
    lost = 0
    for job in jobs:
        try:
            job.result()
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
        Wrong(
            "of a cancelled job `exception()` raises CancelledError: it returns none",
            answer=lambda jobs: sum(job.exception() is not None for job in jobs),
        ),
        Wrong(
            "`result()` raises what the job raised: catch it, job by job, and count",
            {"except Exception": "except TimeoutError"},
        ),
        Wrong(
            "None and 0 are results, too: a job is missing only when it gave none",
            {"            job.result()": "            lost += not job.result()"},
        ),
        Wrong(
            "a job that still runs is not lost: wait for its end",
            {"job.result()": "job.result(timeout=0)"},
        ),
        Wrong(
            "the `try` stands around the loop, so counting ends at the first failure",
            {"lost += 1": "return 1"},
        ),
        Wrong(
            "a job that raised an exception gave no result either",
            {"            lost += 1": "            lost += job.cancelled()"},
        ),
        Wrong(
            "count those that are missing, not those that are there",
            {
                "job.result()": "job.result()\n            lost += 1",
                "            lost += 1\n    return": "            pass\n    return",
            },
        ),
        Wrong(
            "a job may return an exception as its value: that is a result",
            {"            job.result()": "            lost += isinstance(job.result(), Exception)"},
        ),
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


_PUSHES = "heapq.heappush(self.heap, (-priority, next(self.numbers), task))"
_APPENDS = "self.heap.append((-priority, next(self.numbers), task))"


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

    def __init__(self, entries: Iterable[Any], walked: set[str]) -> None:
        super().__init__(entries)
        self.walked, self.looks = walked, 0

    def __getitem__(self, at: Any) -> Any:
        self.looks += 1
        if self.looks > 40:  # since the last step; a heap of 99 written by hand looks at less than twenty
            self.walked.add("an index after the other")
        return super().__getitem__(at)

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


def _watch(queue: Any, walked: set[str]) -> None:
    """Watch every list that the queue holds, itself or in a dict."""
    for holder in (vars(queue), *(held for held in vars(queue).values() if type(held) is dict)):
        for name, held in list(holder.items()):
            if isinstance(held, _Watched):
                held.looks = 0
            elif type(held) is list:
                holder[name] = _Watched(held, walked)


_here = threading.local()
"""What the probe that runs in this thread gave to the functions that stand in for a module's own."""


def _noting_heapify() -> AbstractContextManager[object]:
    """Have `heapq.heapify` noted for the probe in whose thread it is called."""

    def noted(entries: list[Any]) -> None:
        getattr(_here, "walked", set[str]()).add("heapify")
        heapify(entries)

    return mock.patch("heapq.heapify", noted)


def _walks(answer: Answer) -> object:
    queue, taken, walked = answer(), [], set[str]()
    _here.walked = walked
    for n in range(99):
        queue.push(n, n % 3)
        _watch(queue, walked)
    for _ in range(99):
        taken.append(queue.pop())
        _watch(queue, walked)
    return {"the first three": taken[:3], "looks at all or moves all by": ", ".join(sorted(walked)) or "nothing"}


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
        Case("99 tasks pushed, then popped", _walks, within=_noting_heapify),
        Case("3,000 tasks pushed, then popped   -> whether the order is that of a stable sort", _many),
    ],
    wrong=[
        Wrong(
            "the heap compares what it holds: where priorities tie, the arrival must decide, not the task",
            {"next(self.numbers), ": ""},
        ),
        Wrong("a heap gives its smallest entry first: negate the priority", {"-priority": "priority"}),
        Wrong(
            "the newest of equals overtakes those that wait: arrival numbers must grow",
            {"next(self.numbers)": "-next(self.numbers)"},
        ),
        Wrong(
            "how many wait is no arrival number: it falls with each pop, so two entries get the same one",
            {"next(self.numbers)": "len(self.heap)"},
        ),
        Wrong("the priority is not looked at: a high one is taken before all that wait", {"-priority": "0"}),
        Wrong(
            "a list is a heap only as long as heapq itself puts things into it",
            {_PUSHES: _APPENDS},
        ),
        Wrong("return the task alone, not the heap's entry", {"[-1]": ""}),
        Wrong("the task is the last part of its entry: [-1], not [1]", {"[-1]": "[1]"}),
        Wrong(
            "each pop looks at all that wait; a heap looks at about log2 of them",
            {
                _PUSHES: _APPENDS,
                "heapq.heappop(self.heap)": "self.heap.pop(self.heap.index(min(self.heap)))",
            },
        ),
        Wrong(
            "each push sorts all that wait; `heapq.heappush` moves about log2 of them",
            {
                _PUSHES: _APPENDS + "\n        self.heap.sort()",
                "heapq.heappop(self.heap)": "self.heap.pop(0)",
            },
        ),
        Wrong(
            "`sorted` looks at all that wait and makes a new list of them; `heappush` moves about log2 of them",
            {
                _PUSHES: _APPENDS + "\n        self.heap = sorted(self.heap)",
                "heapq.heappop(self.heap)": "self.heap.pop(0)",
            },
        ),
        Wrong(
            "`heapify` looks at all that wait; `heappush` puts one entry into its place",
            {_PUSHES: _APPENDS + "\n        heapq.heapify(self.heap)"},
        ),
        Wrong(
            "`insort` and `pop(0)` move all the entries behind: use `heappush` and `heappop`",
            {"heapq.heappush": "bisect.insort", "heapq.heappop(self.heap)": "self.heap.pop(0)"},
        ),
        Wrong(
            "a list for each priority is moved as a whole by `pop(0)`: a heap, or a deque for each",
            {
                "list[Any](), count()": "dict[int, list[Any]](), count()",
                _PUSHES: "self.heap.setdefault(priority, []).append(task)",
                "heapq.heappop(self.heap)[-1]": "self.heap[max(key for key, all in self.heap.items() if all)].pop(0)",
            },
        ),
    ],
)

# --- 5.3 stop(process, grace) ---------------------------------------------------------------------


class _Process:
    """A process on a clock of its own: asked to end, it obeys after `obeys` seconds (never, if that is None)."""

    def __init__(self, obeys: float | None) -> None:
        self.obeys, self.now = obeys, 0.0
        self.ends: float | None = None
        self.signals, self.reaped, self.slept = list[str](), False, False

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
        self.now += 0.0 if self.over or self.slept else 0.01  # time goes on for an answer that looks again and again
        self.slept = False
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


def _own_sleep() -> AbstractContextManager[object]:
    """Have `time.sleep` advance the time of the process in whose probe's thread it is called."""
    really = time.sleep

    def sleep(seconds: float) -> None:
        process: _Process | None = getattr(_here, "process", None)
        if process is None:
            really(seconds)
        else:
            process.now, process.slept = process.now + seconds, True

    return mock.patch("time.sleep", sleep)


def _process(words: str, obeys: float | None, grace: float) -> Case:
    def probe(answer: Answer) -> object:
        process = _here.process = _Process(obeys)
        try:
            said = answer(process, grace)
        except _WaitsForEverError:
            said = "waits for ever"
        except TimeoutExpired:
            said = "raises TimeoutExpired"
        signals = list(dict.fromkeys(process.signals))
        late = process.now > min(grace, process.ends or 0.0) + 0.1
        return {"returns": said, "signals": signals, "waited for": process.reaped, "takes longer than it must": late}

    return Case(f"a process that {words}; grace={grace:g}", probe, within=_own_sleep)


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
        Wrong(
            "ask first: a process that listens can close its files and end by itself",
            {"process.terminate()": 'process.kill()\n    process.wait()\n    return "killed"'},
        ),
        Wrong("a process that does not listen never ends: wait for at most `grace` seconds", {"timeout=grace": ""}),
        Wrong(
            "a process that is still there after the grace must be killed",
            {'        process.kill()\n        process.wait()\n        return "killed"': "        pass"},
        ),
        Wrong("a killed process stays as a zombie until somebody waits for it", {"        process.wait()\n": ""}),
        Wrong(
            "when the time is up `wait` raises subprocess.TimeoutExpired (no TimeoutError): catch that, then kill",
            {"except TimeoutExpired": "except TimeoutError"},
        ),
        Wrong(
            "`wait` returns the exit code, and 0 counts as false; when the time is up it does not return, it raises",
            {
                "    try:\n        process": "    if not process",
                "grace)\n    except TimeoutExpired:": "grace):",
            },
        ),
        Wrong(
            "the process is a `subprocess.Popen`: it has `wait` and `poll`; `join` is of another module",
            {"process.wait(timeout=grace)": "process.join(grace)"},
        ),
        Wrong(
            "who always sleeps and always kills does not know whether the process obeyed: `wait` tells",
            {
                "    try:\n        process.wait(timeout=grace)\n    except TimeoutExpired:": "    time.sleep(grace)",
                '        process.kill()\n        process.wait()\n        return "killed"': "    process.kill()",
                '"asked"': '"killed"',
            },
        ),
        Wrong(
            "a process that obeyed needs no kill: return as soon as it has ended",
            {
                "        process.kill()\n        process.wait()\n": "        pass\n"
                "    process.kill()\n    process.wait()\n",
                '        return "killed"\n    return "asked"': '    return "killed"',
            },
        ),
        Wrong(
            "one look is not enough: `process.wait(timeout=grace)` returns as soon as the process has ended",
            {"timeout=grace": "timeout=0"},
        ),
        Wrong(
            "`sleep` takes the whole grace though the process has ended: `wait(timeout=grace)` returns at its end",
            {
                "try:\n        process.wait(timeout=grace)": "time.sleep(grace)",
                "except TimeoutExpired:": "if process.poll() is None:",
            },
        ),
        Wrong("a process that ended when it was asked was not killed", {'"asked"': '"killed"'}),
        Wrong('return "asked" or "killed"', {'return "killed"': "return None", 'return "asked"': "return None"}),
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
        _releasing("b:a a -a"),
        _releasing("a b:aa -a"),
        _releasing("a b:a c:a -a"),
        _releasing("a b c:ab -a -b"),
        _releasing("a b:a c:b -a -b"),
        _releasing("a b:a c:a d:bc -a -c -b"),
        _releasing("a b -a c:ab d:abc -b -c"),
    ],
    wrong=[
        Wrong(
            "a task that is needed twice ends once: count each need once",
            {"len(missing)": "sum(need not in self.done for need in needs)"},
        ),
        Wrong("a need that has ended already will not end again: do not wait for it", {" - self.done": ""}),
        Wrong(
            "a need that was not added yet is still to end, too",
            {" - self.done": " - self.done & set(self.missing)"},
        ),
        Wrong(
            "a task is ready when the last of its needs has ended, not the first",
            {"if not self.missing[dependent]": "if True"},
        ),
        Wrong(
            "what is ready has not run yet: its own dependents must wait",
            {"return ready": "return ready + [later for child in ready for later in self.end(child)]"},
        ),
        Wrong(
            "give only those that this end made ready: the task itself and others were ready before",
            {"return ready": "return [one for one in self.missing if not self.missing[one]]"},
        ),
        Wrong(
            "what was ready before is released a second time, and would run twice",
            {"return ready": "return [one for one in self.missing if not self.missing[one] and one not in self.done]"},
        ),
        Wrong(
            "those released together begin in the order in which they were added",
            {"return ready": "return ready[::-1]"},
        ),
        Wrong(
            "a task that waits for nothing is ready when it is added: nobody's end will release it",
            {"return not missing": "return False"},
        ),
        Wrong(
            "most tasks have no dependents: their end releases nothing, and that is no error",
            {"self.dependents.pop(task, ())": "self.dependents.pop(task)"},
        ),
        Wrong(
            "several tasks may need the same one: keep a list of them",
            {"self.dependents.setdefault(need, []).append(task)": "self.dependents[need] = [task]"},
        ),
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


def _retrying(plan: str, retries: int, backoff: float = 1.0, on: type[Exception] = OSError) -> Case:
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
            came = repr(answer(call, retries, backoff, (on,), slept.append))
        except NotImplementedError:  # not written yet: the check says so
            raise
        except BaseException as error:  # noqa: BLE001 - which one comes out is the question
            came = type(error).__name__ if error in ends.values() else f"{type(error).__name__}: {error}"
        return {"comes out": came, "calls": calls, "slept": slept}

    words = {"o": "OSError", "v": "ValueError", "k": "Ctrl-C", "0": "returns 0", "1": "returns 'done'"}
    said = ", ".join(words[letter] for letter in plan) or words["1"]
    return Case(f"{said}; retries={retries}, backoff={backoff:g}, retry_on=({on.__name__},)", probe)


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
        _retrying("v", 1, on=ValueError),
        _retrying("k", 1),
        _retrying("ooo", 3, 0.5),
        _retrying("ooooo", 3, 0.5),
    ],
    wrong=[
        Wrong(
            "a ValueError will be one the next time, too: only what is in `retry_on` is worth a retry",
            {"except retry_on": "except Exception"},
        ),
        Wrong("what is worth a retry is said by `retry_on`, not by you", {"except retry_on": "except OSError"}),
        Wrong(
            "who presses Ctrl-C wants it to end: a broad `except` tries again",
            {"except retry_on": "except (*retry_on, KeyboardInterrupt)"},
        ),
        Wrong(
            "retries come on top of the first attempt: retries=1 means two calls",
            {"range(retries)": "range(retries - 1)"},
        ),
        Wrong("retries=1 means two calls, not three", {"range(retries)": "range(retries + 1)"}),
        Wrong(
            "after the last attempt nobody tries again, so there is nothing to wait for",
            {
                "range(retries)": "range(retries + 1)",
                "except retry_on:": "except retry_on as error:\n            last = error",
                "\n    return call()": "\n    raise last",
            },
        ),
        Wrong(
            "the first attempt is made at once: wait after a failure, not before a call",
            {
                "            sleep(backoff * 2**attempt)": "            pass",
                "        try:": "        sleep(backoff * 2**attempt)\n        try:",
            },
        ),
        Wrong(
            "`sleep` is an argument, so that a test need not wait: call it, no other",
            {"            sleep(backoff * 2**attempt)": "            pass"},
        ),
        Wrong(
            "each wait is twice the one before: a server that is down needs more and more patience",
            {"backoff * 2**attempt": "backoff"},
        ),
        Wrong(
            "the first wait is `backoff` itself; it doubles from the second on", {"2**attempt": "2 ** (attempt + 1)"}
        ),
        Wrong("double it: 1, 2, 4; adding gives 1, 2, 3", {"2**attempt": "(attempt + 1)"}),
        Wrong(
            "behind the last attempt there is no wait, and its error comes out: the loop is for those that may fail",
            {"range(retries)": "range(retries + 1)", "\n    return call()\n": "\n"},
        ),
        Wrong(
            "when no attempt is left the error must come out: None looks like a result",
            {
                "range(retries)": "range(retries + 1)",
                "            sleep": "            if attempt < retries: sleep",
                "\n    return call()\n": "\n",
            },
        ),
        Wrong(
            "the last error must come out as itself, or nobody's `except OSError` catches it",
            {
                "\n    return call()\n": "\n    try:\n        return call()\n    except retry_on as error:\n"
                '        raise RuntimeError("too many retries") from error\n'
            },
        ),
        Wrong(
            "a result that counts as false is a result, too",
            {"            return call()": "            if result := call():\n                return result"},
        ),
    ],
)

EXERCISES = (MISSING, READY_QUEUE, STOP, READY_SET, RETRIED)
