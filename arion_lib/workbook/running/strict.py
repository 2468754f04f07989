"""A pytest plugin that closes nbval's silent gaps: how the tests run the notebooks.

Idea        A stored output is a claim; each way in which nbval would not notice that it is untrue becomes a failure.
Invariant   A cell passes only when it ran, ended in time, warned of nothing and printed what is stored (or has a tag).
When wrong  The failing test is the cell: `notebooks/1_streaming_pipeline.ipynb::Cell 7`.
See         conftest.py · tests/workbook/test_strict.py · `python -m arion_lib run --update` stores the outputs anew
"""

from __future__ import annotations

import time
from collections.abc import Generator
from queue import Empty

import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell

from arion_lib.setup.environment import ROOT, find_project

SANITIZE = ROOT / "notebooks" / "sanitize.cfg"
LOOK = 1.0
"""Seconds between two looks at whether the kernel is still alive."""

PREAMBLE = "import warnings; warnings.simplefilter('error'); del warnings"
"""What each kernel runs first: warnings are errors in the notebooks too."""


class StrictKernel(RunningKernel):  # type: ignore[misc]  # nbval has no types
    """A kernel whose death is noticed within `LOOK` seconds, not when the cell's time is up."""

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """Wait for the reply to a message.

        Raises:
            queue.Empty: after `timeout` seconds.
            RuntimeError: when the kernel died.
        """
        deadline = time.monotonic() + (timeout or float("inf"))
        while True:
            try:
                super().await_reply(msg_id, timeout=LOOK)
            except Empty:
                if not self.is_alive():
                    raise RuntimeError("the kernel died in this cell") from None
                if time.monotonic() > deadline:
                    raise
            else:
                return


def pytest_configure(config: pytest.Config) -> None:
    """Set what nbval would otherwise look for in the working folder."""
    find_project()  # kernels import arion_lib whether it is installed or not
    if config.option.nbval_sanitize_with is None:
        config.option.nbval_sanitize_with = str(SANITIZE)


@pytest.hookimpl(trylast=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Make a notebook's kernel strict before its first cell."""
    if isinstance(item, IPyNbCell) and not isinstance(item.parent.kernel, StrictKernel):
        kernel = item.parent.kernel
        kernel.__class__ = StrictKernel  # nbval names its class in the middle of a method: there is no other door
        kernel.await_reply(kernel.kc.execute(PREAMBLE, silent=True), timeout=60)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Look again at the cell that nbval found good."""
    yield
    if isinstance(item, IPyNbCell):
        refuse_silence(item)


def refuse_silence(item: IPyNbCell) -> None:
    """Fail the cell that nbval let pass: not compared, not raising as its tag says, or calling an unknown magic."""
    outputs = item.test_outputs or []
    if item.path.parent.name == "notebooks" and item.cell.execution_count is None:
        pytest.fail(
            "a cell without an execution count is not compared: store its outputs by `python -m arion_lib run --update`"
        )
    if item.options["check_exception"] and not any(output.output_type == "error" for output in outputs):
        pytest.fail("the cell is tagged raises-exception, but nothing was raised")
    for output in outputs:
        if output.output_type == "stream" and output.name == "stderr" and "UsageError:" in output.text:
            pytest.fail(output.text)
