"""A block of this process, watched from a process beside it."""

from __future__ import annotations

import collections
import json

import psutil
import pytest

from arion_lib.measure import measure_memory
from arion_lib.measure.watch import watch

pytestmark = pytest.mark.usefixtures("no_leaks")


def kill_new_children(before: list[psutil.Process]) -> None:
    for child in psutil.Process().children():
        if child not in before:
            child.kill()


def watched_parse() -> tuple[int, int, bool]:
    """Runs in a fresh process: memory that the tests used before would hide the growth."""
    text = "[" + "1.5," * 4_000_000 + "1]"
    with watch() as seen:
        collections.deque(map(json.JSONDecoder().scan_once, [text], [0]), maxlen=0)  # one C call, freed within it
    return seen.memory.peak, max(growth for _, growth in seen.memory.samples), seen.memory.exact


def test_c_code_that_holds_the_gil_is_seen_by_the_samples_too():
    peak, sampled, _ = measure_memory(watched_parse).value
    assert peak >= sampled > 80e6


def test_the_watching_process_does_not_count_as_a_child():
    def idle():
        with watch() as seen:
            sum(range(2_000_000))
        return seen.memory.peak

    assert measure_memory(idle).value < 5e6


def test_the_blocks_exception_passes_and_the_figures_stay():
    watching = watch()
    with pytest.raises(ZeroDivisionError), watching as seen:
        _ = 1 / 0
    assert seen.memory.seconds > 0


def test_the_figures_come_after_the_block():
    with watch() as seen, pytest.raises(RuntimeError, match="after the with statement"):
        _ = seen.memory
    assert seen.memory.baseline > 0


def test_a_watcher_that_was_killed_is_an_error():
    before = psutil.Process().children()
    with pytest.raises(RuntimeError, match="must live until the block ends"), watch():
        kill_new_children(before)
