"""How it ends: shutdown in all its ways, Ctrl-C, the interpreter's exit, the death of the whole program."""

from __future__ import annotations

import signal
import sys
import threading
from concurrent.futures import CancelledError
from pathlib import Path

import psutil
import pytest

from arion_lib.scheduler import Scheduler, ShutDownError, State, Task
from arion_lib.scheduler.starting.launch import START_METHODS
from tests.scheduler import jobs
from tests.scheduler.gates import PATIENCE, Gate, until
from tests.scheduler.script_runs import line, run, running, wait_until_gone

pytestmark = pytest.mark.usefixtures("no_leaks")


def opened(workers: int = 1, **options: object) -> Scheduler:
    return Scheduler(workers, preload=[jobs.__name__], **options)  # type: ignore[arg-type]


# --- shutdown ---


@pytest.mark.parametrize("method", START_METHODS)
def test_shutdown_leaves_no_process_and_no_thread_at_once(method: str) -> None:
    before = set(psutil.Process().children(recursive=True)), set(threading.enumerate())
    scheduler = opened(2, start_method=method)
    tasks = [scheduler.submit(jobs.identity, n) for n in range(50)]
    scheduler.with_options(lane="threads").submit(jobs.add)
    scheduler.submit(jobs.later, 1)
    scheduler.shutdown()
    assert [task.result(0) for task in tasks] == list(range(50))
    assert set(psutil.Process().children(recursive=True)) == before[0]
    assert set(threading.enumerate()) == before[1]
    scheduler.shutdown()
    scheduler.shutdown(wait=False, cancel_futures=True, deadline=0.0)


def test_after_shutdown_nothing_is_taken_any_more() -> None:
    scheduler = opened()
    done = scheduler.submit(jobs.add, 1)
    scheduler.shutdown()
    for use in (
        lambda: scheduler.submit(jobs.add),
        lambda: scheduler.with_options(priority=1).submit(jobs.add),
        lambda: scheduler.map(jobs.add, [1]),
        lambda: scheduler.scale(2),
        lambda: scheduler.adapt(1, 2),
    ):
        with pytest.raises(ShutDownError, match="open a new one"):
            use()
    assert done.result() == 1
    assert done.status() is State.SUCCEEDED
    assert [event.state for event in done.history()][-1] is State.SUCCEEDED
    assert scheduler.status().succeeded == 1
    assert list(scheduler.events()) == []


def test_shutdown_without_waiting_lets_the_tasks_end(gate: Gate) -> None:
    scheduler = opened()
    tasks = [scheduler.submit(jobs.hold, gate.place, n) for n in range(3)]
    scheduler.shutdown(wait=False)
    with pytest.raises(ShutDownError):
        scheduler.submit(jobs.add)
    gate.open(3)
    assert [task.result(PATIENCE) for task in tasks] == [0, 1, 2]
    scheduler.shutdown()


def test_cancel_futures_cancels_what_has_not_begun_and_nothing_else(gate: Gate) -> None:
    scheduler = opened()
    for _ in range(20):
        scheduler.submit(jobs.identity, 0).result(PATIENCE)
    running_one = scheduler.submit(jobs.hold, gate.place, "held")
    gate.arrived()
    others = [scheduler.submit(jobs.identity, n) for n in range(50)]
    pending = scheduler.submit(jobs.identity, running_one)
    scheduler.shutdown(wait=False, cancel_futures=True)
    for task in (*others, pending):
        try:
            until(task.cancelled, "the earlier deadline")
        finally:
            task.cancel()
    gate.open()
    assert running_one.result(PATIENCE) == "held"
    scheduler.shutdown()


@pytest.mark.parametrize("endless", [jobs.spin, jobs.stuck_in_c, jobs.swallow])
def test_a_deadline_ends_what_never_would(gate: Gate, endless: object) -> None:
    scheduler = opened(1, grace=0.05)
    task = scheduler.submit(endless, gate.place)  # type: ignore[arg-type]
    queued = scheduler.submit(jobs.add, 1)
    retrying = scheduler.with_options(retries=9, backoff=600.0, lane="threads").submit(jobs.fail)
    gate.arrived()
    scheduler.shutdown(deadline=0.1)
    assert task.cancelled()
    assert queued.cancelled()
    assert retrying.done()


def test_a_later_shutdown_does_not_forget_the_deadline(gate: Gate) -> None:
    with opened() as scheduler:
        task = scheduler.submit(jobs.spin, gate.place)
        gate.arrived()
        scheduler.shutdown(wait=False, deadline=0.1)
    assert task.cancelled()


@pytest.mark.parametrize("deadlines", [(0.1, 3_600.0), (3_600.0, 0.1)])
def test_of_two_deadlines_the_earlier_one_holds(gate: Gate, deadlines: tuple[float, float]) -> None:
    with opened() as scheduler:
        task = scheduler.submit(jobs.spin, gate.place)
        gate.arrived()
        for deadline in deadlines:
            scheduler.shutdown(wait=False, deadline=deadline)
        try:
            until(task.cancelled, "the earlier deadline")
        finally:
            task.cancel()


def leave_with(error: BaseException, scheduler: Scheduler, fn: object, *args: object) -> Task[object]:
    """Raise an error inside the block of a scheduler that runs something."""
    task: Task[object] = scheduler.submit(fn, *args)  # type: ignore[arg-type]

    def body() -> None:
        with scheduler:
            until(lambda: task.status() in (State.RUNNING, State.SUCCEEDED), "the task")
            raise error

    with pytest.raises(type(error)):
        body()
    return task


def test_an_error_in_the_block_still_lets_the_tasks_end() -> None:
    assert leave_with(ValueError("of the block"), opened(), jobs.add, 1).result(0) == 1


def test_an_interrupt_in_the_block_cancels_everything(gate: Gate) -> None:
    assert leave_with(KeyboardInterrupt(), opened(), jobs.spin, gate.place).cancelled()


def test_a_dropped_scheduler_ends_by_itself() -> None:
    task = opened().submit(jobs.add, 1)
    assert task.result(PATIENCE) == 1  # and no_leaks: nothing is left


def test_a_full_stream_of_events_does_not_hold_up_the_end() -> None:
    scheduler = opened()
    with scheduler.events(most=1) as events:
        for _ in range(5):
            scheduler.submit(jobs.add).result(PATIENCE)
    left_open = scheduler.events(most=1)
    for _ in range(5):
        scheduler.submit(jobs.add).result(PATIENCE)
    scheduler.shutdown()
    assert events.dropped > 0
    assert len(list(events)) <= 1
    assert len(list(left_open)) <= 1


def test_events_end_with_the_scheduler() -> None:
    with opened() as scheduler:
        events = scheduler.events()
        task = scheduler.submit(jobs.add)
    assert list(events) == list(task.history())


@pytest.mark.posix("Windows cannot fork")
def test_another_process_that_was_forked_from_this_one_does_not_hold_up_the_end(tmp_path: Path) -> None:
    code, out, err = run(
        tmp_path,
        """
        scheduler = Scheduler(1)
        scheduler.submit(pow, 2, 2).result()
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(writing)
            os.read(reading, 1)   # as long as the parent lives
            os._exit(0)
        scheduler.shutdown()
        tell("ended", os.waitpid(child, os.WNOHANG)[0])
        """,
    )
    assert (code, out) == (0, "ended 0\n"), err


# --- programs ---


@pytest.mark.parametrize("method", START_METHODS)
def test_a_script_needs_no_main_guard_and_its_functions_run(tmp_path: Path, method: str) -> None:
    code, out, err = run(
        tmp_path,
        f"""
        tell("imported")
        class Point:
            def __init__(self, x): self.x = x
            def __eq__(self, other): return type(other) is Point and other.x == self.x
        rate = 2
        def price(n): return n * rate
        def move(point): return Point(point.x + 1)
        with Scheduler(2, start_method={method!r}) as scheduler:
            first = scheduler.submit(price, 10).result()
            rate = 3
            second = scheduler.submit(price, 10).result()
            moved = scheduler.submit(move, Point(1)).result()
            tell(first, second, moved == Point(2), scheduler.submit(lambda: 5).result())
        """,
    )
    assert (code, out) == (0, "imported\n20 30 True 5\n"), err


def test_the_control_a_process_pool_imports_the_script_again(tmp_path: Path) -> None:
    code, out, _ = run(
        tmp_path,
        """
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        tell("imported")
        ProcessPoolExecutor(1, mp_context=get_context("spawn")).submit(pow, 2, 2).result()
        """,
    )
    assert code != 0
    assert out.count("imported") > 1


def test_a_program_that_ends_without_shutdown_lets_its_tasks_end(tmp_path: Path) -> None:
    code, out, err = run(
        tmp_path,
        """
        scheduler = Scheduler(1)
        task = scheduler.submit(time.sleep, 0.1)
        task.add_done_callback(lambda task: tell(task.status()))
        tell(*[worker.pid for worker in scheduler.status().workers if worker.pid])
        """,
    )
    assert code == 0, err
    assert out.splitlines()[-1] == "succeeded"
    assert err == ""


TELL_WORKERS = """
def pids():
    while not all(worker.pid for worker in scheduler.status().workers):
        time.sleep(0.005)
    import psutil
    return [child.pid for child in psutil.Process().children(recursive=True)]
def tell_workers():
    while scheduler.status().running < 2:
        time.sleep(0.005)
    tell(*pids())
"""


@pytest.mark.posix("Windows has no SIGINT for another process")
@pytest.mark.parametrize("where", ["result", "shutdown", "exit"])
def test_ctrl_c_ends_the_program_and_everything_with_it(tmp_path: Path, where: str) -> None:
    last = {"result": "task.result()", "shutdown": "scheduler.shutdown()", "exit": "pass"}[where]
    with running(
        tmp_path,
        f"""
{TELL_WORKERS}
scheduler = Scheduler(2)
task, other = scheduler.submit(spin), scheduler.submit(spin)
tell_workers()
if {where!r} == "result":
    with scheduler:
        {last}
{last}
""",
    ) as process:
        pids = [int(word) for word in line(process)]
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode != 0 or where == "exit"
        assert "KeyboardInterrupt" in err
        wait_until_gone(pids)


@pytest.mark.parametrize("before", ["", "end()"], ids=["its first step", "its last step"])
def test_ctrl_c_while_the_interpreter_ends_its_threads_is_not_lost(tmp_path: Path, before: str) -> None:
    """Python prints that one as ignored; the tasks would go on for ever."""
    with running(
        tmp_path,
        f"""
import signal, threading
{TELL_WORKERS}
end = threading._shutdown
def struck():
    {before}
    signal.raise_signal(signal.SIGINT)
threading._shutdown = struck
scheduler = Scheduler(2)
task, other = scheduler.submit(spin), scheduler.submit(spin)
tell_workers()
""",
    ) as process:
        pids = [int(word) for word in line(process)]
        _, err = process.communicate(timeout=PATIENCE)
        assert "KeyboardInterrupt" in err
        wait_until_gone(pids)


def test_at_the_end_tasks_are_waited_for_before_all_in_which_ctrl_c_would_be_lost(tmp_path: Path) -> None:
    code, out, err = run(
        tmp_path,
        """
        import atexit, multiprocessing.util
        class Telling(dict):
            def __iter__(self):
                tell("multiprocessing")
                return super().__iter__()
        multiprocessing.util._finalizer_registry = Telling(multiprocessing.util._finalizer_registry)
        atexit.register(tell, "the program's")
        scheduler = Scheduler(1)
        scheduler.submit(time.sleep, 0.1).add_done_callback(lambda task: tell("tasks"))
        """,
    )
    assert (code, err) == (0, "")
    assert out.splitlines()[:3] == ["tasks", "the program's", "multiprocessing"]


@pytest.mark.parametrize("method", START_METHODS)
def test_when_the_program_is_killed_no_process_is_left(tmp_path: Path, method: str) -> None:
    with running(
        tmp_path,
        f"""
{TELL_WORKERS}
scheduler = Scheduler(2, start_method={method!r})
tasks = [scheduler.submit(spin), scheduler.submit(time.sleep, 3600)]
tell_workers()
spin()
""",
    ) as process:
        pids = [int(word) for word in line(process)]
        tracker = sys.platform != "win32"  # multiprocessing's, which the workers share
        assert len(pids) == (2 if method == "spawn" else 3) + tracker
        process.kill()
        process.wait(PATIENCE)
        wait_until_gone(pids)


def test_the_control_a_process_pool_leaves_its_workers(tmp_path: Path) -> None:
    with running(
        tmp_path,
        """
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context
        pool = ProcessPoolExecutor(1, mp_context=get_context("fork"))
        pid = pool.submit(os.getpid).result()
        pool.submit(spin)
        tell(pid)
        spin()
        """,
    ) as process:
        (pid,) = (int(word) for word in line(process))
        process.kill()
        process.wait(PATIENCE)
        orphan = psutil.Process(pid)
        assert orphan.is_running()
        orphan.kill()


def test_a_task_ended_by_the_programs_end_wakes_whoever_waits() -> None:
    scheduler = opened(0)
    waiting = scheduler.submit(jobs.add)
    woken: list[BaseException | None] = []
    thread = threading.Thread(target=lambda: woken.append(_outcome(waiting)))
    thread.start()
    scheduler.shutdown(deadline=0.0)
    thread.join(PATIENCE)
    assert isinstance(woken[0], CancelledError)


def _outcome(task: object) -> BaseException | None:
    try:
        return task.exception(PATIENCE)  # type: ignore[attr-defined,no-any-return]
    except CancelledError as error:
        return error
