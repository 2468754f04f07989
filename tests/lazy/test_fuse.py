"""One generated function for each shape."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from arion_lib.lazy import LazyCollection, lazy
from arion_lib.lazy.barriers.engine import function_of
from arion_lib.lazy.fuse import SHAPES_KEPT, fuse
from arion_lib.lazy.sinks import Count, Sink, ToList
from arion_lib.lazy.stages import Filter, Map, Stage


def functions(c: LazyCollection[Any]) -> int:
    return len(function_of(c, ToList()))


def test_pipelines_of_one_shape_share_one_function() -> None:
    a, b = lazy([1]).map(str).filter(bool), lazy(range(9)).map(abs).filter(callable)
    assert function_of(a, Count()) == function_of(b, Count())
    assert function_of(a, Count()) != function_of(a, ToList())
    assert function_of(a, Count()) != function_of(a.map(str), Count())


def test_running_a_known_shape_compiles_nothing() -> None:
    lazy([1]).map(str).reject(bool).map(len).count()
    before = fuse.cache_info().misses
    for _ in range(10):
        lazy([2]).map(abs).reject(callable).map(str).count()
    assert fuse.cache_info().misses == before


def test_the_number_of_functions_kept_is_bounded() -> None:
    for n in range(SHAPES_KEPT + 50):
        c: LazyCollection[Any] = lazy([1])
        for bit in f"{n:010b}":
            c = c.map(abs) if bit == "1" else c.filter(abs)
        assert c.count() == 1
    assert fuse.cache_info().currsize <= SHAPES_KEPT


def resumes_per_element(run: Callable[[], Iterator[Any]]) -> int:
    """Frames below a user's function in the innermost of a chain: one for a fused loop, one a layer for generators."""
    import sys

    depth: list[int] = []

    def look(x: int) -> int:
        frame, found = sys._getframe(1), 0
        while frame.f_code.co_name != "measured":
            found, frame = found + 1, frame.f_back  # type: ignore[assignment]
        depth.append(found)
        return x

    def measured() -> None:
        list(run_with(look))

    run_with: Callable[[Any], Iterator[Any]] = run  # type: ignore[assignment]
    measured()
    return depth[0]


def layered(fn: Callable[[int], int]) -> Iterator[int]:
    def mapping(xs: Iterator[int], f: Callable[[int], int]) -> Iterator[int]:
        for x in xs:
            yield f(x)

    return mapping(mapping(mapping(iter([1]), fn), abs), abs)


def test_an_element_passes_one_frame_and_layered_generators_need_one_each() -> None:
    assert resumes_per_element(lambda fn: iter(lazy([1]).map(fn).map(abs).map(abs))) == 1  # type: ignore[misc,call-arg]
    assert resumes_per_element(layered) == 3  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("described", "loops"),
    [
        (lambda c: c.map(abs).filter(abs).flat_map(lambda x: [x]).take(3).enumerate().window(2).distinct(), 1),
        (lambda c: c.map(abs).sort().map(abs), 2),
        (lambda c: c.batch(2).map(sum), 1),
        (lambda c: c.map(abs).batch(2).map(sum).batch(2).map(len), 3),
        (lambda c: c.map(abs, threads=2).map(abs), 1),
    ],
)  # fmt: skip
def test_only_barriers_end_a_loop(described: Callable[[Any], Any], loops: int) -> None:
    assert functions(described(lazy([1]))) == loops


def test_nothing_but_numbered_parameters_enters_the_text() -> None:
    """A function's name, a value, a source: none of them is part of the generated text."""
    evil: Any = type(
        "Evil", (), {"__call__": lambda self, x: x, "__qualname__": "x); import os; (", "__repr__": lambda self: "1/0"}
    )()
    text = function_of(lazy([1]).map(evil).filter(evil).take(7), Count())[0].text
    assert text == function_of(lazy([2]).map(abs).filter(bool).take(5), Count())[0].text
    assert "import" not in text


def test_the_function_without_notes_is_only_for_measuring() -> None:
    plain: Any = (Map, Filter)
    assert "try" not in fuse(plain, Count, notes=False).text  # type: ignore[arg-type]
    assert "try" in fuse(plain, Count).text  # type: ignore[arg-type]


class Squared(Stage):
    """A stage of a reader's own: three lines."""

    __slots__ = ()
    name, given = "squared", "n"
    body = "keep if $x > $n\n$x = $x * $x"


class Both(Sink):
    """A terminal operation of a reader's own."""

    __slots__ = ()
    name = "both"
    setup = "$least = $END\n$count = 0"
    body = "if $least is $END or $x < $least:\n    $least = $x\n$count += 1"
    result = "return $least, $count"


def test_an_operation_of_ones_own_is_a_template() -> None:
    c = lazy(range(6)).take(5)._with(Squared(2))
    assert c.to_list() == [9, 16]
    assert c._run(Both()) == (9, 2)
    with pytest.raises(TypeError) as caught:
        lazy(["a"])._with(Squared(2)).to_list()
    assert caught.value.__notes__[0] == "in stage 1 of 1, squared(2), on element 'a'"
