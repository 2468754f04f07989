"""A cell that ends by an interrupt or by a slip of the pen says so in one screen, not in ten.

Idea        Who presses stop knows why the cell ends, and a prediction with a wrong unit is no fault of the library. So
            IPython shows the lines of the cells; the library's are left out. A name that is not defined mostly belongs
            to a cell above that has not run: a line below the error says so.
Invariant   Only these three are treated so; every other error keeps its whole traceback.
When wrong  Outside IPython nothing changes.
See         tests/workbook/test_interrupted.py
"""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from arion_lib.workbook.checking import last_cell
from arion_lib.workbook.record.predictions import PredictionError

KINDS = (KeyboardInterrupt, PredictionError, NameError)
_seen: list[object] = []


def show(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: Any = None) -> list[str]:
    """Show an error of `KINDS` by the frames of the cells alone; return the lines, as IPython wants it."""
    if isinstance(error, NameError):
        return _undefined(shell, kind, error, trace, tb_offset)
    _cut(trace, shell.user_ns)
    error.__suppress_context__ = True
    lines: list[str] = shell.InteractiveTB.structured_traceback(kind, error, trace, tb_offset=tb_offset)
    shell._showtraceback(kind, error, lines)
    return lines


def _undefined(shell: Any, kind: type[BaseException], error: NameError, trace: Any, tb_offset: Any) -> list[str]:
    """Show it whole, and below it what to do where a cell asks for a name that no cell has defined."""
    lines: list[str] = shell.InteractiveTB.structured_traceback(kind, error, trace, tb_offset=tb_offset)
    if isinstance(error, UnboundLocalError) or not error.name:
        hint = ""
    else:
        hint = last_cell.undefined(error.name, shell.user_ns.get("In", ()))
    shell._showtraceback(kind, error, [*lines, hint] if hint else lines)
    return lines


def _cut(trace: TracebackType | None, cells: dict[str, Any]) -> None:
    """End the traceback behind its first run of frames of cells."""
    while trace is not None:
        below = trace.tb_next
        mine = trace.tb_frame.f_globals is cells
        if mine and below is not None and below.tb_frame.f_globals is not cells:
            trace.tb_next = None
        trace = below


def watch() -> None:
    """Do so in the IPython shell of this process where there is one; once."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    if shell is not None and shell not in _seen:
        _seen.append(shell)
        shell.set_custom_exc(KINDS, show)
