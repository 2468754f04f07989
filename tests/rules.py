"""The rules of the house as functions: each takes a text or a notebook and returns what is wrong with it."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

PARTS = frozenset({"pipeline", "resources", "contracts", "lazy", "scheduler"})
GROUND = frozenset({"histogram", "interrupting", "listed", "masking", "nearest", "short_repr", "units"})
"""The ground floor: files directly in the package that everything may import and that import nothing of ours."""
MAY_IMPORT = {
    **{part: {part} for part in PARTS},
    "measure": {"measure"},
    "setup": {"setup"},
    "workbook": {"workbook", "measure", "setup"},
    "workbook/exercises": {"workbook", "measure", *PARTS},  # they belong to the notebooks, which may use everything
    "workbook/tables": {"workbook", *PARTS},  # so do these: the same faults, put to several tools
    "web": {"web", *PARTS},
    "bench": {"bench", "measure", "web", *PARTS},  # the webhook is measured as it is served
    "": {"setup"},  # __main__.py
}
"""Which of our folders the files of a folder may import."""

HOMES = {
    "matplotlib": {"measure/canvas.py"},
    "ipywidgets": {"workbook/monitor.py", "workbook/scheduler_monitor.py"},
    "rich": {"web/scheduling/top.py"},
    "nbval": {"workbook/running/strict.py"},
    "nbconvert": {"workbook/running/notebooks.py", "workbook/site/cells.py"},
    "uvicorn": {"web/edge/server.py", "web/edge/protocol.py"},
    "prometheus_client": {"web/monitoring/metrics.py", "scheduler/monitoring/exporters.py"},
    "redis": {"pipeline/queues/redis_queue.py", "resources/connections/cache.py"},
    "pika": {"pipeline/queues/rabbit_queue.py"},
    "psycopg": {
        "pipeline/stores/postgres_connections.py",
        "resources/connections/database_postgres.py",
    },
    "psycopg_pool": {"pipeline/stores/postgres_connections.py", "resources/connections/database_postgres.py"},
    "aiosqlite": {"resources/connections/database.py"},
    "httpx": {"resources/connections/api.py"},
    "opentelemetry": {"resources/monitoring/exporters.py"},
    "beartype": {"contracts/checks/predicates.py"},
    "ijson": {"pipeline/formats/documents.py"},
    "cronsim": {"scheduler/submitting/times.py"},
    "distributed": {"scheduler/dask/link.py", "scheduler/dask/plugin.py"},
}
"""The files that may import a heavy library."""

MEASURE_PEERS = {"bench", "workbook/tables"}
"""Folders that set any library beside ours."""

HEAVY = {*HOMES, "pandas", "numpy", "polars", "duckdb", "dask", "distributed", "fastapi", "IPython", "pytest"} - {
    "ijson"
}
"""What no import of a part brings along: it is imported where it is used."""

ELSEWHERE = {"workbook/running/strict.py", "scheduler/dask/plugin.py"}
"""Files that only another program imports: pytest with nbval, a dask worker."""

LABELS = ("Idea", "Invariant", "When wrong", "See")
MOST_LINES = 15
MOST_SET_UP_LINES = 6
MOST_BYTES = 400_000
SHORT, MOST_LONGER, MOST_CELLS, MOST_MINUTES, FIRST_CHECK = 8, 1, 60, 55, 20
"""The rhythm of a notebook: lines of a code cell, how many may have more (the one that is its heart), and so on."""
QUESTION = r"^(\d)\. .+\?\n +<details><summary>Answer</summary>.+</details>$"
BARE_VERDICT = re.compile(r"\b(?:True|False)[]})]*$")
QUANTITY = r"(?<![\w.,])(\d[\d,]*(?:\.\d+)?)\s?(?:[KMG]i?B|kB|ms|µs|us|ns|seconds|minutes|s|x|times|%)(?!\w)"
FOLDERS = (
    "home",
    "Users",
    "root",
    "work",
    "workspace",
    "workspaces",
    "builds",
    "__w",
    "mnt",
    "tmp",
    "private/var",
    "opt",
)
MACHINE = re.compile(rf"(?:/(?:{'|'.join(FOLDERS)})/|[A-Z]:\\\\?Users)[^\s\"']*")


def imports(source: str) -> Iterator[str]:
    """Yield the full name of each module that a source imports, but for those that only a type checker reads."""
    for node in _executed(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names if module == "arion_lib")


def _executed(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from _executed(child)


def forbidden_imports(path: str, source: str) -> list[str]:
    """Check who imports whom; `path` is relative to the package, as in `lazy/engine.py`."""
    folder = PurePosixPath(path).parts[0] if "/" in path else ""
    folder = next((home for home in MAY_IMPORT if "/" in home and path.startswith(f"{home}/")), folder)
    on_the_ground = PurePosixPath(path).stem in GROUND and not folder
    allowed, found = (set() if on_the_ground else MAY_IMPORT.get(folder, set()) | GROUND), []
    for name in imports(source):
        top, _, rest = name.partition(".")
        if name.startswith("."):
            found.append(f"{path}: relative import of {name}: write the full name, it is the map")
        elif top == "arion_lib" and rest not in ("", "__version__") and rest.split(".")[0] not in allowed:
            found.append(f"{path}: {folder or 'the top'} must not import {name}")
        elif top in HOMES and folder not in MEASURE_PEERS and path not in HOMES[top]:
            found.append(f"{path}: {top} may be imported in {', '.join(sorted(HOMES[top]))} only")
        elif top in ("fastapi", "starlette", "uvicorn") and folder not in ("web", "bench"):
            found.append(f"{path}: the web framework belongs into web")
    return found


def missing_labels(path: str, source: str) -> list[str]:
    """Check the module docstring: a first line, then the four labels in order, each with words of its own."""
    text = ast.get_docstring(ast.parse(source)) or ""
    starts = [re.search(rf"^{label}\s+\S", text, re.MULTILINE) for label in LABELS]
    places = [start.start() for start in starts if start]
    if len(places) < len(LABELS) or places != sorted(places) or places[0] == 0:
        return [f"{path}: the docstring must have a first line, then {', '.join(LABELS)}"]
    return []


def prints(path: str, source: str) -> list[str]:
    """Check that a module of the library does not print."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    lines = [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
    return [f"{path}:{line}: only bench, workbook and the command line print" for line in lines]


def text_of(value: str | list[str]) -> str:
    """Join what a notebook file may hold as a list of lines."""
    return value if isinstance(value, str) else "".join(value)


def notebook_complaints(notebook: dict[str, Any]) -> list[str]:
    """Check a notebook's hygiene: everything that reads one cell at a time."""
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    found = []
    if [cell["execution_count"] for cell in code] != list(range(1, len(code) + 1)):
        found.append("code cells must be counted 1 to n: python -m arion_lib run --update")
    if code and _lines(code[0]) > MOST_SET_UP_LINES:
        found.append(f"the set-up cell must have at most {MOST_SET_UP_LINES} lines, got {_lines(code[0])}")
    for cell in code:
        found += [f"cell {cell['execution_count']}: {what}" for what in cell_complaints(cell)]
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "markdown" and re.search(r"!\[\s*\]\(|<img(?![^>]*alt=.\w)", text_of(cell["source"])):
            found.append(f"markdown cell {number}: a picture without alt text")
    return found


def rhythm_complaints(notebook: dict[str, Any], minutes: float) -> list[str]:
    """Check the rhythm: what a learner sees of a notebook, and the `minutes` to read and run it.

    Cells behind the heading "More" are optional; they are not counted, but kept as short as the others.
    """
    cells = [(cell["cell_type"], text_of(cell["source"])) for cell in notebook["cells"]]
    more = next((n for n, (_, text) in enumerate(cells) if re.search(r"^## More", text, re.MULTILINE)), len(cells))
    code = [text for kind, text in cells if kind == "code"]
    given = [text for text in code if "raise NotImplementedError" not in text]  # an exercise's skeleton may be longer
    longer = [text for text in given if sum(bool(line.strip()) for line in text.splitlines()) > SHORT]
    first = next((n for n, (_, text) in enumerate(cells) if re.search(r"^check\(", text, re.MULTILINE)), len(cells))
    wide = [line for text in code for line in text.splitlines() if len(line) > 100]
    found = [f"a line of code over 100 columns: {line}" for line in wide]
    if len(longer) > MOST_LONGER:
        found.append(f"at most {MOST_LONGER} code cell over {SHORT} lines, got {len(longer)}: {longer}")
    if first > FIRST_CHECK:
        found.append(f"the first check must stand within the first {FIRST_CHECK} cells, it is number {first}")
    if more > MOST_CELLS:
        found.append(f"at most {MOST_CELLS} cells, got {more}")
    if minutes > MOST_MINUTES:
        found.append(f"at most {MOST_MINUTES} minutes to read and run, got {minutes}")
    return found


def question_complaints(notebook: dict[str, Any]) -> list[str]:
    """Check the form of the five questions, where a notebook has them."""
    texts = [text_of(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    found = []
    for text in texts:
        _, heading, below = text.partition("## Five questions\n")
        questions = re.findall(QUESTION, below.partition("\n## ")[0], re.MULTILINE)
        if heading and questions != ["1", "2", "3", "4", "5"]:
            found.append(f"five questions, numbered, each with a folded answer; in this form are {questions}")
    return found


def prose_complaints(notebook: dict[str, Any]) -> list[str]:
    """Check that prose gives no figure which neither code nor an output of the notebook holds: it would go stale.

    What an instructor reads, and what stands behind the heading "More", may.
    """
    cells = notebook["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    made = "".join(text_of(cell["source"]) + json.dumps(cell["outputs"]) for cell in code)
    plain = re.sub(r"(?<=\d)[_,](?=\d)", "", made)
    found = []
    for cell in cells:
        text = text_of(cell["source"])
        if cell["cell_type"] != "markdown" or "instructor" in cell["metadata"].get("tags", ()):
            continue
        if re.search(r"^## More", text, re.MULTILINE):
            break
        for match in re.finditer(QUANTITY, text):
            number = re.escape(match.group(1).replace(",", ""))
            if not re.search(rf"(?<![\d.]){number}(?!\d)", plain):
                found.append(f"prose says {match.group()!r}, and no cell shows it")
    return found


def _lines(cell: dict[str, Any]) -> int:
    return sum(bool(line.strip()) for line in text_of(cell["source"]).splitlines())


def cell_complaints(cell: dict[str, Any]) -> Iterator[str]:
    """Check one code cell and what it shows."""
    source = text_of(cell["source"])
    if not source.strip():
        yield "an empty cell"
    if source.rstrip().endswith(";"):
        yield "a trailing `;` hides nothing from nbval: end the cell with a call that returns None"
    if _lines(cell) > MOST_LINES:
        yield f"at most {MOST_LINES} lines, got {_lines(cell)}"
    yield from constant_titles(source)
    for output in cell["outputs"]:
        yield from output_complaints(output)


def constant_titles(source: str) -> Iterator[str]:
    """Check that a figure's title is computed: a finding that is written down stays when the data change."""
    for call in (node for node in ast.walk(_tree(source)) if isinstance(node, ast.Call)):
        drawn = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "plots"
        if isinstance(call.func, ast.Attribute) and drawn and call.func.attr != "text_bars":
            place = {"ratio_bars": 2, "peak_by_input_and_output": 2}.get(call.func.attr, 1)
            titles = [*call.args[place : place + 1], *(word.value for word in call.keywords if word.arg == "title")]
            said = [title.value for title in titles if isinstance(title, ast.Constant) and isinstance(title.value, str)]
            yield from (f"a figure's title must be computed from its data: {title}" for title in said)


def _tree(source: str) -> ast.AST:
    try:
        return ast.parse(source)
    except SyntaxError:  # a magic
        return ast.Module([], [])


def output_complaints(output: dict[str, Any]) -> Iterator[str]:
    """Check one output: alt text on figures, no folders of the machine that made it."""
    data = output.get("data", {})
    alt = output.get("metadata", {}).get("image/png", {}).get("alt", "")
    html = text_of(data.get("text/html", ""))
    if "image/png" in data and len(alt.split()) < 3 and len(text_of(data.get("text/plain", "")).split()) < 3:
        yield "a figure without alt text"
    if re.search(r"<img(?![^>]*\balt=[\"'][^\"']{5,})", html):
        yield "an <img> without alt text"
    if re.search(r"<svg(?![^>]*\baria-label=[\"'][^\"']{5,})", html) and "<title" not in html:
        yield "an <svg> without a label"
    if output.get("output_type") == "stream":
        lines = text_of(output["text"]).splitlines()
        yield from (f"a verdict without its number: {line}" for line in lines if BARE_VERDICT.search(line))
    readable = [text_of(value) for mime, value in data.items() if mime.startswith("text/")]
    readable += [text_of(output.get("text", "")), text_of(output.get("evalue", "")), *output.get("traceback", [])]
    for text in readable:
        yield from (f"a path of this machine: {match.group()}" for match in MACHINE.finditer(text))


def lock_complaints(lock: str, project: str) -> list[str]:
    """Check the lock: a hash for every file, no host, every dependency of every list of pyproject."""
    table = tomllib.loads(project)["project"]
    wanted = [line for group in [table["dependencies"], *table["optional-dependencies"].values()] for line in group]
    locked = {_canonical(line.split("==")[0]) for line in lock.splitlines() if re.match(r"[\w.-]+(\[.*\])?==", line)}
    found = [f"{name} is not in the lock" for name in sorted(_names(wanted) - locked)]
    if re.search(r"https?://|--(?:extra-)?index-url|--find-links|file:", lock):
        found.append("the lock must name no host")
    blocks = re.split(r"\n(?=\S)", lock.strip())
    found += [
        f"no hash: {block.splitlines()[0]}" for block in blocks if "==" in block and "--hash=sha256:" not in block
    ]
    return found


def _names(requirements: Iterable[str]) -> set[str]:
    return {_canonical(re.split(r"[\s\[<>=!~;]", line)[0]) for line in requirements}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def conda_complaints(environment: str, project: str) -> list[str]:
    """Check that conda's environment is one promised Python, pip, and the lock: nothing of its own.

    One, as Binder reads it (`python=X.Y`): of a range it makes an environment with the Python that it takes by default.
    """
    lines = [line.strip() for line in environment.splitlines() if line.strip().startswith("- ")]
    table = tomllib.loads(project)["project"]
    promised = [line.rpartition(" ")[2] for line in table["classifiers"] if "Python :: 3." in line]
    python = next((f"- python={one}" for one in promised if f"- python={one}" in lines), "- python=X.Y")
    expected = ["- conda-forge", "- nodefaults", python, "- pip", "- pip:", "- -r requirements.lock"]
    return [] if lines == expected else [f"environment.yml must list {expected}, got {lines}"]


def modules(package: Path) -> list[tuple[str, str]]:
    """Return each module of the package: its path inside, with slashes, and its source."""
    files = sorted(path for path in package.rglob("*.py") if "__pycache__" not in path.parts)
    return [(path.relative_to(package).as_posix(), path.read_text(encoding="utf-8")) for path in files]
