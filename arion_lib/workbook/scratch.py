"""Folders for a notebook's files, gone when the notebook is.

Idea        One temporary root a notebook; its processes find it in the environment and add to it.
Invariant   The root is removed by the process that made it, and by no other.
When wrong  A kernel that is killed leaves its root in the temporary folder; `remove_folders` takes it away earlier.
See         every notebook · tests/workbook/test_scratch.py
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

_ROOT = "ARION_SCRATCH"


def new_folder() -> Path:
    """Make an empty folder under the notebook's temporary root and return it; every call gives another one."""
    root = os.environ.get(_ROOT)
    if root is None or not Path(root).is_dir():
        root = os.environ[_ROOT] = tempfile.mkdtemp(prefix="arion-")
        atexit.register(_remove, root, os.getpid())
    return Path(tempfile.mkdtemp(dir=root))


def remove_folders() -> None:
    """Remove all folders that `new_folder` made; what is still open on Windows stays until the process ends."""
    root = os.environ.pop(_ROOT, None)
    if root is not None:
        _remove(root, os.getpid())


def _remove(root: str, owner: int) -> None:
    if os.getpid() == owner:  # a forked child runs its parent's exit functions
        shutil.rmtree(root, ignore_errors=True)
