"""What `doctor --try` does: start a kernel as JupyterLab would, and run a cell of each part in it.

Idea        The kernel is the one that the notebooks ask for by name; its first answer is which Python it is.
Invariant   Nothing stays: the kernel ends with the trial, and no file is written.
When wrong  One sentence: what failed, in which cell, and what to do about it.
See         README.md · tests/workbook/test_trial.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from arion_lib.workbook.running.hearing import hear_all

KERNEL = "python3"
"""The kernel's name in every notebook of the workbook."""

TIMEOUT = 60.0
"""Seconds that a cell may take, and the kernel's start."""

WHO = "import sys; print(sys.prefix)"
CELLS: Mapping[str, str] = {
    "a stream of records": """
from arion_lib.pipeline.ndjson import NdjsonDecoder
decoder = NdjsonDecoder()
assert decoder.feed(b'{"amount": 5}\\n') + decoder.close() == [{"amount": 5}]""",
    "resources that are closed": """
from arion_lib.resources import Resources
with Resources() as resources:
    pass""",
    "a class that is refused": """
from abc import abstractmethod
from arion_lib.contracts import contract
class Part(contract.Contract, kind="trial"):
    @abstractmethod
    def double(self, x: int) -> int: ...
try:
    class Wrong(Part):
        def double(self) -> int: return 0
except TypeError:
    pass
else:
    raise AssertionError("a wrong class must be refused")""",
    "a lazy collection": """
from arion_lib.lazy import lazy
assert lazy(range(10**9)).map(lambda n: n * n).take(3).to_list() == [0, 1, 4]""",
    "a task in another process": """
from arion_lib.scheduler import Scheduler
with Scheduler(workers=1) as scheduler:
    assert scheduler.submit(divmod, 7, 2).result(timeout=50) == (3, 1)""",
}
"""A cell of each part."""


@contextmanager
def _kept_unless_wrong() -> Iterator[IO[bytes]]:
    """Give a file for what a process says on its standard error; pass it on where an exception leaves the block."""
    with TemporaryFile() as said:
        try:
            yield said
        except BaseException:
            said.seek(0)
            sys.stderr.write(said.read().decode(errors="replace"))
            raise


def attempt(kernel: str = KERNEL, cells: Mapping[str, str] = CELLS, timeout: float = TIMEOUT) -> tuple[bool, str]:
    """Start a kernel, run the cells, end it; return whether all that works and a sentence about it.

    Args:
        kernel: the name of the kernel's specification.
        cells: the code to run, by what it shows.
        timeout: seconds for each cell.
    """
    try:
        from jupyter_client.kernelspec import NoSuchKernel
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
        from nbformat.v4 import new_code_cell, new_notebook
        from traitlets.config import Config
    except ImportError as error:
        return False, f"no kernel can be started: {error.name} is missing"
    began = time.monotonic()
    notebook: Any = new_notebook(cells=[new_code_cell(code) for code in (WHO, *cells.values())])  # type: ignore[no-untyped-call]
    quiet = Config({"KernelManager": {"transport_encryption": "auto"}})  # as `lab` does: no warning of ipykernel's
    client = hear_all(NotebookClient(notebook, timeout=int(timeout), kernel_name=kernel, config=quiet))
    try:
        with _kept_unless_wrong() as said:  # at its end a kernel speaks of tasks of its own
            client.execute(stderr=said)
    except NoSuchKernel:
        return False, f"there is no kernel {kernel!r}: {sys.executable} -m ipykernel install --sys-prefix makes one"
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        ran = sum(cell.execution_count is not None for cell in notebook.cells)
        name = ("its first cell", *cells)[max(0, ran - 1)]
        why = f"{error.ename}: {error.evalue}" if isinstance(error, CellExecutionError) else str(error)
        return False, f"a kernel started, but this failed: {name} ({why})"
    prefix = notebook.cells[0].outputs[0].text.strip()
    if not Path(prefix).samefile(sys.prefix):
        return False, (
            f"the kernel {kernel!r} runs another Python, the one in {prefix}: "
            f"`jupyter kernelspec remove {kernel}` takes that entry away, the notebooks then run in {sys.prefix}"
        )
    return True, f"a kernel started and ran {', '.join(cells)}: {time.monotonic() - began:.1f} s. The workbook works."
