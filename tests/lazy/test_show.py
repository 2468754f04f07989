"""Looking at a pipeline runs nothing."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from arion_lib.lazy import lazy
from tests.lazy.counted import Calls, Counted


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


def looked_at(c: Any) -> None:
    html(c), repr(c), c.explain(), c.explain(code=True)


def test_looking_uses_no_one_shot_source_up() -> None:
    letters = iter("abc")
    c = lazy([1, 2, 3]).zip(letters)
    looked_at(c)
    assert c.to_list() == [(1, "a"), (2, "b"), (3, "c")]
    next(letters, None)
    assert next(letters, None) is None  # the control: it is used up once the pipeline has run


def test_looking_pulls_nothing_and_calls_nothing() -> None:
    source, calls = Counted(range(100_000)), Calls(parse)
    for c in (
        lazy(source).map(calls),
        lazy(source).sort(calls).cache(),
        lazy(source).sort().cache().map(calls),
        lazy(source).map(calls, threads=4).cache(),
        lazy(lazy(source).map(calls)),
        lazy([1]).zip(lazy(source)),
        lazy([1]).map(calls),
        lazy(source).map(calls).progress().page(3, 10),
    ):
        looked_at(c)
    assert (source.passes, source.pulled, calls.count) == (0, 0, 0)
    assert lazy(source).map(calls).first() == 0
    assert (source.pulled, calls.count) == (1, 1)  # the control


def test_looking_starts_no_worker() -> None:
    before = threading.active_count()
    looked_at(lazy([1]).map(parse, threads=4).cache())
    assert threading.active_count() == before


def test_elements_in_memory_are_shown_ten_at_most() -> None:
    assert "the first 2 of the elements in memory" in html(lazy([1, 2]))
    assert html(lazy(range(10**9))).count("<li>") == 10
    cached = lazy(itertools.count).map(parse).cache()
    assert html(cached).count("<li>") == 0
    cached.take(3).to_list()
    assert html(cached).count("<li>") == 3


def test_what_has_not_run_says_how_to_run_it() -> None:
    assert "nothing has run; .take(10).to_list() runs it" in html(lazy([0]).map(lambda x: 1 // x))


def test_markup_is_escaped() -> None:
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
