"""A library's log as lines of a cell's output, while a block runs.

Idea        A handler is added and taken away again by one context manager, so no cell leaves it to the next one.
Invariant   After the block, however it ends, the logger has the handlers and the level that it had before.
When wrong  A record without a field that the form names is told by logging itself, on the standard error.
See         notebooks/2_resource_manager.ipynb · tests/workbook/test_log_lines.py
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def log_lines(name: str, form: str, level: int = logging.INFO) -> Iterator[None]:
    """Print what the logger `name` says from `level` on, a line a record in this form (as `logging.Formatter`)."""
    log, lines = logging.getLogger(name), logging.StreamHandler(sys.stdout)
    lines.setFormatter(logging.Formatter(form))
    before = log.level
    log.addHandler(lines)
    log.setLevel(level)
    try:
        yield
    finally:
        log.removeHandler(lines)
        log.setLevel(before)
