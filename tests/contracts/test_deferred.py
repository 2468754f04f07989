"""Annotations that are evaluated late (without the future import, Python 3.14 and later) change no judgement."""

# No `from __future__ import annotations` here: it would turn what is tried into strings.
import inspect
from abc import abstractmethod
from pathlib import Path
from typing import Protocol

import pytest

from arion_lib.contracts import contract
from arion_lib.contracts.checks.hints import own_annotations
from arion_lib.contracts.subtypes import is_subtype


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


def test_each_other_module_runs_a_second_time_with_its_annotations_evaluated(request: pytest.FixtureRequest) -> None:
    folder = request.node.getparent(pytest.Module).parent
    for path in set(Path(__file__).parent.glob("test_*.py")) - {Path(__file__)}:
        collected = request.session.gethookproxy(path).pytest_collect_file(file_path=path, parent=folder)
        assert {one.name for one in collected} == {path.name, f"{path.name}[evaluated]"}
