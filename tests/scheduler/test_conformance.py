"""One suite over every way to run tasks: the three start methods, and Dask where it is there.

The scheduler is opened once for each way: every test must leave it as it found it, and that is checked, too.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    as_completed,
    wait,
)
from concurrent.futures import TimeoutError as FutureTimeoutError
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, nullcontext
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arion_lib.scheduler import (
    DependencyFailedError,
    NotTransferableError,
    QuarantinedError,
    Scheduler,
    State,
    TaskTimeoutError,
    WorkerDiedError,
)
from arion_lib.scheduler.processes.worker_handle import INTERRUPTION
from tests.leaks import Snapshot
from tests.scheduler import jobs
from tests.scheduler.gates import DEATH, KILL, PATIENCE, Gate, until
from tests.scheduler.subjects import (
    HERE,
    INTERRUPTED,
    POSIX,
    SUBJECTS,
    WORKERS,
    Subject,
    open_as_on_windows,
    reaching_workers,
)

SHORT = 0.15
"""Seconds of a time limit that is meant to be hit."""
LONG = 600.0
"""Seconds of a time limit that is not."""


@pytest.fixture(scope="module", params=SUBJECTS, ids=str)
def opened(request: pytest.FixtureRequest) -> Iterator[tuple[Subject, Any]]:
    """Open each of the executors once; nothing of it is left when its tests are through."""
    before = Snapshot.take()
    with request.param.open() as executor:
        yield request.param, executor
    left = before.leaked()
    assert not left, "left behind:\n  " + "\n  ".join(left)


@pytest.fixture(autouse=True)
def as_here(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let a scheduler that a test opens itself be as on this system, though the one as on Windows may be open still."""
    with nullcontext() if "opened" in request.fixturenames else reaching_workers(*HERE):
        yield


@pytest.fixture
def scheduler(opened: tuple[Subject, Any], request: pytest.FixtureRequest) -> Iterator[Any]:
    """Return the executor; afterwards it must be idle and of its old size."""
    subject, executor = opened
    name = request.node.originalname
    if name in subject.differs:
        pytest.skip(f"{subject} differs: {subject.differs[name]}")
    if name in subject.long and not request.config.option.thorough:
        pytest.skip(f"it takes long on {subject}: --thorough runs it")
    yield executor
    assert executor.wait_idle(PATIENCE), "tasks were left unfinished"
    until(lambda: len(working(executor)) == WORKERS, f"a pool of {WORKERS} workers")


@pytest.fixture
def naive() -> Iterator[ProcessPoolExecutor]:
    """Return what people use: the control."""
    with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as executor:
        yield executor


def working(scheduler: Any) -> list[Any]:
    """Return the worker processes that have answered or are about to."""
    lane = next(lane for lane in scheduler.status().lanes if lane.name == "processes")
    return [worker for worker in lane.workers if worker.state not in ("draining", "stopping")]


def states(task: Any) -> list[State]:
    return [event.state for event in task.history()]


def occupied(scheduler: Any, make_gate: Callable[[], Gate], workers: int = WORKERS) -> tuple[Gate, list[Any]]:
    """Have every worker wait at a gate."""
    gate = make_gate()
    held = [scheduler.with_options(priority=1_000).submit(jobs.hold, gate.place) for _ in range(workers)]
    gate.arrived(workers)
    return gate, held


@contextmanager
def one_worker(scheduler: Any, make_gate: Callable[[], Gate]) -> Iterator[int]:
    """Have one worker take part in what is about order: what another one does meanwhile is a question of time.

    Nothing is sent behind the calls that hold the others: nobody knows how long they take. Dask would: there all take
    part. Gives how many do.
    """
    if type(scheduler) is not Scheduler:
        yield WORKERS
        return
    gate = make_gate()
    place = gate.place
    held = [scheduler.submit(lambda: jobs.hold(place)) for _ in range(WORKERS - 1)]
    gate.arrived(WORKERS - 1)
    try:
        yield 1
    finally:
        gate.open(WORKERS - 1)
    wait(held, PATIENCE)


# --- an Executor, its Futures ---


def test_it_is_an_executor_and_its_tasks_are_futures(scheduler: Any) -> None:
    task = scheduler.submit(jobs.add, 1, 2)
    assert isinstance(scheduler, Executor)
    assert isinstance(task, Future)
    assert task.result(PATIENCE) == 3
    assert task.done()
    assert not task.cancelled()
    assert not task.running()
    assert task.exception() is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        -(2**200),
        1.5,
        float("inf"),
        2j,
        "text \N{SNOWMAN} \0",
        "\ud800",
        b"\0\xff",
        (),
        (1, "a", None),
        [1, [2, {3: {4}}]],
        {"a": [1], 2: ()},
        {1, 2},
        range(3),
        slice(1, 2),
        frozenset("ab"),
        bytearray(b"ab"),
        int,
        len,
        jobs.add,
        Path("x"),
    ],
    ids=lambda value: (
        repr(sorted(value)) if isinstance(value, frozenset | set) else re.sub(r" at 0x\w+", "", repr(value))
    ),
)
def test_a_value_comes_back_as_it_went(scheduler: Any, value: Any) -> None:
    there_and_back = scheduler.submit(jobs.identity, value).result(PATIENCE)
    assert there_and_back == value
    assert type(there_and_back) is type(value)


def test_every_argument_is_the_functions_own(scheduler: Any) -> None:
    kwargs = {
        "fn": 1,
        "self": 2,
        "priority": 3,
        "timeout": 4,
        "after": 5,
        "retries": 6,
        "name": 7,
        "lane": 8,
        "tags": 9,
    }
    assert scheduler.submit(jobs.take_all, 1, **kwargs).result(PATIENCE) == ((1,), kwargs)
    assert scheduler.with_options(priority=1).submit(jobs.take_all, **kwargs).result(PATIENCE) == ((), kwargs)


def test_map_yields_in_order(scheduler: Any) -> None:
    assert list(scheduler.map(pow, range(500), itertools.repeat(2))) == [n * n for n in range(500)]
    assert list(scheduler.map(jobs.add, [1, 2, 3], [10, 20], chunksize=2)) == [11, 22]
    assert list(scheduler.map(jobs.identity, [])) == []


def test_map_raises_where_the_failed_call_was_and_cancels_the_rest(scheduler: Any, gate: Gate) -> None:
    results = scheduler.map(jobs.identity, [jobs.hold, 1])
    assert next(results) is jobs.hold
    results.close()
    failing = scheduler.map(pow, [1, 0, 1], [1, -1, 1])
    assert next(failing) == 1
    with pytest.raises(ZeroDivisionError):
        next(failing)
    assert list(failing) == []


def test_map_honours_its_timeout(scheduler: Any, gate: Gate) -> None:
    results = scheduler.map(jobs.hold, [gate.place], timeout=SHORT)
    with pytest.raises(FutureTimeoutError):
        next(results)


def test_map_takes_no_more_of_endless_iterables_than_its_buffer_holds(scheduler: Any) -> None:
    numbers = itertools.count()
    results = scheduler.map(jobs.identity, numbers, buffersize=3)
    assert next(numbers) == 3  # three were taken, and this one by the test
    assert list(itertools.islice(results, 5)) == [0, 1, 2, 4, 5]
    assert next(numbers) == 8  # four results were followed by four calls
    results.close()
    for chunksize in (1, 2, 10):
        assert list(scheduler.map(jobs.identity, range(10), buffersize=4, chunksize=chunksize)) == [*range(10)]


@pytest.mark.parametrize("wrong", [{"buffersize": 0}, {"buffersize": 1.5}, {"buffersize": 2, "progress": True}])
def test_map_refuses_a_buffer_that_is_none(scheduler: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"buffersize must be an int >= 1|progress must be False"):
        scheduler.map(jobs.identity, [1], **wrong)


def test_wait_and_as_completed_accept_its_tasks(scheduler: Any, gate: Gate) -> None:
    held = scheduler.submit(jobs.hold, gate.place, "held")
    quick = scheduler.submit(jobs.add, 1)
    failing = scheduler.submit(jobs.fail)
    done, not_done = wait([held, quick], PATIENCE, FIRST_COMPLETED)
    assert (done, not_done) == ({quick}, {held})
    assert set(itertools.islice(as_completed([held, quick, failing], PATIENCE), 2)) == {quick, failing}
    gate.open()
    done, not_done = wait([held, quick, failing], PATIENCE)
    assert (len(done), len(not_done)) == (3, 0)
    assert wait([held], 0).done == {held}


def test_asyncio_can_await_its_tasks(scheduler: Any) -> None:
    async def main() -> list[Any]:
        loop = asyncio.get_running_loop()
        wrapped = asyncio.wrap_future(scheduler.submit(jobs.add, 1, 1))
        return await asyncio.gather(wrapped, loop.run_in_executor(scheduler, jobs.add, 2, 2))

    assert asyncio.run(asyncio.wait_for(main(), PATIENCE)) == [2, 4]


def test_cancelling_what_asyncio_awaits_stops_the_task(scheduler: Any, gate: Gate) -> None:
    task = scheduler.submit(jobs.spin, gate.place)
    gate.arrived()

    async def main() -> None:
        waiting = asyncio.ensure_future(asyncio.wrap_future(task))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert task.cancelled()


def test_callbacks_are_called_once_whenever_they_are_added(scheduler: Any, gate: Gate) -> None:
    task = scheduler.submit(jobs.hold, gate.place)
    called: list[Future[Any]] = []
    both = threading.Semaphore(0)

    def callback(future: Future[Any]) -> None:
        called.append(future)
        both.release()

    task.add_done_callback(callback)
    assert not called
    gate.open()
    assert both.acquire(timeout=PATIENCE)
    task.add_done_callback(callback)
    assert both.acquire(timeout=PATIENCE)
    assert called == [task, task]


def test_a_callback_that_raises_is_logged_and_harms_nobody(scheduler: Any, caplog: pytest.LogCaptureFixture) -> None:
    called = threading.Event()

    def bad(_: Future[Any]) -> None:
        raise ValueError("a bad callback")

    task = scheduler.submit(jobs.add, 1)
    task.add_done_callback(bad)
    task.add_done_callback(lambda _: called.set())
    assert called.wait(PATIENCE)
    assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1
    until(lambda: "a bad callback" in caplog.text, "the record")  # the second one may be called here, at once


def test_a_callback_may_submit(scheduler: Any) -> None:
    results: list[int] = []
    done = threading.Event()

    def more(_: Future[Any]) -> None:
        def take(task: Future[int]) -> None:
            results.append(task.result())
            done.set()

        scheduler.submit(jobs.add, 40, 2).add_done_callback(take)

    scheduler.submit(jobs.add).add_done_callback(more)
    assert done.wait(PATIENCE)
    assert results == [42]


def test_result_and_exception_wait_no_longer_than_told(scheduler: Any, gate: Gate) -> None:
    task = scheduler.submit(jobs.hold, gate.place)
    for ask in (task.result, task.exception):
        with pytest.raises(FutureTimeoutError):
            ask(timeout=0)
    gate.open()
    task.result(PATIENCE)


def test_many_threads_may_submit_and_look_at_once(scheduler: Any) -> None:
    results: list[int] = []
    errors: list[BaseException] = []

    def submit(base: int) -> None:
        try:
            tasks = [scheduler.submit(jobs.add, base, n) for n in range(200)]
            repr(scheduler)
            scheduler.status()
            results.extend(task.result(PATIENCE) for task in tasks)
        except BaseException as error:  # noqa: BLE001  (told to the test's own thread)
            errors.append(error)

    threads = [threading.Thread(target=submit, args=(base,)) for base in range(0, 8_000, 1_000)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert sorted(results) == sorted(base + n for base in range(0, 8_000, 1_000) for n in range(200))


# --- errors ---


def test_an_exception_comes_back_as_itself_with_the_workers_traceback(scheduler: Any) -> None:
    task = scheduler.submit(jobs.fail_from, "told")
    with pytest.raises(ValueError, match="told") as caught:
        task.result(PATIENCE)
    assert task.exception() is caught.value
    assert isinstance(caught.value.__cause__, KeyError)
    notes = "".join(caught.value.__notes__)
    assert "in fail_from" in notes
    assert "KeyError: 'the cause'" in notes
    assert task.status() is State.FAILED


def test_the_control_loses_the_cause_as_an_object(naive: ProcessPoolExecutor) -> None:
    cause = naive.submit(jobs.fail_from, "told").exception(PATIENCE).__cause__  # type: ignore[union-attr]
    assert not isinstance(cause, KeyError)


@pytest.mark.parametrize(
    ("fn", "args", "words"),
    [
        (jobs.identity, (jobs.Opaque(),), "stays where it is"),
        (jobs.opaque, (), "stays where it is"),
        (jobs.raise_odd, (), "OddError"),
        (jobs.stubborn, (0,), ""),
        (jobs.raise_rude, (), ""),
        (jobs.raise_stranger, (os.getpid(),), ""),
    ],
    ids=["argument", "result", "exception", "none", "exception without text", "exception that cannot be had here"],
)
def test_what_cannot_travel_fails_that_task_alone(scheduler: Any, fn: Any, args: Any, words: str) -> None:
    before, task, after = scheduler.submit(jobs.add, 1), scheduler.submit(fn, *args), scheduler.submit(jobs.add, 2)
    if fn is jobs.stubborn:
        assert task.result(PATIENCE).home == 0
    elif fn is jobs.raise_rude:
        assert isinstance(task.exception(PATIENCE), jobs.RudeError)
    else:
        error = task.exception(PATIENCE)
        assert isinstance(error, NotTransferableError)
        assert words in str(error)
        assert task.status() is State.FAILED
    assert (before.result(PATIENCE), after.result(PATIENCE)) == (1, 2)


async def _awaited(task: Any) -> Any:
    return await asyncio.wrap_future(task)


def test_a_task_can_be_awaited(scheduler: Any) -> None:
    assert asyncio.run(asyncio.wait_for(_awaited(scheduler.submit(jobs.add, 1)), PATIENCE)) == 1


def test_a_result_that_cannot_be_had_here_fails_that_result_alone(scheduler: Any) -> None:
    task = scheduler.submit(jobs.Stubborn, os.getpid())
    with pytest.raises(NotTransferableError, match="cannot be made here") as raised:
        task.result(PATIENCE)
    assert task.exception(PATIENCE) is raised.value
    with pytest.raises(NotTransferableError):
        asyncio.run(asyncio.wait_for(_awaited(task), PATIENCE))
    assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1


def test_an_exception_that_cannot_be_printed_is_still_told_as_an_event(scheduler: Any) -> None:
    with scheduler.events() as events:
        tasks = [
            scheduler.with_options(retries=1, retry_on=RuntimeError).submit(fn, *args)
            for fn, args in ((jobs.raise_rude, ()), (jobs.raise_stranger, (os.getpid(),)))
        ]
        ends = [event for event in told(events, tasks) if event.state is State.FAILED]
    for task in tasks:
        assert task.exception(PATIENCE) is not None
        assert task.history()[-1].state is State.FAILED
    assert {event.task for event in ends} == {task.number for task in tasks}
    assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1


def told(events: Any, tasks: list[Any]) -> list[Any]:
    """Return the events up to the last one of the last of these tasks; each of them is waited for."""
    wait(tasks, PATIENCE)
    missing = {task.number: task.history()[-1].state for task in tasks}
    seen = []
    for event in events:
        seen.append(event)
        if event.attempt in (0, last_attempt(tasks, event.task)) and missing.get(event.task) is event.state:
            del missing[event.task]
        if not missing:
            break
    return seen


def last_attempt(tasks: list[Any], number: int) -> int:
    return next((task.history()[-1].attempt for task in tasks if task.number == number), -1)


def test_a_function_that_cannot_travel_fails_that_task_alone(scheduler: Any) -> None:
    held = threading.Lock()
    task = scheduler.submit(lambda: held)
    error = task.exception(PATIENCE)
    assert isinstance(error, NotTransferableError)
    assert "lambda" in str(error)
    assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1


def test_system_exit_and_interrupts_are_results_as_any_other(scheduler: Any) -> None:
    for error in (SystemExit(3), KeyboardInterrupt(), GeneratorExit()):
        assert type(scheduler.submit(jobs.raise_this, error).exception(PATIENCE)) is type(error)


def test_what_cannot_be_called_is_refused_at_submit(scheduler: Any) -> None:
    with pytest.raises(TypeError, match="callable"):
        scheduler.submit(3)


# --- functions of any kind ---


def test_lambdas_and_closures_run(scheduler: Any) -> None:
    base = 10

    def nested(value: int) -> int:
        return value + base

    def recursive(n: int) -> int:
        return n * recursive(n - 1) if n else 1

    assert scheduler.submit(lambda: 3).result(PATIENCE) == 3
    assert scheduler.submit(nested, 1).result(PATIENCE) == 11
    assert scheduler.submit(recursive, 5).result(PATIENCE) == 120
    assert scheduler.submit([1, 2, 3].count, 2).result(PATIENCE) == 1


def test_the_control_cannot_run_a_lambda(naive: ProcessPoolExecutor) -> None:
    with pytest.raises(Exception, match=r"[Pp]ickle|Can't get local object"):
        naive.submit(lambda: 3).result(PATIENCE)


def cell(text: str, space: dict[str, Any]) -> None:
    """Run the text of a notebook's cell."""
    exec(compile(text, "<cell>", "exec"), space)  # noqa: S102


def test_functions_of_a_notebook_run_and_see_its_changed_globals(scheduler: Any) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    cell("rate = 2\ndef price(n): return tax(n * rate)\ndef tax(n): return n + 1", space)
    assert scheduler.submit(space["price"], 10).result(PATIENCE) == 21
    cell("rate = 3", space)
    assert scheduler.submit(space["price"], 10).result(PATIENCE) == 31
    cell("def tax(n): return n", space)
    assert scheduler.submit(space["price"], 10).result(PATIENCE) == 30
    cell("table = {'a': 1}\ndef look(): return dict(table)", space)
    assert scheduler.submit(space["look"]).result(PATIENCE) == {"a": 1}
    cell("table['b'] = 2", space)
    assert scheduler.submit(space["look"]).result(PATIENCE) == {"a": 1, "b": 2}
    cell("class Point:\n  def __init__(self, x): self.x = x\ndef make(x): return Point(x)", space)
    assert scheduler.submit(space["make"], 5).result(PATIENCE).x == 5


def test_a_function_whose_defaults_or_code_were_replaced_is_another(scheduler: Any) -> None:
    space: dict[str, Any] = {"__name__": "__main__"}
    cell("def f(x=1, *, y=10): return x + y\ndef g(x=1, *, y=10): return -1", space)
    function = space["f"]
    assert scheduler.submit(function).result(PATIENCE) == 11
    function.__defaults__ = (2,)
    assert scheduler.submit(function).result(PATIENCE) == 12
    function.__kwdefaults__ = {"y": 20}
    assert scheduler.submit(function).result(PATIENCE) == 22
    function.__code__ = space["g"].__code__
    assert scheduler.submit(function).result(PATIENCE) == -1


def test_a_cell_of_a_closure_that_changes_is_seen(scheduler: Any) -> None:
    count = 0

    def read() -> int:
        return count

    assert scheduler.submit(read).result(PATIENCE) == 0
    count = 1
    assert scheduler.submit(read).result(PATIENCE) == 1


# --- arguments and results ---


def test_tasks_share_no_mutable_argument(scheduler: Any) -> None:
    shared: list[int] = []
    tasks = [scheduler.submit(jobs.grow, shared) for _ in range(2_000)]
    assert {task.result(PATIENCE) for task in tasks} == {1}
    assert shared == []


def test_the_control_for_it_pickled_together_they_do() -> None:
    import pickle

    shared: list[int] = []
    together = pickle.loads(pickle.dumps([(jobs.grow, shared)] * 3))
    assert [fn(values) for fn, values in together] == [1, 2, 3]


def test_an_argument_is_what_it_was_at_submit(scheduler: Any, make_gate: Callable[[], Gate]) -> None:
    gate, _ = occupied(scheduler, make_gate)
    values = [1]
    task = scheduler.submit(jobs.identity, values)
    values.append(2)
    gate.open(WORKERS)
    assert task.result(PATIENCE) == [1]


@pytest.mark.parametrize("size", [3, 100_000, 1_000_000])
def test_arrays_go_there_and_back(scheduler: Any, size: int) -> None:
    array = np.arange(size, dtype=float)
    back = scheduler.submit(jobs.identity, array).result(PATIENCE)
    assert np.array_equal(back, array)
    assert scheduler.submit(jobs.total, array).result(PATIENCE) == array.sum()
    assert scheduler.submit(jobs.bump, array).result(PATIENCE) == array.sum() + size
    assert array[0] == 0.0


def test_arrays_inside_other_values_and_of_any_layout_travel(scheduler: Any) -> None:
    big = np.arange(40_000, dtype=float).reshape(200, 200)
    for array in (big.T, big[::2, ::3], np.asfortranarray(big), big.astype("i1"), np.empty((0, 5))):
        assert np.array_equal(scheduler.submit(jobs.identity, {"a": [array]}).result(PATIENCE)["a"][0], array)


def test_tasks_share_no_array(scheduler: Any) -> None:
    array = np.zeros(50_000)
    assert {task.result(PATIENCE) for task in [scheduler.submit(jobs.bump, array) for _ in range(6)]} == {50_000.0}
    made = scheduler.submit(jobs.zeros, 50_000)
    assert {scheduler.submit(jobs.bump, made).result(PATIENCE) for _ in range(4)} == {50_000.0}


# --- priorities ---


def by_worker(path: str) -> dict[str, list[str]]:
    """Return what `jobs.note_pid` noted, for each worker in its order: two workers may be at different places."""
    found: dict[str, list[str]] = {}
    for line in jobs.noted(path):
        pid, _, text = line.partition(" ")
        found.setdefault(pid, []).append(text)
    return found


def test_urgent_tasks_run_before_a_large_backlog(scheduler: Any, make_gate: Callable[[], Gate], notes: str) -> None:
    with one_worker(scheduler, make_gate) as workers:
        gate, _ = occupied(scheduler, make_gate, workers)
        backlog = [scheduler.submit(jobs.add, n) for n in range(3_000)]
        low = [scheduler.submit(jobs.note_pid, notes, "low") for _ in range(20)]
        urgent = [scheduler.with_options(priority=9).submit(jobs.note_pid, notes, "urgent") for _ in range(20)]
        until(lambda: State.PENDING not in {task.status() for task in (*low, *urgent)}, "the admission")
        gate.open(workers)
        for task in (*urgent, *low, *backlog):
            task.result(PATIENCE)
    lines = by_worker(notes).values()
    assert sorted(itertools.chain(*lines)) == ["low"] * 20 + ["urgent"] * 20
    assert all(order == sorted(order, reverse=True) for order in lines)


def warmed(scheduler: Any, gate: Gate) -> None:
    """Let the scheduler learn that `jobs.pass_and_note` takes no time: it is sent ahead by the hundred from now on."""
    for task in [scheduler.submit(jobs.pass_and_note, gate.place, os.devnull, "", 0) for _ in range(50)]:
        task.result(PATIENCE)


def made_urgent(scheduler: Any, gate: Gate, notes: str) -> Any:
    """Submit an urgent task; return when what was sent ahead of it may not be begun any more."""
    urgent = scheduler.with_options(priority=9).submit(jobs.pass_and_note, gate.place, notes, "urgent", 0)
    until(lambda: urgent.status() is State.READY, "the urgent task")
    scheduler.status()  # the turn that made it ready is over
    return urgent


def test_an_urgent_task_overtakes_what_was_sent_ahead(
    scheduler: Any, make_gate: Callable[[], Gate], notes: str
) -> None:
    with one_worker(scheduler, make_gate):
        gate = make_gate()
        warmed(scheduler, gate)
        first = scheduler.submit(jobs.pass_and_note, gate.place, notes, "first", 1)
        low = [scheduler.submit(jobs.pass_and_note, gate.place, notes, "low", 0) for _ in range(300)]
        gate.arrived()
        until(lambda: State.PENDING not in {task.status() for task in low}, "the backlog")
        urgent = made_urgent(scheduler, gate, notes)
        gate.open()
        for task in (first, urgent, *low):
            task.result(PATIENCE)
    assert [line.split()[1] for line in jobs.noted(notes)] == ["first", "urgent", *["low"] * 300]


@pytest.mark.parametrize("goes_on", range(WORKERS))
def test_an_urgent_task_waits_behind_no_stuck_call_while_another_worker_goes_on(
    scheduler: Any, make_gate: Callable[[], Gate], notes: str, goes_on: int
) -> None:
    """It may be sent behind either of the calls that run; then one of these goes on, the other one does not."""
    gates = [make_gate() for _ in range(WORKERS)]
    warmed(scheduler, gates[0])
    started = [scheduler.submit(jobs.pass_and_note, gate.place, os.devnull, "", 1) for gate in gates]
    for gate in gates:
        gate.arrived()
    ended = threading.Event()

    def one_more(_: Any) -> None:
        """Keep the backlog from running out while the urgent task waits."""
        if not ended.is_set():
            scheduler.submit(jobs.pass_and_note, gates[0].place, os.devnull, "", 0).add_done_callback(one_more)

    for _ in range(3_000):  # more than is ever sent ahead
        one_more(None)
    urgent = made_urgent(scheduler, gates[0], notes)
    gates[goes_on].open()
    try:
        urgent.result(PATIENCE)
        assert [task.done() for task in started] == [number == goes_on for number in range(WORKERS)]
    finally:
        ended.set()
        for gate in gates:
            gate.open()
    for task in started:
        task.result(PATIENCE)


def test_equal_priorities_run_in_the_order_of_submission(
    scheduler: Any, make_gate: Callable[[], Gate], notes: str
) -> None:
    with one_worker(scheduler, make_gate) as workers:
        gate, _ = occupied(scheduler, make_gate, workers)
        tasks = [scheduler.submit(jobs.note_pid, notes, f"{n:03}") for n in range(200)]
        gate.open(workers)
        for task in tasks:
            task.result(PATIENCE)
    assert sum(map(len, by_worker(notes).values())) == 200
    assert all(order == sorted(order) for order in by_worker(notes).values())


# --- dependencies ---


def test_tasks_among_the_arguments_are_replaced_by_their_results(scheduler: Any) -> None:
    one, two = scheduler.submit(jobs.add, 1), scheduler.submit(jobs.add, 2)
    assert scheduler.submit(jobs.add, one, two, one).result(PATIENCE) == 4
    nested = scheduler.submit(jobs.take_all, [one, {"k": (two, [one])}], extra={"deep": [[two]]})
    assert nested.result(PATIENCE) == (([1, {"k": (2, [1])}],), {"extra": {"deep": [[2]]}})


def test_a_diamond(scheduler: Any) -> None:
    top = scheduler.submit(jobs.add, 1)
    left, right = scheduler.submit(jobs.add, top, 10), scheduler.submit(jobs.add, top, 100)
    assert scheduler.submit(jobs.add, left, right).result(PATIENCE) == 112


def test_a_chain_of_a_thousand(scheduler: Any) -> None:
    task = scheduler.submit(jobs.add, 0)
    for _ in range(1_000):
        task = scheduler.submit(jobs.add, task, 1)
    assert task.result(3 * PATIENCE / 2) == 1_000


def test_a_fan_in_of_a_thousand(scheduler: Any) -> None:
    parts = [scheduler.submit(jobs.add, n) for n in range(1_000)]
    assert scheduler.submit(sum, parts).result(PATIENCE) == sum(range(1_000))


def test_a_tree(scheduler: Any) -> None:
    level = [scheduler.submit(jobs.add, n) for n in range(256)]
    while len(level) > 1:
        level = [scheduler.submit(jobs.add, *pair) for pair in zip(level[::2], level[1::2], strict=True)]
    assert level[0].result(PATIENCE) == sum(range(256))


def test_a_failure_fails_its_dependents_with_the_cause_chained(scheduler: Any) -> None:
    bad = scheduler.submit(jobs.fail, "the first cause")
    child = scheduler.submit(jobs.add, bad)
    grandchild = scheduler.with_options(after=child, name="grandchild").submit(jobs.add, 1)
    error = grandchild.exception(PATIENCE)
    assert isinstance(error, DependencyFailedError)
    assert (error.task, error.dependency) == ("grandchild", "add")
    assert isinstance(error.__cause__, DependencyFailedError)
    assert isinstance(error.__cause__.__cause__, ValueError)
    assert "the first cause" in str(error.__cause__.__cause__)
    late = scheduler.submit(jobs.add, bad)
    assert isinstance(late.exception(PATIENCE), DependencyFailedError)


def test_a_dependent_of_a_failure_is_not_run(scheduler: Any, notes: str, gate: Gate) -> None:
    for _ in range(30):  # the scheduler knows by now that these are short, and may send chains along
        scheduler.submit(jobs.note_then, notes, "warm").result(PATIENCE)
        assert scheduler.submit(jobs.fail).exception(PATIENCE)
    before = len(jobs.noted(notes))
    bad = scheduler.submit(jobs.fail)
    follower = bad
    for _ in range(5):
        follower = scheduler.with_options(after=follower).submit(jobs.note, notes, "ran")
    assert isinstance(follower.exception(PATIENCE), DependencyFailedError)
    assert scheduler.wait_idle(PATIENCE)
    assert [scheduler.submit(jobs.add, n).result(PATIENCE) for n in range(2 * WORKERS)]
    assert jobs.noted(notes)[before:] == []


def test_after_waits_for_the_retries_of_what_it_comes_after(scheduler: Any, notes: str, tmp_path: Path) -> None:
    for _ in range(10):
        scheduler.submit(jobs.note_then, str(tmp_path / "warm"), "").result(PATIENCE)
    for number in range(5):
        place = str(tmp_path / f"attempts{number}")
        flaky = scheduler.with_options(retries=3).submit(jobs.fail_times, place, 2)
        follower = scheduler.with_options(after=flaky).submit(jobs.note_then, place, "follower")
        follower.result(PATIENCE)
        assert jobs.noted(place)[-1] == "follower"
        assert len(jobs.noted(place)) == 4


def test_if_dependency_fails_run_runs_after_it_all_the_same(scheduler: Any) -> None:
    bad = scheduler.submit(jobs.fail)
    cleaning = scheduler.with_options(after=bad, if_dependency_fails="run")
    assert cleaning.submit(jobs.add, 1).result(PATIENCE) == 1
    assert bad.done()
    assert isinstance(cleaning.submit(jobs.add, bad).exception(PATIENCE), DependencyFailedError)


def test_a_cancelled_dependency_takes_its_dependents_along(scheduler: Any, gate: Gate) -> None:
    running = scheduler.submit(jobs.spin, gate.place)
    child, grandchild = scheduler.submit(jobs.identity, running), None
    grandchild = scheduler.submit(jobs.identity, child)
    gate.arrived()
    assert running.cancel()
    for task in (child, grandchild):
        error = task.exception(PATIENCE)
        assert isinstance(error, DependencyFailedError)
    assert isinstance(child.exception().__cause__, CancelledError)


def test_a_task_that_waits_is_pending_and_costs_no_worker(scheduler: Any, gate: Gate) -> None:
    running = scheduler.submit(jobs.hold, gate.place, 1)
    gate.arrived()
    waiting = [scheduler.submit(jobs.add, running, n) for n in range(2 * WORKERS)]
    assert [scheduler.submit(jobs.add, n).result(PATIENCE) for n in range(4)] == [0, 1, 2, 3]
    assert {task.status() for task in waiting} == {State.PENDING}
    gate.open()
    assert [task.result(PATIENCE) for task in waiting] == [1 + n for n in range(2 * WORKERS)]


def test_a_chain_whose_worker_dies_in_the_middle_is_finished_elsewhere(scheduler: Any, notes: str) -> None:
    for _ in range(10):
        scheduler.submit(jobs.add, 0).result(PATIENCE)
    task = scheduler.submit(jobs.add, 0)
    for place in range(200):
        task = scheduler.submit(jobs.add, task, 1)
        if place == 100:
            task = scheduler.with_options(retries=1).submit(jobs.die_times, notes, 1, task)
    assert task.result(PATIENCE) == 200


# --- retries ---


def test_a_failed_attempt_is_tried_again(scheduler: Any, notes: str) -> None:
    task = scheduler.with_options(retries=2).submit(jobs.fail_times, notes, 2)
    assert task.result(PATIENCE) == "at last"
    assert [event.attempt for event in task.history() if event.state is State.RUNNING] == [1, 2, 3]
    assert len(jobs.noted(notes)) == 3


def test_without_retries_left_the_last_error_counts(scheduler: Any, notes: str) -> None:
    task = scheduler.with_options(retries=1).submit(jobs.fail_times, notes, 9)
    assert "attempt 2" in str(task.exception(PATIENCE))
    assert len(jobs.noted(notes)) == 2


def test_only_what_retry_on_names_is_tried_again(scheduler: Any, notes: str, tmp_path: Path) -> None:
    picky = scheduler.with_options(retries=3, retry_on=(KeyError, OSError))
    assert isinstance(picky.submit(jobs.fail_times, notes, 9).exception(PATIENCE), ValueError)
    assert len(jobs.noted(notes)) == 1
    fitting = scheduler.with_options(retries=3, retry_on=LookupError)
    assert isinstance(fitting.submit(jobs.raise_this, KeyError("x")).exception(PATIENCE), KeyError)


def test_backoff_doubles(scheduler: Any, notes: str) -> None:
    task = scheduler.with_options(retries=2, backoff=0.05).submit(jobs.fail_times, notes, 2)
    task.result(PATIENCE)
    began = [event.time for event in task.history() if event.state is State.RUNNING]
    ended = [event.time for event in task.history() if event.state is State.FAILED]
    pauses = [later - earlier for earlier, later in zip(ended, began[1:], strict=True)]
    assert pauses[0] >= 0.05
    assert pauses[1] >= 0.1


# --- time limits ---


@pytest.mark.parametrize("endless", [jobs.spin, jobs.catastrophe, jobs.stuck_in_c, jobs.sleep_on, jobs.swallow])
def test_a_timeout_ends_whatever_it_is(scheduler: Any, gate: Gate, endless: Any) -> None:
    task = scheduler.with_options(timeout=SHORT, name="endless").submit(endless, gate.place)
    error = task.exception(PATIENCE)
    assert isinstance(error, TaskTimeoutError)
    assert (error.task, error.limit, error.since) == ("endless", SHORT, "start")
    assert task.status() is State.TIMED_OUT
    assert {scheduler.submit(jobs.add, n).result(PATIENCE) for n in range(8)} == set(range(8))


def test_a_timeout_counts_from_the_start_and_not_from_submission(scheduler: Any, make_gate: Callable[[], Gate]) -> None:
    gate, _ = occupied(scheduler, make_gate)
    task = scheduler.with_options(timeout=SHORT).submit(jobs.add, 1)
    with pytest.raises(FutureTimeoutError):
        task.result(2 * SHORT)
    gate.open(WORKERS)
    assert task.result(PATIENCE) == 1


def test_a_timed_out_attempt_is_tried_again(scheduler: Any, gate: Gate) -> None:
    task = scheduler.with_options(timeout=SHORT, retries=1).submit(jobs.spin, gate.place)
    assert isinstance(task.exception(PATIENCE), TaskTimeoutError)
    assert states(task).count(State.RUNNING) == 2
    assert states(task)[-1] is State.TIMED_OUT


@pytest.mark.skipif(INTERRUPTION is None, reason="no signal interrupts a call: its worker is killed at once")
@pytest.mark.parametrize("method", INTERRUPTED)
def test_a_task_may_clean_up_when_it_is_stopped(method: Any, gate: Gate, notes: str) -> None:
    """The grace time of this scheduler is longer than a worker has to wait for a core."""
    with Scheduler(1, start_method=method, preload=[jobs.__name__], grace=PATIENCE) as scheduler:
        task = scheduler.submit(jobs.spin_and_clean, gate.place, notes)
        gate.arrived()
        assert task.cancel()
        until(lambda: jobs.noted(notes) == ["cleaned"], "the clean-up")


@pytest.mark.skipif(INTERRUPTION is None, reason="no signal interrupts a call: its worker is killed at once")
def test_beside_a_scheduler_as_on_windows_another_is_as_here(gate: Gate, notes: str) -> None:
    with open_as_on_windows(), reaching_workers(*HERE), Scheduler(1, preload=[jobs.__name__], grace=PATIENCE) as here:
        task = here.submit(jobs.spin_and_clean, gate.place, notes)
        gate.arrived()
        assert task.cancel()
        until(lambda: jobs.noted(notes) == ["cleaned"], "the clean-up")


def test_a_deadline_counts_from_submission(scheduler: Any, make_gate: Callable[[], Gate]) -> None:
    gate, _ = occupied(scheduler, make_gate)
    waiting = scheduler.with_options(deadline=SHORT).submit(jobs.add, 1)
    error = waiting.exception(PATIENCE)
    assert isinstance(error, TaskTimeoutError)
    assert (error.limit, error.since) == (SHORT, "submission")
    gate.open(WORKERS)
    for seconds in (2 * SHORT, 8 * SHORT, 32 * SHORT):  # until it has begun by then, however busy the machine is
        running = scheduler.with_options(deadline=seconds).submit(jobs.spin_quietly)
        assert isinstance(running.exception(PATIENCE), TaskTimeoutError)
        assert running.status() is State.TIMED_OUT
        if State.RUNNING in states(running):
            break
    assert State.RUNNING in states(running)


def test_a_deadline_ends_what_waits_for_another_task_or_attempt(scheduler: Any, gate: Gate, notes: str) -> None:
    held = scheduler.submit(jobs.hold, gate.place)
    pending = scheduler.with_options(deadline=SHORT).submit(jobs.identity, held)
    retrying = scheduler.with_options(deadline=SHORT, retries=1, backoff=LONG).submit(jobs.fail_times, notes, 1)
    for task in (pending, retrying):
        assert isinstance(task.exception(PATIENCE), TaskTimeoutError)
    gate.open()


def test_no_time_limit_touches_a_task_that_keeps_it(scheduler: Any) -> None:
    within = scheduler.with_options(timeout=LONG, deadline=LONG)
    assert list(within.map(jobs.identity, range(50))) == list(range(50))


# --- cancelling ---


def test_what_waits_is_cancelled_at_once_and_never_run(
    scheduler: Any, make_gate: Callable[[], Gate], notes: str
) -> None:
    gate, _ = occupied(scheduler, make_gate)
    ready = scheduler.submit(jobs.note, notes, "ready")
    pending = scheduler.submit(jobs.note_then, notes, ready)
    for task in (pending, ready):
        assert task.cancel()
        assert task.cancelled()
        assert task.done()
        assert task.status() is State.CANCELLED
        with pytest.raises(CancelledError):
            task.result()
        with pytest.raises(CancelledError):
            task.exception()
    gate.open(WORKERS)
    assert scheduler.wait_idle(PATIENCE)
    assert jobs.noted(notes) == []


def test_what_was_sent_ahead_can_be_cancelled(scheduler: Any, make_gate: Callable[[], Gate], notes: str) -> None:
    for _ in range(20):
        scheduler.submit(jobs.note, notes, "warm").result(PATIENCE)
    gate = make_gate()
    held = [scheduler.submit(jobs.hold, gate.place) for _ in range(WORKERS)]
    tasks = [scheduler.submit(jobs.note, notes, str(n)) for n in range(100)]
    gate.arrived(WORKERS)
    assert all(task.cancel() for task in tasks[::2])
    gate.open(WORKERS)
    for task in (*held, *tasks[1::2]):
        task.result(PATIENCE)
    assert all(task.cancelled() for task in tasks[::2])
    assert sorted(jobs.noted(notes)[20:], key=int) == [str(n) for n in range(1, 100, 2)]


@pytest.mark.parametrize("endless", [jobs.spin, jobs.catastrophe, jobs.stuck_in_c, jobs.sleep_on, jobs.swallow])
def test_what_runs_is_cancelled_for_real(scheduler: Any, gate: Gate, endless: Any) -> None:
    tasks = [scheduler.submit(endless, gate.place) for _ in range(WORKERS)]
    gate.arrived(WORKERS)
    for task in tasks:
        assert task.running()
        assert task.cancel()
        assert task.cancelled()
        assert task.status() is State.CANCELLED
    assert [scheduler.submit(jobs.add, n).result(PATIENCE) for n in range(4)] == [0, 1, 2, 3]  # the slots are free


def test_the_control_cannot_cancel_what_runs(naive: ProcessPoolExecutor, gate: Gate) -> None:
    future = naive.submit(jobs.hold, gate.place)
    gate.arrived()
    assert not future.cancel()
    gate.open()
    assert future.result(PATIENCE) is None
    assert not future.cancelled()


def test_a_cancelled_task_never_reports_a_result(scheduler: Any, gate: Gate) -> None:
    called: list[Future[Any]] = []
    tasks = [scheduler.submit(jobs.hold, gate.place, n) for n in range(WORKERS)]
    gate.arrived(WORKERS)
    for task in tasks:
        task.add_done_callback(called.append)
        gate.open()  # it may end by itself just now
        task.cancel()
    assert scheduler.wait_idle(PATIENCE)
    for task in tasks:
        if task.cancelled():
            with pytest.raises(CancelledError):
                task.result()
        assert states(task).count(State.CANCELLED) + states(task).count(State.SUCCEEDED) == 1
    until(lambda: len(called) == len(tasks), "the callbacks")


def test_a_task_that_has_ended_cannot_be_cancelled(scheduler: Any) -> None:
    task = scheduler.submit(jobs.add, 1)
    assert task.result(PATIENCE) == 1
    assert not task.cancel()
    assert task.result() == 1


def test_cancelling_a_task_between_attempts_ends_it(scheduler: Any, notes: str) -> None:
    task = scheduler.with_options(retries=5, backoff=LONG).submit(jobs.fail_times, notes, 9)
    until(lambda: task.status() is State.RETRYING, "the first failure")
    assert task.cancel()
    assert task.cancelled()
    assert len(jobs.noted(notes)) == 1


# --- deaths of workers ---


def exits(task: Any) -> tuple[int | None, str]:
    error = task.exception(PATIENCE)
    assert isinstance(error, WorkerDiedError)
    return error.exit_code, error.task


def test_a_death_is_told_with_its_code_or_signal_and_the_tasks_name(scheduler: Any) -> None:
    assert exits(scheduler.submit(jobs.die, 7)) == (7, "die")
    assert exits(scheduler.with_options(name="mine").submit(jobs.die, 0)) == (0, "mine")
    assert exits(scheduler.submit(jobs.die_by, KILL)) == (DEATH, "die_by")
    if POSIX:
        assert exits(scheduler.submit(jobs.crash)) == (-signal.SIGSEGV, "crash")
        assert "SIGSEGV" in str(scheduler.submit(jobs.crash).exception(PATIENCE))


def test_a_killed_worker_costs_the_task_it_ran_and_no_other(scheduler: Any, gate: Gate) -> None:
    victims = [scheduler.submit(jobs.hold, gate.place) for _ in range(WORKERS)]
    innocents = [scheduler.submit(jobs.add, n) for n in range(500)]
    for pid in gate.arrived(WORKERS):
        os.kill(pid, KILL)
    assert [exits(task)[0] for task in victims] == [DEATH] * WORKERS
    assert [task.result(PATIENCE) for task in innocents] == list(range(500))


def test_the_control_loses_everything(naive: ProcessPoolExecutor, gate: Gate) -> None:
    victim = naive.submit(jobs.hold, gate.place)
    innocents = [naive.submit(jobs.nap, 0.001, n) for n in range(500)]
    os.kill(gate.arrived()[0], KILL)
    wait([victim, *innocents], PATIENCE)
    assert any(isinstance(task.exception(), BrokenProcessPool) for task in innocents)
    with pytest.raises(BrokenProcessPool):
        naive.submit(jobs.add, 1)


def test_many_deaths_in_a_row_harm_nobody_else(scheduler: Any) -> None:
    tasks = []
    for n in range(12):
        tasks += [scheduler.submit(jobs.die, 3), scheduler.submit(jobs.add, n)]
    assert {exits(task)[0] for task in tasks[::2]} == {3}
    assert [task.result(PATIENCE) for task in tasks[1::2]] == list(range(12))


def test_a_killed_task_is_run_elsewhere_when_it_has_retries(scheduler: Any, notes: str) -> None:
    task = scheduler.with_options(retries=1).submit(jobs.die_times, notes, 1)
    assert task.result(PATIENCE) == "at last"
    first, second = jobs.noted(notes)
    assert first != second
    workers = [event.worker for event in task.history() if event.state is State.RUNNING]
    assert len(set(workers)) == 2


def test_kill_worker_ends_the_worker_that_runs_a_task(scheduler: Any, gate: Gate) -> None:
    task = scheduler.with_options(retries=1).submit(jobs.hold, gate.place, "again")
    gate.arrived()
    (worker,) = [one for one in scheduler.status().workers if one.task_number == task.number]
    scheduler.kill_worker(worker.number)
    gate.arrived()
    gate.open()
    assert task.result(PATIENCE) == "again"
    with pytest.raises(ValueError, match="number"):
        scheduler.kill_worker(10**6)


def test_a_poison_task_is_quarantined_with_its_history(scheduler: Any) -> None:
    poison = scheduler.with_options(retries=50, name="poison").submit(jobs.die, 9)
    innocents = [scheduler.submit(jobs.add, n) for n in range(200)]
    error = poison.exception(PATIENCE)
    assert isinstance(error, QuarantinedError)
    assert error.deaths == 3
    assert isinstance(error.__cause__, WorkerDiedError)
    assert error.__cause__.exit_code == 9
    assert poison.status() is State.QUARANTINED
    assert states(poison).count(State.RUNNING) == 3
    assert sum("exited with code 9" in event.error for event in poison.history()) >= 3
    assert [task.result(PATIENCE) for task in innocents] == list(range(200))


def test_system_exit_in_a_task_ends_no_worker(scheduler: Any) -> None:
    before = {worker.number for worker in working(scheduler)}
    assert isinstance(scheduler.submit(jobs.leave).exception(PATIENCE), SystemExit)
    assert {worker.number for worker in working(scheduler)} == before


# --- lanes ---


def test_threads_run_in_this_process(scheduler: Any) -> None:
    threads = scheduler.with_options(lane="threads")
    assert threads.submit(jobs.pid).result(PATIENCE) == os.getpid()
    lock = threading.Lock()
    assert threads.submit(jobs.identity, lock).result(PATIENCE) is lock
    assert scheduler.submit(jobs.pid).result(PATIENCE) != os.getpid()


def test_async_functions_run_on_a_loop_of_their_own(scheduler: Any) -> None:
    assert scheduler.submit(jobs.later, 5).result(PATIENCE) == 5
    names = {task.result(PATIENCE) for task in [scheduler.submit(jobs.loop_thread) for _ in range(20)]}
    assert len(names) == 1
    assert names != {threading.current_thread().name}
    error = scheduler.submit(jobs.async_fail).exception(PATIENCE)
    assert isinstance(error, ValueError)
    assert scheduler.with_options(lane="processes").submit(jobs.later, 6).result(PATIENCE) == 6


def test_lanes_depend_on_one_another(scheduler: Any) -> None:
    threads = scheduler.with_options(lane="threads")
    one = scheduler.submit(jobs.add, 1)
    two = threads.submit(jobs.add, one, 1)
    three = scheduler.submit(jobs.later, two)
    assert scheduler.submit(jobs.add, three, [two][0]).result(PATIENCE) == 4
    array = scheduler.submit(jobs.total, threads.submit(jobs.zeros, 50_000))
    assert array.result(PATIENCE) == 0.0


def test_a_result_of_a_thread_that_cannot_travel_fails_the_task_that_needs_it(scheduler: Any) -> None:
    lock = scheduler.with_options(lane="threads").submit(jobs.lock)
    task = scheduler.submit(jobs.identity, lock)
    assert isinstance(task.exception(PATIENCE), NotTransferableError)
    assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1


# --- what reaches where ---


def test_context_variables_of_the_submitter_reach_the_task(scheduler: Any) -> None:
    token = jobs.MARK.set("of the submitter")
    try:
        for lane in ("processes", "threads"):
            assert scheduler.with_options(lane=lane).submit(jobs.mark).result(PATIENCE) == "of the submitter"
            assert scheduler.with_options(lane=lane).submit(jobs.set_mark, "x").result(PATIENCE) == "of the submitter"
            assert scheduler.with_options(lane=lane).submit(jobs.mark).result(PATIENCE) == "of the submitter"
        assert scheduler.submit(jobs.async_mark).result(PATIENCE) == "of the submitter"
        jobs.MARK.set("changed")
        assert scheduler.submit(jobs.mark).result(PATIENCE) == "changed"
    finally:
        jobs.MARK.reset(token)
    assert scheduler.submit(jobs.mark).result(PATIENCE) == "unset"


def test_log_records_of_a_task_reach_this_process(scheduler: Any, caplog: pytest.LogCaptureFixture) -> None:
    for n in range(3):
        scheduler.submit(jobs.log_something, f"number {n}").result(PATIENCE)
    until(lambda: "said: number 2" in caplog.text, "the record")
    records = [record for record in caplog.records if record.name == "tests.scheduler.jobs"]
    assert [record.getMessage() for record in records] == [f"said: number {n}" for n in range(3)]
    assert {record.levelno for record in records} == {logging.WARNING}
    assert os.getpid() not in {record.process for record in records}


def test_what_a_task_prints_appears_here(scheduler: Any, capsys: pytest.CaptureFixture[str]) -> None:
    scheduler.submit(jobs.say, "to the output", "to the errors").result(PATIENCE)
    assert scheduler.wait_idle(PATIENCE)
    out, err = capsys.readouterr()
    assert (out, err) == ("to the output\n", "to the errors\n")


# --- watching ---


def test_the_history_of_a_task_is_its_states_in_order_of_time(scheduler: Any, notes: str) -> None:
    task = scheduler.with_options(retries=1, name="twice").submit(jobs.fail_times, notes, 1)
    task.result(PATIENCE)
    assert states(task) == [
        State.PENDING,
        State.READY,
        State.RUNNING,
        State.FAILED,
        State.RETRYING,
        State.READY,
        State.RUNNING,
        State.SUCCEEDED,
    ]
    times = [event.time for event in task.history()]
    assert times == sorted(times)
    assert {(event.task, event.name) for event in task.history()} == {(task.number, "twice")}


def test_events_tell_every_change_of_every_task(scheduler: Any, notes: str) -> None:
    with scheduler.events() as events:
        good = scheduler.submit(jobs.add, 1)
        bad = scheduler.submit(jobs.fail)
        child = scheduler.submit(jobs.add, bad)
        flaky = scheduler.with_options(retries=1, backoff=0.05).submit(jobs.fail_times, notes, 1)
        dying = scheduler.with_options(retries=1).submit(jobs.die_times, f"{notes}.deaths", 1)
        tasks = [good, bad, child, flaky, dying]
        seen = told(events, tasks)
    for task in tasks:
        assert [event for event in seen if event.task == task.number] == list(task.history())
    assert {event.worker for event in seen if event.state is State.RUNNING} - {None}
    assert [event.error for event in seen if event.task == flaky.number and event.state is State.FAILED] == [
        "ValueError: attempt 1"
    ]


def test_a_subscriber_is_called_until_it_unsubscribes(scheduler: Any) -> None:
    seen: list[Any] = []
    ended = threading.Event()

    def take(event: Any) -> None:
        seen.append(event)
        if event.state.final:
            ended.set()

    unsubscribe = scheduler.subscribe(take)
    scheduler.submit(jobs.add, 1).result(PATIENCE)
    assert ended.wait(PATIENCE)
    unsubscribe()
    count = len(seen)
    scheduler.submit(jobs.add, 1).result(PATIENCE)
    assert scheduler.wait_idle(PATIENCE)
    assert len(seen) == count
    unsubscribe()


def test_a_running_task_is_seen_to_run(scheduler: Any, gate: Gate) -> None:
    task = scheduler.with_options(name="held").submit(jobs.hold, gate.place)
    with scheduler.events() as events:
        (pid,) = gate.arrived()
        assert task.status() is State.RUNNING
        assert task.running()
        snapshot = scheduler.status()
        (worker,) = [one for one in snapshot.workers if one.task_number == task.number]
        assert (worker.pid, worker.task, worker.state) == (pid, "held", "running")
        assert worker.age is not None
        assert snapshot.running == 1
        event = next(one for one in events if one.task == task.number and one.state is State.RUNNING)
        assert event.worker == worker.number
        gate.open()
    task.result(PATIENCE)


def test_the_snapshot_counts_what_ended_and_what_waits(scheduler: Any, make_gate: Callable[[], Gate]) -> None:
    before = scheduler.status()
    gate, _ = occupied(scheduler, make_gate)
    low = [scheduler.submit(jobs.add, n) for n in range(5)]
    high = [scheduler.with_options(priority=3).submit(jobs.add, n) for n in range(2)]
    last = scheduler.submit(jobs.add, *low)
    until(lambda: scheduler.status().pending == 1 and low[-1].status() is State.READY, "the admission of the last")
    snapshot = scheduler.status()
    lane = next(lane for lane in snapshot.lanes if lane.name == "processes")
    assert (before.running, before.ready, before.pending) == (0, 0, 0)
    assert (snapshot.running, snapshot.ready, snapshot.pending) == (WORKERS, 7, 1)
    assert {0: 5, 3: 2}.items() <= dict(lane.queued).items()
    gate.open(WORKERS)
    for task in (*low, *high, last):
        task.result(PATIENCE)
    assert scheduler.submit(jobs.fail).exception(PATIENCE)
    until(lambda: scheduler.status().running == 0, "an idle scheduler")
    after = scheduler.status()
    assert after.succeeded - before.succeeded == 8 + WORKERS
    assert after.failed - before.failed == 1
    assert after.throughput > 0
    assert 0 <= after.utilisation <= 1
    assert after.running_time.p50 is not None


def test_the_snapshot_is_ready_for_json(scheduler: Any) -> None:
    import json

    assert json.loads(json.dumps(scheduler.status().as_dict()))["name"] == scheduler.name


def test_recent_lists_the_last_ends(scheduler: Any) -> None:
    good, bad = scheduler.with_options(name="good").submit(jobs.add, 1), scheduler.submit(jobs.fail)
    wait([good, bad], PATIENCE)
    recent = {event.task: event for event in scheduler.recent()}
    assert (recent[good.number].state, recent[good.number].name) == (State.SUCCEEDED, "good")
    assert recent[bad.number].state is State.FAILED


# --- more and fewer workers ---


def test_it_scales_up_and_down_while_it_runs(scheduler: Any, gate: Gate) -> None:
    scheduler.scale(4)
    tasks = [scheduler.submit(jobs.hold, gate.place, n) for n in range(4)]
    assert len(set(gate.arrived(4))) == 4
    scheduler.scale(WORKERS)  # the running ones finish
    until(lambda: len(working(scheduler)) == WORKERS, "the draining")
    assert [task.status() for task in tasks] == [State.RUNNING] * 4
    gate.open(4)
    assert [task.result(PATIENCE) for task in tasks] == [0, 1, 2, 3]
    until(lambda: len([one for one in scheduler.status().workers if one.lane == "processes"]) == WORKERS, "the ends")


def test_wait_idle_tells_whether_it_came_to_that(scheduler: Any, gate: Gate) -> None:
    task = scheduler.submit(jobs.hold, gate.place)
    assert not scheduler.wait_idle(0)
    gate.open()
    assert scheduler.wait_idle(PATIENCE)
    assert task.done()


def test_submit_is_quick_even_when_everybody_is_busy(scheduler: Any, make_gate: Callable[[], Gate]) -> None:
    gate, _ = occupied(scheduler, make_gate)
    task = scheduler.submit(jobs.add, 1)
    assert not task.done()
    assert task.status() in (State.PENDING, State.READY)
    gate.open(WORKERS)
    assert task.result(PATIENCE) == 1
