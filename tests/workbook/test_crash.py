"""A real process really dies."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from arion_lib.workbook.crash import die, in_child


def test_a_killed_child_runs_no_finally_and_the_caller_lives(tmp_path: Path) -> None:
    def work(end: object) -> None:
        try:
            (tmp_path / "before").touch()
            end()  # type: ignore[operator]
        finally:
            (tmp_path / "finally").touch()

    assert in_child(work, die) == "killed"
    assert [p.name for p in tmp_path.iterdir()] == ["before"]
    assert in_child(work, dict) == "returned"  # the control: the same work, not killed
    assert (tmp_path / "finally").exists()


def test_an_exception_in_the_child_is_told_without_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        raise ValueError("no\nnever")

    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a kernel: Python 3.13 colours its tracebacks then
    assert in_child(work) == "raised ValueError: no"
    assert in_child(sys.exit, 3) == "raised SystemExit: 3"


def test_a_child_that_hangs_is_killed() -> None:
    import subprocess
    import time

    with pytest.raises(subprocess.TimeoutExpired):
        in_child(time.sleep, 60, timeout=0.2)
