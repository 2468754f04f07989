"""The learner's folder: copies, a start page, and how far they are."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from arion_lib.workbook.checking import catalogue
from arion_lib.workbook.copying import desk
from arion_lib.workbook.record import classroom, progress
from arion_lib.workbook.running import notebooks
from arion_lib.workbook.teaching import guide


def test_the_command_writes_every_notebook_and_refuses_a_wrong_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert desk.run(["--to", str(tmp_path / "work")]) == 0
    assert capsys.readouterr().out.count("written") == len(notebooks.select([]))
    assert {path.name for path in (tmp_path / "work").iterdir()} == {
        *(path.name for path in notebooks.select([])),
        desk.START,
        progress.FILE,
        classroom.IDENTITY,
    }
    with pytest.raises(SystemExit) as caught:
        desk.run(["9", "--to", str(tmp_path)])
    assert caught.value.code == 2
    assert "N must be one of 1, 2, 3, 4, 5, got '9'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as caught:
        desk.run(["--help"])
    assert caught.value.code == 0
    assert "example: python -m arion_lib learner 1" in capsys.readouterr().out


def test_the_status_counts_exercises_that_were_right_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    progress.begin(tmp_path)
    monkeypatch.chdir(tmp_path)
    for mark in ("todo", "no", "ok", "no"):
        progress.note("check", "1.1", mark=mark)
    progress.note("check", "4.1", mark="no")
    assert desk.run(["--status", "--to", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    count = len(desk.exercises_in(notebooks.select(["1"])[0]))
    assert said[0] == f"1_streaming_pipeline: 1 of {count} exercises"
    assert said[1] == "  [ ok ] 1.1  3 tries"
    assert "  [ no ] 4.1  1 try" in said
    assert {path.name for path in tmp_path.iterdir()} == {progress.FILE, classroom.IDENTITY}


def test_every_exercise_of_the_catalogue_is_checked_in_its_notebook() -> None:
    found = [name for path in notebooks.select([]) for name in desk.exercises_in(path)]
    assert sorted(found) == sorted(exercise.id for exercise in catalogue.every())


def test_the_start_page_links_to_every_notebook() -> None:
    page = (notebooks.FOLDER / desk.START).read_text("utf-8")
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert links == [path.name for path in notebooks.select([])]


NEAR = 10
"""Minutes by which a promise may differ from what the teacher's guide counts."""


@pytest.mark.parametrize("notebook", notebooks.select([]), ids=lambda path: path.stem)
def test_the_start_page_and_the_card_promise_the_minutes_that_the_guide_counts(notebook: Path) -> None:
    reading, working = guide.minutes(json.loads(notebook.read_text("utf-8")))
    page = (notebooks.FOLDER / desk.START).read_text("utf-8")
    row = re.search(rf"\({re.escape(notebook.name)}\).*\| (\d+) min \| (\d+) min \|", page)
    assert row is not None
    assert [int(word) for word in row.groups()] == pytest.approx([reading, reading + working], abs=NEAR)
    card = re.search(r"(\d+) minutes to read and run · (\d+) minutes for the exercises", notebook.read_text("utf-8"))
    assert card is not None
    assert int(card[1]) == pytest.approx(reading, abs=NEAR)
    assert int(card[2]) == working
