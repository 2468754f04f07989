"""An interrupted cell shows its own lines."""

from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell

from arion_lib.workbook.checking import interrupted, last_cell

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
        shell.set_custom_exc(interrupted.KINDS, interrupted.show)
    shell.run_cell(CELL.format(error=error))
    return capsys.readouterr().out


@pytest.fixture
def shell() -> InteractiveShell:
    shell = InteractiveShell()
    shell.run_line_magic("colors", "nocolor")
    shell.set_custom_exc(interrupted.KINDS, interrupted.show)
    shell.events.register("post_run_cell", last_cell.after)
    shell.run_cell("from arion_lib.workbook import check, predict")
    return shell


def test_a_wrong_prediction_shows_the_cell_and_what_to_write(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell('predict("peak", 60, "mb")')
    shown = capsys.readouterr().out
    assert "did you mean MB?" in shown
    assert "predictions.py" not in shown
    assert len(shown.splitlines()) < 12


def test_a_check_before_its_answer_has_run_says_what_to_run(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    shell.run_cell('check("1.1", cut)', store_history=True)
    assert "(no cell that defines cut has run: run the cells above first, from the top)" in capsys.readouterr().out
    shell.run_cell("def cut(chunks)\n    return chunks", store_history=True)
    capsys.readouterr()
    shell.run_cell('check("1.1", cut)', store_history=True)
    assert "(the cell that defines cut ended with SyntaxError: repair that cell" in capsys.readouterr().out
    shell.run_cell("def cut(chunks):\n    return chunks", store_history=True)
    shell.run_cell('check("1.1", cut)', store_history=True)
    assert "[ no ] 1.1 cut" in capsys.readouterr().out  # the control: it is defined now


def test_a_name_that_no_cell_defined_may_be_a_slip(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    shell.run_cell("print(bodies)", store_history=True)
    shown = capsys.readouterr().out
    assert "NameError: name 'bodies' is not defined" in shown
    assert "if a cell above defines bodies, run the cells from the top" in shown


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
