"""A whole module of the library, shown in a notebook: folded, coloured, with its length.

Idea        What is shown is read from the module that runs, so the page cannot be older than the code.
Invariant   Nothing is imported or run anew; the text is the file's, line by line.
When wrong  A module without a source file is refused.
See         notebooks/5_task_scheduler.ipynb · tests/workbook/test_source.py
"""

from __future__ import annotations

import inspect
from html import escape
from types import ModuleType

from arion_lib.units import how_many


class Source:
    """A module's text; a notebook shows it folded, with its first line as the title."""

    def __init__(self, module: ModuleType) -> None:
        self.path = module.__name__.replace(".", "/") + ".py"
        self.text = inspect.getsource(module)

    def __repr__(self) -> str:
        return f"{self.path}: {how_many(len(self.text.splitlines()), 'lines')}"

    def _repr_html_(self) -> str:
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        whole_words = (
            "white-space:pre-wrap;word-break:normal;overflow-wrap:anywhere"  # JupyterLab breaks lines anywhere
        )
        form = HtmlFormatter(noclasses=True, nobackground=True, style="default", prestyles=whole_words)
        code = highlight(self.text, PythonLexer(), form)
        style = "background:white;color:#222222;max-height:32em;overflow:auto;border:1px solid #999999;padding:0 1em"
        return (
            f"<details open><summary><code>{escape(repr(self))}</code></summary>"
            f'<div tabindex="0" role="region" aria-label="{escape(self.path)}" style="{style}">{code}</div></details>'
        )


def show_source(module: ModuleType) -> Source:
    """Return what shows the whole text of `module` as the value of a cell; tag the cell `nbval-ignore-output`.

    Raises `OSError` for a module without a source file, `TypeError` for one that is built in.

    >>> from arion_lib import units
    >>> repr(show_source(units)).partition(":")[0]
    'arion_lib/units.py'
    """
    return Source(module)
