"""What a test leaves behind is reported, and looking for it costs little in a process that has loaded much."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import leaks
from tests.leaks import Snapshot


@contextmanager
def a_thread(folder: Path) -> Iterator[None]:
    end = threading.Event()
    left = threading.Thread(target=end.wait, name="left")
    left.start()
    yield
    end.set()
    left.join()


@contextmanager
def a_process(folder: Path) -> Iterator[None]:
    with subprocess.Popen(
        [sys.executable, "-c", "input('left')"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as one:
        assert one.stdout is not None
        one.stdout.read(4)
        yield
        one.kill()


@contextmanager
def a_descriptor(folder: Path) -> Iterator[None]:
    with (folder / "left").open("w"):
        yield


@pytest.mark.parametrize(
    "left", [a_thread, a_process, pytest.param(a_descriptor, marks=pytest.mark.posix("Windows has no descriptors"))]
)
def test_what_is_left_is_reported_and_what_has_ended_is_not(
    left: Callable[[Path], contextmanager[None]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = Snapshot.take()
    with left(tmp_path):
        monkeypatch.setattr(leaks, "PATIENCE", 0.0)
        assert any("left" in said for said in before.leaked()), before.leaked()
    monkeypatch.undo()
    assert before.leaked() == []


def test_what_stands_at_the_beginning_of_a_test_is_not_looked_through_at_its_end() -> None:
    """Two collections a test of all that a run has loaded took a third to a half of the whole suite."""
    loaded = [[number] for number in range(10_000)]
    assert len(gc.get_objects()) > len(loaded)  # the control
    frozen = gc.get_freeze_count()
    Snapshot.take()
    assert gc.get_freeze_count() >= frozen + len(loaded)
    assert len(gc.get_objects()) < 1_000


class Ring:
    """Holds itself, and so is left to the collector."""

    def __init__(self, folder: Path) -> None:
        self.itself, self.file = self, (folder / "left").open("w")


def test_a_file_in_a_ring_of_references_made_since_is_closed_and_no_leak(tmp_path: Path) -> None:
    before = Snapshot.take()
    with pytest.warns(ResourceWarning, match="unclosed file"):  # noqa: PT031  (it warns when it is collected)
        Ring(tmp_path)
        assert before.leaked() == []
