"""The teacher's guide holds each section, each note and each misconception of its notebook, once."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from arion_lib.setup import installer, words
from arion_lib.workbook.checking import catalogue
from arion_lib.workbook.copying import learner
from arion_lib.workbook.running import notebooks
from arion_lib.workbook.teaching import guide, pack

PATHS = notebooks.select([])


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_the_guide_names_each_section_note_and_misconception_once(path: Path) -> None:
    text = guide.guide_for(path)
    notebook = json.loads(path.read_text("utf-8"))
    for cell in notebook["cells"]:
        source = learner.text_of(cell["source"])
        if learner.INSTRUCTOR in cell["metadata"].get("tags", ()):
            assert text.count(source) == 1
        for line in source.splitlines() if cell["cell_type"] == "markdown" else ():
            if line.startswith("## "):
                assert text.count(f"| {line.removeprefix('## ').replace('|', chr(92) + '|')} |") == 1
    own = [e for e in catalogue.every() if e.notebook == int(path.name[0])]
    assert own
    for exercise in own:
        assert text.count(f"### {exercise.id} `{exercise.name}`") == 1
        for wrong in exercise.wrong:
            assert f"- {wrong.misconception}\n" in text


def test_the_checklist_stands_before_the_notes_and_its_commands_are_understood() -> None:
    text = guide.guide_for(PATHS[0])
    assert text.index("## The day before") < text.index("## How long, and what to leave out")
    commands = [shlex.split(found) for found in re.findall(r"`python -m arion_lib ([^`]*)`", guide.BEFORE)]
    assert {"lab", "pack", "class", "doctor", "site"} == {word for word, *_ in commands} <= set(words.WORDS)
    (packed,) = [args for word, *args in commands if word == "pack"]
    assert [str(target) for target in pack._targets(packed)] == [
        "windows-x86_64, Python 3.13",
        "macos-arm64, Python 3.13",
    ]
    oldest, newest = (f"3.{version[1]}" for version in (installer.OLDEST, installer.NEWEST))
    assert f"it must be {oldest} to {newest}" in " ".join(guide.BEFORE.split())


def test_minutes_are_words_and_lines_and_what_exercises_take() -> None:
    notebook: learner.Notebook = {
        "metadata": {},
        "cells": [
            {
                "cell_type": "markdown",
                "metadata": {},
                "source": "# T\n\n" + "word " * 398 + "\n\n## Next\n\n" + "w " * 198,
            },
            {"cell_type": "code", "metadata": {}, "source": "x = 1\n\n" * 15, "outputs": []},
            {"cell_type": "code", "metadata": {}, "source": 'check("1.1", f)', "outputs": []},
        ],
    }
    first, second = guide.sections(notebook)
    assert first.minutes == pytest.approx(2)
    assert second.minutes == pytest.approx(1 + 2 + 8 / 60)
    assert [exercise.id for exercise in second.exercises] == ["1.1"]
    assert guide.minutes(notebook) == (5, catalogue.find("1.1").minutes)
    more = {"cell_type": "markdown", "metadata": {}, "source": "## More (optional)\n\n" + "word " * 800}
    notebook["cells"] = [*notebook["cells"], more, notebook["cells"][2]]
    assert guide.minutes(notebook) == (5, catalogue.find("1.1").minutes)  # what is optional does not count


@pytest.mark.parametrize("path", PATHS, ids=lambda p: p.stem)
def test_what_a_short_session_leaves_out_makes_it_short_enough(path: Path) -> None:
    parts = guide.sections(json.loads(path.read_text("utf-8")))
    found = {plan.budget: plan for plan in guide.plans(parts)}
    assert set(found) == {60, 90, 180}
    for budget, plan in found.items():
        assert plan.minutes <= budget
        assert (
            f"| {budget} minutes | {', '.join(plan.left_out) or 'nothing'} | {plan.minutes:.0f} |"
            in guide.guide_for(path)
        )
    assert not found[180].left_out
    assert found[180].minutes > 60  # control: without leaving something out, it is not short


def test_a_plan_names_only_what_is_there() -> None:
    part = guide.Section("The problem", 5.0, [catalogue.find("1.1")], ["- 60 minutes: *The pro*; and *More*"])
    (plan,) = guide.plans([part])
    assert (plan.left_out, plan.minutes) == (["*The problem* (15)"], 0)
    part.notes = ["- 60 minutes: exercise 1.1"]
    assert [plan.minutes for plan in guide.plans([part])] == [5.0]
    for wrong in ("*The end*", "exercise 1.2"):
        part.notes = [f"- 60 minutes: {wrong}"]
        with pytest.raises(ValueError, match="must leave out a section or an exercise that is there"):
            guide.plans([part])


def test_a_wrong_number_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        guide.run(["9"])
    assert refused.value.code == 2
    assert "N must be one of 1" in capsys.readouterr().err
