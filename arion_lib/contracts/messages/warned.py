"""Warnings instead of errors: what `checks="warn"` does.

Idea        A warning is shown at the line that a reader can change: the call or the class statement, not a guard.
Invariant   No frame of this package or of a guard is named.
When wrong  With warnings turned into errors, the warning is raised like one.
See         tests/contracts/test_adoption.py
"""

from __future__ import annotations

import sys
import warnings
from types import FrameType


class ContractWarning(UserWarning):
    """What a class that says `checks="warn"` does against its contract."""


def warn(message: str) -> None:
    """Warn, in the name of the nearest frame outside this package: the caller, or the class statement."""
    frame = sys._getframe()
    while frame.f_back is not None and _is_ours(frame):
        frame = frame.f_back
    warnings.warn_explicit(
        message, ContractWarning, frame.f_code.co_filename, frame.f_lineno, frame.f_globals.get("__name__", "")
    )


def _is_ours(frame: FrameType) -> bool:
    return (
        frame.f_globals.get("__name__", "").startswith(("arion_lib.contracts.", "abc"))
        or "<contract" in frame.f_code.co_filename
    )
