"""The measuring process: it answers, and when it does not, nobody waits and nothing is left."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import psutil
import pytest

from arion_lib.bench.lab import Child, ChildFailedError, Hangs, alive, end
from arion_lib.bench.scheduler.tasks import KILL

pytestmark = pytest.mark.usefixtures("no_leaks")


def hang() -> None:
    threading.Event().wait()


def needs_what_is_not_there() -> None:
    import no_such_module_anywhere  # type: ignore[import-not-found]  # noqa: F401


def start_one() -> int:
    # Not `input()`: its end of file would come with the parent's death, which is what a test looks behind.
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid


def test_it_calls_in_another_process_and_says_what_went_wrong() -> None:
    with Child() as child:
        assert child.call(os.getpid, limit=30) == child.pid != os.getpid()
        with pytest.raises(ChildFailedError, match="ZeroDivisionError") as raised:
            child.call(divmod, 1, 0, limit=30)
        assert not raised.value.absent
        assert child.call(divmod, 7, 2, limit=30) == (3, 1)


def test_a_missing_package_is_told_from_a_mistake() -> None:
    with Child() as child, pytest.raises(ChildFailedError) as raised:
        child.call(needs_what_is_not_there, limit=30)
    assert raised.value.absent


def test_a_call_that_hangs_is_a_result_and_its_process_is_ended() -> None:
    with Child() as child:
        with pytest.raises(Hangs):
            child.call(hang, limit=0.05)
        process = psutil.Process(child.pid)
        assert alive(process)
    assert not alive(process)


def test_a_process_that_ends_is_told() -> None:
    with Child() as child, pytest.raises(ChildFailedError, match="ended"):
        child.call(os._exit, 3, limit=30)


@pytest.mark.parametrize("parent_first", [False, True], ids=["closed", "its parent was killed before"])
def test_closing_ends_what_was_started_and_killing_alone_does_not(parent_first: bool) -> None:
    with Child() as child:
        left = psutil.Process(child.call(start_one, limit=30))
        assert left in child.descendants()
        if parent_first:
            found = child.descendants()
            os.kill(child.pid, KILL)
            survived = alive(left)
            end(found)
            assert survived
    assert not alive(left)
