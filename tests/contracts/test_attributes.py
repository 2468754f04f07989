"""A contract's attributes: read like any other, checked at each assignment."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import sys
from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, Final, Literal

import pytest

from arion_lib.contracts.checks.levels import checking
from arion_lib.contracts.contract import Contract
from arion_lib.contracts.registry import Registry
from arion_lib.contracts.violations import ContractCallError, ContractError, LockedMember


class Settings(Contract, registry=Registry()):
    encoding: str
    mode: Literal["text", "binary"] = "text"
    sizes: list[int] = []  # noqa: RUF012
    key: Callable[[int], int] = abs
    shared: ClassVar[int] = 3
    fixed: Final = 7


class Mine(Settings):
    encoding = "utf-8"

    def __init__(self) -> None:
        self.other: Any = 1


class Plain:
    mode = "text"


def test_a_wrong_value_is_refused_on_instance_and_class_and_changes_nothing() -> None:
    mine = Mine()
    for target in (mine, Mine):
        with pytest.raises(ContractCallError, match=r"attribute 'mode' must be Literal\['text', 'binary'\], got 'txt'"):
            target.mode = "txt"  # type: ignore[assignment]
        assert target.mode == "text"
    Plain().mode = "txt"  # the control


def test_values_live_where_they_would_without_a_contract() -> None:
    mine = Mine()
    assert (Mine.mode, mine.mode, vars(mine)) == ("text", "text", {"other": 1})
    mine.mode = "binary"
    assert (Mine.mode, mine.mode, vars(mine)) == ("text", "binary", {"other": 1, "mode": "binary"})
    Mine.encoding = "ascii"
    assert mine.encoding == "ascii"
    Mine.encoding = "utf-8"


def test_an_attribute_without_a_value_is_absent_until_it_is_set() -> None:
    class Later(Settings):
        encoding: str

    assert not hasattr(Later, "encoding")
    later = Later()
    with pytest.raises(AttributeError, match="'encoding' must be set before it is read from this Later"):
        _ = later.encoding
    later.encoding = "x"
    assert later.encoding == "x"


def test_deletion_is_refused_unless_the_class_has_a_value() -> None:
    class Later(Settings):
        encoding: str

    later = Later()
    later.encoding = "x"
    with pytest.raises(LockedMember, match=r"Later\.encoding must stay"):
        del later.encoding
    assert later.encoding == "x"
    mine = Mine()
    mine.mode = "binary"
    del mine.mode
    assert mine.mode == "text"
    with pytest.raises(AttributeError, match="'mode' must be set on this Mine"):
        del mine.mode


def test_a_final_attribute_is_not_overridden_nor_assigned() -> None:
    with pytest.raises(TypeError, match=r"\[final\] Other\.fixed"):

        class Other(Settings):
            encoding = "x"
            fixed = 8  # type: ignore[misc]

    with pytest.raises(LockedMember):
        Mine.fixed = 8  # type: ignore[misc]


def test_levels_reach_attributes() -> None:
    mine = Mine()
    mixed: Any = [1, "x"]
    mine.sizes = mixed
    with checking("all"), pytest.raises(ContractCallError):
        mine.sizes = mixed
    with checking("off"):
        mine.sizes = 3  # type: ignore[assignment]
    assert mine.sizes == 3  # type: ignore[comparison-overlap]


def test_an_error_names_the_line_of_the_attribute() -> None:
    with pytest.raises(ContractCallError) as caught:
        Mine().mode = "x"  # type: ignore[assignment]
    source = caught.value.promised_at
    assert source is not None
    assert "mode:" in Path(__file__).read_text().splitlines()[source.line - 1]


def test_instances_are_copied_and_pickled() -> None:
    mine = Mine()
    mine.mode = "binary"
    again, other = pickle.loads(pickle.dumps(mine)), copy.deepcopy(mine)
    assert (again.mode, other.mode, again.other) == ("binary", "binary", 1)


def test_other_attributes_are_nobodys_business() -> None:
    mine = Mine()
    mine.other = "anything"
    del mine.other
    assert type(mine).__setattr__ is object.__setattr__
    assert "__call__" not in vars(type(Mine))


def test_slots_without_a_dict_work() -> None:
    class Slotted(Contract, registry=Registry()):
        __slots__ = ()
        size: int

    class Small(Slotted):
        __slots__ = ("size",)

    small = Small()
    small.size = 3
    with pytest.raises(ContractCallError):
        small.size = "x"  # type: ignore[assignment]
    assert small.size == 3
    assert not hasattr(small, "__dict__")


def test_a_function_that_is_an_attributes_value_is_not_taken_for_a_method_that_was_promised() -> None:
    class Hooked(Settings):
        encoding = "utf-8"
        key = staticmethod(lambda n: n + 1)

    class Method(Settings):
        encoding = "utf-8"

        def key(self, n: int) -> int:
            return n + 2

    assert (Hooked().key(1), Hooked.key(1), Method().key(1)) == (2, 2, 3)
    hooked = Hooked()
    hooked.key = abs
    assert hooked.key(-1) == 1
    with pytest.raises(ContractCallError, match="attribute 'key' must be"):  # the control: the value is checked
        hooked.key = 3  # type: ignore[assignment]


def python_calls(read: Callable[[], object]) -> list[str]:
    """Return the names of the Python functions that `read` calls, itself left out."""
    seen: list[str] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            seen.append(frame.f_code.co_name)

    sys.setprofile(note)
    try:
        read()
    finally:
        sys.setprofile(None)
    return seen[1:]


def test_reading_an_attribute_calls_one_function_and_reading_any_other_none() -> None:
    mine, own = Mine(), Mine()
    own.mode = "binary"
    assert python_calls(lambda: own.mode) == ["__get__"]
    assert python_calls(lambda: mine.mode) == ["__get__"]
    assert python_calls(lambda: mine.other) == []
    assert len(python_calls(lambda: Mine.mode)) > 1  # the control: the class is asked for the value by one more call


def test_a_value_that_attrs_took_for_a_default_is_the_value_below_a_class_with_another_one() -> None:
    attrs = pytest.importorskip("attrs")

    @attrs.frozen(slots=False)
    class Base(Settings):
        encoding: str = "utf-8"
        mode: Literal["text", "binary"] = "binary"

    class Below(Base):
        mode = "text"

    class Plain:
        mode = "text"

    assert (Base().mode, Below().mode) == ("binary", "binary")  # attrs puts its default into each instance
    assert (Below.mode, Plain().mode) == ("text", "text")


def test_instances_without_a_dictionary_have_the_value_of_a_class_that_was_assigned_to() -> None:
    class Small(Contract, registry=Registry()):
        __slots__ = ()
        size: int = 1

    class Tiny(Small):
        __slots__ = ()
        size = 2

    Tiny.size = 3
    assert (Tiny().size, Tiny.size) == (3, 3)


def test_a_contract_that_extends_a_contract_may_leave_its_promises_open() -> None:
    class Reads(Contract, registry=Registry()):
        size: int

        @abstractmethod
        def read(self, n: int) -> int: ...

    class ReadsAndWrites(Reads, Contract, registry=Registry()):
        @abstractmethod
        def write(self, n: int) -> int: ...

    with pytest.raises(ContractError, match="breaks Reads in 2 places"):  # the control: a class may not

        class Lacking(ReadsAndWrites):
            def write(self, n: int) -> int:
                return n

    class Both(ReadsAndWrites):
        size = 1

        def read(self, n: int) -> int:
            return n

        def write(self, n: int) -> int:
            return n

    assert Both().write(2) == 2


def test_a_constructor_that_only_reads_an_attribute_does_not_set_it() -> None:
    class Sized(Contract, registry=Registry()):
        size: int

    class Sets(Sized):
        def __init__(self) -> None:
            self.size = 1

    assert Sets().size == 1
    with pytest.raises(ContractError, match=r"caller who reads \.size gets an AttributeError"):

        class Reads(Sized):
            def __init__(self) -> None:
                self.other = self.size


def test_a_frozen_dataclass_beside_the_contract_sets_its_fields() -> None:
    class Sized(Contract, registry=Registry()):
        size: int

    @dataclasses.dataclass(frozen=True)
    class Row:
        size: int

    with pytest.raises(ContractError, match=r"caller who reads \.size gets an AttributeError"):

        class Lacking(Sized): ...  # the control

    class Kept(Sized, Row): ...

    assert dataclasses.is_dataclass(Kept)


def test_a_class_may_declare_an_attribute_with_a_name_that_only_its_function_knows() -> None:
    class Local: ...

    class Other: ...

    class Held(Contract, registry=Registry()):
        held: Local

    class Same(Held):
        held: Local

        def __init__(self) -> None:
            self.held = Local()

    assert isinstance(Same().held, Local)
    with pytest.raises(ContractError, match=r"relies on \.held being Local"):

        class Wrong(Held):
            held: Other  # type: ignore[assignment]
