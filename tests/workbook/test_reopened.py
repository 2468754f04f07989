"""A cell that is run twice leaves one thing open, and the end of the interpreter none."""

from __future__ import annotations

import subprocess
import sys

import pytest

from arion_lib.workbook.reopened import close_all, reopened


def test_the_one_before_is_closed_first() -> None:
    said: list[str] = []
    for turn in "ab":
        reopened("pool", lambda turn=turn: said.append(f"open {turn}") or turn, lambda it: said.append(f"close {it}"))  # type: ignore[misc]
    close_all("pool")
    assert said == ["open a", "close a", "open b", "close b"]


def test_an_error_while_closing_does_not_keep_the_name() -> None:
    reopened("broken", lambda: 0, lambda it: 1 / it)
    with pytest.raises(ZeroDivisionError):
        reopened("broken", lambda: 1, lambda it: it)
    assert reopened("broken", lambda: 2, lambda it: it) == 2
    close_all("broken")


def test_it_is_closed_at_the_end_of_the_interpreter() -> None:
    code = "from arion_lib.workbook.reopened import reopened; reopened('a', lambda: 'closed', print)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "closed\n"
