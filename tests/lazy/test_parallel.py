"""Parallel maps: order, a bounded window, errors in their place, nothing left behind."""

from __future__ import annotations

import contextvars
import decimal
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from arion_lib.lazy import lazy
from arion_lib.lazy.barriers import parallel, window
from arion_lib.setup.environment import ROOT
from tests.lazy.counted import Counted

pytestmark = pytest.mark.usefixtures("no_leaks")

PATIENCE = 20.0  # seconds after which a test that hangs fails; no test waits for it


def square(x: int) -> int:
    return x * x


def fragile(x: int) -> int:
    if x == 5:
        raise ValueError("five")
    return x


def runs_at_once(run: Callable[[Callable[[int], int]], object]) -> bool:
    """Whether three calls are under way at the same time: each waits for the two others."""
    meeting = threading.Barrier(3)

    def meet(x: int) -> int:
        meeting.wait(0.5)
        return x

    try:
        run(meet)
    except threading.BrokenBarrierError:
        return False
    return True


def test_calls_in_threads_overlap_and_a_plain_map_does_not() -> None:
    assert runs_at_once(lambda fn: lazy(range(3)).map(fn, threads=3).to_list())
    assert not runs_at_once(lambda fn: lazy(range(3)).map(fn).to_list())


def test_results_keep_the_order_of_the_elements_though_calls_end_in_another() -> None:
    ended: list[int] = []
    turn = [threading.Event() for _ in range(4)]
    turn[3].set()

    def backwards(x: int) -> int:
        assert turn[x].wait(PATIENCE)
        ended.append(x)
        if x:
            turn[x - 1].set()
        return x

    assert lazy(range(4)).map(backwards, threads=4).to_list() == [0, 1, 2, 3]
    assert ended == [3, 2, 1, 0]


def pairs_of_context(**workers: Any) -> tuple[list[object], list[object]]:
    """What calls see of the iterating thread's context, in it and in workers."""
    with decimal.localcontext(decimal.Context(prec=50)):
        token = REQUEST.set("the caller's")
        try:
            seen = lambda x: (REQUEST.get(), len(str(decimal.Decimal(1) / 3)))  # noqa: E731
            return lazy([1, 2]).map(seen).to_list(), lazy([1, 2]).map(seen, **workers).to_list()
        finally:
            REQUEST.reset(token)


REQUEST: contextvars.ContextVar[str] = contextvars.ContextVar("REQUEST", default="none")


def test_threads_compute_what_a_plain_map_computes_whatever_the_context_is() -> None:
    plain, threaded = pairs_of_context(threads=2)
    assert plain == threaded == [("the caller's", 52)] * 2
    with ThreadPoolExecutor(2) as pool:
        plain, lent = pairs_of_context(executor=pool)
        assert plain == lent
        token = REQUEST.set("the caller's")
        assert list(pool.map(lambda x: REQUEST.get(), [1])) == ["none"]  # the control
        REQUEST.reset(token)


def test_a_call_in_a_thread_does_not_change_the_context_of_another() -> None:
    def count_up(x: int) -> str:
        before = REQUEST.get()
        REQUEST.set(f"changed by {x}")
        return before

    assert lazy(range(3)).map(count_up, threads=1).to_list() == ["none"] * 3
    assert REQUEST.get() == "none"


def test_results_come_as_they_complete_where_the_order_is_given_up() -> None:
    last_may_end = threading.Event()

    def slow_first(x: int) -> int:
        if x == 0:
            assert last_may_end.wait(PATIENCE)
        return x

    results = iter(lazy(range(4)).map(slow_first, threads=2, window=4, ordered=False))
    got = [next(results) for _ in range(3)]
    last_may_end.set()
    assert sorted(got) == [1, 2, 3]  # ordered, the first of them would have had to be 0
    assert list(results) == [0]


@pytest.mark.parametrize("workers", [{"threads": 2}, {"processes": 2}, {"threads": 2, "ordered": False}])
def test_a_filter_may_overlap_its_calls(workers: dict[str, Any]) -> None:
    kept = lazy(range(100)).filter(lambda x: x % 3, **workers)
    assert sorted(kept.to_list()) == [x for x in range(100) if x % 3]
    with pytest.raises(ValueError, match="five") as caught:
        lazy(range(9)).filter(fragile, threads=2).to_list()
    assert caught.value.__notes__[0] == "in stage 1 of 1, filter(fragile, threads=2), on element 5"


def test_a_cut_passes_no_parallel_stage_that_gives_up_the_order_or_drops() -> None:
    assert lazy(range(9)).filter(lambda x: x > 3, threads=2).skip(1).take(2).to_list() == [5, 6]
    assert len(lazy(range(9)).map(square, threads=2, ordered=False).skip(4).to_list()) == 5
    assert "[4:]" not in lazy(range(9)).map(square, threads=2, ordered=False).skip(4).explain()


def read_ahead(run: Callable[[Any], Iterator[int]]) -> int:
    source = Counted(range(1_000))
    results = run(source)
    next(results)
    pulled = source.pulled
    close = getattr(results, "close", lambda: None)
    close()
    return pulled


def test_the_window_bounds_what_is_read_ahead_and_executor_map_reads_everything() -> None:
    assert read_ahead(lambda s: iter(lazy(s).map(square, threads=2))) == 4
    assert read_ahead(lambda s: iter(lazy(s).map(square, threads=2, window=7))) == 7
    assert read_ahead(lambda s: iter(lazy(s).map(square, processes=1, window=3))) == 3
    if sys.version_info < (3, 14):  # from there on it has a buffersize
        with ThreadPoolExecutor(2) as pool:
            assert read_ahead(lambda s: pool.map(square, s)) == 1_000


def test_never_more_calls_under_way_than_the_window_all_the_way_through() -> None:
    source = Counted(range(200))
    for done, _ in enumerate(lazy(source).map(square, threads=2, window=5), 1):
        assert source.pulled - done < 5


def test_an_error_comes_after_the_results_before_it_with_stage_and_element() -> None:
    for how in ({"threads": 3}, {"processes": 2}):
        got: list[int] = []
        with pytest.raises(ValueError, match="five") as caught:
            lazy(range(9)).map(fragile, **how).for_each(got.append)  # type: ignore[arg-type]
        assert got == [0, 1, 2, 3, 4]
        ((kind, number),) = how.items()
        assert caught.value.__notes__[0] == f"in stage 1 of 1, map(fragile, {kind}={number}), on element 5"


def test_an_error_of_a_worker_process_carries_the_workers_traceback() -> None:
    with pytest.raises(ValueError, match="five") as caught:
        lazy(range(9)).map(fragile, processes=2).to_list()
    assert "in fragile" in str(caught.value.__cause__)


def test_an_error_of_the_source_comes_after_the_results_of_what_it_gave() -> None:
    def rows() -> Iterator[int]:
        yield from (1, 2, 3)
        raise OSError("gone")

    for how in ({"threads": 2}, {"processes": 1}):
        got: list[int] = []
        with pytest.raises(OSError, match="gone"):
            lazy(rows).map(square, **how).for_each(got.append)  # type: ignore[arg-type]
        assert got == [1, 4, 9]


def test_leaving_early_cancels_what_waits_and_closes_the_source(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    go, closed = threading.Event(), threading.Event()

    def rows() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.set()

    def work(x: int) -> int:
        started.append(x)
        if x:
            go.wait(PATIENCE)
        return x

    results = iter(lazy(rows).map(work, threads=1, window=8))
    assert next(results) == 0
    cancel = window.cancel

    def cancel_then_go(futures: Iterable[Future[Any]]) -> None:
        cancel(futures)
        go.set()  # only now may the one call under way end; those behind it must not start

    monkeypatch.setattr(window, "cancel", cancel_then_go)
    results.close()  # type: ignore[attr-defined]
    assert len(started) <= 2
    del results
    assert closed.is_set()


def test_taking_a_few_leaves_no_thread_and_no_process() -> None:
    assert lazy(itertools.count()).filter(lambda x: x % 2).map(square, threads=4).first() == 1
    assert lazy(itertools.count()).filter(lambda x: x % 2).map(square, processes=2).first() == 1


def local_things() -> tuple[Callable[[int], Any], type]:
    """A function and a class that can only travel by value, as those of a notebook cell."""
    offset = 10

    class Point:
        def __init__(self, x: int) -> None:
            self.x = x

    return lambda x: Point(x + offset), Point


@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")  # other tests leave threads
@pytest.mark.parametrize("method", ["spawn", *(["fork"] if sys.platform == "linux" else [])])
def test_lambdas_closures_and_local_classes_travel(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "start_method", lambda: method)
    make, kind = local_things()
    points = lazy(range(20)).map(make, processes=2).to_list()
    assert [p.x for p in points] == list(range(10, 30))
    assert all(isinstance(p, kind) for p in points)
    assert lazy(points).map(lambda p: p.x, processes=2).to_list() == list(range(10, 30))


def test_pickle_alone_could_not() -> None:
    import pickle

    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(local_things()[0])


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")
def test_a_killed_worker_is_an_error_and_no_hang() -> None:
    with pytest.raises(BrokenProcessPool) as caught:
        lazy(range(9)).map(lambda x: os.kill(os.getpid(), signal.SIGKILL), processes=2).to_list()
    assert caught.value.__notes__[0] == "in stage 1 of 1, map(lambda, processes=2)"


def test_what_cannot_come_back_is_an_error_that_says_so() -> None:
    with pytest.raises(RuntimeError, match="a result must be picklable"):
        lazy(range(3)).map(lambda x: threading.Lock(), processes=1).to_list()


def test_work_really_happens_in_other_processes() -> None:
    assert os.getpid() not in lazy(range(10)).map(lambda x: os.getpid(), processes=2).to_set()


def test_fork_is_used_only_where_no_other_thread_can_hold_a_lock() -> None:
    ready, done = threading.Event(), threading.Event()
    other = threading.Thread(target=lambda: (ready.set(), done.wait(PATIENCE)))
    other.start()
    assert ready.wait(PATIENCE)
    assert parallel.start_method() != "fork"
    done.set()
    other.join()


@pytest.mark.parametrize(("chosen", "kept"), [("forkserver", False), ("spawn", True), ("fork", False), (None, False)])
def test_where_forkserver_is_the_default_only_another_choice_counts(
    chosen: str | None, kept: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Linux since Python 3.14."""
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["forkserver", "fork", "spawn"])
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda allow_none=False: chosen)
    only_thread = SimpleNamespace(is_dir=lambda: True, iterdir=lambda: iter(["the only one"]))
    monkeypatch.setattr(parallel, "Path", lambda _: only_thread)
    monkeypatch.setattr(parallel, "sys", SimpleNamespace(platform="linux"))
    assert parallel.start_method() == ("spawn" if kept else "fork")


ASKED = """
import multiprocessing
from arion_lib.lazy.barriers import parallel
before = parallel.start_method()
default = multiprocessing.get_start_method()  # whoever asks has it set from then on
print(before, parallel.start_method(), default)
multiprocessing.set_start_method("spawn", force=True)
print(parallel.start_method())
"""


def test_a_default_that_somebody_asked_for_is_not_taken_for_a_choice() -> None:
    done = subprocess.run([sys.executable, "-c", ASKED], cwd=ROOT, capture_output=True, text=True, check=True)
    (before, after, _default), chosen = (line.split() for line in done.stdout.splitlines())
    assert before == after == ("fork" if sys.platform == "linux" else "spawn")
    assert chosen == ["spawn"]


class Recording(Executor):
    """An executor of somebody else: calls at once, and remembers whether it was shut down."""

    def __init__(self) -> None:
        self.calls = 0
        self.closed = False

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.calls += 1
        future: Future[Any] = Future()
        future.set_result(fn(*args, **kwargs))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        self.closed = True


def test_any_executor_will_do_and_stays_open() -> None:
    executor = Recording()
    assert lazy(range(1_000)).map(square, executor=executor).to_list() == [x * x for x in range(1_000)]
    assert 0 < executor.calls < 1_000  # in chunks
    assert not executor.closed


def test_a_process_pool_of_ones_own_runs_lambdas_too() -> None:
    import multiprocessing

    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert lazy(range(5)).map(lambda x: x + 1, executor=pool).to_list() == [1, 2, 3, 4, 5]


def test_a_thread_pool_of_ones_own_gets_a_call_for_each_element() -> None:
    with ThreadPoolExecutor(3) as pool:
        assert runs_at_once(lambda fn: lazy(range(3)).map(fn, executor=pool).to_list())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"threads": 0}, "threads must be >= 1, got 0"),
        ({"processes": -1}, "processes must be >= 1, got -1"),
        ({"threads": 2, "window": 0}, "window must be >= 1, got 0"),
        (
            {"threads": 2, "processes": 2},
            "must be given one of threads, processes, executor, concurrency, got threads and processes",
        ),
        ({"window": 2}, "must be given one of threads, processes, executor, concurrency, got none"),
        ({"executor": 5}, "executor must be a concurrent.futures.Executor, got 5"),
        ({"ordered": False}, "must be given one of threads, processes, executor, concurrency, got none"),
        ({"threads": 2, "ordered": 0}, "ordered must be True or False, got 0"),
        ({"threads": 2, "concurrency": 2}, "got threads and concurrency"),
        ({"concurrency": 0}, "concurrency must be >= 1, got 0"),
        ({"threads": 1.5}, "threads must be a whole number, got 1.5"),
    ],
)
def test_misuse_is_refused_where_it_is_written(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        lazy([1]).map(square, **wrong)


DASK = """
from dask.distributed import Client, LocalCluster
from arion_lib.lazy import lazy

if __name__ == "__main__":
    with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None) as cluster:
        with Client(cluster) as client:
            mapped = lazy(range(200)).map(lambda x: x + 1, executor=client.get_executor(), window=8)
            print(mapped.to_list() == list(range(1, 201)))
"""


def test_the_executor_of_a_dask_cluster_runs_the_map_in_order(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    script = tmp_path / "with_dask.py"  # a process of its own: Dask leaves threads behind for the next cluster
    script.write_text(DASK)
    done = subprocess.run([sys.executable, str(script)], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "True"
