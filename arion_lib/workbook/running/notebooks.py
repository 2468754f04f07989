"""The word `run`: execute notebooks as the tests do, as HTML to look at or to store their outputs anew.

Idea        nbval runs the cells, here as in the tests; only it compares nothing and what the cells say is kept.
Invariant   Storing twice writes the same file but for what is measured: times, counters and paths are made uniform.
When wrong  A notebook with a cell that fails is never stored; the cell and its traceback are shown, the exit code is 1.
See         tests/workbook/test_notebooks.py · conftest.py
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from arion_lib.setup.environment import NOTEBOOKS, ROOT
from arion_lib.units import how_many

if TYPE_CHECKING:
    import pytest
    from nbformat import NotebookNode

FOLDER = NOTEBOOKS
VOLATILE = frozenset({"execution", "collapsed", "scrolled", "jupyter", "ExecuteTime", "vscode", "trusted"})
"""Keys of a cell's metadata that tools write and nobody reads."""

WARNINGS = ("PYTHONWARNDEFAULTENCODING", "PYTHONWARNINGS", "PYTHONDEVMODE")
"""Variables by which Python warns of more than usual."""

WIDGET = "application/vnd.jupyter.widget-view+json"
PATH = re.compile(r"(?:~|/|\b[A-Za-z]:\\)[^\s:'\"\x1b]*?[/\\](?=(?:arion_lib|site-packages|python3\.\d+)[/\\])")
"""The part of a file's path that is this machine's alone."""

SCRIPTS = ("html_head_js_requirejs", "jupyter_widgets", "html_head_js_mathjax", "html_head_js_mermaidjs")
ALONE = "{% extends 'lab/index.html.j2' %}" + "".join(f"{{% block {name} %}}{{% endblock %}}" for name in SCRIPTS)
"""nbconvert's page without the scripts it would fetch from a host: the notebooks hold text, SVG and pictures."""


def select(numbers: Sequence[str], folder: Path = FOLDER) -> list[Path]:
    """Return the notebooks with these numbers, in the order asked for; all of them without numbers.

    Raises:
        ValueError: for a number that no notebook has.
    """
    there = {path.name.partition("_")[0]: path for path in sorted(folder.glob("[0-9]*_*.ipynb"))}
    for number in numbers:
        if number not in there:
            raise ValueError(f"N must be one of {', '.join(there) or '(no notebooks)'}, got {number!r}")
    return [there[number] for number in numbers or there]


class Recorder:
    """A pytest plugin: the cells keep what they print, nothing is compared, and a bar shows how far they are."""

    def __init__(self) -> None:
        from tqdm import tqdm

        self.bar = tqdm(unit="cell", file=sys.stderr)
        self.notebooks: dict[Path, NotebookNode] = {}
        self.failed: dict[Path, list[str]] = {}
        self.paths: dict[str, Path] = {}

    def pytest_itemcollected(self, item: Any) -> None:
        """Take the cell's stored outputs out of the game."""
        item.options["check"] = False
        item.cell.outputs, item.cell.execution_count = [], 0
        self.notebooks[item.path] = item.parent.nb
        self.paths[item.nodeid] = item.path
        self.bar.total = (self.bar.total or 0) + 1

    def pytest_collection_finish(self) -> None:
        """Begin to count the time: all cells are known."""
        self.bar.reset(self.bar.total)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Move the bar on, and remember what failed."""
        path = self.paths[report.nodeid]
        if report.failed:
            self.failed.setdefault(path, []).append(f"{report.nodeid}\n{report.longreprtext}")
        if report.when == "teardown":
            self.bar.set_description(path.stem, refresh=False)
            self.bar.update()

    def pytest_runtest_teardown(self, item: Any) -> None:
        """Keep what the cell printed, failed or not."""
        item.cell.outputs = list(item.test_outputs or [])


def execute(paths: Sequence[Path]) -> Recorder:
    """Run the notebooks, each in a kernel of its own, in its own folder, as the tests run them."""
    import pytest

    recorder = Recorder()
    options = [
        "-q",
        "-s",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:doctest",
        f"--rootdir={ROOT}",
        "-c",
        f"{ROOT / 'pyproject.toml'}",
    ]
    unwanted = ["-o", "addopts=--nbval --nbval-current-env --nbval-cell-timeout=120 --import-mode=importlib"]
    said = io.StringIO()
    with contextlib.closing(recorder.bar), contextlib.redirect_stdout(said), _usual_warnings():
        code = pytest.main([*options, *unwanted, *map(str, paths)], plugins=[recorder])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise SystemExit(said.getvalue() or int(code))
    return recorder


@contextlib.contextmanager
def _usual_warnings() -> Iterator[None]:
    """Have kernels warn as they usually do: what the caller's Python was asked to say besides is nothing to store."""
    kept = {name: os.environ.pop(name) for name in WARNINGS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(kept)


def uniform(notebook: NotebookNode) -> NotebookNode:
    """Take out what differs from run to run and machine to machine; count the code cells 1 to n."""
    notebook.metadata.pop("widgets", None)
    notebook.metadata["kernelspec"] = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook.metadata["language_info"] = {"name": "python"}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for count, cell in enumerate(code, start=1):
        cell.execution_count = count
        cell.outputs = [_uniform_output(output, count) for output in cell.outputs]
    for cell in notebook.cells:
        for key in VOLATILE & cell.metadata.keys():
            del cell.metadata[key]
    return notebook


def _uniform_output(output: NotebookNode, count: int) -> NotebookNode:
    if output.output_type == "execute_result":
        output.execution_count = count
    if "data" in output:
        output.data.pop(WIDGET, None)  # its state is not stored, so a reader would see nothing but an error
    if output.output_type == "error":
        output.traceback = [without_machine(line, count) for line in output.traceback]
    return output


def without_machine(line: str, count: int) -> str:
    r"""Return a line of a traceback without this machine's folders and this kernel's counter.

    >>> without_machine("File ~/books/arion_lib/lazy/page.py:3, Cell In[1], line 1", 7)
    'File arion_lib/lazy/page.py:3, Cell In[7], line 1'
    """
    return re.sub(r"\bIn\[\d+\]", f"In[{count}]", PATH.sub("", line))


def store(notebook: NotebookNode, path: Path) -> bool:
    """Write the notebook, made uniform; return whether the file changed."""
    import nbformat

    before = path.read_text(encoding="utf-8")
    after = str(nbformat.writes(uniform(notebook))) + "\n"  # type: ignore[no-untyped-call]
    path.write_text(after, encoding="utf-8", newline="\n")
    return after != before


def to_html(notebook: NotebookNode, path: Path) -> None:
    """Write the notebook as one HTML page that loads nothing from anywhere."""
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    exporter: Any = HTMLExporter  # untyped
    alone = exporter(extra_loaders=[DictLoader({"alone.html.j2": ALONE})], template_file="alone.html.j2")
    page, _ = alone.from_notebook_node(_without_widgets(notebook))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(page, encoding="utf-8")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m arion_lib run",
        description="Execute notebooks without a browser and write what they show as HTML.",
        epilog="example: python -m arion_lib run 1 2",
    )
    parser.add_argument("numbers", metavar="N", nargs="*", help="the notebooks' numbers (default: all)")
    parser.add_argument("--out", type=Path, default=ROOT / "work", help="folder of the HTML pages (default: work)")
    parser.add_argument("--update", action="store_true", help="store the outputs in the notebooks instead")
    return parser


def run(args: list[str]) -> int:
    """Execute what is asked for; exit code 1 when a cell fails."""
    options, paths = _understood(args)
    recorder = execute(paths)
    for path in paths:
        _finish(path, recorder, options)
    return 1 if recorder.failed else 0


def _without_widgets(notebook: NotebookNode) -> NotebookNode:
    """Return a copy where each widget is what it offers besides, its text at least: drawing it takes a script."""
    plain = copy.deepcopy(notebook)
    for cell in plain.cells:
        for output in cell.get("outputs", ()):
            output.get("data", {}).pop(WIDGET, None)
    return plain


def refuse_wrong(args: list[str]) -> None:
    """Leave by `SystemExit` as `run` would; needs nothing but the standard library."""
    _understood(args)


def _understood(args: list[str]) -> tuple[argparse.Namespace, list[Path]]:
    parser = _parser()
    options = parser.parse_args(args)
    try:
        return options, select(options.numbers)
    except ValueError as error:
        parser.error(str(error))


def _finish(path: Path, recorder: Recorder, options: argparse.Namespace) -> None:
    failures = recorder.failed.get(path, [])
    for failure in failures:
        print(failure, file=sys.stderr)
    if not options.update:
        to_html(recorder.notebooks[path], page := options.out / f"{path.stem}.html")
        print(page)
    elif failures:
        print(f"{path}: not stored, failing: {how_many(len(failures), 'cells')}", file=sys.stderr)
    else:
        print(f"{path}: {'stored' if store(recorder.notebooks[path], path) else 'unchanged'}")
