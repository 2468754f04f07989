"""Looking at a pipeline runs nothing but the preview, and that says so."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from arion_lib.lazy import lazy
from tests.lazy.counted import Counted


def parse(x: int) -> int:
    return x


def html(c: Any) -> str:
    text: str = c._repr_html_()
    return text


def test_repr_is_the_expression_and_runs_nothing() -> None:
    source = Counted(range(9))
    c = lazy(source).map(parse).filter(lambda x: x > 3).take(2)
    assert repr(c) == "lazy(Counted).map(parse).filter(lambda).take(2)"
    assert source.passes == 0


def test_a_long_pipeline_is_shortened_in_the_middle() -> None:
    c: Any = lazy([1])
    for _ in range(5_000):
        c = c.map(parse)
    assert len(repr(c)) < 400
    assert "4988 more" in repr(c)
    assert len(c.explain().splitlines()) < 50


def test_explain_shows_the_plan_before_and_after_push_down() -> None:
    plan = lazy(range(100)).skip(3).map(parse).filter(bool).page(2, 5).explain()
    assert [line.split() for line in plan.splitlines()] == [
        ["as", "written", "as", "run"],
        ["range(0,", "100)", "range(0,", "100)[3:]"],
        ["skip(3)", "map(parse)"],
        ["map(parse)", "filter(bool)"],
        ["filter(bool)", "take(10)"],
        ["page(2,", "5)", "skip(5)"],
    ]


def test_explain_with_code_shows_the_function_that_runs() -> None:
    text = lazy(range(100)).map(parse).explain(code=True)
    assert "def run(" in text
    assert "f0(x)" in text


def test_the_preview_shows_ten_and_says_so() -> None:
    source = Counted(itertools.count())
    text = html(lazy(source).map(parse))
    assert text.count("<li>") == 10
    assert "a preview: the first 10 elements" in text
    assert source.pulled == 11


def test_a_short_collection_is_shown_whole() -> None:
    assert "all 2 elements" in html(lazy([1, 2]))


def test_the_preview_of_a_filter_that_never_passes_ends() -> None:
    source = Counted(itertools.count())
    text = html(lazy(source).filter(lambda x: False))
    assert "0 elements come from the first 1,000 of the source" in text
    assert source.pulled == 1_001


def test_the_preview_of_a_far_page_reads_the_page() -> None:
    assert "<code>5000000</code>" in html(lazy(range(10**7)).map(parse).page(100_001, 50))


def test_the_preview_leaves_a_one_shot_source_alone() -> None:
    c = lazy(iter([1, 2]))
    assert "no preview: it would use up the one-shot source" in html(c)
    assert c.to_list() == [1, 2]


def test_the_preview_starts_neither_sorting_nor_workers() -> None:
    assert "no preview: sort would read" in html(lazy(itertools.count).sort())
    assert "no preview: it would start workers" in html(lazy([1]).map(parse, threads=2))


def test_an_error_in_a_preview_is_shown_and_markup_is_escaped() -> None:
    assert "no preview: ZeroDivisionError" in html(lazy([0]).map(lambda x: 1 // x))
    assert "<b>" not in html(lazy(["<b>bold</b>"]))


def test_a_progress_bar_counts_what_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert lazy(range(7)).map(parse).progress("rows").filter(lambda x: x > 2).to_list() == [3, 4, 5, 6]
    shown = capsys.readouterr().err
    assert "rows" in shown
    assert "7/7" in shown


def test_a_progress_bar_knows_no_total_behind_a_filter(capsys: pytest.CaptureFixture[str]) -> None:
    assert lazy(range(7)).filter(parse).progress().count() == 6
    shown = capsys.readouterr().err
    assert "6 [" in shown
    assert "/7" not in shown


def test_no_bar_library_is_needed_without_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tqdm.auto", None)
    assert lazy([1]).map(parse).to_list() == [1]

    def rows() -> Iterator[int]:
        yield 1

    with pytest.raises(ImportError):
        lazy(rows).progress().to_list()
