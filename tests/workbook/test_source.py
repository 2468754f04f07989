"""A module shown in a notebook is the module that runs, whole and readable without a mouse."""

from __future__ import annotations

import html
import inspect
import re
import sys

import pytest

from arion_lib import nearest
from arion_lib.workbook.source import show_source


def test_the_whole_text_is_shown_line_by_line() -> None:
    shown = show_source(nearest)
    text = html.unescape(re.sub(r"<[^>]+>", "", shown._repr_html_()))
    assert inspect.getsource(nearest).strip() in text
    assert repr(shown) == f"arion_lib/nearest.py: {len(inspect.getsource(nearest).splitlines())} lines"


def test_a_long_line_is_not_broken_inside_a_word() -> None:
    assert "word-break:normal" in show_source(nearest)._repr_html_()


def test_its_region_has_a_name_and_takes_the_keyboard() -> None:
    assert 'tabindex="0" role="region" aria-label="arion_lib/nearest.py"' in show_source(nearest)._repr_html_()


def test_a_module_without_a_file_is_refused() -> None:
    with pytest.raises(TypeError, match="built-in"):
        show_source(sys)
