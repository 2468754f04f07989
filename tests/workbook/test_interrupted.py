"""An interrupted cell shows its own lines."""

from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell

from arion_lib.workbook.checking import interrupted

CELL = """
from json import JSONDecoder
def stop(pairs):
    try:
        raise {error}
    except {error}:
        raise {error}("by the reader")
def parse():
    JSONDecoder(object_hook=stop).decode('{{"a": 1}}')
parse()
"""


def told(error: str, capsys: pytest.CaptureFixture[str], short: bool) -> str:
    """What the shell shows of a cell that ends in `error`, some files of other people deep."""
    shell = InteractiveShell()
    shell.run_line_magic("colors", "nocolor")
    if short:
        shell.set_custom_exc((KeyboardInterrupt,), interrupted.show)
    shell.run_cell(CELL.format(error=error))
    return capsys.readouterr().out


def test_an_interrupt_shows_the_cells_lines_and_no_others(capsys: pytest.CaptureFixture[str]) -> None:
    shown = told("KeyboardInterrupt", capsys, short=True)
    assert "parse()" in shown
    assert "KeyboardInterrupt" in shown
    assert "decoder.py" not in shown
    assert "During handling" not in shown
    assert len(shown) < 1_000


def test_the_control_ipython_itself_shows_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert "decoder.py" in told("KeyboardInterrupt", capsys, short=False)


def test_another_error_keeps_its_whole_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert "decoder.py" in told("ValueError", capsys, short=True)
