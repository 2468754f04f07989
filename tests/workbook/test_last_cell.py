"""A check says when the answer it judges is not the one that stands in the cell."""

from __future__ import annotations

from types import SimpleNamespace

from IPython.core.interactiveshell import InteractiveShell

from arion_lib.workbook.checking import last_cell


def ended(source: str, *, before: BaseException | None = None, during: BaseException | None = None) -> None:
    last_cell.after(
        SimpleNamespace(error_before_exec=before, error_in_exec=during, info=SimpleNamespace(raw_cell=source))
    )


def test_a_syntax_error_leaves_the_old_answer_and_the_check_says_so() -> None:
    ended("def cut(x):\n    retrun x", before=SyntaxError())
    said = last_cell.failed_to_define("cut")
    assert "ended with SyntaxError" in said
    assert "its version before is judged here" in said
    assert "repair that cell, run it, then run this one" in said
    assert last_cell.failed_to_define("other") == ""
    ended("def cut(x):\n    return x")
    assert last_cell.failed_to_define("cut") == ""


def test_a_cell_that_fails_after_its_definition_has_defined_it() -> None:
    ended("async def late():\n    pass\n1/0", during=ZeroDivisionError())
    assert last_cell.failed_to_define("late") == ""


def test_ipython_itself_tells() -> None:
    shell = InteractiveShell()
    shell.events.register("post_run_cell", last_cell.after)
    shell.run_cell("class Told:\n    x = = 1")
    assert "SyntaxError" in last_cell.failed_to_define("Told")
    shell.run_cell("class Told:\n    x = 1")
    assert last_cell.failed_to_define("Told") == ""
