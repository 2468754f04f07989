"""Each pool is asked by the same code, and a running call is stopped by those that can."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest

from arion_lib.scheduler import Scheduler
from arion_lib.workbook.pools import can_stop, no_ops, pebble_pool


def ours() -> Scheduler:
    return Scheduler(workers=2)


def standard() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


@pytest.mark.parametrize("open_pool", [ours, standard, pebble_pool])
def test_every_pool_runs_what_is_submitted(open_pool: Callable[[], Any]) -> None:
    with open_pool() as pool:
        assert no_ops(pool, 20)() == sum(range(20))


def test_loky_runs_what_is_submitted() -> None:
    code = (
        "from arion_lib.workbook.pools import loky_pool, no_ops\n"
        "if __name__ == '__main__':\n"
        "    with loky_pool() as pool:\n"
        "        print(no_ops(pool, 20)())"
    )  # in a process of its own: loky's resource tracker stays as long as the process
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.strip() == str(sum(range(20)))


def test_a_running_call_is_cancelled_by_ours_and_not_by_the_standard_librarys() -> None:
    assert can_stop(ours)
    assert not can_stop(standard)
