"""Put a fault into a function of the library, for a moment: the control of a test that was written for that fault.

A test that passes with its fault in place shows nothing; `fails_with` says so.
"""

from __future__ import annotations

import contextlib
import gc
import inspect
import itertools
import linecache
import textwrap
import threading
import warnings
from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any

import pytest

_numbers = itertools.count(1)


@contextlib.contextmanager
def fault(function: Any, right: str, wrong: str) -> Iterator[None]:
    """Replace `right` by `wrong` in the source of a function without closure, and run that instead."""
    function = inspect.unwrap(getattr(function, "__func__", function))
    assert isinstance(function, FunctionType)
    source, name = textwrap.dedent(inspect.getsource(function)), function.__qualname__
    assert source.count(right) == 1, f"{name} must have {right!r} once, has it {source.count(right)} times"
    lines = source.replace(right, wrong).splitlines()
    while lines[0].startswith("@"):
        del lines[0]
    text = "\n".join(["from __future__ import annotations", *lines])
    file = f"<fault {next(_numbers)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)  # another fault may be put on top
    code = compile(text, file, "exec")
    made: dict[str, Any] = {}
    exec(code, function.__globals__, made)  # noqa: S102 - the library's own text
    before, function.__code__ = function.__code__, made[function.__name__].__code__
    try:
        yield
    finally:
        function.__code__ = before
        linecache.cache.pop(file, None)


def fails_with(faults: list[tuple[Any, str, str]], test: Callable[[], object]) -> None:
    """Require that `test` fails while these faults are in place, and leave nothing behind of what it left open.

    It runs in a thread of its own: there, a block that is never left changes nothing about how Ctrl-C is heard.
    """
    passed = []

    def attempt() -> None:
        try:
            test()
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - in whatever way it fails
            return
        passed.append(True)

    with contextlib.ExitStack() as stack:
        for one in faults:
            stack.enter_context(fault(*one))
        thread = threading.Thread(target=attempt)
        thread.start()
        thread.join()
    with warnings.catch_warnings(action="ignore"):  # of what was never left
        gc.collect()
    if passed:
        pytest.fail("the test passes with its fault in place")
