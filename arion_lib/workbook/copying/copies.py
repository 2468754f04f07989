"""A learner's copies: written once, marked with what they came from, brought up to date without losing an answer.

Idea        Each cell of a copy carries the fingerprint of the text it was written with. So it is known later which
            cells the learner changed, which ones we changed, and which ones the learner added.
Invariant   An update loses nothing a learner wrote: it stays in its place, or directly below it; the old file is kept.
When wrong  A copy that cannot be read as a notebook is left alone, with a sentence.
See         arion_lib/workbook/copying/learner.py (the view itself) · tests/workbook/test_copies.py
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

from arion_lib.workbook.copying.learner import HERE, Notebook, text_of, view

STAMP = "arion"
"""The key, in the metadata of a copy and of its cells, of the fingerprint it was written with."""


def write(notebook: Path, folder: Path) -> str:
    """Write the learner view of the file `notebook` into `folder` and return a sentence about it.

    An existing file is left as it is, even when another program creates it at the same moment; the sentence says
    when its notebook has changed since.
    """
    fresh, target = stamped(view(json.loads(notebook.read_text("utf-8")))), folder / notebook.name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with target.open("x", encoding="utf-8", newline="\n") as file:
            file.write(_as_text(fresh))
    except FileExistsError:
        number = notebook.name.partition("_")[0]
        if is_older(target, fresh):
            where = "" if folder == Path("work") else f" --to {folder}"
            return (
                f"kept     {target}: the notebook has changed since this copy was made. "
                f"`python -m arion_lib learner {number}{where} --update` brings it up to date and keeps your answers"
            )
        return f"kept     {target} (it is yours: for a fresh copy name another folder with --to DIR)"
    return f"written  {target}"


def update(notebook: Path, folder: Path) -> str:
    """Bring the copy of `notebook` in `folder` up to date; return a sentence about it.

    What the learner wrote is kept (see `merged`), and the file as it was goes to `before-update-NAME` beside it.
    """
    target = folder / notebook.name
    if not target.exists():
        return write(notebook, folder)
    fresh = stamped(view(json.loads(notebook.read_text("utf-8"))))
    mine = _read(target)
    if mine is None:
        return f"kept     {target}: it cannot be read as a notebook, so it was left alone; move it away for a fresh one"
    if not is_older(target, fresh):
        return f"kept     {target}: it is up to date"
    backup = next(path for path in _backups(target) if not path.exists())
    temporary = target.with_suffix(".part")
    temporary.write_text(_as_text(merged(mine, fresh)), "utf-8", newline="\n")
    backup.write_bytes(target.read_bytes())
    temporary.replace(target)
    return f"updated  {target} (as it was: {backup.name})"


def is_older(target: Path, fresh: Notebook) -> bool:
    """Whether the copy in the file `target` was made from another version of its notebook than `fresh`."""
    mine = _read(target)
    return mine is not None and mine["metadata"].get(STAMP) != fresh["metadata"][STAMP]


def stamped(copy: Notebook) -> Notebook:
    """Return a learner's view with a fingerprint on it and on each of its cells."""
    copy = deepcopy(copy)
    for cell in copy["cells"]:
        cell["metadata"][STAMP] = _fingerprint(text_of(cell["source"]))
    copy["metadata"][STAMP] = _fingerprint("".join(cell["metadata"][STAMP] for cell in copy["cells"]))
    return copy


def merged(mine: Notebook, fresh: Notebook) -> Notebook:
    """Return `fresh` with what the learner wrote in `mine`.

    An answer and a prediction replace the blank one. Any other changed cell stays when its original is as it was;
    when that has changed too, the learner's goes directly below the new one. Cells that the learner added stay behind
    the cell they stood behind.
    """
    result = deepcopy(fresh)
    cells: list[Any] = result["cells"]
    places = {cell["id"]: cell for cell in cells if "id" in cell}
    by_answer = {name: cell for cell in cells if (name := answered(text_of(cell["source"])))}
    behind: dict[int, list[Any]] = {}
    last: Any = None
    for cell in mine["cells"]:
        given = cell["metadata"].get(STAMP)
        there = None
        if given is not None:
            there = by_answer.get(_defined(text_of(cell["source"]))) or places.get(cell.get("id"))
            if there is not None:
                last = there
            if _fingerprint(text_of(cell["source"])) == given:
                continue  # untouched: the new one takes its place, or none does
        if there is not None and (_is_blank(there) or there["metadata"][STAMP] == given):
            there["source"] = cell["source"]
        else:
            behind.setdefault(id(last), []).append(_own(cell))
    result["cells"] = [*behind.get(id(None), ())]
    for cell in cells:
        result["cells"] += [cell, *behind.get(id(cell), ())]
    _give_ids(result["cells"])
    return result


def answered(source: str) -> str:
    r"""Return the name of the function or class whose answer is left out in a cell of the view; else an empty text.

    >>> answered("def area(w, h):\n    # your code here\n    raise NotImplementedError")
    'area'
    """
    return _defined(source) if HERE in source else ""


def _defined(source: str) -> str:
    found = re.search(r"^(?:async\s+)?(?:def|class)\s+(\w+)", source, re.MULTILINE)
    return found.group(1) if found else ""


def _is_blank(cell: Any) -> bool:
    """Whether this cell of a view waits for what a learner writes: an answer, or a prediction."""
    source = text_of(cell["source"])
    return HERE in source or (cell["cell_type"] == "code" and "predict(" in source and "..." in source)


def _own(cell: Any) -> Any:
    """Return a learner's cell, no longer a copy of one of ours."""
    kept = deepcopy(cell)
    kept["metadata"].pop(STAMP, None)
    return kept


def _give_ids(cells: list[Any]) -> None:
    """Give each cell an id of its own where the format has them."""
    taken = {cell["id"] for cell in cells if STAMP in cell["metadata"] and "id" in cell}
    for cell in cells:
        if "id" in cell and STAMP not in cell["metadata"]:
            names = (cell["id"], *(f"mine-{number}" for number in range(len(cells) + len(taken) + 1)))
            cell["id"] = next(name for name in names if name not in taken)
            taken.add(cell["id"])


def _backups(target: Path) -> Iterator[Path]:
    yield target.with_name(f"before-update-{target.name}")
    number = 2
    while True:
        yield target.with_name(f"before-update-{number}-{target.name}")
        number += 1


def _read(target: Path) -> Notebook | None:
    try:
        found = json.loads(target.read_text("utf-8"))
        if isinstance(found["cells"], list) and isinstance(found["metadata"], dict):
            return dict(found)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def _as_text(notebook: Notebook) -> str:
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _fingerprint(text: str) -> str:
    """Return what changes when the code of a cell does; blanks at the ends of lines and of the cell do not count."""
    plain = "\n".join(line.rstrip() for line in text.rstrip().split("\n"))
    return hashlib.sha256(plain.encode()).hexdigest()[:12]
