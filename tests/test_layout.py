"""The layout holds: who imports whom, what a module says of itself, how a notebook is kept; each with a control."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from arion_lib.setup.environment import ROOT
from arion_lib.workbook.copying import learner
from arion_lib.workbook.teaching import guide
from tests import circles, rules

PACKAGE = ROOT / "arion_lib"
MODULES = rules.modules(PACKAGE)
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
CONDA = (ROOT / "environment.yml").read_text(encoding="utf-8")
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def test_the_parts_do_not_import_one_another_and_heavy_libraries_have_one_home() -> None:
    assert [bad for path, source in MODULES for bad in rules.forbidden_imports(path, source)] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("lazy/engine.py", "from arion_lib.pipeline.batch import Batch"),
        ("lazy/engine.py", "def f():\n    import arion_lib.measure"),
        ("lazy/engine.py", "from arion_lib import scheduler"),
        ("measure/rss.py", "from arion_lib.workbook import check"),
        ("lazy/engine.py", "from .source import Source"),
        ("lazy/engine.py", "import matplotlib.pyplot"),
        ("pipeline/store.py", "def f():\n    from redis import Redis"),
        ("pipeline/store.py", "from starlette.requests import Request"),
        ("setup/words.py", "import arion_lib.workbook"),
        ("units.py", "from arion_lib.nearest import nearest"),
        ("units.py", "import arion_lib.measure"),
    ],
)
def test_a_forbidden_import_is_found(path: str, source: str) -> None:
    assert len(rules.forbidden_imports(path, source)) == 1


def test_the_ground_floor_is_what_stands_directly_in_the_package() -> None:
    files = {path.removesuffix(".py") for path, _ in MODULES if "/" not in path}
    assert files - {"__init__", "__main__"} == rules.GROUND
    assert rules.forbidden_imports("lazy/engine.py", "from arion_lib.units import seconds_text") == []


def test_the_ground_floor_needs_the_standard_library_alone() -> None:
    names = [f"arion_lib.{name}" for name in rules.GROUND]
    assert loaded_by(*names) - loaded_by() - sys.stdlib_module_names - {"arion_lib"} == set()


STILL_IN_A_CIRCLE = {"contracts/registry.py", "pipeline/broker.py", "pipeline/store.py"}
"""One file of each circle that is still to be cut; the list only becomes shorter."""


def test_no_files_import_one_another_in_a_circle() -> None:
    assert [group for group in circles.circles(MODULES) if not STILL_IN_A_CIRCLE.intersection(group)] == []


def test_a_circle_is_found_also_where_only_the_type_checker_sees_it() -> None:
    hidden = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from arion_lib.lazy import engine"
    files = [("lazy/__init__.py", ""), ("lazy/engine.py", "import arion_lib.lazy.source"), ("lazy/source.py", hidden)]
    assert circles.circles(files) == [["lazy/engine.py", "lazy/source.py"]]
    assert circles.circles(files[:2]) == []


def test_an_import_for_the_type_checker_alone_is_free() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import matplotlib"
    assert rules.forbidden_imports("lazy/engine.py", source) == []


def test_every_module_says_its_idea_its_invariant_what_goes_wrong_and_where_to_look() -> None:
    told = [(path, source) for path, source in MODULES if path != "__init__.py"]  # that one is the map
    assert [bad for path, source in told for bad in rules.missing_labels(path, source)] == []


def test_a_docstring_without_a_label_is_found() -> None:
    good = '"""Do.\n\nIdea        A.\nInvariant   B.\nWhen wrong  C.\nSee         D.\n"""'
    assert rules.missing_labels("x.py", good) == []
    for label in rules.LABELS:
        assert rules.missing_labels("x.py", good.replace(label, "Other"))
    assert rules.missing_labels("x.py", "pass")


def test_only_what_talks_to_people_prints() -> None:
    silent = [(path, source) for path, source in MODULES if path.split("/")[0] in (*rules.PARTS, "measure", "web")]
    talking = {"web/serve.py", "web/playing/load.py"}  # the commands themselves
    assert [bad for path, source in silent if path not in talking for bad in rules.prints(path, source)] == []
    assert rules.prints("x.py", "def f():\n    print(1)") == ["x.py:2: only bench, workbook and the command line print"]


LOADED = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
print(*{name.partition('.')[0] for name in sys.modules})
"""


def loaded_by(*names: str) -> set[str]:
    """Return the top-level modules that a fresh Python has after importing the named ones."""
    command = [sys.executable, "-c", LOADED, *names]
    return set(subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split())


PARTS = [*sorted(part for part in rules.PARTS if (PACKAGE / part / "__init__.py").exists()), "measure", "workbook"]


@pytest.mark.parametrize("part", PARTS)
def test_importing_a_part_brings_no_heavy_library_along(part: str) -> None:
    paths = [path for path, _ in MODULES if path.startswith(f"{part}/") and path not in rules.ELSEWHERE]
    names = ["arion_lib." + path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path in paths]
    assert names
    assert loaded_by(*names) & rules.HEAVY == set()


def test_a_heavy_library_at_the_top_of_a_module_would_be_seen() -> None:
    assert loaded_by("pytest") & rules.HEAVY == {"pytest"}


def test_the_command_line_needs_the_standard_library_alone() -> None:
    words = [
        "arion_lib.setup.words",
        "arion_lib.workbook.running.doctor",
        "arion_lib.workbook.running.suite",
        "arion_lib.workbook.copying.lab",
    ]
    before = loaded_by()
    strangers = loaded_by(*words) - before - sys.stdlib_module_names - {"arion_lib", "__mp_main__"}
    assert strangers == set()
    assert "msgspec" in loaded_by("msgspec") - before - sys.stdlib_module_names


@each_notebook
def test_a_notebook_is_kept_clean(path: Path) -> None:
    assert rules.notebook_complaints(load(path)) == []
    assert path.stat().st_size < rules.MOST_BYTES


def code(source: str, *outputs: dict[str, Any], count: int | None = 1) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "execution_count": count, "outputs": list(outputs)}


PNG = {"output_type": "display_data", "data": {"image/png": "iVBO", "text/plain": "<Figure>"}, "metadata": {}}
DIRTY = {
    "counted 1 to n": [code("1", count=2)],
    "counted 1 to n:": [code("1", count=None)],
    "trailing `;`": [code("plot();")],
    "an empty cell": [code(" ")],
    "at most 15 lines": [code("1"), code("x = 1\n" * 16, count=2)],
    "set-up cell": [code("import a\n" * 7)],
    "a figure without alt text": [code("plot()", PNG)],
    "an <img> without alt text": [code("1", {"data": {"text/html": "<img src='a.png'>"}})],
    "an <svg> without a label": [code("1", {"data": {"text/html": "<svg><path/></svg>"}})],
    "a path of this machine: /home/me/x.py": [code("1", {"output_type": "stream", "text": ["/home/me/x.py"]})],
    "a path of this machine: /tmp/abc": [
        code("1", {"output_type": "error", "evalue": "", "traceback": ["in /tmp/abc"]})
    ],
    "a verdict without its number: less: True": [
        code("1", {"output_type": "stream", "text": "reader waits: True; 5\nless: True\n"})
    ],
    "a verdict without its number: {'a': False}": [code("1", {"output_type": "stream", "text": "{'a': False}\n"})],
    "a figure's title must be computed from its data: It grows": [code("plots.lines(lines, 'It grows', x='s')")],
    "a picture without alt text": [{"cell_type": "markdown", "source": "![](a.png)"}],
}


@pytest.mark.parametrize("complaint", DIRTY)
def test_an_unclean_notebook_is_found(complaint: str) -> None:
    found = rules.notebook_complaints({"cells": DIRTY[complaint]})
    assert len(found) == 1
    assert complaint in found[0]


IN_RHYTHM = {"1", "2", "3", "4", "5"}
"""The numbers of the notebooks that keep to the rhythm."""


@pytest.mark.parametrize("path", [path for path in NOTEBOOKS if path.name[0] in IN_RHYTHM], ids=lambda path: path.stem)
def test_a_notebook_keeps_its_rhythm(path: Path) -> None:
    notebook = load(path)
    assert rules.rhythm_complaints(learner.view(notebook), guide.minutes(notebook)[0]) == []


@each_notebook
def test_five_questions_have_their_form(path: Path) -> None:
    assert rules.question_complaints(load(path)) == []


@each_notebook
def test_prose_gives_no_figure_that_no_cell_shows(path: Path) -> None:
    assert rules.prose_complaints(load(path)) == []


def prose(text: str, *tags: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "source": text, "metadata": {"tags": list(tags)}}


def test_a_figure_in_prose_that_no_cell_shows_is_found() -> None:
    shown = code("rows = 20_000", {"output_type": "stream", "text": "1.25 ms, 0.65x"})
    told = "20,000 times 1.25 ms is 0.65x"
    assert rules.prose_complaints({"cells": [shown, prose(told), prose("## More\n\n3 ms"), prose("4 s")]}) == []
    assert (
        rules.prose_complaints({"cells": [shown, prose("90 minutes", "instructor"), prose("5 tasks, 1.25 ms")]}) == []
    )
    for stale in ("0.653x", "25 ms", "2,000 times", "20 s"):
        found = rules.prose_complaints({"cells": [shown, prose(f"It takes {stale}, as shown.")]})
        assert found == [f"prose says {stale!r}, and no cell shows it"]


def test_a_notebook_out_of_rhythm_is_found() -> None:
    assert rules.rhythm_complaints({"cells": [code("check('1.1', f)")]}, 55) == []
    late = [code("x = 1")] * 61 + [code("check('1.1', f)")]
    long = [code("check('1.1', f)"), *[code("x = 1\n" * 9)] * 2]
    wide = [code("check('1.1', f)"), code("x" * 101)]
    words = [
        rules.rhythm_complaints({"cells": cells}, minutes) for cells, minutes in [(late, 9), (long, 9), (wide, 56)]
    ]
    assert ["first check" in words[0][0], "at most 60 cells, got 62" in words[0][1], len(words[0])] == [True, True, 2]
    assert ["at most 1 code cell over 8" in words[1][0], len(words[1])] == [True, 1]
    assert ["over 100 columns" in words[2][0], "at most 55 minutes" in words[2][1], len(words[2])] == [True, True, 2]
    optional = {"cell_type": "markdown", "source": "## More (optional)"}
    assert rules.rhythm_complaints({"cells": [code("check('1.1', f)"), optional, *late]}, 9) == []


def test_questions_in_another_form_are_found() -> None:
    one = "{}. Why?\n   <details><summary>Answer</summary>Because.</details>"
    good = "## Five questions\n\n" + "\n".join(one.format(n) for n in range(1, 6)) + "\n\n## Recap\n"
    assert rules.question_complaints({"cells": [{"cell_type": "markdown", "source": good}]}) == []
    for bad in (
        good.replace("3. ", "4. "),
        good.replace("</details>\n2.", "\n2."),
        good.replace("Why?", "Because.", 1),
    ):
        assert len(rules.question_complaints({"cells": [{"cell_type": "markdown", "source": bad}]})) == 1


def test_a_clean_notebook_has_no_complaint() -> None:
    told = {**PNG, "metadata": {"image/png": {"alt": "Memory grows with input."}}}
    html = {"data": {"text/html": '<img src="a" alt="Memory grows"> <svg role="img" aria-label="a queue fills"/>'}}
    assert rules.notebook_complaints({"cells": [code("plot()", told), code("show()", html, count=2)]}) == []


@each_notebook
def test_the_learners_view_has_no_answer_and_no_instructors_cell(path: Path) -> None:
    notebook = load(path)
    shown = "\n".join(rules.text_of(cell["source"]) for cell in learner.view(notebook)["cells"])
    answers = [answer for cell in notebook["cells"] for answer in learner.answers(rules.text_of(cell["source"]))]
    assert answers  # each notebook has exercises
    assert [answer for answer in answers if answer.strip() in shown] == []
    told = [cell for cell in notebook["cells"] if "instructor" in cell["metadata"].get("tags", [])]
    assert [cell for cell in told if rules.text_of(cell["source"]) in shown] == []


def test_the_lock_covers_every_list_with_hashes_and_names_no_host() -> None:
    assert rules.lock_complaints(LOCK, PROJECT) == []


@pytest.mark.parametrize(
    ("lock", "complaint"),
    [
        ("other==1 \\\n    --hash=sha256:00", "pika is not in the lock"),
        ("pika==1 \\\n    --hash=sha256:00\n--index-url https://host/simple", "no host"),
        ("pika==1\n    # via small", "no hash: pika==1"),
    ],
)
def test_a_lock_with_a_hole_is_found(lock: str, complaint: str) -> None:
    project = '[project]\ndependencies = ["pika>=1"]\n[project.optional-dependencies]\n'
    assert complaint in " ".join(rules.lock_complaints(lock, project))


def test_condas_environment_is_pyprojects() -> None:
    assert rules.conda_complaints(CONDA, PROJECT) == []
    assert rules.conda_complaints(CONDA + "      - numpy\n", PROJECT)
    assert rules.conda_complaints(CONDA.replace("3.13", "3.10"), PROJECT)  # not promised
    assert rules.conda_complaints(CONDA.replace("=3.13", ">=3.11,<3.16"), PROJECT)  # Binder cannot read a range
