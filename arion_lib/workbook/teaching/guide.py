"""The word `guide`: a page for the teacher of a notebook, made from the notebook and the catalogue of its exercises.

Idea        Minutes are counted, not promised: 200 words of text a minute, 8 seconds a line of code, and what each
            exercise says it takes. What to ask and what to leave out stands in the notebook's instructor cells (lines
            such as `- 60 minutes: *Peers*, exercise 1.3`); what people write first stands in the exercises, as wrong
            answers with their misconceptions.
Invariant   Each section, each instructor cell and each misconception is on the page once; what is left of a shortened
            session is counted from the same minutes.
When wrong  A number no notebook has is refused; so is a plan that leaves out what is not there.
See         tests/workbook/test_guide.py
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from arion_lib.workbook.checking import catalogue
from arion_lib.workbook.checking.exercise import Exercise
from arion_lib.workbook.copying import learner
from arion_lib.workbook.running import notebooks

WORDS_A_MINUTE, LINES_A_MINUTE = 200, 60 / 8
MORE = "More"
"""How the heading begins behind which everything is optional."""

BEFORE = """## The day before

- **Ask everybody** for their system and for what `python --version` says (`py --version` on Windows): it must be 3.11
  to 3.15. For those who have none, put python.org's installers on a memory stick.
- **A good line at home**: everybody clones and runs `python -m arion_lib lab` today. **Bad Wi-Fi**: you make the
  offline kit, for the systems and Pythons that you were told:
  `python -m arion_lib pack --to /media/stick --system windows-x86_64 macos-arm64 --python 3.13`. Each machine copies
  the folder from the stick, and the same `lab` sets it up there without a network.
- **Try one machine of each kind**, its Wi-Fi off: `python -m arion_lib doctor --try` runs a few cells in a kernel.
- **The board**, in the room itself: `python -m arion_lib class` prints what learners type. Open its address in a second
  machine's browser. If the page does not come, allow Python in the firewall; if it still does not, the Wi-Fi keeps
  machines apart, as many for guests do: take a phone's hotspot, or leave the board out. Everything else works without.
- **Your own screen**: `python -m arion_lib lab --teach`, then *View, Presentation Mode* for large text.
- **Somebody's machine will not do it**: let two share one. `python -m arion_lib site` writes pages to read without
  Python, with each answer behind a triangle: a hand-out for the end as well.
- **Measured cells** want a machine that is not busy: close what else runs, video calls above all.
"""


@dataclass(slots=True)
class Section:
    """What stands under one heading: minutes to read and run, the exercises checked there, notes for the teacher."""

    title: str
    minutes: float = 0.0
    exercises: list[Exercise] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def sections(notebook: learner.Notebook) -> list[Section]:
    """Return the sections of a notebook, the card first; the code of answers is not read, so it does not count."""
    found = [Section("Beginning")]
    for cell in notebook["cells"]:
        source = learner.text_of(cell["source"])
        if learner.INSTRUCTOR in cell["metadata"].get("tags", ()):
            found[-1].notes.append(source)
        elif cell["cell_type"] == "markdown":
            for part in re.split(r"^(?=## )", source, flags=re.MULTILINE):
                if part.startswith("## "):
                    found.append(Section(part.partition("\n")[0].removeprefix("## ")))
                found[-1].minutes += len(part.split()) / WORDS_A_MINUTE
        else:
            _count_code(found[-1], source)
    return found


def _count_code(section: Section, source: str) -> None:
    lines = [line for line in learner.without_answers(source).splitlines() if line.strip()]
    section.minutes += len(lines) / LINES_A_MINUTE
    for number in re.findall(r'^check\("(\d+\.\d+)"', source, re.MULTILINE):
        section.exercises.append(catalogue.find(number))


def minutes(notebook: learner.Notebook) -> tuple[int, int]:
    """Return the minutes to read and run a notebook, and those of its exercises; what is behind "More" is optional."""
    return _minutes(_parted(sections(notebook))[0])


def _parted(parts: Sequence[Section]) -> tuple[Sequence[Section], Sequence[Section]]:
    """Return the sections that everybody reads, and the optional ones."""
    at = next((number for number, part in enumerate(parts) if part.title.startswith(MORE)), len(parts))
    return parts[:at], parts[at:]


def _minutes(parts: Sequence[Section]) -> tuple[int, int]:
    return round(sum(part.minutes for part in parts)), sum(e.minutes for part in parts for e in part.exercises)


@dataclass(frozen=True, slots=True)
class Plan:
    """A session of `budget` minutes: what it leaves out, and the minutes of what is left."""

    budget: int
    left_out: Sequence[str]
    minutes: float


def plans(parts: Sequence[Section]) -> list[Plan]:
    """Return the plans that the notes name: a section is named by how its title begins, an exercise by its number.

    Raises `ValueError` for one that is not there.
    """
    needed, _ = _parted(parts)
    whole = sum(part.minutes + sum(e.minutes for e in part.exercises) for part in needed)
    notes = "\n".join(note for part in parts for note in part.notes)
    found = []
    for budget, words in re.findall(r"^- (\d+) minutes: ([^;\n]*)", notes, re.MULTILINE):
        names = [*re.findall(r"\*([^*]+)\*", words), *re.findall(r"\d+\.\d+", words)]
        out = dict(_left_out(needed, name) for name in names)
        found.append(
            Plan(int(budget), [f"{name} ({took:.0f})" for name, took in out.items()], whole - sum(out.values()))
        )
    return found


def _left_out(parts: Sequence[Section], name: str) -> tuple[str, float]:
    """Return what is meant by a section's beginning or an exercise's number, and the minutes that it takes."""
    for part in parts:
        if part.title.startswith(name):
            return f"*{part.title}*", part.minutes + sum(e.minutes for e in part.exercises)
        for exercise in part.exercises:
            if exercise.id == name:
                return f"exercise {name}", exercise.minutes
    raise ValueError(f"a plan must leave out a section or an exercise that is there, got {name!r}")


def guide_for(path: Path) -> str:
    """Return the guide of the notebook in the file `path`, as Markdown."""
    notebook = json.loads(path.read_text("utf-8"))
    parts = sections(notebook)
    reading, working = minutes(notebook)
    optional = sum(_minutes(_parted(parts)[1]))
    title = next(re.findall(r"^# (.+)$", learner.text_of(c["source"]), re.MULTILINE)[0] for c in notebook["cells"])
    return "\n".join(
        [
            f"# Teaching {title}",
            "",
            f"{reading} minutes to read and run, {working} for the exercises, {reading + working} in all"
            + (f"; {optional} more are optional." if optional else "."),
            "",
            BEFORE,
            *(note + "\n" for part in parts for note in part.notes),
            "## How long, and what to leave out",
            "",
            _table_of(plans(parts)),
            "## Minutes, section by section",
            "",
            _plan(parts),
            "## What people write first",
            "",
            "When an answer behaves like one of these, its check names the misconception.",
            "",
            *(_misconceptions(exercise) for part in parts for exercise in part.exercises),
        ]
    )


def _plan(parts: Sequence[Section]) -> str:
    rows = ["| section | minutes | exercises | in all |", "|---|---:|---|---:|"]
    total = 0.0
    for part in parts:
        tasks = ", ".join(f"{e.id} {'★' * e.stars} {e.minutes} min" for e in part.exercises)
        total += part.minutes + sum(e.minutes for e in part.exercises)
        rows.append(f"| {_cell(part.title)} | {part.minutes:.0f} | {tasks} | {total:.0f} |")
    return "\n".join(rows) + "\n"


def _table_of(found: Sequence[Plan]) -> str:
    head = ["| session | leave out (minutes) | minutes left |", "|---|---|---:|"]
    rows = [f"| {p.budget} minutes | {_cell(', '.join(p.left_out)) or 'nothing'} | {p.minutes:.0f} |" for p in found]
    return "\n".join([*head, *rows]) + "\n"


def _misconceptions(exercise: Exercise) -> str:
    rows = "\n".join(f"- {wrong.misconception}" for wrong in exercise.wrong)
    return f"### {exercise.id} `{exercise.name}` {'★' * exercise.stars}\n\n{rows}\n"


def _cell(text: str) -> str:
    return text.replace("|", r"\|")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib guide",
        description="Print the teacher's guide of a notebook as Markdown: minutes, notes, what people write first.",
        epilog="example: python -m arion_lib guide 1",
    )
    parser.add_argument("numbers", metavar="N", nargs="*", help="the notebooks' numbers (default: all)")
    return parser


def _understood(args: list[str]) -> list[Path]:
    parser = _parser()
    try:
        return notebooks.select(parser.parse_args(args).numbers)
    except ValueError as error:
        parser.error(str(error))


def refuse_wrong(args: list[str]) -> None:
    """Leave by `SystemExit` as `run` would."""
    _understood(args)


def run(args: list[str]) -> int:
    """Print the guides that are asked for."""
    for path in _understood(args):
        print(guide_for(path))
    return 0
