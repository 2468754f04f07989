"""A notebook's folders end with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from arion_lib.workbook.crash import in_child
from arion_lib.workbook.scratch import new_folder, remove_folders

SCRIPT = "from arion_lib.workbook.scratch import new_folder; p = new_folder(); (p / 'x').touch(); print(p.parent)"


@pytest.fixture(autouse=True)
def without_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARION_SCRATCH", raising=False)


def test_folders_are_gone_when_the_process_ends() -> None:
    told = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert not Path(told.stdout.strip()).exists()


def test_a_child_adds_a_folder_to_the_same_root_and_leaves_it_there() -> None:
    mine = new_folder()
    try:
        assert in_child(new_folder) == "returned"
        assert len(list(mine.parent.iterdir())) == 2
        assert new_folder() != mine
    finally:
        remove_folders()
    assert not mine.parent.exists()


def test_a_new_root_is_made_after_removal() -> None:
    first = new_folder()
    remove_folders()
    second = new_folder()
    remove_folders()
    assert first.parent != second.parent
