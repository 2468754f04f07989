"""A team's old code: third-party classes adopted, contracts that warn or that judge at the class statement only."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import Any

import pytest

from arion_lib.contracts.checks.adoption import adopt
from arion_lib.contracts.checks.levels import checking
from arion_lib.contracts.contract import Contract
from arion_lib.contracts.messages.warned import ContractWarning
from arion_lib.contracts.registry import DuplicatePlugin, Registry
from arion_lib.contracts.violations import ContractCallError, ContractError


class Foreign:
    version = "1.2"

    def read(self, n: int) -> int:
        return n


def test_a_class_of_others_is_judged_registered_and_left_as_it_is(shelf: tuple[Registry, Any]) -> None:
    registry, source = shelf
    before = dict(vars(Foreign))
    assert adopt(source, Foreign, tags=["theirs"]) is Foreign
    (plugin,) = registry.plugins(source)
    assert (plugin.name, plugin.version, plugin.tags, plugin.cls) == ("foreign", "1.2", {"theirs"}, Foreign)
    assert dict(vars(Foreign)) == before
    assert registry.create("sources", "foreign").read(3) == 3  # type: ignore[attr-defined]
    with pytest.raises(
        TypeError, match=r"virtual subclass Foreign, which nothing would check; Source\.adopt\(Foreign\) does"
    ):
        source.register(Foreign)
    assert source.adopt(Foreign, name="the same") is registry.get(source, "the same") is Foreign

    class Other:
        read = Foreign.read

    with pytest.raises(DuplicatePlugin):
        adopt(source, Other, name="foreign", version="1.2")
    adopt(source, Other, name="foreign", version="1.2", replace=True)


def test_a_class_of_others_that_breaks_the_contract_is_refused(shelf: tuple[Registry, Any]) -> None:
    registry, source = shelf

    class Wrong:
        def read(self) -> int:
            return 1

    with pytest.raises(ContractError, match="parameter-missing"):
        adopt(source, Wrong)
    with pytest.raises(TypeError, match="direct subclasses of Contract"):
        adopt(Foreign, Wrong)
    with pytest.raises(TypeError, match="cls must be a class, got "):
        source.adopt(Foreign())
    with pytest.raises(TypeError, match="tags must be a list of texts, got 'theirs'"):
        source.adopt(Foreign, tags="theirs")
    with pytest.raises(TypeError, match="name must be"):
        adopt(source, Foreign, name="")
    assert registry.plugins() == []


def test_checks_define_judges_the_class_statement_and_leaves_calls_alone() -> None:
    class Source(Contract, registry=Registry(), checks="define"):
        level: int = 1

        @abstractmethod
        def read(self, n: int) -> int: ...

    class Made(Source):
        def read(self, n: int) -> int:
            return n

    bare = vars(Made)["read"]
    assert (bare.__code__.co_filename, "__wrapped__" in vars(bare)) == (__file__, False)
    made: Any = Made()
    with checking("all"):
        made.level = "x"
        assert (made.read("x"), made.level, Made.level) == ("x", "x", 1)
    with pytest.raises(ContractError):

        class Wrong(Source):
            def read(self) -> int:  # type: ignore[override]
                return 1

    class Measured(Source, metrics=True):
        def read(self, n: int) -> int:
            return n

    measured: Any = Measured()
    assert measured.read("x") == "x"


def test_checks_warn_warns_where_others_raise_and_names_the_caller() -> None:
    registry = Registry()

    class Source(Contract, registry=registry, checks="warn"):
        level: int = 1

        @abstractmethod
        def read(self, n: int) -> int: ...

    class Made(Source):
        def read(self, n: int) -> int:
            return n

    made: Any = Made()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")

        class Wrong(Source):
            def read(self) -> int:  # type: ignore[override]
                return 1

        made.read("x")
        made.level = "x"
        Made.level = "y"  # type: ignore[assignment]
        with checking("all"):
            made.read("x")
        with checking("off"):
            made.read("x")
    assert [w.category for w in caught] == [ContractWarning] * len(caught)
    assert {w.filename for w in caught} == {__file__}
    words = [str(w.message).partition(";")[0].partition(",")[0] for w in caught]
    assert words == [
        "class Wrong breaks Source in 1 place",
        "Made.read: parameter 'n' must be int",
        "Made.read: return value must be int",
        "Made: attribute 'level' must be int",
        "Made: attribute 'level' must be int",
        "Made.read: parameter 'n' must be int",
        "Made.read: return value must be int",
    ]
    assert registry.get("sources", "wrong") is Wrong

    class Ready(Source, checks="fast"):
        def read(self, n: int) -> int:
            return n

    with pytest.raises(ContractCallError):
        Ready().read("x")  # type: ignore[arg-type]


@pytest.mark.parametrize("level", ["warn", "define"])
def test_a_block_does_not_choose_a_class_s_own_words(level: str) -> None:
    with pytest.raises(ValueError, match="must be off, fast or all inside a block"), checking(level):
        pass
