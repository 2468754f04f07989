"""`compile()`: what is pasted computes what the lambda computed, whatever happens to its names."""

from __future__ import annotations

import itertools
import linecache
import math
import types
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arion_lib.lazy import LazyCollection, lazy
from tests.selection import examples

RATE = 3
x = 100  # a global with the name that the generated loop uses


def called(collection: LazyCollection[Any]) -> bool:
    """Whether the generated function still calls a function of the pipeline."""
    return "f0(" in collection.explain(code=True)


def both(collection: LazyCollection[Any]) -> list[Any]:
    """The result, which must be the same pasted and called."""
    compiled = collection.compile()
    assert not called(compiled)
    assert called(collection)
    result: list[Any] = compiled.to_list()
    assert result == collection.to_list() == list(compiled) == list(collection)
    return result


def test_a_lambda_is_pasted_and_a_function_is_called() -> None:
    assert both(lazy(range(4)).map(lambda v: v * 2 + 1)) == [1, 3, 5, 7]
    assert called(lazy(range(4)).filter(abs).map(lambda v: v).compile())


@pytest.mark.parametrize(
    "collection",
    [
        lazy(range(-9, 9)).map(lambda v: -v if v < 0 else v),
        lazy(range(-9, 9)).filter(lambda v: (v % 2 and v % 3) or v == 6),
        lazy(range(-9, 9)).reject(lambda v: not v),
        lazy(range(-9, 9)).map(lambda v: (v, [v], {v: v}, {v}, f"{v!r:>5}{{}}")),
        lazy(range(-9, 9)).map(lambda v: -9 < v <= 3 != v),
        lazy([{"a": [1, 2, 3]}, {"a": [4, 5]}]).map(lambda row: row["a"][1:][0]),
        lazy([" a ", "B"]).map(lambda s: s.strip().lower() + "x"),
        lazy([{"a": 1}, {}]).map(lambda row: row.get("a", 5)),
        lazy([1 + 2j]).map(lambda z: z.real - z.imag),
        lazy([[3, 1], [2]]).map(lambda v: sum(v) + len(v) + max(v)),
        lazy([0.0, -0.0, 1e308]).map(lambda v: str(v * -10)),
        lazy([True, 1, 1.0]).map(lambda v: (v, 1, True, 1.0)),
        lazy(range(5)).map(lambda f0: f0 + 1),
        lazy(range(5)).map(lambda source: source - 1),
    ],
    ids=lambda c: c.explain().splitlines()[2][:30],
)
def test_pasted_expressions_compute_what_the_lambda_computes(collection: LazyCollection[Any]) -> None:
    both(collection)


@settings(max_examples=examples(100), deadline=None)
@given(st.lists(st.integers(-50, 50)), st.integers(-3, 3))
def test_pasted_pipelines_are_the_called_ones(elements: list[int], k: int) -> None:
    described = (
        lazy(elements).map(lambda v: v * k + RATE).filter(lambda v: v % 3 != 1).map(lambda v: (v, v // 7)[1] - k)
    )
    compiled = described.compile()
    assert compiled.to_list() == described.to_list()
    assert compiled.sum() == described.sum()
    assert compiled[1:7:2].to_list() == described[1:7:2].to_list()
    assert compiled.flat_map(lambda v: [v] * 2).take(5).count() == described.flat_map(lambda v: [v] * 2).take(5).count()


def test_evaluation_order_is_the_lambdas() -> None:
    class Loud:
        def __init__(self, name: str) -> None:
            self.name = name

        def __mul__(self, other: Loud) -> Loud:
            log.append(f"{self.name}*{other.name}")
            return Loud("p")

        def __add__(self, other: Loud) -> Loud:
            log.append(f"{self.name}+{other.name}")
            return Loud("s")

    log: list[str] = []
    described = lazy([Loud("a"), Loud("b")]).map(lambda v: v * v + v).filter(lambda v: v + v)
    described.to_list()
    by_call, log = log, []
    described.compile().to_list()
    assert log == by_call
    assert len(log) == 6


def test_a_closure_variable_stays_a_variable() -> None:
    k = 1
    compiled = lazy([10]).map(lambda v: v + k).compile()
    assert compiled.to_list() == [11]
    k = 5
    assert compiled.to_list() == [15]


def test_a_closure_variable_that_changes_during_the_run_is_seen_at_once() -> None:
    offset = 0

    def raise_offset(_: object) -> None:
        nonlocal offset
        offset += 100

    described = lazy(range(3)).tap(raise_offset).map(lambda v: v + offset)
    assert described.compile().to_list() == [100, 201, 302]


def test_the_late_binding_of_a_loop_variable_stays_late() -> None:
    described = [lazy([1]).map(lambda v: v + i) for i in range(3)]  # noqa: B023 - that is what is tested
    assert [c.compile().first() for c in described] == [c.first() for c in described] == [3, 3, 3]


def test_a_global_that_is_rebound_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = lazy([10]).map(lambda v: v * RATE).compile()
    assert compiled.to_list() == [30]
    monkeypatch.setitem(globals(), "RATE", 7)
    assert compiled.to_list() == [70]


def test_a_builtin_that_its_module_rebinds_later_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled = lazy([[1, 2]]).map(lambda v: len(v)).compile()
    assert compiled.to_list() == [2]
    monkeypatch.setitem(globals(), "len", lambda v: 99)
    assert compiled.to_list() == [99]


@pytest.mark.parametrize(
    "describe", [lambda c: c.window(1).map(lambda v: v[0]), lambda c: c.zip(["z"]).map(lambda v: v[0])]
)
def test_no_helper_of_the_loop_hides_a_builtin_that_the_module_rebinds(
    describe: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = describe(lazy([[1, 2]])).map(lambda v: len(v))
    compiled = describe(lazy([[1, 2]])).map(lambda v: (len(v), tuple(v), sorted(v), set(v))).compile()
    assert compiled.to_list() == [(2, (1, 2), [1, 2], {1, 2})]
    for name in ("len", "tuple", "sorted", "set"):
        monkeypatch.setitem(globals(), name, lambda v, name=name: name)
    assert compiled.to_list() == [("len", "tuple", "sorted", "set")]
    assert compiled.top(1) == [("len", "tuple", "sorted", "set")]
    assert called.to_list() == ["len"]


def test_default_values_are_bound() -> None:
    functions = [lambda v, k=k: v + k for k in range(3)]
    assert [lazy([10]).map(f).compile().first() for f in functions] == [10, 11, 12]


def test_two_closures_of_one_name_stay_two() -> None:
    def adding(k: int) -> Any:
        return lambda v: v + k

    described = lazy([0]).map(adding(1)).map(adding(10)).map(adding(100))
    assert both(described) == [111]


def test_a_missing_global_is_a_name_error_in_its_stage() -> None:
    with pytest.raises(NameError) as caught:
        lazy([1]).map(lambda v: v + not_there).compile().to_list()  # type: ignore[name-defined]  # noqa: F821
    assert caught.value.__notes__[0].startswith("in stage 1 of 1, map(lambda v: v + not_there), on element 1")


REFUSED: list[tuple[Any, str]] = [
    (math.sqrt, "it is not a lambda"),
    (lambda v, w=1, *rest: v, "one parameter without a default"),
    (lambda *v: v, "one parameter without a default"),
    (lambda v, *, k=1: v, "one parameter without a default"),
    (lambda v: (y := v) + y, "it assigns with :="),
    (lambda v: (lambda w: w)(v), "it calls the result of an expression"),
    (lambda v: [lambda: v], "it holds another lambda"),
    (lambda v: [w + 1 for w in [v]], "it holds a ListComp"),
    (lambda v: sum(w for w in [v]), "it holds a GeneratorExp"),
    (lambda v: (yield v), "it yields"),
    (lambda v: [*[v]], "it unpacks with *"),
    (lambda v: id(v), "it calls id, which is not a built-in function known to be pure"),
    (lambda v: math.sqrt(v), "it calls the method sqrt, which is not known to be pure"),
    (lambda v: v.append(1), "it calls the method append"),
    (lambda v: both(v), "it calls both, which is not a built-in function known to be pure"),
    (lambda v: locals(), "it calls locals"),
    (lambda v: eval("v"), "it calls eval"),
    (lambda v: v + x, "it reads the global x, a name that the generated loop has for itself"),
]


@pytest.mark.parametrize(("fn", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_what_cannot_be_verified_is_refused_with_a_reason(fn: Any, reason: str) -> None:
    described = lazy([4]).map(fn).compile()
    assert called(described)
    assert reason in described.explain()
    beside = described.map(lambda v: v).compile()
    assert reason in beside.explain()
    assert called(beside)


def test_a_compiled_pipeline_without_anything_to_paste_is_the_pipeline() -> None:
    assert lazy([3]).map(abs).compile().to_list() == [3]
    assert lazy([3]).compile().take(1).compile().to_list() == [3]
    assert "stays a call" not in lazy([3]).map(abs).explain()


def test_a_function_without_source_stays_a_call() -> None:
    compiled = lazy([1]).map(eval("lambda v: v + 1")).compile()
    assert compiled.to_list() == [2]
    assert "its source was not found" in compiled.explain()


def test_a_source_file_that_changed_since_the_import_takes_no_service_down(tmp_path: Any) -> None:
    file = tmp_path / "edited.py"
    file.write_text("f = lambda v: v + 1\n")
    space: dict[str, Any] = {}
    exec(compile(file.read_text(), str(file), "exec"), space)  # noqa: S102 - a module made for the test
    for now in ("f = lambda v: v + 2\n", "f = lambda v: (\n", "", None):
        file.unlink() if now is None else file.write_text(now)
        linecache.clearcache()
        compiled = lazy([1]).map(space["f"]).compile()
        assert compiled.to_list() == [2]  # pasting what the file says now would give 3
        assert "or is not what was compiled" in compiled.explain()


def test_two_lambdas_on_a_line_are_told_apart() -> None:
    described = lazy([10]).map(lambda v: v + 1).map(lambda v: v + 2)
    assert described.compile().explain().splitlines()[2:4] == [
        f"map(lambda v: v + {n})    map(lambda v: v + {n})  [pasted]" for n in (1, 2)
    ]


def test_a_lambda_of_another_module_that_reads_its_globals_stays_a_call(tmp_path: Any) -> None:
    file = tmp_path / "other.py"
    file.write_text("RATE = 1000\nf = lambda v: v * RATE\ng = lambda v: v + 1\n")
    other = types.ModuleType("other")
    exec(compile(file.read_text(), str(file), "exec"), other.__dict__)  # noqa: S102 - a module made for the test
    compiled = lazy([1]).map(lambda v: v * RATE).map(other.f).map(other.g).compile()
    assert compiled.to_list() == [3_001]
    assert "reads globals of another module" in compiled.explain()


def test_a_pipeline_compiled_twice_computes_what_the_calls_compute_with_lambdas_of_several_modules() -> None:
    ours = module_with_lambda("ours", "K = 10\nf = lambda v: v + K\n", 1)
    theirs = module_with_lambda("theirs", "K = 1000\nf = lambda v: v * K\n", 2)
    for a, b in itertools.permutations([ours, theirs]):
        called = lazy([1]).map(a).map(b)
        assert called.to_list() in ([11_000], [1_010])  # the control: one module's K for both gives 1,001,000
        assert lazy([1]).map(a).compile().map(b).compile().to_list() == called.to_list()
        assert lazy([1]).map(a).compile().map(abs).map(b).compile().compile().to_list() == called.to_list()


def module_with_lambda(name: str, text: str, number: int) -> Any:
    """A lambda `f` of a module of its own, whose source can be found."""
    file = f"<{name} {number}>"
    linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
    module = types.ModuleType(name)
    exec(compile(text, file, "exec"), module.__dict__)  # noqa: S102 - a module made for the test
    return module.f


def test_the_note_names_the_pasted_stage() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        lazy([1, 0]).map(lambda v: 1 // v).compile().sum()
    assert caught.value.__notes__[0] == "in stage 1 of 1, map(lambda v: 1 // v), on element 0"


def test_stages_added_later_are_calls() -> None:
    compiled = lazy([1]).map(lambda v: v + 1).compile().map(lambda v: v * 10)
    assert compiled.to_list() == [20]
    assert "f1(" in compiled.explain(code=True)
