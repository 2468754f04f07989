"""Annotations that are evaluated late (without the future import, Python 3.14 and later) change no judgement."""

# No `from __future__ import annotations` here: it would turn what is tried into strings.
import functools
import inspect
import sys
from abc import abstractmethod
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import pytest

from arion_lib.contracts import contract
from arion_lib.contracts.checks.hints import own_annotations
from arion_lib.contracts.registry import Registry
from arion_lib.contracts.subtypes import is_subtype
from arion_lib.contracts.violations import ContractCallError, ContractError


def test_a_class_whose_annotations_were_looked_at_stays_accepted() -> None:
    class Node(contract.Contract, kind="looked-at"):
        value: int

        @abstractmethod
        def f(self, x: int) -> int: ...

    class Mixin: ...

    inspect.get_annotations(Mixin)  # what dataclass, typing, pydantic and an editor do
    inspect.get_annotations(Node)

    class Kept(Mixin, Node):
        value = 3

        def f(self, x: int) -> int:
            return x

    assert Kept().f(2) == 2


def test_a_field_that_is_only_annotated_satisfies_a_protocol() -> None:
    class Named(Protocol):
        name: str

    class Has:
        name: str

    class Lacks:
        title: str

    assert is_subtype(Has, Named)
    assert not is_subtype(Lacks, Named)


@pytest.mark.parametrize("hint", ["missing_name", "int.no_such_attribute", "1 / 0", "[][1]"])
def test_annotations_that_raise_when_they_are_evaluated_do_not_end_a_class_statement(hint: str) -> None:
    text = f"class Late(contract.Contract, kind='late'):\n    value: {hint}\n    other: int\n"
    space = {"contract": contract, "__name__": __name__}
    try:
        exec(f"class Plain:\n    value: {hint}", dict(space))  # noqa: S102 - the text is ours
    except Exception:  # noqa: BLE001 - it raises whatever the parameter makes it raise
        pytest.skip("this Python evaluates annotations at once")
    exec(text, space)  # noqa: S102
    hopeless = hint in ("1 / 0", "[][1]")  # no form of annotations gives these
    assert set(own_annotations(space["Late"])) == (set() if hopeless else {"value", "other"})  # type: ignore[arg-type]


LATE = """
class Asked(Contract, registry=Registry()):
    field: Row
    rows: list[Row]

    @abstractmethod
    def go(self, row: Row, n: int) -> Row: ...
    @property
    @abstractmethod
    def last(self) -> Row: ...

class Same(Asked):
    field, rows = None, []
    def go(self, row: Row, n: int) -> Row: return row
    @property
    def last(self) -> Row: return 3

class Wider(Asked):
    field, rows = None, []
    def go(self, row: Row, n: int, more: int = 0) -> Row: return row
    @property
    def last(self) -> Row: return 3

class Bare(Asked):
    field, rows = None, []
    def go(self, row, n): return row
    @property
    def last(self): return 3

class Decorated(Asked):
    field, rows = None, []
    @deprecated
    def go(self, row: Row, n: int) -> Row: return row
    last: Row = 3
"""
FORMS = [
    "from __future__ import annotations\n",
    "quoted",
    pytest.param("", marks=pytest.mark.skipif(sys.version_info < (3, 14), reason="a name must exist at once")),
]


def late(form: str) -> dict[str, Any]:
    """Return a module's names in which the classes of LATE stand before the class `Row` that they name."""
    text = LATE.replace("list[Row]", "'list[Row]'").replace(" Row", " 'Row'") if form == "quoted" else form + LATE
    module = ModuleType("late_names")
    space = vars(module)
    space.update(Contract=contract.Contract, Registry=Registry, abstractmethod=abstractmethod, deprecated=handing_on)
    sys.modules[module.__name__] = module
    exec(compile(text, "late_names.py", "exec", dont_inherit=True), space)  # noqa: S102 - the text is ours
    return space


def handing_on(function: Any) -> Any:
    @functools.wraps(function)
    def wrapper(*args: Any, **words: Any) -> Any:
        return function(*args, **words)

    return wrapper


@pytest.mark.parametrize("name", ["Same", "Wider", "Bare", "Decorated"])
@pytest.mark.parametrize("form", FORMS)
def test_a_name_that_comes_to_exist_after_the_class_is_checked_from_the_first_call_on(form: str, name: str) -> None:
    space = late(form)
    try:
        row = space["Row"] = type("Row", (), {})
        made = space[name]()
        good = row()
        assert made.go(good, 1) is good
        with pytest.raises(ContractCallError, match="'row' must be Row, got 'no'"):
            made.go("no", 1)
        with pytest.raises(ContractCallError, match="'n' must be int, got 'no'"):
            made.go(good, "no")
        made.field, made.rows = good, [good]
        with pytest.raises(ContractCallError, match="'field' must be Row, got 'no'"):
            made.field = "no"
        with pytest.raises(ContractCallError, match=r"'rows' must be list\[Row\]"):
            made.rows = ["no"]
        if name != "Decorated":
            with pytest.raises(ContractCallError, match="must be Row, got 3"):
                _ = made.last
    finally:
        del sys.modules["late_names"]


@pytest.mark.parametrize(
    ("hint", "known"),
    [("missing_name", True), ("list[missing_name]", True), ("int.no_such", True), ("1 / 0", False), ("[][1]", False)],
)
def test_an_annotation_that_cannot_be_evaluated_hides_nothing_else_of_its_method(hint: str, known: bool) -> None:
    """Neither the number of its parameters nor what the others are annotated with."""
    text = f"""
class Asked(Contract, registry=Registry()):
    @abstractmethod
    def go(self, row: {hint}, n: int) -> None: ...
class Kept(Asked):
    def go(self, row: {hint}, n: int) -> None: ...
"""
    space: dict[str, Any] = {"Contract": contract.Contract, "Registry": Registry, "abstractmethod": abstractmethod}
    space["__name__"] = __name__
    prefix = "" if sys.version_info >= (3, 14) else "from __future__ import annotations\n"

    def run(text: str) -> None:
        exec(compile(prefix + text, "hidden.py", "exec", dont_inherit=True), space)  # noqa: S102 - the text is ours

    run(text)
    with pytest.raises(ContractError, match="parameter-missing"):
        run(f"class Few(Asked):\n    def go(self, row: {hint}) -> None: ...\n")
    if known or prefix:
        with pytest.raises(ContractError, match="parameter-type"):
            run(f"class Other(Asked):\n    def go(self, row: {hint}, n: str) -> None: ...\n")
        with pytest.raises(ContractCallError, match="'n' must be int"):
            space["Kept"]().go([], "no")


def test_a_field_may_name_in_quotes_what_only_the_function_around_knows() -> None:
    class Local: ...

    class Asked(contract.Contract, registry=Registry()):
        value: "Local"

    class Made(Asked):
        value = Local()

    made = Made()
    made.value = Local()
    with pytest.raises(ContractCallError, match="'value' must be Local, got 3"):
        made.value = 3  # type: ignore[assignment]


def test_each_other_module_runs_a_second_time_with_its_annotations_evaluated(request: pytest.FixtureRequest) -> None:
    folder = request.node.getparent(pytest.Module).parent
    for path in set(Path(__file__).parent.glob("test_*.py")) - {Path(__file__)}:
        collected = request.session.gethookproxy(path).pytest_collect_file(file_path=path, parent=folder)
        assert {one.name for one in collected} == {path.name, f"{path.name}[evaluated]"}
