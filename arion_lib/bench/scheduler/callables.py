"""What people hand in beside plain functions: partials, bound methods, closures, functions that read a global.

Idea        The same call in six forms, defined in `__main__` as a notebook's cells define them (for PPE, which cannot
            send those, in a module); the price of a form is what pickling and sending it adds to each task. Then: does
            memory come back when all tasks are dropped?
Invariant   Every turn checks all results; only the submitting and the waiting are timed.
When wrong  A contender that cannot send a form has the error's name in its place, and decides nothing.
See         arion_lib/bench/scheduler/pools.py · tests/bench/test_scheduler.py
"""

from __future__ import annotations

import gc
import inspect
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psutil

from arion_lib.bench.lab import Lab
from arion_lib.bench.ratios import Comparison, compared
from arion_lib.bench.scheduler import cell
from arion_lib.bench.scheduler.pools import opened, timed
from arion_lib.bench.scheduler.tasks import nothing, successor
from arion_lib.bench.verdicts import Table, at_least, at_most, lines_of
from arion_lib.scheduler import Scheduler

FORMS: dict[str, Callable[[Any], Callable[[int], int]]] = {
    "partial": lambda cell: partial(cell.add, 1),
    "bound method": lambda cell: cell.Shop().next,
    "closure": lambda cell: cell.made(1),
    "reads a global dict of 1,000": lambda cell: cell.by_table,
    "reads a global list of 200,000": lambda cell: cell.by_list,
    "reads a global tuple of 200,000": lambda cell: cell.by_tuple,
}


def form_job(name: str, form: str, count: int) -> float:
    """Seconds a task: a callable of this form submitted one by one, then all results."""
    call = FORMS[form](cell if name == "PPE" else _in_main())  # which can only send what the worker can import
    with opened(name) as pool:
        pool.map(nothing, range(50))
        expected = [number % 1_000 + 1 for number in range(count)]
        return timed(lambda: pool.results([pool.submit(call, n % 1_000) for n in range(count)]), expected) / count


def _in_main() -> Any:
    """Define the same in `__main__`, as a notebook does."""
    main = sys.modules["__main__"]
    main.__name__ = "__main__"  # in a spawned process it has another
    exec(inspect.getsource(cell), vars(main))  # noqa: S102  the text of our own module
    return main


def forms(lab: Lab) -> Iterator[Comparison]:
    """Compare the forms."""
    counts = {"ours": lab.tasks(4_000, 100), "PPE": lab.tasks(800, 50), "loky": lab.tasks(400, 20)}
    for form in FORMS:
        runs = lab.turns(form_job, {name: (name, form, counts[name]) for name in lab.present("PPE", "loky")})
        targets = {"ours": [at_least(2, of="PPE")] if "PPE" in runs else []}
        baseline = next((name for name in ("PPE", "loky") if not isinstance(runs.get(name, ""), str)), "ours")
        yield compared(f"forms: {form}", baseline, runs, targets, 1, "task")


def rest_job(tasks: int) -> int:
    """Bytes by which this process has grown once so many tasks were submitted, ended and dropped.

    A quarter each are plain, have a closure, a deadline, or follow another task. The same was done once before, so
    that what the allocator and the modules keep for good is there already.
    """
    with Scheduler(2) as scheduler:
        _dropped(scheduler, tasks // 4)
        before = _resident()
        _dropped(scheduler, tasks)
        return _resident() - before


def _dropped(scheduler: Scheduler, tasks: int) -> None:
    limited: Any = scheduler.with_options(timeout=600.0)
    follow: Any = scheduler.submit  # a task as an argument
    for start in range(0, tasks, 1_000):
        handles: list[Any] = []
        for number in range(start, start + 250):
            handles += [
                scheduler.submit(nothing, number),
                scheduler.submit(cell.made(number % 7), number),
                limited.submit(nothing, number),
            ]
            handles.append(follow(successor, handles[-3]))
        for handle in handles:
            handle.result(60.0)


def _resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def rest(lab: Lab) -> Iterator[Table]:
    """Measure what is left of tasks that are over, in a fresh process."""
    tasks = lab.tasks(200_000, 4_000)
    grown = lab.once(rest_job, tasks, limit=600.0)
    lines = lines_of({"ours": grown}, lambda value: [f"{value / 1e6:+.1f} MB"])
    title = f"rest: {tasks:,} tasks submitted, ended and dropped: plain, closures, deadlines, chains"
    yield Table(title, ("name", "growth"), lines, [at_most(10e6, "B").judge("ours", grown)])
