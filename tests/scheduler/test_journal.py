"""A scheduler with a journal: what was submitted is run, though the program is killed."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler, ShutDownError
from arion_lib.scheduler.journal import Journal, book
from arion_lib.scheduler.journal.book import PATIENCE as LOCK_PATIENCE
from tests.scheduler import jobs
from tests.scheduler.gates import KILL, PATIENCE, Gate, until

pytestmark = pytest.mark.usefixtures("no_leaks")
ROOT = Path(__file__).parents[2]
NOTE = "tests.scheduler.jobs:note"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def left(path: Path, **functions: Any) -> list[str]:
    journal = Journal(path, functions)
    journal.open()
    try:
        return [kept.function for kept in journal.left()]
    finally:
        journal.close()


def cut_off(path: Path, *calls: tuple[Any, ...], key: str | None = None, name: str = NOTE) -> None:
    """Leave calls in a journal as a program does that is killed."""
    from arion_lib.scheduler.journal.keeping import _pickled

    journal = Journal(path)
    journal.open()
    journal.keep(name, [_pickled(name, args, {}, {}) for args in calls], key)
    journal.close()


def test_what_is_kept_is_on_the_disk_and_not_in_the_drives_cache(path: Path) -> None:
    """On macOS SQLite's own fsync leaves it there; elsewhere the setting changes nothing."""
    journal = Journal(path)
    journal.open()
    for connection, synchronous in ((journal._safe, 2), (journal._fast, 1)):
        settings = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "fullfsync")]
        assert settings == [synchronous, 1]
    journal.close()


def test_what_has_ended_is_in_the_journal_no_more(path: Path) -> None:
    with Scheduler(1, journal=path) as scheduler:
        assert scheduler.recovered == []
        tasks = [scheduler.submit(jobs.add, 1, n) for n in range(20)]
        tasks.append(scheduler.submit(jobs.fail))
        assert [task.result(PATIENCE) for task in tasks[:-1]] == list(range(1, 21))
        assert list(scheduler.map(jobs.add, range(30))) == list(range(30))
        assert isinstance(tasks[-1].exception(PATIENCE), ValueError)
    assert left(path) == []


def test_what_is_left_is_run_by_the_next_start_in_order(path: Path, notes: str) -> None:
    cut_off(path, (notes, "a"), (notes, "b"), (notes, "c"))
    with Scheduler(1, journal=path) as scheduler:
        for task in scheduler.recovered:
            task.result(PATIENCE)
    assert jobs.noted(notes) == ["a", "b", "c"]
    assert left(path) == []


def test_the_control_without_a_journal_nothing_is_left(notes: str) -> None:
    with Scheduler(1) as scheduler:
        assert scheduler.recovered == []
    assert jobs.noted(notes) == []


def test_the_options_are_kept_with_the_call(path: Path, gate: Gate) -> None:
    with Scheduler(1, journal=path) as scheduler:
        held = scheduler.submit(jobs.hold, gate.place)
        gate.arrived()
        scheduler.with_options(priority=3, name="mine", lane="threads", delay=3600).submit(jobs.add, 1)
        journal = scheduler._submission._journal  # type: ignore[union-attr]
        (_, other) = journal.left()
        assert other.opened() == ((1,), {}, {"priority": 3, "name": "mine", "lane": "threads", "delay": 3600})
        gate.open()
        held.result(PATIENCE)
        scheduler.shutdown(cancel_futures=True)


def local() -> None:
    """A function of a name, of which a local one has none."""


@pytest.mark.parametrize(
    "submit",
    [
        lambda scheduler: scheduler.submit(lambda: 1),
        lambda scheduler: scheduler.submit([].append, 1),
        lambda scheduler: scheduler.submit(jobs.identity, threading.Lock()),
        lambda scheduler: scheduler.submit(jobs.identity, scheduler.submit(jobs.add, 1)),
        lambda scheduler: scheduler.with_options(after=scheduler.submit(jobs.add, 1)).submit(local),
        lambda scheduler: scheduler.with_options(key="k").map(jobs.add, [1]),
    ],
    ids=["lambda", "builtin method", "lock", "task", "after", "map with a key"],
)
def test_what_cannot_be_kept_is_refused(submit: Any, path: Path) -> None:
    with Scheduler(1, journal=path) as scheduler, pytest.raises(ValueError, match=r"journal|key must be"):
        submit(scheduler)
    assert left(path) == []


def test_a_function_may_have_a_name_of_its_own(path: Path, notes: str) -> None:
    functions = {"note": jobs.note}
    with Scheduler(1, journal=Journal(path, functions)) as scheduler:
        scheduler.submit(jobs.note, notes, "a").result(PATIENCE)
    cut_off(path, (notes, "b"), name="note")
    with Scheduler(1, journal=Journal(path, functions)) as scheduler:
        scheduler.recovered[0].result(PATIENCE)
    assert jobs.noted(notes) == ["a", "b"]


def test_a_function_that_is_not_found_any_more_stays_and_keeps_nothing_else(
    path: Path, notes: str, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("tests.scheduler.jobs:gone", "no_module_of_this_name:f", "unregistered"):
        cut_off(path, (notes, "x"), name=name)
    cut_off(path, (notes, "a"))
    with Scheduler(1, journal=path) as scheduler:
        (task,) = scheduler.recovered
        task.result(PATIENCE)
    assert caplog.text.count("cannot be run") == 3
    assert left(path) == ["tests.scheduler.jobs:gone", "no_module_of_this_name:f", "unregistered"]


def test_a_journal_is_open_in_one_process_only(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book, "PATIENCE", 0.0)
    assert LOCK_PATIENCE > 0
    with Scheduler(1, journal=path), pytest.raises(OSError, match="in one process only"):
        Scheduler(1, journal=path)
    with Scheduler(1, journal=path) as scheduler:
        assert scheduler.submit(jobs.add, 1).result(PATIENCE) == 1


def test_a_full_scheduler_takes_what_is_left_as_there_is_room(path: Path, notes: str) -> None:
    cut_off(path, *((notes, str(n)) for n in range(20)))
    with Scheduler(1, journal=path, max_pending=3, when_full="refuse") as scheduler:
        assert scheduler.wait_idle(PATIENCE)
    assert len(jobs.noted(notes)) == 20
    assert left(path) == []


def test_a_call_that_is_refused_is_not_kept(path: Path, gate: Gate) -> None:
    from arion_lib.scheduler import QueueFullError

    with Scheduler(1, journal=path, max_pending=1, when_full="refuse") as scheduler:
        scheduler.submit(jobs.hold, gate.place)
        gate.arrived()
        with pytest.raises(QueueFullError):
            scheduler.submit(jobs.add, 1)
        gate.open()
    with pytest.raises(ShutDownError):
        scheduler.submit(jobs.add, 1)
    assert left(path) == []


# --- keys ---


def test_of_two_calls_with_the_same_key_one_is_run(path: Path, gate: Gate, notes: str) -> None:
    with Scheduler(1, journal=path) as scheduler:
        keyed = scheduler.with_options(key="invoice-17")
        first = keyed.submit(jobs.hold, gate.place, "paid")
        assert keyed.submit(jobs.hold, gate.place, "paid") is first
        gate.arrived()
        gate.open()
        assert first.result(PATIENCE) == "paid"
        assert keyed.submit(jobs.hold, gate.place, "paid").result(PATIENCE) == "paid"
    with Scheduler(1, journal=path) as scheduler:  # also by the next start
        assert scheduler.with_options(key="invoice-17").submit(jobs.hold, gate.place).result(PATIENCE) == "paid"
        assert scheduler.with_options(key="invoice-18").submit(jobs.add, 3).result(PATIENCE) == 3
    assert gate.nobody()


def test_a_call_with_a_key_that_the_program_left_behind_is_found_again(path: Path, notes: str) -> None:
    cut_off(path, (notes, "a"), key="one")
    with Scheduler(1, journal=path) as scheduler:
        task = scheduler.with_options(key="one").submit(jobs.note, notes, "a")
        task.result(PATIENCE)
    assert jobs.noted(notes) == ["a"]


def test_a_key_is_free_again_when_its_call_has_failed(path: Path, notes: str) -> None:
    with Scheduler(1, journal=path) as scheduler:
        keyed = scheduler.with_options(key="one")
        assert isinstance(keyed.submit(jobs.fail_times, notes, 1).exception(PATIENCE), Exception)
        until(lambda: not scheduler._submission._keys, "the end of its key")  # type: ignore[union-attr]
        assert keyed.submit(jobs.fail_times, notes, 1).result(PATIENCE) == "at last"


def test_a_key_belongs_to_one_function(path: Path) -> None:
    with Scheduler(1, journal=path) as scheduler:
        scheduler.with_options(key="one").submit(jobs.add, 1).result(PATIENCE)
        with pytest.raises(ValueError, match="belongs to a call of"):
            scheduler.with_options(key="one").submit(jobs.identity, 1)


def test_a_key_without_a_journal_is_refused() -> None:
    with Scheduler(1) as scheduler, pytest.raises(ValueError, match="journal"):
        scheduler.with_options(key="one").submit(jobs.add, 1)


# --- kills ---

PROGRAM = """
import os, sys, itertools
sys.path.insert(0, sys.argv[1])
from arion_lib.scheduler import Scheduler
from tests.scheduler import jobs
if __name__ == "__main__":
    journal, notes, first = sys.argv[2:5]
    with Scheduler(2, journal=journal) as scheduler:
        print("open", flush=True)
        for number in itertools.count(int(first)):
            scheduler.submit(jobs.note, notes, str(number))
            print(number, flush=True)
"""


@pytest.mark.parametrize("count", [3, pytest.param(50, marks=pytest.mark.thorough)])
def test_killed_programs_lose_nothing(count: int, path: Path, notes: str, tmp_path: Path) -> None:
    chance, submitted, first = random.Random(count), set[str](), 0
    for _ in range(count):
        program = [sys.executable, "-c", PROGRAM, str(ROOT), str(path), notes, str(first)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            for _ in range(chance.randrange(1, 60)):
                submitted.add(process.stdout.readline().strip())
            process.send_signal(KILL)
            submitted |= {line.strip() for line in process.stdout if line.endswith("\n")}
        first = max(map(int, submitted)) + 2  # a number may have been kept and not been told
    with Scheduler(2, journal=path) as scheduler:
        for task in scheduler.recovered:
            task.result(PATIENCE)
    assert submitted - set(jobs.noted(notes)) == set()
    assert left(path) == []
