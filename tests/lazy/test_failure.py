"""Errors say which stage and which element; a StopIteration never ends a loop silently."""

from __future__ import annotations

import itertools
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from arion_lib.lazy import LazyCollection, lazy
from arion_lib.lazy.fuse import Fused, fuse

ROWS = [{"price": 1}, {"cost": 2}]


def price(row: dict[str, int]) -> int:
    return row["price"]


def fragile(x: int) -> int:
    if x == 3:
        raise ValueError("three")
    return x


def sum3(batch: list[int]) -> int:
    return sum(map(fragile, batch))


def add(a: int, b: int) -> int:
    return a + fragile(b)


def notes(run: Callable[[], object]) -> list[str]:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - which one is the caller's business
        run()
    return list(getattr(caught.value, "__notes__", []))


def test_an_error_names_the_stage_and_the_element_and_marks_the_plan() -> None:
    where, plan = notes(lambda: lazy(ROWS).map(price).filter(bool).map(str).to_list())
    assert where == "in stage 1 of 3, map(price), on element {'cost': 2}"
    assert plan == "    list of 2\n  > map(price)\n    filter(bool)\n    map(str)\n    to_list()"


def test_builtins_and_generators_name_neither() -> None:
    assert notes(lambda: list(map(price, ROWS))) == []
    assert notes(lambda: [price(row) for row in ROWS]) == []


@pytest.mark.parametrize(
    ("described", "where"),
    [
        (lambda c: c.map(str).map(int).map(fragile), "in stage 3 of 3, map(fragile), on element 3"),
        (lambda c: c.filter(fragile), "in stage 1 of 1, filter(fragile), on element 3"),
        (lambda c: c.reject(fragile), "in stage 1 of 1, reject(fragile), on element 3"),
        (lambda c: c.tap(fragile), "in stage 1 of 1, tap(fragile), on element 3"),
        (lambda c: c.flat_map(lambda x: [x]).map(fragile), "in stage 2 of 2, map(fragile), on element 3"),
        (lambda c: c.flat_map(lambda x: [fragile(x)]), "in stage 1 of 1, flat_map(lambda), on element 3"),
        (lambda c: c.flat_map(lambda x: map(fragile, [x])), "in stage 1 of 1, flat_map(lambda), on element 3"),
        (lambda c: c.take_while(lambda x: fragile(x) < 9), "in stage 1 of 1, take_while(lambda), on element 3"),
        (lambda c: c.skip_while(lambda x: fragile(x) < 9), "in stage 1 of 1, skip_while(lambda), on element 3"),
        (lambda c: c.distinct(fragile), "in stage 1 of 1, distinct(fragile), on element 3"),
        (lambda c: c.scan(add), "in stage 1 of 1, scan(add), on element 3"),
        (lambda c: c.sort(fragile), "in stage 1 of 1, sort(fragile), on element 3"),
        (lambda c: c.map(fragile).sort(), "in stage 1 of 2, map(fragile), on element 3"),
        (lambda c: c.batch(2).map(sum3), "in stage 2 of 2, map(sum3), on element [2, 3]"),
        (lambda c: c.filter(bool).take(9).map(fragile), "in stage 3 of 3, map(fragile), on element 3"),
        (lambda c: c.skip(1).map(fragile), "in stage 2 of 2, map(fragile), on element 3"),
        (lambda c: c.map(str).skip(1).map(int).map(fragile), "in stage 4 of 4, map(fragile), on element 3"),
        (lambda c: c.map(fragile).map(str)[1:6:2], "in stage 1 of 4, map(fragile), on element 3"),
        (lambda c: c.map(fragile, threads=2), "in stage 1 of 1, map(fragile, threads=2), on element 3"),
        (lambda c: c.map(lambda x: "abc"[x]).compile(), "in stage 1 of 1, map(lambda x: 'abc'[x]), on element 3"),
        (lambda c: c.map(lambda x: x if x != 3 else [3]).sort(), "in stage 2 of 2, sort()"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("run", [LazyCollection.to_list, list, LazyCollection.to_set, LazyCollection.count])
def test_every_stage_names_itself_whatever_runs_it(
    described: Callable[[Any], Any], where: str, run: Callable[[Any], object]
) -> None:
    assert notes(lambda: run(described(lazy(range(6)))))[0] == where


@pytest.mark.parametrize(
    ("run", "where"),
    [
        (lambda c: c.for_each(fragile), "in the terminal operation for_each(fragile), on element 3"),
        (lambda c: c.reduce(add), "in the terminal operation reduce(add), on element 3"),
        (lambda c: c.reduce(add, 0), "in the terminal operation reduce(add, 0), on element 3"),
        (lambda c: c.any(lambda x: fragile(x) > 9), "in the terminal operation any(lambda), on element 3"),
        (lambda c: c.all(lambda x: fragile(x) < 9), "in the terminal operation all(lambda), on element 3"),
        (lambda c: c.find(lambda x: fragile(x) > 9), "in the terminal operation find(lambda), on element 3"),
        (lambda c: c.group_by(fragile), "in the terminal operation group_by(fragile), on element 3"),
        (lambda c: c.count_by(fragile), "in the terminal operation count_by(fragile), on element 3"),
        (lambda c: c.fold_by(fragile, add, 0), "in the terminal operation fold_by(fragile, add, 0), on element 3"),
        (lambda c: c.min(fragile), "in the terminal operation min(fragile), on element 3"),
        (lambda c: c.max(fragile), "in the terminal operation max(fragile), on element 3"),
        (lambda c: c.top(2, fragile), "in the terminal operation top(2, fragile), on element 3"),
        (lambda c: c.to_dict(fragile), "in the terminal operation to_dict(fragile), on element 3"),
        (lambda c: c.map(lambda x: "s" if x == 3 else x).sum(), "in the terminal operation sum(), on element 's'"),
        (lambda c: c.map(lambda x: [x]).count_by(), "in the terminal operation count_by(), on element [0]"),
        (lambda c: c.map(lambda x: [x]).to_set(), "in the terminal operation to_set(), on element [0]"),
        (lambda c: c.to_dict(), "in the terminal operation to_dict(), on element 0"),
    ],
)  # fmt: skip
def test_every_terminal_operation_names_itself(run: Callable[[Any], object], where: str) -> None:
    assert notes(lambda: run(lazy(range(6))))[0] == where


def test_an_error_in_the_source_says_after_which_element() -> None:
    def rows() -> Iterator[int]:
        yield 1
        yield 2
        raise OSError("disk gone")

    where, _ = notes(lambda: lazy(rows).map(str).count())
    assert where == "in the source, rows(), after element '2'"


def rows_that_break() -> Iterator[int]:
    yield 1
    raise OSError("disk gone")


@pytest.mark.parametrize(
    "described",
    [
        lambda c: c,
        lambda c: c.sort(),
        lambda c: c.batch(2),
        lambda c: c.batch(2).map(sum),
        lambda c: c.cache(),
        lambda c: c.cache().map(str),
        lambda c: c.cache().sort().map(str),
        lambda c: c.map(str, threads=2),
        lambda c: c.skip(1).batch(2),
        lambda c: c.map(str),
        lambda c: c.filter(bool).flat_map(lambda x: [x]),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "run", [LazyCollection.to_list, list, LazyCollection.to_set, LazyCollection.count, LazyCollection.last]
)
def test_an_error_of_the_source_is_named_whatever_stage_comes_first(
    described: Callable[[Any], Any], run: Callable[[Any], object]
) -> None:
    assert notes(lambda: run(described(lazy(rows_that_break))))[0].startswith("in the source, rows_that_break()")
    assert notes(lambda: list(rows_that_break())) == []  # the control


def test_an_error_in_a_pipeline_within_a_pipeline_names_both() -> None:
    found = notes(lambda: lazy([5, 3]).map(lambda n: lazy([n]).map(fragile).sum()).to_list())
    assert [note for note in found if note.startswith("in ")] == [
        "in stage 1 of 1, map(fragile), on element 3",
        "in stage 1 of 1, map(lambda), on element 3",
    ]


def test_an_error_is_named_once_across_loops() -> None:
    found = notes(lambda: lazy(range(9)).map(fragile).batch(2).map(sum).sort().map(str).to_list())
    assert [note for note in found if note.startswith("in ")] == ["in stage 1 of 5, map(fragile), on element 3"]


def test_the_error_is_the_one_that_was_raised() -> None:
    error = ValueError("mine")

    def throw(x: object) -> object:
        raise error

    with pytest.raises(ValueError, match="mine") as caught:
        lazy([1]).map(throw).to_list()
    assert caught.value is error


def test_the_traceback_shows_the_generated_line() -> None:
    try:
        lazy(ROWS).map(price).sum()
    except KeyError:
        text = traceback.format_exc()
    assert "x = f0(x)" in text or "yield" in text
    assert "lazy pipeline" in text


def test_a_long_plan_is_shown_around_the_failing_stage() -> None:
    c: LazyCollection[Any] = lazy(range(6))
    for _ in range(50):
        c = c.map(abs)
    where, plan = notes(lambda: c.map(fragile).map(str).to_list())
    assert where == "in stage 51 of 52, map(fragile), on element 3"
    assert plan.splitlines()[0] == "    ... 47 more"
    assert "  > map(fragile)" in plan.splitlines()


# -- StopIteration ---------------------------------------------------------------------------------------------------


def stopping(x: int) -> int:
    return next(iter(())) if x == 3 else x


def truncates_silently(run: Callable[[], list[int]]) -> bool:
    try:
        return run() == [0, 1, 2]
    except RuntimeError:
        return False


def test_a_leaking_stop_iteration_is_an_error_and_map_truncates_silently() -> None:
    assert not truncates_silently(lambda: lazy(range(6)).map(stopping).to_list())
    assert truncates_silently(lambda: list(map(stopping, range(6))))


@pytest.mark.parametrize(
    "described",
    [
        lambda c: c.map(stopping),
        lambda c: c.filter(lambda x: stopping(x) >= 0),
        lambda c: c.flat_map(lambda x: [stopping(x)]),
        lambda c: c.tap(stopping),
        lambda c: c.take_while(lambda x: stopping(x) >= 0),
        lambda c: c.distinct(stopping),
        lambda c: c.sort(stopping),
        lambda c: c.scan(lambda a, b: a + stopping(b)),
        lambda c: c.map(stopping).batch(2),
        lambda c: c.map(stopping).cache(),
        lambda c: c.map(stopping, threads=2),
        lambda c: lazy(lambda: stopping(3)),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "run",
    [
        LazyCollection.to_list,
        list,
        LazyCollection.count,
        lambda c: c.map(str).to_set(),
        lambda c: c.for_each(str),
        lambda c: list(c.pages(2)),
        lambda c: c.count_by(str),
    ],
)  # fmt: skip
def test_no_function_anywhere_can_end_the_loop_with_stop_iteration(
    described: Callable[[Any], Any], run: Callable[[Any], object]
) -> None:
    with pytest.raises(RuntimeError, match="must not raise StopIteration") as caught:
        run(described(lazy(range(6))))
    assert isinstance(caught.value.__cause__, StopIteration)


@pytest.mark.parametrize(
    "run",
    [
        lambda c: c.sum(),
        lambda c: c.min(stopping),
        lambda c: c.reduce(lambda a, b: a + stopping(b)),
        lambda c: c.group_by(stopping),
        lambda c: c.count_by(stopping),
        lambda c: c.find(lambda x: stopping(x) > 9),
        lambda c: c.any(lambda x: stopping(x) > 9),
        lambda c: c.all(lambda x: stopping(x) < 9),
        lambda c: c.top(2, stopping),
        lambda c: c.for_each(stopping),
    ],
)  # fmt: skip
def test_nor_can_a_function_of_a_terminal_operation(run: Callable[[Any], object]) -> None:
    class Stopping(int):
        def __add__(self, other: int) -> int:
            return stopping(other)

        def __radd__(self, other: int) -> int:
            return stopping(self)

    with pytest.raises(RuntimeError, match="must not raise StopIteration"):
        run(lazy([Stopping(1), Stopping(3)]))


def test_the_note_survives_the_replacement_of_stop_iteration() -> None:
    assert notes(lambda: lazy(range(6)).map(stopping).count())[0] == "in stage 1 of 1, map(stopping), on element 3"


def test_the_consumers_own_errors_get_no_note() -> None:
    def consume() -> None:
        for _ in lazy(range(3)).map(str):
            raise ValueError("mine")

    def throw_in() -> None:
        elements: Any = iter(lazy(range(3)).map(str))
        next(elements)
        elements.throw(ValueError("mine"))  # as a generator that says `yield from` hands it on

    assert notes(consume) == notes(throw_in) == []


def test_nothing_is_recorded_while_all_goes_well() -> None:
    """The loop with notes holds the same lines as the one without, but for the `try` around it."""
    from arion_lib.lazy.sinks import Count
    from arion_lib.lazy.stages import Filter, Map

    def body(fused: Fused) -> list[str]:
        return [line.strip() for line in fused.text.splitlines() if "run(" not in line]

    shapes: Any = (Map, Filter, Map)
    with_notes, without = body(fuse(shapes, Count)), body(fuse(shapes, Count, notes=False))  # type: ignore[arg-type]
    around = ["try:", "except Failure as error:", "fail(error, plan, offset, sink, places)", "raise"]
    assert [line for line in with_notes if line not in around] == without
    assert list(itertools.chain(without)) != with_notes


@pytest.mark.parametrize(
    ("described", "where"),
    [
        (lambda c: c.flat_map(lambda x: [fragile(x)]), "in stage 1 of 1, flat_map(lambda), on element 3"),
        (lambda c: c.flat_map(lambda x: map(fragile, [x])), "in stage 1 of 1, flat_map(lambda), on element 3"),
        (lambda c: c.map(fragile).flat_map(lambda x: [x]), "in stage 1 of 2, map(fragile), on element 3"),
        (lambda c: c.map(abs).skip(1).filter(bool).flat_map(stage3), "in stage 4 of 4, flat_map(stage3), on element 3"),
        (lambda c: c.batch(2).flat_map(sum3s), "in stage 2 of 2, flat_map(sum3s), on element [2, 3]"),
    ],
)  # fmt: skip
def test_a_sum_of_a_flat_map_names_the_stage_too(described: Callable[[Any], Any], where: str) -> None:
    assert notes(lambda: described(lazy(range(6))).sum())[0] == where


class Unaddable:
    """Something whose sum fails in Python code."""

    def __radd__(self, other: object) -> object:
        raise ValueError("no sums")


@pytest.mark.parametrize("parts", [list, tuple, iter, lambda xs: (x for x in xs), lambda xs: map(itself, xs)])
def test_a_sum_that_fails_behind_a_flat_map_is_not_blamed_on_the_flat_map(parts: Callable[[Any], Any]) -> None:
    where = notes(lambda: lazy([1]).flat_map(lambda x: parts([x, "a"])).sum())[0]
    assert where.startswith("in the terminal operation sum(), on an element of ")
    assert notes(lambda: lazy([1]).flat_map(lambda x: [x, [2]]).to_set())[0] == (
        "in the terminal operation to_set(), on element [2]"
    )
    assert notes(lambda: lazy([1]).flat_map(lambda x: (y for y in [Unaddable()])).sum())[0].startswith(
        "in the terminal"
    )


def itself(x: object) -> object:
    return x


@pytest.mark.parametrize("part", [lambda x: 5, lambda x: (1 // y for y in [1, 0]), lambda x: map(int, ["a"])])
def test_parts_of_a_flat_map_that_fail_are_blamed_on_it(part: Callable[[Any], Any]) -> None:
    for run in (LazyCollection.sum, LazyCollection.to_list, LazyCollection.to_set, LazyCollection.count):
        assert notes(lambda run=run: run(lazy([1]).flat_map(part)))[0] == (  # type: ignore[misc]
            "in stage 1 of 1, flat_map(lambda), on element 1"
        )


def test_what_is_caught_is_left_out_and_told_and_what_is_not_is_raised() -> None:
    told: list[tuple[int, str]] = []
    c = lazy(range(6)).map(fragile).catch(ValueError, on_error=lambda x, error: told.append((x, str(error))))
    assert c.take(5).map(str).to_list() == ["0", "1", "2", "4", "5"]
    assert told == [(3, "three")]
    assert lazy(range(6)).filter(bool).take(3).map(fragile).catch(KeyError, ValueError).sum() == 3
    assert repr(c) == "lazy(range(0, 6)).map(fragile).catch(ValueError)"
    found = notes(lambda: lazy(range(6)).map(fragile).catch(KeyError).to_list())
    assert found[0] == "in stage 1 of 1, map(fragile).catch(KeyError), on element 3"
    for wrong in (
        lambda: c.filter(bool).catch(ValueError),
        lambda: lazy([1]).catch(ValueError),
        lambda: lazy([1]).map(abs).catch(),
    ):
        with pytest.raises(TypeError, match="must"):
            wrong()
    with pytest.raises(TypeError, match="errors must be types of exception, got <class 'KeyboardInterrupt'>"):
        lazy([1]).map(abs).catch(KeyboardInterrupt)  # type: ignore[arg-type]


def test_a_strict_zip_is_an_error_where_one_is_shorter_and_a_plain_one_ends() -> None:
    assert lazy("ab").zip([1, 2], strict=True).to_list() == [("a", 1), ("b", 2)]
    assert lazy("ab").zip([1]).to_list() == [("a", 1)]  # the control
    for c in (lazy("ab").zip([1], strict=True), lazy("a").map(str).zip([1, 2], strict=True)):
        with pytest.raises(ValueError, match=r"zip\(\) argument 2 is (shorter|longer)") as caught:
            c.to_list()
        assert "zip(list of" in caught.value.__notes__[0]
    assert lazy("ab").zip([1], strict=True).take(1).to_list() == [("a", 1)]
    assert notes(lambda: lazy(range(6)).map(fragile).zip(range(9), strict=True).to_list())[0].startswith(
        "in stage 1 of 2"
    )


def test_errors_of_a_chunks_key_and_of_a_source_that_follows_are_named() -> None:
    assert (
        notes(lambda: lazy(range(6)).chunk_by(fragile).to_list())[0]
        == "in stage 1 of 1, chunk_by(fragile), on element 3"
    )
    assert notes(lambda: lazy([1]).concat(lazy(rows_that_break)).to_list())[0].startswith(
        "in the source, rows_that_break()"
    )
    assert "in stage 1 of 1, concat(map)" in notes(lambda: lazy([1]).concat(map(fragile, [3])).to_list())[0].replace(
        "one-shot ", ""
    )


def stage3(x: int) -> list[int]:
    return [fragile(x)]


def sum3s(batch: list[int]) -> list[int]:
    return [sum3(batch)]


@pytest.mark.parametrize("terminal", ["sum", "count_by", "to_list", "count", "to_set"])
def test_the_note_names_the_terminal_operation_on_every_python(terminal: str) -> None:
    with pytest.raises(ZeroDivisionError) as failed:
        getattr(lazy([1, 0]).map(lambda n: 1 // n), terminal)()
    assert f"{terminal}()" in "\n".join(failed.value.__notes__)


def test_a_traceback_shows_the_line_of_the_generated_code_and_its_module_has_a_spec() -> None:
    """Without a spec, Python 3.15 cannot show the line, and fails while it formats the traceback."""
    with pytest.raises(ZeroDivisionError) as failed:
        lazy([1, 0]).map(lambda x: 1 // x).filter(bool).to_list()
    told = "".join(traceback.format_exception(failed.value))
    generated = [
        frame
        for frame, _ in traceback.walk_tb(failed.value.__traceback__)
        if "__loader__" in frame.f_globals and frame.f_code.co_filename.startswith("lazy pipeline")
    ]
    assert generated
    for frame in generated:
        assert frame.f_globals["__spec__"].loader is frame.f_globals["__loader__"]
        assert f'File "{frame.f_code.co_filename}"' in told
    assert failed.value.__notes__[0] in told
