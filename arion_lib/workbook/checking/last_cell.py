"""Was the answer that is judged the one the reader sees? A cell with a syntax error leaves the old one in place.

Idea        IPython tells when a cell has run, and how it ended; the names that failing cells would have defined are
            kept until a cell that defines them succeeds.
Invariant   Outside IPython, and for cells that succeed, nothing is said.
When wrong  A cell that cannot be parsed is searched for `def NAME` and `class NAME` line by line.
See         arion_lib/workbook/checking/checks.py · tests/workbook/test_last_cell.py
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import Any

_DEFINES = re.compile(r"^(?:async\s+)?(?:def|class)\s+(\w+)", re.MULTILINE)
_failed: dict[str, str] = {}
_seen: list[object] = []


def failed_to_define(name: str) -> str:
    """Return a warning where the last cell that defines `name` failed, so that an older definition stands; else ''."""
    kind = _failed.get(name)
    if not kind:
        return ""
    return (
        f"(the cell that defines {name} ended with {kind}, so its version before is judged here: "
        "repair that cell, run it, then run this one)"
    )


def undefined(name: str, ran: Sequence[str]) -> str:
    """Say what to do about a name that is not defined, given the texts of the cells that have run.

    >>> undefined("cut", ['check("1.1", cut)'])
    '(no cell that defines cut has run: run the cells above first, from the top)'
    >>> undefined("bodies", ["max(bodies)"])
    '(if a cell above defines bodies, run the cells from the top; if not, look at the spelling)'
    """
    if kind := _failed.get(name):
        return f"(the cell that defines {name} ended with {kind}: repair that cell, run it, then run this one)"
    if any(re.search(rf"^check\(.*\b{name}\)", text, re.MULTILINE) for text in ran[-1:]):
        return f"(no cell that defines {name} has run: run the cells above first, from the top)"
    return f"(if a cell above defines {name}, run the cells from the top; if not, look at the spelling)"


def after(result: Any) -> None:
    """Take in how a cell ended: IPython's event `post_run_cell`."""
    error = result.error_before_exec or result.error_in_exec
    for name in _DEFINES.findall(getattr(result.info, "raw_cell", None) or ""):
        if error is None:
            _failed.pop(name, None)
        elif result.error_before_exec is not None:
            _failed[name] = type(error).__name__  # nothing of the cell ran


def watch() -> None:
    """Listen to the IPython shell of this process where there is one; once."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    if shell is not None and shell not in _seen:
        _seen.append(shell)
        shell.events.register("post_run_cell", after)


watch()
