"""The record of a learner's work: what was checked, what was predicted, what was measured.

Idea        One line of JSON an event, appended to a file in the learner's own folder. Several notebooks may be open at
            once, so nothing that stands there is written again.
Invariant   Only a folder that `begin` prepared is written to (the complete notebooks keep no record), and no trouble
            with the record is a trouble for the notebook.
When wrong  A line that is no event, such as one half written when the machine went down, is left out.
See         arion_lib/workbook/copying/desk.py (`learner --status`) · tests/workbook/test_progress.py
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from arion_lib.workbook.record import classroom

FILE = "progress.jsonl"
SESSION = "JPY_SESSION_NAME"
"""The environment's name for the path of the notebook that this kernel belongs to; JupyterLab sets it."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What the record says of one exercise: how often an answer was judged, and whether one was right."""

    tries: int = 0
    right: bool = False


NOTHING = Checked()


@dataclass(slots=True)
class Record:
    """All that a folder's record says."""

    checks: dict[str, Checked] = field(default_factory=dict)
    predicted: dict[tuple[str, str], str] = field(default_factory=dict)
    measured: dict[tuple[str, str], str] = field(default_factory=dict)

    def predictions(self, notebook: str) -> int:
        """Return how many numbers were predicted in the notebook with this file name."""
        return sum(name == notebook for name, _ in self.predicted)

    def add(self, event: Mapping[str, object]) -> None:
        """Take in one event; one of an unknown kind changes nothing."""
        name = str(event.get("name", ""))
        place = (str(event.get("notebook", "")), name)
        match event.get("kind"):
            case "check" if event.get("mark") in ("ok", "no"):
                before = self.checks.get(name, NOTHING)
                self.checks[name] = Checked(before.tries + 1, before.right or event["mark"] == "ok")
            case "prediction":
                self.predicted[place] = str(event.get("said", ""))
            case "measured":
                self.measured[place] = str(event.get("got", ""))


def begin(folder: Path) -> None:
    """Let the notebooks in `folder` keep a record; one that is there goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).touch()
    classroom.give_identity(folder)


def note(kind: str, name: str, **more: str | float) -> None:
    """Add an event to the record of the working folder, where there is one, and tell the class; never raises."""
    event: dict[str, str | float] = {
        "kind": kind,
        "name": name,
        **more,
        "notebook": notebook(),
        "at": datetime.now(UTC).isoformat(),
    }
    classroom.tell(event)
    with suppress(OSError):
        file = os.open(Path.cwd() / FILE, os.O_WRONLY | os.O_APPEND)  # not created: `begin` does that
        try:
            os.write(file, json.dumps(event).encode() + b"\n")
        finally:
            os.close(file)


def notebook() -> str:
    """Return the file name of the notebook this kernel belongs to; an empty text where nobody said so."""
    return Path(os.environ.get(SESSION, "")).name


def read(folder: Path) -> Record:
    """Return what the record of `folder` says; an empty record where there is none."""
    record = Record()
    with suppress(OSError):
        for line in (folder / FILE).read_text("utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    record.add(event)
    return record
